"""The doctor: what this machine has and lacks for the chosen models, and for those that are trained here.

Belongs here: facts, each with the way to mend it.  Downloads nothing, builds nothing, and reads no environment.
"""

import shutil
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from director_diffusion.errors import DataError, DirectorError, ModelError
from director_diffusion.models.checkpoint import read_checkpoint
from director_diffusion.models.hub import is_downloaded, pinned
from director_diffusion.models.single_file import checkpoint_path, converted_folder, source_name
from director_diffusion.models.source import fingerprint, hub_cache, resolve_rest
from director_diffusion.models.trained import BASE_MODEL, fingerprint_trained
from director_diffusion.pretraining.idx import opened
from director_diffusion.pretraining.image_folder import image_files
from director_diffusion.pretraining.manifest import MANIFEST, base_of, differing_files
from director_diffusion.pretraining.specs import IdxImages, ImageFolder
from director_diffusion.specs import Base, FolderSource, HubSource, SingleFileSource, Source, TrainedSource
from director_diffusion.storage import Store

if TYPE_CHECKING:
    from director_diffusion.storage.bucket import Bucket

GIB = 2**30
MEMORY_OF_A_SMALL_RUN = 3 * GIB  # the mini set on CPU
DISK_OF_A_SMALL_RUN = 2 * GIB
DISK_OF_A_DOWNLOAD = 40 * GIB  # a Flux base in parts takes 34, Qwen2.5-VL-7B 16
GPU_MEMORY_OF_FLUX = 40 * GIB  # 12 billion parameters in bfloat16, with room for activations

State = Literal["ok", "missing", "warning"]


@dataclass(frozen=True)
class Finding:
    """One fact; `mend` is what to do, or ""."""

    name: str
    state: State
    detail: str
    mend: str = ""


def examine(
    models: Mapping[str, Source],
    *,
    families: Collection[str],
    trained_here: Sequence[Base],
    device: str,
    store: Store,
    cache: Path,
    root: Path,
    token: str | None,
) -> list[Finding]:
    """All findings for models by name, for the families of the bases, and for the data of those trained here."""
    found = [examine_model(name, source, root=root, cache=cache, store=store) for name, source in models.items()]
    data = [finding for base in trained_here for finding in examine_data(base, root=root)]
    to_download = [name for name, source in models.items() if _is_to_download(source, root=root, cache=cache)]
    copies = sum(_size_of_copy(source, root=root, cache=cache, store=store) for source in models.values())
    needed = len(to_download) * DISK_OF_A_DOWNLOAD + copies or DISK_OF_A_SMALL_RUN
    disks = [examine_disk("model cache", cache, needed=needed)]
    if store.local_root is not None:
        disks.append(examine_disk("store", store.local_root, needed=DISK_OF_A_SMALL_RUN))
    return [
        examine_device(device, families=families),
        examine_memory(),
        *disks,
        *([] if store.bucket is None else [examine_bucket(store.bucket)]),
        examine_token(token, to_download),
        *found,
        *data,
    ]


