"""A decomposition and the units behind it: what is known of any of its lines, and how well."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from scipy import sparse

from attribution.decompose import (
    Decomposed,
    Decomposition,
    misfit,
    recompute_lines,
)
from attribution.errors import OptionError
from attribution.gradient import Gradient
from attribution.infer import (
    MOST_ROWS,
    Bootstrap,
    Draws,
    Inference,
    Support,
    Units,
    adjusted_p_values,
    bootstrap_inference,
    covariance,
    critical_value,
    degrees_of_freedom,
    infer,
    lack_of_fit,
    proportions,
    psi,
    resample,
    std_errors,
    stepwise,
    t_inference,
)

__all__ = ["THIN_ROWS", "Evidence", "Known", "Options", "replicated"]

# A cell of fewer rows than this is thin.
THIN_ROWS = 10


@dataclass(frozen=True)
class Options:
    """How a question was asked; see `attribution.explain`."""

    method: str = "midpoint"
    mix: str = "adjusted"
    order: tuple[str, ...] | None = None
    rates: str = "auto"
    pairs: tuple[tuple[str, str], ...] | None = None
    finite_population: bool = False
    inference: str = "analytic"
    bootstrap: Bootstrap | None = None
    conf_level: float = 0.95
    adjust: str | None = "max-t"
    material: float | None = None
    seed: int = 0
    target: float | None = None


@dataclass(frozen=True, eq=False)
class Known:
    """K quantities: their inference and their psi rows, None for more lines than can be held."""

    found: Inference
    rows: list[np.ndarray] | None
    units: Units

    @classmethod
    def below(cls, some: list[Known]) -> Known:
        """Several below each other; the psi rows of so many are not kept."""
        if len(some) == 1:
            return some[0]
        fields = {k: np.concatenate([vars(x.found)[k] for x in some]) for k in vars(some[0].found)}
        return cls(Inference(**fields), None, some[0].units)

    def where(self, known: np.ndarray) -> Known:
        """The same with nothing known where the mask is False."""
        fields = {k: np.where(known, v, np.nan) for k, v in vars(self.found).items() if k != "few"}
        few = self.found.few & known
        return Known(Inference(**fields, few=few), self.rows, self.units)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What can be said about the lines of one decomposition.

    Attributes
    ----------
    parts : Decomposed
    units : Units
        The clusters, or rows, with the sums that the data hold.
    n : ndarray, shape (2, S)
        Rows, or trials, per cell.
    options : Options
    strata : ndarray of int, shape (G,), optional
        The stratum of each cluster, for a stratified bootstrap.
    """

    parts: Decomposed
    units: Units
    n: np.ndarray
    options: Options
    strata: np.ndarray | None = None

    @cached_property
    def line_units(self) -> Units:
        """The units as the lines see them: with observed rates, leaving one out at a time."""
        if self.parts.form != "saturated":
            return self.units
        stayed, thin = self.parts.turnover.stayed, self.n < THIN_ROWS
        return self.units.delete_one(stayed, thin, self.parts.denominators)

    def of(self, estimate: np.ndarray, gradient: Gradient, support: Support) -> Known:
        """Infer quantities that are plain functions of sums: totals, shares, observed rates.

        Parameters
        ----------
        estimate : ndarray, shape (K,)
        gradient : Gradient
        support : Support
            The units that they rest on.
        """
        return self._known(estimate, gradient, support, self.units)

    def certain(self, estimate: np.ndarray) -> Known:
        """What is counted, not estimated."""
        found = t_inference(estimate, np.zeros_like(estimate), 1, self.options.conf_level)
        return Known(found, None, self.units)

    def of_proportions(
        self,
        estimate: np.ndarray,
        gradient: Gradient,
        support: Support,
        n: np.ndarray | None = None,
    ) -> Known:
        """Infer shares, or rates of `n` trials, with intervals that lie in [0, 1].

        Parameters
        ----------
        estimate : ndarray, shape (K,)
        gradient : Gradient
        support : Support
            The units that they rest on, of one period.
        n : ndarray, shape (K,), optional
            See `infer.proportions`.
        """
        known = self.of(estimate, gradient, support)
        found = proportions(known.found, self.options.conf_level, n, support.fewest)
        return replace(known, found=found)

    def of_lines(
        self,
        estimate: np.ndarray,
        gradient: Gradient,
        support: Support,
        columns: slice | None = None,
    ) -> Known:
        """Infer lines of the decomposition, or parts of them.

        Parameters
        ----------
        estimate : ndarray, shape (K,)
        gradient : Gradient
        support : Support
        columns : slice, optional
            Where they are among the replicates of a bootstrap; without it the error is linearized.
        """
        known = self._known(estimate, gradient, support, self.line_units)
        if self.options.bootstrap is None or columns is None:
            return known
        return self._bootstrapped(known, support, columns)

    def _known(
        self, estimate: np.ndarray, gradient: Gradient, support: Support, units: Units
    ) -> Known:
        rows = psi(gradient, units)
        se, level = std_errors(gradient, units, rows), self.options.conf_level
        return Known(infer(estimate, se, support, level, self.size), rows, units)

    def _bootstrapped(self, known: Known, support: Support, columns: slice) -> Known:
        draws, estimate = self.draws.columns(columns), known.found.estimate
        level = self.options.conf_level
        found = bootstrap_inference(estimate, draws, level, self.size, support.fewest)
        return replace(known, found=found)

    @property
    def size(self) -> float:
        """The size of the KPI, against which a standard error can be mere rounding."""
        return float(np.abs(self.parts.R).max())

    @cached_property
    def draws(self) -> Draws:
        """The replicates of a bootstrap: the total, the lines, each part by level, level totals."""
        parts, options = self.parts, self.options
        asked = options.bootstrap or Bootstrap()

        again = partial(replicated, parts)
        gradient = None
        if asked.interval == "studentized":
            q = parts.design.width
            levels = [parts.level_gradient(part, 0, q) for part in parts.level_parts]
            above = Gradient.stack([parts.scores, *levels])
            in_total = parts.total_change[1]
            gradient = Gradient.stack([in_total, above, above.combine(parts.level_totals)])
        return resample(self.units, again, asked, options.seed, self.strata, gradient)

    def level_columns(self, part: str, block: slice) -> slice:
        """Where the levels of a dimension are among the replicates; part "total" is their sum."""
        names = [*self.parts.level_parts, "total"]
        start = 1 + len(self.parts.lines) + names.index(part) * self.parts.design.width
        return slice(start + block.start, start + block.stop)

    @cached_property
    def lines(self) -> Known:
        """The lines of the bridge."""
        parts, here = self.parts, slice(1, 1 + len(self.parts.lines))
        support = self.units.support(parts.members)
        return self.of_lines(parts.estimate, parts.scores, support, here)

    def combined(self, weights: np.ndarray) -> Known:
        """Weighted sums of the lines of the bridge; the error is linearized.

        Parameters
        ----------
        weights : ndarray, shape (J, K)
        """
        parts, rows = self.parts, sparse.csr_array(weights)
        support = self.units.support(abs(rows) @ parts.members)
        return self.of_lines(weights @ parts.estimate, parts.scores.combine(rows), support)

    @cached_property
    def degrees_of_freedom(self) -> np.ndarray:
        """Those of the lines of the bridge."""
        return degrees_of_freedom(self.units.support(self.parts.members))

    @cached_property
    def lines_adjusted(self) -> np.ndarray:
        """The adjusted p-values of the lines of the bridge."""
        return self.adjusted(self.lines)

    @cached_property
    def covariance(self) -> np.ndarray:
        """The joint covariance of the lines of the bridge, NaN where nothing is known of one."""
        unknown = np.isnan(self.lines.found.std_error)
        fixed = self.lines.found.std_error == 0
        V = np.where(fixed[:, None] | fixed[None, :], 0.0, self._covariance())
        return np.where(unknown[:, None] | unknown[None, :], np.nan, V)

    def _covariance(self) -> np.ndarray:
        if self.options.bootstrap is not None:
            lines = self.draws.estimates[:, 1 : 1 + len(self.parts.lines)]
            return np.atleast_2d(np.cov(lines, rowvar=False))
        return covariance(self.parts.scores, self.line_units, self.lines.rows)

    def adjusted(self, *family: Known) -> np.ndarray:
        """Adjust the p-values of one view; what rests on too few units is left out of it.

        Returns
        -------
        ndarray, shape (sum of K,)
        """
        found = [known.found for known in family]
        p = np.concatenate([np.where(f.few, np.nan, f.p_value) for f in found])
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.concatenate([f.estimate / f.std_error for f in found])
        units, options = family[0].units, self.options
        held = [known.rows for known in family if known.rows is not None]
        rows = None
        if len(held) == len(family) and len(p) <= MOST_ROWS:
            rows = [np.hstack(kind) for kind in zip(*held, strict=True)]
        return adjusted_p_values(p, t, rows, units, options.adjust, options.seed)

    def lack_of_fit(self) -> dict[tuple[int, int], float]:
        """P-values, adjusted by Holm, that the rates in use fit each pair of dimensions."""
        parts, dimensions = self.parts, range(len(self.parts.design.sizes))
        if not isinstance(parts, Decomposition):
            raise OptionError("lack_of_fit: it is worked out for one ratio of sums.")
        pairs = list(itertools.combinations(dimensions, 2))
        p = [lack_of_fit(*misfit(parts, a, b), self.units, self.options.seed) for a, b in pairs]
        return dict(zip(pairs, stepwise(np.array(p), "holm"), strict=True))

    def at_level(self, conf_level: float) -> Evidence:
        """The same with another confidence level, and the same replicates."""
        other = replace(self, options=replace(self.options, conf_level=conf_level))
        if self.options.bootstrap is not None:
            vars(other)["draws"] = self.draws
        return other

    def intervals(self, conf_level: float, simultaneous: bool) -> np.ndarray:
        """Intervals of the lines at another level, or for all of them at once, shape (K, 2)."""
        found = self.at_level(conf_level).lines.found
        low, high = found.conf_low, found.conf_high
        if simultaneous and self.units.count > 1:
            sure = ~found.few & (found.std_error > 0)
            rows = [kind[:, sure] for kind in self.lines.rows or []]
            if not rows:
                raise OptionError(f"simultaneous: {len(sure):,} rows are too many for one family.")
            half = critical_value(rows, self.line_units, conf_level, self.options.seed)
            half = half * found.std_error
            # Lines of too few units are no part of the family and keep their own wide interval.
            low = np.where(sure, np.minimum(low, found.estimate - half), low)
            high = np.where(sure, np.maximum(high, found.estimate + half), high)
        return np.column_stack([low, high])

    @cached_property
    def total(self) -> Known:
        """The change of the KPI itself."""
        support = self.units.support(self.parts.everywhere)
        known = self.of(*self.parts.total_change, support)
        if self.options.bootstrap is None:
            return known
        return self._bootstrapped(known, support, slice(0, 1))

    def total_interval(self, conf_level: float) -> np.ndarray:
        """The interval of the change at another level."""
        found = self.at_level(conf_level).total.found
        return np.array([found.conf_low[0], found.conf_high[0]])


def replicated(parts: Decomposed, sums: np.ndarray) -> np.ndarray:
    """Decompose replicates of the sums: the total, the lines, each part by level, level totals.

    Parameters
    ----------
    parts : Decomposed
    sums : ndarray, shape (B, 2 S blocks)

    Returns
    -------
    ndarray, shape (B, columns)
    """
    found = recompute_lines(parts, sums)
    above = np.hstack([found.lines, *found.level_parts.values()])
    return np.hstack([found.total[:, None], above, above @ parts.level_totals.T])
