"""One training of several directors: as many samples of each, each under its own trigger, judged alike."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from director_diffusion.adapters.files import load_adapter
from director_diffusion.errors import EvaluationError, TrainingError
from director_diffusion.families import get_family
from director_diffusion.hashing import hash_folder
from director_diffusion.processes import Flow
from director_diffusion.progress import Silent
from director_diffusion.specs import Director
from director_diffusion.stills.learned import decode_learned
from director_diffusion.storage.store import Store
from director_diffusion.training.batches import TrainingBatches
from director_diffusion.training.data import Batch, Sample, load_dataset
from director_diffusion.training.header import check_trigger, joint_header_of, read_header
from director_diffusion.training.held_out import held_out_loss
from director_diffusion.training.joint import Rows, join
from director_diffusion.training.rows import WEIGHTS, TrainingResult
from director_diffusion.training.train import train_adapter
from director_diffusion.training.trainee import load_trainee
from tests.training.trainings import BASE, RECIPE, TALL, WIDE, Dataset, Split, make_dataset, make_job, train_at, varied

Train = Callable[..., TrainingResult]
OF: dict[str, list[tuple[str, Split, tuple[int, int]]]] = {
    "anderson": [*((f"a{i}", "train", WIDE) for i in range(12)), ("a-val", "validation", WIDE)],
    "fincher": [("f0", "train", WIDE), ("f1", "train", TALL), ("f2", "train", TALL), ("f-val", "validation", WIDE)],
    "nolan": [("n0", "train", WIDE), ("n-val", "validation", WIDE), ("n-val2", "validation", TALL)],
}
WHOSE = {still: slug for slug, stills in OF.items() for still, _, _ in stills}
PEOPLE = [Director(slug=slug, name=slug, trigger=f"{slug} style", stills_licence="none") for slug in OF]


@pytest.fixture
def all_of_them(store: Store) -> Dataset:
    """Of anderson twelve stills to train on, of fincher three in two buckets, of nolan one."""
    return make_dataset(store, [one for stills in OF.values() for one in stills])


def dealt(data: Dataset, steps: int, **changes: object) -> list[list[str]]:
    """Stills of each batch."""
    loaded = load_dataset(data.latents, data.prompts, data.store, get_family("flux"), directors=WHOSE)
    batches = TrainingBatches(loaded, varied(RECIPE, steps=steps, **changes), Flow(lambda cells: 1.5))
    return [list(batch.stills) for step in range(steps) for batch in batches.of_step(step)]


# --- the data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_each_director_has_as_many_samples_however_many_stills(all_of_them: Dataset, batch_size: int) -> None:
    steps = 720 // batch_size
    batches = dealt(all_of_them, steps, batch_size=batch_size)
    counts = Counter(WHOSE[still] for batch in batches for still in batch)
    assert sum(counts.values()) == 720
    for slug, count in counts.items():
        assert abs(count - 240) <= 2 * batch_size, f"{slug}: {counts}"
    stills = Counter(still for batch in batches for still in batch)
    assert all(stills[f"a{i}"] == pytest.approx(20, abs=1) for i in range(12)), "and each of its stills as often"
    assert all(stills[f"f{i}"] == pytest.approx(80, abs=2 * batch_size) for i in range(3))
    buckets = [{size for stills in OF.values() for still, _, size in stills if still in batch} for batch in batches]
    assert all(len(sizes) == 1 for sizes in buckets), "a batch is of one bucket"
    if batch_size > 1:
        mixed = [len({WHOSE[still] for still in batch}) for batch in batches]
        assert max(mixed) > 1, "batches mix directors"


def test_at_any_step_no_director_has_had_much_more_than_another(all_of_them: Dataset) -> None:
    wide = replace(all_of_them, latents=[row for row in all_of_them.latents if row.still not in ("f1", "f2")])
    order = [WHOSE[still] for batch in dealt(wide, 60, batch_size=1) for still in batch]
    for end in range(3, len(order) + 1, 3):
        assert set(Counter(order[:end]).values()) == {end // 3}, "rounds, each in an order of its own"
    assert len({tuple(order[start : start + 3]) for start in range(0, 60, 3)}) > 2


def test_order_and_noise_depend_on_seed_and_step_alone(all_of_them: Dataset) -> None:
    whole = dealt(all_of_them, 40)
    loaded = load_dataset(
        all_of_them.latents, all_of_them.prompts, all_of_them.store, get_family("flux"), directors=WHOSE
    )
    again = TrainingBatches(loaded, varied(RECIPE, steps=40), Flow(lambda cells: 1.5))
    for step in (39, 11):  # asked for directly, and backwards
        assert [list(batch.stills) for batch in again.of_step(step)] == [whole[step]]
    assert dealt(all_of_them, 40, seed=4) != whole
    for rank in (0, 1):
        part = TrainingBatches(loaded, varied(RECIPE, steps=40), Flow(lambda cells: 1.5), rank=rank, processes=2)
        assert [list(batch.stills) for batch in part.of_step(11)] == [whole[11][rank::2]]


def test_one_directors_order_is_as_ever(all_of_them: Dataset) -> None:
    own = [row for row in all_of_them.latents if WHOSE[row.still] == "anderson"]
    alone = replace(all_of_them, latents=own)
    loaded = load_dataset(alone.latents, alone.prompts, alone.store, get_family("flux"))
    batches = TrainingBatches(loaded, varied(RECIPE, steps=30), Flow(lambda cells: 1.5))
    assert dealt(alone, 30) == [list(batch.stills) for step in range(30) for batch in batches.of_step(step)]


def test_rows_are_joined_with_priors_apart_and_a_preview_of_each(all_of_them: Dataset) -> None:
    rows = {}
    for slug in OF:
        latents = [row for row in all_of_them.latents if WHOSE[row.still] == slug]
        prompts = [row for row in all_of_them.prompts if not row.still or WHOSE[row.still] == slug]
        prior = replace(latents[0], still="prior-000", split="prior")
        previews = [replace(prompts[0], still=f"preview {i}", split="preview", prompt=f"{slug} {i}") for i in (0, 1)]
        rows[slug] = Rows(
            [*latents, prior], [*prompts, replace(prompts[0], still="prior-000", split="prior"), *previews]
        )
    joined = join(rows)
    assert joined.directors == WHOSE
    assert {row.still for row in joined.latents if row.split == "prior"} == {f"{slug} prior-000" for slug in OF}
    assert [row.prompt for row in joined.prompts if row.split == "preview"] == [f"{slug} 0" for slug in OF]
    assert [row.still for row in joined.prompts].count("") == 1
    loaded = load_dataset(
        joined.latents,
        [row for row in joined.prompts if row.split != "preview"],
        all_of_them.store,
        get_family("flux"),
        directors=joined.directors,
    )
    assert (len(loaded.train), len(loaded.held_out), len(loaded.prior)) == (16, 4, 3)


def test_a_still_that_two_directors_bring_is_refused(all_of_them: Dataset) -> None:
    rows = {slug: Rows([row for row in all_of_them.latents if row.still == "a0"], []) for slug in ("fincher", "nolan")}
    with pytest.raises(TrainingError, match="still a0 of film: is brought by fincher and by nolan"):
        join(rows)


# --- what is judged ----------------------------------------------------------------------------------------------


def test_the_held_out_loss_is_the_mean_of_the_directors() -> None:
    losses = {"a-val": 1.0, "n-val": 2.0, "n-val2": 4.0}
    batches = [SimpleNamespace(stills=("a-val", "n-val")), SimpleNamespace(stills=("n-val2", "a-val"))]
    trainee = SimpleNamespace(
        denoiser=torch.nn.Identity(),
        accelerator=SimpleNamespace(process_index=0, num_processes=1),
        losses=lambda batch: torch.tensor([losses[still] for still in batch.stills]),
    )
    assert held_out_loss(trainee, batches, WHOSE) == (1.0 + (2.0 + 4.0) / 2) / 2  # type: ignore[arg-type]
    assert held_out_loss(trainee, batches) == (1.0 + 2.0 + 4.0 + 1.0) / 4  # type: ignore[arg-type]


# --- the training ------------------------------------------------------------------------------------------------


class KilledError(Exception):
    """Stands for a kill: nothing of ours catches it."""


class KillAfter(Silent):
    def __init__(self, steps: int):
        self._left = steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._left -= steps
        if self._left <= 0:
            raise KilledError


def test_killed_it_ends_in_the_same_bytes_and_tells_whose_stills_it_knows(all_of_them: Dataset, tmp_path: Path) -> None:
    recipe = varied(RECIPE, steps=4)
    of_several = {"directors": WHOSE, "pickable": False}
    result = train_at(tmp_path / "whole", all_of_them, recipe, **of_several)
    assert (result.train_stills, result.held_out_stills) == (16, 4)
    with pytest.raises(KilledError):
        train_at(tmp_path / "killed", all_of_them, recipe, progress=KillAfter(3), **of_several)
    assert train_at(tmp_path / "killed", all_of_them, recipe, **of_several).resumed_from == 2
    whole = tmp_path / "whole" / "out"
    assert hash_folder(tmp_path / "killed" / "out") == hash_folder(whole)
    learned = decode_learned((whole / "learned.json").read_bytes())
    assert learned == {slug: {still: split for still, split, _ in stills} for slug, stills in OF.items()}

    job = make_job(all_of_them, recipe, tmp_path, **of_several)
    other = make_job(all_of_them, recipe, tmp_path, directors={**WHOSE, "a0": "nolan"})
    plain = make_job(all_of_them, recipe, tmp_path)
    assert job.identity.short == result.training
    assert len({one.identity.short for one in (job, other, plain)}) == 3


def test_one_file_answers_to_each_trigger_in_its_own_way(store: Store, tmp_path: Path, mini_base: Path) -> None:
    """Two directors whose latents lie apart: loaded as users do, each one's prompts lead towards its own."""
    splits: tuple[Split, ...] = ("train", "train", "validation")
    stills = [(f"{slug}{i}", split, TALL) for slug in ("fincher", "nolan") for i, split in enumerate(splits)]
    whose = {still: still[:-1] for still, _, _ in stills}
    data = make_dataset(store, stills)
    recipe = varied(RECIPE, steps=30, checkpoint_every=30, batch_size=4, caption_dropout=0.0)
    people = [person for person in PEOPLE if person.slug != "anderson"]
    job = make_job(data, recipe, tmp_path / "work", director="", directors=whose, pickable=False)
    (tmp_path / "out").mkdir()
    train_adapter(job, out=tmp_path / "out", metadata=joint_header_of(job, people), progress=Silent())

    file = tmp_path / "out" / WEIGHTS
    header = read_header(file)
    assert json.loads(header["triggers"]) == {"fincher": "fincher style", "nolan": "nolan style"}
    assert header["prompt_template"] == "{trigger}, {prompt}"
    for person in people:
        check_trigger(file, person)
    with pytest.raises(EvaluationError, match="knows fincher, nolan, and not anderson"):
        check_trigger(file, PEOPLE[0])
    with pytest.raises(EvaluationError, match="was trained with the trigger 'nolan style', and nolan's is 'other'"):
        check_trigger(file, people[1].model_copy(update={"trigger": "other"}))

    loaded = load_dataset(job.latents, job.prompts, store, get_family("flux"), directors=whose)
    trainee = load_trainee(BASE, recipe, mini_base, Accelerator(cpu=True))
    trainee.denoiser.eval()

    def predicted(sample: Sample) -> float:
        """Mean of the latents that are read out of the same pure noise, under the sample's prompt."""
        noise = torch.randn(1, *sample.mean.shape, generator=torch.Generator().manual_seed(5))
        conditions = {name: tensor[None] for name, tensor in {**sample.prompt, **sample.sizes}.items()}
        batch = Batch((sample.still,), torch.zeros_like(noise), noise, torch.ones(1), conditions)
        with torch.no_grad():
            return (noise - trainee.predict(batch)).mean().item()

    def apart() -> float:
        levels = {one.director: predicted(one) for one in loaded.held_out}
        return levels["nolan"] - levels["fincher"]

    bare = apart()
    load_adapter(trainee.denoiser, file)
    assert apart() > bare + 0.4
