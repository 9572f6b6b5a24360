"""check_decomposition: the properties every decomposition must have, for third parties too.

A decomposition is a function of arrays, ``decompose(D, N, codes, sizes)``, whose result has
`lines`, `estimate`, `gradient` and `design` as `attribution.decompose.Decomposition` has them.
A property is a function of (decompose, case) that raises AssertionError where it fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attribution.errors import check_option

__all__ = ["PROPERTIES", "Case", "check_decomposition", "random_case"]

# A decomposition as a function of arrays, see above.
Decompose = Callable[[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]], Any]

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Case:
    """Sums of two periods over crossed dimensions.

    Attributes
    ----------
    D, N : ndarray, shape (2, S)
        Denominators and numerators.
    codes : ndarray of int, shape (S, D)
    sizes : tuple of int
        Levels per dimension.
    kpi : callable
        Total denominators and numerators of both periods to the KPI of both; None: their ratio.
    """

    D: np.ndarray
    N: np.ndarray
    codes: np.ndarray
    sizes: tuple[int, ...]
    kpi: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def run(self, decompose: Decompose) -> Any:
        """Decompose this case.

        Parameters
        ----------
        decompose : callable
            ``(D, N, codes, sizes) -> result``.

        Returns
        -------
        object
        """
        return decompose(self.D, self.N, self.codes, self.sizes)


def random_case(
    seed: int, sizes: tuple[int, ...] = (3, 4, 2), empty: float = 0.0, rows: int = 200
) -> Case:
    """Return a random case.

    Parameters
    ----------
    seed : int
    sizes : tuple of int
        Levels per dimension.
    empty : float
        The part of cells without observations in a period.
    rows : int
        The most observations in a cell.

    Returns
    -------
    Case

    Examples
    --------
    >>> random_case(0, sizes=(2, 2)).D.shape
    (2, 4)
    """
    rng = np.random.default_rng(seed)
    codes = np.array(list(itertools.product(*(range(s) for s in sizes))), dtype=np.int64)
    codes = codes.reshape(-1, len(sizes))
    D = rng.integers(1, rows + 1, (2, len(codes))).astype(float)
    D[rng.random(D.shape) < empty] = 0.0
    # Every level stays in both periods; the corner cells see to it.
    for d, size in enumerate(sizes):
        for level in range(size):
            cell = np.flatnonzero(codes[:, d] == level)[0]
            D[:, cell] = np.maximum(D[:, cell], 1.0)
    N = np.floor(D * rng.uniform(0.5, 1.0, D.shape))
    seen = D.sum(axis=0) > 0
    return Case(D[:, seen], N[:, seen], codes[seen], sizes)


def check_decomposition(
    decompose: Decompose,
    *,
    without: Iterable[str] = (),
    cases: Iterable[Case] | None = None,
    kpi: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> None:
    """Check every property on several cases.

    Parameters
    ----------
    decompose : callable
        ``(D, N, codes, sizes) -> result`` with `lines, estimate, gradient, design`.
    without : iterable of str
        Properties that the decomposition documents it cannot have.
    cases : iterable of Case, optional
        Your own; by default full, sparse and one-dimensional random cases.

    kpi : callable, optional
        Total denominators and numerators of both periods, (2,) each, to the KPI of both; their
        ratio by default.

    Raises
    ------
    AssertionError
        A property fails; the message names it and the case.
    OptionError
        `without` names an unknown property.

    Examples
    --------
    >>> from attribution.decompose import decompose
    >>> def midpoint(D, N, codes, sizes):
    ...     return decompose(D, N, D, codes, sizes, rates="additive")
    >>> check_decomposition(midpoint, cases=[random_case(1)])
    """
    left_out = set(without)
    for name in left_out:
        check_option("without", name, list(PROPERTIES))
    if cases is None:
        cases = [
            random_case(1),
            random_case(2, empty=0.3),
            random_case(3, sizes=(5,)),
            random_case(4, sizes=(3, 3, 2, 2), empty=0.5, rows=20),
        ]
    for i, case in enumerate(cases):
        case = case if kpi is None else replace(case, kpi=kpi)
        for name, holds in PROPERTIES.items():
            if name in left_out:
                continue
            try:
                holds(decompose, case)
            except AssertionError as error:
                raise AssertionError(f"{name} fails in case {i}: {error}") from error


# -- reading results -------------------------------------------------------------------------


def _lines(result: Any) -> dict[tuple, float]:
    """Lines by (effect, dimension, levels): comparable between results."""
    of = result.design.of_dimension
    offsets = result.design.offsets
    named = {}
    for line, value in zip(result.lines, result.estimate, strict=True):
        levels = frozenset((int(of[x]), int(x - offsets[of[x]])) for x in line.levels)
        named[line.effect, line.dimension, levels] = float(value)
    return named


def _assert_same(found: dict[tuple, float], expected: dict[tuple, float], scale: float) -> None:
    for key in found.keys() | expected.keys():
        a, b = found.get(key, 0.0), expected.get(key, 0.0)
        assert abs(a - b) <= _TOLERANCE * max(scale, 1e-300), f"{key}: {a!r} where {b!r} is due"


def _ends(case: Case) -> np.ndarray:
    D, N = case.D.sum(axis=1), case.N.sum(axis=1)
    return N / D if case.kpi is None else case.kpi(D, N)


def _scale(case: Case) -> float:
    rates = np.divide(case.N, case.D, out=np.zeros_like(case.N), where=case.D > 0)
    ends = _ends(case)
    return max(float(np.abs(rates).max()), float(np.abs(ends).max()))


# -- properties ------------------------------------------------------------------------------


def adds_up(decompose: Decompose, case: Case) -> None:
    """The lines add up to the change."""
    change = np.diff(_ends(case))[0]
    _assert_same(
        {("sum",): float(case.run(decompose).estimate.sum())}, {("sum",): change}, _scale(case)
    )


def finite(decompose: Decompose, case: Case) -> None:
    """No line and no gradient is infinite or NaN."""
    result = case.run(decompose)
    assert np.isfinite(result.estimate).all(), "a line is not finite"
    assert np.isfinite(result.gradient.toarray()).all(), "a gradient is not finite"


def relabelling(decompose: Decompose, case: Case) -> None:
    """Names of levels, order of segments and of dimensions do not matter."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(case.codes))
    dims = rng.permutation(len(case.sizes))
    names = [rng.permutation(size) for size in case.sizes]
    codes = np.stack([names[d][case.codes[rows, d]] for d in dims], axis=1)
    moved = Case(case.D[:, rows], case.N[:, rows], codes, tuple(case.sizes[d] for d in dims))
    back = {}
    for (effect, d, levels), value in _lines(moved.run(decompose)).items():
        was = None if d is None else int(dims[d])
        named = frozenset(
            (int(dims[e]), int(np.flatnonzero(names[dims[e]] == x)[0])) for e, x in levels
        )
        back[effect, was, named] = value
    _assert_same(back, _lines(case.run(decompose)), _scale(case))


