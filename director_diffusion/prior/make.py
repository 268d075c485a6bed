"""Making the prior: pictures of the base's own as latents and prompt embeddings, by the very modules that stills take.

Belongs here: the stage's work and its two tables, `latents.parquet` and `prompts.parquet`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from director_diffusion.captions.rows import Caption
from director_diffusion.latents.encode import encode_pictures, latent_fingerprint
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prior.pictures import draw_pictures, plan_pictures
from director_diffusion.progress import Progress
from director_diffusion.prompts.encode import Asked, encode_asked, prompt_fingerprint
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, Prior
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import ItemCache, Store
from director_diffusion.tables import write_table


@dataclass(frozen=True)
class MadePrior:
    """What a training reads, named `prior-000` and on, and the pictures in their order."""

    latents: tuple[LatentRow, ...]
    prompts: tuple[PromptRow, ...]
    pictures: StillSet

    @property
    def references(self) -> list[str]:
        """Names in the store of all that the tables lean on."""
        latents, prompts = {row.reference for row in self.latents}, {row.reference for row in self.prompts}
        return sorted({*latents, *prompts, *self.pictures.references})


def make_prior(
    stills: Sequence[Still],
    captions: Sequence[Caption],
    base: Base,
    prior: Prior,
    folder: Path,
    *,
    base_fingerprint: str,
    store: Store,
    device: str,
    out: Path,
    progress: Progress,
) -> MadePrior:
    """Draw, encode, and write both tables to `out`.  What others have drawn or encoded alike is not made again.

    Raises TrainingError where there is no caption to draw, and as painter, codec and encoder do.
    """
    asked = plan_pictures(stills, captions, prior, base.resolution)
    drawn = draw_pictures(
        asked,
        base,
        folder,
        steps=prior.steps,
        base_fingerprint=base_fingerprint,
        store=store,
        device=device,
        progress=progress,
    )
    pictures = StillSet(drawn, store, out)
    encoded = encode_pictures(
        pictures,
        base,
        folder,
        cache=ItemCache(store, "latents", latent_fingerprint(base, base_fingerprint), ".safetensors"),
        device=device,
        progress=progress,
    )
    latents = tuple(replace(row, still=one.name, split="prior") for row, one in zip(encoded, asked, strict=True))
    prompts = encode_asked(
        [Asked(one.name, "prior", one.full_prompt) for one in asked],
        base,
        folder,
        cache=ItemCache(store, "prompts", prompt_fingerprint(base, base_fingerprint), ".safetensors"),
        device=device,
        progress=progress,
    )
    write_table(out / LATENTS_FILE, LatentRow, latents)
    write_table(out / PROMPTS_FILE, PromptRow, prompts)
    return MadePrior(latents, tuple(prompts), pictures)
