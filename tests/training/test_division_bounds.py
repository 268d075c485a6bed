"""However large a step a recipe names, definitions load at once."""

from director_diffusion.training.division import MOST, even_counts
from tests.training.trainings import RECIPE


def test_a_batch_of_a_slip_of_the_hand_is_not_counted_through() -> None:
    counts = even_counts(RECIPE.model_copy(update={"batch_size": 10**9, "gradient_accumulation": 1}))
    assert counts[:3] == (1, 2, 4)
    assert max(counts) <= MOST
