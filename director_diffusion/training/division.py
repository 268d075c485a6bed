"""Division: how processes share an optimizer step.  Imports no torch.

Whole batches where accumulation divides evenly, else rows of each batch; what a step is made of stays the recipe's.
"""

from director_diffusion.errors import TrainingError
from director_diffusion.specs import Recipe

MOST = 1024  # processes that share one step: nobody has more GPUs of one machine


def takes_whole(recipe: Recipe, processes: int) -> bool:
    """Whether each process takes whole batches of a step."""
    return recipe.gradient_accumulation % processes == 0


def even_counts(recipe: Recipe) -> tuple[int, ...]:
    """The numbers of processes, `MOST` at most, that can have equal parts of a step; 1 is among them."""
    most = min(max(recipe.gradient_accumulation, recipe.batch_size), MOST)
    return tuple(n for n in range(1, most + 1) if takes_whole(recipe, n) or recipe.batch_size % n == 0)


def check_divisible(recipe: Recipe, processes: int) -> None:
    """Raise TrainingError for processes that cannot have equal parts of a step."""
    counts = even_counts(recipe)
    if processes not in counts:
        raise TrainingError(
            f"{processes} processes",
            f"cannot share a step of {recipe.gradient_accumulation} batches of {recipe.batch_size} evenly",
            f"{' or '.join(map(str, counts))} can; or make gradient_accumulation or batch_size a multiple.",
        )
