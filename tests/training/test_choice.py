"""Choice: the least held-out loss, unless a person's pick of this very training says otherwise."""

from director_diffusion.training.choice import Choice, by_folds, by_held_out_loss, by_person
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


def test_the_folds_choose_the_finished_step_nearest_to_their_mean_and_the_earlier_of_two() -> None:
    assert by_folds((4, 8), [2, 4, 6, 8]) == Choice(6, 1.0, "folds", "mean of steps 4 and 8")
    assert by_folds((4, 8), [8, 6, 4, 2]).step == 6
    assert by_folds((2, 4), [2, 4, 6]).step == 2
    assert by_folds((6, 6), [2, 4]).step == 4
    assert by_folds((2, 3), [2, 3]).by == "folds: mean of steps 2 and 3"


def test_where_folds_choose_an_unused_pick_says_so() -> None:
    assert "and the folds chose" in str(by_person(PICK, "t2", [2, 4, 6], instead="folds"))
    assert "The folds chose." in str(by_person(PICK, "t1", [2], instead="folds"))
