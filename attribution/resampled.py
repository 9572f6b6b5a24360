"""Resampled: a bootstrap of all periods of a trend at once.

Clusters are drawn once for all periods: whoever is drawn twice counts twice in each of them. So the
steps of a replicate add up to its whole, as those of the data do, and a sum over steps holds the
noise that they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from attribution.analysis import verdict
from attribution.cube import Cube
from attribution.errors import OptionError
from attribution.evidence import Options, replicated
from attribution.infer import (
    Bootstrap,
    Draws,
    Inference,
    bootstrap_inference,
    cluster_strata,
    resample,
)
from attribution.joint import Joint, units_over
from attribution.kinds import value_of
from attribution.metrics import Metric
from attribution.result import Attribution
from attribution.total import Total

__all__ = ["Compared", "Resampled", "check_resampling", "redrawn"]


@dataclass(frozen=True, eq=False)
class Compared:
    """One decomposed change: its periods, and the segments that either has, (S,)."""

    pair: tuple[int, int]
    there: np.ndarray
    change: Attribution


@dataclass(frozen=True, eq=False)
class Resampled:
    """The replicates of a trend, B of them.

    Attributes
    ----------
    single : Cube
        The periods that rows were counted in.
    metric : Metric
    pooled : ndarray, shape (P, periods of single), or None
        Which of them each period of the trend pools, where these overlap.
    options : Options
    steps : tuple of Draws
        Of each decomposed change, as `Evidence.draws` has them.
    sums : ndarray, shape (B, M, P)
        What the KPI is made of, in each period.
    R : ndarray, shape (B, P)
        The KPI.
    """

    single: Cube
    metric: Metric
    pooled: np.ndarray | None
    options: Options
    steps: tuple[Draws, ...]
    sums: np.ndarray
    R: np.ndarray

    @classmethod
    def of(
        cls,
        single: Cube,
        metric: Metric,
        pooled: np.ndarray | None,
        options: Options,
        compared: Sequence[Compared],
    ) -> Resampled:
        """Draw the clusters, or trials, of all periods and decompose every change anew.

        Parameters
        ----------
        single : Cube
        metric : Metric
        pooled : ndarray, optional
        options : Options
        compared : sequence of Compared

        Returns
        -------
        Resampled

        Raises
        ------
        OptionError
            See `attribution.infer.bootstrap.resample`.
        """
        asked = options.bootstrap or Bootstrap()
        units, P, S = units_over(single, metric), len(single.periods), len(single.codes)
        strata = None
        if asked.strata is not None:
            level = single.codes[:, single.dimension_index(asked.strata, "strata")]
            strata = cluster_strata(units.ways[0], level, asked.strata)

        def estimates(sums: np.ndarray) -> np.ndarray:
            # All periods stand in the first of the two that inference knows.
            x = sums.reshape(len(sums), -1, 2, P, S)[:, :, 0]
            if pooled is not None:
                x = np.einsum("tp,bmps->bmts", pooled, x)
            found = []
            for one in compared:
                own = x[:, :, list(one.pair)][..., one.there]
                found.append(replicated(one.change._parts, own.reshape(len(x), -1)))
            return np.hstack([*found, x.sum(axis=3).reshape(len(x), -1)])

        drawn = resample(units, estimates, asked, options.seed, strata).estimates
        widths = [_width(one.change) for one in compared]
        *steps, sums = np.split(drawn, np.cumsum(widths), axis=1)
        periods = P if pooled is None else len(pooled)
        sums = sums.reshape(len(drawn), -1, periods)
        by_sum = sums.transpose(1, 0, 2).reshape(sums.shape[1], -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            R = value_of(metric, by_sum)[0].reshape(len(drawn), periods)
        return cls(single, metric, pooled, options, tuple(map(Draws, steps)), sums, R)

    def another(self, compared: Compared) -> Draws:
        """Return one more change in the same replicates.

        Parameters
        ----------
        compared : Compared
        """
        again = Resampled.of(self.single, self.metric, self.pooled, self.options, [compared])
        return again.steps[0]

    def levels(self, joint: Joint) -> Inference:
        """Return what is known of the KPI of each period.

        Parameters
        ----------
        joint : Joint

        Returns
        -------
        Inference
        """
        fewest = joint.support(np.eye(len(joint.R), dtype=bool)).fewest
        size = float(np.abs(joint.R).max())
        return bootstrap_inference(joint.R, Draws(self.R), self.options.conf_level, size, fewest)

    def change(self, pair: tuple[int, int], joint: Joint) -> Total:
        """Return the change of the KPI between two periods.

        Parameters
        ----------
        pair : (int, int)
        joint : Joint

        Returns
        -------
        Total
        """
        i, j = pair
        R, draws = joint.R, Draws((self.R[:, j] - self.R[:, i])[:, None])
        fewest = joint.support(np.isin(np.arange(len(R)), pair)[None, :]).fewest
        level, size = self.options.conf_level, float(np.abs(R).max())
        found = bootstrap_inference(np.array([R[j] - R[i]]), draws, level, size, fewest)
        names = ("std_error", "conf_low", "conf_high", "p_value")
        known = {name: float(getattr(found, name)[0]) for name in names}
        return Total(float(R[i]), float(R[j]), float(R[j] - R[i]), **known)


def check_resampling(options: Options) -> None:
    """Refuse a bootstrap that a trend has no answer for.

    Parameters
    ----------
    options : Options

    Raises
    ------
    OptionError
    """
    if options.bootstrap is not None and options.bootstrap.interval == "studentized":
        raise OptionError(
            "interval: 'studentized' is for a change of two periods (at.explain); sums over the "
            "steps of a trend have no standard error in each replicate. Use 'percentile'."
        )


def redrawn(change: Attribution, draws: Draws, options: Options) -> Attribution:
    """Return an attribution whose intervals are those of given replicates.

    Parameters
    ----------
    change : Attribution
    draws : Draws
        As `Evidence.draws`; the total is the first column.
    options : Options
        With the bootstrap.

    Returns
    -------
    Attribution
    """
    evidence = replace(change._evidence, options=options)
    vars(evidence)["draws"] = draws
    found = evidence.total.found
    names = ("std_error", "conf_low", "conf_high", "p_value")
    total = replace(change.total, **{name: float(getattr(found, name)[0]) for name in names})
    return replace(change, total=total, verdict=verdict(total, options), _evidence=evidence)


def _width(change: Attribution) -> int:
    """How many numbers `replicated` gives for a change."""
    totals, above = change._parts.level_totals.shape
    return 1 + above + totals
