"""A repository's folder, as it goes to a hub: what must be in it.

Belongs here: the names of files that a hub's readers look for, and the look at a folder as a whole.  Writing it is
`card`'s.
"""

from pathlib import Path

from huggingface_hub import ModelCard

from director_diffusion.errors import PublishError
from director_diffusion.training.rows import WEIGHTS

REPO = "repo"  # folder of the repository inside a model card's artifact
CARD = "README.md"


def check_repo(repo: Path) -> ModelCard:
    """The card of a repository folder.  Raises PublishError unless card, weights and the card's pictures are there."""
    for name in (CARD, WEIGHTS):
        if not (repo / name).is_file():
            raise PublishError(str(repo / name), "is missing", "Materialize the model card again.")
    try:
        card = ModelCard((repo / CARD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PublishError(
            str(repo / CARD), f"has metadata that cannot be read: {error}", "Mend the director's or the base's file."
        ) from error
    for shown in card.data.get("widget", []):
        if not (repo / shown["output"]["url"]).is_file():
            raise PublishError(shown["output"]["url"], "is shown by the card but missing", "Write the card again.")
    return card
