"""Consistent students: their loss is that of diffusers' script; trained for real on tiny UNets, and stopped."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from diffusers import DDIMScheduler, DDPMScheduler, DiffusionPipeline
from safetensors.torch import load_file
from torch import Tensor

from director_diffusion.adapters.files import read_weights, remove_adapter
from director_diffusion.adapters.injection import adapter_parameters, adapter_weights, set_adapter_weights
from director_diffusion.adapters.layering import inject_on, wear_upper
from director_diffusion.adapters.stacking import load_stack
from director_diffusion.distillation.checks import judge_students
from director_diffusion.distillation.consistency import solver_of
from director_diffusion.distillation.consistent import ConsistentTrainee, noise_between, solve
from director_diffusion.distillation.job import StudentJob
from director_diffusion.distillation.rows import Student, weights_file
from director_diffusion.distillation.student import distil
from director_diffusion.distillation.teacher import Guide
from director_diffusion.errors import TrainingError
from director_diffusion.families import get_family
from director_diffusion.families.base import Placement
from director_diffusion.processes import Diffusion
from director_diffusion.progress import Silent
from director_diffusion.specs import AdamW, Base, ConsistencyTurbo, LoraAdapter, Objective, Resolution, Schedule
from director_diffusion.storage import Store
from director_diffusion.training.data import Batch
from director_diffusion.training.header import read_header
from director_diffusion.training.state import TrainingState
from director_diffusion.training.stopping import Stopped
from tests.adapters.adapted import random_adapter
from tests.families.unets import CHANNELS, TEXT_WIDTH, save_base
from tests.training.trainings import BASE, RECIPE, make_dataset, varied

GUIDANCE, CELLS = 3.0, (8, 12)
BELOW = LoraAdapter(kind="lora", rank=2, alpha=4, targets="attention")
UPPER = LoraAdapter(kind="lora", rank=2, alpha=2)
TURBO = ConsistencyTurbo(
    kind="consistency",
    step_counts=(1, 4),
    adapter=UPPER,
    optimizer=AdamW(lr=1e-3),
    schedule=Schedule(kind="constant", warmup_steps=1),
    steps=8,
    batch_size=3,
    checkpoint_every=4,
    ema_decay=0.5,
)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def embedded(name: str, rows: int, seed: int) -> dict[str, Tensor]:
    if name == "sd15":
        return {"prompt_embeds": randn(rows, 77, TEXT_WIDTH, seed=seed)}
    pooled = randn(rows, TEXT_WIDTH, seed=seed + 1)
    return {"prompt_embeds": randn(rows, 77, 2 * TEXT_WIDTH, seed=seed), "pooled_prompt_embeds": pooled}


# --- the loss ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=[("sd15", "epsilon"), ("sdxl", "v_prediction")], ids=str)
def trainee(request: pytest.FixtureRequest, tmp_path: Path) -> ConsistentTrainee:
    """A student that has learned something, on top of an adapter."""
    name, prediction = request.param
    folder = save_base(tmp_path / "base", name, prediction_type=prediction)
    family = get_family(name)
    denoiser: Any = family.load_denoiser(folder, device="cpu", dtype=torch.float32)
    below = random_adapter(tmp_path / "below.safetensors", BELOW, 0, family_name=name, base=folder)
    inject_on(denoiser, below, UPPER, family.target_modules(denoiser, UPPER.targets), role=family.role)
    for seed, parameter in enumerate(adapter_parameters(denoiser).values()):
        parameter.data.copy_(0.1 * randn(*parameter.shape, seed=seed))
    process = family.process(folder)
    assert isinstance(process, Diffusion)
    solver = solver_of(process, 50)
    empty = {key: value[0] for key, value in embedded(name, 1, seed=50).items()}
    return ConsistentTrainee(
        denoiser=denoiser,
        family=family,
        process=solver,
        scale=family.latent_scale(folder),
        objective=Objective(),
        guidance=GUIDANCE,
        accelerator=Accelerator(cpu=True),
        solver=solver,
        guide=Guide(family, GUIDANCE, True, empty),
        huber_c=0.001,
    )


def batch_of(trainee: ConsistentTrainee, timesteps: list[int]) -> Batch:
    rows = len(timesteps)
    sizes = trainee.family.size_conditions(Placement(24, 16, 30, 18, 3, 1))
    conditions = {key: value.expand(rows, -1) for key, value in sizes.items()}
    return Batch(
        tuple("abc"[:rows]),
        randn(rows, CHANNELS, *CELLS, seed=1),
        randn(rows, CHANNELS, *CELLS, seed=2),
        torch.tensor(timesteps, dtype=torch.float32),
        {**embedded(trainee.family.name, rows, seed=3), **conditions},
    )


@contextmanager
def holding(denoiser: Any, weights: dict[str, Tensor]) -> Any:
    before = {name: tensor.clone() for name, tensor in adapter_weights(denoiser).items()}
    set_adapter_weights(denoiser, weights)
    yield
    set_adapter_weights(denoiser, before)


def average_of(trainee: ConsistentTrainee) -> Callable[[], AbstractContextManager[None]]:
    """Weights that are not the student's own."""
    weights = {name: 0.5 * tensor for name, tensor in adapter_weights(trainee.denoiser).items()}
    return lambda: holding(trainee.denoiser, weights)


