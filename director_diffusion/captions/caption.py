"""The captions stage: a caption for every kept still, or the plain word that it needs a person.

Belongs here: who is asked, what is reused, and what becomes of a caption that fails.  The rules are in `quality`, the
words of the asking in `prompt`, the model in `qwen`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import Protocol

from PIL import Image

from director_diffusion.captions.answers import Answer, PictureReader, answer_item
from director_diffusion.captions.prompt import build_instruction, join_prompt, retry_instruction
from director_diffusion.captions.quality import Problem, judge_caption, near_identical
from director_diffusion.captions.rows import FILE, Caption
from director_diffusion.captions.tidy import tidy
from director_diffusion.captions.written import by_place, place_of, written_text
from director_diffusion.progress import Progress
from director_diffusion.specs import Captioner, Director
from director_diffusion.stills.rows import Still, WrittenCaption
from director_diffusion.storage import ItemCache
from director_diffusion.tables import write_table


class KeptStills(Protocol):
    """What captioning needs of a set of stills."""

    @property
    def kept(self) -> tuple[Still, ...]: ...

    def open(self, still: Still) -> Image.Image:
        """The still in RGB, upright and cropped."""


@dataclass(frozen=True)
class _Draft:
    """A caption on its way: a person's stands whatever its problems, a model's only without any."""

    still: Still
    text: str
    by_person: bool
    problems: tuple[Problem, ...]
    attempts: int = 0

    @property
    def stands(self) -> bool:
        return self.by_person or not self.problems


def caption_stills(
    still_set: KeptStills,
    written: Sequence[WrittenCaption],
    director: Director,
    spec: Captioner,
    *,
    cache: ItemCache,
    captioner: Callable[[], PictureReader],
    count_tokens: Callable[[str], int],
    max_tokens: int,
    batch_size: int,
    out: Path,
    progress: Progress,
) -> list[Caption]:
    """One row per kept still, in their order, also written as `out`/captions.parquet.

    A person's caption wins; problems found in it are advice.  Otherwise the captioner is asked, and where its answer
    fails a rule asked once more, with a remark on what was wrong.  What fails twice has no text and needs a person.
    `cache` keeps the raw answers, each written as soon as it is given; `captioner()` is called only if one is missing.
    `count_tokens` counts a prompt's tokens by the base's longest tokenizer, which reads `max_tokens` of them.
    """
    reader = once(captioner)
    films = sorted({still.film for still in still_set.kept})

    def judge(text: str, hit_limit: bool) -> tuple[Problem, ...]:
        return tuple(
            judge_caption(
                text,
                hit_limit=hit_limit,
                director=director,
                spec=spec,
                films=films,
                count_tokens=count_tokens,
                max_tokens=max_tokens,
            )
        )

    def drafts_of(instructions: Mapping[Still, str], attempt: int, title: str) -> dict[Still, _Draft]:
        answers = _ask(still_set, instructions, cache, reader, batch_size, progress, title)
        return {
            still: _Draft(still, text := tidy(answer.text), False, judge(text, answer.hit_limit), attempt)
            for still, answer in answers.items()
        }

    texts, notes = _written(still_set.kept, written, director)
    drafts = {still: _Draft(still, text, True, judge(text, False)) for still, text in texts.items()}
    unwritten = [still for still in still_set.kept if still not in texts]

    instruction = build_instruction(director.captions)
    drafts |= drafts_of(dict.fromkeys(unwritten, instruction), 1, "Captioning")
    drafts = _compared(drafts)
    again = {
        still: retry_instruction(director.captions, [problem.rule for problem in draft.problems])
        for still, draft in drafts.items()
        if not draft.stands
    }
    drafts |= drafts_of(again, 2, "Captioning again")
    drafts = _compared(drafts)

    captions = [_row(drafts[still], notes.get(still, ""), director.trigger, count_tokens) for still in still_set.kept]
    write_table(out / FILE, Caption, captions)
    return captions


def _written(
    stills: Sequence[Still], written: Sequence[WrittenCaption], director: Director
) -> tuple[dict[Still, str], dict[Still, str]]:
    """People's texts by still, and for files that gave none the reason."""
    places = by_place(written)
    texts, notes = {}, {}
    for still in stills:
        if not (caption := places.get(place_of(still))):
            continue
        if text := written_text(caption, director.trigger):
            texts[still] = text
        else:
            notes[still] = f"written caption: {caption.problem or 'the file is empty'}"
    return texts, notes


def _ask(
    still_set: KeptStills,
    instructions: Mapping[Still, str],
    cache: ItemCache,
    reader: Callable[[], PictureReader],
    batch_size: int,
    progress: Progress,
    title: str,
) -> dict[Still, Answer]:
    """The captioner's answer about each still to its instruction, from the cache or given now."""
    items = {still: answer_item(still.still, instruction) for still, instruction in instructions.items()}
    absent = set(cache.missing(items.values()))
    # Stills of like size share a batch: less padding, and a batch that hardly depends on what else is missing.
    asked = sorted((still for still in items if items[still] in absent), key=lambda s: (s.width * s.height, s.still))
    if asked:
        with progress.task(title, len(asked)) as task:
            for start in range(0, len(asked), batch_size):
                batch = asked[start : start + batch_size]
                images = [still_set.open(still) for still in batch]
                answers = reader().answer(images, [instructions[still] for still in batch])
                for still, answer in zip(batch, answers, strict=True):
                    cache.write(items[still], answer.to_bytes())
                    task.advance()
    return {still: Answer.from_bytes(cache.read(item)) for still, item in items.items()}


def _compared(drafts: Mapping[Still, _Draft]) -> dict[Still, _Draft]:
    """The drafts, those that say what another one says marked so: people's come first, then first attempts."""
    alone = (
        replace(draft, problems=tuple(problem for problem in draft.problems if problem.rule != "near_identical"))
        for draft in drafts.values()
    )
    ordered = sorted(alone, key=lambda draft: (not draft.by_person, draft.attempts))
    compared = {draft.still: draft for draft in ordered}
    for place, first in near_identical([draft.text if draft.stands else "" for draft in ordered]).items():
        draft, twin = ordered[place], ordered[first]
        problem = Problem("near_identical", f"says what {twin.still.film}/{twin.still.name} says")
        compared[draft.still] = replace(draft, problems=(*draft.problems, problem))
    return compared


def _row(draft: _Draft, note: str, trigger: str, count_tokens: Callable[[str], int]) -> Caption:
    text = draft.text if draft.stands else ""
    still = draft.still
    return Caption(
        still=still.still,
        film=still.film,
        name=still.name,
        split=still.split,
        text=text,
        source="person" if draft.by_person else "model" if text else "none",
        status="ok" if text else "needs_person",
        problems=tuple(filter(None, (note, *map(str, draft.problems)))),
        attempts=draft.attempts,
        tokens=count_tokens(join_prompt(trigger, text)),
    )
