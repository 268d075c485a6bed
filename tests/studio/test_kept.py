"""What is kept in memory has an end, and what is asked for stays."""

from director_diffusion.kept import KeptBytes


def test_what_was_not_asked_for_leaves_first() -> None:
    kept: KeptBytes[str] = KeptBytes(10)
    for name in ("one", "two", "three"):
        kept.add(name, b"four")
        kept.add(name, b"four")
        assert kept.find("one") == b"four"
    assert [kept.find(name) for name in ("two", "three")] == [None, b"four"]
    kept.add("large", bytes(100))
    assert [kept.find(name) for name in ("one", "three", "large")] == [None, None, bytes(100)]
    kept.add("one", b"four")
    assert [kept.find(name) for name in ("large", "one")] == [None, b"four"]
