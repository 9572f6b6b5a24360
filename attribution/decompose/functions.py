"""Functions of several sums, decomposed: ratios with a volume of their own, totals, smooth ones.

The same lines, levels and gradients as `Decomposition` has for one ratio (coefficients.py holds the
formulas). With r_tc = 2 sum_k a_tk x_ktc the mix is that of a ratio with these rates, so every
way to divide it among the dimensions serves here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from attribution.decompose.coefficients import (
    Coefficients,
    Form,
    Totals,
    differentiated,
    jacobian,
    midway,
)
from attribution.decompose.decomposition import Line, level_totals, line_members
from attribution.decompose.design import Design
from attribution.decompose.dimensions import Adjusted, adjusted
from attribution.decompose.kitagawa import METHODS, PARTS, Weights
from attribution.decompose.linearize import Shares, shares_of
from attribution.decompose.mixing import MixByLevel, divided
from attribution.decompose.rates import Rates, choose, explained, fitted, saturated
from attribution.decompose.replicates import Recomputed
from attribution.decompose.turnover import Turnover, turnover
from attribution.gradient import Gradient

__all__ = ["FunctionDecomposition", "decompose_function", "recompute_function"]

_MIDPOINT = METHODS["midpoint"]


@dataclass(frozen=True, eq=False)
class FunctionDecomposition:
    """The lines of the change of a function of several sums.

    Attributes
    ----------
    design, R, lines, estimate, level_parts, segment_parts, turnover, alpha, aliased, form, reason,
    pairs, fit
        As in `Decomposition`.
    sums : ndarray, shape (1 + K, 2, S)
        V, then X_1 ... X_K. Gradients are over them in this order, flattened.
    """

    design: Design
    R: np.ndarray
    lines: tuple[Line, ...]
    estimate: np.ndarray
    level_parts: dict[str, np.ndarray]
    segment_parts: dict[str, np.ndarray]
    turnover: Turnover
    alpha: np.ndarray
    aliased: np.ndarray
    form: str
    reason: str
    pairs: tuple[tuple[int, int], ...]
    fit: tuple[float, float]
    sums: np.ndarray
    _shares: Shares
    _rates: tuple[Rates, ...]
    _worth: Coefficients
    _totals: Totals
    _function: Form
    _by_level: Adjusted | MixByLevel

    @property
    def slopes(self) -> int:
        """How many slopes the gradient of one level takes, beside those on its own cells."""
        return max(self._by_level.slopes, *(rates.slopes for rates in self._rates))

    # -- the chain rule ----------------------------------------------------------------------

    def _to_sums(self, gradient: Gradient) -> Gradient:
        """Turn a gradient over (p_0, p_1, x_1 ... x_K) within S into one over all sums."""
        S, cells = len(self.turnover.stayed), np.flatnonzero(self.turnover.stayed)
        n, blocks = 2 * len(cells), len(self.sums)
        columns = np.concatenate([cells, cells + S])

        def place(block: int) -> sparse.csr_array:
            at = 2 * S * block + columns
            ones = (np.ones(n), (np.arange(n), at))
            return sparse.csr_array(ones, shape=(n, 2 * S * blocks))

        volume = place(0)
        total = self._shares.pull(gradient.columns(0, n)).through(volume)
        for k, rates in enumerate(self._rates):
            own = rates.pull(gradient.columns((1 + k) * n, (2 + k) * n))
            both = sparse.vstack([volume, place(1 + k)], format="csr")
            total = total + own.through(both)
        return total

    @cached_property
    def _in_totals(self) -> np.ndarray:
        """The derivative of the totals in the sums, dense: they are few."""
        p, x = self._shares.p, self._x
        n, K, (blocks, _, S) = p.size, len(x), self.sums.shape
        of_means = np.zeros((2, 2, K, (1 + K) * n))
        for s in (0, 1):
            for t in (0, 1):
                for k in range(K):
                    half = p.shape[1]
                    of_means[s, t, k, s * half : (s + 1) * half] = x[k, t]
                    start = (1 + k) * n + t * half
                    of_means[s, t, k, start : start + half] = p[s]
        means = self._to_sums(_dense(of_means.reshape(4 * K, -1))).toarray()
        stayed = self.turnover.stayed.astype(float)
        plain = np.zeros((2 + 2 * K + 2, blocks, 2, S))
        for t in (0, 1):
            plain[t, 0, t] = stayed
            plain[2 + 2 * K + t, 0, t] = 1.0
            for k in range(K):
                plain[2 + t * K + k, 1 + k, t] = 1.0
        return np.vstack([means, plain.reshape(len(plain), -1)])

    @cached_property
    def _in_worth(self) -> dict[str, np.ndarray]:
        """The derivative of the coefficients in the sums."""
        found = jacobian(self._function, self._totals) @ self._in_totals
        return {name: found[at] for name, at in self._worth.places.items()}

    @property
    def _x(self) -> np.ndarray:
        return np.stack([rates.r for rates in self._rates])

    @property
    def valued(self) -> tuple[np.ndarray, np.ndarray, Design]:
        """Shares, the rates that value them, and the design of S."""
        return self._shares.p, _valued(self._worth, self._x), self._by_level.design

    @property
    def weights(self) -> Weights:
        """Which period's rates value shares: both, with the coefficients in them."""
        return _MIDPOINT

    def _through_valued(self, gradient: Gradient) -> Gradient:
        """Turn a gradient over (p_0, p_1, r_0, r_1), r the rates that value shares, into sums."""
        x, a = self._x, self._worth.a
        (K, _, half), n = x.shape, 2 * x.shape[2]
        eye = sparse.eye_array(half, format="csr")
        rows = [[sparse.eye_array(n, format="csr"), *[sparse.csr_array((n, n))] * K]]
        scaled = [
            sparse.block_diag([2 * a[0, k] * eye, 2 * a[1, k] * eye], format="csr")
            for k in range(K)
        ]
        rows.append([sparse.csr_array((n, n)), *scaled])
        direct = self._to_sums(gradient.through(sparse.csr_array(sparse.block_array(rows))))
        columns = np.zeros((2 * n, 2 * K))
        for t in (0, 1):
            at = slice(n + t * half, n + (t + 1) * half)
            columns[at, t * K : (t + 1) * K] = 2 * x[:, t].T
        through_a = gradient.through(sparse.csr_array(columns)).toarray()
        return direct + _product(through_a, self._in_worth["a"])

    def _mix(self, gradient: Gradient, moved: np.ndarray, shift) -> Gradient:
        """Add the centre: `shift` lines over (p_0, p_1) have the value `moved`."""
        centre = float(np.real(self._worth.centre))
        found = self._through_valued(gradient) + _product(moved[:, None], self._in_worth["centre"])
        n, K = self._shares.p.size, len(self._rates)
        wide = sparse.hstack([shift, sparse.csr_array((shift.shape[0], K * n))], format="csr")
        eye = sparse.eye_array(shift.shape[0], format="csr")
        return found + self._to_sums(Gradient.of(eye, centre * wide))

    def _level_mix(self, rows) -> Gradient:
        """The gradient of ``rows @ mix per level``."""
        X, p = self._by_level.design.matrix, self._shares.p
        rows = sparse.csr_array(rows)
        by_cell = sparse.csr_array(rows @ X.T)
        moved = by_cell @ (p[1] - p[0])
        return self._mix(
            self._by_level.gradient(rows), moved, sparse.hstack([-by_cell, by_cell], format="csr")
        )

    def _segment_mix(self) -> Gradient:
        p, r, _ = self.valued
        eye = sparse.eye_array(p.shape[1], format="csr")
        own = PARTS["mix"][1](p, r, _MIDPOINT)
        return self._mix(own, p[1] - p[0], sparse.hstack([-eye, eye], format="csr"))

    def _segment_rate(self) -> Gradient:
        p, x, b = self._shares.p, self._x, self._worth.b
        change = x[:, 1] - x[:, 0]
        blocks = [sparse.diags_array(b[s] @ change) for s in (0, 1)]
        for k in range(len(x)):
            held = b[0, k] * p[0] + b[1, k] * p[1]
            blocks += [sparse.diags_array(-held), sparse.diags_array(held)]
        direct = self._to_sums(
            Gradient.of(
                sparse.eye_array(p.shape[1], format="csr"), sparse.hstack(blocks, format="csr")
            )
        )
        through_b = np.hstack([(p[s] * change).T for s in (0, 1)])
        return direct + _product(through_b, self._in_worth["b"])

    @cached_property
    def outside(self) -> tuple[np.ndarray, Gradient]:
        """Each segment's own part of entry and exit, 0 within S, with its gradient."""
        return self._outside()

    def _outside(self) -> tuple[np.ndarray, Gradient]:
        blocks, _, S = self.sums.shape
        here = np.where(self.turnover.stayed, 0.0, np.array([[-1.0], [1.0]]))
        value = _outside(self.sums, self._worth, self.turnover.stayed)
        if self.turnover.stayed.all():
            return value, Gradient.zero(S, 2 * S * blocks)
        h = self._worth.h
        own = [sparse.diags_array(here[t] * h[t, j]) for j in range(blocks) for t in (0, 1)]
        direct = Gradient.of(sparse.eye_array(S, format="csr"), sparse.hstack(own, format="csr"))
        through_h = np.concatenate([(here[t] * self.sums[:, t]).T for t in (0, 1)], axis=1)
        return value, direct + _product(through_h, self._in_worth["h"])

    # -- what Decomposition has too ----------------------------------------------------------

    @cached_property
    def gradient(self) -> Gradient:
        """The gradient of `estimate`."""
        dimensions = self._by_level.design.dimension_totals
        in_mix = self._level_mix(dimensions)
        parts = [_dense(self._in_worth["volume"])] if self._worth.volume.size else []
        parts.append(in_mix)
        if len(self.design.sizes) > 1:
            parts.append(_summed(self._segment_mix()) - _summed(in_mix))
        parts.append(_summed(self._segment_rate()))
        if self.turnover.lines:
            parts.append(self.outside[1].combine(self.turnover.members))
        return Gradient.stack(parts)

    @property
    def scores(self) -> Gradient:
        """The gradient of `estimate` for noise: the same."""
        return self.gradient

    @cached_property
    def ends(self) -> Gradient:
        """The gradient of R_0 and R_1."""
        return _dense(self._in_worth["ends"])

    @property
    def midway(self) -> float:
        """The KPI at the volume, the shares and the rates midway between the periods."""
        return midway(self._function, self._totals)[0]

    @property
    def midway_gradient(self) -> Gradient:
        """The gradient of `midway`, one line."""
        in_totals = midway(self._function, self._totals)[1]
        return _dense((in_totals @ self._in_totals)[None, :])

    @cached_property
    def total_change(self) -> tuple[np.ndarray, Gradient]:
        """R_1 - R_0 itself, shape (1,), with its gradient."""
        return np.diff(self.R), self.ends.combine(np.array([[-1.0, 1.0]]))

    @property
    def everywhere(self) -> sparse.csr_array:
        """One line that rests on all segments, shape (1, 2 S)."""
        return sparse.csr_array(np.ones((1, 2 * len(self.design.codes))))

    @cached_property
    def members(self) -> sparse.csr_array:
        """1 where a line rests on a segment of a period, shape (K, 2 S)."""
        return line_members(len(self.lines), self.turnover)

    @cached_property
    def level_totals(self) -> sparse.csr_array:
        """What adds up to a level's total, shape (q, K + q parts)."""
        return level_totals(self.lines, self.turnover, self.design.width, len(self.level_parts))

    def level_gradient(self, part: str, start: int, stop: int) -> Gradient:
        """The gradient of a range of levels of one part."""
        each = sparse.eye_array(self.design.width, format="csr")[start:stop]
        return self.levels_gradient(part, each)

    def levels_gradient(self, part: str, rows: Any) -> Gradient:
        """The gradient of ``rows @ level_parts[part]``; rows of shape (K, q)."""
        if part == "mix":
            return self._level_mix(rows)
        return self._segment_rate().combine(rows @ self._by_level.design.matrix.T)

    def segments_gradient(self, part: str, rows: Any) -> Gradient:
        """The gradient of ``rows @ segment_parts[part]``; rows of shape (K, segments in S)."""
        return (self._segment_mix() if part == "mix" else self._segment_rate()).combine(rows)

    @property
    def blocks(self) -> int:
        """How many sums there are, of two periods each."""
        return len(self.sums)

    @property
    def denominators(self) -> tuple[int, ...]:
        """The denominator of each block of sums: the volume, of itself too."""
        return (0,) * len(self.sums)

    @property
    def target(self) -> None:
        """None: a single target is for one ratio."""
        return None

    @property
    def volume(self) -> None:
        """None: full counts beside a sample are for one ratio."""
        return None

    @property
    def volumes(self) -> np.ndarray:
        """What shares are taken of, shape (2, S)."""
        return self.sums[0]

    @property
    def borrowed(self) -> np.ndarray:
        """Cells of S whose rates in a period come from the other one, shape (2, S)."""
        return self._rates[0].borrowed

    def group_values(self, member: Any, t: int) -> tuple[np.ndarray, Gradient, np.ndarray]:
        """Return the KPI of groups of segments, its gradient, and where there is one."""
        return self._of_groups(self._function.value, member, t)

    def group_rates(self, member: Any, t: int) -> tuple[np.ndarray, Gradient, np.ndarray]:
        """Return the same; of a total the mean per unit of volume, which mix and rate divide."""
        of = _per_volume if self._worth.volume.size else self._function.value
        return self._of_groups(of, member, t)

    def _of_groups(
        self, value: Callable[[np.ndarray, np.ndarray], np.ndarray], member, t: int
    ) -> tuple[np.ndarray, Gradient, np.ndarray]:
        sums = np.stack([member @ x[t] for x in self.sums])
        there, (blocks, _, S) = sums[0] > 0, self.sums.shape
        values, derivative = differentiated(value, np.where(there, sums[0], 1.0), sums[1:])
        there = there & np.isfinite(values)
        own = []
        for j in range(blocks):
            scaled = sparse.diags_array(np.where(there, derivative[j], 0.0)) @ member
            none = sparse.csr_array((len(there), S))
            own += [scaled if s == t else none for s in (0, 1)]
        eye = sparse.eye_array(len(there), format="csr")
        gradient = Gradient.of(eye, sparse.hstack(own, format="csr"))
        return np.where(there, values, 0.0), gradient, there

    def at(self, sums: np.ndarray) -> FunctionDecomposition:
        """Decompose the same segments at other sums, in the same form of rates.

        Parameters
        ----------
        sums : ndarray, shape (1 + K, 2, S)

        Returns
        -------
        FunctionDecomposition
        """
        return decompose_function(
            sums,
            np.ones(sums.shape[1:]),
            self.design.codes,
            self.design.sizes,
            self._function,
            rates=self.form,
            pairs=self.pairs,
            nested=self.design.nested,
        )


