"""One change, decomposed: every line with its gradient in the sums, and no idea of their noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from attribution.decompose.counted import counted_outside
from attribution.decompose.design import Design
from attribution.decompose.dimensions import Adjusted, adjusted
from attribution.decompose.kitagawa import METHODS, PARTS, Weights
from attribution.decompose.linearize import Stages, shares_of
from attribution.decompose.margins import margin_rates, outside_shares, total_change
from attribution.decompose.mixing import MixByLevel, divided
from attribution.decompose.rates import choose, explained, fitted, saturated
from attribution.decompose.turnover import Turnover, turnover
from attribution.gradient import Gradient

__all__ = ["Decomposition", "Line", "decompose", "level_totals", "line_members"]


@dataclass(frozen=True)
class Line:
    """What a row of the bridge is: an effect, a dimension or None, the levels it names.

    `factor` is the place of the KPI that it belongs to, where several make one.
    """

    effect: str
    dimension: int | None = None
    levels: tuple[int, ...] = ()
    factor: int | None = None


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
        How much better each level is than comparable cells, by the additive fit whatever `mix`.
    aliased : ndarray of bool, shape (q,)
    form, reason : str
        The rates in use and why.
    pairs : tuple of (int, int)
        The dimensions whose two-way terms they hold.
    fit : (float, float)
        The part of the observed rates' variance between cells that they reproduce, per period.
    target : float or None
        A level in the place of R_0: the line `stretch` leads from it to R_0.

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
    pairs: tuple[tuple[int, int], ...]
    fit: tuple[float, float]
    _weights: Weights
    _adjusted: Adjusted
    _by_level: Adjusted | MixByLevel
    _sums: tuple[np.ndarray, np.ndarray, np.ndarray | None]
    target: float | None = None

    @cached_property
    def gradient(self) -> Gradient:
        """The gradient of `estimate`."""
        return self._gradient(exact=True)

    @cached_property
    def scores(self) -> Gradient:
        """The gradient of `estimate` for noise: that of a unit's residuals (see `Rates.pull`)."""
        return self._gradient(exact=False) if self.stages.shares.known else self.gradient

    def _gradient(self, exact: bool) -> Gradient:
        within = self._by_level.design
        in_mix = self._by_level.gradient(within.dimension_totals)
        lines = [in_mix]
        if len(within.sizes) > 1:
            lines.append(_summed(self._within("mix")) - _summed(in_mix))
        lines += [_summed(self._within(part)) for part in self.segment_parts if part != "mix"]
        parts = [self.stages.to_sums(Gradient.stack(lines), exact)]
        if self.turnover.lines:
            outside = self._outside(exact)[1]
            parts.append(outside.combine(self.turnover.members))
        if self.stages.shares.known:
            change = total_change(*self._sums[:2])[1]
            parts.insert(1, sum((-_summed(part) for part in parts), change))
        if self.target is not None:
            at = len(parts) - bool(self.turnover.lines)
            parts.insert(at, self._level(0)[1])
        return Gradient.stack(parts)

    def _level(self, t: int) -> tuple[np.ndarray, Gradient]:
        D, N, _ = self._sums
        return margin_rates(D, N, sparse.csr_array(np.ones((1, D.shape[1]))), t)

    @cached_property
    def outside(self) -> tuple[np.ndarray, Gradient]:
        """Each segment's own part of entry and exit, 0 within S, with its gradient for noise."""
        return self._outside(exact=False)

    def _outside(self, exact: bool) -> tuple[np.ndarray, Gradient]:
        D, N, volume = self._sums
        return _outside(D, N, volume, self.turnover, self.stages, exact)

    @property
    def volume(self) -> np.ndarray | None:
        """The full counts, shape (2, S), where they are known apart from the denominators."""
        return self._sums[2]

    @property
    def valued(self) -> tuple[np.ndarray, np.ndarray, Design]:
        """Shares, the rates that value them, and the design of S."""
        return self.stages.shares.p, self.stages.rates.r, self._by_level.design

    @property
    def weights(self) -> Weights:
        """Which period's rates value shares."""
        return self._weights

    @property
    def blocks(self) -> int:
        """How many sums there are, of two periods each: D and N."""
        return 2

    @property
    def denominators(self) -> tuple[int, ...]:
        """The denominator of each block of sums: D, of itself too."""
        return 0, 0

    @property
    def volumes(self) -> np.ndarray:
        """What shares are taken of, shape (2, S)."""
        return self._sums[0] if self.volume is None else self.volume

    @property
    def borrowed(self) -> np.ndarray:
        """Cells of S whose rate in a period comes from the other one, shape (2, S)."""
        return self.stages.rates.borrowed

    def group_values(self, member: Any, t: int) -> tuple[np.ndarray, Gradient, np.ndarray]:
        """Return the KPI of groups of segments, its gradient, and where there is one."""
        D, N, _ = self._sums
        return *margin_rates(D, N, member, t), (member @ D[t]) > 0

    def group_rates(self, member: Any, t: int) -> tuple[np.ndarray, Gradient, np.ndarray]:
        """Return the same: the KPI is the rate."""
        return self.group_values(member, t)

    @cached_property
    def ends(self) -> Gradient:
        """The gradient of R_0 and R_1."""
        everyone = sparse.csr_array(np.ones((1, len(self.design.codes))))
        D, N, _ = self._sums
        return Gradient.stack([margin_rates(D, N, everyone, t)[1] for t in (0, 1)])

    @cached_property
    def total_change(self) -> tuple[np.ndarray, Gradient]:
        """R_1 - R_0 itself, or R_1 less the target, shape (1,), with its gradient."""
        if self.target is not None:
            level, gradient = self._level(1)
            return level - self.target, gradient
        change, gradient = total_change(*self._sums[:2])
        return np.array([change]), gradient

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
        """What adds up to a level's total, shape (q, K + q parts): its parts, or its own lines."""
        return level_totals(self.lines, self.turnover, self.design.width, len(self.level_parts))

    @property
    def in_use(self) -> np.ndarray:
        """The KPI of the shares and rates in use within S, shape (2,)."""
        return (self.stages.shares.p * self.stages.rates.r).sum(axis=1)

    def _within(self, part: str) -> Gradient:
        """The gradient of a part per segment of S over (p_0, p_1, r_0, r_1)."""
        return PARTS[part][1](self.stages.shares.p, self.stages.rates.r, self._weights)

    @property
    def slopes(self) -> int:
        """How many slopes the gradient of one level takes, beside those on its own cells."""
        return max(self._by_level.slopes, self.stages.rates.slopes)

    def level_gradient(self, part: str, start: int, stop: int) -> Gradient:
        """The gradient of a range of levels of one part."""
        each = sparse.eye_array(self.design.width, format="csr")[start:stop]
        return self.levels_gradient(part, each)

    def levels_gradient(self, part: str, rows: Any) -> Gradient:
        """The gradient of ``rows @ level_parts[part]``; rows of shape (K, q)."""
        if part == "mix":
            return self.stages.to_sums(self._by_level.gradient(rows))
        members = rows @ self._by_level.design.matrix.T
        return self.stages.to_sums(self._within(part).combine(members))

    def segments_gradient(self, part: str, rows: Any) -> Gradient:
        """The gradient of ``rows @ segment_parts[part]``; rows of shape (K, segments in S)."""
        return self.stages.to_sums(self._within(part).combine(rows))

    def under(self, method: str) -> tuple[float, float]:
        """Return total mix and total rate under another method, at the same rates in use."""
        p, r, weights = self.stages.shares.p, self.stages.rates.r, METHODS[method]
        mix, rate = (float(PARTS[part][0](p, r, weights).sum()) for part in ("mix", "rate"))
        return mix, rate


