"""A function of several KPIs: each one's own lines, times what a change of that KPI is worth.

    F(f_1) - F(f_0) = sum over j of C_j (f_1j - f_0j),   f_1j - f_0j = sum of the lines of KPI j

For a product C_j is Das Gupta's weight of the other factors, the Shapley value of factor j; for a
sum it is a constant. Every C_j is differentiated too, so that the noise of one factor is carried
into the effects of the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from attribution.decompose.coalitions import shapley_weights
from attribution.decompose.decomposition import Decomposition, Line
from attribution.decompose.design import Design
from attribution.decompose.functions import FunctionDecomposition, recompute_function
from attribution.decompose.kitagawa import Weights
from attribution.decompose.replicates import Recomputed, recompute
from attribution.decompose.turnover import Turnover
from attribution.errors import OptionError
from attribution.gradient import Gradient

__all__ = ["COMPLEMENT", "PRODUCT", "Composition", "Joined", "compose", "recompute_lines"]

_STEP = 1e-30


@dataclass(frozen=True)
class Joined:
    """How several KPIs make one: the value, and what a change of each is worth.

    Attributes
    ----------
    value : callable
        The P KPIs of one period, (P, ...), to the value, (...).
    worth : callable
        The KPIs in both periods, (2, P, ...), to the coefficients C, (P, ...); real or complex.
    """

    value: Callable[[np.ndarray], np.ndarray]
    worth: Callable[[np.ndarray], np.ndarray]

    def slopes(self, f: np.ndarray) -> np.ndarray:
        """Return the derivative of the value in each KPI, (P, ...)."""
        return np.stack([_slope(self.value, f, j) for j in range(len(f))])


def _product_worth(f: np.ndarray) -> np.ndarray:
    """Das Gupta's weights: what a change of each factor of a product is worth.

    ``C_j = sum over A of |A|! (P - 1 - |A|)! / P! prod of f_1k in A, f_0k outside``, A the sets of
    the other factors (Das Gupta 1993, P23-186).

    >>> f = np.array([[2.0, 10], [3, 12]])
    >>> (_product_worth(f) * np.diff(f, axis=0)).tolist()
    [[11.0, 5.0]]
    """
    P = f.shape[1]
    weights = shapley_weights(P)
    worth = []
    for j in range(P):
        others = [k for k in range(P) if k != j]
        worth.append(
            sum(
                weights[sum(now)] * np.prod([f[t, k] for t, k in zip(now, others, strict=True)], 0)
                for now in itertools.product((0, 1), repeat=P - 1)
            )
        )
    return np.array(worth)


def _product(f: np.ndarray) -> np.ndarray:
    return f.prod(axis=0)


def _complement(f: np.ndarray) -> np.ndarray:
    return 1.0 - f.sum(axis=0)


def _complement_worth(f: np.ndarray) -> np.ndarray:
    return -1.0 + 0 * f[0]


PRODUCT = Joined(_product, _product_worth)
# One less the KPIs: accuracy is 1 - the shares of its error types.
COMPLEMENT = Joined(_complement, _complement_worth)


@dataclass(frozen=True, eq=False)
class Composition:
    """The lines of several KPIs as lines of a function of them.

    Attributes
    ----------
    design : Design
        All S segments that any of the KPIs has.
    R : ndarray, shape (2,)
        The function in both periods.
    lines : tuple of Line
        Those of the first KPI, then those of the second ..., each with its `factor`.
    estimate : ndarray, shape (K,)
        They add up to R_1 - R_0.
    level_parts, segment_parts : dict of str to ndarray
        Sums over the KPIs, in units of the function; segments that stayed for any KPI.
    turnover : Turnover
        Which segments stayed and which levels exist for any KPI. Entries and exits are lines of
        the KPIs, so that it has none of its own.
    form, reason : str
        The rates in use; "mixed" where the KPIs differ.
    parts : tuple of Decomposition or FunctionDecomposition
        Of each KPI, over its own segments.
    there : tuple of ndarray of bool, shape (S,)
        Which of all segments these are.
    joined : Joined
    """

    design: Design
    R: np.ndarray
    lines: tuple[Line, ...]
    estimate: np.ndarray
    level_parts: dict[str, np.ndarray]
    segment_parts: dict[str, np.ndarray]
    turnover: Turnover
    form: str
    reason: str
    parts: tuple[Decomposition | FunctionDecomposition, ...]
    there: tuple[np.ndarray, ...]
    joined: Joined
    _worth: np.ndarray
    _slopes: np.ndarray

    @property
    def worth(self) -> np.ndarray:
        """What a change of each KPI is worth, C of shape (P,)."""
        return self._worth

    @property
    def factor(self) -> np.ndarray:
        """The KPI that each line belongs to, shape (K,)."""
        return np.repeat(np.arange(len(self.parts)), [len(part.lines) for part in self.parts])

    # -- from the KPIs to the function -------------------------------------------------------

    @cached_property
    def _places(self) -> list[sparse.csr_array]:
        """Where the sums of each KPI over its own segments stand among those of all."""
        starts = np.cumsum([0, *(part.blocks for part in self.parts)])
        return [
            _place(cells, part.blocks, int(start), self.blocks)
            for cells, part, start in zip(self.there, self.parts, starts[:-1], strict=True)
        ]

    @cached_property
    def ends(self) -> Gradient:
        """The gradient of the KPIs in both periods, shape (2 P,): first both of the first one."""
        ends = [p.ends.through(at) for p, at in zip(self.parts, self._places, strict=True)]
        return Gradient.stack(ends)

    def _through(self, gradients: Sequence[Gradient], values: Sequence[np.ndarray]) -> Gradient:
        """The gradient of ``sum_j C_j x_j``, x_j (K,) with its gradient over the KPI's own sums."""
        total = self.ends.combine(np.stack(values, axis=1) @ self._slopes)
        for C, gradient, at in zip(self._worth, gradients, self._places, strict=True):
            own = gradient.through(at)
            total = total + own.combine(C * sparse.eye_array(own.shape[0], format="csr"))
        return total

    @cached_property
    def gradient(self) -> Gradient:
        """The gradient of `estimate`."""
        return self._of_lines([part.gradient for part in self.parts])

    @cached_property
    def scores(self) -> Gradient:
        """The gradient of `estimate` for noise."""
        return self._of_lines([part.scores for part in self.parts])

    def _of_lines(self, gradients: Sequence[Gradient]) -> Gradient:
        own, factor = [], self.factor
        for C, gradient, at in zip(self._worth, gradients, self._places, strict=True):
            eye = sparse.eye_array(gradient.shape[0], format="csr")
            own.append(gradient.through(at).combine(C * eye))
        plain = np.concatenate([part.estimate for part in self.parts])
        return Gradient.stack(own) + self.ends.combine(plain[:, None] * self._slopes[factor])

    @cached_property
    def total_change(self) -> tuple[np.ndarray, Gradient]:
        """R_1 - R_0, shape (1,), with its gradient."""
        return np.diff(self.R), self.gradient.combine(np.ones((1, len(self.estimate))))

    # -- levels and segments -----------------------------------------------------------------

    def level_gradient(self, part: str, start: int, stop: int) -> Gradient:
        """The gradient of a range of levels of one part."""
        each = sparse.eye_array(self.design.width, format="csr")[start:stop]
        return self.levels_gradient(part, each)

    def levels_gradient(self, part: str, rows: Any) -> Gradient:
        """The gradient of ``rows @ level_parts[part]``; rows of shape (K, q)."""
        values = [rows @ one.level_parts[part] for one in self.parts]
        return self._through([one.levels_gradient(part, rows) for one in self.parts], values)

    def segments_gradient(self, part: str, rows: Any) -> Gradient:
        """The gradient of ``rows @ segment_parts[part]``: segments that stayed for any KPI."""
        pairs = [(rows @ x, one) for x, one in zip(self._lifts, self.parts, strict=True)]
        values = [x @ one.segment_parts[part] for x, one in pairs]
        return self._through([one.segments_gradient(part, x) for x, one in pairs], values)

    @property
    def _lifts(self) -> list[sparse.csr_array]:
        """From the segments that stayed for each KPI to those that stayed for any."""
        return [
            _lift(_stayed(part, cells), self.turnover.stayed)
            for part, cells in zip(self.parts, self.there, strict=True)
        ]

    @cached_property
    def outside(self) -> tuple[np.ndarray, Gradient]:
        """Each segment's own part of entries and exits, with its gradient, shape (S,)."""
        everywhere = np.ones(len(self.design.codes), dtype=bool)
        lifts = [_lift(cells, everywhere) for cells in self.there]
        own = [part.outside for part in self.parts]
        values = [lift @ value for lift, (value, _) in zip(lifts, own, strict=True)]
        gradients = [g.combine(lift) for lift, (_, g) in zip(lifts, own, strict=True)]
        return self._worth @ np.stack(values), self._through(gradients, values)

    @cached_property
    def members(self) -> sparse.csr_array:
        """1 where a line rests on a segment of a period, shape (K, 2 S)."""
        pairs = zip(self.parts, self.there, strict=True)
        rows = [part.members @ _place(cells, 1, 0, 1) for part, cells in pairs]
        return sparse.csr_array(sparse.vstack(rows, format="csr"))

    @property
    def everywhere(self) -> sparse.csr_array:
        """One line that rests on all segments, shape (1, 2 S)."""
        return sparse.csr_array(np.ones((1, 2 * len(self.design.codes))))

    @cached_property
    def level_totals(self) -> sparse.csr_array:
        """What adds up to a level's total, shape (q, K + q parts): its parts, and its own lines."""
        own = [part.level_totals[:, : len(part.lines)] for part in self.parts]
        within = sparse.eye_array(self.design.width, format="csr")
        return sparse.csr_array(sparse.hstack([*own, *[within] * len(self.level_parts)]))

    def group_values(self, member: Any, t: int) -> tuple[np.ndarray, Gradient, np.ndarray]:
        """Return the function of groups of segments, its gradient, and where there is one."""
        return self._of_groups([p.group_values(m, t) for p, m in self._within(member)])

    def group_rates(self, member: Any, t: int) -> tuple[np.ndarray, Gradient, np.ndarray]:
        """Return the same; of a total the mean per unit of volume, which mix and rate divide."""
        return self._of_groups([p.group_rates(m, t) for p, m in self._within(member)])

    def _within(self, member: Any) -> list[tuple[Any, Any]]:
        pairs = zip(self.parts, self.there, strict=True)
        return [(part, sparse.csr_array(member)[:, cells]) for part, cells in pairs]

    def _of_groups(
        self, found: Sequence[tuple[np.ndarray, Gradient, np.ndarray]]
    ) -> tuple[np.ndarray, Gradient, np.ndarray]:
        known = np.logical_and.reduce([there for _, _, there in found])
        f = np.stack([value for value, _, _ in found])
        total = Gradient.zero(len(known), 2 * len(self.design.codes) * self.blocks)
        slopes = np.where(known, self.joined.slopes(f), 0.0)
        for slope, (_, gradient, _), at in zip(slopes, found, self._places, strict=True):
            total = total + gradient.through(at).combine(sparse.diags_array(slope, format="csr"))
        return np.where(known, self.joined.value(f), 0.0), total, known

    # -- what the parts say of themselves ----------------------------------------------------

    @property
    def blocks(self) -> int:
        """How many sums there are, of two periods each."""
        return sum(part.blocks for part in self.parts)

    @property
    def denominators(self) -> tuple[int, ...]:
        """The denominator of each block of sums."""
        starts = np.cumsum([0, *(part.blocks for part in self.parts)])
        pairs = zip(self.parts, starts[:-1], strict=True)
        return tuple(int(start) + k for part, start in pairs for k in part.denominators)

    @property
    def slopes(self) -> int:
        """How many slopes the gradient of one level takes, beside those on its own cells."""
        return sum(part.slopes for part in self.parts) + 2 * len(self.parts)

    @property
    def volumes(self) -> np.ndarray:
        """What shares are taken of, shape (2, S): the volumes of the first KPI."""
        found = np.zeros((2, len(self.design.codes)))
        found[:, self.there[0]] = self.parts[0].volumes
        return found

    @property
    def borrowed(self) -> np.ndarray:
        """Cells that take a rate of any KPI from the other period, shape (2, S)."""
        found = np.zeros((2, len(self.design.codes)), dtype=bool)
        for part, cells in zip(self.parts, self.there, strict=True):
            found[:, _stayed(part, cells)] |= part.borrowed
        return found

    @property
    def aliased(self) -> np.ndarray:
        """Levels whose effect is not identified for a KPI, shape (q,)."""
        return np.logical_or.reduce([part.aliased for part in self.parts])

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The dimensions whose two-way terms the rates of any KPI hold."""
        return tuple(dict.fromkeys(pair for part in self.parts for pair in part.pairs))

    @property
    def fit(self) -> tuple[float, float]:
        """The part of the observed rates' variance that is reproduced, of the worst KPI."""
        return min(part.fit[0] for part in self.parts), min(part.fit[1] for part in self.parts)

    @property
    def valued(self) -> tuple[np.ndarray, np.ndarray, Design]:
        """Refused: each KPI has shares and rates of its own."""
        raise OptionError(
            "metric: a KPI made of KPIs has shares and rates for each factor; ask one of them."
        )

    @property
    def weights(self) -> Weights:
        """Which period's rates value shares: the same for every KPI."""
        return self.parts[0].weights

    @property
    def target(self) -> None:
        """None: a single target is for one ratio."""
        return None


