"""Backward: from an adapter to the stills, captions, recipe, base, code and verdict behind it.

Belongs here: following the lineage from the adapter's artifact, and saying what is lacking.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from director_diffusion.errors import PublishError, StoreError
from director_diffusion.evaluation.types import EFFECTS_FILE, VERDICT_FILE
from director_diffusion.publishing.publish import FILE as PUBLICATION
from director_diffusion.publishing.sign_offs import SignOff, read_sign_offs
from director_diffusion.releases.published import EVALUATIONS
from director_diffusion.releases.record import read_releases
from director_diffusion.storage import Artifact
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.artifact import UNPARTITIONED
from director_diffusion.tracing.following import came_of_adapter
from director_diffusion.tracing.given import Given
from director_diffusion.tracing.known import Judgement, Stage, StillUsed, Trace
from director_diffusion.tracing.tables import Rows, learned_by, rows_of
from director_diffusion.tracing.told import told_hashes, told_sign_offs, told_stages, told_stills
from director_diffusion.training.rows import ADAPTERS, RESULT_FILE, adapter_version

OF_ALL = "joint_evaluation"  # judges the adapter of all directors, for one of them


@dataclass
class _Lacking:
    """What could not be found, gathered on the way."""

    said: list[str] = field(default_factory=list)

    def unless(self, found: Artifact | None, what: str) -> Artifact | None:
        if found is None:
            self.said.append(f"The store has the {what} no more.")
        return found

    def json(self, artifact: Artifact, name: str) -> dict[str, Any]:
        """A file of an artifact; {} where it is gone."""
        try:
            return dict(artifact.json(name))
        except StoreError:
            self.said.append(f"The store has lost {name} of {artifact.folder}.")
            return {}


def trace_back(given: Given, ancestry: Ancestry) -> Trace:
    """From what was given.  Raises PublishError where neither it nor the store says whose adapter it is."""
    adapter, lacking = _adapter_of(given, ancestry), _Lacking()
    if adapter is None and not given.says("training"):
        raise PublishError(
            given.name,
            f"is no adapter that this project or the store {ancestry.store.url} knows",
            "Give a file that `director` wrote, or the store it came from (DIRECTOR_STORE).",
        )
    version = adapter_version(adapter.manifest) if adapter is not None else _told_version(given)
    director = (adapter.manifest.partition if adapter is not None else None) or given.says("director")
    recipe = adapter.manifest.asset[0] if adapter is not None else given.says("recipe")
    if given.altered:
        lacking.said.append(given.altered)
    if adapter is None:
        lacking.said.append(f"The store {ancestry.store.url} has no artifact of this adapter.")
    each = [_made_of(given, adapter, director, ancestry, lacking, whose) for whose in _directors(adapter)]
    made_of = {artifact.folder: artifact for one in each for artifact in one.values() if artifact is not None}
    learned = _learned(given, adapter)
    after = came_of_adapter(ancestry, adapter) if adapter is not None else []
    releases = read_releases(ancestry.store, recipe, director) if recipe and director else ()
    judges = EVALUATIONS if adapter is None or adapter.manifest.partition is not None else (OF_ALL,)
    judgements = _judgements(given, after, judges, lacking)
    if not judgements:
        lacking.said.append("No verdict on it is known.")
    of_fold = adapter is not None and adapter.manifest.asset[-1] != ADAPTERS[0]  # what went out is another's
    provenance = given.provenance or (None if of_fold else _provenance_of(after, lacking))
    began = ancestry.input(adapter, adapter.manifest.asset[-1]) if adapter is not None else None
    return Trace(
        given=given.name,
        sha256=given.sha256,
        adapter_version=version,
        director=director,
        recipe=recipe,
        training=given.says("training"),
        step=given.says("step"),
        strength=given.says("strength"),
        chosen_by=": ".join(filter(None, (given.says("chosen_by"), given.says("chosen_why")))),
        trigger=given.says("trigger") or given.says("triggers"),
        seed=given.says("seed"),
        base=_base(given, provenance),
        began_with=adapter_version(began.manifest) if began is not None else "",
        recipe_spec=json.loads(given.says("recipe_spec") or "{}"),
        packages=json.loads(given.says("packages") or "null") or dict((provenance or {}).get("packages", {})),
        stages=tuple(_stage(artifact) for artifact in made_of.values()) or told_stages(provenance),
        stills=tuple(still for one in each for still in _stills(one, learned, lacking)) or told_stills(provenance),
        judgements=judgements,
        sign_offs=_sign_offs(ancestry, recipe, director, version) or told_sign_offs(provenance),
        publications=tuple(
            told
            for artifact in after
            if artifact.manifest.asset[-1] == "published_model" and not of_fold
            if (told := lacking.json(artifact, PUBLICATION))
        ),
        releases=tuple(entry for entry in releases if entry.adapter_version == version),
        live=bool(releases) and releases[-1].adapter_version == version,
        lacking=tuple(lacking.said),
        header=dict(given.header),
        provenance=provenance,
    )


def _told_version(given: Given) -> str:
    """Where no store knows it: what an export or a card names, else the file's own hash."""
    return given.versions[-1]


