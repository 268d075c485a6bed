"""Storage: files of a store, immutable artifacts, content-addressed items and the locks that keep writers apart.

Belongs here: where things lie in a folder or a bucket, and what makes writing safe.  Does not: what is in them, nor
which of them may go (`retention`, `withdrawal`).
"""

from director_diffusion.storage.artifact import Artifact, CheckOutcome, Manifest, MetadataEntry
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store

__all__ = ["Artifact", "CheckOutcome", "ItemCache", "Manifest", "MetadataEntry", "Store"]
