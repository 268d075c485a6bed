"""Published versions: which adapters of a director and recipe have been published, by the store's own artifacts.

Belongs here: from a publication back to the adapter's weights and its verdict.
"""

from dataclasses import dataclass

from director_diffusion.evaluation.types import VERDICT_FILE, Verdict, verdict_from
from director_diffusion.publishing.publish import FILE
from director_diffusion.storage import Artifact
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.training.rows import adapter_version

DECIDING = "release_evaluation"  # whose verdict lets an adapter out
EVALUATIONS = (DECIDING, "evaluation")


@dataclass(frozen=True)
class State:
    """What became of one adapter version at one time."""

    adapter_version: str
    adapter: Artifact
    card: Artifact
    published: bool
    reason: str  # why it was withheld, or ""
    repo_id: str
    commit: str
    verdict: Verdict


def newest_state(ancestry: Ancestry, recipe: str, director: str) -> State | None:
    """What `published_model` said last; None where what it came of is gone.  Raises StoreError before it has run."""
    latest = latest_artifact(ancestry.store, (recipe, "published_model"), director)
    return _state(ancestry, latest)


def last_states(ancestry: Ancestry, recipe: str, director: str) -> dict[str, State]:
    """What became last of each adapter version that is still in the store, by version.

    Of several from before times were noted nobody knows the last: one that withholds counts.
    """
    dated = [
        (artifact.manifest.made, not state.published, state)
        for artifact in ancestry.of((recipe, "published_model"), director)
        if (state := _state(ancestry, artifact)) is not None
    ]
    dated.sort(key=lambda one: one[:2])
    newest = newest_state(ancestry, recipe, director)  # whatever its date: content that is found again has its first
    return {state.adapter_version: state for state in (*(one[2] for one in dated), newest) if state is not None}


def _state(ancestry: Ancestry, publication: Artifact) -> State | None:
    card = ancestry.input(publication, "model_card")
    adapter = ancestry.input(card, "adapter") if card is not None else None
    verdict = _verdict_of(ancestry, publication)
    if card is None or adapter is None or verdict is None:
        return None
    told = publication.json(FILE)
    return State(
        adapter_version=adapter_version(adapter.manifest),
        adapter=adapter,
        card=card,
        published=told["status"] == "published",
        reason=told["reason"],
        repo_id=told["repo_id"],
        commit=told["commit"],
        verdict=verdict,
    )


def newest_verdicts(ancestry: Ancestry, recipe: str, director: str, version: str) -> dict[str, Verdict]:
    """What readers see of the verdicts on one adapter version, by the evaluation's name, the deciding one first."""
    found = {}
    for name in EVALUATIONS:
        if not ancestry.of((recipe, name), director):
            continue
        evaluation = latest_artifact(ancestry.store, (recipe, name), director)
        samples = next((each for key, each in ancestry.inputs(evaluation).items() if key.endswith("samples")), None)
        adapter = ancestry.input(samples, "adapter") if samples is not None else None
        if adapter is not None and adapter_version(adapter.manifest) == version:
            found[name] = verdict_from(evaluation.json(VERDICT_FILE))
    return found


def _verdict_of(ancestry: Ancestry, publication: Artifact) -> Verdict | None:
    evaluation = ancestry.input(publication, DECIDING)
    return None if evaluation is None else verdict_from(evaluation.json(VERDICT_FILE))