def script_loss(trainee: ConsistentTrainee, batch: Batch, as_average: Any, huber_c: float) -> Tensor:
    """train_lcm_distill_lora_sdxl_wds.py of diffusers, steps 2 to 10, with the target network of
    train_lcm_distill_sdxl_wds.py: its names, a fixed w, and the student asked last."""
    unet: Any = trainee.denoiser
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    alphas, sigmas = scheduler.alphas_cumprod.sqrt(), (1 - scheduler.alphas_cumprod).sqrt()
    index = ((batch.t + 1) / 20).long() - 1
    start_timesteps = torch.arange(1, 51)[index] * 20 - 1
    timesteps = torch.where(start_timesteps - 20 < 0, 0, start_timesteps - 20)
    previous = torch.cat([scheduler.alphas_cumprod[:1], scheduler.alphas_cumprod[19:-20:20]])[index].view(-1, 1, 1, 1)

    def of(schedule: Tensor, t: Tensor) -> Tensor:
        return schedule[t].view(-1, 1, 1, 1)

    def scalings(t: Tensor) -> tuple[Tensor, Tensor]:
        scaled = 10.0 * t.view(-1, 1, 1, 1)
        return 0.5**2 / (scaled**2 + 0.5**2), scaled / (scaled**2 + 0.5**2) ** 0.5

    def asked(sample: Tensor, t: Tensor, conditions: dict[str, Tensor]) -> Tensor:
        added = None
        if "time_ids" in conditions:
            added = {"text_embeds": conditions["pooled_prompt_embeds"], "time_ids": conditions["time_ids"]}
        return unet(sample, t, encoder_hidden_states=conditions["prompt_embeds"], added_cond_kwargs=added).sample

    epsilon = trainee.solver.prediction == "epsilon"

    def original(output: Tensor, t: Tensor, sample: Tensor) -> Tensor:
        a, s = of(alphas, t), of(sigmas, t)
        return (sample - s * output) / a if epsilon else a * sample - s * output

    def noise(output: Tensor, t: Tensor, sample: Tensor) -> Tensor:
        return output if epsilon else of(alphas, t) * output + of(sigmas, t) * sample

    latents = trainee.scale.normalise(batch.latents)
    noisy_model_input = scheduler.add_noise(latents, batch.noise, start_timesteps)
    w = GUIDANCE - 1
    c_skip_start, c_out_start = scalings(start_timesteps)
    c_skip, c_out = scalings(timesteps)
    with torch.no_grad():
        wear_upper(unet, False)
        cond = asked(noisy_model_input, start_timesteps, batch.conditions)
        empty = {key: value.expand_as(batch.conditions[key]) for key, value in trainee.guide.empty.items()}
        uncond = asked(noisy_model_input, start_timesteps, {**batch.conditions, **empty})
        wear_upper(unet, True)
        x0s = [original(output, start_timesteps, noisy_model_input) for output in (cond, uncond)]
        noises = [noise(output, start_timesteps, noisy_model_input) for output in (cond, uncond)]
        pred_x0 = x0s[0] + w * (x0s[0] - x0s[1])
        pred_noise = noises[0] + w * (noises[0] - noises[1])
        x_prev = previous.sqrt() * pred_x0 + (1.0 - previous).sqrt() * pred_noise
        with as_average():
            target_noise_pred = asked(x_prev, timesteps, batch.conditions)
        target = c_skip * x_prev + c_out * original(target_noise_pred, timesteps, x_prev)
    noise_pred = asked(noisy_model_input, start_timesteps, batch.conditions)
    pred_x_0 = original(noise_pred, start_timesteps, noisy_model_input)
    model_pred = c_skip_start * noisy_model_input + c_out_start * pred_x_0
    return torch.mean(torch.sqrt((model_pred - target) ** 2 + huber_c**2) - huber_c)


