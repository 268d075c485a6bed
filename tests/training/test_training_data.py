"""Batches: one bucket each, latents with their own captions, and randomness that depends on position alone."""

from collections import Counter

import pytest
import torch

from director_diffusion.errors import TrainingError
from director_diffusion.families import get_family
from director_diffusion.processes import Flow
from director_diffusion.storage.store import Store
from director_diffusion.training.batches import TrainingBatches, plan_batches
from director_diffusion.training.data import Batch, Sample, by_size, collate, generator, load_dataset, of_one_size
from director_diffusion.training.data import Dataset as Loaded
from tests.training.trainings import RECIPE, STILLS, TALL, WIDE, Dataset, Split, make_dataset, varied

FAMILY = get_family("flux")


@pytest.fixture
def loaded(dataset: Dataset) -> Loaded:
    return load_dataset(dataset.latents, dataset.prompts, dataset.store, FAMILY)


def batches_of(data: Loaded, steps: int = 60, **changes: object) -> list[list[Batch]]:
    recipe = varied(RECIPE, **{"steps": steps, **changes})
    batches = TrainingBatches(data, recipe, Flow(lambda cells: 1.5))
    return [list(batches.of_step(step)) for step in range(steps)]


def all_of(batches: list[list[Batch]]) -> list[Batch]:
    return [batch for step in batches for batch in step]


def test_splits_are_kept_apart(loaded: Loaded) -> None:
    assert [sample.still for sample in loaded.train] == ["wide0", "wide1", "wide2", "wide3", "tall0"]
    assert [sample.still for sample in loaded.held_out] == ["wide9", "tall9"]


def test_latents_stay_with_their_captions_under_shuffling(loaded: Loaded) -> None:
    """The fixture puts a still's number into the mean of its latents and of its prompt; noise adds little to it."""
    seen = set()
    for batch in all_of(batches_of(loaded, caption_dropout=0.0)):
        for i, still in enumerate(batch.stills):
            number = [name for name, _, _ in STILLS].index(still) + 1
            assert batch.latents[i].mean().item() == pytest.approx(number, abs=0.2)
            assert batch.conditions["prompt_embeds"][i].mean().item() == pytest.approx(number, abs=0.2)
            seen.add(still)
    assert seen == {sample.still for sample in loaded.train}


def test_a_batch_is_of_one_bucket_and_buckets_come_as_often_as_they_are_large(loaded: Loaded) -> None:
    batches = all_of(batches_of(loaded, steps=400))
    shapes = Counter(tuple(batch.latents.shape[-2:]) for batch in batches)
    assert set(shapes) == {WIDE, TALL}
    assert shapes[TALL] / len(batches) == pytest.approx(1 / 5, abs=0.06)
    # The only tall still fills its batches alone.
    assert {batch.stills for batch in batches if batch.latents.shape[-2:] == TALL} == {("tall0", "tall0")}
    assert all(batch.noise.shape == batch.latents.shape and batch.t.shape == (2,) for batch in batches)


def test_samples_of_two_buckets_cannot_be_put_together(loaded: Loaded) -> None:
    from director_diffusion.training.data import Drawn

    drawn = [
        Drawn(sample.still, sample.mean, sample.mean, 0.5, sample.prompt)
        for sample in (loaded.train[0], loaded.train[-1])
    ]
    with pytest.raises(TrainingError, match="stills wide0, tall0: mixes buckets: latents of 20 × 12 and 12 × 16 cells"):
        collate(drawn)


def test_every_still_is_seen_before_any_returns(loaded: Loaded) -> None:
    wide = by_size(loaded.train)[WIDE]
    (plan,) = [plan_batches([wide], batches=6, batch_size=2, seed=1)]
    stills = [sample.still for batch in plan for sample in batch]
    decks = [stills[start : start + 4] for start in (0, 4, 8)]
    assert all(sorted(deck) == ["wide0", "wide1", "wide2", "wide3"] for deck in decks)
    assert len({tuple(deck) for deck in decks}) > 1


