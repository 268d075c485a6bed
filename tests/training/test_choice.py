"""Choice: the least held-out loss, unless a person's pick of this very training says otherwise."""

from director_diffusion.training.choice import Choice, by_held_out_loss, by_person
from director_diffusion.training.rows import CurvePoint, Pick

PICK = Pick(training="t1", step=4, strength=0.5, who="ann", why="softer")


def point(step: int, held_out_loss: float | None) -> CurvePoint:
    return CurvePoint(step, 0.1, 1.0, 1.0, held_out_loss)


def test_the_held_out_loss_chooses_its_earliest_least_and_never_the_base() -> None:
    curve = [point(0, 0.1), point(1, None), point(2, 3.0), point(4, 2.0), point(6, 2.0)]
    assert by_held_out_loss(curve) == Choice(4, 1.0, "held-out loss", "")


def test_a_pick_of_this_training_holds_with_its_strength_and_reason() -> None:
    choice = by_person(PICK, "t1", [2, 4, 6])
    assert choice == Choice(4, 0.5, "ann", "softer")
    assert choice.by == "ann: softer"
    assert Choice(4, 0.5, "ann", "").by == "ann"


def test_a_pick_that_does_not_hold_says_why() -> None:
    other = by_person(PICK, "t2", [2, 4, 6])
    assert other == (
        "The pick of step 4 by ann was made of another training (t1); this one is t2, and the held-out loss chose. "
        "Pick again: director pick."
    )
    gone = by_person(PICK, "t1", [2, 6])
    assert isinstance(gone, str)
    assert "of a step that was not kept; there are 2, 6" in gone
    assert "none yet" in str(by_person(PICK, "t1", []))
