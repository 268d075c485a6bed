"""Facts: the numbers of votes that the UI shows, and plots over time.

Belongs here: names and values.  The names stay the same, since a plot over time goes by them.
"""

from director_diffusion.evaluation.types import METRIC_NAMES, Metric
from director_diffusion.voting.plots import TITLES, name
from director_diffusion.voting.standings import PRELIMINARY_BELOW, Standings
from director_diffusion.voting.statistics.resampling import MIN_GROUPS

Fact = int | float | str


def facts_of(found: Standings, style: Metric) -> dict[str, Fact]:
    """By name, in the order in which they are shown; of metrics, what the evaluation calls style, and fidelity."""
    facts: dict[str, Fact] = {
        "votes": found.votes,
        "voters": found.voters,
        "pairs voted on": f"{found.pairs_voted_on} of {found.pairs}",
        "preliminary": (
            f"yes: fewer than {PRELIMINARY_BELOW} votes or {MIN_GROUPS} voters" if found.preliminary else "no"
        ),
    }
    for contest in found.contests:
        label = f"{name(contest.side)} {TITLES[contest.question]} than {name(contest.against)}"
        if contest.rate is not None:
            facts |= {label: contest.rate.share, f"{label}, low": contest.rate.low, f"{label}, high": contest.rate.high}
        facts[f"{label}, votes"] = contest.votes
    for ranking in found.rankings:
        if found.votes:
            facts[f"{TITLES[ranking.question]}: bias to the picture shown as A, in logits"] = (
                ranking.fit.side_bias.value
            )
    for agreement in found.agreements:
        if (agreement.question, agreement.metric) in (("style", style), ("prompt", "prompt")):
            label = f"{METRIC_NAMES[agreement.metric]} prefers what voters prefer"
            facts |= {
                label: agreement.rate.share,
                f"{label}, low": agreement.rate.low,
                f"{label}, high": agreement.rate.high,
            }
    return facts
