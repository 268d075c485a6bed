"""Ingest: from raw files to the stills that everything after works with.

Every file is decoded once, by a few threads, and reduced at once to a small copy on disk and a few numbers; what is
decided over many stills (bars by film, duplicates, the split) is decided on those.  Only kept stills whose own file
will not do are decoded a second time, to be written as JPEG.

Masks (`RawFile.role`) are no stills: they get no row, and are found in the manifest of raw files beside their still.

What people decided about single stills (`decisions`) is laid over what the rules say: it changes those stills, what is
near the same as them, and nothing else; the split of all others stays that of before.

Belongs here: the order of those steps, and the reasons that rows carry.  Does not: the steps themselves.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from threading import Lock

from PIL.Image import Image

from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.progress import Progress, track
from director_diffusion.specs import StillsRules
from director_diffusion.stills.decisions import Place, by_file, crop_box, cropped, kept_in_spite, place_of, rejection
from director_diffusion.stills.decode import UndecodableError, decode, encode_jpeg
from director_diffusion.stills.frames import (
    Box,
    Measured,
    film_crops,
    is_badly_blurred,
    measure,
    shows_nothing,
    small_copy,
    thumb_of,
)
from director_diffusion.stills.rows import NORMALISER_VERSION, STILLS_FILE, RawFile, Split, Still, StillDecision
from director_diffusion.stills.similarity import CLUSTER_SLACK, Look, clusters, near_duplicates, perceptual_hash
from director_diffusion.stills.split import Member, keep_sides, split_anew
from director_diffusion.stills.still_set import IMAGES, StillSet
from director_diffusion.stills.thumbs import Kept, Thumbs
from director_diffusion.stills.turns import with_contents
from director_diffusion.storage.store import Store
from director_diffusion.tables import write_table

_BYTES_PER_PIXEL = 8  # 16-bit RGBA without compression: no honest file needs more
_MAX_THREADS = 8


@dataclass(frozen=True)
class _Probe:
    """One file after its only full decoding: what was measured, or why it is rejected."""

    raw: RawFile
    measured: Measured | None = None
    thumb: Kept | None = None  # its small copy
    plain: bool = False
    notes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class _Judged:
    """A file after its film's crop: its row, and what it is compared with others by if it is fit by itself."""

    raw: RawFile
    row: Still
    look: Look | None = None
    picture: str = ""  # hash of the small copy: equal ones show the same pixels
    keep: StillDecision | None = None  # a person's, over the rules
    decided: "_Judged | None" = None  # the same file as a person decided about it, where one did


def ingest_stills(
    store: Store,
    raw: Sequence[RawFile],
    rules: StillsRules,
    out: Path,
    progress: Progress,
    decisions: Sequence[StillDecision] = (),
) -> StillSet:
    """Choose, normalise and split a director's stills; write `stills.parquet` and `images/` below `out`.

    Every raw image gets a row, in the order of film and file; rejected ones say why.  Raises StillsError only where a
    file has changed or gone since it was listed.
    """
    images = sorted((file for file in raw if file.role == "image"), key=lambda file: (file.film, file.file, file.name))
    decided = by_file(decisions)
    known = _known_reasons(images, rules, decided)
    large = Lock()
    with Thumbs(out) as thumbs, _threads() as pool:
        probes = pool.map(lambda file: _probe(store, file, known.get(file.name, ""), rules, large, thumbs), images)
        judged = [
            one
            for _, film in groupby(track(probes, progress, "stills", len(images)), key=lambda probe: probe.raw.film)
            for one in _judge_film(list(film), rules, decided, thumbs)
        ]
        judged = _settle(judged, rules)
        to_write = [one for one in judged if one.row.file]
        writes = pool.map(lambda one: _write_image(store, one, rules, out, large), to_write)
        for _ in track(writes, progress, "convert stills", len(to_write)):
            pass
    rows = [one.row for one in judged]
    write_table(out / STILLS_FILE, Still, rows)
    return StillSet(rows, store, out)


