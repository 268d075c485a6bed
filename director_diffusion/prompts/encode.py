"""Encoding: training prompts through the text encoders, each distinct one once.

Belongs here: which prompts training may ask for, one item per prompt, and the stage's file `prompts.parquet`. How
trigger and caption become a prompt is `captions.prompt`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.captions.rows import Caption
from director_diffusion.families import get_family
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.progress import Progress
from director_diffusion.prompts.rows import ENCODING_VERSION, FILE, PromptRow, Split
from director_diffusion.specs import Base, Director
from director_diffusion.storage.items import ItemCache
from director_diffusion.tables import write_table
from director_diffusion.tensors import read_whole_items, write_item

BATCH = 8  # prompts


@dataclass(frozen=True)
class Asked:
    """A whole prompt, and the picture whose it is."""

    still: str
    split: Split
    prompt: str


def prompt_fingerprint(base: Base, source_fingerprint: str) -> str:
    """Names the cache of embeddings: same fingerprint and prompt, same embeddings."""
    return short(
        hash_data(
            {
                "encoding": ENCODING_VERSION,
                "family": base.family,
                "source": source_fingerprint,
                "max_tokens": base.max_prompt_tokens,
                "dtype": base.dtype,
            }
        )
    )


def encode_prompts(
    captions: Sequence[Caption],
    director: Director,
    base: Base,
    folder: Path,
    *,
    cache: ItemCache,
    device: str,
    out: Path,
    progress: Progress,
    previews: Sequence[str] = (),
) -> list[PromptRow]:
    """A row per caption (every kept still has one; an empty text leaves the trigger alone), the empty prompt's, and one
    per text of `previews`, which are asked for with the trigger too.  Writes `prompts.parquet`.
    """
    asked = [
        *(Asked(caption.still, caption.split, join_prompt(director.trigger, caption.text)) for caption in captions),
        Asked("", "none", ""),
        *(Asked(f"preview {i}", "preview", join_prompt(director.trigger, text)) for i, text in enumerate(previews)),
    ]
    rows = encode_asked(asked, base, folder, cache=cache, device=device, progress=progress)
    write_table(out / FILE, PromptRow, rows)
    return rows


def encode_asked(
    asked: Sequence[Asked], base: Base, folder: Path, *, cache: ItemCache, device: str, progress: Progress
) -> list[PromptRow]:
    """A row for each, in their order.

    The base's `folder` is read only if an item is missing or damaged. Items hold the encoders' outputs in the
    dtype they were computed in.
    """
    items = {one.prompt: item_of(one.prompt) for one in asked}
    rows = [
        PromptRow(one.still, one.split, one.prompt, items[one.prompt], cache.name(items[one.prompt])) for one in asked
    ]
    present = {item for item, _ in read_whole_items(cache, [row.item for row in rows])}
    missing = {row.item: row.prompt for row in rows if row.item not in present}
    if missing:
        _encode(missing, base, folder, cache=cache, device=device, progress=progress)
    return rows


def item_of(prompt: str) -> str:
    """The item's name of a prompt."""
    return short(hash_bytes(prompt.encode()))


def _encode(
    missing: dict[str, str], base: Base, folder: Path, *, cache: ItemCache, device: str, progress: Progress
) -> None:
    dtype = getattr(torch, base.dtype)
    encoder = get_family(base.family).load_prompt_encoder(
        folder, device=device, dtype=dtype, max_tokens=base.max_prompt_tokens
    )
    items = list(missing)
    with progress.task("prompt embeddings", total=len(items)) as task:
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            prompts = [missing[item] for item in batch]
            # Filled up for the reason that `tensors.filled_up` gives.
            encoded = encoder.encode(prompts + prompts[-1:] * (BATCH - len(prompts)))
            for item, outputs in zip(batch, encoded, strict=False):
                write_item(cache, item, outputs)
                task.advance()
