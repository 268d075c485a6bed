"""Promotions and rollbacks: what may become live, what the record says, and that several at once lose nothing."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from director_diffusion.errors import PublishError, StoreError
from director_diffusion.publishing.sign_offs import SignOff, add_sign_off
from director_diffusion.releases.change import promote, roll_back
from director_diffusion.releases.record import Release, live, read_releases
from director_diffusion.storage import Store
from tests.lineages import DIRECTOR, RECIPE, Lineage, Published


@pytest.fixture
def three(lineage: Lineage) -> tuple[Published, Published, Published]:
    return lineage.publish(3), lineage.publish(6), lineage.publish(9)


def put_live(store: Store, version: str | None = None, who: str = "ann") -> tuple[Release, bool]:
    return promote(store, RECIPE, DIRECTOR, version=version, who=who, why="better", date="2026-11-22")


def go_back(store: Store, to: str | None = None, *, delivered: bool = True) -> tuple[Release, bool]:
    return roll_back(store, RECIPE, DIRECTOR, to=to, delivered=delivered, who="bob", why="worse", date="2026-11-23")


def signed(version: str, act: str = "signed off") -> SignOff:
    return SignOff(act, version, "ann", "it is fine", "2026-11-22")  # type: ignore[arg-type]


def versions(store: Store) -> list[str]:
    return [entry.adapter_version for entry in read_releases(store, RECIPE, DIRECTOR)]


def test_what_was_published_last_becomes_live(store: Store, three: tuple[Published, ...]) -> None:
    entry, new = put_live(store)
    assert new
    assert entry == Release(
        act="promoted",
        adapter_version=three[2].version,
        adapter_key=three[2].adapter.manifest.key,
        repo_id="studio/nolan-mini_lora",
        commit=three[2].commit,
        verdict="pass",
        signed_off_by="",
        who="ann",
        why="better",
        date="2026-11-22",
    )
    assert read_releases(store, RECIPE, DIRECTOR) == (entry,)


def test_a_version_is_named_by_its_first_digits(store: Store, three: tuple[Published, ...]) -> None:
    for published in three:
        assert put_live(store, published.version[:8])[0].commit == published.commit
    assert put_live(store, three[0].version.upper())[0].adapter_version == three[0].version
    assert versions(store) == [three[place].version for place in (0, 1, 2, 0)]


def test_what_is_live_already_stays_so_with_its_entry(store: Store, three: tuple[Published, ...]) -> None:
    first, _ = put_live(store, who="ann")
    again, new = put_live(store, who="bob")
    assert (again, new) == (first, False)
    assert versions(store) == [three[2].version]


@pytest.mark.parametrize("digits", ["0000000000", "", "xyz"])
def test_an_unknown_version_is_refused_with_those_there_are(
    store: Store, three: tuple[Published, ...], digits: str
) -> None:
    with pytest.raises(PublishError) as caught:
        put_live(store, digits)
    for published in three:
        assert published.version[:12] in str(caught.value)
    assert versions(store) == []


def test_digits_that_name_no_one_version_are_refused(store: Store, three: tuple[Published, ...]) -> None:
    with pytest.raises(PublishError, match="is no version that is published"):
        put_live(store, three[0].version[:5])


def test_nothing_is_promoted_before_anything_is_published(store: Store) -> None:
    with pytest.raises(StoreError, match="published_model: has not been materialized"):
        put_live(store)


def test_a_withheld_version_is_refused_with_its_reason(store: Store, lineage: Lineage) -> None:
    out = lineage.publish(3)
    withheld = lineage.publish(6, outcome="fail", status="withheld")
    for version in (None, withheld.version):
        with pytest.raises(PublishError, match="is withheld: The verdict is fail") as caught:
            put_live(store, version)
        assert f"Give --version for one that is published: {out.version[:12]}." in str(caught.value)
    assert put_live(store, out.version)[0].commit == out.commit


def test_what_was_published_once_and_is_withheld_now_is_refused(store: Store, lineage: Lineage) -> None:
    """A re-evaluation of the same adapter failed."""
    version = lineage.publish(3).version
    assert lineage.publish(3, outcome="fail", status="withheld").version == version
    with pytest.raises(PublishError, match="is withheld"):
        put_live(store, version)


@pytest.mark.parametrize("outcomes", [("undecided", "pass"), ("pass", "undecided")])
def test_of_a_version_that_was_published_twice_the_last_goes_live(
    store: Store, lineage: Lineage, outcomes: tuple[str, str]
) -> None:
    first, last = (lineage.publish(3, outcome=outcome) for outcome in outcomes)
    assert (first.version, first.commit == last.commit) == (last.version, False)
    add_sign_off(store, RECIPE, DIRECTOR, signed(first.version))
    lineage.publish(6)
    entry, _ = put_live(store, first.version)
    assert (entry.commit, entry.verdict) == (last.commit, outcomes[1])


def test_what_a_reevaluation_withholds_stays_so_when_another_is_the_newest(store: Store, lineage: Lineage) -> None:
    version = lineage.publish(3).version
    lineage.publish(3, outcome="fail", status="withheld")
    other = lineage.publish(6)
    with pytest.raises(PublishError, match="is withheld: The verdict is fail") as caught:
        put_live(store, version)
    assert f"Give --version for one that is published: {other.version[:12]}." in str(caught.value)
    lineage.publish(3)  # judged anew, but what passed then is found again
    assert put_live(store, version)[0].adapter_version == version


def test_of_undated_publications_one_that_withholds_counts(store: Store, lineage: Lineage) -> None:
    """As they were written before times were noted."""
    both = lineage.publish(3), lineage.publish(3, outcome="fail", status="withheld")
    lineage.publish(6)
    for each in both:
        manifest = each.publication.manifest.model_dump_json(exclude={"made"})
        store.write(f"{each.publication.folder}/artifact.json", manifest.encode())
    with pytest.raises(PublishError, match="is withheld: The verdict is fail"):
        put_live(store, both[0].version)


def test_one_that_is_signed_off_tells_by_whom(store: Store, lineage: Lineage) -> None:
    published = lineage.publish(3, outcome="undecided")
    with pytest.raises(PublishError, match="its sign-off having been taken back"):
        put_live(store)
    add_sign_off(store, RECIPE, DIRECTOR, signed(published.version))
    entry, _ = put_live(store)
    assert (entry.verdict, entry.signed_off_by) == ("undecided", "ann")


def test_a_rollback_goes_along_the_line_and_no_version_is_visited_twice(
    store: Store, three: tuple[Published, ...]
) -> None:
    one, two, last = (published.version for published in three)
    for version in (one, two, last):
        put_live(store, version)
    assert go_back(store)[0].adapter_version == two
    assert go_back(store)[0].adapter_version == one, "not to and fro"
    with pytest.raises(PublishError, match="had no version live before"):
        go_back(store)
    put_live(store, last)
    entry, new = go_back(store)
    assert new
    assert (entry.act, entry.adapter_version, entry.who, entry.why) == ("rolled back", one, "bob", "worse")
    assert entry.adapter_key == three[0].adapter.manifest.key
    assert versions(store) == [one, two, last, two, one, last, one], "nothing is taken out"


def test_a_rollback_may_go_further_back(store: Store, three: tuple[Published, ...]) -> None:
    one, two, last = (published.version for published in three)
    for version in (one, two, one, last):
        put_live(store, version)
    assert go_back(store, two[:10])[0].adapter_version == two
    assert go_back(store)[0].adapter_version == one
    with pytest.raises(PublishError, match="had no version live before"):
        go_back(store)
    put_live(store, two)
    with pytest.raises(PublishError, match="is no version that is live before") as caught:
        go_back(store, last)
    assert one[:12] in str(caught.value)


def test_a_rollback_to_a_version_that_was_live_twice_ends_at_the_later_time(
    store: Store, three: tuple[Published, ...]
) -> None:
    one, two, last = (published.version for published in three)
    for version in (one, two, one):
        put_live(store, version)
    assert go_back(store, one)[0].adapter_version == one, "the first time"
    with pytest.raises(PublishError, match="had no version live before"):
        go_back(store)
    assert last not in versions(store)


def test_a_rollback_that_was_cut_off_is_finished_by_the_same_words(store: Store, three: tuple[Published, ...]) -> None:
    one, two, last = (published.version for published in three)
    for version in (one, two, last):
        put_live(store, version)
    first, _ = go_back(store)
    for to in (None, two):
        assert go_back(store, to, delivered=False) == (first, False)
    assert go_back(store, one, delivered=False)[0].adapter_version == one, "other words mean something else"
    put_live(store, last)
    assert go_back(store, delivered=False)[1], "a promotion that was cut off is gone back from"


def test_nothing_that_nobody_answers_for_any_more_comes_back(store: Store, lineage: Lineage) -> None:
    first = lineage.publish(3, outcome="fail")
    add_sign_off(store, RECIPE, DIRECTOR, signed(first.version))
    put_live(store)
    lineage.publish(6)
    put_live(store)
    add_sign_off(store, RECIPE, DIRECTOR, signed(first.version, "taken back"))
    with pytest.raises(PublishError, match="may not go out any more"):
        go_back(store)


def test_nothing_that_a_later_verdict_withholds_comes_back(store: Store, lineage: Lineage) -> None:
    first = lineage.publish(3)
    put_live(store)
    lineage.publish(3, outcome="fail", status="withheld")
    second = lineage.publish(6)
    put_live(store)
    with pytest.raises(PublishError, match="has been withheld since: The verdict is fail"):
        go_back(store)
    assert versions(store) == [first.version, second.version]
    lineage.publish(3)
    assert go_back(store)[0].adapter_version == first.version


def test_several_promotions_at_once_are_all_recorded(store: Store, three: tuple[Published, ...]) -> None:
    order = [three[place % 3].version for place in range(12)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda version: put_live(store, version), order))
    entries = read_releases(store, RECIPE, DIRECTOR)
    assert len(entries) == sum(new for _, new in results)
    assert all(before.adapter_version != after.adapter_version for before, after in pairwise(entries))
    now = live(entries)
    assert now is not None
    assert now in [entry for entry, _ in results]


@pytest.mark.parametrize("text", ["[{}]", "nothing"])
def test_a_damaged_record_is_named(store: Store, text: str) -> None:
    store.write(f"releases/{RECIPE}/{DIRECTOR}.json", text.encode())
    with pytest.raises(StoreError, match=r"nolan\.json: holds no releases"):
        put_live(store)
