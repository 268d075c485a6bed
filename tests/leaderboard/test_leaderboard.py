"""The leaderboard: what is read of artifacts, in which order it stands, and what is told of what is missing."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.distillation.rows import CURVE_FILE, Lap
from director_diffusion.evaluation.few_steps_types import FEW_STEPS_FILE, FewSteps
from director_diffusion.evaluation.types import EFFECTS_FILE, VERDICT_FILE, Effect, Metric, OtherArm, Outcome, Verdict
from director_diffusion.leaderboard.columns import COLUMNS, sorted_by, table_of
from director_diffusion.leaderboard.entries import entries_of
from director_diffusion.leaderboard.rows import (
    FILE,
    TABLE_FILE,
    Entry,
    leaderboard_from,
    ranked,
    write_leaderboard,
)
from director_diffusion.storage import Artifact, MetadataEntry, Store
from director_diffusion.tables import read_table
from director_diffusion.training.rows import RESULT_FILE, WEIGHTS
from director_diffusion.voting.pairs import Side
from director_diffusion.voting.standings import STANDINGS_FILE, Contest
from director_diffusion.voting.statistics.rate import Rate
from tests.lineages import Lineage

RECIPE, BASE = "mini_lora", "mini"


def effect(metric: Metric, against: OtherArm, mean: float) -> Effect:
    return Effect(metric, against, "all", mean, mean - 0.02, mean + 0.03, 48, 1, 0.95, "studentized", 0.01, None)


def effects(style: float) -> dict[str, Any]:
    found = [effect("encoder", arm, style) for arm in ("base", "base_in_style")] + [effect("prompt", "base", -0.03)]
    return {"effects": [asdict(one) for one in found]}


class Director(Lineage):
    """A director of whom stages make what a test asks for."""

    def __init__(self, store: Store, director: str):
        super().__init__(store, director)
        self.found: dict[str, Artifact] = {}

    def has(self, name: str, *of: str, facts: dict[str, Any] | None = None, **content: Any) -> Artifact:
        inputs = {f"{RECIPE}/{one}": self.found[one] for one in of}
        artifact = self.make((RECIPE, name), inputs, **content)
        entries = [MetadataEntry(label=label, kind="float", value=value) for label, value in (facts or {}).items()]
        manifest = artifact.manifest.model_copy(update={"metadata": tuple(entries)})
        self.found[name] = Artifact(self.store, manifest)
        return self.found[name]

    def adapter(self, steps: int = 120, **facts: float) -> None:
        self.has(
            "adapter",
            json_files={RESULT_FILE: {"trained_steps": steps}},
            files={WEIGHTS: bytes(2000)},
            facts={"seconds of training": 14.2, **facts},
        )

    def judged(self, style: float, outcome: Outcome, tier: str = "release", **facts: float) -> None:
        prefix = "release_" if tier == "release" else ""
        self.has(f"{prefix}samples", "adapter", json_files={"of.json": [tier, style]}, facts=facts)
        self.has(
            f"{prefix}evaluation",
            f"{prefix}samples",
            json_files={
                EFFECTS_FILE: {"tier": tier, "style": "encoder", **effects(style)},
                VERDICT_FILE: {"outcome": outcome, "reasons": [f"{outcome}: style"]},
            },
        )

    def voted(self, share: float, votes: int) -> None:
        side, against = Side(RECIPE, "adapter"), Side(RECIPE, "base_in_style")
        rate = Rate(share, votes, 6, 6, (0.4, 0.9), None, None, share - 0.2, share + 0.1)
        contests = [
            Contest(question, side, against, votes, votes, 0, 0, 0, rate if question == "style" else None, votes < 100)
            for question in ("style", "prompt")
        ]
        self.has("votes", "evaluation", json_files={STANDINGS_FILE: {"contests": [asdict(one) for one in contests]}})

    def taught(self, **facts: float) -> None:
        laps = [Lap(4, step, 1e-3, None if step == 0 else 0.1, 1.0, None) for step in range(31)]
        self.has(
            "turbo_adapter",
            "adapter",
            tables={CURVE_FILE: laps},
            files={"turbo_4_steps.safetensors": bytes(500)},
            facts=facts,
        )
        self.has("turbo_samples", "turbo_adapter", json_files={"of.json": 1}, facts={"images a second, turbo_4": 21.5})
        told = [effect("encoder", "base_in_style", 0.06), effect("prompt", "base", -0.03)]
        one = FewSteps(4, Verdict("pass", ("pass: kept",)), (), {}, (), tuple(told))
        self.has("turbo_evaluation", "turbo_samples", json_files={FEW_STEPS_FILE: [asdict(one)]})

    def entries(self) -> list[Entry]:
        return entries_of(RECIPE, BASE, self.director, self.found)


@pytest.fixture
def nolan(tmp_path: Path) -> Director:
    return Director(Store(str(tmp_path)), "nolan")


def test_a_row_has_what_the_artifacts_of_this_very_adapter_say(nolan: Director) -> None:
    nolan.adapter()
    nolan.judged(0.05, "pass", "draft", **{"images a second, adapter": 3.5})
    nolan.voted(0.7, 120)
    (draft,) = nolan.entries()
    assert (draft.verdict, draft.tier, draft.style) == ("pass", "draft", 0.05)
    nolan.judged(0.06, "undecided")
    (entry,) = nolan.entries()
    assert (entry.verdict, entry.tier, entry.reasons) == ("undecided", "release", ("undecided: style",))
    assert entry.span("style") == pytest.approx((0.06, 0.04, 0.09))
    assert entry.span("prompt") == pytest.approx((-0.03, -0.05, 0.0))
    assert (entry.votes, entry.preliminary, entry.span("voted_prompt")) == (120, False, None)
    assert entry.span("voted_style") == pytest.approx((0.7, 0.5, 0.8))
    assert (entry.size_bytes, entry.training_steps, entry.training_seconds) == (2000, 120, 14.2)
    assert entry.images_per_second == 3.5, "as the draft's pictures were drawn; the release found them"
    assert entry.notes == ()


def test_what_is_of_another_adapter_or_not_there_is_told(nolan: Director) -> None:
    assert [one.notes for one in nolan.entries()] == [("not made yet, or refused by a check",)]
    nolan.adapter()
    nolan.judged(0.05, "pass")
    nolan.adapter(steps=240, **{"went on from step": 60})
    (entry,) = nolan.entries()
    assert (entry.verdict, entry.style, entry.votes) == (None, None, None)
    assert (entry.training_steps, entry.training_seconds) == (240, None)
    assert entry.notes == (
        "training time unknown: it went on from step 60",
        "evaluated with another adapter than now",
        "images a second unknown: its pictures were found, or drawn before times were kept",
        "votes not counted yet",
    )


def test_seconds_of_a_training_that_several_shared_are_told_so(nolan: Director) -> None:
    nolan.adapter(**{"processes that shared it": 4})
    (entry,) = nolan.entries()
    assert entry.training_seconds == 14.2
    assert "training shared by 4 processes" in entry.notes


def test_students_and_the_adapter_of_all_have_rows_of_their_own(nolan: Director) -> None:
    nolan.adapter()
    nolan.taught(**{"4 steps: seconds of training": 9.0})
    nolan.has("joint_adapter", json_files={RESULT_FILE: {"trained_steps": 600}}, files={WEIGHTS: bytes(3000)})
    own, joint, student = nolan.entries()
    assert [own.entrant, joint.entrant, student.entrant] == ["adapter", "joint_adapter", "turbo_4"]
    assert (joint.size_bytes, joint.training_steps, joint.verdict) == (3000, 600, None)
    assert "not judged yet, or refused by a check" in joint.notes
    assert (student.verdict, student.size_bytes, student.training_steps) == ("pass", 500, 30)
    assert (student.training_seconds, student.images_per_second, student.notes) == (9.0, 21.5, ())
    assert student.span("style") == pytest.approx((0.06, 0.04, 0.09))
    nolan.taught(**{"4 steps: seconds": 0.0})  # so it was told before: of what was found, too
    (*_, student) = nolan.entries()
    assert student.training_seconds is None
    assert student.notes == ("training time unknown: it was not trained in one go, or before its time was kept",)


def test_the_order_goes_by_verdict_then_by_the_lower_end(tmp_path: Path) -> None:
    def entry(director: str, verdict: Outcome | None, mean: float, low: float) -> Entry:
        return Entry(RECIPE, BASE, director, "adapter", verdict=verdict, style=mean, style_low=low, style_high=0.9)

    sure, lucky = entry("sure", "pass", 0.05, 0.04), entry("lucky", "pass", 0.09, 0.01)
    copies, open_ = entry("copies", "fail", 0.5, 0.4), entry("open", "undecided", 0.3, 0.2)
    nothing = Entry(RECIPE, BASE, "nothing", "adapter", notes=("not made yet",))
    entries = ranked([nothing, copies, open_, lucky, sure])
    assert [one.director for one in entries] == ["sure", "lucky", "open", "copies", "nothing"]
    assert [one.director for one in sorted_by(entries, "style")] == ["copies", "open", "sure", "lucky", "nothing"]
    for column in COLUMNS:
        assert len(sorted_by(entries, column.name)) == len(entries)
    write_leaderboard(entries, tmp_path)
    assert read_table(tmp_path / TABLE_FILE, Entry) == entries
    assert leaderboard_from(json.loads((tmp_path / FILE).read_text())) == entries


def test_the_table_shows_intervals_and_marks_what_is_preliminary() -> None:
    few = Entry(
        RECIPE, BASE, "nolan", "turbo_4", votes=12, preliminary=True,
        voted_style=0.75, voted_style_low=0.4, voted_style_high=0.9, notes=("why",),
    )  # fmt: skip
    text = table_of([few, replace(few, director="fincher", preliminary=False, votes=300, notes=())])
    assert "| 75% [40%, 90%] of 12, preliminary |" in text
    assert "| 75% [40%, 90%] of 300 |" in text
    assert text.endswith("- nolan, mini_lora, turbo, 4 steps: why.")
