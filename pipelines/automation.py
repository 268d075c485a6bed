"""Automation: when Dagster may run a stage by itself.

Belongs here: named conditions, each with the reason it exists, and which asset has which.  The `automation` sensor that
evaluates them is off until a person turns it on.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_

import dagster as dg

from assets_defs.leaderboard import LEADERBOARD
from assets_defs.reference_set import REFERENCE_SET
from assets_defs.turbo_adapter import TURBO_ADAPTER
from assets_defs.turbo_samples import TURBO_SAMPLES
from director_diffusion.leaderboard.chains import ENDS
from director_diffusion.training.rows import ADAPTERS
from pipelines.jobs import PICK, ROOT_NAMES, SIGN_OFF

TRAINED_ON = ("stills", "captions", "latents", "prompt_embeddings")


def code_changed() -> dg.AutomationCondition:
    """The spec or stage version of something that was made before has changed, and what it reads is not about to.

    Who was under way when it changed may have begun with the former one, so that its end handles nothing.
    """
    changed: dg.AutomationCondition = dg.AutomationCondition.code_version_changed()
    missing, under_way = dg.AutomationCondition.missing(), dg.AutomationCondition.in_progress()
    ended = dg.AutomationCondition.newly_updated()
    meanwhile = (changed & (under_way | ended)).since(_requested_before(changed) | missing)
    return (changed.since_last_handled() | meanwhile) & ~missing & settled()


def deps_changed(
    *, of: dg.AssetSelection | None = None, but: dg.AssetSelection | None = None
) -> dg.AutomationCondition:
    """The content of an input really changed (one `of` these, or any `but` these), and nobody has taken it in or been
    asked to.

    - `data_version_changed`: an identical re-materialization upstream must not retrain; `eager()` would.
    - `since_last_handled`: edge-triggered.  A run that failed is not asked for again until something changes, so a
      failing director cannot loop.
    - `elsewhere`: that takes any end of a run, or a request a look before, for one that saw the change.  But a run has
      read its inputs when it began, maybe hours ago: what another run than its own changed, only a later request
      handles.  Where it was in time after all, the stage is found again, and nothing is made.
    """

    def any_of_them(condition: dg.AutomationCondition) -> dg.AutomationCondition:
        matches = dg.AutomationCondition.any_deps_match(condition)
        matches = matches if of is None else matches.allow(of)
        return matches if but is None else matches.ignore(but)

    content = dg.AutomationCondition.data_version_changed()
    elsewhere = any_of_them(content & ~dg.AutomationCondition.executed_with_root_target())
    return any_of_them(content).since_last_handled() | elsewhere.since(_requested_before(elsewhere))


def _requested_before(changed: dg.AutomationCondition) -> dg.AutomationCondition:
    """Asked for at the look before, with nothing `changed` since; or never looked at."""
    requested = dg.AutomationCondition.newly_requested() & ~changed
    return requested | dg.AutomationCondition.initial_evaluation()


def inputs_changed(but: Sequence[dg.AssetKey] = ()) -> dg.AutomationCondition:
    """Run when an input's content changed, `but` some inputs, or the code of the asset itself.

    - `~any_deps_missing`: a new director waits until its inputs exist.
    - `~in_progress`: one run at a time writes a partition.
    """
    ignored = dg.AssetSelection.assets(*but) if but else None
    missing = dg.AutomationCondition.any_deps_missing()
    missing = missing if ignored is None else missing.ignore(ignored)
    condition = (deps_changed(but=ignored) | code_changed()) & ~missing & ~dg.AutomationCondition.in_progress()
    return condition.with_label("inputs changed")


def settled() -> dg.AutomationCondition:
    """No input is being made, or is about to be."""
    return ~dg.AutomationCondition.any_deps_match(_coming())


def all_settled(keys: Iterable[dg.AssetKey]) -> dg.AutomationCondition:
    """None of these assets is being made, or is about to be."""
    matches = [dg.AutomationCondition.asset_matches(key, _coming()) for key in sorted(keys)]
    return ~reduce(or_, matches)


def _coming() -> dg.AutomationCondition:
    return dg.AutomationCondition.in_progress() | dg.AutomationCondition.will_be_requested()


def _above(key: dg.AssetKey, specs: Mapping[dg.AssetKey, dg.AssetSpec]) -> set[dg.AssetKey]:
    """All that an asset is made of by stages: not what people put there, nor other directors' reference sets, since
    somebody's stills are always on their way."""
    found, waiting = set[dg.AssetKey](), [key]
    while waiting:
        direct = {dep.asset_key for dep in specs[waiting.pop()].deps}
        new = {
            one
            for one in direct - found
            if one in specs and one.path[-1] not in (*ROOT_NAMES, PICK, SIGN_OFF, REFERENCE_SET)
        }
        found |= new
        waiting += new
    return found