def examine_device(device: str, *, families: Collection[str]) -> Finding:
    """Whether the deployment's device is there, and large enough for bases of these families."""
    import torch

    if device == "cpu":
        return Finding("device", "ok", f"cpu, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        detail = f"{torch.cuda.device_count()} × {properties.name}, {properties.total_memory / GIB:.0f} GiB"
        if "flux" not in families or properties.total_memory >= GPU_MEMORY_OF_FLUX:
            return Finding("device", "ok", detail)
        return Finding(
            "device",
            "warning",
            detail,
            "A Flux base wants 40 GiB; use krea_lora_nf4 (quantised_base: nf4), or a larger GPU.",
        )
    if torch.version.cuda is None:
        return Finding("device", "missing", "this PyTorch was built without CUDA", "Install a CUDA build of PyTorch.")
    if shutil.which("nvidia-smi") is None:
        mend = "Install NVIDIA's driver, or choose the deployment `local`."
        return Finding("device", "missing", "no GPU: nvidia-smi is not installed", mend)
    return Finding("device", "missing", "no GPU that PyTorch can use", "Look at nvidia-smi, or choose `local`.")


def examine_memory() -> Finding:
    """Memory that is free now."""
    memory = psutil.virtual_memory()
    detail = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available >= MEMORY_OF_A_SMALL_RUN:
        return Finding("memory", "ok", detail)
    return Finding("memory", "warning", detail, f"Free {MEMORY_OF_A_SMALL_RUN // GIB} GiB: close other programs.")


def examine_bucket(bucket: "Bucket") -> Finding:
    """Whether a bucket of S3 can be written, and keeps writers on several machines apart."""
    name = f"locks/doctor-{uuid.uuid4().hex}"
    try:
        first, second = (bucket.write_unless_changed(name, data, "") for data in (b"first", b"second"))
        bucket.delete(name)
    except DirectorError as error:
        return Finding("store", "missing", f"{error.thing} {error.problem}", error.way_out)
    if first and not second:
        return Finding("store", "ok", bucket.root)
    return Finding(
        "store",
        "warning",
        f"{bucket.root} writes what it was asked to write only where nothing is (If-None-Match)",
        "Take a newer server, or let one machine at a time write.",
    )


def examine_disk(name: str, folder: Path, *, needed: int) -> Finding:
    """Space on the disk that `folder` is on, or will be; `needed` in bytes."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / GIB:.1f} GiB free at {folder}"
    if free >= needed:
        return Finding(name, "ok", detail)
    return Finding(name, "warning", detail, f"Free {needed / GIB:.0f} GiB there, or choose another folder.")


def examine_token(token: str | None, to_download: list[str]) -> Finding:
    """Whether a token of the Hub is set where one may be asked for; it is not tried."""
    if token:
        return Finding("HF_TOKEN", "ok", "set")
    if not to_download:
        return Finding("HF_TOKEN", "ok", "not set, and nothing is to be downloaded")
    return Finding(
        "HF_TOKEN",
        "warning",
        f"not set; to be downloaded: {', '.join(to_download)}",
        "Gated models need it: accept their licence on the Hub, then set HF_TOKEN.",
    )


def examine_model(name: str, source: Source, *, root: Path, cache: Path, store: Store) -> Finding:
    """Whether a model is there, will come by itself, or lacks something."""
    try:
        if isinstance(source, FolderSource):
            fingerprint(source, root=root, cache=cache, store=store)
            return _examine_folder(name, source, root / Path(source.folder).expanduser())
        if isinstance(source, TrainedSource):
            return _examine_trained(name, source, store)
        if isinstance(source, SingleFileSource):
            return _examine_single_file(name, source, root=root, cache=cache, store=store)
        if is_downloaded(source, cache=hub_cache(cache)):
            return Finding(name, "ok", f"{source.repo}, downloaded")
        return Finding(
            name, "warning", f"{source.repo} is not downloaded yet", "The first run downloads it, resuming if cut off."
        )
    except ModelError as error:
        return Finding(name, "missing", f"{error.thing}: {error.problem}", error.way_out)


def examine_data(base: Base, *, root: Path) -> list[Finding]:
    """Whether the files are there that a base is to be trained on.

    None are looked for where pictures are drawn or come from elsewhere.
    """
    name, data = f"data of {base.slug}", base.trained_here.data if base.trained_here else None
    places, lacks = [], []
    if isinstance(data, IdxImages):
        for place in (place for place in (data.images, data.labels) if "://" not in place):
            places.append(place)
            try:
                with opened(place, root=root, available_at=data.available_at):
                    pass
            except DataError as error:
                lacks.append(error)
    elif isinstance(data, ImageFolder):
        places.append(data.folder)
        try:
            image_files(root / Path(data.folder).expanduser(), data.folder)
        except DataError as error:
            lacks.append(error)
    if lacks:
        return [Finding(name, "warning", f"{lack.thing} {lack.problem}", lack.way_out) for lack in lacks]
    return [Finding(name, "ok", ", ".join(places))] if places else []


def _is_to_download(source: Source, *, root: Path, cache: Path) -> bool:
    if isinstance(source, HubSource):
        return bool(source.revision) and not is_downloaded(source, cache=hub_cache(cache))
    if isinstance(source, SingleFileSource) and isinstance(source.rest, HubSource):
        return bool(source.rest.revision) and not _has_rest(source, source.rest, root=root, cache=cache)
    return False


def _has_rest(source: SingleFileSource, rest: HubSource, *, root: Path, cache: Path) -> bool:
    """Whether all of `rest` is downloaded but the weights that the file holds."""
    try:
        held = read_checkpoint(checkpoint_path(source, root), source.file).components
    except ModelError:  # told by `examine_model`; then nothing is known to be held
        return is_downloaded(rest, cache=hub_cache(cache))
    return is_downloaded(rest, cache=hub_cache(cache), without=list(held))


def _size_of_copy(source: Source, *, root: Path, cache: Path, store: Store) -> int:
    """Bytes that converting a single file will take, where that is yet to come."""
    path = checkpoint_path(source, root) if isinstance(source, SingleFileSource) else None
    if path is None or not path.is_file() or _is_converted(source, root=root, cache=cache, store=store):
        return 0
    return path.stat().st_size


def _is_converted(source: Source, *, root: Path, cache: Path, store: Store) -> bool:
    try:
        return converted_folder(fingerprint(source, root=root, cache=cache, store=store), cache).is_dir()
    except ModelError:  # told by `examine_model`
        return False


def _examine_single_file(name: str, source: SingleFileSource, *, root: Path, cache: Path, store: Store) -> Finding:
    """A file is well where its rest is, and the two go together; converted it is at the first use."""
    checkpoint = read_checkpoint(checkpoint_path(source, root), source.file)
    rest, rest_name = source.rest, source_name(source.rest)
    size = checkpoint.path.stat().st_size / GIB
    held = f"{source.file} holds the {', '.join(checkpoint.components)} of a {checkpoint.architecture}, {size:.1f} GiB"
    if isinstance(rest, HubSource) and not _has_rest(source, rest, root=root, cache=cache):
        pinned(rest)
        mend = "The first run downloads it, resuming if cut off, and converts the file."
        return Finding(name, "warning", f"{held}; {rest_name}, its rest, is not downloaded yet", mend)
    if _is_converted(source, root=root, cache=cache, store=store):
        return Finding(name, "ok", f"{held}; converted")
    from director_diffusion.models.conversion import check_fits

    lender = resolve_rest(rest, list(checkpoint.components), root=root, cache=cache, token=None)
    check_fits(checkpoint, lender, name=source.file, rest_name=rest_name)
    return Finding(name, "ok", f"{held}; it fits {rest_name}, and the first run converts it")


def _examine_trained(name: str, source: TrainedSource, store: Store) -> Finding:
    try:
        fingerprint_trained(source, store)
    except ModelError as error:
        mend = f"The first run trains it, or now: director build-base {source.base}"
        return Finding(name, "warning", f"{error.thing}: {error.problem}", mend)
    return Finding(name, "ok", f"trained here, as {source.base}/{BASE_MODEL}")


def _examine_folder(name: str, source: FolderSource, folder: Path) -> Finding:
    """A folder is as it should be where a manifest beside it says so, or where there is none."""
    if not (folder.parent / MANIFEST).exists():
        return Finding(name, "ok", f"in {source.folder}")
    differing = differing_files(folder.parent, folder.name)
    if not differing:
        return Finding(name, "ok", f"in {source.folder}, as its manifest says")
    manifest = folder.parent / MANIFEST
    try:
        base = base_of(manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(str(manifest), f"cannot be read: {error}", "Check the folder out again.") from error
    return Finding(
        name,
        "missing",
        f"{source.folder} is not as its manifest says: {', '.join(differing[:3])}{' …' if differing[3:] else ''}",
        "Check the folder out again, or make the set again: "
        f"director build-base {base} --export {Path(source.folder).parent}",
    )
