"""Work: where unfinished work lies on this machine, so that a later attempt finds it.

Belongs here: that one place.
"""

import tempfile
from pathlib import Path

from director_diffusion.hashing import hash_data, short
from director_diffusion.storage.store import Store


def work_folder(store: Store, name: str) -> Path:
    """The folder of a piece of work: inside a local store, else beside it on this machine.  It may not exist yet."""
    root = store.local_root or Path(tempfile.gettempdir()) / f"director-{short(hash_data(store.url))}"
    return root / "work" / name
