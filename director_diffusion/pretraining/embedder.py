"""The embedder: pictures and their words side by side, contrastively (Radford et al. 2021).

Belongs here: the open_clip model's size, its lesson, and its folder, which open_clip reads as `local-dir:`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import PreprocessCfg
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from director_diffusion.errors import SpecError
from director_diffusion.pretraining.contrast import contrast, cosine_picture
from director_diffusion.pretraining.labels import ANSWERS, STYLE_NUMBERS, scene_labels, style_numbers
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.specs import EmbedderPart
from director_diffusion.pretraining.tokenizers import clip_tokenizer
from director_diffusion.pretraining.views import Eye, Views, flipped_at_random, see_drawn_scenes
from director_diffusion.scenes.captions import describe
from director_diffusion.scenes.style import NEUTRAL, Style, style_words
from director_diffusion.specs import Base

CONTEXT = 40  # tokens
SHARPEST = 100.0  # as CLIP: the largest factor on cosines
KINDS = torch.tensor([0.45, 0.15, 0.4])  # how often a batch's words tell the content, the look, both
HALF = 0.5**0.5  # cosine of a picture to its content alone, and to its look alone
HALVES_WEIGHT = 2.0  # of these cosines being so, whatever the style, beside the contrast of pictures and words
NAMING_WEIGHT = 3.0  # of reading scene and style off the picture's vector: words alone teach what styles hide too late
SHOWN = 64  # held-out pictures in a preview


def build_embedder(base: Base, run: PartRun) -> None:
    """Train the open_clip model that the base's spec describes; `run.out` becomes a `local-dir:` folder."""
    spec = trained_here(base)
    if spec.embedder is None:
        raise SpecError(base.slug, "has no embedder to train", "Give trained_here.embedder in the base's file.")
    if not timm.is_model(spec.embedder.tower):  # better known before any picture is drawn
        raise SpecError(
            base.slug,
            f"has trained_here.embedder.tower = {spec.embedder.tower!r}, which timm does not know",
            "Give a name that timm.list_models() lists.",
        )
    training, held_out = see_drawn_scenes(base, spec.embedder, eye(spec.embedder), run)
    with seeded("embedder", spec.seed, "start"):
        model = untrained_embedder(spec.embedder).to(run.device)
        lesson = EmbedderLesson(model, training, held_out, spec.embedder)
    run.train(lesson, spec.embedder, title="training the embedder", seed=spec.seed)
    save_embedder(model.cpu(), spec.embedder, run.out)


def untrained_embedder(part: EmbedderPart) -> open_clip.CLIP:
    """An open_clip model with random weights from torch's generator."""
    return open_clip.CLIP(**_config(part))


def eye(part: EmbedderPart) -> Eye:
    """How the embedder sees pictures: as its preprocessing makes open_clip show them."""
    return Eye(part.pixel_height, part.pixel_width, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)


