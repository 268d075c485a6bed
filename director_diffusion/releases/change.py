"""Changes: making a published version live, and going back.

Belongs here: what may become live, and the new entry of the record.  Nothing is delivered here: the record says what
the delivered files must be, so that whoever delivers next, also after a crash, brings them to it.
"""

from collections.abc import Collection

from director_diffusion.errors import PublishError, StoreError
from director_diffusion.evaluation.types import Verdict
from director_diffusion.publishing.decision import reason_to_withhold
from director_diffusion.publishing.sign_offs import SHOWN, read_sign_offs, sign_off_for
from director_diffusion.releases.published import State, last_states, newest_state
from director_diffusion.releases.record import Release, line_of, live, read_releases, release_name, write_releases
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.lock import writer_lock
from director_diffusion.storage.store import Store

WAIT_S = 10.0  # for another who changes the record, which takes moments
LEAST_DIGITS = 6  # that name a version


def promote(
    store: Store, recipe: str, director: str, *, version: str | None, who: str, why: str, date: str
) -> tuple[Release, bool]:
    """Make a published adapter version live: the one that was published last, or that whose digits `version` begins.

    Returns the entry that is live, and whether it is new: a version that is live already stays so, with the entry it
    has.  Raises PublishError for a version that is not published or that its verdict withholds, StoreError where
    nothing was published, BusyError while another changes the record.
    """
    with writer_lock(store, release_name(recipe, director), "director promote", wait_s=WAIT_S):
        entries = read_releases(store, recipe, director)
        state = _chosen(Ancestry(store), recipe, director, version)
        now = live(entries)
        if now is not None and now.adapter_version == state.adapter_version:
            return now, False
        entry = Release(
            act="promoted",
            adapter_version=state.adapter_version,
            adapter_key=state.adapter.manifest.key,
            repo_id=state.repo_id,
            commit=state.commit,
            verdict=state.verdict.outcome,
            signed_off_by=_answered_by(store, recipe, director, state.adapter_version, state.verdict),
            who=who,
            why=why,
            date=date,
        )
        write_releases(store, recipe, director, (*entries, entry))
        return entry, True


def roll_back(
    store: Store, recipe: str, director: str, *, to: str | None, delivered: bool, who: str, why: str, date: str
) -> tuple[Release, bool]:
    """Make live again what was so before, or further back the version whose digits `to` begins.

    `delivered` says whether the delivery of what is live now was finished, whatever people have done to its files
    since.  A rollback of which it was not was cut off, so the same words again mean that one, not a further one.
    Returns as `promote`.  Raises PublishError where none was live before, and for one that nobody answers for any
    more, or that a later verdict withholds; BusyError while another changes the record.
    """
    thing = f"{director} by {recipe}"
    with writer_lock(store, release_name(recipe, director), "director rollback", wait_s=WAIT_S):
        entries = read_releases(store, recipe, director)
        now = live(entries)
        cut_off = now is not None and now.act == "rolled back" and not delivered
        if now is not None and cut_off and (to is None or _begins(now.adapter_version, to)):
            return now, False
        before = line_of(entries)[:-1]
        if not before:
            way_out = "Promote another version." if entries else f"Promote one: director promote {director}"
            raise PublishError(thing, "had no version live before", way_out)
        earlier = {entry.adapter_version: entry for entry in before}
        back = before[-1] if to is None else earlier[_the_one(thing, "live before", to, earlier)]
        _answered_by(store, recipe, director, back.adapter_version, Verdict(back.verdict, (f"when {back.act}",)))
        state = _last_state(store, recipe, director, back.adapter_version)
        if state is not None and not state.published:
            raise PublishError(
                f"{thing}, adapter {back.adapter_version[:SHOWN]}",
                f"was live, and has been withheld since: {state.reason}",
                "Name an earlier one with --to, promote another, or sign this one off and materialize published_model.",
            )
        entry = Release(**{**vars(back), "act": "rolled back", "who": who, "why": why, "date": date})
        write_releases(store, recipe, director, (*entries, entry))
        return entry, True


def _last_state(store: Store, recipe: str, director: str, version: str) -> State | None:
    """What became of a version last; None where the store cannot tell: the record alone is enough to go back."""
    try:
        return last_states(Ancestry(store), recipe, director).get(version)
    except StoreError:
        return None


def _chosen(ancestry: Ancestry, recipe: str, director: str, version: str | None) -> State:
    thing = f"{director} by {recipe}"
    newest = newest_state(ancestry, recipe, director)
    states = last_states(ancestry, recipe, director)
    published = [each for each, state in states.items() if state.published]
    if version is not None:
        chosen = states[_the_one(thing, "published", version, states, shown=published)]
    elif newest is not None:
        chosen = newest
    else:
        raise PublishError(thing, "lost what its publication was made of", "Run it again, or give --version.")
    if not chosen.published:
        raise PublishError(
            f"{thing}, adapter {chosen.adapter_version[:SHOWN]}", f"is withheld: {chosen.reason}", _of_others(published)
        )
    return chosen


def _answered_by(store: Store, recipe: str, director: str, version: str, verdict: Verdict) -> str:
    """Who answers for a version whose verdict does not pass, or "".  Raises PublishError where nobody does any more."""
    sign_off = sign_off_for(read_sign_offs(store, recipe, director), version)
    reason = reason_to_withhold(verdict, sign_off, version)
    if reason:
        raise PublishError(
            f"{director} by {recipe}, adapter {version[:SHOWN]}",
            f"may not go out any more, its sign-off having been taken back: {reason}",
            "Name a version whose verdict passes, or sign this one off again.",
        )
    return "" if sign_off is None or verdict.outcome == "pass" else sign_off.who


def _the_one(
    thing: str, what: str, digits: str, versions: Collection[str], *, shown: Collection[str] | None = None
) -> str:
    """The version that begins with these digits; a refusal names those `shown`, or all."""
    found = [version for version in versions if _begins(version, digits)]
    if len(found) == 1:
        return found[0]
    problem = f"is no version that is {what} of {thing}" if not found else "does not name one version"
    raise PublishError(
        digits,
        problem,
        f"Give {LEAST_DIGITS} digits or more of one of: {_listed(versions if shown is None else shown)}.",
    )


def _begins(version: str, digits: str) -> bool:
    return len(digits) >= LEAST_DIGITS and version.startswith(digits.lower())


def _of_others(versions: Collection[str]) -> str:
    return f"Give --version for one that is published: {_listed(versions)}." if versions else "Mend what it says first."


def _listed(versions: Collection[str]) -> str:
    return ", ".join(sorted(version[:SHOWN] for version in versions)) or "none"
