"""The folder hub: what its readers see, before, during and after a publication."""

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, snapshot_download
from publishing_inputs import card_inputs, tell_choice, verdict

from director_diffusion.errors import PublishError
from director_diffusion.publishing.card import write_model_card
from director_diffusion.publishing.checks import CHECKS, judge
from director_diffusion.publishing.inputs import WEIGHTS
from director_diffusion.publishing.publish import Publication, publish_to_folder
from director_diffusion.storage import Store

ID = "studio/nolan-mini_lora"
PASS = verdict("pass")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return write_model_card(card_inputs(tmp_path), tmp_path / "card")


@pytest.fixture
def hub(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "hub"))


def seen(hub: Store) -> Path:
    """The repository as any user of huggingface_hub finds it in the folder."""
    return Path(snapshot_download(ID, cache_dir=hub.root, local_files_only=True))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_published_is_found_by_its_repository_id(repo: Path, hub: Store) -> None:
    publication = publish_to_folder(repo, hub, ID, PASS)
    assert (publication.status, publication.reason, publication.repo_id) == ("published", "", ID)
    assert contents(seen(hub)) == contents(repo)
    assert seen(hub) == Path(hub.full(publication.folder))
    weights = hf_hub_download(ID, "pytorch_lora_weights.safetensors", cache_dir=hub.root, local_files_only=True)
    assert Path(weights).read_bytes() == (repo / "pytorch_lora_weights.safetensors").read_bytes()


def test_diffusers_loads_what_is_published_by_its_repository_id(mini_base: Path, tmp_path: Path, hub: Store) -> None:
    from diffusers import FluxPipeline, FluxTransformer2DModel
    from peft import LoraConfig, get_peft_model_state_dict

    denoiser = FluxTransformer2DModel.from_pretrained(mini_base / "transformer")
    denoiser.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q"], init_lora_weights=False))
    FluxPipeline.save_lora_weights(tmp_path, transformer_lora_layers=get_peft_model_state_dict(denoiser))
    tell_choice(tmp_path / "pytorch_lora_weights.safetensors")
    card = replace(card_inputs(tmp_path), adapter=tmp_path / "pytorch_lora_weights.safetensors")
    publish_to_folder(write_model_card(card, tmp_path / "card"), hub, ID, PASS)
    pipeline = FluxPipeline.from_pretrained(mini_base)
    pipeline.load_lora_weights(ID, weight_name=WEIGHTS, cache_dir=hub.root, local_files_only=True)
    assert pipeline.get_active_adapters() == ["default_0"]


def test_a_commit_can_be_asked_for_by_its_hash(repo: Path, hub: Store) -> None:
    commit = publish_to_folder(repo, hub, ID, PASS).commit
    assert Path(snapshot_download(ID, revision=commit, cache_dir=hub.root, local_files_only=True)) == seen(hub)


def test_the_same_content_again_writes_nothing(repo: Path, hub: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish_to_folder(repo, hub, ID, PASS)

    def refuse(*args: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(hub, "put", refuse)
    monkeypatch.setattr(hub, "write", refuse)
    assert publish_to_folder(repo, hub, ID, PASS) == first


def test_new_content_replaces_the_old_which_stays_reachable(repo: Path, hub: Store) -> None:
    first = publish_to_folder(repo, hub, ID, PASS)
    (repo / "NOTICE").write_text("another notice")
    second = publish_to_folder(repo, hub, ID, PASS)
    assert first.commit != second.commit
    assert (seen(hub) / "NOTICE").read_text() == "another notice"
    assert "derivative" in (Path(hub.full(first.folder)) / "NOTICE").read_text()


def test_a_crash_half_way_leaves_readers_with_the_old_content(
    repo: Path, hub: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_to_folder(repo, hub, ID, PASS)
    before = contents(seen(hub))
    (repo / "NOTICE").write_text("another notice")
    (repo / "README.md").write_text((repo / "README.md").read_text() + "\nmore\n")
    put, calls = hub.put, []

    def die_at_the_second(source: Path, name: str) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        put(source, name)

    with monkeypatch.context() as patch:
        patch.setattr(hub, "put", die_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            publish_to_folder(repo, hub, ID, PASS)
    assert contents(seen(hub)) == before
    publish_to_folder(repo, hub, ID, PASS)
    assert contents(seen(hub)) == contents(repo)


@pytest.mark.parametrize("outcome", ["fail", "undecided"])
def test_without_a_pass_it_is_withheld_with_the_reason(repo: Path, hub: Store, outcome: str) -> None:
    publication = publish_to_folder(repo, hub, ID, verdict(outcome))
    assert (publication.status, publication.commit, publication.folder) == ("withheld", "", "")
    assert publication.reason == f"The verdict is {outcome} ({outcome}: prompt fidelity)."
    assert not Path(hub.root).exists()


def test_withholding_leaves_an_earlier_publication_and_says_so(repo: Path, hub: Store) -> None:
    earlier = publish_to_folder(repo, hub, ID, PASS)
    publication = publish_to_folder(repo, hub, ID, verdict("fail"))
    assert f"earlier publication {earlier.commit[:8]} stays" in publication.reason
    assert publication.folder == earlier.folder
    assert contents(seen(hub)) == contents(repo)


@pytest.mark.parametrize("missing", ["README.md", "pytorch_lora_weights.safetensors", "images/sample-01.png"])
def test_a_repository_that_is_not_whole_is_refused(repo: Path, hub: Store, missing: str) -> None:
    (repo / missing).unlink()
    with pytest.raises(PublishError, match=missing.replace(".", r"\.")):
        publish_to_folder(repo, hub, ID, PASS)
    assert not Path(hub.root).exists()


def test_unreadable_metadata_is_refused(repo: Path, hub: Store) -> None:
    (repo / "README.md").write_text("---\n- a list\n---\n")
    with pytest.raises(PublishError, match="metadata"):
        publish_to_folder(repo, hub, ID, PASS)


def test_a_name_that_the_hub_would_refuse_is_refused(repo: Path, hub: Store) -> None:
    with pytest.raises(PublishError, match="hub_namespace"):
        publish_to_folder(repo, hub, "../x/y", PASS)


def test_a_publication_survives_its_file(tmp_path: Path) -> None:
    publication = Publication("withheld", "The verdict is fail: é.", ID, "", "")
    publication.write(tmp_path)
    assert Publication.read(tmp_path) == publication


def test_the_check_warns_where_it_is_withheld() -> None:
    published = Publication("published", "", ID, "0" * 40, "somewhere")
    assert [check.blocking for check in CHECKS] == [False]
    assert [outcome.passed for outcome in judge(published)] == [True]
    (withheld,) = judge(replace(published, status="withheld", reason="The verdict is fail."))
    assert not withheld.passed
    assert withheld.description == "The verdict is fail."
