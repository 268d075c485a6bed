"""Told: findings in as many words as people read, however many directors there are.  Imports no torch.

Belongs here: which findings are told one by one, and what is said of the rest.  All are in the evaluation's file.
"""

from collections import Counter
from collections.abc import Sequence

from director_diffusion.evaluation.types import Finding

NEARER = "nearer_than_"  # with another director's slug, the name of a finding
CLOSER = "closeness to the director's held-out stills less"
MOST_DIRECTORS = 5


def telling(findings: Sequence[Finding]) -> list[Finding]:
    """Those that are told one by one: of other directors the `MOST_DIRECTORS` that the pictures are nearest to."""
    others = sorted((one for one in findings if one.name.startswith(NEARER)), key=lambda one: one.value)
    left_out = {one.name for one in others[MOST_DIRECTORS:]}
    return [one for one in findings if one.name not in left_out]


def reasons(findings: Sequence[Finding]) -> list[str]:
    """In words, with one line for all directors that are not told one by one."""
    told = telling(findings)
    named = {one.name for one in told}
    rest = Counter(one.outcome for one in findings if one.name not in named)
    if not rest:
        return [one.reason for one in told]
    worst = next(outcome for outcome in ("fail", "undecided", "pass") if rest[outcome])
    counts = ", ".join(f"{count} {outcome}" for outcome, count in rest.items())
    return [
        *(one.reason for one in told),
        f"{worst}: {CLOSER} that to each of {rest.total()} further directors' is larger than to those ({counts})",
    ]