def test_order_and_noise_depend_on_seed_and_step_alone(loaded: Loaded) -> None:
    whole = batches_of(loaded)
    recipe = varied(RECIPE, steps=60)
    later = TrainingBatches(loaded, recipe, Flow(lambda cells: 1.5))
    for step in (59, 17):  # asked for directly, and backwards
        for expected, found in zip(whole[step], later.of_step(step), strict=True):
            assert found.stills == expected.stills
            assert torch.equal(found.noise, expected.noise)
            assert torch.equal(found.latents, expected.latents)
            assert torch.equal(found.t, expected.t)
    other = batches_of(loaded, seed=4)
    assert [b.stills for b in all_of(other)] != [b.stills for b in all_of(whole)]
    noises = torch.stack([batch.noise[i, 0, 0, 0] for batch in all_of(whole) for i in range(2)])
    assert noises.unique().numel() == noises.numel()  # no two samples share their noise


def test_accumulated_batches_hold_the_samples_of_the_larger_batch(store: Store) -> None:
    dataset = make_dataset(store, [(f"s{i}", "train", WIDE) for i in range(5)] + [("h", "validation", WIDE)])
    data = load_dataset(dataset.latents, dataset.prompts, dataset.store, FAMILY)
    for large, small in zip(
        batches_of(data, steps=9, batch_size=4), batches_of(data, steps=9, gradient_accumulation=2), strict=True
    ):
        assert len(large) == 1
        assert len(small) == 2
        assert large[0].stills == small[0].stills + small[1].stills
        for name in ("latents", "noise", "t"):
            assert torch.equal(getattr(large[0], name), torch.cat([getattr(batch, name) for batch in small]))


def test_captions_are_dropped_at_their_share(loaded: Loaded) -> None:
    batches = all_of(batches_of(loaded, steps=300, caption_dropout=0.25))
    empty = loaded.empty_prompt["prompt_embeds"]
    dropped = [torch.equal(prompt, empty) for batch in batches for prompt in batch.conditions["prompt_embeds"]]
    assert sum(dropped) / len(dropped) == pytest.approx(0.25, abs=0.06)


def test_the_posterior_is_sampled(store: Store) -> None:
    from director_diffusion.training.data import draw_posterior

    sample = Sample("s", mean=torch.full((8, 32, 32), 3.0), std=torch.full((8, 32, 32), 0.5), prompt={}, sizes={})
    latents = draw_posterior(sample, generator("test"))
    assert latents.mean().item() == pytest.approx(3.0, abs=0.02)
    assert latents.std().item() == pytest.approx(0.5, abs=0.02)


def test_noise_levels_follow_the_shift_of_their_bucket(loaded: Loaded) -> None:
    recipe = varied(RECIPE, steps=200)
    shifts = {WIDE: 0.02, TALL: 50.0}
    batches = TrainingBatches(loaded, recipe, Flow(lambda cells: shifts[cells]))
    for step in range(200):
        for batch in batches.of_step(step):
            tall = batch.latents.shape[-2:] == TALL
            assert (batch.t > 0.5).all() if tall else (batch.t < 0.5).all()


@pytest.mark.parametrize(
    ("stills", "message"),
    [
        ([("a", "train", WIDE)], "stills: include none to choose its step by. Add stills of another film"),
        ([("a", "validation", WIDE)], "stills: include none to train on"),
        ([("a", "none", WIDE)], "stills: include none to train on"),
    ],
)
def test_a_missing_split_is_refused(
    store: Store, stills: list[tuple[str, Split, tuple[int, int]]], message: str
) -> None:
    dataset = make_dataset(store, stills)
    with pytest.raises(TrainingError, match=message):
        load_dataset(dataset.latents, dataset.prompts, dataset.store, FAMILY)


def test_a_still_without_its_prompt_is_named(dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match="still wide0: has no prompt embedding"):
        load_dataset(dataset.latents, dataset.prompts[1:], dataset.store, FAMILY)
    with pytest.raises(TrainingError, match="the empty prompt: has no embedding"):
        load_dataset(dataset.latents, dataset.prompts[:-1], dataset.store, FAMILY)


def test_batches_are_of_one_size_each_and_in_order() -> None:
    sizes = [(2, 3), (4, 4), (2, 3), (2, 3), (4, 4), (1, 1)]
    rows = [Sample(f"{n}", torch.zeros(1, *size), torch.zeros(1, *size), {}, {}) for n, size in enumerate(sizes)]
    assert [[row.still for row in some] for some in of_one_size(rows, 2)] == [["0", "2"], ["3"], ["1", "4"], ["5"]]
    assert list(of_one_size([], 2)) == []
