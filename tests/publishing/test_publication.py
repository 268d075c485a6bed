"""The folder hub: what its readers see, before, during and after a publication; and what a publication is."""

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, snapshot_download
from small_repository import small_repository

from director_diffusion.errors import PublishError
from director_diffusion.publishing.checks import CHECKS, judge
from director_diffusion.publishing.folder_hub import FolderHub
from director_diffusion.publishing.publish import Publication, publish, withhold
from director_diffusion.storage import Store
from director_diffusion.training.rows import WEIGHTS

ID = "studio/nolan-mini_lora"
REASON = "The verdict is fail (fail: prompt fidelity)."


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return small_repository(tmp_path / "repo")


@pytest.fixture
def hub(tmp_path: Path) -> FolderHub:
    return FolderHub(Store(str(tmp_path / "hub")))


def put(repo: Path, hub: FolderHub, *, tag: str = "v1") -> Publication:
    return publish(repo, hub, ID, tag=tag)


def seen(hub: FolderHub, revision: str = "main") -> Path:
    """The repository as any user of huggingface_hub finds it in the folder."""
    return Path(snapshot_download(ID, revision=revision, cache_dir=hub.store.files.root, local_files_only=True))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_published_is_found_by_its_repository_id(repo: Path, hub: FolderHub) -> None:
    publication = put(repo, hub)
    assert (publication.status, publication.reason, publication.repo_id) == ("published", "", ID)
    assert contents(seen(hub)) == contents(repo)
    assert seen(hub) == Path(hub.store.full(publication.folder))
    weights = hf_hub_download(ID, WEIGHTS, cache_dir=hub.store.files.root, local_files_only=True)
    assert Path(weights).read_bytes() == (repo / WEIGHTS).read_bytes()


def test_diffusers_loads_what_is_published_by_its_repository_id(
    mini_base: Path, repo: Path, hub: FolderHub, tmp_path: Path
) -> None:
    from diffusers import FluxPipeline, FluxTransformer2DModel
    from peft import LoraConfig, get_peft_model_state_dict

    denoiser = FluxTransformer2DModel.from_pretrained(mini_base / "transformer")
    denoiser.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q"], init_lora_weights=False))
    FluxPipeline.save_lora_weights(repo, transformer_lora_layers=get_peft_model_state_dict(denoiser))
    put(repo, hub)
    pipeline = FluxPipeline.from_pretrained(mini_base)
    pipeline.load_lora_weights(ID, weight_name=WEIGHTS, cache_dir=hub.store.files.root, local_files_only=True)
    assert pipeline.get_active_adapters() == ["default_0"]


@pytest.mark.parametrize("by", ["commit", "tag"])
def test_a_publication_can_be_asked_for_by_its_commit_or_tag(repo: Path, hub: FolderHub, by: str) -> None:
    first = put(repo, hub)
    assert seen(hub, getattr(first, by)) == seen(hub)
    put(small_repository(repo, seed=1), hub, tag="v2")
    assert seen(hub, getattr(first, by)) != seen(hub)


def test_a_tag_is_never_moved_to_other_content(repo: Path, hub: FolderHub) -> None:
    first = put(repo, hub)
    second = put(small_repository(repo, seed=1), hub)
    assert (first.tag, second.tag) == ("v1", "v1-2")
    assert seen(hub, "v1") == Path(hub.store.full(first.folder))
    assert put(repo, hub) == second


def test_the_same_content_again_writes_nothing(repo: Path, hub: FolderHub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = put(repo, hub)

    def refuse(*args: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(Store, "put", refuse)
    monkeypatch.setattr(Store, "write", refuse)
    assert put(repo, hub) == first


def test_new_content_replaces_the_old_which_stays_reachable(repo: Path, hub: FolderHub) -> None:
    first = put(repo, hub)
    (repo / "NOTICE").write_text("another notice")
    second = put(repo, hub, tag="v2")
    assert first.commit != second.commit
    assert (seen(hub) / "NOTICE").read_text() == "another notice"
    assert "derivative" in (Path(hub.store.full(first.folder)) / "NOTICE").read_text()


def test_a_crash_half_way_leaves_readers_with_the_old_content(
    repo: Path, hub: FolderHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(repo, hub)
    before = contents(seen(hub))
    (repo / "NOTICE").write_text("another notice")
    put_file, calls = Store.put, []

    def die_at_the_second(store: Store, source: Path, name: str) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        put_file(store, source, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", die_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            put(repo, hub, tag="v2")
    assert contents(seen(hub)) == before
    put(repo, hub, tag="v2")
    assert contents(seen(hub)) == contents(repo)


def test_what_may_not_go_out_is_withheld_with_the_reason_and_leaves_what_was_published() -> None:
    assert withhold(ID, REASON, earlier="") == Publication("withheld", REASON, ID, "", "")
    publication = withhold(ID, REASON, earlier="ab" * 20)
    assert publication.reason == f"{REASON} The earlier publication abababab stays."
    assert publication.commit == "ab" * 20


@pytest.mark.parametrize("missing", ["README.md", WEIGHTS, "images/sample-00.png"])
def test_a_repository_that_is_not_whole_is_refused(repo: Path, hub: FolderHub, missing: str) -> None:
    (repo / missing).unlink()
    with pytest.raises(PublishError, match=missing.replace(".", r"\.")):
        put(repo, hub)
    assert not Path(hub.store.files.root).exists()


def test_unreadable_metadata_is_refused(repo: Path, hub: FolderHub) -> None:
    (repo / "README.md").write_text("---\n- a list\n---\n")
    with pytest.raises(PublishError, match="metadata"):
        put(repo, hub)


def test_a_name_that_the_hub_would_refuse_is_refused(repo: Path, hub: FolderHub) -> None:
    with pytest.raises(PublishError, match="hub_namespace"):
        publish(repo, hub, "../x/y", tag="v1")


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