def _adapter_of(given: Given, ancestry: Ancestry) -> Artifact | None:
    """The artifact of the adapter: by its weights' hash, else by the training's identity, step and strength."""
    adapters = [
        artifact
        for partition in ([given.says("director")] if given.says("director") else [*ancestry.partitions, UNPARTITIONED])
        for asset in ancestry.assets(partition)
        if asset[-1] in ADAPTERS
        for artifact in ancestry.of(asset, partition)
    ]
    for version in given.versions:
        found = next((each for each in adapters if adapter_version(each.manifest) == version), None)
        if found is not None:
            return found
    told = tuple(given.says(name) for name in ("training", "step", "strength"))
    return next((each for each in adapters if all(told) and _choice(each) == told), None)


def _choice(adapter: Artifact) -> tuple[str, str, str]:
    try:
        result = adapter.json(RESULT_FILE)
    except StoreError:
        return "", "", ""  # lost: it is found by its weights' hash, or not at all
    return str(result["training"]), str(result["chosen_step"]), f"{result.get('strength', 1.0):g}"


def _made_of(
    given: Given, adapter: Artifact | None, director: str, ancestry: Ancestry, lacking: _Lacking, whose: str
) -> dict[str, Artifact | None]:
    """The artifacts behind an adapter, by the asset's last name, the adapter first; `whose` they are, where it is of
    several directors."""
    if adapter is None:
        told = (given.provenance or {}).get("inputs", {})
        known = {name: ancestry.find((name,), director, told[name]) for name in ("stills", "captions") if name in told}
        return {name: lacking.unless(found, f"{name} that it learned from") for name, found in known.items()}
    found: dict[str, Artifact | None] = {"adapter": adapter}
    steps = {
        "adapter": ("latents", "prompt_embeddings", "pick", "prior", "director", *ADAPTERS[1:]),
        "latents": ("stills",),
        "prompt_embeddings": ("captions",),
        "stills": ("raw_stills", "still_decisions"),
        "captions": ("written_captions",),
    }
    for name, inputs in steps.items():
        artifact = found.get(name)
        for ending in inputs if artifact is not None else ():
            of = f"{ending}/{whose}" if whose and artifact is adapter else ending
            if artifact is not None and _has(artifact, of):
                found[ending] = lacking.unless(ancestry.input(artifact, of), f"{of} that its {name} came of")
    return found


def _directors(adapter: Artifact | None) -> list[str]:
    """Whose stills an adapter of several directors learned; of one director's own, [""]."""
    if adapter is None or adapter.manifest.partition is not None:
        return [""]
    return sorted(name.partition("/")[2] for name in adapter.manifest.inputs if name.startswith("director/"))


def _has(artifact: Artifact, ending: str) -> bool:
    return any(f"/{name}".endswith(f"/{ending}") for name in artifact.manifest.inputs)


def _learned(given: Given, adapter: Artifact | None) -> Mapping[str, str] | None:
    """The stills that the adapter's own record, else its card's, says that it knows; None where neither says it."""
    if adapter is not None:
        return learned_by(adapter)
    hashes = told_hashes(given.provenance)
    return None if hashes is None else {one["still"]: one["split"] for one in hashes}


