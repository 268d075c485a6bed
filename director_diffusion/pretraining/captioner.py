"""The captioner: drawn scenes in words, as a director's file asks for them.

Belongs here: the Qwen2.5-VL's size, its lesson, and its folder.  What it is asked and is to answer is `asking`'s; how
pictures reach it is `captioner_sight`'s.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from director_diffusion.errors import SpecError
from director_diffusion.pretraining.asking import Asking, ask_briefly, ask_fully, known_texts
from director_diffusion.pretraining.captioner_sight import (
    MERGED,
    Sights,
    blurred_at_random,
    captioned,
    see_drawn_scenes,
)
from director_diffusion.pretraining.chat_template import CHAT_TEMPLATE
from director_diffusion.pretraining.labels import ANSWERS, scene_labels
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.packed_attention import PACKED
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.specs import CaptionerPart
from director_diffusion.pretraining.tokenizers import qwen_tokenizer
from director_diffusion.pretraining.views import flipped_at_random
from director_diffusion.specs import Base

SHOWN = 8  # held-out pictures in a preview
LONGEST = 32  # tokens of an answer in a preview
FULL_SHARE = 0.4  # of the steps: asked as directors' files ask; the others briefly
LABELS_WEIGHT = 1.0  # of naming the scene from the picture's tokens, against saying it in words
_ROLES = ("endoftext", "im_end", "image_pad", "video_pad", "vision_start", "vision_end")
_IGNORED = -100
_INIT = 0.05  # deviation of the weights at the start; Qwen's 0.02 suits layers ten times as wide


def build_captioner(base: Base, run: PartRun) -> None:
    """Train the Qwen2.5-VL that the base's spec describes; `run.out` becomes a folder that transformers loads."""
    spec = trained_here(base)
    if spec.captioner is None:
        raise SpecError(base.slug, "has no captioner to train", "Give trained_here.captioner in the base's file.")
    with seeded("captioner", spec.seed, "start"):
        model, processor = untrained_captioner(spec.captioner)
        training, held_out = see_drawn_scenes(base, spec.captioner, run)
        lesson = CaptionerLesson(model.to(run.device), processor, training, held_out, spec.captioner)
    run.train(lesson, spec.captioner, title="training the captioner", seed=spec.seed)
    save_captioner(model.cpu(), processor, run.out)


def untrained_captioner(part: CaptionerPart) -> tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]:
    """A Qwen2.5-VL with random weights from torch's generator, and its processor."""
    tokenizer = qwen_tokenizer(
        CHAT_TEMPLATE, (*known_texts(), "You are a helpful assistant", "system", "user", "assistant")
    )
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in _ROLES}
    special = {"bos_token_id": ids["endoftext"], "eos_token_id": ids["im_end"], "pad_token_id": ids["endoftext"]}
    head = part.width // part.heads
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": part.width,
            "intermediate_size": 2 * part.width,
            "num_hidden_layers": part.layers,
            "num_attention_heads": part.heads,
            "num_key_value_heads": 1,
            "max_position_embeddings": tokenizer.model_max_length,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": _rope_sections(head)},
            "tie_word_embeddings": True,
            "initializer_range": _INIT,
            **special,
        },
        vision_config={
            "depth": part.vision_depth,
            "hidden_size": part.vision_width,
            "intermediate_size": 2 * part.vision_width,
            "num_heads": part.vision_heads,
            "patch_size": part.patch,
            "spatial_merge_size": MERGED,
            "temporal_patch_size": 2,
            "fullatt_block_indexes": list(range(part.vision_depth)),
            "out_hidden_size": part.width,
            "initializer_range": _INIT,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=True,
        initializer_range=_INIT,
        **special,
    )
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(
        bos_token_id=ids["endoftext"], eos_token_id=[ids["im_end"], ids["endoftext"]], pad_token_id=ids["endoftext"]
    )
    pixels: dict[str, Any] = {"patch_size": part.patch, "merge_size": MERGED, "temporal_patch_size": 2}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**pixels),
        chat_template=CHAT_TEMPLATE,
    )
    return model, processor