def time_reversal(decompose: Decompose, case: Case) -> None:
    """Swapping the periods flips every sign; entries become exits."""
    swapped = replace(case, D=case.D[::-1].copy(), N=case.N[::-1].copy())
    other = {"entry": "exit", "exit": "entry"}
    back = {(other.get(e, e), d, x): -v for (e, d, x), v in _lines(swapped.run(decompose)).items()}
    _assert_same(back, _lines(case.run(decompose)), _scale(case))


def complement(decompose: Decompose, case: Case) -> None:
    """The error rate moves by the same lines as the accuracy, with the other sign."""
    wrong = replace(case, N=case.D - case.N)
    back = {key: -v for key, v in _lines(wrong.run(decompose)).items()}
    _assert_same(back, _lines(case.run(decompose)), _scale(case))


def constant_shift(decompose: Decompose, case: Case) -> None:
    """Adding a constant to all rates changes nothing."""
    shifted = replace(case, N=case.N + 7.0 * case.D)
    _assert_same(_lines(shifted.run(decompose)), _lines(case.run(decompose)), 8 * _scale(case))


def no_change(decompose: Decompose, case: Case) -> None:
    """Where nothing changed, every line is 0."""
    still = replace(case, D=case.D[[0, 0]], N=case.N[[0, 0]])
    seen = still.D[0] > 0
    still = replace(still, D=still.D[:, seen], N=still.N[:, seen], codes=case.codes[seen])
    _assert_same(_lines(still.run(decompose)), {}, _scale(case))


