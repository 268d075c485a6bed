"""Memory: activations that fit a budget at the same gradients, and what to do where memory ran out."""

import resource
import weakref
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from diffusers import ModelMixin, UNet2DConditionModel
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from director_diffusion.adapters.injection import adapter_parameters, inject_adapter
from director_diffusion.errors import TrainingError
from director_diffusion.families.flux import FluxFamily
from director_diffusion.specs import Adapter, LokrAdapter, LoraAdapter, Recipe
from director_diffusion.storage.store import Store
from director_diffusion.training.batches import TrainingBatches
from director_diffusion.training.data import Batch, load_dataset
from director_diffusion.training.memory import (
    Activations,
    blocks_to_recompute,
    knobs,
    measure_activations,
    recompute,
)
from director_diffusion.training.rows import TrainingResult
from director_diffusion.training.trainee import Trainee, load_trainee
from tests.conftest import MINI
from tests.tiny_project import CHILDREN
from tests.training.trainings import BASE, RECIPE, STILLS, Dataset, make_dataset, train_at, varied

Train = Callable[..., TrainingResult]
MIB = 2**20

LORA = LoraAdapter(kind="lora", rank=2, alpha=6, dropout=0.3)
LATE = LoraAdapter(kind="lora", rank=2, alpha=6, targets="late_single_blocks")
LOKR = LokrAdapter(kind="lokr", factor=(4, 4), dropout=0.3)
BLOCKS = 6  # of the mini base: one double, five single


