"""`director export`: a director's adapter as a file for another tool.

Belongs here: which adapter, and where the file goes.  Layouts live in `director_diffusion.adapters`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from director_diffusion.errors import ModelError, SpecError
from director_diffusion.specs import Base
from director_diffusion.storage.artifact import usable_artifact
from director_diffusion.training.rows import WEIGHTS
from pipelines.build import build_models
from pipelines.cli.choices import choose_recipe
from pipelines.cli.in_process import quiet_libraries
from pipelines.cli.out_file import check_writable, put_in_place
from pipelines.surroundings import Surroundings, read_surroundings
from resources.store import StoreResource

if TYPE_CHECKING:
    from torch import nn

    from director_diffusion.adapters.export import Export

SUFFIX = ".safetensors"
AGAINST_BASE = ("comfyui", "delta")  # layouts that tell DoRA's magnitudes against the base's own weights


def export_command(director: str, *, recipe: str | None, layout: "Export", rank: int | None, out: str) -> int:
    """Write the latest adapter of a director by a recipe; nothing is trained."""
    quiet_libraries()
    surroundings = read_surroundings()
    recipe = choose_recipe(surroundings, director, recipe)
    if rank is not None and layout != "lora":
        raise SpecError("--rank", f"is of layout lora, not of {layout}", "Leave it out, or give --layout lora.")
    target = Path(out).expanduser()
    if target.suffix != SUFFIX:
        raise SpecError(out, "is no name of an adapter's file", f"Let it end in {SUFFIX}.")
    artifact = usable_artifact(StoreResource(url=surroundings.store_url).get(), (recipe, "adapter"), director)
    check_writable(target)
    from director_diffusion.adapters.export import export_adapter
    from director_diffusion.training.header import read_header

    source = artifact.path(WEIGHTS)
    header = read_header(source)
    trained_by = json.loads(header["recipe_spec"])  # the YAML may have changed since
    base = _base(surroundings, trained_by["base"])
    denoiser = None
    if trained_by["adapter"].get("dora") and layout in AGAINST_BASE:
        denoiser = _denoiser(surroundings, base, header["base_content"])
    with put_in_place(target) as partial:
        report = export_adapter(source, partial, layout, base.family, rank=rank, base=denoiser)
    if layout == "diffusers":
        print(f"{out}: the adapter as it was trained")
        return 0
    note = f", rank {report.rank}, relative error {report.error:.2e}" if report.rank is not None else ""
    print(f"{out}: {report.linears} linears for {layout}{note}")
    return 0


def _base(surroundings: Surroundings, slug: str) -> Base:
    bases = surroundings.catalog.bases
    if slug not in bases:
        raise SpecError(slug, "is no base any more, and this adapter was trained on it", "Put its YAML back.")
    return bases[slug]


def _denoiser(surroundings: Surroundings, base: Base, content: str) -> "nn.Module":
    """The base's denoiser on the CPU.  Raises ModelError where its content is no longer what was trained on."""
    import torch

    from director_diffusion.families import get_family

    models = build_models(surroundings)
    if models.fingerprint(base.source) != content:
        raise ModelError(
            f"base {base.slug}",
            "is another than this adapter's DoRA was trained on",
            "Train the adapter again, or put that base back.",
        )
    return get_family(base.family).load_denoiser(models.base_folder(base), device="cpu", dtype=torch.float32)
