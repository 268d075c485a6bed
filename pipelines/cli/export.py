"""`director export`: a director's adapter as a file for another tool.

Belongs here: which adapter, and where the file goes.  Layouts live in `director_diffusion.adapters`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from director_diffusion.errors import SpecError
from director_diffusion.storage.artifact import usable_artifact
from director_diffusion.training.rows import WEIGHTS
from pipelines.cli.choices import choose_recipe
from pipelines.cli.in_process import quiet_libraries
from pipelines.cli.out_file import check_writable, put_in_place
from pipelines.cli.trained_base import base_of, denoiser_for
from pipelines.surroundings import read_surroundings

if TYPE_CHECKING:
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
    artifact = usable_artifact(surroundings.store(), (recipe, "adapter"), director)
    check_writable(target, "--out")
    from director_diffusion.adapters.export import export_adapter
    from director_diffusion.training.header import read_header

    source = artifact.path(WEIGHTS)
    header = read_header(source)
    base = base_of(surroundings, header)
    denoiser = denoiser_for(surroundings, base, header) if layout in AGAINST_BASE else None
    with put_in_place(target, "--out") as partial:
        report = export_adapter(source, partial, layout, base.family, rank=rank, base=denoiser)
    if layout == "diffusers":
        print(f"{out}: the adapter as it was trained")
        return 0
    note = f", rank {report.rank}, relative error {report.error:.2e}" if report.rank is not None else ""
    print(f"{out}: {report.linears} linears for {layout}{note}")
    return 0