class LiveBytes(TorchDispatchMode):
    """Counts, from outside autograd, the bytes of all tensors that were made inside and still live."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak, self._known = 0, 0, set[int]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        taken = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in taken | self._known:
                    self._known.add(storage._cdata)
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._drop, storage._cdata, storage.nbytes())
        return result

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class Case:
    """A trainee of the mini base with an adapter that has learned something, and its largest batch."""

    def __init__(self, dataset: Dataset, adapter: Adapter, **changes: object):
        self.recipe = varied(RECIPE, adapter=adapter.model_dump(), batch_size=4, **changes)
        self.trainee = trainee_of(self.recipe)
        data = load_dataset(dataset.latents, dataset.prompts, dataset.store, self.trainee.family)
        self.batch: Batch = TrainingBatches(data, self.recipe, self.trainee.process).largest()

    def measure(self) -> Activations:
        return measure_activations(self.trainee.denoiser, lambda: self.trainee.losses(self.batch))

    def gradients(self) -> list[Tensor]:
        """Of one step whose dropout is fixed."""
        self.trainee.denoiser.train()
        torch.manual_seed(5)
        self.trainee.losses(self.batch).mean().backward()
        parameters = adapter_parameters(self.trainee.denoiser).values()
        found = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
        self.trainee.denoiser.zero_grad()
        return found


def trainee_of(recipe: Recipe) -> Trainee:
    accelerator = Accelerator(cpu=True)
    trainee = load_trainee(BASE, recipe, MINI / "base", accelerator)
    torch.manual_seed(0)
    targets = trainee.family.target_modules(trainee.denoiser, recipe.adapter.targets)
    inject_adapter(trainee.denoiser, recipe.adapter, targets)
    with torch.no_grad():
        for parameter in adapter_parameters(trainee.denoiser).values():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return trainee


# --- measuring ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", [LORA, LOKR, LATE], ids=["lora", "lokr", "late"])
def test_what_is_measured_is_what_a_step_keeps(dataset: Dataset, adapter: Adapter) -> None:
    case = Case(dataset, adapter)
    found = case.measure()
    assert len(found.blocks) == len(found.inputs) == BLOCKS
    case.trainee.denoiser.train()
    with LiveBytes() as live:
        loss = case.trainee.losses(case.batch).mean()
    assert found.peak(()) == pytest.approx(live.now, rel=0.1)
    del loss
    assert live.now == 0
    if adapter is LATE:
        assert found.blocks[:3] == (0, 0, 0), "the backward pass never comes so far"


@pytest.mark.parametrize("adapter", [LORA, LOKR], ids=["lora", "lokr"])
def test_what_recomputing_saves_is_what_was_reckoned(dataset: Dataset, adapter: Adapter) -> None:
    case = Case(dataset, adapter)
    found = case.measure()
    whole, most = found.peak(()), found.peak(range(BLOCKS))
    assert most < 0.6 * whole
    for budget in (whole, (whole + most) // 2, 0):
        case = Case(dataset, adapter)
        blocks = blocks_to_recompute(found, budget)
        recompute(case.trainee.denoiser, blocks)
        case.trainee.denoiser.train()
        with LiveBytes() as live:
            loss = case.trainee.losses(case.batch).mean()
            kept = live.now
            loss.backward()
        reckoned = found.outside + sum(
            found.inputs[number] if number in blocks else found.blocks[number] for number in range(BLOCKS)
        )
        assert kept == pytest.approx(reckoned, rel=0.1)
        # The gradients of one block come on top while it is gone back through.
        assert found.peak(blocks) * 0.9 <= live.peak <= found.peak(blocks) + 2 * max(found.blocks)


def test_gradients_are_the_same_bits_however_many_blocks_are_computed_again(dataset: Dataset) -> None:
    for adapter in (LORA, LOKR):
        expected = Case(dataset, adapter).gradients()
        assert len(expected) == len(list(adapter_parameters(Case(dataset, adapter).trainee.denoiser)))
        for blocks in ({0, 3}, set(range(BLOCKS))):
            case = Case(dataset, adapter)
            recompute(case.trainee.denoiser, frozenset(blocks))
            for _ in range(2):  # the count of blocks begins anew with every pass
                found = case.gradients()
                assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True)), blocks
    without = Case(dataset, LORA.model_copy(update={"dropout": 0.0})).gradients()
    assert not torch.equal(without[0], Case(dataset, LORA).gradients()[0]), "dropout took part"


def test_a_unet_is_recomputed_the_same_way() -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=8,
    ).requires_grad_(False)
    names = [name for name, module in unet.named_modules() if isinstance(module, nn.Linear) and ".attn" in name]
    inject_adapter(unet, LORA, names)
    x, text = torch.randn(2, 4, 16, 16), torch.randn(2, 5, 16)

    def forward() -> Tensor:
        torch.manual_seed(1)
        return unet(x, torch.tensor([10, 500]), text).sample.square().mean()

    found = measure_activations(unet, forward)
    assert any(found.blocks)
    gradients = []
    for blocks in (frozenset[int](), blocks_to_recompute(found, 0)):
        recompute(unet, blocks)
        unet.train()
        with LiveBytes() as live:
            loss = forward()
            kept = live.now
            loss.backward()
        gradients.append((kept, [parameter.grad.clone() for parameter in adapter_parameters(unet).values()]))  # type: ignore[union-attr]
        unet.zero_grad()
    (whole, expected), (less, found_gradients) = gradients
    assert less < 0.9 * whole
    assert all(torch.equal(a, b) for a, b in zip(expected, found_gradients, strict=True))


# --- choosing ----------------------------------------------------------------------------------------------------

SIX = Activations(blocks=(100, 40, 40, 40, 40, 40), inputs=(10, 5, 5, 5, 5, 5), outside=20)


def test_as_few_blocks_as_a_budget_takes() -> None:
    assert SIX.peak(()) == 320
    assert blocks_to_recompute(SIX, 320) == frozenset()
    assert blocks_to_recompute(SIX, 319) == {0}, "what saves most goes first"
    assert SIX.peak({0}) == 230
    assert blocks_to_recompute(SIX, 229) == {0, 1}, "of equals, the earlier"
    assert blocks_to_recompute(SIX, 0) == set(range(6)), "as low as it goes"
    counts = [len(blocks_to_recompute(SIX, budget)) for budget in range(0, 340, 5)]
    assert counts == sorted(counts, reverse=True)
    for budget in range(SIX.peak(range(6)), 340):
        assert SIX.peak(blocks_to_recompute(SIX, budget)) <= budget


def test_a_block_computed_again_has_its_own_activations_once_more() -> None:
    one = Activations(blocks=(100,), inputs=(10,), outside=0)
    assert one.peak(()) == 100
    assert one.peak({0}) == 110, "and its inputs beside them"
    two = Activations(blocks=(100, 100), inputs=(10, 10), outside=0)
    assert two.peak({0}) == 110, "those of later blocks are gone by then"
    assert two.peak({1}) == 210


def test_blocks_that_keep_nothing_are_left_alone() -> None:
    found = Activations(blocks=(0, 0, 50), inputs=(5, 5, 5), outside=1)
    assert blocks_to_recompute(found, 0) == {2}


def test_a_trainings_budget_reaches_its_denoiser(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from director_diffusion.training import loop

    chosen: list[frozenset[int]] = []

    def noting(denoiser: ModelMixin, blocks: frozenset[int]) -> None:
        chosen.append(blocks)
        recompute(denoiser, blocks)

    monkeypatch.setattr(loop, "recompute", noting)
    losses = []
    for number, gib in enumerate((100, 0.004, 0)):
        result = train(varied(RECIPE, steps=2, activation_gib=gib, schedule={}), name=str(number))
        losses.append([(point.loss, point.held_out_loss) for point in result.curve])
    none, some, every = (len(blocks) for blocks in chosen)
    assert (none, every) == (0, BLOCKS)
    assert none < some < every
    assert losses[0] == losses[1] == losses[2], "to the bit"


# --- running out -------------------------------------------------------------------------------------------------


def test_memory_that_ran_out_names_the_knobs_in_their_order(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …")

    monkeypatch.setattr(FluxFamily, "predict", fails)
    recipe = varied(RECIPE, batch_size=4, gradient_accumulation=2, steps=3)
    with pytest.raises(TrainingError) as caught:
        train(recipe)
    message = str(caught.value)
    assert message.startswith("recipe tiny: does not fit into memory: CUDA out of memory. Tried to allocate 2.00 GiB.")
    wanted = [
        "batch_size: 1 with gradient_accumulation: 8",
        "activation_gib: 8",
        "optimizer.kind: adamw_8bit",
        "precision: bfloat16",
        "quantised_base: nf4",
        "a smaller adapter",
        "a base of a smaller resolution.side",
    ]
    places = [message.index(knob) for knob in wanted]
    assert places == sorted(places)


def test_what_is_turned_down_already_is_not_named_again() -> None:
    turned = varied(
        RECIPE,
        batch_size=1,
        activation_gib=0,
        optimizer={"kind": "adamw_8bit", "lr": 1e-4},
        precision="bfloat16",
        quantised_base="nf4",
    )
    assert [knob.split(" (")[0] for knob in knobs(turned)] == [
        "a smaller adapter",
        "a base of a smaller resolution.side",
    ]
    assert knobs(varied(turned.model_copy(update={"quantised_base": None}), activation_gib=3))[0] == (
        "activation_gib: 1.5 or less, down to 0 (slower)"
    )


def test_another_error_stays_what_it_is(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(FluxFamily, "predict", fails)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        train()


def starve(folder: Path, pipe: Connection) -> None:
    """Train with batches far larger than the memory that this process may still take."""
    dataset = make_dataset(Store(str(folder / "store")), STILLS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 512 * MIB,) * 2)
    try:
        train_at(folder, dataset, varied(RECIPE, batch_size=512, steps=3))
    except TrainingError as error:
        pipe.send(str(error))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.xdist_group("children")
def test_memory_that_really_runs_out_is_told(tmp_path: Path) -> None:
    here, there = CHILDREN.Pipe()
    child = CHILDREN.Process(target=starve, args=(tmp_path, there))
    child.start()
    there.close()
    assert here.poll(120)
    message = here.recv()
    child.join(30)
    assert message.startswith("recipe tiny: does not fit into memory: ")
    assert "In this order, try batch_size: 1 with gradient_accumulation: 512" in message
