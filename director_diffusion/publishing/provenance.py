"""Provenance: what an adapter was made of, exactly enough to make it again.

Belongs here: the content of provenance.json, which `director trace` reads.  No names of films or files, no captions, no
stills: all three stand there as hashes, which only those can read who have them.
"""

from dataclasses import asdict
from typing import Any

from director_diffusion.captions.prompt import build_instruction, join_prompt
from director_diffusion.hashing import hash_file
from director_diffusion.publishing.inputs import CardInputs
from director_diffusion.specs import Base, HubSource
from director_diffusion.training.header import read_header


def provenance_of(card: CardInputs) -> dict[str, Any]:
    """Plain data: versions are content hashes, `header` is what training wrote into the weights' file."""
    return {
        "repository": card.repo_id,
        "data": {
            "version": card.versions["stills"],
            "licence": card.director.stills_licence,
            **asdict(card.counts),
            "hashes": [asdict(still) for still in card.stills],
            **({"folds": [asdict(fold) for fold in card.folds]} if card.folds else {}),
        },
        "inputs": dict(sorted(card.versions.items())),
        "stages": [asdict(stage) for stage in card.stages],
        "base": _model(card.base, card.base_fingerprint),
        "drawn_with": _model(card.base.drawn_with, card.drawn_with_fingerprint),
        "captions": {
            "template": join_prompt("{trigger}", "{caption}"),
            "trigger": card.director.trigger,
            "instruction": build_instruction(card.director.captions),
        },
        "recipe": card.recipe.model_dump(mode="json"),
        "seed": card.recipe.seed,
        "seeds": {"training": card.recipe.seed, "evaluation": list(card.evaluation.seeds)},
        "evaluation": card.plan.judging(),
        "found": {**asdict(card.evaluation.verdict), **card.evaluation.told()},
        "sign_off": None if card.sign_off is None else asdict(card.sign_off),
        "adapter": {"sha256": hash_file(card.adapter), "header": read_header(card.adapter)},
        "packages": dict(sorted(card.packages.items())),
    }


def _model(base: Base, fingerprint: str) -> dict[str, Any]:
    return {
        "model": base.model_id,
        "family": base.family,
        "revision": base.source.revision if isinstance(base.source, HubSource) else None,
        "content": fingerprint,
    }