def line_members(lines: int, turnover: Turnover) -> sparse.csr_array:
    """Return 1 where a line rests on a segment of a period, shape (lines, 2 S).

    Those of entry and exit are last and rest on their own segments, all others on S.
    """
    stayed, line_of, S = turnover.stayed, turnover.line_of, len(turnover.stayed)
    of_S = sparse.csr_array(np.concatenate([stayed, stayed])[None, :].astype(float))
    blocks = [of_S] * (lines - len(turnover.lines))
    for i, (t, _) in enumerate(turnover.lines):
        cells = np.flatnonzero(line_of == i)
        ones, row = np.ones(len(cells)), np.zeros(len(cells), dtype=int)
        blocks.append(sparse.csr_array((ones, (row, t * S + cells)), shape=(1, 2 * S)))
    return sparse.csr_array(sparse.vstack(blocks, format="csr"))


def level_totals(
    lines: Sequence[Line], turnover: Turnover, width: int, parts: int
) -> sparse.csr_array:
    """Return what adds up to a level's total, shape (q, K + q parts): its parts, or its lines."""
    K, q = len(lines), width
    inside = np.asarray(turnover.exists.all(axis=0))
    named = [(x, i) for i, line in enumerate(lines) for x in line.levels if not inside[x]]
    level, line = np.array(named, dtype=int).reshape(-1, 2).T
    own = sparse.csr_array((np.ones(len(named)), (level, line)), shape=(q, K))
    within = sparse.diags_array(inside.astype(float))
    return sparse.csr_array(sparse.hstack([own, *[within] * parts]))


