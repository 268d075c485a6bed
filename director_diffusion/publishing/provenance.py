"""Provenance: what an adapter was made of, exactly enough to make it again.

Belongs here: the content of provenance.json.  No names of films or files, no stills.
"""

from dataclasses import asdict
from typing import Any

from safetensors import safe_open

from director_diffusion.captions.prompt import build_instruction, join_prompt
from director_diffusion.hashing import hash_file
from director_diffusion.publishing.inputs import CardInputs
from director_diffusion.specs import HubSource


def provenance_of(card: CardInputs) -> dict[str, Any]:
    """Plain data: versions are content hashes, `header` is what training wrote into the weights' file."""
    source = card.base.source
    with safe_open(card.adapter, framework="numpy") as file:
        header = dict(sorted((file.metadata() or {}).items()))  # safetensors gives it in random order
    return {
        "repository": card.repo_id,
        "data": {"version": card.versions["stills"], "licence": card.director.stills_licence, **asdict(card.counts)},
        "inputs": dict(sorted(card.versions.items())),
        "base": {
            "model": card.base.model_id,
            "family": card.base.family,
            "revision": source.revision if isinstance(source, HubSource) else None,
            "content": card.base_fingerprint,
        },
        "captions": {
            "template": join_prompt("{trigger}", "{caption}"),
            "trigger": card.director.trigger,
            "instruction": build_instruction(card.director.captions),
        },
        "recipe": card.recipe.model_dump(mode="json"),
        "seed": card.recipe.seed,
        "evaluation": card.plan.model_dump(mode="json"),
        "adapter": {"sha256": hash_file(card.adapter), "header": header},
        "packages": dict(sorted(card.packages.items())),
    }