def compose(
    parts: Sequence[Decomposition | FunctionDecomposition],
    there: Sequence[np.ndarray],
    joined: Joined,
    design: Design,
) -> Composition:
    """Put the lines of several KPIs together.

    Parameters
    ----------
    parts : sequence of Decomposition or FunctionDecomposition
        Of each KPI, over the segments that it has.
    there : sequence of ndarray of bool, shape (S,)
        Which of all segments these are; each segment is in one of them at least.
    joined : Joined
        `PRODUCT` or `COMPLEMENT`.
    design : Design
        All S segments.

    Returns
    -------
    Composition
    """
    f = np.stack([part.R for part in parts], axis=1)
    C = joined.worth(f)
    stayed = np.logical_or.reduce(
        [_stayed(part, cells) for part, cells in zip(parts, there, strict=True)]
    )
    exists = np.logical_or.reduce([part.turnover.exists for part in parts])
    lifts = [_lift(_stayed(p, c), stayed) for p, c in zip(parts, there, strict=True)]
    forms = list(dict.fromkeys(part.form for part in parts))
    reasons = list(dict.fromkeys(part.reason for part in parts))
    return Composition(
        design=design,
        R=np.array([joined.value(x) for x in f]),
        lines=tuple(replace(line, factor=j) for j, p in enumerate(parts) for line in p.lines),
        estimate=np.concatenate([c * part.estimate for c, part in zip(C, parts, strict=True)]),
        level_parts={
            name: C @ np.stack([part.level_parts[name] for part in parts])
            for name in parts[0].level_parts
        },
        segment_parts={
            name: C
            @ np.stack([x @ p.segment_parts[name] for x, p in zip(lifts, parts, strict=True)])
            for name in parts[0].segment_parts
        },
        turnover=Turnover(stayed, exists, [], np.full(len(stayed), -1)),
        form=forms[0] if len(forms) == 1 else "mixed",
        reason=reasons[0] if len(reasons) == 1 else "chosen for each factor by itself",
        parts=tuple(parts),
        there=tuple(there),
        joined=joined,
        _worth=C,
        _slopes=_slopes(joined.worth, f),
    )


