"""The prior: pictures by the bare base, as a training reads stills."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from director_diffusion.adapters.injection import inject_adapter
from director_diffusion.captions.rows import Caption
from director_diffusion.errors import TrainingError
from director_diffusion.families import get_family
from director_diffusion.latents.load import load_posteriors
from director_diffusion.latents.pixels import to_tensor
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prior.make import make_prior
from director_diffusion.prior.pictures import plan_pictures
from director_diffusion.progress import Silent
from director_diffusion.prompts.load import load_prompts
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Prior, Resolution
from director_diffusion.stills.rows import Still
from director_diffusion.storage.store import Store
from director_diffusion.tables import read_table
from director_diffusion.training.batches import TrainingBatches
from director_diffusion.training.data import load_dataset
from director_diffusion.training.state import TrainingState
from director_diffusion.training.trainee import load_trainee
from tests.training.trainings import BASE, RECIPE, WIDE, Dataset, make_dataset, varied

RESOLUTION = Resolution(side=32, multiple=8, aspects=(2.0, 1.0))
PRIOR = Prior(pictures=5, steps=2, weight=0.6, seed=7)


def still(number: int, split: str, width: int, height: int) -> Still:
    return Still(
        f"s{number}", "film", f"{number}.jpg", "", "kept", "", (), split, width, height, (), "", "", "0" * 16, 0,  # type: ignore[arg-type]
    )  # fmt: skip


def caption(number: int, split: str, text: str) -> Caption:
    return Caption(f"s{number}", "film", f"{number}.jpg", split, text, "person", "ok", (), 0, 9)  # type: ignore[arg-type]


STILLS = [
    still(0, "train", 100, 50),
    still(1, "train", 80, 80),
    still(2, "train", 90, 90),
    still(3, "validation", 80, 80),
]
CAPTIONS = [
    caption(0, "train", "a red car on a street"),
    caption(1, "train", "two houses on grass"),
    caption(2, "train", ""),
    caption(3, "validation", "a tower at night"),
]


def test_pictures_are_of_captioned_train_stills_in_their_buckets() -> None:
    pictures = plan_pictures(STILLS, CAPTIONS, PRIOR, RESOLUTION)
    assert [picture.name for picture in pictures] == [f"prior-{number:03d}" for number in range(5)]
    assert {(one.full_prompt, one.bucket.width, one.bucket.height) for one in pictures} == {
        ("a red car on a street", 48, 24),
        ("two houses on grass", 32, 32),
    }
    assert len({one.seed for one in pictures}) == 5, "no picture twice"
    assert plan_pictures(STILLS, CAPTIONS, PRIOR, RESOLUTION) == pictures
    orders = {
        tuple(one.full_prompt for one in plan_pictures(STILLS, CAPTIONS, Prior(seed=seed, pictures=2), RESOLUTION))
        for seed in range(8)
    }
    assert len(orders) == 2, "which of many captions are drawn is the seed's"


def test_no_caption_to_draw_is_refused() -> None:
    with pytest.raises(TrainingError, match="finds no train still with a caption"):
        plan_pictures(STILLS, CAPTIONS[2:], PRIOR, RESOLUTION)


def test_pictures_become_latents_and_prompts_as_stills_do(tmp_path: Path, mini_base: Path) -> None:
    store = Store(str(tmp_path / "store"))
    base = BASE.model_copy(update={"resolution": RESOLUTION, "max_prompt_tokens": 32})

    def make(name: str, prior: Prior = PRIOR) -> tuple[list[LatentRow], list[PromptRow]]:
        (tmp_path / name).mkdir()
        made = make_prior(
            STILLS, CAPTIONS, base, prior, mini_base,
            base_fingerprint="mini", store=store, device="cpu", out=tmp_path / name, progress=Silent(),
        )  # fmt: skip
        assert all(store.exists(reference) for reference in made.references)
        latents = read_table(tmp_path / name / "latents.parquet", LatentRow)
        assert tuple(latents) == made.latents
        return latents, read_table(tmp_path / name / "prompts.parquet", PromptRow)

    latents, prompts = make("first")
    names = [f"prior-{number:03d}" for number in range(5)]
    assert [row.still for row in latents] == [row.still for row in prompts] == names
    assert {row.split for row in (*latents, *prompts)} == {"prior"}
    assert {row.cropped for row in latents} == {0.0}
    assert {row.prompt for row in prompts} == {"a red car on a street", "two houses on grass"}, "no trigger"

    # The bare base's own painter and codec give the same by hand.
    family = get_family("flux")
    painter = family.load_painter(
        mini_base, device="cpu", dtype=torch.float32, guidance_kind="classifier_free", max_tokens=32
    )
    third = plan_pictures(STILLS, CAPTIONS, PRIOR, RESOLUTION)[2]
    size = {"width": third.bucket.width, "height": third.bucket.height}
    (image,) = painter.draw([third.full_prompt], [third.seed], steps=2, guidance=BASE.guidance.sample, **size)
    mean, std = family.load_codec(mini_base, device="cpu").encode(to_tensor(image)[None])
    found_mean, found_std = load_posteriors(latents, store)["prior-002"]
    torch.testing.assert_close(found_mean, mean[0], atol=2e-2, rtol=1e-2)  # a pixel may round the other way
    torch.testing.assert_close(found_std, std[0], atol=2e-2, rtol=1e-2)
    encoder = family.load_prompt_encoder(mini_base, device="cpu", dtype=torch.float32, max_tokens=32)
    (embedded,) = encoder.encode([third.full_prompt])
    found = load_prompts([prompts[2]], store)[prompts[2].item]
    torch.testing.assert_close(found["prompt_embeds"], embedded["prompt_embeds"], atol=1e-5, rtol=1e-4)

    before = {path: path.stat().st_mtime_ns for path in Path(store.full("cache")).rglob("*") if path.is_file()}
    assert make("again")[0] == latents
    assert make("heavier", PRIOR.model_copy(update={"weight": 2.0}))[0] == latents
    after = {path: path.stat().st_mtime_ns for path in Path(store.full("cache")).rglob("*") if path.is_file()}
    assert after == before, "nothing is drawn or encoded twice"
    more = make("more", PRIOR.model_copy(update={"pictures": 7}))[0]
    assert more[:5] == latents
    assert len(more) == 7


# --- in the training ---------------------------------------------------------------------------------------------


def with_prior(dataset: Dataset, count: int) -> Dataset:
    """The same data with some prior pictures beside."""
    stills = [(f"prior-{number:03d}", "train", WIDE) for number in range(count)]
    made = make_dataset(dataset.store, [(f"wide{i}", "train", WIDE) for i in range(4)] + stills)  # type: ignore[list-item]

    def renamed(rows: list, kind: type) -> list:  # type: ignore[type-arg]
        return [kind(**{**vars(row), "split": "prior"}) for row in rows if row.still.startswith("prior-")]

    return Dataset(
        dataset.store,
        [*dataset.latents, *renamed(made.latents, LatentRow)],
        [*dataset.prompts, *renamed(made.prompts, PromptRow)],
    )


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_gradient_is_dreambooths(tmp_path: Path, mini_base: Path, accumulation: int) -> None:
    """diffusers' train_dreambooth: `loss = loss + args.prior_loss_weight * prior_loss`, means over each half, divided
    by the accumulation steps in `accelerator.backward`."""
    stills = [*((f"wide{i}", "train", WIDE) for i in range(4)), ("held", "validation", WIDE)]
    dataset = with_prior(make_dataset(Store(str(tmp_path)), stills), 3)  # type: ignore[arg-type]
    recipe = varied(RECIPE, prior={"pictures": 3, "weight": 0.6}, gradient_accumulation=accumulation, steps=3)
    accelerator = Accelerator(cpu=True)
    trainee = load_trainee(BASE, recipe, mini_base, accelerator)
    torch.manual_seed(0)
    inject_adapter(
        trainee.denoiser, recipe.adapter, trainee.family.target_modules(trainee.denoiser, recipe.adapter.targets)
    )
    data = load_dataset(dataset.latents, dataset.prompts, dataset.store, trainee.family)
    assert {sample.still for sample in data.prior} == {"prior-000", "prior-001", "prior-002"}
    assert not {sample.still for sample in data.train} & {sample.still for sample in data.prior}
    batches = list(TrainingBatches(data, recipe, trainee.process).of_step(0))
    instances = [batch for batch in batches if not batch.stills[0].startswith("prior-")]
    priors = [batch for batch in batches if batch.stills[0].startswith("prior-")]
    assert len(instances) == len(priors) == accumulation

    state = TrainingState(trainee, recipe, Silent())
    trainee.denoiser.train()
    total = torch.zeros(())
    for instance, prior in zip(instances, priors, strict=True):
        loss = trainee.losses(instance).mean() + 0.6 * trainee.losses(prior).mean()
        (loss / accumulation).backward()
        total += loss.detach() / accumulation
    expected = torch.nn.utils.get_total_norm([p.grad for p in state.parameters])
    for parameter in state.parameters:
        parameter.grad = None
    state.learn(batches, ["still"])
    state.curve.read()
    (point,) = state.curve.points
    assert point.loss == pytest.approx(total.item(), rel=1e-5)
    assert point.grad_norm == pytest.approx(expected.item(), rel=1e-5)


def test_the_prior_leaves_the_stills_batches_as_they_are(tmp_path: Path, mini_base: Path) -> None:
    stills = [*((f"wide{i}", "train", WIDE) for i in range(4)), ("held", "validation", WIDE)]
    plain = make_dataset(Store(str(tmp_path)), stills)  # type: ignore[arg-type]
    family = get_family("flux")

    def batches(dataset: Dataset, recipe: object) -> list[tuple[str, ...]]:
        data = load_dataset(dataset.latents, dataset.prompts, dataset.store, family)
        made = TrainingBatches(data, recipe, family.process(mini_base))  # type: ignore[arg-type]
        return [batch.stills for step in range(3) for batch in made.of_step(step)]

    alone = batches(plain, RECIPE)
    beside = batches(with_prior(plain, 3), varied(RECIPE, prior={"pictures": 3}))
    assert [stills for stills in beside if not stills[0].startswith("prior-")] == alone
    assert len(beside) == 2 * len(alone)
