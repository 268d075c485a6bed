"""Diversity: how unlike each other the pictures of one arm are.

Belongs here: metrics of one set of vectors of length 1.
"""

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.metrics.similarity import Rows


def vendi_score(x: Rows) -> float:
    """Vendi score (Friedman and Dieng 2023, eq. 3): exp(−Σ λ ln λ) over the eigenvalues λ of K/n, K the cosines of x
    (n, d).  The effective number of different pictures: 1 where all are equal, n where all are orthogonal.
    """
    n, d = x.shape
    rows = x.astype(np.float64)
    gram = rows @ rows.T if n <= d else rows.T @ rows  # both have the same eigenvalues but zeros
    eigenvalues = np.linalg.eigvalsh(gram / n)
    positive = eigenvalues[eigenvalues > np.finfo(np.float64).eps * n]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def pairwise_distance(x: Rows) -> float:
    """Mean of 1 − cosine over all pairs of different rows of x (n, d), n ≥ 2."""
    _enough(len(x), "pictures")
    rows = x.astype(np.float64)
    n, total = len(rows), rows.sum(axis=0)
    return float(1 - (total @ total - np.einsum("nd,nd->", rows, rows)) / (n * (n - 1)))


def _enough(n: int, what: str) -> None:
    if n < 2:
        raise EvaluationError(
            "diversity", f"{n} {what} have no distance to each other", "Give the plan more seeds, or compare prompts."
        )


def distances_by_prompt(x: Rows) -> NDArray[np.float64]:
    """One value per prompt, (prompts,), whose mean is the diversity of pictures x (prompts, seeds, d).

    With several seeds, the mean distance between a prompt's own pictures.  With one seed only pictures of different
    prompts can be compared: then the jackknife's pseudo-values (Tukey 1958) of their mean distance, which vary as much
    as that mean would over other prompts, as the plain distances of each prompt to the others do not.
    """
    prompts, seeds, _ = x.shape
    if seeds > 1:
        return np.array([pairwise_distance(x[prompt]) for prompt in range(prompts)])
    _enough(prompts - 1, "prompts beside one left out")
    rows = x[:, 0].astype(np.float64)
    distances = 1 - rows @ rows.T
    np.fill_diagonal(distances, 0.0)
    of_each, total = distances.sum(axis=1), distances.sum()
    without = (total - 2 * of_each) / ((prompts - 1) * (prompts - 2))
    values: NDArray[np.float64] = total / (prompts - 1) - (prompts - 1) * without
    return values