def recompute_lines(
    parts: Decomposition | FunctionDecomposition | Composition, sums: np.ndarray
) -> Recomputed:
    """Recompute any decomposition at other sums of the same segments.

    Parameters
    ----------
    parts : Decomposition, FunctionDecomposition or Composition
    sums : ndarray, shape (B, 2 S blocks)
        Replicates of the sums, none of which empties a cell.

    Returns
    -------
    Recomputed
    """
    if isinstance(parts, Decomposition):
        return recompute(parts, sums)
    if isinstance(parts, FunctionDecomposition):
        return recompute_function(parts, sums)
    pairs = zip(parts.parts, parts._places, strict=True)
    found = [recompute_lines(part, sums[:, at.indices]) for part, at in pairs]
    f = np.stack([one.ends for one in found]).transpose(2, 0, 1)
    C = parts.joined.worth(f)
    levels = {
        name: np.einsum("jb,jbq->bq", C, np.stack([one.level_parts[name] for one in found]))
        for name in parts.level_parts
    }
    return Recomputed(
        ends=parts.joined.value(f.swapaxes(0, 1)).T,
        lines=np.hstack([c[:, None] * one.lines for c, one in zip(C, found, strict=True)]),
        level_parts=levels,
        segment_parts={},
    )


def _stayed(part: Decomposition | FunctionDecomposition, cells: np.ndarray) -> np.ndarray:
    """Which of all segments stayed for a KPI."""
    found = np.zeros(len(cells), dtype=bool)
    found[cells] = part.turnover.stayed
    return found