def _sign_offs(ancestry: Ancestry, recipe: str, director: str, version: str) -> tuple[SignOff, ...]:
    if not recipe or not director:
        return ()
    entries = read_sign_offs(ancestry.store, recipe, director)
    return tuple(entry for entry in entries if entry.adapter_version == version)


def _stills(
    made_of: Mapping[str, Artifact | None], learned: Mapping[str, str] | None, lacking: _Lacking
) -> tuple[StillUsed, ...]:
    """A row for every still, by split and film: held out is what is not `learned`; where nothing says what is, it is as
    in the latents, for they were trained on.
    """
    tables = {name: _rows(made_of.get(name), lacking) for name in ("latents", "stills", "captions")}
    kept = {row["still"]: row for row in tables["stills"] if row.get("status", "kept") == "kept"}
    captions = {row["still"]: row for row in tables["captions"]}
    used = tables["latents"] or list(kept.values())
    found = [
        StillUsed(
            still=row["still"],
            split=row["split"] if learned is None else learned.get(row["still"], "held_out"),
            film=row["film"],
            file=kept.get(row["still"], {}).get("name", ""),
            sha256=kept.get(row["still"], {}).get("sha256", ""),
            caption=captions.get(row["still"], {}).get("text", ""),
            caption_by=captions.get(row["still"], {}).get("source", ""),
        )
        for row in used
    ]
    return tuple(sorted(found, key=lambda still: (still.split != "train", still.split, still.film, still.file)))


def _rows(artifact: Artifact | None, lacking: _Lacking) -> Rows:
    rows = rows_of(artifact) if artifact is not None else []
    if rows is None and artifact is not None:
        lacking.said.append(f"The store has lost the table of {artifact.folder}.")
    return rows or []


def _judgements(
    given: Given, after: Iterable[Artifact], judges: Sequence[str], lacking: _Lacking
) -> tuple[Judgement, ...]:
    """By the store's evaluations of these last names, the deciding ones first, else by the repository itself."""
    evaluations = [artifact for artifact in after if artifact.manifest.asset[-1] in judges]
    evaluations.sort(key=lambda artifact: judges.index(artifact.manifest.asset[-1]))
    found = tuple(
        Judgement(
            asset="/".join(artifact.manifest.asset)
            + (f" of {artifact.manifest.partition}" if artifact.manifest.asset[-1] == OF_ALL else ""),
            key=artifact.manifest.key,
            outcome=verdict["outcome"],
            reasons=tuple(verdict["reasons"]),
            effects=tuple(told.get("effects", ())),
            style=told.get("style", ""),
        )
        for artifact in evaluations
        if (verdict := lacking.json(artifact, VERDICT_FILE))
        for told in (lacking.json(artifact, EFFECTS_FILE),)
    )
    itself = given.evaluation
    if found or itself is None or "verdict" not in itself:
        return found
    return (
        Judgement(
            f"{given.name}/evaluation.json",
            "",
            itself["verdict"]["outcome"],
            tuple(itself["verdict"]["reasons"]),
            tuple(itself.get("effects", ())),
            itself.get("style", ""),
        ),
    )


def _provenance_of(after: Iterable[Artifact], lacking: _Lacking) -> Mapping[str, Any] | None:
    """The newest card's, of an adapter that came as a file."""
    cards = [artifact for artifact in after if artifact.manifest.asset[-1] == "model_card"]
    return (lacking.json(cards[-1], "repo/provenance.json") if cards else None) or None


def _base(given: Given, provenance: Mapping[str, Any] | None) -> dict[str, str]:
    told = (provenance or {}).get("base", {})
    content = given.says("base_content") or str(told.get("content") or "")
    return {
        "model": given.says("base_model") or str(told.get("model") or ""),
        "revision": str(told.get("revision") or "") or content.partition("@")[2],  # a Hub base's content names it
        "content": content,
    }


def _stage(artifact: Artifact) -> Stage:
    manifest = artifact.manifest
    return Stage("/".join(manifest.asset), manifest.key, manifest.version, manifest.code_version)
