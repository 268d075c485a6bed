"""Disks: what a full or read-only one means, where no more is known of a file than the operating system tells.

Belongs here: temporary and unfinished files.  Of the store's own, `store.explained` knows the name and the place.
"""

import errno
import tempfile

from director_diffusion.errors import StoreError


def refused_by_disk(error: OSError) -> StoreError | None:
    """What a person can do about it; None where the disk is not to blame."""
    file = str(error.filename) if error.filename else f"a file, perhaps below {tempfile.gettempdir()}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            file, "could not be written: no space left on its disk", "Free some space and run again; nothing was lost."
        )
    if error.errno == errno.EROFS:
        return StoreError(file, "could not be written: its disk is read-only", "Make it writable and run again.")
    return None
