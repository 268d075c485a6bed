"""What `director trace` shows on a terminal: the whole in counts, of lists the first.

Belongs here: words and tables; `--json` prints all.
"""

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from director_diffusion.evaluation.types import METRIC_NAMES
from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.tracing.forward import StillTrace
from director_diffusion.tracing.known import Judgement, Trace

FIRST = 5  # stills that are shown


def print_trace(trace: Trace) -> None:
    """An adapter, from who it is to what was said of it."""
    console = _console()
    facts = Table("", "", show_header=False, title=escape(trace.given))
    for name, value in _facts(trace):
        facts.add_row(name, escape(value or "not known"))
    console.print(facts)
    stills = Table("split", "film", "file", "SHA-256", "caption", title=_counted(trace))
    for still in trace.stills[:FIRST]:
        hashed = f"SHA-256 {still.caption_sha256[:SHOWN]}" if still.caption_sha256 else ""
        caption = still.caption or hashed or "none: it trained on the trigger alone"
        stills.add_row(still.split, *map(escape, (still.film, still.file, still.sha256[:SHOWN], caption)))
    if trace.stills:
        console.print(stills)
    for judgement in trace.judgements:
        _print_judgement(console, judgement)
    for entry in trace.sign_offs:
        console.print(f"{entry.act} by {entry.who}, {entry.date}: {entry.why}", markup=False)
    for publication in trace.publications:
        what = publication["commit"] if publication["status"] == "published" else publication["reason"]
        console.print(f"{publication['repo_id']} {publication['status']}: {what}", markup=False)
    for release in trace.releases:
        console.print(f"{release.act} by {release.who}, {release.date}: {release.why}", markup=False)
    if trace.live:
        console.print("It is live.")
    for sentence in trace.lacking:
        console.print(sentence, markup=False)


def _print_judgement(console: Console, judgement: Judgement) -> None:
    """With all its reasons, those that did not pass first, and what it went by."""
    console.print(f"{judgement.asset} {judgement.key}: {judgement.outcome}", markup=False)
    for reason in sorted(judgement.reasons, key=lambda reason: reason.startswith("pass")):
        console.print(f"  {reason}", markup=False)
    effects = Table("what", "adapter minus", "prompts", "effect", "interval")
    for effect in judgement.judged:
        known = "low" in effect and "high" in effect
        interval = f"{effect['low']:+.3f} to {effect['high']:+.3f}" if known else "not known"
        metric, against, part = (str(effect.get(name, "")) for name in ("metric", "against", "part"))
        what = (METRIC_NAMES.get(metric, metric), against.replace("_", " "), part)  # type: ignore[call-overload]
        effects.add_row(*map(escape, what), f"{effect['mean']:+.3f}", interval)
    if judgement.judged:
        console.print(effects)


def print_still(trace: StillTrace) -> None:
    """A still, where it stands and what depends on it."""
    console = _console()
    for place in trace.places:
        reason = f" ({place.reason})" if place.reason else ""
        console.print(
            f"{place.director}: {place.film}/{place.file}, still {place.still or '–'}, {place.status}{reason}"
            f"{', ' + place.split if place.split else ''}; stills {place.key}",
            markup=False,
        )
    table = Table(
        "director", "asset", "key", "the still there", "what readers see", "adapter", title="What it went into"
    )
    for use in trace.uses:
        table.add_row(
            use.director or "all",
            use.asset,
            use.key,
            _role(use.split, adapter=bool(use.adapter_version)),
            "yes" if use.latest else "earlier",
            use.adapter_version[:SHOWN],
        )
    if trace.uses:
        console.print(table)
    for one in trace.publications:
        what = f"{one.status}, {one.repo_id} at {one.commit or 'no commit'}" if one.status else "what it said is lost"
        seen = "" if one.latest else "; earlier"
        console.print(f"{one.director} by {one.recipe}, publication {one.key}: {what}{seen}", markup=False)
    for release in trace.releases:
        now = ", and is" if release.live else ""
        console.print(
            f"{release.director} by {release.recipe}: adapter {release.adapter_version[:SHOWN]} became live "
            f"{release.date}{now}",
            markup=False,
        )
    learned = {use.adapter_version for use in trace.learned}
    console.print(f"{len(learned)} adapters learned from it; {len(trace.files)} files of the store hold it (--json).")


def _facts(trace: Trace) -> Iterable[tuple[str, str]]:
    yield "adapter version", trace.adapter_version
    yield "director", f"{trace.director or 'several'}, trigger: {trace.trigger}"
    yield "recipe", _recipe(trace)
    yield "training", f"{trace.training}, step {trace.step} at strength {trace.strength}, chosen by {trace.chosen_by}"
    yield "base", ", ".join(filter(None, (trace.base["model"], trace.base["revision"] or trace.base["content"])))
    if trace.began_with:
        yield "began with", f"adapter {trace.began_with[:SHOWN]}: trace that too"
    yield "code", ", ".join(f"{stage.asset} {stage.code_version}" for stage in trace.stages)
    yield "packages", ", ".join(f"{name} {version}" for name, version in trace.packages.items())


def _recipe(trace: Trace) -> str:
    spec = trace.recipe_spec
    if not spec:
        return trace.recipe
    adapter = spec["adapter"]
    size = f"rank {adapter['rank']}" if "rank" in adapter else "factors"
    return f"{trace.recipe}: {adapter['kind']} of {size}, {spec['steps']} steps, seed {trace.seed}"


def _counted(trace: Trace) -> str:
    splits = Counter(still.split for still in trace.stills)
    counts = ", ".join(f"{count} {split.replace('_', ' ')}" for split, count in splits.items())
    captions = Counter(still.caption_by for still in trace.stills if still.caption)
    told = ", ".join(f"{count} captioned by a {who}" for who, count in captions.items())
    return f"{len(trace.stills)} stills: {counts}; {told or 'no captions'}; the first {min(FIRST, len(trace.stills))}"


def _role(split: str, *, adapter: bool) -> str:
    if adapter:
        return "trained on" if split == "train" else f"not trained on: {split.replace('_', ' ')}"
    return split.replace("_", " ")


def _console() -> Console:
    return Console(width=None if Console().is_terminal else 160, highlight=False)
