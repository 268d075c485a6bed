"""The denoiser's lesson: the process of its family, text encoders included.

Belongs here: what a step sees.  The objective is `director_diffusion.processes`', the prediction the family's: a base
is trained with the very functions that its adapters are trained with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid
from transformers import PreTrainedTokenizerBase

from director_diffusion.errors import DataError, SpecError
from director_diffusion.families import get_family
from director_diffusion.families.base import Family, LatentScale, Placement
from director_diffusion.pretraining.data import Group, choose_prompts, choose_rows, to_levels, to_unit
from director_diffusion.pretraining.denoiser_specs import DenoiserPart, PromptedPart, UnetPart
from director_diffusion.pretraining.flux_parts import flux_student
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.pictures import load_groups
from director_diffusion.pretraining.specs import DrawnScenes, PartTraining, VaeFolder
from director_diffusion.pretraining.strays import with_strays
from director_diffusion.pretraining.student import Student
from director_diffusion.pretraining.unet_parts import unet_student, unshifted
from director_diffusion.pretraining.vae import encode_means
from director_diffusion.processes.base import squared_errors
from director_diffusion.specs import Base

SHOWN, SHOWN_PER_ROW = 16, 4  # pictures in a preview


class DenoiserLesson:
    """See `loop.Lesson`.

    `latents` are what the denoiser works on, (N, C, h, w) for each group.  `stray_share` of the prompts come with stray
    words.
    """

    def __init__(
        self,
        student: Student,
        family: Family,
        groups: Sequence[Group],
        latents: Sequence[Tensor],
        part: PromptedPart,
        *,
        draw_preview: Callable[[], Image.Image],
        stray_share: float = 0.0,
    ):
        self._student, self._family, self._groups, self._latents = student, family, groups, latents
        self._part, self._draw_preview, self._stray_share = part, draw_preview, stray_share

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return self._student.modules

    def loss(self, step: int) -> Tensor:
        student, process = self._student, self._student.process
        device = next(student.denoiser.parameters()).device
        group, rows = choose_rows([len(group) for group in self._groups], self._part.batch_size)
        dropped = (torch.rand(len(rows)) < self._part.prompt_dropout).tolist()
        prompts = choose_prompts(self._groups[group], rows)
        prompts = ["" if drop else prompt for prompt, drop in zip(prompts, dropped, strict=True)]
        if self._stray_share:
            prompts = with_strays(prompts, self._stray_share)
        each = list(dict.fromkeys(prompts))  # ten digits have few names: each is encoded once
        of = torch.tensor([each.index(prompt) for prompt in prompts], device=device)
        conditions = {name: value[of] for name, value in student.embed(each).items()}
        for name, size in self._sizes(group).items():
            conditions[name] = size.to(device).expand(len(rows), -1)
        x0 = self._latents[group][rows].float()
        t = process.times(torch.randn(len(rows)), student.timesteps, (x0.shape[-2], x0.shape[-1]))
        noise = torch.randn_like(x0)
        x0, noise, t = x0.to(device), noise.to(device), t.to(device)
        prediction = self._family.predict(student.denoiser, process.noisy(x0, noise, t), t, conditions, 1.0)
        return squared_errors(prediction, process.target(x0, noise, t)).mean()

    def preview(self) -> Image.Image:
        return self._draw_preview()

    def _sizes(self, group: int) -> dict[str, Tensor]:
        """A group's pictures were drawn for their bucket: nothing of them is cut away."""
        height, width = self._groups[group].pixels.shape[-2:]
        return self._family.size_conditions(Placement(width, height, width, height, left=0, top=0))


def build_denoiser(base: Base, run: PartRun) -> None:
    """Train the denoiser that the base's spec describes; `run.out` becomes a pipeline in diffusers' layout."""
    spec, part = trained_here(base), trained_here(base).denoiser
    training, held_out = load_groups(base, part, run)
    vae = _vae(base, run)
    latents = _latents(vae, training)
    with seeded("denoiser", spec.seed, "start"):
        student = _student(part, vae, channels=latents[0].shape[1], device=run.device)
    if not isinstance(spec.data, DrawnScenes):
        # Of drawn scenes, the longest looks may be cut: mini reads 32 of up to 40 tokens, which one picture in 80 has.
        check_lengths(base.slug, training, student.tokenizer, part.prompt_tokens)
    for stage in _stages(part):
        lesson = DenoiserLesson(
            student,
            get_family(base.family),
            training,
            latents,
            part,
            draw_preview=lambda: _samples(base, student.pipeline, held_out or training),
            stray_share=stage.stray_share,
        )
        stage_run = replace(
            run,
            work=run.work / stage.folder,
            show=lambda step, image, before=stage.steps_before: run.show(before + step, image),  # type: ignore[misc]
        )
        stage_run.train(lesson, stage.settings, title=stage.title, seed=spec.seed)
    student.pipeline.to(torch.float16).save_pretrained(run.out)


