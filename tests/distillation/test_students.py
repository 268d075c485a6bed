"""Students: trained for real on the tiny base, killed, changed, and worn on top of their adapter."""

import json
import multiprocessing
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save_file

from director_diffusion.adapters.files import check_fit, remove_adapter
from director_diffusion.adapters.stacking import load_stack
from director_diffusion.distillation.checks import judge_students
from director_diffusion.distillation.header import header_of_student
from director_diffusion.distillation.rows import RESULT_FILE, Lap, Student, weights_file
from director_diffusion.distillation.student import distil
from director_diffusion.errors import StoreError, TrainingError
from director_diffusion.families import get_family
from director_diffusion.hashing import hash_file
from director_diffusion.progress import Silent
from director_diffusion.specs import AdamW, Adapter, LokrAdapter, LoraAdapter, SegmentTurbo
from director_diffusion.tables import read_table
from director_diffusion.tensors import read_tensors
from director_diffusion.training.header import read_header
from director_diffusion.training.stopping import Stopped
from tests.adapters.adapted import random_adapter
from tests.distillation.conftest import TURBO, MakeJob


def taught(job: Any, out: Path, stop: Any = lambda: False) -> list[Student]:
    out.mkdir(parents=True, exist_ok=True)
    return distil(job, out=out, metadata={"trigger": "nolan style"}, progress=Silent(), stop=stop)


