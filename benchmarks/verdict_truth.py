"""Whether the verdict tells the truth: false alarms, coverage, power, and adapters with planted defects.

    python -m benchmarks.verdict_truth [--folder FOLDER] [--workers 2] [--simulations 2000] [--json]

Five directors × four training seeds of mini_lora, sound and with seven defects, each drawn from noise of its own and
judged as a release is, with a version published before it (the sound adapter of another training seed) and without.
What `FOLDER` holds of an earlier call is not done again.  Takes about an hour and a half on two cores.  Exit code 1
where a bar is missed.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.bars import at_least, at_most, print_report, within
from benchmarks.truth.resampling import Pool, components, covered, detectable, pool_of, same_against_same
from benchmarks.truth.setting import SEEDS, TRIALS, Setting
from benchmarks.truth.trials import ALL, Outcome, outcomes

ALARMS, LOWEST, HIGHEST, CAUGHT = 0.06, 0.93, 0.97, 19
PASSED = 12  # sound ones: a verdict that decides nothing must miss a bar too
ONLY_BESIDE_ANOTHER = ("half",)  # half a style may still be more than the margin asks of a first release
POWER_PROMPTS, POWER_SEEDS = (12, 24, 48, 96, 192), (1, 2, 3)


def work(folder: Path, phase: str, directors: Sequence[str], workers: int) -> None:
    """The directors' share of a phase, by so many processes."""
    shares = [directors[place::workers] for place in range(workers)]
    processes = [
        subprocess.Popen([sys.executable, "-m", "benchmarks.truth.trials", str(folder), phase, *share])
        for share in shares
        if share
    ]
    codes = [process.wait() for process in processes]  # all of them, whatever the first says
    if any(codes):
        raise SystemExit(f"a worker of phase {phase} failed")


def resampled(pools: dict[str, Pool], simulations: int, report: dict[str, Any]) -> list[dict[str, Any]]:
    """False alarms, coverage and the power table."""
    slugs = list(pools)
    alarms = [same_against_same(pools[slugs[one % len(slugs)]], one) for one in range(simulations)]
    any_alarm, corrected = (fmean(alarm[kind] for alarm in alarms) for kind in (0, 1))
    report["same_against_same"] = {"comparisons": simulations, "uncorrected": any_alarm, "holm": corrected}
    bars = [at_most(f"A/A, false alarms of {simulations}", corrected, ALARMS)]
    report["components"] = {
        metric: {slug: asdict(components(arms)) for slug, arms in by_slug.items()}
        for metric, by_slug in _by_metric(pools).items()
    }
    for metric, by_slug in _by_metric(pools).items():
        for kind, normal in (("normal draws", True), ("measured differences", False)):
            for seeds in (1, SEEDS):
                held = []
                for one in range(simulations):
                    arms = by_slug[slugs[one % len(slugs)]]
                    shape = arms["adapter"] - arms["base_in_style"]
                    held.append(covered(components(arms), shape, one, prompts=48, seeds=seeds, normal=normal))
                bars.append(within(f"coverage, {metric}, {kind}, {seeds} seed(s)", fmean(held), LOWEST, HIGHEST))
    report["detectable"] = power(pools)
    return bars


def power(pools: dict[str, Pool]) -> dict[str, Any]:
    """Detectable effects by prompts and seeds, means over directors; of style over held-out stills too."""
    return {
        metric: {
            f"{prompts} prompts × {seeds}": fmean(
                detectable(components(arms), prompts=prompts, seeds=seeds) for arms in by_slug.values()
            )
            for prompts in POWER_PROMPTS
            for seeds in POWER_SEEDS
        }
        for metric, by_slug in _by_metric(pools).items()
    } | {
        "style over stills, 48 prompts × 2": {
            f"{stills} stills": fmean(
                detectable(
                    components(pool.style), prompts=48, seeds=2, stills_variance=pool.stills_variance, stills=stills
                )
                for pool in pools.values()
            )
            for stills in (5, 10, 20, 50)
        }
    }


def _by_metric(pools: dict[str, Pool]) -> dict[str, dict[str, Any]]:
    return {
        "style": {slug: pool.style for slug, pool in pools.items()},
        "prompt": {slug: pool.prompt for slug, pool in pools.items()},
    }


def told(found: Sequence[Outcome], report: dict[str, Any]) -> list[dict[str, Any]]:
    """How many of each defect were caught."""
    bars, table = [], {}
    for defect in ALL:
        for earlier in (True, False):
            of = [one for one in found if one.defect == defect.name and one.with_earlier == earlier]
            name = f"{defect.words}, {'with' if earlier else 'without'} a version before"
            table[name] = {
                "outcomes": dict(Counter(one.outcome for one in of)),
                "claims that did not hold": dict(Counter(claim for one in of for claim in one.against).most_common()),
            }
            passed = sum(one.outcome == "pass" for one in of)
            if defect.name == "sound":
                bars.append(at_least(f"passes of {len(of)}: {name}", passed, PASSED))
                bars.append(at_most(f"refuted of {len(of)}: {name}", sum(one.outcome == "fail" for one in of), 0))
            elif earlier or defect.name not in ONLY_BESIDE_ANOTHER:
                bars.append(at_least(f"caught of {len(of)}: {name}", len(of) - passed, CAUGHT))
            if defect.name == "none":
                bars.append(at_most(f"passes of {len(of)}: {name}", passed, 0))
    report["trials"] = table
    return bars


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keeps what was made, for another call")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="director-bench-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        setting = Setting(folder)
        setting.prepare()
        directors = list(setting.directors)
        for phase in ("train", "draw"):
            work(folder, phase, directors, options.workers)
        encoders = setting.encoders()
        report: dict[str, Any] = {"directors": len(directors), "trials": TRIALS, "noises": SEEDS}
        bars = resampled({slug: pool_of(setting, encoders, slug) for slug in directors}, options.simulations, report)
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as judges:
            found = list(judges.map(partial(outcomes, setting), directors))
        bars += told([one for of_director in found for one in of_director], report)
    return print_report({**report, "bars": bars}, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
