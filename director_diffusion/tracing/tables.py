"""Tables of artifacts old and new: what a trace needs of them, whatever columns they had.

Belongs here: reading rows as plain data.  Stages read their inputs by row types, which today's artifacts have; a trace
reads what earlier versions of this project wrote too.
"""

from typing import Any

import pyarrow.parquet as pq

from director_diffusion.captions.rows import FILE as CAPTIONS_FILE
from director_diffusion.errors import StoreError
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.stills.learned import Learned, learned_of
from director_diffusion.stills.rows import RAW_FILE, STILLS_FILE, WRITTEN_FILE
from director_diffusion.storage import Artifact

Rows = list[dict[str, Any]]

TABLES = {
    "raw_stills": RAW_FILE,
    "stills": STILLS_FILE,
    "captions": CAPTIONS_FILE,
    "latents": LATENTS_FILE,
    "prompt_embeddings": PROMPTS_FILE,
}
"""Of assets that have a row for every still, by the asset's last name."""
_FILES = {**TABLES, "written_captions": WRITTEN_FILE}


def learned_by(artifact: Artifact) -> Learned | None:
    """The stills that an adapter knows, as it wrote down itself; None where that is lost, or it is of a version of this
    project that wrote nothing.
    """
    try:
        return learned_of(artifact)
    except StoreError:
        return None


def rows_of(artifact: Artifact) -> Rows | None:
    """An artifact's rows; None where its file is gone."""
    try:
        with artifact.store.local_copy(f"{artifact.folder}/{_FILES[artifact.manifest.asset[-1]]}") as path:
            return list(pq.read_table(path).to_pylist())
    except StoreError:
        return None  # the caller says what is lacking
