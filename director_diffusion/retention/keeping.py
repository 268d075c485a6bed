"""Keeping: which artifacts stay, and for which reason.

Belongs here: the rules.  Whatever stays, all that it was made of stays too, so everything can be traced.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from director_diffusion.errors import StoreError
from director_diffusion.publishing.publish import FILE as PUBLICATION
from director_diffusion.publishing.sign_offs import read_sign_offs, standing
from director_diffusion.releases.record import read_releases
from director_diffusion.retention.collection import Policy
from director_diffusion.retention.known import Known, Version
from director_diffusion.retention.records import records
from director_diffusion.storage.latest import made_at
from director_diffusion.storage.store import Store

LATEST = "what readers see"
PUBLISHED = "published, and what came of that adapter"
RELEASED = "live now or once, and what came of that adapter"
SIGNED = "signed off, and what came of that adapter"
YOUNG = "younger than keep-days"
NEWEST = "of the newest keep-versions"
NEEDED = "what a kept one was made of"


def kept_versions(known: Known, policy: Policy, now: datetime) -> dict[str, str]:
    """The first reason that there is for each artifact that stays, by folder."""
    kept: dict[str, str] = {}
    for why, some in _reasons(known, policy, now):
        for one in some:
            kept.setdefault(one.folder, why)
    for folder in known.with_ancestors(*(known.by_folder[folder] for folder in kept)):
        kept.setdefault(folder, NEEDED)
    return kept


def _reasons(known: Known, policy: Policy, now: datetime) -> Iterator[tuple[str, Iterable[Version]]]:
    adapters: dict[str, list[Version]] = defaultdict(list)
    for one in known:
        if one.adapter:
            adapters[one.adapter].append(one)
    yield LATEST, (known.by_folder[folder] for folder in known.latest.values() if folder in known.by_folder)
    yield PUBLISHED, _with_users(known, _published(known))
    yield PUBLISHED, _with_users(known, (one for version in _noted(known.store) for one in adapters[version]))
    yield RELEASED, _with_users(known, (one for version in _released(known.store) for one in adapters[version]))
    yield SIGNED, _with_users(known, (one for version in _signed(known.store) for one in adapters[version]))
    young = (one for one in known if (made := made_at(one.made)) is not None and now - made < policy.keep)
    yield YOUNG, young
    yield NEWEST, (one for versions in known.places.values() for one in versions[: policy.keep_versions])


def _with_users(known: Known, adapters: Iterable[Version]) -> Iterator[Version]:
    for adapter in adapters:
        yield adapter
        yield from known.came_of(adapter)


def _published(known: Known) -> Iterator[Version]:
    """The adapters that a publication let out."""
    for one in known:
        if one.asset[-1] != "published_model" or not _went_out(known.store, one):
            continue
        for card in known.made_of(one):
            if card.asset[-1] == "model_card":
                yield from (each for each in known.made_of(card) if each.adapter)


def _went_out(store: Store, publication: Version) -> bool:
    """What it says; of one that lost what it said nobody knows, so it counts."""
    name = f"{publication.folder}/{PUBLICATION}"
    try:
        return bool(json.loads(store.read(name))["status"] == "published")
    except (StoreError, ValueError, KeyError, TypeError):
        return True


def _noted(store: Store) -> Iterator[str]:
    for recipe, director in records(store, "published"):
        from director_diffusion.evaluation.published_before import published_entries  # loads torch

        yield from (entry.adapter_version for entry in published_entries(store, recipe, director))


def _released(store: Store) -> Iterator[str]:
    """All that the records name: a rollback may go back to any of them."""
    for recipe, director in records(store, "releases"):
        yield from (entry.adapter_version for entry in read_releases(store, recipe, director))


def _signed(store: Store) -> Iterator[str]:
    for recipe, director in records(store, "sign_offs"):
        yield from (entry.adapter_version for entry in standing(read_sign_offs(store, recipe, director)))
