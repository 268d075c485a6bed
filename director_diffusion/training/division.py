"""Division: how processes share an optimizer step.  Imports no torch.

Whole batches where accumulation divides evenly, else rows of each batch; what a step is made of stays the recipe's.
"""

from director_diffusion.errors import TrainingError
from director_diffusion.specs import Recipe


def takes_whole(recipe: Recipe, processes: int) -> bool:
    """Whether each process takes whole batches of a step."""
    return recipe.gradient_accumulation % processes == 0


def check_divisible(recipe: Recipe, processes: int) -> None:
    """Raise TrainingError for processes that cannot have equal parts of a step."""
    if takes_whole(recipe, processes) or recipe.batch_size % processes == 0:
        return
    most = max(recipe.gradient_accumulation, recipe.batch_size)
    can = [n for n in range(1, most + 1) if takes_whole(recipe, n) or recipe.batch_size % n == 0]
    raise TrainingError(
        f"{processes} processes",
        f"cannot share a step of {recipe.gradient_accumulation} batches of {recipe.batch_size} evenly",
        f"Of the recipe {recipe.slug} as it is, {' or '.join(map(str, can))} can: ask for as many GPUs, or make "
        "gradient_accumulation or batch_size a multiple of them.",
    )