def _lift(some: np.ndarray, of: np.ndarray) -> sparse.csr_array:
    """From some segments to more of them that hold these, both given as masks over all."""
    place = np.cumsum(of) - 1
    rows = place[np.flatnonzero(some)]
    ones = (np.ones(len(rows)), (rows, np.arange(len(rows))))
    return sparse.csr_array(ones, shape=(int(of.sum()), len(rows)))


def _place(cells: np.ndarray, own: int, start: int, blocks: int) -> sparse.csr_array:
    """Where the sums of a KPI over its own segments stand among those of all."""
    S, here = len(cells), np.flatnonzero(cells)
    columns = np.concatenate([(2 * (start + b) + t) * S + here for b in range(own) for t in (0, 1)])
    ones = (np.ones(len(columns)), (np.arange(len(columns)), columns))
    return sparse.csr_array(ones, shape=(len(columns), 2 * S * blocks))


def _slope(value: Callable[[np.ndarray], np.ndarray], f: np.ndarray, j: int) -> np.ndarray:
    """The derivative of a value in one of the KPIs, f of shape (P, ...)."""
    step = _STEP * np.where(f[j] == 0, 1.0, np.abs(f[j]))
    moved = f.astype(complex)
    moved[j] += 1j * step
    return np.imag(value(moved)) / step


def _slopes(worth: Callable[[np.ndarray], np.ndarray], f: np.ndarray) -> np.ndarray:
    """The derivative of the coefficients in the KPIs, (P, 2 P): of each KPI both periods."""
    P = f.shape[1]
    flat = f.T.ravel()
    columns = [_slope(lambda x: worth(x.reshape(P, 2).T), flat, i) for i in range(2 * P)]
    return np.stack(columns, axis=1)
