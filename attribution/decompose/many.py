"""A function of factors in many populations: standardized values and effects that are transitive.

With S_f(k | i, j) the function where only factor f is that of population k and the others are
averaged over a pair i, j (`factors.standardized_values`), the effects of pairs contradict each
other; averaged over all third populations they do not (Das Gupta 1993, equations 6.11 and 6.12):

    u_f(j)            = (1/P) sum_i [S_f(j | i, j) - S_f(i | i, j)]
    standardized_f(j) = level_f + u_f(j)      level_f = the mean of S_f over all pairs

The effects of all factors add up to the differences of the function.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attribution.decompose.factors import Inputs, factor_effects

__all__ = ["ManyPopulations", "standardize_function"]


@dataclass(frozen=True, eq=False)
class ManyPopulations:
    """A function in P populations, standardized to all of its F factors but one.

    Attributes
    ----------
    crude : ndarray, shape (P,)
    standardized, effects : ndarray, shape (F, P)
        Effects of a factor add up to 0 over populations; those of a population add up to its value
        less the mean of all.
    """

    crude: np.ndarray
    standardized: np.ndarray
    effects: np.ndarray


def standardize_function(
    value: Callable[[Sequence[Any]], object],
    names: tuple[str, ...],
    populations: Sequence[tuple[np.ndarray, ...]],
) -> ManyPopulations:
    """Standardize a function over several populations.

    Parameters
    ----------
    value : callable
        The factors, in order, to one number.
    names : tuple of str
        The F factors.
    populations : sequence of tuple of ndarray
        The factors of each population, of the same shapes in all.

    Returns
    -------
    ManyPopulations

    Raises
    ------
    OptionError
        The function fails or gives no finite number for some mixture of two populations, or there
        are more than 10 factors.

    Examples
    --------
    >>> sides = [(np.array(2.0), np.array(5.0)), (np.array(3.0), np.array(7.0))]
    >>> found = standardize_function(lambda x: x[0] * x[1], ("a", "b"), sides)
    >>> found.standardized
    array([[12. , 18. ],
           [12.5, 17.5]])
    """
    P = len(populations)
    crude, level = np.zeros(P), np.zeros(len(names))
    effects = np.zeros((len(names), P))
    for i, j in itertools.combinations(range(P), 2):
        inputs = Inputs(names, populations[i], populations[j])
        found = factor_effects(value, inputs, "shapley")
        crude[[i, j]] = found.baseline, found.current
        alone = np.array(found.standardized)
        level += alone.mean(axis=1) / (P * (P - 1) / 2)
        effects[:, j] += found.effects / P
        effects[:, i] -= found.effects / P
    return ManyPopulations(crude, level[:, None] + effects, effects)