def _rope_sections(head: int) -> list[int]:
    """How the pairs of a head's numbers are split over time, row and column: as in Qwen2.5-VL, 2 : 3 : 3."""
    time = head // 8
    row = (head // 2 - time) // 2
    return [head // 2 - 2 * row, row, row]


def save_captioner(model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, folder: Path) -> None:
    """Write weights in half precision, configuration and the whole processor."""
    model.half().save_pretrained(folder)
    processor.save_pretrained(folder)


class Questions(nn.Module):
    """Each attribute of a scene, asked of a picture's tokens: where to look, then what is there."""

    def __init__(self, width: int):
        super().__init__()
        self.places = nn.Linear(width, len(ANSWERS))
        self.answers = nn.ModuleList(nn.Linear(width, len(answers)) for answers in ANSWERS.values())

    def forward(self, seen: Tensor) -> list[Tensor]:
        """From (B, N, width), logits (B, classes) in the order of `ANSWERS`."""
        looked_at = self.places(seen).softmax(dim=1).mT @ seen
        return [answer(looked_at[:, i]) for i, answer in enumerate(self.answers)]


class CaptionerLesson:
    """See `loop.Lesson`.  The scene is to be said in words, and its attributes to be read off the picture's tokens, by
    heads that are thrown away: those tell the vision tower far sooner what counts.
    """

    def __init__(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        processor: Qwen2_5_VLProcessor,
        training: Sequence[Sights],
        held_out: Sequence[Sights],
        part: CaptionerPart,
    ):
        self.model, self._processor, self._part = model, processor, part
        self._training, self._held_out = training, held_out
        self._questions = Questions(part.width).to(model.device)
        self._labels = [scene_labels(sights.scenes) for sights in training]
        # On a CPU, torch's fused attention learns from sequences this short several times slower than plain maths.
        model.set_attn_implementation({"vision_config": PACKED, "text_config": "eager"})

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"captioner": self.model, "questions": self._questions}

    def loss(self, step: int) -> Tensor:
        group = int(torch.multinomial(torch.tensor([float(len(sights)) for sights in self._training]), 1))
        sights = self._training[group]
        rows = torch.randperm(len(sights))[: self._part.batch_size]
        asked = ask_fully() if torch.rand(()) < FULL_SHARE else ask_briefly()
        levels = blurred_at_random(flipped_at_random(sights.levels[rows]))
        seen = self.see(levels)
        answers = self.answer_tokens([asked.answer(sights.scenes[row]) for row in rows.tolist()])
        logits = self.answer_logits(seen, grid_of(levels, self._part.patch), asked, answers)
        said = F.cross_entropy(logits.float().flatten(0, 1), answers.flatten(), ignore_index=_IGNORED)
        return said + LABELS_WEIGHT * self._naming(seen, self._labels[group][rows].to(seen.device))

    def see(self, levels: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) of uint8 as the language model's tokens (B, N, width)."""
        inputs = self._processor.image_processor(list(levels), do_resize=False, return_tensors="pt")
        seen = self.model.model.visual(
            inputs["pixel_values"].to(self.model.device), grid_thw=inputs["image_grid_thw"].to(self.model.device)
        ).pooler_output
        return seen.view(len(levels), -1, self._part.width)

    def answer_tokens(self, answers: Sequence[str]) -> Tensor:
        """(B, A): each answer and its end, filled up with what the loss ignores."""
        tokenizer = self._processor.tokenizer
        ids = [torch.tensor([*tokens, tokenizer.eos_token_id]) for tokens in tokenizer(list(answers))["input_ids"]]
        return nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=_IGNORED).to(self.model.device)

    def answer_logits(self, seen: Tensor, grid: Tensor, asked: Asking, answers: Tensor) -> Tensor:
        """(B, A, vocabulary): what the model would say after what of the answer it was told.

        Batches share picture size and instruction: the positions of one conversation are those of all, and no mask is
        needed.  The answer is the model's own forward pass (tests compare them).
        """
        tokenizer, language = self._processor.tokenizer, self.model.model.language_model
        text = self._processor.apply_chat_template(_turn(asked.instruction), tokenize=False, add_generation_prompt=True)
        before, after = (tokenizer(half)["input_ids"] for half in text.split(self._processor.image_token))
        told = answers[:, :-1].clamp(min=0)
        pads = [self.model.config.image_token_id] * seen.shape[1]
        one = torch.tensor([*before, *pads, *after, *told[0].tolist()], device=seen.device)
        positions, _ = self.model.model.get_rope_index(
            one[None], (one == self.model.config.image_token_id).int()[None], image_grid_thw=grid
        )
        words = language.embed_tokens(torch.cat([one[: len(before)], one[len(before) + len(pads) :][: len(after)]]))
        words = words.expand(len(seen), -1, -1)
        hidden = language(
            inputs_embeds=torch.cat(
                [words[:, : len(before)], seen.to(words.dtype), words[:, len(before) :], language.embed_tokens(told)],
                dim=1,
            ),
            position_ids=positions.expand(-1, len(seen), -1),
            use_cache=False,
        ).last_hidden_state
        return self.model.lm_head(hidden[:, -answers.shape[1] :])

    def _naming(self, seen: Tensor, labels: Tensor) -> Tensor:
        answers = self._questions(seen)
        return torch.stack([F.cross_entropy(logits.float(), labels[:, i]) for i, logits in enumerate(answers)]).mean()

    @torch.no_grad()
    def preview(self) -> Image.Image:
        """Held-out pictures, each with what the model says of it below."""
        shown = max(self._held_out, key=len).levels[: 2 * SHOWN : 2]  # each picture came twice
        turn = [_turn(ask_briefly().instruction)] * len(shown)
        inputs = self._processor(
            text=self._processor.apply_chat_template(turn, tokenize=False, add_generation_prompt=True),
            images=list(shown),
            do_resize=False,
            return_tensors="pt",
        ).to(self.model.device)
        said = self.model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        return captioned(shown, self._processor.batch_decode(said, skip_special_tokens=True))


def grid_of(levels: Tensor, patch: int) -> Tensor:
    """(1, 3): frames, rows and columns of patches of one picture."""
    return torch.tensor([[1, levels.shape[-2] // patch, levels.shape[-1] // patch]], device=levels.device)


def _turn(instruction: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction}]}]
