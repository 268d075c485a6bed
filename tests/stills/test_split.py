"""Who is held out: whole films, or whole clusters; the same always, and nearly the same after an addition."""

from collections.abc import Mapping
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director_diffusion.errors import StillsError
from director_diffusion.stills.rows import Still
from director_diffusion.stills.split import Member, second_fold, untrained, validation


def members(films: dict[str, int]) -> list[Member]:
    """Stills of films of those sizes, all distinct."""
    names = [(film, f"{film}/{index}") for film, count in films.items() for index in range(count)]
    return [Member(film, number, sha256(name.encode()).hexdigest()) for number, (film, name) in enumerate(names)]


def films_of(stills: list[Member], chosen: set[int]) -> set[str]:
    return {stills[index].film for index in chosen}


@pytest.mark.parametrize("sizes", [[6] * 6, [5] * 5, [12, 12, 12], [30, 3, 3], [18, 18], [40, 8]])
def test_films_stay_whole(sizes: list[int]) -> None:
    stills = members({f"film{index}": size for index, size in enumerate(sizes)})
    away = untrained(stills, 0.2)
    assert 2 <= len(away) <= len(stills) / 2
    for film in films_of(stills, away):
        assert {index for index, still in enumerate(stills) if still.film == film} <= away


def test_the_share_is_met_as_nearly_as_films_allow() -> None:
    stills = members({f"film{index}": 6 for index in range(10)})
    assert len(untrained(stills, 0.2)) == 12
    assert len(untrained(stills, 0.3)) == 18
    assert len(untrained(members({"a": 40, "b": 10}), 0.2)) == 10


def test_films_that_share_similar_stills_stay_together() -> None:
    stills = members({"a": 5, "b": 5, "c": 5, "d": 5})
    stills[5] = Member("b", stills[0].cluster, stills[5].sha256)
    away = films_of(stills, untrained(stills, 0.5))
    assert ("a" in away) == ("b" in away)


