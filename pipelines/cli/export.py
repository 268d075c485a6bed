"""`director export`: a director's adapter as a file for another tool.

Belongs here: which adapter, and where the file goes.  Layouts live in `director_diffusion.adapters`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from director_diffusion.errors import SpecError
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.training.rows import WEIGHTS
from pipelines.build import build_models
from pipelines.cli.choices import choose_recipe
from pipelines.cli.in_process import quiet_libraries
from pipelines.surroundings import read_surroundings
from resources.store import StoreResource

if TYPE_CHECKING:
    from director_diffusion.adapters.export import Export

SUFFIX = ".safetensors"


def export_command(
    director: str, *, recipe: str | None, layout: "Export | Literal['diffusers']", rank: int | None, out: str
) -> int:
    """Write the latest adapter of a director by a recipe; nothing is trained."""
    quiet_libraries()
    surroundings = read_surroundings()
    recipe = choose_recipe(surroundings, director, recipe)
    target = Path(out).expanduser()
    if target.suffix != SUFFIX:
        raise SpecError(out, "is no name of an adapter's file", f"Let it end in {SUFFIX}.")
    artifact = latest_artifact(StoreResource(url=surroundings.store_url).get(), (recipe, "adapter"), director)
    source = artifact.path(WEIGHTS)
    target.parent.mkdir(parents=True, exist_ok=True)
    if layout == "diffusers":
        target.write_bytes(source.read_bytes())
        print(f"{out}: the adapter as it was trained")
        return 0
    from director_diffusion.adapters.export import export_adapter
    from director_diffusion.families import get_family

    base = surroundings.catalog.bases[surroundings.catalog.recipes[recipe].base]
    denoiser = None
    spec = surroundings.catalog.recipes[recipe].adapter
    if spec.kind == "lora" and spec.dora and layout != "kohya":  # magnitudes are told against the base's own weights
        import torch

        denoiser = get_family(base.family).load_denoiser(
            build_models(surroundings).base_folder(base), device="cpu", dtype=torch.float32
        )
    report = export_adapter(source, target, layout, base.family, rank=rank, base=denoiser)
    note = f", rank {report.rank}, relative error {report.error:.2e}" if report.rank is not None else ""
    print(f"{out}: {report.linears} linears for {layout}{note}")
    return 0
