"""Cards: what the gallery shows of every adapter.

Belongs here: reading publications and model cards from the store.  Imports no torch.
"""

import html
import json
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from director_diffusion.errors import OrderError
from director_diffusion.publishing.publish import FILE, Publication
from director_diffusion.publishing.repository import REPO
from director_diffusion.storage import Artifact
from director_diffusion.storage.artifact import usable_artifact, usable_artifacts
from director_diffusion.storage.watched import Watched
from director_diffusion.studio.adapters import adapter_of, label_of, value_of
from director_diffusion.studio.studio import SHOWN_S, Studio

PUBLISHED, CARD = "published_model", "model_card"
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_PICTURE = re.compile(r"(!\[[^\]]*\]\()([^()\s]+)(\))")


@dataclass(frozen=True)
class Entry:
    """An adapter that has come as far as the question whether it goes out."""

    value: str  # see `adapters.value_of`
    label: str
    verdict: str  # of its release evaluation
    publication: Publication


def watched_entries(studio: Studio) -> Watched[list[Entry]]:
    """All that there are, in the order of recipes and directors, read again only where one has changed."""
    assets = [(recipe, name) for recipe in studio.recipes for name in (PUBLISHED, CARD)]
    return Watched(
        studio.store, assets, list(studio.directors), lambda: _entries(studio), every_s=SHOWN_S, most_s=SHOWN_S
    )


def _entries(studio: Studio) -> list[Entry]:
    found = []
    for recipe in studio.recipes:
        published = usable_artifacts(studio.store, (recipe, PUBLISHED), studio.directors)
        cards = usable_artifacts(studio.store, (recipe, CARD), published)
        for director, card in cards.items():
            verdict = json.loads(card.read(f"{REPO}/evaluation.json"))["verdict"]["outcome"]
            publication = Publication(**published[director].json(FILE))
            found.append(Entry(value_of(recipe, director), label_of(studio, recipe, director), verdict, publication))
    return found


def overview(found: list[Entry]) -> str:
    """A table of them, in HTML: every word is escaped."""
    if not found:
        return "<p>No adapter has come as far as its card yet: <code>director run</code> makes them.</p>"
    rows = "".join(
        f"<tr><td>{_text(one.label)}</td><td>{_text(one.verdict)}</td><td>{_text(one.publication.status)}</td>"
        f"<td>{_text(one.publication.repo_id if one.publication.commit else '–')}</td>"
        f"<td>{_why(one.publication.reason)}</td></tr>"
        for one in found
    )
    heads = "".join(f"<th>{head}</th>" for head in ("adapter", "verdict", "publication", "repository", ""))
    return f'<table class="overview"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def card_of(studio: Studio, value: object, address: Callable[[bytes], str]) -> str:
    """A card's Markdown without its metadata, its pictures under an `address` each.

    Raises OrderError where there is none of that name.
    """
    recipe, director = adapter_of(studio, value)
    if director not in usable_artifacts(studio.store, (recipe, CARD), [director]):
        raise OrderError("card", "is not there yet", "Materialize the model card first.")
    card = usable_artifact(studio.store, (recipe, CARD), director)
    return with_pictures(card, _FRONT_MATTER.sub("", card.read(f"{REPO}/README.md").decode()), address)


def with_pictures(card: Artifact, text: str, address: Callable[[bytes], str]) -> str:
    """The text, with the card's own pictures under an address.  What is not among its files is left as it is."""
    own = {file.name for file in card.manifest.files}

    def addressed(found: re.Match[str]) -> str:
        name = posixpath.normpath(f"{REPO}/{found[2]}")
        return f"{found[1]}{address(card.read(name))}{found[3]}" if name in own else found[0]

    return _PICTURE.sub(addressed, text)


def _why(reason: str) -> str:
    return f"<details><summary>why</summary>{_text(reason)}</details>" if reason else ""


def _text(words: str) -> str:
    return html.escape(words)