def with_automation(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Every stage but the roots follows its inputs; the roots follow people, through the sensor for changed inputs."""
    specs = {spec.key: spec for asset in assets for spec in asset.specs}
    condition = inputs_changed()
    # Other directors' stills tell this one's style from theirs.  A still of one must not evaluate and publish all
    # again, nor a director without stills hold the others up: the next evaluation takes them as they are then.
    on_its_own = inputs_changed(but=[dg.AssetKey([REFERENCE_SET])])

    def waiting_for_the_verdict(spec: dg.AssetSpec) -> dg.AutomationCondition:
        """What is made of adapters and of their verdict follows the verdict alone: adapters, and what they are trained
        on, come long before it."""
        earlier = (
            (*ADAPTERS, "samples")
            if spec.key.path[-1] == "release_samples"
            else (*ADAPTERS, *TRAINED_ON, "release_samples", TURBO_ADAPTER, TURBO_SAMPLES)
        )
        names = {dep.asset_key.path[-1]: dep.asset_key for dep in spec.deps}
        condition = inputs_changed(but=[key for name, key in names.items() if name in earlier])
        # A new still changes the verdict on the old adapter before there is a new one, and students come by a way of
        # their own, which is longer: nothing is drawn for a release, nor published, until what is on its way is there.
        return (condition & all_settled(_above(spec.key, specs))).with_label("inputs changed")

    def after_the_adapter(spec: dg.AssetSpec) -> dg.AutomationCondition:
        """Students follow their adapter, and their pictures follow them: what adapters are trained on changes before
        any of these does.  Their evaluation follows the stills that judge as well, as the adapter's own does."""
        earlier = (*ADAPTERS, *TRAINED_ON) if spec.key.path[-1] != TURBO_ADAPTER else TRAINED_ON
        return inputs_changed(but=[dep.asset_key for dep in spec.deps if dep.asset_key.path[-1] in earlier])

    def at_rest(spec: dg.AssetSpec) -> dg.AutomationCondition:
        """What is said of adapters changed, and nothing more is being made: one run for several directors, not one for
        each.  Nothing is waited for that is missing, since the leaderboard tells of it."""
        said = dg.AssetSelection.assets(*(dep.asset_key for dep in spec.deps if dep.asset_key.path[-1] in ENDS))
        quiet = settled() & ~dg.AutomationCondition.in_progress()
        return ((deps_changed(of=said) | code_changed()) & quiet).with_label("inputs changed")

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key.path[-1] in (*ROOT_NAMES, PICK, SIGN_OFF):
            return spec
        if spec.key.path == [LEADERBOARD]:
            return spec.replace_attributes(automation_condition=at_rest(spec))
        if spec.key.path[-1] in ("release_samples", "model_card"):
            return spec.replace_attributes(automation_condition=waiting_for_the_verdict(spec))
        if spec.key.path[-1] == "published_model":
            waiting = (condition & all_settled(_above(spec.key, specs))).with_label("inputs changed")
            return spec.replace_attributes(automation_condition=waiting)
        if spec.key.path[-1] in (TURBO_ADAPTER, TURBO_SAMPLES):
            return spec.replace_attributes(automation_condition=after_the_adapter(spec))
        gathers = any(dep.asset_key.path == [REFERENCE_SET] for dep in spec.deps)
        return spec.replace_attributes(automation_condition=on_its_own if gathers else condition)

    return [asset.map_asset_specs(conditioned) for asset in assets]


def inputs_to_compare(asset: dg.AssetKey) -> dg.AutomationCondition:
    """Look whether an asset of all directors is still made of the newest.

    - `data_version_changed`: of what it is made of; `newly_updated`: or itself, though it may be as it was.  A run of
      it runs its check too, and then `since_last_handled` asks for no other.
    - `settled`: once for a backfill, not for each of its directors; and not before the asset that is coming.
    """
    changed = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    made = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
    either = changed | made.allow(dg.AssetSelection.assets(asset))
    condition = either.since_last_handled() & settled() & ~dg.AutomationCondition.in_progress()
    return condition.with_label("inputs to compare")
