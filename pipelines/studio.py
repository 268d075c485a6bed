"""The studio's parts, as project and deployment say.

Belongs here: putting together what its tabs use (store, booth, desk with the GPU that it is lent, judge of captions),
and having its bases on this machine.  `pipelines.cli.app` serves it; what tabs do with it is
`director_diffusion.studio`'s.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from director_diffusion.errors import LedgerError
from pipelines.build import build_machine, build_models
from pipelines.surroundings import Surroundings
from resources.votes import VotesResource

if TYPE_CHECKING:
    from director_diffusion.captions.judging import Judge
    from director_diffusion.studio.studio import Studio
    from director_diffusion.voting.booth import Booth

IDLE_S = 300.0  # after which the studio's GPU is others'


def build_booth(surroundings: Surroundings) -> "Booth":
    """Where people vote, for whoever shows them a page.  Raises LedgerError where this deployment has no ledger."""
    from director_diffusion.voting.booth import Booth
    from director_diffusion.voting.exhibition import Exhibition
    from director_diffusion.voting.secrets import key_at

    ledger = VotesResource(url=surroundings.votes_url).ledger()
    if ledger is None:
        raise LedgerError(
            f"deployment {surroundings.deployment.slug}",
            "has a store that is no folder, and no ledger of votes",
            "Set `votes: postgresql://<user>@<host>/<database>` in its file.",
        )
    catalog, project = surroundings.catalog, surroundings.project
    directors = [director.slug for director in catalog.project_directors(project)]
    exhibition = Exhibition(surroundings.store(), directors, project.recipes)
    return Booth(ledger, exhibition, key_at(surroundings.votes_key))


def build_studio(surroundings: Surroundings) -> "Studio":
    """What the studio's tabs use."""
    from director_diffusion.studio.desk import OneDesk
    from director_diffusion.studio.studio import Limits, Studio

    catalog, project = surroundings.catalog, surroundings.project
    store, limits = surroundings.store(), Limits()
    directors = {director.slug: director for director in catalog.project_directors(project)}
    recipes = {recipe.slug: recipe for recipe in catalog.project_recipes(project)}
    bases = {base.slug: base for base in catalog.project_bases(project)}
    plan = catalog.evaluations[project.evaluation]
    machine = build_machine(surroundings)

    @contextmanager
    def lend() -> Iterator[str]:
        with machine.lent(holder="director app", told=lambda words: None, wait_s=limits.wait_s) as place:
            yield place.device

    desk = OneDesk(
        store,
        directors,
        recipes,
        bases,
        plan,
        build_models(surroundings).base_folder,
        lend=lend,
        limits=limits,
        idle_s=IDLE_S if surroundings.deployment.gpus else None,
    )
    return Studio(
        store=store,
        directors=directors,
        recipes=recipes,
        plan=plan,
        booth=None if surroundings.votes_url is None else build_booth(surroundings),
        desk=desk,
        judge=_judge(surroundings),
        limits=limits,
    )


def fetch_bases(surroundings: Surroundings, told: Callable[[str], None]) -> None:
    """Have the project's bases on this machine, so that no visitor of the studio waits for a download.

    Raises ModelError for one that cannot be had, TransientError for what is likely to pass.
    """
    models = build_models(surroundings)
    for base in surroundings.catalog.project_bases(surroundings.project):
        for source in dict.fromkeys((base.source, base.drawn_with.source)):
            told(f"Looking for the base {base.slug}; what is not on this machine is fetched")
            models.folder(source)


def _judge(surroundings: Surroundings) -> "Judge":
    """The project's rules for captions; tokenizers are loaded when the first one is judged."""
    from director_diffusion.captions.judging import Judge

    catalog, project = surroundings.catalog, surroundings.project
    bases, models = catalog.project_bases(project), build_models(surroundings)

    @cache
    def counter() -> Callable[[str], int]:
        from director_diffusion.families import longest_count

        return longest_count((base.family, models.base_folder(base)) for base in bases)

    one_at_a_time = Lock()  # tabs share the tokenizers, which would else be loaded twice

    def count(prompt: str) -> int:
        with one_at_a_time:
            return counter()(prompt)

    return Judge(project.captioner, count, min(base.max_prompt_tokens for base in bases))