def test_a_step_descends_the_loss_of_diffusers_script(trainee: ConsistentTrainee) -> None:
    batch, as_average = batch_of(trainee, [19, 519, 999]), average_of(trainee)
    parameters = list(adapter_parameters(trainee.denoiser).values())
    theirs = script_loss(trainee, batch, as_average, 0.001)
    expected = torch.autograd.grad(theirs, parameters)
    ours = trainee.step_losses(batch, as_average).mean()
    found = torch.autograd.grad(ours, parameters)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-5)


def test_teacher_and_student_are_asked_at_the_same_latents_and_matching_times(trainee: ConsistentTrainee) -> None:
    asked: list[tuple[Tensor, list[float], bool, float]] = []
    learning, place = adapter_parameters(trainee.denoiser), next(iter(adapter_parameters(trainee.denoiser)))

    def record(module: Any, args: tuple[Tensor, Tensor, Tensor]) -> None:
        worn = bool(adapter_parameters(trainee.denoiser))
        asked.append((args[0].clone(), args[1].tolist(), worn, learning[place].detach().norm().item()))

    trainee.denoiser.register_forward_pre_hook(record)
    batch = batch_of(trainee, [19, 519])
    trainee.step_losses(batch, average_of(trainee))
    teacher, average, student = asked
    x_t = trainee.solver.noisy(trainee.scale.normalise(batch.latents), batch.noise, batch.t)
    assert torch.equal(teacher[0], torch.cat([x_t, x_t])), "towards the prompt, and away from the empty one"
    assert torch.equal(student[0], x_t)
    assert (teacher[1], student[1]) == ([19, 519, 19, 519], [19, 519])
    assert average[1] == [0, 499], "one of the solver's steps below"
    assert not torch.equal(average[0], x_t)
    assert (teacher[2], average[2], student[2]) == (False, True, True)
    assert average[3] == pytest.approx(student[3] / 2), "the average's weights, and back"


def test_a_training_holds_the_student_to_its_own_average(trainee: ConsistentTrainee) -> None:
    state = TrainingState(trainee, varied(RECIPE, ema_decay=0.9), Silent())
    batch, held = batch_of(trainee, [519, 999]), list[Tensor]()
    for _ in range(2):
        state.learn([batch], batch.stills)
    averages = [shadow.clone() for shadow in state.average.shadow_params]
    trainee.denoiser.register_forward_pre_hook(lambda *_: held.append(state.parameters[0].detach().clone()))
    own = state.parameters[0].detach().clone()
    state.learn([batch], batch.stills)
    _teacher, average, student = held
    assert torch.equal(average, averages[0])
    assert torch.equal(student, own)
    assert not torch.equal(average, student)


