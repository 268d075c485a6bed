"""Who is held out: whole films, or whole clusters; the same always, and nearly the same after an addition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director_diffusion.stills.split import Member, untrained, validation


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
