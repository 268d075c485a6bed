"""Licences: under which terms an adapter of a base may be passed on.

Belongs here: a table of bases whose licences somebody has read, what each of them asks to be said, and what becomes of
a base that is not in it.  The `licence` in a base's own file is not enough to publish under: whoever copied the file
may have copied that line too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from director_diffusion.errors import PublishError
from director_diffusion.specs import Base, HubSource, Licence, TrainedSource


@dataclass(frozen=True)
class Terms:
    """A base's licence, and what it asks of an adapter made of that base."""

    licence: Licence  # in the words of the Hub's metadata
    title: str  # as people call it
    link: str  # to a copy
    notice: str  # to be shown with every copy of the adapter
    summary: str  # for a reader, in a sentence or two


# Section 3 of version 1.1.1, word for word, and what c asks to be said with it.
# https://github.com/black-forest-labs/flux/blob/main/model_licenses/LICENSE-FLUX1-dev
FLUX_DEV_NOTICE = """\
The FLUX.1 [dev] Model is licensed by Black Forest Labs Inc. under the FLUX.1 [dev] Non-Commercial License. Copyright \
Black Forest Labs Inc.
IN NO EVENT SHALL BLACK FOREST LABS INC. BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF \
CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH USE OF THIS MODEL."""

_FLUX_DEV_DERIVATIVE = """\

The FLUX.1 [dev] Model has been modified: this adapter is a Derivative of it. Any rights to use the FLUX.1 [dev] Model \
and this Derivative are granted directly by Black Forest Labs Inc. to whoever receives them, pursuant to that License. \
Its disclaimers of warranties and limitations of liability hold for this Derivative too. The Derivative is no official \
product of Black Forest Labs Inc., which has not endorsed, approved or validated it."""

_USE_BASED = """\
This adapter is a Derivative of the Model: it changes what that computes. The use-based restrictions of paragraph \
5 and Attachment A of that License hold for it too. Whoever passes it on must put the same restrictions into their own \
terms as an enforceable provision, and hand on a copy of that License."""

_SUMMARY_USE_BASED = (
    "Its use-based restrictions (Attachment A) hold for this adapter as they do for the base, and must be passed on "
    "with it."
)
_APACHE_LINK = "https://www.apache.org/licenses/LICENSE-2.0"
_LINKS = {
    "apache-2.0": _APACHE_LINK,
    "mit": "https://opensource.org/license/mit",
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/legalcode",
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
}
"""Where the licences lie that a base trained here may name without a link."""


def _flux_dev(model_id: str) -> Terms:
    link = f"https://huggingface.co/{model_id}/blob/main/LICENSE.md"
    return Terms(
        Licence(id="other", name="flux-1-dev-non-commercial-license", link=link),
        title="FLUX.1 [dev] Non-Commercial License",
        link=link,
        notice=f"{FLUX_DEV_NOTICE}\n{_FLUX_DEV_DERIVATIVE}",
        summary="Base and adapter may be used, changed and passed on for non-commercial purposes only.",
    )


def _apache(made_by: str) -> Terms:
    return Terms(
        Licence(id="apache-2.0"),
        title="Apache License 2.0",
        link=_APACHE_LINK,
        notice=f"{made_by} Licensed under the Apache License, Version 2.0. This adapter changes what it computes.",
        summary="Whoever passes the adapter on must hand on a copy of that licence and keep the notice.",
    )


_OURS = _apache("The base was trained from scratch by director-diffusion.")

TERMS: Mapping[str, Terms] = {
    "black-forest-labs/FLUX.1-dev": _flux_dev("black-forest-labs/FLUX.1-dev"),
    "black-forest-labs/FLUX.1-Krea-dev": _flux_dev("black-forest-labs/FLUX.1-Krea-dev"),
    "black-forest-labs/FLUX.1-schnell": _apache("FLUX.1 [schnell] is by Black Forest Labs."),
    "stabilityai/stable-diffusion-xl-base-1.0": Terms(
        Licence(id="openrail++"),
        title="CreativeML Open RAIL++-M License",
        link="https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
        notice="Copyright (c) 2023 Stability AI. CreativeML Open RAIL++-M License dated July 26, 2023.\n\n"
        f"{_USE_BASED}",
        summary=_SUMMARY_USE_BASED,
    ),
    "stable-diffusion-v1-5/stable-diffusion-v1-5": Terms(
        Licence(id="creativeml-openrail-m"),
        title="CreativeML Open RAIL-M",
        link="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
        notice="Copyright (c) 2022 Robin Rombach and Patrick Esser and contributors. CreativeML Open RAIL-M dated "
        f"August 22, 2022.\n\n{_USE_BASED}",
        summary=_SUMMARY_USE_BASED,
    ),
    "director-diffusion/mini": _OURS,
    "director-diffusion/mini-sdxl": _OURS,
    "director-diffusion/mini-sd15": _OURS,
    "director-diffusion/mnist": _OURS,
    "director-diffusion/mnist-full": _OURS,
}
"""By `model_id`."""


def terms_of(base: Base) -> Terms:
    """The terms of a base in the table, or of one that this project trains as `base_model`: that is its owner's to say.

    Raises PublishError for any other base, and where the base's file says another licence than the table.
    """
    name = base.source.repo if isinstance(base.source, HubSource) else base.model_id
    terms = TERMS.get(name)
    if terms is None and isinstance(base.source, TrainedSource):
        return _own(base)
    if terms is None:
        raise PublishError(
            f"base {name}",
            "is in no table of licences, and the `licence` in its file is not enough to publish under",
            "Read its licence and add the base to TERMS in director_diffusion/publishing/licences.py; all but the "
            "model card works without.",
        )
    if (base.licence.id, base.licence.name) != (terms.licence.id, terms.licence.name):
        raise PublishError(
            f"base {name}",
            f"is under {_name(terms.licence)}, but its file says {_name(base.licence)}",
            f"Mend `licence` in configs/bases/{base.slug}.yaml.",
        )
    return terms


def _own(base: Base) -> Terms:
    licence = base.licence
    link = licence.link or _LINKS.get(licence.id)
    if link is None:
        raise PublishError(
            f"base {base.model_id}",
            f"is under {licence.id}, of which no copy is known",
            f"Give `licence` in configs/bases/{base.slug}.yaml a link, or one of {', '.join(sorted(_LINKS))}.",
        )
    return Terms(
        licence,
        title=_name(licence),
        link=link,
        notice=f"{base.name} was trained from scratch by who published it. This adapter changes what it computes.",
        summary="Whoever passes the adapter on must obey that licence and keep the notice.",
    )


def _name(licence: Licence) -> str:
    return licence.name or licence.id
