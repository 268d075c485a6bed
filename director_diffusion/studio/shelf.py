"""The shelf: pictures in memory, served under names that nobody can guess.

Belongs here: what gradio would keep in files, whose paths a browser would see.
"""

import hmac
import secrets

from fastapi import APIRouter, Response
from PIL import Image

from director_diffusion.kept import KeptBytes
from director_diffusion.sampling.images import png_bytes

ADDRESS = "shelf"  # first word of the addresses
KEPT_BYTES = 128 * 2**20
_KINDS = {"png": "image/png", "jpg": "image/jpeg"}


class Shelf:
    """The pictures shown last.  It may be shared by threads."""

    def __init__(self, kept_bytes: int = KEPT_BYTES):
        self._key = secrets.token_bytes(32)
        self._pictures: KeptBytes[str] = KeptBytes(kept_bytes)

    def put(self, image: Image.Image) -> str:
        """The picture's address on this server.  Its pixels are served, without metadata."""
        return self.put_png(png_bytes(image))

    def put_png(self, data: bytes) -> str:
        """The same of a PNG that may be shown as it is; equal ones share an address."""
        return self._put(data, "png")

    def put_jpeg(self, data: bytes) -> str:
        """The same of a JPEG."""
        return self._put(data, "jpg")

    def _put(self, data: bytes, kind: str) -> str:
        name = f"{hmac.digest(self._key, data, 'sha256').hex()}.{kind}"
        self._pictures.add(name, data)
        return f"/{ADDRESS}/{name}"

    def get(self, name: str) -> bytes | None:
        """None for a last word of an address that was not made here, or made long ago."""
        return self._pictures.find(name)


def add_routes(router: APIRouter, shelf: Shelf) -> None:
    """Serve what lies there."""

    @router.get(f"/{ADDRESS}/{{name}}")
    def picture(name: str) -> Response:
        data = shelf.get(name)
        if data is None:
            return Response("This picture is no longer kept. Draw it again.", status_code=404, media_type="text/plain")
        kind = _KINDS[name.rpartition(".")[2]]
        return Response(data, media_type=kind, headers={"cache-control": "private, max-age=86400"})
