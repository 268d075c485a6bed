"""Trials: an adapter's pictures drawn and judged, as the release does it.

Belongs here: samples of each adapter, and the product's own verdict on them.  `python -m benchmarks.truth.trials FOLDER
PHASE DIRECTOR…` does the work of some directors, for a worker process.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.truth.defects import DEFECTS, SOUND, Defect, sound
from benchmarks.truth.setting import TRIALS, Setting
from director_diffusion.evaluation.earlier import Before
from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.evaluation.evaluate import evaluate
from director_diffusion.evaluation.material import Material
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.hashing import hash_file
from director_diffusion.progress import Silent
from director_diffusion.sampling.draw import draw_samples
from director_diffusion.sampling.rows import Sample
from director_diffusion.sampling.wearing import ArmAdapter
from director_diffusion.storage import Store

DRAWING = "the same for all"
ALL = (Defect(SOUND, "sound", sound), *DEFECTS)


@dataclass(frozen=True)
class Outcome:
    """What the verdict said of one trial."""

    defect: str
    director: str
    trial: int
    with_earlier: bool  # whether a version published before was there to compare with
    outcome: str  # of the verdict, or "refused" where training itself did not make the adapter
    against: tuple[str, ...]  # the claims that did not pass


def drawn(
    setting: Setting, director: str, adapter: Path, trial: int, seeds: Sequence[int] | None = None
) -> list[Sample]:
    """All arms' pictures from the noise of a trial, or from `seeds`; drawn once."""
    plan, base = setting.plan(trial), setting.base
    with tempfile.TemporaryDirectory() as out:
        return draw_samples(
            plan,
            base,
            setting.directors[director],
            setting.models.folder(base.source),
            {"adapter": ArmAdapter(adapter, hash_file(adapter))},
            seeds=plan.seeds_of("release") if seeds is None else seeds,
            base_fingerprint=setting.models.fingerprint(base.source),
            store=setting.store,
            device="cpu",
            out=Path(out),
            progress=Silent(),
        ).samples


def judged(
    setting: Setting, encoders: Encoders, director: str, adapter: Path, trial: int, *, with_earlier: bool
) -> Evaluation:
    """By the release's plan; the version before is the sound adapter of the next training seed."""
    still_set = setting.still_set(director)
    learned = {"adapter": {still.still: still.split for still in (*still_set.train, *still_set.validation)}}
    earlier = sound(setting, director, (trial + 1) % TRIALS) if with_earlier else None
    before = None
    if earlier is not None:
        pictures = [sample for sample in drawn(setting, director, earlier, trial) if sample.arm == "adapter"]
        before = Before(hash_file(earlier), DRAWING, tuple(pictures), learned)
    material = Material(
        tuple(drawn(setting, director, adapter, trial)),
        learned,
        DRAWING,
        still_set,
        setting.rivals(director, encoders),
        before,
    )
    with tempfile.TemporaryDirectory() as out:
        return evaluate(
            material,
            setting.plan(trial),
            "release",
            setting.directors[director],
            encoders,
            store=setting.store,
            out=Path(out),
            progress=Silent(),
        )


def outcomes(setting: Setting, director: str) -> list[Outcome]:
    """Of every defect and trial of a director, with and without a version published before."""
    torch.set_num_threads(1)
    encoders = setting.encoders()
    return [
        _outcome(setting, encoders, director, defect, trial, with_earlier=with_earlier)
        for defect in ALL
        for trial in range(TRIALS)
        for with_earlier in (True, False)
    ]


def _outcome(
    setting: Setting, encoders: Encoders, director: str, defect: Defect, trial: int, *, with_earlier: bool
) -> Outcome:
    adapter = defect.make(setting, director, trial)
    if adapter is None:
        return Outcome(defect.name, director, trial, with_earlier, "refused", ("training",))
    found = judged(setting, encoders, director, adapter, trial, with_earlier=with_earlier)
    against = tuple(finding.name for finding in found.findings if finding.outcome != "pass")
    return Outcome(defect.name, director, trial, with_earlier, found.verdict.outcome, against)


def train_sound(setting: Setting, director: str) -> None:
    for trial in range(TRIALS):
        sound(setting, director, trial)


def make_and_draw(setting: Setting, director: str) -> None:
    """Everything that takes long; what is there already is not done again."""
    for trial in range(TRIALS):
        for defect in ALL:
            adapter = defect.make(setting, director, trial)
            if adapter is not None:
                drawn(setting, director, adapter, trial)
        earlier = sound(setting, director, (trial + 1) % TRIALS)
        assert earlier is not None, "a sound training was refused"
        drawn(setting, director, earlier, trial)
    pool = sound(setting, director, 0)
    assert pool is not None, "a sound training was refused"
    drawn(setting, director, pool, 0, setting.pool)


PHASES = {"train": train_sound, "draw": make_and_draw}


def main() -> int:
    folder, phase, *directors = sys.argv[1:]
    torch.set_num_threads(1)
    setting = Setting(Path(folder))
    assert isinstance(setting.store, Store)
    for director in directors:
        PHASES[phase](setting, director)
        print(f"{phase} {director}: done", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
