"""The graph through a real webserver and daemon: one director alone, and the stale sequence of an edited caption."""

import pytest

from tests.end_to_end.dagster_server import DagsterServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

JOB = "make_mini_lora"
AFTER_ADAPTER = ["mini_lora/samples", "mini_lora/evaluation", "mini_lora/model_card", "mini_lora/published_model"]


def test_one_partition_then_an_edited_caption(server: DagsterServer) -> None:
    server.run(JOB, "nolan")
    assert set(map(frozenset, server.materialized().values())) == {frozenset({"nolan"})}, "others are untouched"
    assert server.stale("nolan") == set()

    server.run(JOB, "nolan", assets=["stills", "mini/latents"])
    assert server.stale("nolan") == set(), "re-materializing what did not change leaves downstream fresh"

    caption = sorted((server.folder / "store" / "stills" / "nolan").glob("*/*.txt"))[0]
    caption.write_text("a green tower beside two cars on a street at night, wide shot")
    server.run("look_at_inputs", "nolan")
    assert server.stale("nolan") == {"captions"}
    server.run(JOB, "nolan", assets=["captions"])
    assert server.stale("nolan") == {"mini/prompt_embeddings"}
    server.run(JOB, "nolan", assets=["mini/prompt_embeddings"])
    assert server.stale("nolan") == {"mini_lora/adapter"}
    server.run(JOB, "nolan", assets=["mini_lora/adapter"])
    assert server.stale("nolan") == {"mini_lora/samples", "mini_lora/model_card"}
    server.run(JOB, "nolan", assets=AFTER_ADAPTER)
    assert server.stale("nolan") == set()
    assert set(map(frozenset, server.materialized().values())) == {frozenset({"nolan"})}
