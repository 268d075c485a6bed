"""`director doctor`: what this machine has and lacks for the chosen project and deployment."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from director_diffusion.devices.device import GIB
from director_diffusion.errors import DeviceError, DirectorError
from director_diffusion.models.doctor import Finding, examine
from director_diffusion.models.token import TOKEN_VARIABLE
from director_diffusion.specs import Source
from director_diffusion.voting.ledger import Ledger
from pipelines.build import build_machine
from pipelines.dagster_settings import look
from pipelines.executors import look_for_library
from pipelines.surroundings import Surroundings, read_surroundings
from resources.machine import MachineResource

MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "missing": "[red]missing[/]"}


def doctor_command() -> int:
    """Print the findings.  1 where something is missing, else 0."""
    surroundings = read_surroundings()
    findings = [
        *_places(surroundings),
        *examine(
            _models(surroundings),
            families={base.family for base in surroundings.catalog.project_bases(surroundings.project)},
            trained_here=surroundings.catalog.project_bases_trained_here(surroundings.project),
            device=surroundings.deployment.device,
            store=surroundings.store(),
            cache=surroundings.model_cache,
            root=surroundings.root,
            token=os.environ.get(TOKEN_VARIABLE),
        ),
        *examine_devices(build_machine(surroundings), gpus=surroundings.deployment.gpus_here),
    ]
    console = Console(width=None if Console().is_terminal else 160)
    table = Table(title=f"project {surroundings.project.slug}, deployment {surroundings.deployment.slug}")
    for heading in ("what", "state", "found", "to mend it"):
        table.add_column(heading, overflow="fold")  # a long address is to be copied whole
    for finding in findings:
        table.add_row(finding.name, MARKS[finding.state], finding.detail, finding.mend)
    console.print(table)
    return 1 if any(finding.state == "missing" for finding in findings) else 0


def examine_devices(machine: MachineResource, *, gpus: int) -> list[Finding]:
    """Each GPU: what is free of it, who has it now, and why it is set aside; none where the deployment wants none."""
    if machine.kind == "cpu" or not gpus:
        return []
    try:
        seen = machine.device_leases().survey()
    except DeviceError as error:
        return [Finding("GPUs", "missing", f"{error.thing} {error.problem}", error.way_out)]
    findings = []
    for one in seen:
        memory = f"{one.device.free_bytes / GIB:.1f} of {one.device.total_bytes / GIB:.1f} GiB free"
        held = f", held by {one.holder}" if one.holder else ""
        name = one.device.title
        if one.fault:
            mend = "Mend it, or reset it (nvidia-smi --gpu-reset); no step is given it meanwhile."
            findings.append(Finding(name, "warning", f"set aside: {one.fault}", mend))
        else:
            findings.append(Finding(name, "ok", f"{one.device.name}, {memory}{held}"))
    usable = sum(not one.fault for one in seen)
    if usable < gpus:
        mend = "Set `gpus` of the deployment to what there is."
        findings.append(Finding("GPUs", "missing", f"{usable} that work, of {gpus} that the deployment wants", mend))
    return findings


def _models(surroundings: Surroundings) -> dict[str, Source]:
    catalog, project = surroundings.catalog, surroundings.project
    plan = catalog.evaluations[project.evaluation]
    bases = catalog.project_bases(project)
    trained = {f"base {base.slug}": base.source for base in bases}
    drawn_with = {f"base {base.slug}, sampled": base.drawn_with.source for base in bases if base.sampled_with}
    recipes = catalog.project_recipes(project)
    baselines = {f"baseline of {one.slug}": one.baseline.only_weights for one in recipes if one.baseline is not None}
    return {
        **trained,
        **drawn_with,
        **baselines,
        "captioner": project.captioner.source,
        **plan.sources(project.captioner.source),
    }


def _places(surroundings: Surroundings) -> list[Finding]:
    """Configs, where steps run, Dagster's records, the ledger of votes, and directors with stills."""
    slugs = [director.slug for director in surroundings.catalog.project_directors(surroundings.project)]
    return [
        Finding("configs", "ok", f"{surroundings.catalog.folder}: {len(slugs)} directors"),
        _looked("executor", lambda: _executor(surroundings)),
        _looked("DAGSTER_HOME", lambda: Finding("DAGSTER_HOME", "ok", look(surroundings))),
        _looked("votes", lambda: _votes(surroundings.votes_url)),
        _looked("stills", lambda: _stills(surroundings, slugs)),
    ]


def _looked(name: str, look_at: Callable[[], Finding]) -> Finding:
    try:
        return look_at()
    except DirectorError as error:
        return Finding(name, "missing", f"{error.thing} {error.problem}", error.way_out)


def _executor(surroundings: Surroundings) -> Finding:
    look_for_library(surroundings.deployment)
    return Finding("executor", "ok", surroundings.deployment.executor)


def _votes(url: str | None) -> Finding:
    if url is None:
        mend = "Set `votes:` of the deployment to a database, where people are to vote."
        return Finding("votes", "ok", "nobody can vote: the store is no folder, and no database is named", mend)
    scheme, _, path = url.partition(":///")
    if scheme.startswith("sqlite") and not Path(path).exists():
        return Finding("votes", "ok", f"{path}: made with the studio")
    with closing(Ledger(url, to_look=True)) as ledger:
        if not ledger.is_made:
            return Finding("votes", "ok", f"{ledger.where}: its table is made with the studio")
        return Finding("votes", "ok", f"{sum(ledger.counts().values())} in {ledger.where}")


def _stills(surroundings: Surroundings, slugs: list[str]) -> Finding:
    store = surroundings.store()
    empty = [slug for slug in slugs if not store.names(f"stills/{slug}")]
    if not empty:
        return Finding("stills", "ok", f"every director has some in {surroundings.store_url}")
    if surroundings.project.placeholder_stills and not store.names("stills"):
        return Finding("stills", "ok", "none yet; placeholder stills are drawn at the first run")
    mend = "Put stills under stills/<director>/<film>/ there, or take the director out of the project."
    return Finding("stills", "warning", f"none of {', '.join(empty)} in {surroundings.store_url}", mend)
