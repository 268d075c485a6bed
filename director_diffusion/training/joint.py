"""Joint: one training of several directors' stills.

Belongs here: putting what stages made of each director together.  How samples are dealt is `batches`', what each step
is judged by `held_out`'s.  Imports no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from director_diffusion.errors import TrainingError
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import PromptRow


@dataclass(frozen=True)
class Rows:
    """What one director brings: of stills, of previews and of the prior's pictures."""

    latents: Sequence[LatentRow]
    prompts: Sequence[PromptRow]


@dataclass(frozen=True)
class Joined:
    """The rows of all, and whose each still is."""

    latents: tuple[LatentRow, ...]
    prompts: tuple[PromptRow, ...]
    directors: Mapping[str, str]


def join(rows: Mapping[str, Rows]) -> Joined:
    """One training's rows of several directors', by slug.

    The empty prompt is the same for all; of each director's previews the first is shown.  Raises TrainingError for a
    still that two directors bring: it would be learned under both triggers, or by one and held out by the other.
    """
    directors: dict[str, str] = {}
    for slug, own in rows.items():
        for row in own.latents:
            if row.split == "prior":
                continue
            other = directors.setdefault(row.still, slug)
            if other != slug:
                raise TrainingError(
                    f"still {row.still} of {row.film}",
                    f"is brought by {other} and by {slug}, and one adapter cannot learn it as the style of both",
                    "Take the picture out of one director's folder, and make that one's latents again.",
                )
    latents = [replace(row, still=_name(row, slug)) for slug, own in rows.items() for row in own.latents]
    prompts: list[PromptRow] = []
    for slug, own in rows.items():
        prompts += [replace(row, still=_name(row, slug)) for row in own.prompts if row.still and row.split != "preview"]
        prompts += [row for row in own.prompts if row.split == "preview"][:1]
    empty = next(
        (row for own in rows.values() for row in own.prompts if not row.still and row.split != "preview"), None
    )
    return Joined(tuple(latents), (*prompts, *((empty,) if empty is not None else ())), directors)


def _name(row: LatentRow | PromptRow, slug: str) -> str:
    """The prior's pictures are numbered by each director anew."""
    return f"{slug} {row.still}" if row.split == "prior" else row.still
