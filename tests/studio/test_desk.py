"""The desk: adapters swapped in one pipeline draw as fresh pipelines do, to the last bit."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import save

from director_diffusion.catalog import load_catalog
from director_diffusion.distillation.rows import weights_file
from director_diffusion.errors import DevicesBusyError, OrderError, QueueFullError
from director_diffusion.families import painter_of
from director_diffusion.sampling.samplers import few_steps, plan_sampler
from director_diffusion.specs import Base, Recipe
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.studio import desk as desk_module
from director_diffusion.studio.slot import Slot
from director_diffusion.studio.studio import Layer, Order, Studio
from director_diffusion.training.rows import WEIGHTS
from tests.lineages import Lineage
from tests.studio.conftest import RECIPE

WORDS, SEED, STEPS = "a red car", 3, 2
NOLAN, FINCHER = "nolan style", "fincher style"


def drawn(studio: Studio, *layers: Layer, turbo: bool = False) -> np.ndarray:
    (picture,) = studio.desk.draw([Order(RECIPE, layers, WORDS, SEED, STEPS, turbo)], "ann")
    return np.asarray(picture.image)


def mini(studio: Studio) -> Base:
    return load_catalog(Path(studio.store.files.root).with_name("configs")).bases["mini"]


def desk_of(
    studio: Studio,
    folder: Callable[[Base], Path],
    *,
    store: Store | None = None,
    recipes: Mapping[str, Recipe] | None = None,
    bases: Mapping[str, Base] | None = None,
    lend: Callable[[], AbstractContextManager[str]] = lambda: nullcontext("cpu"),
    idle_s: float | None = None,
) -> desk_module.OneDesk:
    """A desk of the test's own, with what the studio has but for what is given."""
    return desk_module.OneDesk(
        store or studio.store,
        studio.directors,
        recipes or studio.recipes,
        bases or {"mini": mini(studio)},
        studio.plan,
        folder,
        lend=lend,
        limits=studio.limits,
        idle_s=idle_s,
    )


def fresh(
    studio: Studio, folder: Path, prompt: str, *files: Path, strengths: Any = None, few: bool = False
) -> np.ndarray:
    """What a pipeline draws that has worn nothing else."""
    base = mini(studio)
    sampler = plan_sampler(studio.plan, base)
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
    desk = desk_of(
        studio,
        lambda base: loaded.append(base.slug) or mini_base,  # type: ignore[func-returns-value]
        recipes={RECIPE: studio.recipes[RECIPE], "other": other},
        bases={"mini": mini(studio), "twin": twin},
    )
    pictures = [
        desk.draw([Order(recipe, (), WORDS, SEED, 1)], "ann")[0] for recipe in (RECIPE, "other", "other", RECIPE)
    ]
    assert loaded == ["mini", "twin", "twin", "mini"]
    assert len({picture.image.tobytes() for picture in pictures}) == 1


def test_a_lent_device_is_kept_while_people_draw_and_given_back_afterwards(studio: Studio, mini_base: Path) -> None:
    had: list[str] = []

    @contextmanager
    def lend() -> Iterator[str]:
        had.append("lent")
        yield "cpu"
        had.append("given back")

    desk = desk_of(studio, lambda base: mini_base, lend=lend, idle_s=1.0)
    order = [Order(RECIPE, (), WORDS, SEED, 1)]
    desk.draw(order, "ann")
    desk.draw(order, "ann")
    assert had == ["lent"]
    deadline = time.monotonic() + 20
    while had != ["lent", "given back"]:
        assert time.monotonic() < deadline, had
        time.sleep(0.05)
    assert desk._opened is None, "the base's memory is free"
    desk.draw(order, "ann")
    assert had == ["lent", "given back", "lent"]


def test_who_draws_while_every_device_is_taken_is_asked_to_come_again(studio: Studio, mini_base: Path) -> None:
    @contextmanager
    def lend() -> Iterator[str]:
        raise DevicesBusyError("1 GPU for director app", "did not become free in 1 s", "Try again later.")
        yield ""

    desk = desk_of(studio, lambda base: mini_base, lend=lend)
    for _ in range(2):
        with pytest.raises(QueueFullError, match="others are at work on every GPU"):
            desk.draw([Order(RECIPE, (), WORDS, SEED, 1)], "ann")


def test_what_is_not_there_is_refused(studio: Studio) -> None:
    assert list(studio.desk.directors(RECIPE)) == ["nolan", "fincher"]
    assert studio.desk.students(RECIPE, "nolan") == (2,)
    with pytest.raises(OrderError, match="no adapter of this recipe"):
        drawn(studio, Layer("villeneuve"))
    with pytest.raises(OrderError, match="no adapter of this recipe"):
        studio.desk.students(RECIPE, "villeneuve")
    with pytest.raises(OrderError, match=r"no student draws in 2 steps.*: none"):
        drawn(studio, Layer("fincher"), turbo=True)
    with pytest.raises(OrderError, match=r"prompt: has .* tokens"):
        studio.desk.draw([Order(RECIPE, (), "car " * 40, SEED, STEPS)], "ann")


def test_the_store_is_asked_before_the_line_and_only_of_who_is_drawn(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(studio, Layer("fincher"))
    asked: list[str] = []
    read_those, desk = Store.read_those, cast(desk_module.OneDesk, studio.desk)

    def noted(store: Store, names: Iterable[str]) -> dict[str, bytes]:
        asked.extend(found := list(names))
        assert not desk._slot._line, "nobody waits for the store"
        return read_those(store, found)

    monkeypatch.setattr(Store, "read_those", noted)
    drawn(studio, Layer("fincher"))
    assert asked
    assert all("fincher" in name for name in asked)


def test_the_line_is_served_in_order_and_has_an_end() -> None:
    slot, served, release = Slot(waiting=2, each=2, wait_s=30), list[int](), threading.Event()

    def wait(number: int) -> None:
        with slot.taken("bob" if number else "ann"):
            release.wait()
            served.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(slot._line) <= number and not release.wait(0.01):
            pass
    with pytest.raises(QueueFullError, match="queue full: 2 are waiting"), slot.taken("ann"):
        pass
    release.set()
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2]
    hurried = Slot(waiting=2, each=2, wait_s=0.01)
    with hurried.taken("ann"), pytest.raises(QueueFullError, match="no turn"), hurried.taken("ann"):
        pass
    with hurried.taken("ann"):  # who gave up has left the line
        pass


def test_an_adapter_of_another_trigger_is_refused_with_the_way_out(studio: Studio, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    trained = save({"weight": torch.zeros(1)}, {"trigger": "nolan manner"})
    Lineage(store, "nolan").make((RECIPE, "adapter"), {}, files={WEIGHTS: trained})
    desk = desk_of(studio, lambda base: tmp_path, store=store)
    with pytest.raises(OrderError, match=r"another trigger.*starts it again, or makes the adapter again"):
        desk.draw([Order(RECIPE, (Layer("nolan"),), WORDS, SEED, STEPS)], "ann")
