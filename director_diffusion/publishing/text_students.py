"""What a card says of few-step students: what each keeps, and how those that go out are used."""

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.distillation.rows import steps_of
from director_diffusion.evaluation.difference import Difference
from director_diffusion.evaluation.few_steps_types import FewSteps
from director_diffusion.evaluation.types import style_metric
from director_diffusion.markdown import table
from director_diffusion.publishing.inputs import WEIGHTS, CardInputs
from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.publishing.students import Students
from director_diffusion.specs import ConsistencyTurbo, HubSource

FEW_STEPS_IMAGE = "images/few-steps.png"
LCM = 'pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")'


def students_section(card: CardInputs) -> str:
    """ "" where the adapter has no students."""
    if card.students is None:
        return ""
    rows = [_row(card, one, _file(one, card.students)) for one in _by_steps(card.students)]
    told = _baseline(card) + _use(card)
    return f"""## In few steps

![Base, base asked by name, adapter, and its students, side by side]({FEW_STEPS_IMAGE})

Students of this adapter draw in a few steps and take no guidance of their own cost. Each is judged for itself
against the adapter in {card.plan.sampling.steps} steps, from the same prompts and noise; only those that pass are in
this repository.

{table(["student", "verdict", "style effect kept", "style", "prompt fidelity", "file"], rows)}

Style and prompt fidelity are the student's mean less the adapter's ({card.plan.confidence:.0%} interval); the style
effect is that over the base asked for the style by name. `few_steps.json` has every metric.{told}"""


def _by_steps(students: Students) -> list[FewSteps]:
    """Each number of steps' student, and others' weights in as many below it."""
    return sorted(students.judged, key=lambda one: one.count)


def _file(one: FewSteps, students: Students) -> str:
    if one.of == "stock":
        return "not ours"
    student = next(student for student in students.shown if student.judged is one)
    return f"`{student.file}`" if student.goes_out else "withheld"


def _row(card: CardInputs, one: FewSteps, file: str) -> list[str]:
    kept = one.kept.get("base_in_style")
    return [
        steps_of(one.count) if one.of == "student" else f"stock weights, {steps_of(one.count)}",
        one.verdict.outcome,
        "–" if kept is None else f"{kept:.0%}",
        _estimate(one.difference(style_metric(card.plan))),
        _estimate(one.difference("prompt")),
        file,
    ]


def _baseline(card: CardInputs) -> str:
    """What the stock weights are; "" where no student is set beside any."""
    stock = card.recipe.baseline
    if stock is None or card.students is None or not card.students.baseline:
        return ""
    told = f"`{stock.weights}`"
    if isinstance(stock.source, HubSource):
        of = f"[{stock.source.repo}](https://huggingface.co/{stock.source.repo})"
        told += f" of {of} at {(stock.source.revision or '')[:SHOWN]}"
    return f"""

Stock weights are others' few-step weights for the base, {told}: worn on this adapter in the student's place, drawn from
the same noise in as many steps (scheduler `{stock.scheduler}`) and judged alike. They are not in this repository."""


def _estimate(found: Difference) -> str:
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _use(card: CardInputs) -> str:
    if card.students is None or not card.students.going_out or card.base.hub_library is None:
        return ""
    student, base = card.students.going_out[-1], card.base.drawn_with
    asked = card.plan.sampling.guidance
    told = f"guidance_scale={base.guidance.sample if asked is None else asked:g}"
    consistent = isinstance(card.recipe.turbo, ConsistencyTurbo)
    unguided = "guidance_scale=0" if consistent else "true_cfg_scale=1.0"
    guidance = told if base.guidance.kind == "embedded" else unguided
    scheduler = "LCMScheduler" if consistent else "the stock scheduler"
    first = f"from diffusers import LCMScheduler\n\n{LCM}\n" if consistent else ""
    prompt = join_prompt(card.director.trigger, card.plan.prompts[0].text)
    return f"""

A student is worn on top of the adapter, with {scheduler}:

```python
{first}pipe.load_lora_weights("{card.repo_id}", weight_name="{WEIGHTS}", adapter_name="style")
pipe.load_lora_weights("{card.repo_id}", weight_name="{student.file}", adapter_name="turbo")
pipe.set_adapters(["style", "turbo"])
image = pipe("{prompt}", num_inference_steps={student.judged.count}, {guidance}).images[0]
```"""