def decompose(
    D: np.ndarray,
    N: np.ndarray,
    n: np.ndarray,
    codes: np.ndarray,
    sizes: tuple[int, ...],
    *,
    method: str = "midpoint",
    mix: str = "adjusted",
    order: Sequence[int] = (),
    rates: str = "auto",
    pairs: Sequence[tuple[int, int]] = (),
    volume: np.ndarray | None = None,
    nested: Sequence[tuple[int, int]] = (),
    target: float | None = None,
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
    mix : {"adjusted", "shapley", "das_gupta", "ordered"}
        How the mix effect is divided; all but "adjusted" for "midpoint" only.
    order : sequence of int
        For "ordered": all dimensions, the first decided first.
    rates : {"auto", "saturated", "additive", "pairs", "planned"}
        "planned": the baseline is a plan, whose rates hold as they are; segments that only one
        side has are entries and exits.
    pairs : sequence of (int, int)
        The dimensions whose two-way terms "pairs" fits; none is the additive form.
    volume : ndarray, shape (2, S), optional
        Full counts V: shares are V_tc / V_t, rates those of the sample, and a line `sampling`
        leads from the KPI of the sample to that of the counts.
    nested : sequence of (int, int)
        The declared hierarchy, as in `Design`.
    target : float, optional
        What R_1 is compared with instead of R_0.

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
    design, known = Design(codes, sizes, tuple(nested)), volume is not None
    V = D if volume is None else volume
    moved = turnover(V, design, whole=rates == "planned")
    stayed = moved.stayed
    V_S, D_S, N_S, within = V[:, stayed], D[:, stayed], N[:, stayed], design.at(stayed)
    form, reason = rates, "as planned" if rates == "planned" else "as asked"
    if rates == "auto":
        form, reason = choose(V_S, D_S, n[:, stayed], len(sizes))
    if form in ("saturated", "planned"):
        used = replace(saturated(D_S, N_S, within), form=form)
    else:
        used = fitted(D_S, N_S, within, pairs if form == "pairs" else (), V_S if known else None)
    stages = Stages(shares_of(V_S, known), used, stayed)
    p, r = stages.shares.p, used.r

    names = ("mix", "rate", "interaction") if weights.threefold else ("mix", "rate")
    segment_parts = {part: PARTS[part][0](p, r, weights) for part in names}
    projected = adjusted(p, r, within, weights)
    asked = mix == "adjusted"
    by_level = projected if asked else divided(mix, p, r, within, weights, order)
    level_parts = {part: within.matrix.T @ segment_parts[part] for part in names}
    level_parts["mix"] = by_level.levels
    turned = moved.members @ _outside(D, N, volume, moved, stages, exact=True)[0]
    dimensions = range(len(sizes))
    by_dimension = within.dimension_totals @ by_level.levels
    joint = [segment_parts["mix"].sum() - by_dimension.sum()] if len(sizes) > 1 else []
    lines = [Line("mix", d) for d in dimensions] + [Line("joint") for _ in joint]
    lines += [Line(part) for part in names[1:]]
    totals = [segment_parts[part].sum() for part in names[1:]]
    # R_1 - R_0 of the counts is that within S plus entry and exit (METHODS.md 1).
    counted = np.diff((p * r).sum(axis=1))[0] + turned.sum()
    R = N.sum(axis=1) / D.sum(axis=1)
    sampling = [R[1] - R[0] - counted] if known else []
    lines += [Line("sampling") for _ in sampling]
    stretch = [] if target is None else [R[0] - target]
    lines += [Line("stretch") for _ in stretch]
    lines += [Line(("exit", "entry")[t], None, levels) for t, levels in moved.lines]
    return Decomposition(
        design=design,
        R=R if target is None else np.array([target, R[1]]),
        lines=tuple(lines),
        estimate=np.concatenate([by_dimension, joint, totals, sampling, stretch, turned]),
        level_parts=level_parts,
        segment_parts=segment_parts,
        turnover=moved,
        stages=stages,
        alpha=projected.alpha,
        # Only the additive fit has to choose how to share out what it cannot tell apart.
        aliased=projected.effects.aliased & asked,
        form=used.form,
        reason=reason,
        pairs=tuple(pairs) if used.form == "pairs" else (),
        fit=explained(D_S, N_S, used),
        _weights=weights,
        _adjusted=projected,
        _by_level=by_level,
        _sums=(D, N, volume),
        target=target,
    )


def _outside(
    D: np.ndarray,
    N: np.ndarray,
    volume: np.ndarray | None,
    moved: Turnover,
    stages: Stages,
    exact: bool,
) -> tuple[np.ndarray, Gradient]:
    if not moved.lines:
        return np.zeros(D.shape[1]), Gradient.zero(D.shape[1], 4 * D.shape[1])
    if volume is not None:
        return counted_outside(volume, D, N, moved, stages, exact)
    return outside_shares(D, N, moved.stayed)


def _summed(gradient: Gradient) -> Gradient:
    return gradient.combine(np.ones((1, gradient.shape[0])))
