"""The denoiser's lesson: rectified flow, text encoders included.

Belongs here: what a step sees.  The objective is `training.objective`'s, the prediction the family's: a base is trained
with the very functions that its adapters are trained with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from diffusers import AutoencoderKL, FluxPipeline
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid
from transformers import PreTrainedTokenizerBase

from director_diffusion.errors import DataError
from director_diffusion.families import get_family
from director_diffusion.families.base import Prompt
from director_diffusion.pretraining.data import Group, choose_prompts, choose_rows, to_levels, to_unit
from director_diffusion.pretraining.flux_parts import untrained_pipeline
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.pictures import load_groups
from director_diffusion.pretraining.specs import DenoiserPart, DrawnScenes, PartTraining
from director_diffusion.pretraining.strays import with_strays
from director_diffusion.pretraining.vae import encode_means
from director_diffusion.specs import Base, Timesteps
from director_diffusion.training.objective import flow_loss, interpolate, velocity_target
from director_diffusion.training.timesteps import noise_levels

TIMESTEPS = Timesteps(shift="none")
SHOWN, SHOWN_PER_ROW = 16, 4  # pictures in a preview

Predict = Callable[[nn.Module, Tensor, Tensor, Prompt, float], Tensor]


class DenoiserLesson:
    """See `loop.Lesson`.

    `latents` are what the denoiser works on, (N, C, h, w) for each group; `predict` is the family's.  `stray_share` of
    the prompts come with stray words.
    """

    def __init__(
        self,
        pipeline: FluxPipeline,
        groups: Sequence[Group],
        latents: Sequence[Tensor],
        part: DenoiserPart,
        *,
        predict: Predict,
        draw_preview: Callable[[], Image.Image],
        stray_share: float = 0.0,
    ):
        self._pipeline, self._groups, self._latents, self._part = pipeline, groups, latents, part
        self._predict, self._draw_preview, self._stray_share = predict, draw_preview, stray_share
        self._tokens: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        pipeline = self._pipeline
        return {
            "transformer": pipeline.transformer,
            "text_encoder": pipeline.text_encoder,
            "text_encoder_2": pipeline.text_encoder_2,
        }

    def loss(self, step: int) -> Tensor:
        pipeline, part = self._pipeline, self._part
        device = pipeline.transformer.device
        group, rows = choose_rows([len(group) for group in self._groups], part.batch_size)
        dropped = (torch.rand(len(rows)) < part.prompt_dropout).tolist()
        prompts = choose_prompts(self._groups[group], rows)
        prompts = ["" if drop else prompt for prompt, drop in zip(prompts, dropped, strict=True)]
        if self._stray_share:
            prompts = with_strays(prompts, self._stray_share)
        each = list(dict.fromkeys(prompts))  # ten digits have few names: each is encoded once
        clip, t5 = self._batch(each)
        of = torch.tensor([each.index(prompt) for prompt in prompts], device=device)
        prompt = {
            "pooled_prompt_embeds": pipeline.text_encoder(clip.to(device)).pooler_output[of],
            "prompt_embeds": pipeline.text_encoder_2(t5.to(device)).last_hidden_state[of],
        }
        x0 = self._latents[group][rows].float()
        t = noise_levels(torch.randn(len(rows)), TIMESTEPS, 1.0)
        noise = torch.randn_like(x0)
        x0, noise, t = x0.to(device), noise.to(device), t.to(device)
        velocity = self._predict(pipeline.transformer, interpolate(x0, noise, t), t, prompt, 1.0)
        return flow_loss(velocity, velocity_target(x0, noise)).mean()

    def preview(self) -> Image.Image:
        return self._draw_preview()

    def _batch(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """CLIP's and T5's token ids (B, L), padded as the pipeline pads them; each prompt is split up once."""
        for prompt in prompts:
            if prompt not in self._tokens:
                pipeline = self._pipeline
                self._tokens[prompt] = (
                    _ids(pipeline.tokenizer, prompt, pipeline.tokenizer_max_length),
                    _ids(pipeline.tokenizer_2, prompt, self._part.prompt_tokens),
                )
        pairs = [self._tokens[prompt] for prompt in prompts]
        return torch.stack([clip for clip, _ in pairs]), torch.stack([t5 for _, t5 in pairs])


def _ids(tokenizer: PreTrainedTokenizerBase, prompt: str, length: int) -> Tensor:
    ids = tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    return ids[0]


def build_denoiser(base: Base, run: PartRun) -> None:
    """Train the denoiser that the base's spec describes; `run.out` becomes a FluxPipeline in diffusers' layout."""
    spec, part = trained_here(base), trained_here(base).denoiser
    training, held_out = load_groups(base, part, run)
    vae = None
    if spec.vae is not None:
        vae = AutoencoderKL.from_pretrained(run.parts["vae"], local_files_only=True).to(run.device)
        vae.register_to_config(_name_or_path="")  # the same files wherever the VAE was kept
    latents = _latents(vae, training)
    with seeded("denoiser", spec.seed, "start"):
        pipeline = untrained_pipeline(part, channels=latents[0].shape[1], vae=vae).to(run.device)
    if not isinstance(spec.data, DrawnScenes):
        # Of drawn scenes, the longest looks may be cut: mini reads 32 of up to 40 tokens, which one picture in 80 has.
        check_lengths(base.slug, training, pipeline.tokenizer_2, part.prompt_tokens)
    family = get_family(base.family)
    for stage in _stages(part):
        lesson = DenoiserLesson(
            pipeline,
            training,
            latents,
            part,
            predict=family.predict,
            draw_preview=lambda: _samples(base, pipeline, held_out or training),
            stray_share=stage.stray_share,
        )
        stage_run = replace(
            run,
            work=run.work / stage.folder,
            show=lambda step, image, before=stage.steps_before: run.show(before + step, image),  # type: ignore[misc]
        )
        stage_run.train(lesson, stage.settings, title=stage.title, seed=spec.seed)
    pipeline.to(torch.float16).save_pretrained(run.out)


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


def _stages(part: DenoiserPart) -> list[_Stage]:
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
    means = encode_means(vae, groups)
    return [((mean - vae.config.shift_factor) * vae.config.scaling_factor).half() for mean in means]


def _samples(base: Base, pipeline: FluxPipeline, groups: Sequence[Group]) -> Image.Image:
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
