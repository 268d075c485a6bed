"""Qwen2.5-VL as a captioner, through transformers and qwen-vl-utils.

Belongs here: loading it, and answering a batch of pictures.  What is asked and whether the answer will do is decided
elsewhere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from qwen_vl_utils import process_vision_info
from safetensors import SafetensorError
from transformers import AutoProcessor, BatchFeature, GenerationConfig, Qwen2_5_VLForConditionalGeneration

from director_diffusion.captions.answers import Answer
from director_diffusion.captions.folder import check_captioner_folder
from director_diffusion.errors import CaptionError, ModelError
from director_diffusion.specs import Captioner

MAX_ASPECT = 200  # of qwen_vl_utils' resizing


class QwenCaptioner:
    """A loaded Qwen2.5-VL that answers greedily, so that the same picture and instruction get the same answer.

    Raises ModelError where `folder` does not hold a complete Qwen2.5-VL in transformers' layout.
    """

    def __init__(self, folder: Path, spec: Captioner, device: str):
        check_captioner_folder(folder)
        self.spec, self.device = spec, device
        try:
            self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            self.model, found = Qwen2_5_VLForConditionalGeneration.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=getattr(torch, spec.dtype),
                device_map=device,
                output_loading_info=True,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(
                str(folder),
                f"cannot be loaded as a Qwen2.5-VL: {error}",
                "Fetch it again, or choose another captioner.",
            ) from error
        if found["missing_keys"]:  # transformers would go on with random numbers in their place
            raise ModelError(
                str(folder),
                f"lacks {len(found['missing_keys'])} weights, such as {min(found['missing_keys'])}",
                "Fetch it again, or choose another captioner.",
            )
        self.model.eval()
        # A config of our own, so that none of the model's sampling defaults remain.  Its repetition penalty goes too:
        # it counts padding as said, which would make an answer depend on the other pictures of its batch.
        self.model.generation_config = GenerationConfig(
            do_sample=False,
            max_new_tokens=spec.max_new_tokens,
            eos_token_id=self.model.generation_config.eos_token_id or self.processor.tokenizer.eos_token_id,
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )

    @torch.inference_mode()
    def answer(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> list[Answer]:
        """One answer per picture; `images` and `instructions` are equally long and make one batch."""
        inputs = self._inputs(images, instructions)
        said = self.model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.batch_decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ends = torch.tensor(self.model.generation_config.eos_token_id, device=said.device).reshape(-1)
        ended = torch.isin(said, ends).any(dim=1).tolist()
        return [Answer(text=text.strip(), hit_limit=not stopped) for text, stopped in zip(texts, ended, strict=True)]

    @torch.inference_mode()
    def next_token_logits(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> torch.Tensor:
        """Logits (n, vocabulary), float32, of the first token of each answer; else as `answer`."""
        return self.model(**self._inputs(images, instructions), logits_to_keep=1).logits[:, -1].float()

    def _inputs(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> BatchFeature:
        """One batch on the device, padded on the left: decoding goes on at the right end of every row."""
        conversations = [self._conversation(image, text) for image, text in zip(images, instructions, strict=True)]
        vision = self.processor.image_processor
        pictures, _ = process_vision_info(conversations, image_patch_size=vision.patch_size)
        return self.processor(
            text=self.processor.apply_chat_template(conversations, tokenize=False, add_generation_prompt=True),
            images=pictures,
            do_resize=False,  # process_vision_info has resized them already
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(self.device)

    def _conversation(self, image: Image.Image, instruction: str) -> list[dict[str, Any]]:
        """One turn of a person, the picture held to the spec's pixels."""
        cell = (self.processor.image_processor.patch_size * self.processor.image_processor.merge_size) ** 2
        longest = min(MAX_ASPECT, self.spec.max_pixels // cell)  # beyond it the short side comes out at no cell at all
        if max(image.size) > longest * min(image.size):
            raise CaptionError(
                f"A still of {image.width} × {image.height} pixels",
                f"is longer than the captioner takes (1:{longest} at {self.spec.max_pixels} pixels)",
                "Remove the still, write its caption by hand, or raise the captioner's max_pixels.",
            )
        picture = {
            "type": "image",
            "image": image,
            "min_pixels": min(4 * cell, self.spec.max_pixels),
            "max_pixels": self.spec.max_pixels,
        }
        return [{"role": "user", "content": [picture, {"type": "text", "text": instruction}]}]
