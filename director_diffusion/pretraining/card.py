"""The card of a trained set: what it is, how it was made, and what it is not.

Belongs here: README.md, from the spec and from what the making measured.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from huggingface_hub import ModelCard, ModelCardData

from director_diffusion.pretraining.denoiser_specs import PromptedPart, UnetPart
from director_diffusion.pretraining.finished import PartRecord, count_parameters
from director_diffusion.pretraining.keys import PartName
from director_diffusion.pretraining.part_run import trained_here
from director_diffusion.pretraining.specs import Data, DrawnScenes, HubImages, IdxImages, ImageFolder, VaeFolder
from director_diffusion.specs import Base

CARD = "README.md"

WHAT: Mapping[str, str] = {
    "vae": "AutoencoderKL",
    "flux": "FluxTransformer2DModel with T5 and CLIP text encoders",
    "sdxl": "UNet2DConditionModel with two CLIP text encoders",
    "sd15": "UNet2DConditionModel with a CLIP text encoder",
    "captioner": "Qwen2.5-VL",
    "embedder": "open_clip model over a timm image tower",
    "style_encoder": "timm image encoder that tells looks apart",
}


def write_card(base: Base, records: Mapping[PartName, PartRecord], folder: Path) -> None:
    """Write README.md beside the set's files, with metadata as the Hub reads it."""
    text = f"---\n{_metadata(base)}\n---\n\n{_text(base, records, folder)}"
    ModelCard(text)  # raises where the metadata would not be read back
    (folder / CARD).write_text(text, encoding="utf-8")


def _metadata(base: Base) -> ModelCardData:
    spec, library = trained_here(base), base.hub_library
    return ModelCardData(
        library_name=library,
        pipeline_tag="text-to-image",
        license=base.licence.id,
        license_name=base.licence.name,
        license_link=base.licence.link,
        tags=["text-to-image", *([library] if library else []), base.family, "trained-from-scratch"],
        datasets=[spec.data.repo] if isinstance(spec.data, HubImages) else None,
        model_name=base.model_id.rsplit("/", 1)[-1],
    )


def _text(base: Base, records: Mapping[PartName, PartRecord], folder: Path) -> str:
    spec = trained_here(base)
    packages = next(iter(records.values())).packages
    return f"""# {base.name}

A small set of models of the real classes, trained from scratch by director-diffusion. It shows that the code works and
draws only what it was taught; it knows nothing of photographs, films or people.

## How it was made

Data: {_data(spec.data)}. Seed {spec.seed}. Pictures have about {base.resolution.side} × {base.resolution.side} pixels.

{_parts(base, records)}

Every training was by AdamW, with a warm-up and a cosine to zero; the weights are the moving average over its steps.
On one machine's CPU the same seed gives the same bits again. To make it again: `director build-base {base.slug}`.
{_finishing(spec.denoiser)}
## Files

{_files(folder)}

`manifest.json` has the hash of every file. Made with {_listed(packages)}.
"""


def _data(data: Data) -> str:
    match data:
        case DrawnScenes():
            return (
                f"{data.pictures:,} scenes drawn by director-diffusion, and {data.held_out:,} others kept apart; "
                "each is captioned by the words it was drawn from"
            )
        case IdxImages():
            return f"images and labels of `{Path(data.images).name}`"
        case ImageFolder():
            return f"images of the folder `{Path(data.folder).name}`, prompted by the names of its subfolders"
        case HubImages():
            return f"images of [{data.repo}](https://huggingface.co/datasets/{data.repo}) at {data.revision}"
        case _:
            assert_never(data)


def _parts(base: Base, records: Mapping[PartName, PartRecord]) -> str:
    spec = trained_here(base)
    kind = spec.denoiser.kind if isinstance(spec.denoiser, UnetPart) else "flux"
    what = {**WHAT, "denoiser": WHAT[kind]}
    rows = ["| part | what | steps | batch | peak learning rate | time | on |", "|---|---|---|---|---|---|---|"]
    for name, record in records.items():
        training = getattr(spec, name)
        lr = " + ".join(f"{peak:g}" for peak, _ in training.trainings)
        steps = " + ".join(f"{count:,}" for _, count in training.trainings)
        rows.append(
            f"| {name.replace('_', ' ')} | {what[name]} | {steps} | {training.batch_size} | {lr} "
            f"| {record.seconds:,.0f} s | {record.device} |"
        )
    if isinstance(spec.vae, VaeFolder):
        rows.append(f"| vae | {WHAT['vae']}, as it lies in `{spec.vae.folder}` | | | | | |")
    return "\n".join(rows)


def _finishing(part: PromptedPart) -> str:
    if part.finishing is None:
        return ""
    steps, share = part.finishing.steps, part.finishing.stray_share
    return (
        f"\nThe denoiser's last {steps:,} steps are a training of their own, with words that mean nothing\n"
        f"around {share:.0%} of the prompts, as triggers and names stand around them later.\n"
    )


def _files(folder: Path) -> str:
    rows = ["| weights | parameters | MB |", "|---|---|---|"]
    for path in sorted(folder.rglob("*.safetensors")):
        size = path.stat().st_size / 1e6
        rows.append(f"| `{path.relative_to(folder).as_posix()}` | {count_parameters(path):,} | {size:.2f} |")
    return "\n".join(rows)


def _listed(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())
