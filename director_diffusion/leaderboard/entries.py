"""Entries: what a director's artifacts of one recipe say of each of its adapters.

Belongs here: reading them, and noting what they do not say.  An evaluation, pictures or votes of another adapter than
the one that readers see now say nothing of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from director_diffusion.distillation.rows import CURVE_FILE, Lap, steps_of, weights_file
from director_diffusion.evaluation.few_steps_types import FEW_STEPS_FILE, few_steps_from
from director_diffusion.evaluation.types import EFFECTS_FILE, VERDICT_FILE, Effect, Metric, effects_from, verdict_from
from director_diffusion.leaderboard.chains import JOINT, OWN, TURBO, VOTES, Chain, is_whole
from director_diffusion.leaderboard.rows import Entry, spanned
from director_diffusion.sampling.rows import TURBO_ARMS, Arm, pace_label
from director_diffusion.specs import StepCount
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import RESULT_FILE, RESUMED_FROM, SHARED_BY, TRAINING_SECONDS, WEIGHTS
from director_diffusion.voting.counted import contests_from
from director_diffusion.voting.pairs import Side
from director_diffusion.voting.standings import STANDINGS_FILE

Made = Mapping[str, Artifact]  # by the asset's last name


def entries_of(recipe: str, base: str, director: str, made: Made) -> list[Entry]:
    """The recipe's adapter, whether it is there or not; then the adapter of all and the students, where they are.

    `made` are those of the assets of which there is one that may be used.
    """
    own = Entry(recipe, base, director, "adapter")
    found = [_of_adapter(own, made) if "adapter" in made else _noted(own, "not made yet, or refused by a check")]
    if "joint_adapter" in made:
        joint = _trained(replace(own, entrant="joint_adapter"), made["joint_adapter"])
        found.append(_paced(_judged(joint, made, JOINT), made, JOINT, "adapter"))
    if "turbo_adapter" in made:
        files = {file.name for file in made["turbo_adapter"].manifest.files}
        found += [
            _of_student(replace(own, entrant=arm), made, count)
            for count, arm in TURBO_ARMS.items()
            if weights_file(count) in files
        ]
    return found


def _of_adapter(entry: Entry, made: Made) -> Entry:
    return _voted(_paced(_judged(_trained(entry, made["adapter"]), made, OWN), made, OWN, "adapter"), made)


def _trained(entry: Entry, adapter: Artifact) -> Entry:
    """With its size, and what its training took."""
    entry = replace(
        entry, size_bytes=_size(adapter, WEIGHTS), training_steps=adapter.json(RESULT_FILE).get("trained_steps")
    )
    facts = _facts(adapter)
    if RESUMED_FROM in facts:
        return _noted(entry, f"training time unknown: it went on from step {facts[RESUMED_FROM]}")
    if TRAINING_SECONDS not in facts:
        return _noted(entry, "training time unknown: its steps were found, not trained again")
    if SHARED_BY in facts:
        entry = _noted(entry, f"training shared by {facts[SHARED_BY]} processes")
    return replace(entry, training_seconds=float(facts[TRAINING_SECONDS]))


def _judged(entry: Entry, made: Made, chains: Sequence[Chain]) -> Entry:
    """By the first evaluation that is about this very adapter."""
    chain = _first_whole(entry.recipe, made, chains)
    if chain is None:
        return _noted(entry, _why_not(made, chains))
    told = made[chain[0]].json(EFFECTS_FILE)
    verdict = verdict_from(made[chain[0]].json(VERDICT_FILE))
    return replace(
        entry,
        verdict=verdict.outcome,
        reasons=verdict.reasons,
        tier=told["tier"],
        **_effects(effects_from(told), told["style"]),
    )


def _of_student(entry: Entry, made: Made, count: StepCount) -> Entry:
    taught = made["turbo_adapter"]
    laps = [lap for lap in taught.table(CURVE_FILE, Lap) if lap.student == count and lap.loss is not None]
    entry = replace(entry, size_bytes=_size(taught, weights_file(count)), training_steps=len(laps))
    seconds = _facts(taught).get(f"{steps_of(count)}: {TRAINING_SECONDS}")
    if seconds is not None:
        entry = replace(entry, training_seconds=float(seconds))
    else:
        entry = _noted(entry, "training time unknown: it was not trained in one go, or before its time was kept")
    chain = _first_whole(entry.recipe, made, TURBO)
    if chain is None:
        return _noted(entry, _why_not(made, TURBO))
    entry = _paced(entry, made, TURBO, TURBO_ARMS[count])
    one = next(
        (
            one
            for one in few_steps_from(made[chain[0]].json(FEW_STEPS_FILE))
            if (one.of, one.count) == ("student", count)
        ),
        None,
    )
    if one is None:
        return _noted(entry, "not judged yet")
    style = next(effect.metric for effect in one.effects if effect.metric != "prompt")
    return replace(
        entry,
        verdict=one.verdict.outcome,
        reasons=one.verdict.reasons,
        tier="release",
        **_effects(one.effects, style),
    )


def _effects(effects: Sequence[Effect], style: Metric) -> dict[str, Any]:
    of_all = {(one.metric, one.against): one for one in effects if one.part == "all"}
    told = {"style": of_all[style, "base_in_style"], "prompt": of_all["prompt", "base"]}
    return {
        field: value
        for name, effect in told.items()
        for field, value in spanned(name, effect.mean, effect.low, effect.high).items()
    }


def _paced(entry: Entry, made: Made, chains: Sequence[Chain], arm: Arm) -> Entry:
    """How fast its pictures were drawn, if they were drawn when samples were asked for last."""
    for _, drawn, *of in chains:
        if is_whole(entry.recipe, made, (drawn, *of)):
            pace = _facts(made[drawn]).get(pace_label(arm))
            if pace is not None:
                return replace(entry, images_per_second=float(pace))
    return _noted(entry, "images a second unknown: its pictures were found, or drawn before times were kept")


def _voted(entry: Entry, made: Made) -> Entry:
    """What people say of it beside the base asked in the style."""
    if not is_whole(entry.recipe, made, VOTES):
        return _noted(entry, "votes not counted yet")
    side, against = Side(entry.recipe, "adapter"), Side(entry.recipe, "base_in_style")
    for contest in contests_from(made["votes"].json(STANDINGS_FILE)):
        if (contest.side, contest.against) == (side, against):
            entry = replace(entry, votes=contest.votes, preliminary=contest.preliminary)
            if contest.rate is not None:
                rate = contest.rate
                entry = replace(entry, **spanned(f"voted_{contest.question}", rate.share, rate.low, rate.high))
    return entry if entry.votes is not None else _noted(entry, "there is nothing to vote on")


def _first_whole(recipe: str, made: Made, chains: Sequence[Chain]) -> Chain | None:
    return next((chain for chain in chains if is_whole(recipe, made, chain)), None)


def _why_not(made: Made, chains: Sequence[Chain]) -> str:
    judged = any(chain[0] in made for chain in chains)
    return "evaluated with another adapter than now" if judged else "not judged yet, or refused by a check"


def _size(artifact: Artifact, name: str) -> int:
    return next(file.size for file in artifact.manifest.files if file.name == name)


def _facts(artifact: Artifact) -> dict[str, Any]:
    return {entry.label: entry.value for entry in artifact.manifest.metadata}


def _noted(entry: Entry, why: str) -> Entry:
    return replace(entry, notes=(*entry.notes, why))
