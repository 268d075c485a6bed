"""A still set: what became of a director's raw files, and the pixels of those that were kept.

Belongs here: the one way to open a still, wherever it is stored.  Does not: how stills are chosen (`ingest`).
"""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from director_diffusion.errors import StillsError, StoreError
from director_diffusion.hashing import hash_bytes
from director_diffusion.stills.decode import UndecodableError, decode
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.storage.artifact import Artifact
from director_diffusion.storage.store import Store

IMAGES = "images"
_WAY_OUT = "Materialize raw_stills and stills again."


class StillSet:
    """A row for every image file of a director, and the pictures of the kept ones.

    `folder` is the local folder that holds `stills.parquet` and `images/`; stills kept by reference are read from
    `store`.
    """

    def __init__(self, rows: Iterable[Still], store: Store, folder: Path):
        self.rows = tuple(rows)
        self.store, self.folder = store, folder
        self._artifact: Artifact | None = None  # owns a temporary folder where the store is not local

    @classmethod
    def of(cls, artifact: Artifact) -> "StillSet":
        """The still set that a materialization of `stills` holds."""
        still_set = cls(artifact.table(STILLS_FILE, Still), artifact.store, artifact.local_folder)
        still_set._artifact = artifact
        return still_set

    @property
    def kept(self) -> tuple[Still, ...]:
        return tuple(still for still in self.rows if still.status == "kept")

    @property
    def rejected(self) -> tuple[Still, ...]:
        return tuple(still for still in self.rows if still.status == "rejected")

    @property
    def train(self) -> tuple[Still, ...]:
        return tuple(still for still in self.rows if still.split == "train")

    @property
    def validation(self) -> tuple[Still, ...]:
        return tuple(still for still in self.rows if still.split == "validation")

    @property
    def held_out(self) -> tuple[Still, ...]:
        return tuple(still for still in self.rows if still.split == "held_out")

    @property
    def references(self) -> tuple[str, ...]:
        """Files of the store that kept stills are made of, without which this set is not whole."""
        return tuple(still.reference for still in self.kept if still.reference)

    def open(self, still: Still) -> Image.Image:
        """The picture of a still: RGB, sRGB, upright, without bars, of size (still.width, still.height).

        Raises StillsError where there is none (a rejected file that is no image), or it has changed or gone since.
        """
        if not (still.file or still.reference):
            raise StillsError(f"{still.film}/{still.name}", still.reason, "Mend the file, or leave this still out.")
        if still.file:
            return self._open_file(still)
        data = read_unchanged(self.store, still.reference, still.sha256)
        image = _decode(data, still.reference)
        return image.crop(still.crop) if still.crop else image  # type: ignore[arg-type]

    def _open_file(self, still: Still) -> Image.Image:
        path = self.folder / still.file
        if not path.is_file():
            raise StillsError(str(path), "is gone", "Materialize stills again.")
        return _decode(path.read_bytes(), str(path))


def read_unchanged(store: Store, name: str, sha256: str) -> bytes:
    """The bytes of a raw file.  Raises StillsError where they are no longer those that were listed."""
    try:
        data = store.read(name)
    except (StoreError, OSError) as error:
        problem = error.problem if isinstance(error, StoreError) else f"cannot be read ({error.strerror or error})"
        raise StillsError(name, f"{problem}, though it was listed as a still", _WAY_OUT) from error
    if hash_bytes(data) != sha256:
        raise StillsError(name, "has changed since it was listed as a still", _WAY_OUT)
    return data


def _decode(data: bytes, name: str) -> Image.Image:
    try:
        return decode(data, max_megapixels=float("inf")).image
    except UndecodableError as error:
        raise StillsError(name, f"{error}, though it was kept as a still", _WAY_OUT) from error
