"""Checks of the stills: whether there is enough to learn a style from, and to judge it by.

Belongs here: the questions and their answers in numbers.  Does not: which stills are kept (`ingest`).
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from director_diffusion.checks import Check
from director_diffusion.specs import StillsRules
from director_diffusion.stills.decisions import is_rejected_by_person, unheeded
from director_diffusion.stills.rows import Still, StillDecision
from director_diffusion.storage.artifact import CheckOutcome

if TYPE_CHECKING:
    from director_diffusion.stills.still_set import StillSet

MOST_NAMED = 10  # decisions in a check's words

ENOUGH = Check("enough_distinct_stills", "There are enough stills that differ from each other.", blocking=True)
REJECTED = Check("rejected_share", "Not too large a share of the files was rejected.", blocking=True)
NO_LEAK = Check("no_leak_across_split", "No held-out still resembles a training still.", blocking=True)

HEEDED = Check(
    "decisions_heeded", "Every decision of a person is about a still that it can be heeded for.", blocking=False
)

CHECKS = (ENOUGH, REJECTED, NO_LEAK, HEEDED)


def judge(still_set: "StillSet", rules: StillsRules, decisions: Sequence[StillDecision] = ()) -> list[CheckOutcome]:
    """Answer every check of `CHECKS`."""
    heeded = _heeded(still_set, decisions)
    return [_enough(still_set, rules), _rejected(still_set, rules), _no_leak(still_set, rules), heeded]


def _enough(still_set: "StillSet", rules: StillsRules) -> CheckOutcome:
    kept, files = len(still_set.kept), len(still_set.rows)
    passed = kept >= rules.min_distinct
    text = f"{kept} distinct stills of {files} files; at least {rules.min_distinct} are needed"
    if not passed:
        text += (
            f". Add {rules.min_distinct - kept} or more that show other scenes{_main_reasons(still_set)}, or lower "
            "stills.min_distinct in the director's file"
        )
    return ENOUGH.outcome(passed, text + ".", kept=kept, files=files, needed=rules.min_distinct)


def _rejected(still_set: "StillSet", rules: StillsRules) -> CheckOutcome:
    out = sum(is_rejected_by_person(still) for still in still_set.rejected)  # a choice, and no fault of the files
    rejected, files = len(still_set.rejected) - out, len(still_set.rows) - out
    share = rejected / files if files else 1.0
    passed = share <= rules.max_rejected_share
    text = f"{rejected} of {files} files rejected ({share:.0%}); at most {rules.max_rejected_share:.0%} are allowed"
    if not passed:
        text += (
            f"{_main_reasons(still_set)}. Mend or remove those files, or raise stills.max_rejected_share in the "
            "director's file"
        )
    return REJECTED.outcome(passed, text + ".", rejected=rejected, files=files, share=share)


def _heeded(still_set: "StillSet", decisions: Sequence[StillDecision]) -> CheckOutcome:
    lost = unheeded(decisions, still_set.rows)
    text = f"{len(decisions) - len(lost)} of {len(decisions)} decisions of people are heeded"
    if lost:
        text += (
            f". Not: {'; '.join(lost[:MOST_NAMED])}{' …' if len(lost) > MOST_NAMED else ''}. Mend or remove their files"
        )
    return HEEDED.outcome(not lost, text + ".", decisions=len(decisions), unheeded=len(lost))


def _no_leak(still_set: "StillSet", rules: StillsRules) -> CheckOutcome:
    # Compares hashes with scipy at hand: not to be loaded where this module is only asked for its CHECKS.
    from director_diffusion.stills.similarity import CLUSTER_SLACK, distance, similar_pairs
    from director_diffusion.stills.split import MIN_HELD_OUT, MIN_VALIDATION

    train, validation, held_out = still_set.train, still_set.validation, still_set.held_out
    both = [*train, *validation, *held_out]
    reach = rules.near_duplicate_distance + CLUSTER_SLACK
    pairs = [
        (both[first], both[second])
        for first, second in similar_pairs([still.phash for still in both], reach)
        if (both[first].split == "train") != (both[second].split == "train")
    ]
    numbers = {
        "train": len(train),
        "validation": len(validation),
        "held_out": len(held_out),
        "similar_pairs": len(pairs),
    }
    if len(held_out) < MIN_HELD_OUT or len(validation) < MIN_VALIDATION or not train:
        return NO_LEAK.outcome(
            False,
            f"The stills could not be split: {len(train)} for training, {len(validation)} to choose by and "
            f"{len(held_out)} held out, where {MIN_VALIDATION} and {MIN_HELD_OUT} are needed. Add stills that "
            "differ from each other.",
            **numbers,
        )
    split = f"{len(train)} stills for training, {len(validation)} to choose by, {len(held_out)} held out"
    if not pairs:
        return NO_LEAK.outcome(True, f"{split}; no two across are within {reach} of 64 hash bits.", **numbers)
    one, other = min(pairs, key=lambda pair: distance(pair[0].phash, pair[1].phash))
    return NO_LEAK.outcome(
        False,
        f"{split}; {len(pairs)} pairs across are within {reach} of 64 hash bits, the closest {one.film}/{one.name} and "
        f"{other.film}/{other.name}. Remove one of each pair, or add stills of other scenes.",
        **numbers,
    )


def _main_reasons(still_set: "StillSet") -> str:
    """The kinds of reasons for rejection with their counts, in words; "" where nothing was rejected."""
    counts = Counter(_kind(still) for still in still_set.rejected)
    return f" (rejected: {', '.join(f'{count} {kind}' for kind, count in counts.most_common(3))})" if counts else ""


def _kind(still: Still) -> str:
    """What a reason is about, without its particulars."""
    reason = still.reason
    if is_rejected_by_person(still):
        return "by people"
    if "same" in reason.split(" as ")[0]:
        return "near-duplicates"
    if "frame" in reason:
        return "black or solid"
    return "unusable files"
