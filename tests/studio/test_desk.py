"""The desk: adapters swapped in one pipeline draw as fresh pipelines do, to the last bit."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from director_diffusion.catalog import load_catalog
from director_diffusion.distillation.rows import weights_file
from director_diffusion.errors import OrderError, QueueFullError
from director_diffusion.families import painter_of
from director_diffusion.sampling.samplers import few_steps, plan_sampler
from director_diffusion.specs import Base
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.studio import desk as desk_module
from director_diffusion.studio.slot import Slot
from director_diffusion.studio.studio import Layer, Order, Studio
from director_diffusion.training.rows import WEIGHTS
from tests.studio.conftest import RECIPE

WORDS, SEED, STEPS = "a red car", 3, 2
NOLAN, FINCHER = "nolan style", "fincher style"


def drawn(studio: Studio, *layers: Layer, turbo: bool = False) -> np.ndarray:
    (picture,) = studio.desk.draw([Order(RECIPE, layers, WORDS, SEED, STEPS, turbo)])
    return np.asarray(picture.image)


def mini(studio: Studio) -> Base:
    return load_catalog(Path(studio.store.root).with_name("configs")).bases["mini"]


def fresh(
    studio: Studio, folder: Path, prompt: str, *files: Path, strengths: Any = None, few: bool = False
) -> np.ndarray:
    """What a pipeline draws that has worn nothing else."""
    (plan,), base = studio.plans.values(), mini(studio)
    sampler = plan_sampler(plan, base)
    painter = painter_of(base, folder, device="cpu")
    if files:
        painter.attach(*files, strengths=strengths)
    (image,) = painter.draw([prompt], [SEED], **vars(few_steps(sampler, base, 2) if few else sampler))
    return np.asarray(image)


def weights(studio: Studio, director: str) -> Path:
    return latest_artifact(studio.store, (RECIPE, "adapter"), director).path(WEIGHTS)


def test_every_arm_is_a_fresh_pipelines_to_the_last_bit(
    studio: Studio, mini_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nolan, fincher = weights(studio, "nolan"), weights(studio, "fincher")
    student = latest_artifact(studio.store, (RECIPE, "turbo_adapter"), "nolan").path(weights_file(2))
    both = (Layer("nolan", 0.5), Layer("fincher", -0.25))
    first = drawn(studio, Layer("nolan"))
    monkeypatch.setattr("director_diffusion.families.painter_of", None)  # from here on, nothing is loaded
    got = {
        "fincher": drawn(studio, Layer("fincher")),
        "blend": drawn(studio, *both),
        "turbo": drawn(studio, Layer("nolan"), turbo=True),
        "base": drawn(studio),
        "weak": drawn(studio, Layer("nolan", 0.5)),
        "none": drawn(studio, Layer("nolan", 0.0)),
        "nolan": drawn(studio, Layer("nolan")),
    }
    told, blend = f"{NOLAN}, {WORDS}", f"{NOLAN}, {FINCHER}, {WORDS}"
    expected = {
        "fincher": fresh(studio, mini_base, f"{FINCHER}, {WORDS}", fincher),
        "blend": fresh(studio, mini_base, blend, nolan, fincher, strengths=(0.5, -0.25)),
        "turbo": fresh(studio, mini_base, told, nolan, student, few=True),
        "base": fresh(studio, mini_base, WORDS),
        "weak": fresh(studio, mini_base, told, nolan, strengths=(0.5,)),
        "none": fresh(studio, mini_base, told),
        "nolan": fresh(studio, mini_base, told, nolan),
    }
    assert {name: np.array_equal(got[name], expected[name]) for name in got} == dict.fromkeys(got, True)
    assert np.array_equal(first, got["nolan"])
    assert len({picture.tobytes() for picture in got.values()}) == len(got)


def test_one_base_is_in_memory(studio: Studio, mini_base: Path) -> None:
    loaded: list[str] = []
    other = studio.recipes[RECIPE].model_copy(update={"slug": "other", "base": "twin"})
    twin = mini(studio).model_copy(update={"slug": "twin"})
    desk = desk_module.OneDesk(
        studio.store,
        studio.directors,
        {RECIPE: studio.recipes[RECIPE], "other": other},
        {"mini": mini(studio), "twin": twin},
        next(iter(studio.plans.values())),
        lambda base: loaded.append(base.slug) or mini_base,  # type: ignore[func-returns-value]
        device="cpu",
        limits=studio.limits,
    )
    pictures = [desk.draw([Order(recipe, (), WORDS, SEED, 1)])[0] for recipe in (RECIPE, "other", "other", RECIPE)]
    assert loaded == ["mini", "twin", "twin", "mini"]
    assert len({picture.image.tobytes() for picture in pictures}) == 1


def test_what_is_not_there_is_refused(studio: Studio) -> None:
    assert list(studio.desk.directors(RECIPE)) == ["nolan", "fincher"]
    assert studio.desk.students(RECIPE, "nolan") == (2,)
    with pytest.raises(OrderError, match="no adapter of this recipe"):
        drawn(studio, Layer("villeneuve"))
    with pytest.raises(OrderError, match=r"no student draws in 2 steps.*: none"):
        drawn(studio, Layer("fincher"), turbo=True)
    with pytest.raises(OrderError, match=r"prompt: has .* tokens"):
        studio.desk.draw([Order(RECIPE, (), "car " * 40, SEED, STEPS)])


def test_the_store_is_asked_before_the_line_and_only_of_who_is_drawn(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(studio, Layer("fincher"))
    asked: list[str] = []
    read_those, desk = type(studio.store).read_those, cast(desk_module.OneDesk, studio.desk)

    def noted(store: Store, names: Iterable[str]) -> dict[str, bytes]:
        asked.extend(names)
        assert not desk._slot._line, "nobody waits for the store"
        return read_those(store, names)

    monkeypatch.setattr(type(studio.store), "read_those", noted)
    drawn(studio, Layer("fincher"))
    assert asked
    assert all("fincher" in name for name in asked)


def test_the_line_is_served_in_order_and_has_an_end() -> None:
    slot, served, release = Slot(waiting=2, wait_s=30), list[int](), threading.Event()

    def wait(number: int) -> None:
        with slot.taken():
            release.wait()
            served.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(slot._line) <= number:
            pass
    with pytest.raises(QueueFullError, match="queue full: 2 are waiting"), slot.taken():
        pass
    release.set()
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2]
    hurried = Slot(waiting=2, wait_s=0.01)
    with hurried.taken(), pytest.raises(QueueFullError, match="no turn"), hurried.taken():
        pass
    with hurried.taken():  # who gave up has left the line
        pass
