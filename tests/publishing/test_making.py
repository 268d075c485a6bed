"""The stages behind a card: what they were made of, as far as the store still shows it."""

from pathlib import Path

import pytest

from director_diffusion.publishing.making import stages_behind
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import set_latest
from tests.lineages import Lineage


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return Lineage(Store(str(tmp_path)))


def test_each_stage_stands_after_what_it_was_made_of(lineage: Lineage) -> None:
    published = lineage.publish(3)
    stages = stages_behind([published.evaluation, published.adapter])
    order = [stage.asset for stage in stages]
    assert len(set(order)) == len(order)
    chain = ("raw_stills", "stills", "mini/latents", "mini_lora/adapter", "mini_lora/release_samples")
    assert [asset for asset in order if asset in chain] == list(chain)
    assert order[-1] == "mini_lora/release_evaluation"
    manifest = published.adapter.manifest
    found = next(stage for stage in stages if stage.asset == "mini_lora/adapter")
    assert (found.key, found.version, found.code_version, found.seconds) == (
        manifest.key, manifest.version, manifest.code_version, manifest.seconds,
    )  # fmt: skip


def test_what_was_made_anew_since_is_not_followed(lineage: Lineage) -> None:
    first, second = lineage.publish(3), lineage.publish(4)
    behind = {stage.asset: stage.version for stage in stages_behind([first.evaluation])}
    assert "mini_lora/adapter" not in behind, "readers see another one by now"
    set_latest(first.adapter)
    assert stages_behind([second.adapter])[-1].version == second.adapter.version
