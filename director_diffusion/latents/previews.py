"""Previews: which buckets the stills went into, and what the VAE gives back of some.

Belongs here: what the UI shows of latents.  The decoded pictures come out of the items, so that no model is needed.
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from director_diffusion.latents.buckets import Bucket, count_buckets, fit
from director_diffusion.latents.pixels import KeptStills, scaled, shrunk
from director_diffusion.latents.rows import LatentRow
from director_diffusion.storage.store import Store
from director_diffusion.tensors import read_tensors

_ENLARGED_TO = 192  # pixels: images of small bases are shown larger, in whole steps, cell by cell
_GAP, _LABEL = 8, 16
_PAPER, _INK = (245, 245, 245), (60, 60, 60)


def bucket_table(rows: Sequence[LatentRow]) -> str:
    """How many stills went into each bucket, as Markdown."""
    lines = ["| bucket | aspect | train | not trained on | cropped at most |", "|---|---|---|---|---|"]
    lines += [
        f"| {count.bucket.width} × {count.bucket.height} | {count.bucket.aspect:.2f} "
        f"| {count.train} | {count.untrained} | {count.most_cropped:.1%} |"
        for count in count_buckets(rows)
    ]
    return "\n".join(lines)


def reconstructions(rows: Sequence[LatentRow], still_set: KeptStills, store: Store, *, limit: int = 6) -> Image.Image:
    """Some stills, spread over the rows, each beside the decoded mean of its posterior."""
    stills = {still.still: still for still in still_set.kept}
    count = min(limit, len(rows))
    pairs = []
    for row in (rows[i * len(rows) // count] for i in range(count)):
        still = stills[row.still]
        seen = scaled(still_set.open(still), fit(still.width, still.height, Bucket(row.width, row.height)))
        decoded = Image.fromarray(read_tensors(store, row.reference)["preview"].numpy())
        pairs.append((_enlarged(shrunk(seen)), _enlarged(decoded), row.psnr))
    return _sheet(pairs)


def _sheet(pairs: Sequence[tuple[Image.Image, Image.Image, float]]) -> Image.Image:
    """One line per (still, decoded, PSNR in dB)."""
    width = max((2 * still.width + 3 * _GAP for still, _, _ in pairs), default=2 * _GAP)
    height = sum(still.height + _LABEL + _GAP for still, _, _ in pairs) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(11), _GAP
    for still, decoded, psnr in pairs:
        sheet.paste(still, (_GAP, top))
        sheet.paste(decoded, (2 * _GAP + still.width, top))
        pen.text((_GAP, top + still.height + 1), f"still | decoded, {psnr:.1f} dB", fill=_INK, font=font)
        top += still.height + _LABEL + _GAP
    return sheet


def _enlarged(image: Image.Image) -> Image.Image:
    times = max(_ENLARGED_TO // max(image.size), 1)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
