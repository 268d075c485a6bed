"""Ways: what a picture is drawn with, and how.

Belongs here: the files that are worn, found in the store, and the settings that go with them.  Drawing is `timed`'s and
the studio's desk's.  Imports no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.distillation.rows import steps_of, weights_file
from director_diffusion.errors import EvaluationError
from director_diffusion.sampling.samplers import Sampler, few_steps
from director_diffusion.specs import STEP_COUNTS, Base, Director
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import usable_artifact, usable_artifacts
from director_diffusion.training.header import check_trigger
from director_diffusion.training.rows import WEIGHTS


@dataclass(frozen=True)
class Way:
    """One way to draw."""

    title: str
    prompts: tuple[str, ...]  # in full
    adapters: tuple[Path, ...]  # worn one on top of the other; () is the bare base
    sampler: Sampler
    strengths: tuple[float, ...] | None = None  # of each adapter; None: each as it was trained


@dataclass(frozen=True)
class AdapterStack:
    """Files worn one on top of the other, for any number of steps but those that a student is there for."""

    base: Base  # that they were trained on
    trigger: str  # "" where nobody tells one
    adapters: tuple[Path, ...]
    students: Mapping[int, Path]  # by the steps that they draw in
    notes: tuple[str, ...] = ()  # on what is not worn, and why
    owner: object = None  # keeps a remote store's files on this machine while they are used


@dataclass(frozen=True)
class Kept:
    """A director's adapter in the store, and the students that it taught, if any."""

    adapter: Artifact
    turbo: Artifact | None
    notes: tuple[str, ...] = ()

    @property
    def versions(self) -> tuple[str, ...]:
        """Say the content of both."""
        return (self.adapter.version, *(() if self.turbo is None else (self.turbo.version,)))

    @property
    def step_counts(self) -> tuple[int, ...]:
        """Those that students draw in."""
        names = set() if self.turbo is None else {file.name for file in self.turbo.manifest.files}
        return tuple(count for count in STEP_COUNTS if weights_file(count) in names)

    def stack(self, base: Base, director: Director) -> AdapterStack:
        """Their files.  `base` is what they were trained on.

        Raises EvaluationError where the director has another trigger than the adapter knows.
        """
        check_trigger(self.adapter.path(WEIGHTS), director)
        students: dict[int, Path] = {}
        if self.turbo is not None:
            students = {
                count: self.turbo.path(weights_file(count)) for count in STEP_COUNTS if count in self.step_counts
            }
        return AdapterStack(base, director.trigger, (self.adapter.path(WEIGHTS),), students, self.notes, owner=self)


def kept_of(store: Store, recipe: str, director: str) -> Kept:
    """What readers see of a director; students of an earlier adapter are left out.

    Raises StoreError where there is no adapter that may be used.
    """
    adapter, name = usable_artifact(store, (recipe, "adapter"), director), (recipe, "turbo_adapter")
    turbo = usable_artifacts(store, name, [director]).get(director)
    if turbo is not None and turbo.manifest.inputs.get(f"{recipe}/adapter") != adapter.version:
        again = f"materialize {'/'.join(name)} again"
        return Kept(adapter, None, (f"students were taught by an earlier adapter, and are left out: {again}",))
    return Kept(adapter, turbo)


def way_in(steps: int, worn: AdapterStack, prompts: tuple[str, ...], full: Sampler, *, of_students: Sampler) -> Way:
    """With the student that draws in so many steps where there is one, under no guidance of its own cost; else the
    adapter alone, as `full` says but for the steps.  The trigger is put before every prompt that lacks it."""
    asked = tuple(with_trigger(worn.trigger, prompt) for prompt in prompts)
    student = worn.students.get(steps)
    if student is None:
        return Way(steps_of(steps), asked, worn.adapters, replace(full, steps=steps))
    (known,) = (count for count in STEP_COUNTS if count == steps)
    sampler = few_steps(of_students, worn.base.drawn_with, known)
    return Way(f"{steps_of(steps)} (student)", asked, (*worn.adapters, student), sampler)


def with_trigger(trigger: str, prompt: str) -> str:
    """With the trigger before it, unless whoever typed it has put it somewhere."""
    return prompt if not trigger or trigger.lower() in prompt.lower() else join_prompt(trigger, prompt)


def check_length(
    prompt: str, count: Callable[[str], int], base: Base, *, name: str = "", way_out: str = "Shorten it."
) -> None:
    """Raise EvaluationError for a full prompt of which the base would not read the end; `name` is what it is called.

    Counted as captions are, by the base's longest tokenizer: `count` is `families.longest_count`.
    """
    if (tokens := count(prompt)) > base.max_prompt_tokens:
        raise EvaluationError(
            name or f'prompt "{prompt[:80]}"',
            f"has {tokens} tokens, and {base.slug} reads {base.max_prompt_tokens}: the end would be cut off",
            way_out,
        )
