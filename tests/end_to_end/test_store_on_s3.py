"""The whole graph over a bucket of S3: what comes out is what a folder holds."""

from pathlib import Path

from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact
from tests.s3_server import S3Server
from tests.small_configs import change
from tests.tiny_project import OF_BASE, STAGES, WHOLE_RUN, TinyProject

TIMED = {"mini_lora/model_card", "mini_lora/published_model"}  # a card tells how long its training took


def versions(store: Store, director: str) -> dict[str, str]:
    return {
        stage: latest_artifact(store, tuple(stage.split("/")), of).version
        for stages, of in ((STAGES, director), (OF_BASE, None))
        for stage in stages
        if stage not in TIMED
    }


def test_a_bucket_holds_what_a_folder_holds_and_makes_nothing_twice(
    s3: S3Server, bucket: str, made: TinyProject, tmp_path: Path
) -> None:
    project = TinyProject.make(tmp_path, directors=("nolan", "fincher"))
    change(project.configs, "deployments/local", votes="sqlite:///votes.sqlite", store_cache={"folder": "kept"})
    outcome = project.run("nolan", DIRECTOR_STORE=bucket)
    assert outcome.code == 0, outcome.err
    assert versions(Store(bucket), "nolan") == versions(made.store, "nolan")
    assert Store(bucket).names("locks") == []
    assert not (tmp_path / "store").exists()
    assert list((tmp_path / "kept").glob("??/*"))

    with s3.counted() as asked:
        again = project.run("nolan", DIRECTOR_STORE=bucket)
    assert again.code == 0, again.err
    (row,) = again.rows
    assert row["reused"] == WHOLE_RUN
    assert [path for method, path in asked if method == "PUT" and path.endswith("/artifact.json")] == []