class EmbedderLesson:
    """See `loop.Lesson`.  Every picture is to be found by its content, by its look and by both; and what it shows, and
    how it looks, is to be read off its vector, by heads that are thrown away: that alone says what counts far sooner.
    """

    def __init__(self, model: open_clip.CLIP, training: Views, held_out: Views, part: EmbedderPart):
        self.model, self._part, self._eye = model, part, eye(part)
        self._heads = nn.ModuleDict(
            {name: nn.Linear(part.width, len(answers)) for name, answers in ANSWERS.items()}
            | {"style": nn.Linear(part.width, STYLE_NUMBERS)}
        ).to(self._device)
        self._levels, self._held_out = training.levels, held_out
        self._words = [tokens(texts) for texts in captions(training)]
        styled = torch.tensor([style != NEUTRAL for style in training.styles])
        self._whole = (torch.zeros_like(styled), torch.zeros_like(styled), styled)  # of which words tell everything
        self._labels, self._styles = scene_labels(training.scenes), style_numbers(training.styles)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"embedder": self.model, "heads": self._heads}

    def loss(self, step: int) -> Tensor:
        rows = torch.randperm(len(self._levels))[: self._part.batch_size]
        levels = flipped_at_random(self._levels[rows]).to(self._device)
        kind = int(torch.multinomial(KINDS, 1))
        words = self._words[kind][rows].to(self._device)
        images = self._vectors(levels)
        texts = F.normalize(self.model.encode_text(words).float(), dim=-1)
        same = (words[:, None] == words[None]).all(-1)  # the same words may stand beside several pictures
        scale = self.model.logit_scale.exp().clamp(max=SHARPEST)
        share = torch.where(self._whole[kind][rows], 1.0, HALF).to(self._device)
        halves = F.mse_loss((images * texts).sum(1), share)
        naming = self._naming(images, rows)
        return contrast(images, texts, same, scale) + HALVES_WEIGHT * halves + NAMING_WEIGHT * naming

    def _vectors(self, levels: Tensor) -> Tensor:
        return F.normalize(self.model.encode_image(self._eye.normalised(levels)).float(), dim=-1)

    def _naming(self, images: Tensor, rows: Tensor) -> Tensor:
        vectors = images * self._part.width**0.5
        labels, styles = self._labels[rows].to(self._device), self._styles[rows].to(self._device)
        scene = [F.cross_entropy(self._heads[name](vectors), labels[:, i]) for i, name in enumerate(ANSWERS)]
        return torch.stack(scene).mean() + F.mse_loss(self._heads["style"](vectors), styles)

    @torch.no_grad()
    def preview(self) -> Image.Image:
        """Cosines of held-out pictures (down) and their words (across)."""
        images = self._vectors(self._held_out.levels[:SHOWN].to(self._device))
        texts = self.model.encode_text(tokens(captions(self._held_out)[2][:SHOWN]).to(self._device), normalize=True)
        return cosine_picture(images, texts)

    @property
    def _device(self) -> torch.device:
        return self.model.logit_scale.device


def captions(views: Views) -> tuple[list[str], list[str], list[str]]:
    """Content, look, and both of every picture, in words."""
    contents = [describe(scene) for scene in views.scenes]
    looks = [_look(style) for style in views.styles]
    both = [
        content if style == NEUTRAL else f"{content}, {look}"
        for content, look, style in zip(contents, looks, views.styles, strict=True)
    ]
    return contents, looks, both


def _look(style: Style) -> str:
    return "neutral palette" if style == NEUTRAL else style_words(style)


def tokens(texts: Sequence[str]) -> Tensor:
    """(N, CONTEXT) token ids."""
    return clip_tokenizer(CONTEXT)(
        list(texts), padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt"
    ).input_ids


def save_embedder(model: open_clip.CLIP, part: EmbedderPart, folder: Path) -> None:
    """Write weights in half precision, configuration and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    clip_tokenizer(CONTEXT).save_pretrained(folder)
    config = _config(part)
    # The name says that the folder holds a tokenizer of its own; open_clip reads it from the folder, whatever the name.
    config["text_cfg"]["hf_tokenizer_name"] = "clip"
    sight = PreprocessCfg(
        size=(part.pixel_height, part.pixel_width),
        mean=OPENAI_DATASET_MEAN,
        std=OPENAI_DATASET_STD,
        resize_mode="squash",  # nothing is cut away: what stands at the sides counts too
    )
    text = json.dumps({"model_cfg": config, "preprocess_cfg": asdict(sight)}, indent=2)
    (folder / "open_clip_config.json").write_text(text + "\n", encoding="utf-8")
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})


def _config(part: EmbedderPart) -> dict[str, Any]:
    return {
        "embed_dim": part.width,
        "vision_cfg": {
            "timm_model_name": part.tower,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": (part.pixel_height, part.pixel_width),
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": len(clip_tokenizer()),
            "width": part.text_width,
            "heads": part.text_heads,
            "layers": part.text_layers,
        },
    }