def items(folder: Path, kind: str) -> dict[str, int]:
    kept = folder / "store" / "cache" / kind
    return {str(path.relative_to(kept)): path.stat().st_mtime_ns for path in kept.rglob("*.safetensors")}


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, adapter: Path) -> Path:
    """A folder in which both students were trained in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    make: MakeJob = request.getfixturevalue("make_job_of_module")
    taught(make(folder), folder / "out")
    return folder


@pytest.fixture(scope="module")
def make_job_of_module(adapter: Path) -> MakeJob:
    from tests.distillation import conftest

    return conftest.make_job.__wrapped__(adapter)  # type: ignore[attr-defined,no-any-return]


def test_each_student_learns_and_is_what_its_file_says(undisturbed: Path, make_job: MakeJob, tmp_path: Path) -> None:
    students = taught(make_job(undisturbed), tmp_path / "again")
    assert [one.count for one in students] == [1, 2]
    assert [one.training_seconds for one in students] == [None, None], "nothing was trained: no time is told"
    assert all(one.held_out_loss < one.untaught_loss for one in students)
    assert all(check.passed for check in judge_students(students))
    assert files(tmp_path / "again") == files(undisturbed / "out"), "found again, in the same bytes"
    told = json.loads((tmp_path / "again" / RESULT_FILE).read_text())
    assert [one["count"] for one in told] == [1, 2]
    laps = read_table(tmp_path / "again" / "curves.parquet", Lap)
    steps = {count: [lap.step for lap in laps if lap.student == count] for count in (1, 2)}
    assert steps == {1: list(range(7)), 2: list(range(11))}, "one step starts where all start: no states of its own"
    header = read_header(tmp_path / "again" / weights_file(2))
    assert (header["sampling_steps"], header["trigger"]) == ("2", "nolan style")


def test_a_student_that_drifts_is_shown_where_it_comes_to(undisturbed: Path) -> None:
    ways, visits = items(undisturbed, "trajectories"), items(undisturbed, "visits")
    assert (len(ways), len(visits)) == (3 * 2 + 1, 3 * 2 + 1), "of what it learns from, and of what judges"


def test_a_trajectory_is_read_once_for_all_students(
    undisturbed: Path, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reading(store: Any, name: str) -> Any:
        read.append(name)
        return read_tensors(store, name)

    monkeypatch.setattr("director_diffusion.distillation.visits.read_tensors", reading)
    taught(make_job(undisturbed), tmp_path / "out")
    ways = [name for name in read if "/trajectories/" in name]
    assert len(ways) == len(set(ways)) == 3 * 2 + 1
    assert files(tmp_path / "out") == files(undisturbed / "out")


@pytest.mark.parametrize(
    ("asked", "whole"),
    [(9, [True, True]), (69, [False, True]), (117, [False, False])],
    ids=["following", "first student", "second course"],
)
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(
    undisturbed: Path, make_job: MakeJob, tmp_path: Path, asked: int, whole: list[bool]
) -> None:
    questions = 0

    def stop() -> bool:
        nonlocal questions
        questions += 1
        return questions == asked

    with pytest.raises(Stopped):
        taught(make_job(tmp_path), tmp_path / "out", stop)
    before = items(tmp_path, "trajectories")
    students = taught(make_job(tmp_path), tmp_path / "out")
    told = [bool(student.training_seconds) for student in students]
    assert told == whole, "of those alone that were trained whole after the stop"
    assert files(tmp_path / "out") == files(undisturbed / "out")
    after = items(tmp_path, "trajectories")
    assert {name: after[name] for name in before} == before, "nothing was followed twice"
    assert not list((tmp_path / "work").rglob("step-*"))


@pytest.mark.parametrize("kind", ["trajectories", "trainings", "visits"])
def test_killed_while_it_makes_something_it_goes_on_to_the_same_bytes(
    undisturbed: Path, make_job: MakeJob, tmp_path: Path, kind: str
) -> None:
    job = make_job(tmp_path)
    child = multiprocessing.get_context("fork").Process(target=taught, args=(job, tmp_path / "killed"))
    child.start()
    while child.is_alive() and not items(tmp_path, kind):
        time.sleep(0.01)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    taught(job, tmp_path / "out")
    assert files(tmp_path / "out") == files(undisturbed / "out")


def test_a_damaged_trajectory_is_named(undisturbed: Path, make_job: MakeJob, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "store", tmp_path / "store")
    name = sorted(items(tmp_path, "trajectories"))[0]
    path = tmp_path / "store" / "cache" / "trajectories" / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match=path.name):
        taught(make_job(tmp_path), tmp_path / "out")
    path.unlink()
    taught(make_job(tmp_path), tmp_path / "out")
    assert files(tmp_path / "out") == files(undisturbed / "out")


def test_further_students_follow_the_same_teachers_ways(undisturbed: Path, make_job: MakeJob, tmp_path: Path) -> None:
    ways, trainings = items(undisturbed, "trajectories"), items(undisturbed, "trainings")
    taught(make_job(undisturbed, turbo={"step_counts": (2,)}), tmp_path / "fewer")
    assert items(undisturbed, "trajectories") == ways
    assert items(undisturbed, "trainings") == trainings
    assert files(tmp_path / "fewer")[weights_file(2)] == files(undisturbed / "out")[weights_file(2)]


@pytest.mark.parametrize(
    ("spec", "precision"),
    [
        (LoraAdapter(kind="lora", rank=2, alpha=4), "bfloat16"),
        (LoraAdapter(kind="lora", rank=2, alpha=4, dora=True), "bfloat16"),
        (LokrAdapter(kind="lokr", factor=(4, 4)), "bfloat16"),
        (LokrAdapter(kind="lokr", factor=(4, 4)), "float32"),
    ],
    ids=["LoRA", "DoRA", "LoKr", "LoKr in full"],
)
def test_whatever_adapter_teaches_students_are_what_their_files_say(
    undisturbed: Path, make_job: MakeJob, tmp_path: Path, spec: Adapter, precision: str
) -> None:
    shutil.copytree(undisturbed / "store", tmp_path / "store")
    before = items(tmp_path, "trajectories")
    other = random_adapter(tmp_path / "other.safetensors", spec, seed=1)
    job = make_job(tmp_path, turbo={"step_counts": (2,), "visited_steps": 0}, precision=precision, adapter=other)
    students = taught(job, tmp_path / "out")
    assert all(check.passed for check in judge_students(students)), students
    assert len(items(tmp_path, "trajectories")) == 2 * len(before), "another teacher's ways are others"
    assert header_of_student(job, other)["worn_on"] == hash_file(other)


def test_other_words_in_the_adapters_header_teach_nothing_else(
    undisturbed: Path, make_job: MakeJob, adapter: Path, tmp_path: Path
) -> None:
    renamed = tmp_path / "chosen.safetensors"
    with safe_open(adapter, framework="pt") as file:
        metadata = {**file.metadata(), "chosen_by": "ann", "chosen_why": "calmer"}
        save_file({name: file.get_tensor(name) for name in file.keys()}, renamed, metadata)  # noqa: SIM118
    shutil.copytree(undisturbed / "store", tmp_path / "store")
    kinds = ("trajectories", "visits", "trainings")
    before = [items(tmp_path, kind) for kind in kinds]
    taught(make_job(tmp_path, adapter=renamed), tmp_path / "out")
    assert [items(tmp_path, kind) for kind in kinds] == before
    assert (
        read_header(tmp_path / "out" / weights_file(2)).keys()
        == read_header(undisturbed / "out" / weights_file(2)).keys()
    )


def test_a_second_course_that_does_harm_is_not_taken(make_job: MakeJob, tmp_path: Path) -> None:
    turbo = {"step_counts": (2,), "visited_steps": 2, "optimizer": AdamW(lr=0.03), "steps": 2, "checkpoint_every": 1}
    (student,) = taught(make_job(tmp_path, turbo=turbo), tmp_path / "out")
    assert student.chosen_step == 2, "the last of the first course"
    assert all(point.held_out_loss > student.held_out_loss for point in student.curve[3:])  # type: ignore[operator]


def test_worn_on_the_adapter_it_adds_to_it(undisturbed: Path, adapter: Path, mini_base: Path) -> None:
    family = get_family("flux")
    denoiser: Any = family.load_denoiser(mini_base, device="cpu", dtype=torch.float32)
    rng = torch.Generator().manual_seed(0)
    x, t = torch.randn(1, 8, 12, 20, generator=rng), torch.tensor([0.8])
    asked = {
        "prompt_embeds": torch.randn(1, 6, 96, generator=rng),
        "pooled_prompt_embeds": torch.randn(1, 64, generator=rng),
    }
    student = undisturbed / "out" / weights_file(1)

    def predicted(*stack: Path) -> torch.Tensor:
        for path in stack:
            check_fit(path, denoiser, family.role)
        load_stack(denoiser, stack)
        with torch.no_grad():
            found = family.predict(denoiser, x, t, asked, 1.0)
        remove_adapter(denoiser)
        return found

    bare, one, both = predicted(), predicted(adapter), predicted(adapter, student)
    other_way = predicted(student, adapter)
    torch.testing.assert_close(both, other_way, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(both, one, atol=1e-3)
    assert torch.equal(bare, predicted()), "nothing is left behind"


def test_where_no_still_is_held_out_other_noise_judges(make_job: MakeJob, tmp_path: Path) -> None:
    learned = tuple(row for row in make_job(tmp_path).prompts if row.split != "validation")
    taught(make_job(tmp_path, turbo={"step_counts": (1,), "steps": 2}, prompts=learned), tmp_path / "out")
    assert len(items(tmp_path, "trajectories")) == 3 * (2 + 1)


def test_without_prompts_it_says_so(make_job: MakeJob, tmp_path: Path) -> None:
    none = tuple(row for row in make_job(tmp_path).prompts if row.split != "train")
    with pytest.raises(TrainingError, match="captions of nolan: include none to learn from"):
        taught(make_job(tmp_path, prompts=none), tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher_steps": 20}, "several times 8"),
        ({"teacher_steps": 8}, "several times 8"),
        ({"step_counts": (2, 2)}, "two are the same"),
        ({"step_counts": (3,)}, "step_counts"),
        ({"adapter": {"kind": "lora", "rank": 2, "alpha": 2, "dora": True}}, "magnitudes have no meaning"),
        ({"steps": 1}, "warmup_steps 1 must be below steps 1"),
    ],
)
def test_specs_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SegmentTurbo.model_validate({**TURBO.model_dump(), **changes})
