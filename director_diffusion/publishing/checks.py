"""Checks of a publication: did the adapter go out, and if not, why?

Belongs here: the question and its answer.  Whether it may go out is `publish`'s to decide.
"""

from typing import TYPE_CHECKING

from director_diffusion.checks import Check
from director_diffusion.storage.artifact import CheckOutcome

if TYPE_CHECKING:
    from director_diffusion.publishing.publish import Publication

PUBLISHED = Check(
    "published", "The hub shows this very adapter: its verdict passed, or a person signed it off.", blocking=False
)
CHECKS = (PUBLISHED,)


def judge(publication: "Publication") -> list[CheckOutcome]:
    """Passes where it was published; what is withheld tells its reason."""
    published = publication.status == "published"
    said = f"{publication.repo_id} is published, commit {publication.commit[:8]}." if published else publication.reason
    return [
        PUBLISHED.outcome(published, said, repo_id=publication.repo_id, commit=publication.commit, tag=publication.tag)
    ]