def _known_reasons(
    images: Sequence[RawFile], rules: StillsRules, decided: Mapping[Place, StillDecision]
) -> dict[str, str]:
    """Reasons to reject a file, by its store name, that need no decoding.

    A file that a person rejects stands in no copy's way.
    """
    max_bytes = int(rules.max_megapixels * 1e6) * _BYTES_PER_PIXEL
    reasons: dict[str, str] = {}
    first: dict[str, RawFile] = {}
    for file in images:
        if file.problem:
            reasons[file.name] = file.problem
        elif file.size > max_bytes:
            reasons[file.name] = (
                f"is {file.size:,} bytes large, more than {rules.max_megapixels:g} megapixels can need; scale it down, "
                "or raise stills.max_megapixels in the director's file"
            )
        elif (said := decided.get(place_of(file.film, file.file))) is not None and said.decision == "reject":
            continue
        elif (same := first.setdefault(file.sha256, file)) is not file:
            reasons[file.name] = f"has the same bytes as {same.film}/{same.file}"
    return reasons


def _probe(store: Store, raw: RawFile, known: str, rules: StillsRules, large: Lock, thumbs: Thumbs) -> _Probe:
    if known:
        return _Probe(raw, reason=known)

    def look(data: bytes) -> _Probe:
        try:
            decoded = decode(data, rules.max_megapixels)
        except UndecodableError as error:
            return _Probe(raw, reason=str(error))
        thumb = thumbs.put(small_copy(decoded.image))
        return _Probe(raw, measure(decoded.image), thumb, decoded.plain, decoded.notes)

    return with_contents(store, raw, large, look)


def _judge_film(
    probes: Sequence[_Probe], rules: StillsRules, decided: Mapping[Place, StillDecision], thumbs: Thumbs
) -> Iterator[_Judged]:
    """Judge the stills of one film, each by itself, inside the crop that the film agrees on; and as people decided."""
    measured = [probe.measured for probe in probes if probe.measured is not None]
    crops = iter(film_crops(measured) if rules.remove_bars else [still.full for still in measured])
    for probe in probes:
        crop = next(crops) if probe.measured is not None else None
        thumb = thumbs.take(probe.thumb) if probe.thumb is not None else None
        judged, decision = _judge(probe, thumb, crop, rules), decided.get(place_of(probe.raw.film, probe.raw.file))
        yield judged if decision is None else replace(judged, decided=_judge(probe, thumb, crop, rules, decision))


def _judge(
    probe: _Probe, thumb: Image | None, crop: Box | None, rules: StillsRules, decision: StillDecision | None = None
) -> _Judged:
    raw, measured = probe.raw, probe.measured
    out = rejection(decision) if decision is not None and decision.decision == "reject" else ""
    if measured is None or thumb is None or crop is None:
        return _Judged(raw, _row(raw, None, reason=out or probe.reason))
    own = crop_box(decision, measured.width, measured.height) if decision is not None and decision.crop else None
    crop = own or crop
    (width, height), picture = (crop[2] - crop[0], crop[3] - crop[1]), thumb_of(measured, thumb, crop)
    row = replace(
        _row(raw, crop if crop != measured.full else None),
        width=width,
        height=height,
        phash=perceptual_hash(picture),
        warnings=_warnings(probe, measured, crop) + ((cropped(decision),) if decision is not None and own else ()),
    )
    reason = shows_nothing(picture)
    if not reason and min(width, height) < rules.min_side:
        reason = f"is {width} × {height} pixels, with a side under {rules.min_side} (stills.min_side)"
    keep = decision if decision is not None and decision.decision == "keep" else None
    row = _by_rule(row, raw, out or reason, keep)
    if row.status == "rejected":
        return _Judged(raw, row)
    row = replace(row, reference=raw.name) if probe.plain else replace(row, file=f"{IMAGES}/{row.still}.jpg")
    look = Look(phash=row.phash, pixels=width * height, sharpness=measured.sharpness, order=raw.name)
    return _Judged(raw, row, look, hash_bytes(picture.tobytes()), keep)


def _by_rule(row: Still, raw: RawFile, reason: str, keep: StillDecision | None) -> Still:
    """The row after a rule that would reject it, unless `reason` is ""; a person's word goes over the rule."""
    if not reason:
        return row
    if keep is not None:
        return replace(row, warnings=(*row.warnings, kept_in_spite(keep, reason)))
    return _rejected(row, raw, reason)