def volume_scale(decompose: Decompose, case: Case) -> None:
    """Three times the volume in one period changes nothing."""
    factor = np.array([[1.0], [3.0]])
    larger = replace(case, D=case.D * factor, N=case.N * factor)
    _assert_same(_lines(larger.run(decompose)), _lines(case.run(decompose)), _scale(case))


def splitting(decompose: Decompose, case: Case) -> None:
    """Splitting a level into identical halves, or merging identical levels, changes nothing."""
    for d, size in enumerate(case.sizes):
        half = np.where(case.codes[:, d] == 0, 0.5, 1.0)
        twin = case.codes[case.codes[:, d] == 0].copy()
        twin[:, d] = size
        own = case.codes[:, d] == 0
        split = Case(
            np.hstack([case.D * half, case.D[:, own] / 2]),
            np.hstack([case.N * half, case.N[:, own] / 2]),
            np.vstack([case.codes, twin]),
            (*case.sizes[:d], size + 1, *case.sizes[d + 1 :]),
        )
        _assert_same(_lines(split.run(decompose)), _lines(case.run(decompose)), _scale(case))


def unmoved_margin(decompose: Decompose, case: Case) -> None:
    """A dimension whose margin did not move gets no mix effect."""
    for d, size in enumerate(case.sizes):
        shares = [
            np.bincount(case.codes[:, d], weights=case.D[t], minlength=size) / case.D[t].sum()
            for t in (0, 1)
        ]
        factor = np.divide(shares[0], shares[1], out=np.ones(size), where=shares[1] > 0)
        scale = np.stack([np.ones(len(case.codes)), factor[case.codes[:, d]]])
        held = replace(case, D=case.D * scale, N=case.N * scale)
        found = {k: v for k, v in _lines(held.run(decompose)).items() if k[:2] == ("mix", d)}
        _assert_same(found, {}, _scale(case))


def no_own_effect(decompose: Decompose, case: Case) -> None:
    """A dimension on which rates do not depend gets no mix effect, the rest being additive."""
    rng = np.random.default_rng(0)
    for d in range(len(case.sizes)):
        rates = np.zeros(len(case.codes)) + 0.5
        for e, size in enumerate(case.sizes):
            if e != d:
                rates = rates + rng.uniform(0, 0.1, size)[case.codes[:, e]]
        # Where a cell borrows the other period's rate, only equal rates leave r-bar additive.
        shift = 0.03 if (case.D > 0).all() else 0.0
        plain = replace(case, N=case.D * np.stack([rates, rates - shift]))
        found = {k: v for k, v in _lines(plain.run(decompose)).items() if k[:2] == ("mix", d)}
        _assert_same(found, {}, _scale(case))


def gradient(decompose: Decompose, case: Case) -> None:
    """The gradient equals finite differences in all sums of observed cells."""
    S = len(case.codes)
    exact = case.run(decompose).gradient.toarray()
    flat = np.concatenate([case.D.ravel(), case.N.ravel()])
    size = np.abs(exact).max()
    for j in range(0, 4 * S, max(1, S // 4)):
        volume = flat[j % (2 * S)]
        if volume == 0:
            continue
        step = 1e-4 * volume
        sides = []
        for sign in (1, -1):
            x = flat.copy()
            x[j] += sign * step
            moved = replace(case, D=x[: 2 * S].reshape(2, S), N=x[2 * S :].reshape(2, S))
            sides.append(moved.run(decompose).estimate)
        difference = (sides[0] - sides[1]) / (2 * step)
        worst = np.abs(difference - exact[:, j]).max()
        assert worst <= 1e-6 * size, f"variable {j}: off by {worst:.1e} of {size:.1e}"


PROPERTIES: dict[str, Callable[[Decompose, Case], None]] = {
    f.__name__: f
    for f in (
        adds_up,
        finite,
        relabelling,
        time_reversal,
        complement,
        constant_shift,
        no_change,
        volume_scale,
        splitting,
        unmoved_margin,
        no_own_effect,
        gradient,
    )
}