def test_a_training_is_bit_for_bit_that_by_diffusers_own_average(
    trainee: ConsistentTrainee, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the weights that are set aside go to the host and back at every step."""

    @contextmanager
    def by_diffusers(average: Any, parameters: Any) -> Any:
        average.store(parameters)
        average.copy_to(parameters)
        yield
        average.restore(parameters)

    begun = {name: tensor.clone() for name, tensor in adapter_weights(trainee.denoiser).items()}
    batch, ended = batch_of(trainee, [519, 999]), []
    for patched in (False, True):
        if patched:
            monkeypatch.setattr("director_diffusion.training.state.averaged", by_diffusers)
        set_adapter_weights(trainee.denoiser, begun)
        state = TrainingState(trainee, varied(RECIPE, ema_decay=0.9), Silent())
        for _ in range(3):
            state.learn([batch], batch.stills)
        ended.append([tensor.detach().clone() for tensor in (*state.parameters, *state.average.shadow_params)])
    assert all(torch.equal(one, other) for one, other in zip(*ended, strict=True))
    assert not torch.equal(ended[0][0], begun[next(iter(begun))])


def test_where_all_is_consistent_already_there_is_nothing_to_learn(trainee: ConsistentTrainee) -> None:
    """Below the first timestep f(x, 0) = x: a student who goes where its teacher steps loses nothing."""
    plain = replace(trainee, guide=replace(trainee.guide, guidance=1.0))
    nothing = {name: torch.zeros_like(tensor) for name, tensor in adapter_weights(trainee.denoiser).items()}
    set_adapter_weights(trainee.denoiser, nothing)
    losses = plain.step_losses(batch_of(trainee, [19, 999]), nullcontext)
    assert losses[0] < 0.05 * trainee.trivial_losses(batch_of(trainee, [19, 999]))[0]
    assert losses[0] < losses[1]


def test_judged_states_are_those_that_the_batch_stands_for() -> None:
    solver = solver_of(Diffusion(DDIMScheduler().alphas_cumprod, "epsilon"), 50)
    t, end, states = torch.tensor([999.0, 139.0]), randn(2, 4, 3, 5), randn(2, 4, 3, 5, seed=1)
    noise = noise_between(end, states, solver.alpha_bar[t.long()])
    torch.testing.assert_close(solver.noisy(end, noise, t), states, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_a_teachers_way_is_that_of_diffusers_pipeline(name: str, tmp_path: Path) -> None:
    folder = save_base(tmp_path / "base", name)  # type: ignore[arg-type]
    family = get_family(name)
    pipeline: Any = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config, timestep_spacing="trailing", set_alpha_to_one=False, clip_sample=False
    )
    drawn = pipeline(
        "a red car", width=24, height=16, num_inference_steps=50, guidance_scale=GUIDANCE, output_type="latent",
        generator=torch.Generator().manual_seed(3),
    ).images  # fmt: skip
    encoder = family.load_prompt_encoder(folder, device="cpu", dtype=torch.float32, max_tokens=77)
    asked, empty = encoder.encode(["a red car", ""])
    sizes = family.size_conditions(Placement(24, 16, 24, 16, 0, 0))
    process = family.process(folder)
    assert isinstance(process, Diffusion)
    states = solve(
        Guide(family, GUIDANCE, True, empty),
        pipeline.unet,
        torch.randn(1, CHANNELS, *CELLS, generator=torch.Generator().manual_seed(3)),
        solver_of(process, 50),
        {key: value[None] for key, value in {**asked, **sizes}.items()},
    )
    assert len(states) == 51
    torch.testing.assert_close(states[-1], drawn, rtol=1e-3, atol=1e-3)


# --- students ----------------------------------------------------------------------------------------------------

Made = Callable[..., StudentJob]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A function that makes a job on a tiny UNet in a folder, with changes to its recipe's `turbo` or to itself."""
    given: dict[str, tuple[Path, Path]] = {}

    def make(folder: Path, name: Any = "sd15", *, turbo: dict[str, Any] | None = None, **changes: Any) -> StudentJob:
        if name not in given:
            base = save_base(tmp_path_factory.mktemp(name), name)
            adapter = random_adapter(base / "adapter.safetensors", BELOW, 0, family_name=name, base=base)
            given[name] = base, adapter
        width = TEXT_WIDTH if name == "sd15" else 2 * TEXT_WIDTH
        data = make_dataset(
            Store(str(folder / "store")),
            [(f"still{number}", "train", CELLS) for number in range(3)] + [("still3", "validation", CELLS)],
            channels=CHANNELS,
            text=(77, width),
            pooled=TEXT_WIDTH,
        )
        base, adapter = given[name]
        job = StudentJob(
            director="nolan",
            prompts=tuple(data.prompts),
            base=Base.model_validate(
                {**BASE.model_dump(), "family": name, "resolution": Resolution(side=20, multiple=8).model_dump()}
            ),
            recipe=varied(RECIPE, turbo=TURBO.model_copy(update=turbo or {}).model_dump()),
            guidance=GUIDANCE,
            folder=base,
            base_fingerprint=name,
            adapter=adapter,
            drawn_by="here",
            store=data.store,
            work=folder / "work",
            device="cpu",
            latents=tuple(data.latents),
        )
        return replace(job, **changes)

    return make


def taught(job: StudentJob, out: Path, stop: Any = lambda: False) -> list[Student]:
    out.mkdir(parents=True, exist_ok=True)
    return distil(job, out=out, metadata={"trigger": "nolan style"}, progress=Silent(), stop=stop)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def undisturbed(make: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    taught(make(folder), folder / "out")
    return folder


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_one_student_learns_and_each_number_of_steps_has_its_file(
    undisturbed: Path, make: Made, tmp_path: Path, name: str
) -> None:
    folder = undisturbed if name == "sd15" else tmp_path
    students = taught(make(folder, name), tmp_path / "out")
    assert [one.count for one in students] == [1, 4]
    assert students[0].training == students[1].training
    assert students[0].training_seconds == students[1].training_seconds, "one training, one time"
    assert bool(students[0].training_seconds) == (name == "sdxl"), "of sd15's, the steps are there already"
    assert all(check.passed for check in judge_students(students)), students
    one, four = (tmp_path / "out" / weights_file(count) for count in (1, 4))
    weights = read_weights(one)
    assert all(torch.equal(weights[key], tensor) for key, tensor in read_weights(four).items())
    headers = [read_header(path) for path in (one, four)]
    assert [header["sampling_steps"] for header in headers] == ["1", "4"]
    assert {key for key in headers[0] if headers[0][key] != headers[1][key]} == {"sampling_steps"}
    assert len(list((folder / "store/cache/trajectories").rglob("*.safetensors"))) == 1, "of the prompt that judges"


def test_held_out_loss_is_the_distance_of_the_drawn_states_from_their_ways_end(
    make: Made, undisturbed: Path, tmp_path: Path
) -> None:
    job = make(undisturbed)
    (student, _) = taught(job, tmp_path / "out")
    (way,) = (undisturbed / "store/cache/trajectories").rglob("*.safetensors")
    states = load_file(way)["states"]
    family = get_family("sd15")
    denoiser: Any = family.load_denoiser(job.folder, device="cpu", dtype=torch.float32)
    process = family.process(job.folder)
    assert isinstance(process, Diffusion)
    solver = solver_of(process, 50)
    t = torch.tensor([float(time) for time in solver.drawn_at(8)])
    (row,) = (row for row in job.prompts if row.still == "still3")
    prompt = load_file(Path(str(job.store.local_root)) / row.reference)["prompt_embeds"].expand(8, -1, -1)

    def loss(*stack: Path) -> float:
        load_stack(denoiser, stack)
        with torch.no_grad():
            predicted = family.predict(denoiser, states[:-1], t, {"prompt_embeds": prompt}, 1.0)
        remove_adapter(denoiser)
        return (solver.consistent(predicted, states[:-1], t) - states[-1]).square().mean().item()

    assert loss(job.adapter) == pytest.approx(student.untaught_loss, rel=1e-3)
    assert loss(job.adapter, undisturbed / "out" / weights_file(1)) == pytest.approx(student.held_out_loss, rel=1e-3)


@pytest.mark.parametrize("asked", [3, 56])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(
    undisturbed: Path, make: Made, tmp_path: Path, asked: int
) -> None:
    questions = 0

    def stop() -> bool:
        nonlocal questions
        questions += 1
        return questions == asked

    with pytest.raises(Stopped):
        taught(make(tmp_path), tmp_path / "out", stop)
    for path in (tmp_path / "work").rglob("tensors.safetensors"):
        sections = Counter(name.split("/")[0] for name in load_file(path))
        assert sections["average"] == sections["adapter"] > 0, "what it is held to goes on too"
    assert bool(list((tmp_path / "work").rglob("tensors.safetensors"))) == (asked > 50)
    taught(make(tmp_path), tmp_path / "out")
    assert files(tmp_path / "out") == files(undisturbed / "out")
    assert not list((tmp_path / "work").rglob("step-*"))


def test_further_numbers_of_steps_are_the_same_student(undisturbed: Path, make: Made, tmp_path: Path) -> None:
    def kept() -> dict[Path, int]:
        cache = undisturbed / "store" / "cache"  # the data beside it is written by `make`
        made = [*(cache / "trainings").rglob("*.safetensors"), *(cache / "trajectories").rglob("*.safetensors")]
        return {path: path.stat().st_mtime_ns for path in made}

    before = kept()
    assert before
    taught(make(undisturbed, turbo={"step_counts": (4, 8)}), tmp_path / "out")
    assert kept() == before
    assert (tmp_path / "out" / weights_file(4)).read_bytes() == (undisturbed / "out" / weights_file(4)).read_bytes()


def test_without_stills_it_says_so(make: Made, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="stills: include none to train on"):
        taught(make(tmp_path, latents=()), tmp_path / "out")
