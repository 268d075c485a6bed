"""Training the embedder: pictures and their words side by side, contrastively (Radford et al. 2021).

Belongs here: what it sees, and its loss.
"""

from collections.abc import Iterator, Sequence

import open_clip
import torch
from open_clip.transform import image_transform_v2
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from director_diffusion.mini.architecture import EMBEDDER_CONTEXT, embedder_preprocessing
from director_diffusion.mini.data import Picture
from director_diffusion.mini.loops import optimise
from director_diffusion.mini.tokenizers import clip_tokenizer
from director_diffusion.progress import Progress

BATCH = 48
LR = 1.5e-3


def train_embedder(model: open_clip.CLIP, pictures: Sequence[Picture], steps: int, progress: Progress) -> None:
    """Train in place.  Captions tell content, look or both, so that either can be found in a picture's vector."""
    model.train()
    optimise(
        model.parameters(),
        _losses(model, pictures, steps),
        steps=steps,
        lr=LR,
        title="training the embedder",
        progress=progress,
    )
    model.eval()


def _losses(model: open_clip.CLIP, pictures: Sequence[Picture], steps: int) -> Iterator[Tensor]:
    seen = _seen(pictures)
    looks = [picture.look or "neutral palette" for picture in pictures]
    texts = [
        _tokens([picture.content for picture in pictures]),
        _tokens(looks),
        _tokens([f"{picture.content}, {look}" for picture, look in zip(pictures, looks, strict=True)]),
    ]
    for _ in range(steps):
        rows = torch.randperm(len(pictures))[:BATCH]
        views = seen[torch.randint(len(seen), ())][rows]
        tokens = texts[torch.randint(len(texts), ())][rows]
        images, words, scale = model(views, tokens)
        logits = scale * images @ words.T
        # The same words may stand beside several pictures of a batch: all of them are right.
        same = (tokens[:, None] == tokens[None]).all(-1).float()
        target = same / same.sum(1, keepdim=True)
        yield (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _seen(pictures: Sequence[Picture]) -> tuple[Tensor, Tensor]:
    """Pictures as stills, and as small as arms are drawn: sharpness must not tell the two apart."""
    preprocess = image_transform_v2(embedder_preprocessing(), is_train=False)

    def view(images: Sequence[Image.Image]) -> Tensor:
        return torch.stack([preprocess(image) for image in images])

    return view([picture.image for picture in pictures]), view([picture.small() for picture in pictures])


def _tokens(texts: Sequence[str]) -> Tensor:
    tokenizer = clip_tokenizer(EMBEDDER_CONTEXT)
    return tokenizer(
        list(texts), padding="max_length", max_length=EMBEDDER_CONTEXT, truncation=True, return_tensors="pt"
    ).input_ids