def _row(raw: RawFile, crop: Box | None, reason: str = "") -> Still:
    """The row of a file that nothing more is known of."""
    return Still(
        still=still_id(raw, crop),
        film=raw.film,
        name=raw.file,
        sha256=raw.sha256,
        status="rejected" if reason else "kept",
        reason=reason,
        warnings=(),
        split="none",
        width=0,
        height=0,
        crop=crop or (),
        reference="",
        file="",
        phash="",
        cluster=-1,
    )


def _rejected(row: Still, raw: RawFile, reason: str) -> Still:
    """The row of a still that can be looked at, but is not to be used."""
    return replace(row, status="rejected", reason=reason, reference=raw.name, file="")


def still_id(raw: RawFile, crop: Box | None) -> str:
    """The id of a still: of its file's content (its name where that cannot be read), crop and this normaliser."""
    content = raw.sha256 or raw.name
    return short(hash_data({"content": content, "crop": crop, "normaliser": NORMALISER_VERSION}))


def _warnings(probe: _Probe, measured: Measured, crop: Box) -> tuple[str, ...]:
    advice = list(probe.notes)
    if is_badly_blurred(measured):
        advice.append(f"badly blurred (sharpness {measured.sharpness:.1f})")
    if measured.bars is not None and crop == measured.full:
        advice.append("seems to have black bars, unlike the rest of its film or like no film; they are left in")
    return tuple(advice)


def _without_duplicates(judged: Sequence[_Judged], rules: StillsRules) -> list[_Judged]:
    """Reject stills that show the same picture as another."""
    fit = [(one, one.look) for one in judged if one.look is not None]
    duplicates = near_duplicates([look for _, look in fit], rules.near_duplicate_distance)
    reasons = {}
    for index, (kept_index, bits) in duplicates.items():
        one, kept = fit[index][0], fit[kept_index][0]
        where = f"{kept.row.film}/{kept.row.name}"
        same = one.picture == kept.picture and (one.row.width, one.row.height) == (kept.row.width, kept.row.height)
        reasons[one.raw.name] = (
            f"has the same pixels as {where}" if same else f"nearly the same as {where} ({bits} of 64 hash bits differ)"
        )
    return [replace(one, row=_by_rule(one.row, one.raw, reasons.get(one.raw.name, ""), one.keep)) for one in judged]


def _settle(judged: Sequence[_Judged], rules: StillsRules) -> list[_Judged]:
    """Reject duplicates and split, at first as though nobody had decided: what nobody decided on stays on that side."""
    plain = _split(_without_duplicates(judged, rules), rules)
    if all(one.decided is None for one in judged):
        return plain
    sides = {one.row.sha256: one.row.split for one in plain if one.row.status == "kept"}
    return _split(_without_duplicates([one.decided or one for one in judged], rules), rules, sides)


def _split(judged: Sequence[_Judged], rules: StillsRules, sides: Mapping[str, Split] | None = None) -> list[_Judged]:
    """Give kept stills their cluster and their side: as `sides` has them by content, as far as those will do."""
    kept = [one for one in judged if one.row.status == "kept"]
    numbers = clusters([one.row.phash for one in kept], rules.near_duplicate_distance + CLUSTER_SLACK)
    members = [Member(one.row.film, number, one.row.sha256) for one, number in zip(kept, numbers, strict=True)]
    split = keep_sides(members, sides or {}) or split_anew(members, rules.held_out_share)
    rows = {
        one.raw.name: replace(one.row, cluster=numbers[index], split=split[index]) for index, one in enumerate(kept)
    }
    return [replace(one, row=rows.get(one.raw.name, one.row)) for one in judged]


def _write_image(store: Store, one: _Judged, rules: StillsRules, out: Path, large: Lock) -> None:
    path = out / one.row.file
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(data: bytes) -> None:
        image = decode(data, rules.max_megapixels).image
        path.write_bytes(encode_jpeg(image.crop(one.row.crop) if one.row.crop else image))  # type: ignore[arg-type]

    with_contents(store, one.raw, large, write)


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core: Pillow decodes without holding the interpreter.  Leaving drops what has not begun."""
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _MAX_THREADS), thread_name_prefix="ingest")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
