"""The table of licences: every shipped base is in it, and an unknown one is refused."""

from pathlib import Path

import pytest
from publishing_inputs import BASE

from director_diffusion.catalog import load_catalog
from director_diffusion.errors import PublishError
from director_diffusion.publishing.licences import FLUX_DEV_NOTICE, TERMS, terms_of
from director_diffusion.specs import Base, HubSource, Licence, TrainedSource

CONFIGS = Path(__file__).parents[2] / "configs"
BASES = load_catalog(CONFIGS).bases
REVISION = "0123456789abcdef0123456789abcdef01234567"


def changed(base: Base, **changes: object) -> Base:
    return base.model_copy(update=changes)


@pytest.mark.parametrize("slug", sorted(BASES))
def test_every_shipped_base_is_known(slug: str) -> None:
    base = BASES[slug]
    terms = terms_of(base)
    assert (terms.licence.id, terms.licence.name) == (base.licence.id, base.licence.name)
    assert terms.link.startswith("https://")
    assert terms.notice


def test_no_entry_is_of_a_base_that_nobody_uses() -> None:
    assert {base.model_id for base in BASES.values()} == TERMS.keys()


@pytest.mark.parametrize("slug", ["flux_dev", "flux_krea_dev"])
def test_flux_dev_asks_for_its_attribution_notice(slug: str) -> None:
    terms = terms_of(BASES[slug])
    assert terms.licence.id == "other"
    assert terms.licence.name == "flux-1-dev-non-commercial-license"
    assert terms.licence.link == f"https://huggingface.co/{BASES[slug].model_id}/blob/main/LICENSE.md"
    assert terms.notice.startswith(FLUX_DEV_NOTICE)
    assert "has been modified" in terms.notice
    assert "granted directly by Black Forest Labs Inc." in terms.notice
    assert "non-commercial" in terms.summary


@pytest.mark.parametrize(("slug", "licence"), [("sdxl", "openrail++"), ("sd15", "creativeml-openrail-m")])
def test_use_based_restrictions_are_passed_on(slug: str, licence: str) -> None:
    terms = terms_of(BASES[slug])
    assert terms.licence.id == licence
    assert "use-based restrictions" in terms.notice
    assert "use-based restrictions" in terms.summary


@pytest.mark.parametrize(
    "base",
    [
        changed(BASE, model_id="somebody/finetune"),
        changed(BASE, source=HubSource(kind="hub", repo="somebody/finetune", revision=REVISION)),
    ],
    ids=["in a folder", "on the Hub under a known name"],
)
def test_a_base_that_nobody_looked_at_is_refused(base: Base) -> None:
    with pytest.raises(PublishError, match=r"base somebody/finetune: is in no table.*TERMS in .*licences\.py"):
        terms_of(base)


def test_a_base_whose_file_says_another_licence_is_refused() -> None:
    krea = changed(BASES["flux_krea_dev"], licence=Licence(id="apache-2.0"))
    with pytest.raises(PublishError, match=r"is under flux-1-dev-.*its file says apache-2\.0.*flux_krea_dev\.yaml"):
        terms_of(krea)


def test_the_licence_of_a_base_trained_here_is_its_owners() -> None:
    source = TrainedSource(kind="base_model", base="ours")
    ours = changed(BASES["mini_sdxl"], slug="ours", model_id="studio/ours", source=source)
    assert terms_of(ours).title == "apache-2.0"
    assert terms_of(changed(ours, licence=Licence(id="other", name="ours", link="https://x"))).link == "https://x"
    with pytest.raises(PublishError, match=r"is under gpl-3\.0, of which no copy is known.*link"):
        terms_of(changed(ours, licence=Licence(id="gpl-3.0")))
