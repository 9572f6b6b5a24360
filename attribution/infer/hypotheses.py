"""Wald tests of linear hypotheses about several lines at once, fit for few clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from attribution.errors import OptionError
from attribution.formatting import p_text

__all__ = ["LinearTest", "wald"]

# Below this fraction of the lines' size a standard error is rounding, not variance.
_ROUNDING = 1e-12
# Correlation matrices of restrictions have eigenvalues of order 1; below this they are singular.
_SINGULAR = 1e-9


@dataclass(frozen=True, eq=False)
class LinearTest:
    """A test of one or several linear hypotheses; made by `wald`.

    Attributes
    ----------
    hypothesis : str
        The null hypothesis.
    estimate, std_error : ndarray, shape (k,)
        Left minus right side of each hypothesis, KPI units.
    statistic : float
        t of a single hypothesis, F of several together.
    df_num, df_denom : int
        Degrees of freedom; df_num is the number of hypotheses that do not follow from each other.
    p_value : float
        Two-sided.
    """

    hypothesis: str
    estimate: np.ndarray
    std_error: np.ndarray
    statistic: float
    df_num: int
    df_denom: int
    p_value: float

    def __str__(self) -> str:
        if len(self.estimate) == 1:
            found = (
                f"Left minus right: {self.estimate[0]:.4g} (standard error "
                f"{self.std_error[0]:.4g}). t({self.df_denom:,}) = {self.statistic:.2f}"
            )
        else:
            found = f"F({self.df_num}, {self.df_denom:,}) = {self.statistic:.2f}"
        return f"Null hypothesis: {self.hypothesis}. {found}, {p_text(self.p_value)}."

    def __repr__(self) -> str:
        return f"<LinearTest {self.hypothesis}: {p_text(self.p_value)}>"


def wald(
    estimate: np.ndarray,
    covariance: np.ndarray,
    R: np.ndarray,
    q: np.ndarray,
    degrees_of_freedom: int,
    hypothesis: str = "R b = q",
) -> LinearTest:
    """Test ``R b = q`` for lines b with their joint covariance.

    ``T^2 = d' (R V R')^+ d`` with ``d = R b - q``; of one hypothesis the statistic is
    ``t = d / SE`` with df degrees of freedom, of r together (r the rank of R V R')
    ``F = (df - r + 1) / (r df) T^2`` with (r, df - r + 1). That is Hotelling's T^2: the usual
    ``T^2 / r`` with (r, df) rejected a true null about 6 lines over 12 clusters of unequal sizes
    in 22 % of simulated samples at the 5 % level, Hotelling's in 2 %.

    Parameters
    ----------
    estimate : ndarray, shape (K,)
        b, KPI units.
    covariance : ndarray, shape (K, K)
        V.
    R : ndarray, shape (k, K)
        One hypothesis per row.
    q : ndarray, shape (k,)
        Their right sides, KPI units.
    degrees_of_freedom : int
        df: units minus 1.
    hypothesis : str
        The null hypothesis in words.

    Returns
    -------
    LinearTest

    Raises
    ------
    OptionError
        The lines have no covariance, a hypothesis has no variance, the hypotheses contradict each
        other, or there are more of them than clusters can tell apart.

    References
    ----------
    Hotelling, H. (1931). The Generalization of Student's Ratio. Ann. Math. Stat. 2:360-378.
    Pustejovsky, J. E. and Tipton, E. (2018). Small-Sample Methods for Cluster-Robust Variance
    Estimation and Hypothesis Testing in Fixed Effects Models. JBES 36:672-683.

    Examples
    --------
    >>> b, V = np.array([-0.010, 0.004]), np.diag([0.003, 0.004]) ** 2
    >>> print(wald(b, V, np.array([[1.0, 0.0]]), np.zeros(1), 59, "mix[tenure] = 0"))
    Null hypothesis: mix[tenure] = 0. Left minus right: -0.01 (standard error 0.003). \
t(59) = -3.33, p = 0.001.
    >>> print(wald(b, V, np.eye(2), np.zeros(2), 59, "mix[tenure] = 0, rate = 0"))
    Null hypothesis: mix[tenure] = 0, rate = 0. F(2, 58) = 5.95, p = 0.004.
    """
    if not np.isfinite(covariance).all():
        raise OptionError(
            "hypothesis: cannot be tested; the lines have no covariance, because there are fewer "
            "than two independent units."
        )
    difference, V = R @ estimate - q, R @ covariance @ R.T
    std_error = np.sqrt(np.maximum(V.diagonal(), 0.0))
    _check_variance(estimate, covariance, R, std_error, hypothesis)
    scaled = difference / std_error
    values, vectors = np.linalg.eigh(V / np.outer(std_error, std_error))
    kept = values > _SINGULAR * len(values)
    projected = vectors.T @ scaled
    if np.abs(projected[~kept]).max(initial=0.0) > 1e-6 * max(1.0, np.abs(scaled).max()):
        raise OptionError(
            f"hypothesis: {hypothesis!r} cannot be tested jointly: a combination of its parts has "
            "no variance, so they contradict each other or ask more than the units can tell. "
            "Test fewer together."
        )
    rank = int(kept.sum())
    left = degrees_of_freedom - rank + 1
    if left < 1:
        raise OptionError(
            f"hypothesis: {rank} hypotheses together need more than {rank} independent units; "
            f"there are {degrees_of_freedom + 1}. Test fewer together."
        )
    if len(q) == 1:
        t = float(scaled[0])
        p = 2 * float(special.stdtr(degrees_of_freedom, -abs(t)))
        return LinearTest(hypothesis, difference, std_error, t, 1, left, p)
    squared = float((projected[kept] ** 2 / values[kept]).sum())
    F = squared * left / (rank * degrees_of_freedom)
    p = float(special.fdtrc(rank, left, F))
    return LinearTest(hypothesis, difference, std_error, F, rank, left, p)


def _check_variance(
    estimate: np.ndarray,
    covariance: np.ndarray,
    R: np.ndarray,
    std_error: np.ndarray,
    hypothesis: str,
) -> None:
    """Refuse hypotheses that no sample can speak to: nothing in them varies."""
    each = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    size = max(np.abs(estimate).max(), each.max())
    # A difference of equal lines leaves the rounding of squares, the root of the machine's.
    floor = np.maximum(_ROUNDING * size * np.abs(R).max(axis=1), 1e-7 * (np.abs(R) @ each))
    if (still := ~(std_error > floor)).any():
        which = int(still.argmax()) + 1
        part = f"part {which} of {hypothesis!r}" if len(R) > 1 else repr(hypothesis)
        raise OptionError(
            f"hypothesis: {part} has no variance, so there is nothing to test. A line that cannot "
            "vary has a standard error of 0 in change.effects."
        )