def _vae(base: Base, run: PartRun) -> AutoencoderKL | None:
    spec = trained_here(base)
    if spec.vae is None:
        return None
    folder = run.root / Path(spec.vae.folder).expanduser() if isinstance(spec.vae, VaeFolder) else run.parts["vae"]
    vae = AutoencoderKL.from_pretrained(folder, local_files_only=True, use_safetensors=True).to(run.device)
    vae.register_to_config(_name_or_path="")  # the same files wherever the VAE was kept
    if isinstance(spec.vae, VaeFolder) and spec.vae.factor != (found := 2 ** (len(vae.config.block_out_channels) - 1)):
        raise SpecError(
            base.slug,
            f"says that a latent cell of {spec.vae.folder} is {spec.vae.factor} pixels wide, which is {found}",
            f"Set trained_here.vae.factor to {found}.",
        )
    return vae if isinstance(spec.denoiser, DenoiserPart) else unshifted(vae)


def _student(part: PromptedPart, vae: AutoencoderKL | None, *, channels: int, device: str) -> Student:
    if isinstance(part, DenoiserPart):
        return flux_student(part, channels=channels, vae=vae, device=device)
    assert isinstance(part, UnetPart)
    assert vae is not None  # the spec's own checks see to that
    return unet_student(part, vae=vae, device=device)


def check_lengths(slug: str, groups: Sequence[Group], tokenizer: PreTrainedTokenizerBase, limit: int) -> None:
    """Raise DataError where a prompt has more tokens than the denoiser reads: labels that begin alike would be one."""
    prompts = sorted({prompt for group in groups for prompts in group.prompts for prompt in prompts})
    counts = [len(ids) for ids in tokenizer(prompts, verbose=False).input_ids]
    if (most := max(counts)) > limit:
        raise DataError(
            slug,
            f"has prompts too long for it: {prompts[counts.index(most)]!r} takes {most} tokens, and it reads {limit}",
            f"Set trained_here.denoiser.prompt_tokens and max_prompt_tokens to {most} or more, or shorten the label.",
        )


@dataclass(frozen=True)
class _Stage:
    """One of the trainings that follow each other, each from the average of the one before."""

    title: str
    folder: str  # of its snapshots
    settings: PartTraining
    steps_before: int = 0
    stray_share: float = 0.0


def _stages(part: PromptedPart) -> list[_Stage]:
    stages = [_Stage("training the denoiser", "", part)]
    if part.finishing is not None:
        finishing = part.finishing
        settings = part.model_copy(update=finishing.model_dump(exclude={"stray_share"}))
        stages.append(_Stage("finishing the denoiser", "finishing", settings, part.steps, finishing.stray_share))
    return stages


def _latents(vae: AutoencoderKL | None, groups: Sequence[Group]) -> list[Tensor]:
    """What the denoiser works on, (N, C, h, w) for each group, in half precision to hold many."""
    if vae is None:
        return [to_unit(group.pixels).half() for group in groups]
    scale = LatentScale(vae.config.shift_factor or 0.0, vae.config.scaling_factor)
    return [scale.normalise(mean).half() for mean in encode_means(vae, groups)]


def _samples(base: Base, pipeline: DiffusionPipeline, groups: Sequence[Group]) -> Image.Image:
    """What is drawn for some pictures' prompts."""
    part = trained_here(base).denoiser
    group = max(groups, key=len).head(SHOWN)
    painter = get_family(base.family).painter_of(
        pipeline, guidance_kind=base.guidance.kind, max_tokens=part.prompt_tokens
    )
    images = painter.draw(
        [prompts[0] for prompts in group.prompts],
        list(range(len(group))),
        width=group.pixels.shape[-1],
        height=group.pixels.shape[-2],
        steps=part.preview_steps,
        guidance=base.guidance.sample,
    )
    grid = make_grid(torch.stack([to_levels(image) for image in images]), nrow=SHOWN_PER_ROW, padding=2)
    return to_pil_image(grid)
