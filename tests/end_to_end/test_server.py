"""The graph through a real webserver and daemon: one director alone, and the stale sequence of an edited caption.

A run costs the server a new process that imports everything it works with (`test_terminate` has a training there), so
what is to be worked on here is materialized in this process, on the same instance, as `director run` does.  The server
launches a run of the whole, and tells what became of every other.
"""

from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.captions.rows import FILE as CAPTIONS_FILE
from director_diffusion.captions.rows import Caption
from director_diffusion.sampling.rows import FILE as SAMPLES_FILE
from director_diffusion.sampling.rows import Sample
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact
from pipelines.build import build_definitions
from pipelines.cli.in_process import errors_of, run_job
from pipelines.surroundings import read_surroundings
from tests.dagster_server import DagsterServer
from tests.small_configs import surroundings_of
from tests.tiny_project import OF_JOINT, TinyProject

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

JOB, DIRECTOR = "make_mini_lora", "nolan"
AFTER_ADAPTER = [
    f"mini_lora/{name}"
    for name in (
        "published_before", "samples", "evaluation", "votes", "release_samples", "release_evaluation", "model_card",
        "published_model",
    )
]  # fmt: skip
CAPTION = "a green tower beside two cars on a street at night, wide shot"


def test_one_partition_then_an_edited_caption(server: DagsterServer) -> None:
    others = others_of(server)
    materialize(server)
    server.run(JOB, DIRECTOR)
    made = {name for name, partitions in server.materialized().items() if DIRECTOR in partitions}
    assert server.materialized().keys() - made == set(OF_JOINT), "the adapter of all is for people to ask for"
    assert others_of(server) == others, "others are untouched"
    assert server.stale(DIRECTOR) == set()

    materialize(server, "stills", "mini/latents")
    assert server.stale(DIRECTOR) == set(), "re-materializing what did not change leaves downstream fresh"

    store = server.folder / "store"
    items, texts = cached_items(store), caption_texts(store)
    still = edit_one_training_caption(store)
    assert server.stale(DIRECTOR) == set(), "an edit is seen when it is looked at"
    materialize(server, job="look_at_inputs")
    assert server.stale(DIRECTOR) == {"captions"}

    materialize(server, "captions")
    edited = caption_texts(store)
    assert {name for name in texts if texts[name] != edited[name]} == {still}
    assert new_items(store, items) == {}, "a person's caption asks no model, and no other caption is made anew"
    # The card counts captions itself, so it is behind at once; the rest of the recipe waits for the ripple.
    assert server.stale(DIRECTOR) == {"mini/prompt_embeddings", "mini_lora/model_card"}

    materialize(server, "mini/prompt_embeddings")
    assert new_items(store, items) == {"prompts": 1}
    assert server.stale(DIRECTOR) == {"mini_lora/adapter", "mini_lora/model_card"}

    trained = materialize(server, "mini_lora/adapter")
    assert set(server.observations("mini_lora/adapter", trained)) == {DIRECTOR}, "training can be watched"
    behind = {f"mini_lora/{name}" for name in ("published_before", "samples", "release_samples", "model_card")}
    assert server.stale(DIRECTOR) == behind, "watching makes nothing stale"

    materialize(server, *AFTER_ADAPTER)
    assert server.stale(DIRECTOR) == set()
    made = new_items(store, items)
    assert made["prompts"] == 1
    assert "latents" not in made
    assert made["images"] == adapter_images(store), "the base's two arms are not drawn again"
    assert others_of(server) == others


def materialize(server: DagsterServer, *assets: str, job: str = JOB) -> str:
    """Run some assets of a job, or all, in this process on the server's instance.  Returns the run's id."""
    definitions = build_definitions(read_surroundings(surroundings_of(server.folder)))
    keys = [dg.AssetKey(name.split("/")) for name in assets]
    if not keys:
        keys = sorted(definitions.resolve_job_def(job).asset_layer.selected_asset_keys)
    with TinyProject(server.folder).instance() as instance:
        result = run_job(definitions, instance, job, keys, partition=DIRECTOR)
    assert result.success, errors_of(result)
    return result.run_id


def others_of(server: DagsterServer) -> dict[str, set[str]]:
    """What is materialized of all other directors."""
    return {asset: partitions - {DIRECTOR} for asset, partitions in server.materialized().items()}


def cached_items(store: Path) -> set[Path]:
    return {path for path in (store / "cache").rglob("*") if path.is_file()}


def new_items(store: Path, before: set[Path]) -> dict[str, int]:
    """How many items of each kind the cache holds that were not there before."""
    return dict(Counter(path.relative_to(store / "cache").parts[0] for path in cached_items(store) - before))


def caption_texts(store: Path) -> dict[str, str]:
    return {row.still: row.text for row in captions_of(store)}


def captions_of(store: Path) -> list[Caption]:
    return latest_artifact(Store(str(store)), ("captions",), DIRECTOR).table(CAPTIONS_FILE, Caption)


def edit_one_training_caption(store: Path) -> str:
    """Write another caption beside a still that trains.  Returns the still's id."""
    caption = next(row for row in captions_of(store) if row.split == "train" and row.source == "person")
    path = store / "stills" / DIRECTOR / caption.film / Path(caption.name).with_suffix(".txt")
    assert path.read_text() != CAPTION
    path.write_text(CAPTION)
    return caption.still


def adapter_images(store: Path) -> int:
    rows = latest_artifact(Store(str(store)), ("mini_lora", "release_samples"), DIRECTOR).table(SAMPLES_FILE, Sample)
    return sum(row.arm == "adapter" for row in rows)
