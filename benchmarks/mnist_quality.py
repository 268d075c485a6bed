"""Whether a base trained on MNIST draws the digits it is asked for.

    python -m benchmarks.mnist_quality --folder FOLDER [--base mnist] [--json]

FOLDER holds the trained base in diffusers' layout, or the set that `director build-base mnist --export` writes.  A
small convolutional network learns the real digits that the base was trained on and is tested on those held out from
it.  Then it reads 1,000 samples, 100 per digit, half of them asked for as "3" and half as "three", drawn in 20 steps at
the base's own guidance.  Exit code 1 where a bar is missed.  One thread takes about 4 minutes.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.bars import at_least, print_report
from director_diffusion.catalog import load_spec
from director_diffusion.families import get_family
from director_diffusion.pretraining.data import Group, to_levels
from director_diffusion.pretraining.images import load_images
from director_diffusion.pretraining.specs import IdxImages
from director_diffusion.progress import Silent
from director_diffusion.specs import Base

CHECKOUT = Path(__file__).resolve().parents[1]
PER_DIGIT = 100
STEPS = 20
BATCH = 50  # samples drawn together
MIN_READER_ACCURACY = 0.975  # on held-out digits
MIN_READ_AS_ASKED = 0.90
EPOCHS, READER_BATCH, READER_LR, MOST_MOVED = 10, 100, 5e-3, 2  # pixels


def reader() -> nn.Sequential:
    """Grey pictures (B, 1, 32, 32) in [0, 1] → ten logits."""

    def convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
        return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()

    return nn.Sequential(
        *convolution(1, 16), *convolution(16, 16), nn.MaxPool2d(2),
        *convolution(16, 32), *convolution(32, 32), nn.MaxPool2d(2),
        *convolution(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10),
    )  # fmt: skip


def train_reader(digits: Group, labels: Tensor, device: str) -> nn.Sequential:
    """AdamW over a one-cycle rate; each batch is moved by up to two pixels."""
    torch.manual_seed(0)
    network, pixels = reader().to(device), (digits.pixels.float() / 255).to(device)
    labels = labels.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, READER_LR, total_steps=EPOCHS * (len(digits) // READER_BATCH))
    for _ in range(EPOCHS):
        order = torch.randperm(len(digits))
        for rows in order[: len(order) // READER_BATCH * READER_BATCH].split(READER_BATCH):
            moved = torch.randint(-MOST_MOVED, MOST_MOVED + 1, (2,)).tolist()
            with torch.autocast(device, dtype=torch.bfloat16):
                logits = network(pixels[rows].roll(moved, (2, 3)))
            cross_entropy(logits.float(), labels[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
    return network.eval()


@torch.no_grad()
def read(network: nn.Sequential, levels: Tensor, device: str) -> Tensor:
    """The digit that each picture (B, 1, 32, 32), uint8, is taken for."""
    pieces = (levels.float() / 255).to(device).split(500)
    return torch.cat([network(piece).argmax(1).cpu() for piece in pieces])


def draw(base: Base, folder: Path, prompts: list[str], *, steps: int, guidance: float, device: str) -> Tensor:
    """Grey samples, one per prompt, from seeds 0, 1, 2…: (N, 1, H, W), uint8."""
    painter = get_family(base.family).load_painter(
        folder,
        device=device,
        dtype=torch.float32,
        guidance_kind=base.guidance.kind,
        max_tokens=base.max_prompt_tokens,
    )
    side, images = base.resolution.side, list[Image.Image]()
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        seeds = list(range(start, start + len(batch)))
        images += painter.draw(batch, seeds, width=side, height=side, steps=steps, guidance=guidance)
    return torch.stack([to_levels(image.convert("L")) for image in images])


def label_of(data: IdxImages, names: tuple[str, ...]) -> int:
    return data.words.index(names)


def measure(base: Base, folder: Path, *, root: Path, steps: int, guidance: float, device: str) -> dict[str, Any]:
    assert base.trained_here is not None
    data = base.trained_here.data
    assert isinstance(data, IdxImages)
    (real,), (held_out,) = load_images(data, base.resolution, 1, root=root, cache=root, token=None, progress=Silent())
    labels, held_out_labels = (
        torch.tensor([label_of(data, names) for names in group.prompts]) for group in (real, held_out)
    )
    started = time.perf_counter()
    network = train_reader(real, labels, device)
    reader_seconds = time.perf_counter() - started
    reader_accuracy = float((read(network, held_out.pixels, device) == held_out_labels).float().mean())

    asked = [
        (label, names[number % len(names)]) for number in range(PER_DIGIT) for label, names in enumerate(data.words)
    ]
    started = time.perf_counter()
    samples = draw(base, folder, [name for _, name in asked], steps=steps, guidance=guidance, device=device)
    drawing_seconds = time.perf_counter() - started
    wanted = torch.tensor([label for label, _ in asked])
    right = (read(network, samples, device) == wanted).float()
    as_asked = float(right.mean())
    names = [name for _, name in asked]
    return {
        "base": base.slug,
        "folder": str(folder),
        "real digits": len(real),
        "held-out digits": len(held_out),
        "samples": len(samples),
        "steps": steps,
        "guidance": guidance,
        "reader seconds": round(reader_seconds, 1),
        "drawing seconds": round(drawing_seconds, 1),
        "read as asked, by prompt": {
            name: round(float(right[[other == name for other in names]].mean()), 3)
            for name in dict.fromkeys(name for some in data.words for name in some)
        },
        "bars": [
            read_as_asked(as_asked),
            at_least("MNIST, held-out real digits that the reader reads", reader_accuracy, MIN_READER_ACCURACY),
        ],
    }


def read_as_asked(share: float | None) -> dict[str, Any]:
    """The bar that matters; None without a trained base."""
    return at_least("MNIST, prompted digits read as asked", share, MIN_READ_AS_ASKED)


def judge_folder(
    folder: Path,
    *,
    slug: str = "mnist",
    root: Path = CHECKOUT,
    steps: int = STEPS,
    guidance: float | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """The report on a trained base, or an exported set.  Leaves torch with that many threads."""
    torch.set_num_threads(threads)
    base = load_spec(CHECKOUT / "configs" / "bases" / f"{slug}.yaml", Base)
    folder = folder / "base" if (folder / "base").is_dir() else folder
    get_family(base.family).check_folder(folder)
    return measure(
        base,
        folder,
        root=root,
        steps=steps,
        guidance=base.guidance.sample if guidance is None else guidance,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="the trained base, or an exported set")
    parser.add_argument("--base", default="mnist", help="its spec in configs/bases (default: %(default)s)")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="what data/mnist is looked for in (default: here)")
    parser.add_argument("--steps", type=int, default=STEPS, help="sampling steps (default: %(default)s)")
    parser.add_argument("--guidance", type=float, help="default: the base's own")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report = judge_folder(
        options.folder,
        slug=options.base,
        root=options.root,
        steps=options.steps,
        guidance=options.guidance,
        threads=options.threads,
    )
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
