"""One change, decomposed: every line with its gradient in the sums, and no idea of their noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from attribution.decompose.design import Design
from attribution.decompose.dimensions import Adjusted, adjusted
from attribution.decompose.kitagawa import METHODS, PARTS, Weights
from attribution.decompose.linearize import Stages, denominator_shares
from attribution.decompose.rates import additive, choose, explained, saturated
from attribution.decompose.turnover import Turnover, turnover
from attribution.gradient import Gradient

__all__ = ["Decomposition", "Line", "decompose"]


@dataclass(frozen=True)
class Line:
    """What a row of the bridge is: an effect, a dimension or None, the levels it names."""

    effect: str
    dimension: int | None = None
    levels: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The lines of one change.

    Attributes
    ----------
    design : Design
        All S segments.
    R : ndarray, shape (2,)
        The KPI in the two periods.
    lines, estimate
        The bridge: estimate adds up to R_1 - R_0.
    level_parts, segment_parts : dict of str to ndarray
        "mix", "rate" (and "interaction") per level, shape (q,), and per segment of METHODS.md's S.
    turnover : Turnover
    stages : Stages
        Shares and rates in use.
    alpha : ndarray, shape (q,)
        How much better each level is than comparable cells.
    aliased : ndarray of bool, shape (q,)
    form, reason : str
        The rates in use and why.
    fit : (float, float)
        The part of the observed rates' variance between cells that they reproduce, per period.

    Notes
    -----
    Gradients are over the 4 S sums (D_0, D_1, N_0, N_1) of all segments. They are worked out when
    they are asked for: a question about the estimates alone does not pay for them.
    """

    design: Design
    R: np.ndarray
    lines: tuple[Line, ...]
    estimate: np.ndarray
    level_parts: dict[str, np.ndarray]
    segment_parts: dict[str, np.ndarray]
    turnover: Turnover
    stages: Stages
    alpha: np.ndarray
    aliased: np.ndarray
    form: str
    reason: str
    fit: tuple[float, float]
    _weights: Weights
    _by_level: Adjusted

    @cached_property
    def gradient(self) -> Gradient:
        """The gradient of `estimate`."""
        within = self._by_level.design
        in_mix = self._by_level.gradient(within.dimension_totals)
        lines = [in_mix]
        if len(within.sizes) > 1:
            lines.append(_summed(self._within("mix")) - _summed(in_mix))
        lines += [_summed(self._within(part)) for part in self.segment_parts if part != "mix"]
        inside = self.stages.to_sums(Gradient.stack(lines))
        return Gradient.stack([inside, self.turnover.gradient]) if self.turnover.lines else inside

    def _within(self, part: str) -> Gradient:
        """The gradient of a part per segment of S over (p_0, p_1, r_0, r_1)."""
        return PARTS[part][1](self.stages.shares.p, self.stages.rates.r, self._weights)

    def level_gradient(self, part: str, start: int, stop: int) -> Gradient:
        """The gradient of a range of levels of one part."""
        if part == "mix":
            rows = sparse.eye_array(self.design.width, format="csr")[start:stop]
            return self.stages.to_sums(self._by_level.gradient(rows))
        members = self.design.matrix[:, start:stop][self.turnover.stayed].T
        return self.stages.to_sums(self._within(part).combine(members))

    def segment_gradient(self, part: str) -> Gradient:
        """The gradient of one part per segment of S."""
        return self.stages.to_sums(self._within(part))

    def under(self, method: str) -> tuple[float, float]:
        """Return total mix and total rate under another method, at the same rates in use."""
        p, r, weights = self.stages.shares.p, self.stages.rates.r, METHODS[method]
        mix, rate = (float(PARTS[part][0](p, r, weights).sum()) for part in ("mix", "rate"))
        return mix, rate


def decompose(
    D: np.ndarray,
    N: np.ndarray,
    n: np.ndarray,
    codes: np.ndarray,
    sizes: tuple[int, ...],
    *,
    method: str = "midpoint",
    rates: str = "auto",
) -> Decomposition:
    """Decompose R_1 - R_0 with R_t = sum_c N_tc / sum_c D_tc.

    Parameters
    ----------
    D, N : ndarray, shape (2, S)
        Denominators and numerators of the observed segments in baseline and current.
    n : ndarray, shape (2, S)
        Unweighted numbers of observations, for the `auto` rule.
    codes : ndarray of int, shape (S, D)
        The level of each segment in each dimension.
    sizes : tuple of int
        Levels per dimension.
    method : {"midpoint", "threefold", "baseline", "current"}
    rates : {"auto", "saturated", "additive"}

    Returns
    -------
    Decomposition

    Examples
    --------
    >>> D = np.array([[50., 30, 20], [40, 30, 30]])
    >>> N = D * [.95, .95, .80]
    >>> change = decompose(D, N, D, np.array([[0], [1], [2]]), (3,))
    >>> [(line.effect, round(100 * float(x), 6)) for line, x in zip(change.lines, change.estimate)]
    [('mix', -1.5), ('rate', 0.0)]
    """
    weights = METHODS[method]
    design = Design(codes, sizes)
    moved = turnover(D, N, design)
    stayed = moved.stayed
    D_S, N_S, within = D[:, stayed], N[:, stayed], Design(codes[stayed], sizes)
    form, reason = (rates, "as asked") if rates != "auto" else choose(D_S, n[:, stayed], len(sizes))
    used = {"saturated": saturated, "additive": additive}[form](D_S, N_S, within)
    stages = Stages(denominator_shares(D_S), used, stayed)
    p, r = stages.shares.p, used.r

    names = ("mix", "rate", "interaction") if weights.threefold else ("mix", "rate")
    segment_parts = {part: PARTS[part][0](p, r, weights) for part in names}
    by_level = adjusted(p, r, within, weights)
    level_parts = {part: within.matrix.T @ segment_parts[part] for part in names}
    level_parts["mix"] = by_level.levels
    dimensions = range(len(sizes))
    mix = within.dimension_totals @ by_level.levels
    joint = [segment_parts["mix"].sum() - mix.sum()] if len(sizes) > 1 else []
    lines = [Line("mix", d) for d in dimensions] + [Line("joint") for _ in joint]
    lines += [Line(part) for part in names[1:]]
    lines += [Line(("exit", "entry")[t], None, levels) for t, levels in moved.lines]
    totals = [segment_parts[part].sum() for part in names[1:]]
    return Decomposition(
        design=design,
        R=N.sum(axis=1) / D.sum(axis=1),
        lines=tuple(lines),
        estimate=np.concatenate([mix, joint, totals, moved.estimate]),
        level_parts=level_parts,
        segment_parts=segment_parts,
        turnover=moved,
        stages=stages,
        alpha=by_level.alpha,
        aliased=by_level.effects.aliased,
        form=form,
        reason=reason,
        fit=explained(D_S, N_S, used),
        _weights=weights,
        _by_level=by_level,
    )


def _summed(gradient: Gradient) -> Gradient:
    return gradient.combine(np.ones((1, gradient.shape[0])))