def decompose_function(
    sums: np.ndarray,
    n: np.ndarray,
    codes: np.ndarray,
    sizes: tuple[int, ...],
    function: Form,
    *,
    mix: str = "adjusted",
    order: Sequence[int] = (),
    rates: str = "auto",
    pairs: Sequence[tuple[int, int]] = (),
    nested: Sequence[tuple[int, int]] = (),
) -> FunctionDecomposition:
    """Decompose the change of a function of several sums.

    Parameters
    ----------
    sums : ndarray, shape (1 + K, 2, S)
        The volume V that shares are of, then the sums X_k; 0 where V is 0. A segment has volume in
        at least one period.
    n : ndarray, shape (2, S)
        Unweighted observations, for ``rates="auto"``.
    codes : ndarray of int, shape (S, D)
    sizes : tuple of int
    function : Form
        A `RatioForm`, `TotalForm` or `SmoothForm`.
    mix : {"adjusted", "shapley", "das_gupta", "ordered"}
    order : sequence of int
    rates : {"auto", "saturated", "additive", "pairs"}
    pairs : sequence of (int, int)
    nested : sequence of (int, int)
        Declared hierarchies, as in `Design`.

    Returns
    -------
    FunctionDecomposition

    Examples
    --------
    >>> from attribution.decompose.coefficients import TotalForm
    >>> V = np.array([[50., 50], [100, 50]])
    >>> change = decompose_function(np.stack([V, V * [2, 4]]), V, np.array([[0], [1]]), (2,),
    ...                             TotalForm())
    >>> [(line.effect, round(float(x), 6))
    ...  for line, x in zip(change.lines, change.estimate, strict=True)]
    [('volume', 141.666667), ('mix', -41.666667), ('rate', 0.0)]
    """
    design = Design(codes, sizes, tuple(nested))
    V = sums[0]
    moved = turnover(V, design)
    stayed = moved.stayed
    within = design.at(stayed)
    form, reason = rates, "as asked"
    if rates == "auto":
        form, reason = choose(V[:, stayed], V[:, stayed], n[:, stayed], len(sizes))
    used = tuple(
        saturated(V[:, stayed], X[:, stayed], within)
        if form == "saturated"
        else fitted(V[:, stayed], X[:, stayed], within, pairs if form == "pairs" else ())
        for X in sums[1:]
    )
    form = used[0].form
    shares = shares_of(V[:, stayed], known=False)
    p, x = shares.p, np.stack([one.r for one in used])
    totals = Totals(
        np.einsum("sc,ktc->stk", p, x), shares.total, sums[1:].sum(axis=2).T, V.sum(axis=1)
    )
    worth = function.coefficients(totals)
    r, centre = _valued(worth, x), float(np.real(worth.centre))
    shift = p[1] - p[0]
    segment_mix = PARTS["mix"][0](p, r, _MIDPOINT) + centre * shift
    segment_rate = (worth.b.T[:, :, None] * p * (x[:, 1] - x[:, 0])[:, None]).sum(axis=(0, 1))
    projected = adjusted(p, r, within, _MIDPOINT)
    asked = mix == "adjusted"
    by_level = projected if asked else divided(mix, p, r, within, _MIDPOINT, order)
    levels = by_level.levels + centre * (within.matrix.T @ shift)
    turned = moved.members @ _outside(sums, worth, stayed)
    by_dimension = within.dimension_totals @ levels
    joint = [segment_mix.sum() - by_dimension.sum()] if len(sizes) > 1 else []
    lines = [Line("volume") for _ in worth.volume]
    lines += [Line("mix", d) for d in range(len(sizes))] + [Line("joint") for _ in joint]
    lines += [Line("rate")]
    lines += [Line(("exit", "entry")[t], None, named) for t, named in moved.lines]
    fits = [
        explained(V[:, stayed], X[:, stayed], one) for X, one in zip(sums[1:], used, strict=True)
    ]
    return FunctionDecomposition(
        design=design,
        R=worth.ends,
        lines=tuple(lines),
        estimate=np.concatenate([worth.volume, by_dimension, joint, [segment_rate.sum()], turned]),
        level_parts={"mix": levels, "rate": within.matrix.T @ segment_rate},
        segment_parts={"mix": segment_mix, "rate": segment_rate},
        turnover=moved,
        alpha=np.where(within.matrix.T @ p.mean(axis=0) > 0, projected.alpha + centre, 0.0),
        aliased=projected.effects.aliased & asked,
        form=form,
        reason=reason,
        pairs=tuple(pairs) if form == "pairs" else (),
        fit=(min(a for a, _ in fits), min(b for _, b in fits)),
        sums=sums,
        _shares=shares,
        _rates=used,
        _worth=worth,
        _totals=totals,
        _function=function,
        _by_level=by_level,
    )


