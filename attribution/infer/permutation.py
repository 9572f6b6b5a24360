"""The permutation test of no change: periods exchanged cluster by cluster, exact with few clusters.

If nothing changed for any cluster, a cluster seen in both periods could have had them the other
way round, and clusters seen in one period only could have been those of the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from attribution.errors import OptionError

__all__ = ["PermutationTest", "permutation_test", "permutation_test_of"]

# Permutations worked out at once, in numbers: 32 MB.
_AT_ONCE = 2**22


@dataclass(frozen=True)
class PermutationTest:
    """The outcome of a test.

    Attributes
    ----------
    statistic : float
        (R_1 - R_0) / SE of the data; NaN where the data have no variance.
    p_value : float
        Two-sided.
    permutations : int
        How many were compared with the data.
    exact : bool
        Whether these are all there are, the data among them.
    """

    statistic: float
    p_value: float
    permutations: int
    exact: bool


def permutation_test(
    D: np.ndarray,
    N: np.ndarray,
    permutations: int = 9999,
    rng: np.random.Generator | int | None = None,
) -> PermutationTest:
    """Test that no cluster changed, by exchanging periods within and between clusters.

        t = (R_1 - R_0) / SE,  SE^2 = G/(G-1) sum_g psi_g^2
        psi_g = (N_1g - R_1 D_1g) / D_1 - (N_0g - R_0 D_0g) / D_0

    A cluster seen in both periods swaps them with probability 1/2; those seen in one are dealt to
    the two periods anew, as many to each as there were. p is the part of the permutations whose
    |t| reaches the data's: all of them if there are at most `permutations`, else
    (1 + count) / (permutations + 1). Studentizing makes it hold for large G also where clusters
    changed and the KPI did not.

    Parameters
    ----------
    D, N : ndarray, shape (G, 2)
        Denominators and numerators of each cluster in baseline and current, all segments together.
    permutations : int
        The most that are tried.
    rng : Generator, int or None
        See numpy.random.default_rng.

    Returns
    -------
    PermutationTest

    Raises
    ------
    OptionError
        Shapes, negative denominators, values that are not finite, a period without denominator.

    References
    ----------
    Janssen, A. (1997). Studentized permutation tests for non-i.i.d. hypotheses and the generalized
    Behrens-Fisher problem. Stat. Probab. Lett. 36.
    Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Stat. Appl.
    Genet. Mol. Biol. 9.

    Examples
    --------
    >>> D = np.full((8, 2), 100.0)
    >>> N = np.column_stack([[90.] * 8, [84., 86, 85, 83, 88, 84, 85, 86]])
    >>> found = permutation_test(D, N)
    >>> found.p_value, found.permutations, found.exact
    (0.0078125, 256, True)
    """
    D, N = _checked(D, N, permutations)
    order, pairs, dealt = _sides((D != 0) | (N != 0))
    D, N = D[order], N[order]
    return _compared(_states(D, N, pairs), lambda x: _t(x, len(D)), dealt, permutations, rng)


def permutation_test_of(
    value: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    sums: np.ndarray,
    permutations: int = 9999,
    rng: np.random.Generator | int | None = None,
) -> PermutationTest:
    """Do the same for any smooth function of sums: a product of ratios, a total.

        t = (F(s_1) - F(s_0)) / SE,  SE^2 = G/(G-1) sum_g (psi_g - mean)^2
        psi_g = sum_m F'_m(s_1) x_1mg - sum_m F'_m(s_0) x_0mg

    Parameters
    ----------
    value : callable
        Sums of shape (M, B) to values of shape (B,) and slopes of shape (M, B).
    sums : ndarray, shape (G, 2, M)
        What each cluster brings in baseline and current.
    permutations, rng
        As in `permutation_test`.

    Returns
    -------
    PermutationTest

    Raises
    ------
    OptionError
        `permutations` is no whole number of at least 1.

    Examples
    --------
    >>> x = np.stack([np.full((8, 2), 100.0), np.array([[90.0, 84 + g % 3] for g in range(8)])], 2)
    >>> ratio = lambda s: (s[1] / s[0], np.stack([-s[1] / s[0] ** 2, 1 / s[0]]))
    >>> permutation_test_of(ratio, x).p_value, permutation_test(x[:, :, 0], x[:, :, 1]).p_value
    (0.0078125, 0.0078125)
    """
    _check_permutations(permutations)
    order, pairs, dealt = _sides((sums != 0).any(axis=2))
    states = []
    x = sums[order]
    x[pairs:, 0] += x[pairs:, 1]
    x[pairs:, 1] = 0.0
    for side in (x, x[:, ::-1]):
        flat = side.reshape(len(x), -1)
        products = (flat[:, :, None] * flat[:, None, :]).reshape(len(x), -1)
        states.append(np.hstack([flat, products]))

    def statistic(found: np.ndarray) -> np.ndarray:
        G, M = len(x), sums.shape[2]
        at = found[:, : 2 * M]
        (before, slope_0), (after, slope_1) = value(at[:, :M].T), value(at[:, M:].T)
        slope = np.vstack([-slope_0, slope_1]).T
        gram = found[:, 2 * M :].reshape(-1, 2 * M, 2 * M)
        squares = np.einsum("bi,bij,bj->b", slope, gram, slope)
        spread = squares - np.einsum("bi,bi->b", slope, at) ** 2 / G
        sizes = np.einsum("bi,bii->b", slope**2, gram)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.where(spread > 1e-13 * sizes, spread, 0.0)
            return (after - before) / np.sqrt(np.float64(G) / (G - 1) * spread)

    return _compared((states[0], states[1]), statistic, dealt, permutations, rng)


def _sides(seen: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """The clusters seen in both periods, then the others; how many; which others are current.

    State 1 is "swapped" for the first, "current" for the others.
    """
    both = seen.all(axis=1)
    alone = np.flatnonzero(seen.any(axis=1) & ~both)
    order = np.concatenate([np.flatnonzero(both), alone])
    return order, int(both.sum()), seen[alone, 1]


def _compared(
    states: tuple[np.ndarray, np.ndarray],
    t: Callable[[np.ndarray], np.ndarray],
    dealt: np.ndarray,
    permutations: int,
    rng: np.random.Generator | int | None,
) -> PermutationTest:
    """Compare the data with their permutations; t is of sums of what clusters bring, (B, sums)."""
    base, change = states[0].sum(axis=0), states[1] - states[0]
    pairs = len(change) - len(dealt)
    data = np.concatenate([np.zeros(pairs), dealt])
    statistic = float(t(base + data[None, :] @ change)[0])
    distinct = 2**pairs * math.comb(len(dealt), int(dealt.sum()))
    exact = distinct <= permutations
    if exact:
        blocks = _all(pairs, len(dealt), int(dealt.sum()))
    else:
        blocks = _drawn(pairs, dealt, permutations, np.random.default_rng(rng))
    short = 0
    for drawn in blocks:
        # Written so that a permutation without a t counts against a change.
        short += int((np.abs(t(base + drawn @ change)) < abs(statistic) * (1 - 1e-9)).sum())
    if exact:
        return PermutationTest(statistic, (distinct - short) / distinct, distinct, exact)
    p = (1 + permutations - short) / (1 + permutations)
    return PermutationTest(statistic, p, permutations, exact)


def _check_permutations(permutations: object) -> None:
    if isinstance(permutations, bool) or not isinstance(permutations, int) or permutations < 1:
        raise OptionError(
            f"permutations: {permutations!r} is not a whole number of at least 1, as in 9999."
        )


def _checked(D, N, permutations: object) -> tuple[np.ndarray, np.ndarray]:
    _check_permutations(permutations)
    D, N = np.asarray(D, dtype=float), np.asarray(N, dtype=float)
    for name, values in (("D", D), ("N", N)):
        if values.ndim != 2 or values.shape[1] != 2 or values.shape != D.shape:
            raise OptionError(
                f"{name}: an array of shape {values.shape}; one row per cluster and two columns, "
                "baseline and current, are needed in both D and N."
            )
        if not np.isfinite(values).all():
            raise OptionError(f"{name}: {int((~np.isfinite(values)).sum()):,} values not finite.")
    if (D < 0).any():
        raise OptionError(f"D: {int((D < 0).sum()):,} negative denominators.")
    for t, name in enumerate(("baseline", "current")):
        if not D[:, t].sum() > 0:
            raise OptionError(f"D: the denominators of the {name} (column {t}) add up to 0.")
    return D, N


# -- the statistic as a function of sums over clusters ----------------------------------------
# R_t and the sum of psi_g^2 are made of 14 sums over clusters, each the sum of what the clusters
# bring in the state they are in: all permutations are one product of states and contributions.


def _states(D: np.ndarray, N: np.ndarray, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """What each cluster brings to the 14 sums in its two states, each (G, 14).

    The first `pairs` clusters, seen in both periods: as they are, and swapped. The others: as
    clusters of the baseline, and of the current period.
    """
    # Rates measured from the pooled one, which no permutation moves, so that nothing cancels.
    expected = N.sum() / D.sum() * D
    z = np.where(np.isclose(N, expected, rtol=1e-13, atol=0), 0.0, N - expected)
    d = D.copy()
    for values in (d, z):
        values[pairs:, 0] += values[pairs:, 1]
        values[pairs:, 1] = 0.0
    return _contributions(d, z), _contributions(d[:, ::-1], z[:, ::-1])


def _contributions(d: np.ndarray, z: np.ndarray) -> np.ndarray:
    v = np.column_stack([d, z])
    products = [v[:, i] * v[:, j] for i in range(4) for j in range(i, 4)]
    return np.column_stack([v, *products])


def _t(sums: np.ndarray, G: int) -> np.ndarray:
    """(R_1 - R_0) / SE from the 14 sums (B, 14); NaN where it has no value."""
    d0, d1, z0, z1, dd00, dd01, dz00, dz01, dd11, dz10, dz11, zz00, zz01, zz11 = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        r0, r1 = z0 / d0, z1 / d1
        own0 = (zz00 - 2 * r0 * dz00 + r0**2 * dd00) / d0**2
        own1 = (zz11 - 2 * r1 * dz11 + r1**2 * dd11) / d1**2
        cross = (zz01 - r0 * dz01 - r1 * dz10 + r0 * r1 * dd01) / (d0 * d1)
        spread = own0 + own1 - 2 * cross
        # Below this all clusters have the rate of their period and what is left is rounding.
        spread = np.where(spread > 1e-13 * (zz00 / d0**2 + zz11 / d1**2), spread, 0.0)
        return (r1 - r0) / np.sqrt(np.float64(G) / (G - 1) * spread)


# -- permutations as states, (B, G): clusters of both periods first ---------------------------


def _all(pairs: int, alone: int, current: int) -> Iterator[np.ndarray]:
    swaps = np.arange(2**pairs)[:, None] >> np.arange(pairs)[None, :] & 1
    dealt = np.zeros((math.comb(alone, current), alone))
    for row, chosen in zip(dealt, itertools.combinations(range(alone), current), strict=True):
        row[list(chosen)] = 1.0
    yield np.hstack([np.repeat(swaps, len(dealt), axis=0), np.tile(dealt, (len(swaps), 1))])


def _drawn(
    pairs: int, dealt: np.ndarray, permutations: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    at_once = max(1, _AT_ONCE // (pairs + len(dealt)))
    for start in range(0, permutations, at_once):
        size = min(at_once, permutations - start)
        swaps = rng.integers(0, 2, (size, pairs), dtype=np.int8)
        anew = rng.permuted(np.tile(dealt, (size, 1)), axis=1)
        yield np.hstack([swaps, anew]).astype(float)