def test_one_film_is_split_by_cluster() -> None:
    stills = [Member("only", index // 3, sha256(bytes([index])).hexdigest()) for index in range(30)]
    away = untrained(stills, 0.2)
    assert len(away) == 6
    assert len({stills[index].cluster for index in away}) == 2


def test_films_that_are_all_alike_fall_back_to_clusters() -> None:
    stills = members({"a": 10, "b": 10})
    stills[10] = Member("b", stills[0].cluster, stills[10].sha256)
    away = untrained(stills, 0.2)
    assert len(away) == 4
    assert (0 in away) == (10 in away)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_to_split_holds_nothing_out(count: int) -> None:
    assert untrained(members({"a": count}), 0.2) == set()


def test_all_alike_holds_nothing_out() -> None:
    assert untrained([Member("a", 0, str(index)) for index in range(9)], 0.2) == set()


@given(st.dictionaries(st.text(max_size=4), st.integers(1, 20), max_size=6), st.floats(0.05, 0.5))
def test_any_split_leaves_stills_to_train_on(films: dict[str, int], share: float) -> None:
    stills = members(films)
    away = untrained(stills, share)
    assert away == untrained(stills, share)
    assert len(away) == 0 if len(stills) < 4 else 3 <= len(away) < len(stills)
    choosing = validation(stills, away)
    assert choosing <= away
    assert not away or (len(choosing) >= 1 and len(away - choosing) >= 2)


def test_a_third_of_what_is_kept_from_training_chooses_its_step_and_shares_no_cluster_with_what_judges() -> None:
    stills = [Member("only", index // 2, sha256(bytes([index])).hexdigest()) for index in range(90)]
    away = untrained(stills, 0.2)
    choosing = validation(stills, away)
    assert len(choosing) == 6
    assert len(away - choosing) == 12
    assert {stills[i].cluster for i in choosing}.isdisjoint(stills[i].cluster for i in away - choosing)


def test_one_large_cluster_is_shared_out_still_by_still() -> None:
    stills = [Member("a", index, str(index)) for index in range(8)] + [Member("b", 99, f"b{i}") for i in range(4)]
    assert len(validation(stills, {8, 9, 10, 11})) == 1


def test_a_new_still_moves_few_others() -> None:
    before = members({"only": 60})
    after = [*before, Member("only", 60, sha256(b"new").hexdigest())]
    assert len(untrained(before, 0.2) ^ (untrained(after, 0.2) - {60})) <= 1
    films = {f"film{index}": 6 for index in range(6)}
    stills, more = members(films), members({**films, "film5": 7})
    assert films_of(stills, untrained(stills, 0.2)) == films_of(more, untrained(more, 0.2))


def rows(stills: list[Member], share: float = 0.2) -> list[Still]:
    """The stills' table of these, split, with a rejected file beside them."""
    away = untrained(stills, share)
    choosing = validation(stills, away)
    return [
        *(
            still_row(
                still=f"id-{index}",
                film=one.film,
                cluster=one.cluster,
                sha256=one.sha256,
                split="validation" if index in choosing else "held_out" if index in away else "train",
            )
            for index, one in enumerate(stills)
        ),
        still_row(still="id-0", film="film0", sha256="ff", status="rejected", split="none"),
    ]


def still_row(**values: object) -> Still:
    blank = {
        "name": "a.jpg", "status": "kept", "reason": "", "warnings": (), "width": 9, "height": 9, "crop": (),
        "reference": "", "file": "", "phash": "", "cluster": -1,
    }  # fmt: skip
    return Still(**{**blank, **values})  # type: ignore[arg-type]


def films_away(table: list[Still], split: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """The films held out by the first fold, and by the second."""
    kept = [row for row in table if row.status == "kept"]
    return (
        {row.film for row in kept if row.split != "train"},
        {row.film for row in kept if split[row.still] != "train"},
    )


@pytest.mark.parametrize("sizes", [[6] * 6, [5] * 5, [8, 8, 8], [18, 18], [8, 7, 7, 8, 7]])
def test_the_second_fold_holds_out_other_whole_films(sizes: list[int]) -> None:
    table = rows(members({f"film{index}": size for index, size in enumerate(sizes)}))
    split = second_fold(table, 0.2)
    first, second = films_away(table, split)
    assert second
    assert first.isdisjoint(second)
    kept = [row for row in table if row.status == "kept"]
    assert split.keys() == {row.still for row in kept}
    assert all(split[row.still] != "train" for row in kept if row.film in second)
    assert list(split.values()).count("validation") >= 1
    assert list(split.values()).count("held_out") >= 2


@pytest.mark.parametrize("films", [{"only": 24}, {"a": 40, "b": 8}])
def test_without_a_second_film_the_second_fold_holds_out_clusters_that_the_first_learned(films: dict[str, int]) -> None:
    stills = [Member(one.film, index // 2, one.sha256) for index, one in enumerate(members(films))]
    table = rows(stills)
    split = second_fold(table, 0.2)
    kept = [row for row in table if row.status == "kept"]
    away = [row for row in kept if split[row.still] != "train"]
    assert 3 <= len(away) <= len(kept) / 2
    assert {row.split for row in away} == {"train"}
    clusters = {row.cluster for row in away}
    assert clusters.isdisjoint(row.cluster for row in kept if row not in away)


MOSTLY_ALIKE = [Member("a", max(0, 4 - number), str(number)) for number in range(12)]


@pytest.mark.parametrize(
    "stills",
    [members({"a": 3}), members({"a": 5}), MOSTLY_ALIKE],
    ids=["no first fold", "too few", "the rest all alike"],
)
def test_stills_that_allow_no_second_fold_are_told(stills: list[Member]) -> None:
    with pytest.raises(StillsError, match=r"second fold: of \d+ stills in 1 film.*folds: 1"):
        second_fold(rows(stills), 0.2)


@given(st.dictionaries(st.text(max_size=4), st.integers(1, 20), max_size=6), st.floats(0.05, 0.5))
def test_any_second_fold_is_apart_from_the_first_and_always_the_same(films: dict[str, int], share: float) -> None:
    table = rows(members(films), share)
    try:
        split = second_fold(table, share)
    except StillsError:
        return
    assert split == second_fold(table, share)
    assert all(split[row.still] == "train" for row in table if row.status == "kept" and row.split != "train")
    assert 3 <= sum(one != "train" for one in split.values()) <= len(split) / 2