def recompute_function(parts: FunctionDecomposition, sums: np.ndarray) -> Recomputed:
    """Recompute a decomposition at other sums of the same segments, one replicate at a time.

    Parameters
    ----------
    parts : FunctionDecomposition
    sums : ndarray, shape (B, 2 S (1 + K))
        Replicates of the sums, none of which empties a cell.

    Returns
    -------
    Recomputed
    """
    found = [parts.at(row.reshape(parts.sums.shape)) for row in sums]
    return Recomputed(
        ends=np.stack([one.R for one in found]),
        lines=np.stack([one.estimate for one in found]),
        level_parts={
            part: np.stack([one.level_parts[part] for one in found]) for part in parts.level_parts
        },
        segment_parts={},
    )


def _valued(worth: Coefficients, x: np.ndarray) -> np.ndarray:
    """The rates r_tc = 2 sum_k a_tk x_ktc, whose midpoint is what shares are worth."""
    return 2 * np.einsum("tk,ktc->tc", worth.a, x)


def _outside(sums: np.ndarray, worth: Coefficients, stayed: np.ndarray) -> np.ndarray:
    here = np.where(stayed, 0.0, np.array([[-1.0], [1.0]]))
    return (here * np.einsum("tj,jtc->tc", worth.h, sums)).sum(axis=0)


def _per_volume(V: np.ndarray, X: np.ndarray) -> np.ndarray:
    return X[0] / V


def _dense(rows: np.ndarray) -> Gradient:
    return Gradient.of(sparse.eye_array(len(rows), format="csr"), sparse.csr_array(rows))


def _product(left: np.ndarray, rows: np.ndarray) -> Gradient:
    return Gradient.of(left, sparse.csr_array(rows))


def _summed(gradient: Gradient) -> Gradient:
    return gradient.combine(np.ones((1, gradient.shape[0])))
