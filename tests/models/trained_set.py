"""A set as training leaves it in the store, for the tests of this folder."""

from pathlib import Path

from director_diffusion.storage import Artifact, Manifest, Store
from director_diffusion.storage.artifact import content_version, describe_files, set_latest, write_artifact


def keep_trained(store: Store, folder: Path, *, key: str, captioner: str) -> Artifact:
    out = folder / f"out-{key}"
    for name, text in (("base/model_index.json", "{}"), ("captioner/config.json", captioner), ("README.md", key)):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    files = describe_files(out)
    manifest = Manifest(
        asset=("tiny", "base_model"),
        partition=None,
        key=key,
        plain_key=key,
        version=content_version(files, ()),
        files=files,
        code_version="1",
        seconds=1,
    )
    artifact = write_artifact(store, out, manifest)
    set_latest(artifact)
    return artifact
