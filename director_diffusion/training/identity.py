"""Identity: all that a training's weights depend on, and how two trainings differ.

Belongs here: plain data, its hash, and words for a difference.  Imports no torch, so that commands can ask for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from director_diffusion.hashing import hash_data, short
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, Recipe

TRAINING_VERSION = "3"  # of what a checkpoint holds and of what a step does; a change starts trainings anew
JOINT_VERSION = "1"  # of how several directors' stills are dealt and weighed

_OF_STILLS = {"latents": "picture or split", "sizes": "size or crop", "prompts": "embedded prompt"}
_SHOWN = 4  # differences that are told


@dataclass(frozen=True)
class Identity:
    """What a training is, as plain data by name."""

    parts: Mapping[str, Any]

    @property
    def short(self) -> str:
        """Names the training's checkpoints and what came of them."""
        return short(hash_data(self.parts))

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """In words, what is here and was not so in `other`: settings first, then stills."""
        mine, theirs = self.parts, other
        return [
            *_settings({name: part for name, part in mine.items() if name not in _OF_STILLS}, theirs),
            *_stills(mine, theirs),
        ]


def _settings(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    now, then = flattened(mine), flattened({name: part for name, part in theirs.items() if name not in _OF_STILLS})
    return [
        f"{name} was {then.get(name, 'absent')!r}, is {now.get(name, 'absent')!r}"
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name)
    ]


def _stills(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Of each still, what differs; the empty prompt counts as one of them."""
    now, then = ({part: parts.get(part, {}) for part in _OF_STILLS} for parts in (mine, theirs))
    names = sorted({name for parts in (now, then) for part in parts.values() for name in part})
    told = []
    for name in names:
        parts = [_OF_STILLS[part] for part in _OF_STILLS if now[part].get(name) != then[part].get(name)]
        still = f"still {name}"
        if name and (name in now["latents"]) != (name in then["latents"]):
            told.append(f"{still} is {'new' if name in now['latents'] else 'gone'}")
        elif parts and name:
            told.append(f"{still} has another {' and another '.join(parts)}")
        elif parts:
            told.append("the empty prompt is embedded anew")
    return told


def training_identity(
    latents: Sequence[LatentRow],
    prompts: Sequence[PromptRow],
    base: Base,
    recipe: Recipe,
    *,
    base_fingerprint: str,
    init: str = "",
    watched: Sequence[str] = (),
    directors: Mapping[str, str] | None = None,
) -> Identity:
    """Of a training on these rows; `init` is the hash of the adapter file that it starts from, `watched` are stills
    that are learned and judged by alike, `directors` say whose each still is where they are several.
    """
    seen = [row for row in latents if row.split != "held_out"]  # these judge, and no step knows them
    return Identity(
        {
            "version": TRAINING_VERSION,
            # Of the base what a step reads.  Buckets and the encoders' settings have their say in the items below.
            "base": {"content": base_fingerprint, "family": base.family, "guidance": base.guidance.train},
            # Blocks that are computed again give the same numbers, so a smaller budget goes on where memory ran out.
            "recipe": recipe.model_dump(mode="json", exclude={"slug", "activation_gib"}),
            "init": init,
            # Items' names hold the fingerprint of what made them.
            "latents": {row.still: f"{row.split}, {row.reference}" for row in seen},
            "sizes": {
                row.still: [row.original_width, row.original_height, row.crop_left, row.crop_top] for row in seen
            },
            "prompts": {row.still: row.reference for row in prompts if row.split != "held_out"},
            **({"watched": list(watched)} if watched else {}),
            **(
                {
                    "dealt": JOINT_VERSION,
                    "directors": {row.still: directors[row.still] for row in seen if row.still in directors},
                }
                if directors
                else {}
            ),
        }
    )


def tell(differences: Sequence[str]) -> str:
    """The first differences in one line."""
    more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return "; ".join(differences[:_SHOWN]) + more


def flattened(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted names."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, part in value.items():
        flat |= flattened(part, f"{prefix}.{name}" if prefix else str(name))
    return flat
