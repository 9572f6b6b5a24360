"""What the shares and rates of a function of several sums are worth: one set of numbers per form.

With volumes V, sums X_k, shares p_tc = V_tc / V_t and x_ktc = X_ktc / V_tc, every form divides its
change as

    mix_c  = (p_1c - p_0c) (sum_k a_0k x_k0c + a_1k x_k1c - ref + centre)
    rate_c = sum_k (b_0k p_0c + b_1k p_1c) (x_k1c - x_k0c)
    entry and exit of segment c = ± (h_t0 V_tc + sum_k h_tk X_ktc)

and a term `volume` where doubling all sums changes the KPI. The numbers a, b, h depend on the data
through a few totals only; `jacobian` differentiates them by complex steps, which are exact to
rounding, so every form must be written for complex numbers too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from attribution.errors import OptionError

__all__ = [
    "Coefficients",
    "Form",
    "RatioForm",
    "SmoothForm",
    "TotalForm",
    "Totals",
    "differentiated",
    "jacobian",
    "midway",
]

# Of the totals' own size: far below rounding, far above underflow.
_STEP = 1e-30
_NODES = (8, 16, 32, 64, 128, 256)
_EXACT = 1e-14


@dataclass(frozen=True, eq=False)
class Totals:
    """The totals that coefficients depend on.

    Attributes
    ----------
    m : ndarray, shape (2, 2, K)
        m[s, t, k] = sum_c p_sc x_ktc: shares of period s, rates of period t, within S.
    v : ndarray, shape (2,)
        The volume of S.
    X : ndarray, shape (2, K)
        The sums of all segments.
    V : ndarray, shape (2,)
        Their volume.
    """

    m: np.ndarray
    v: np.ndarray
    X: np.ndarray
    V: np.ndarray

    def flat(self) -> np.ndarray:
        """Return all totals as one vector, in the order of the attributes."""
        return np.concatenate([self.m.ravel(), self.v, self.X.ravel(), self.V])

    @classmethod
    def of(cls, flat: np.ndarray) -> Totals:
        """Return the totals that a vector holds."""
        K = (len(flat) - 4) // 6
        m, v, X, V = np.split(flat, [4 * K, 4 * K + 2, 6 * K + 2])
        return cls(m.reshape(2, 2, K), v, X.reshape(2, K), V)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What shares and rates are worth.

    Attributes
    ----------
    a, b : ndarray, shape (2, K)
        See the formulas of the module.
    h : ndarray, shape (2, 1 + K)
        What a segment outside S adds per unit of volume and of each sum.
    centre : complex or float
        Added to what a share is worth; 0 where shares are valued from the KPI itself.
    ends : ndarray, shape (2,)
        The KPI of all segments.
    volume : ndarray, shape (0,) or (1,)
        The line `volume`, if the form has one.
    """

    a: np.ndarray
    b: np.ndarray
    h: np.ndarray
    centre: complex | float
    ends: np.ndarray
    volume: np.ndarray

    def flat(self) -> np.ndarray:
        """Return all of it as one vector, in the order of the attributes."""
        parts = [self.a.ravel(), self.b.ravel(), self.h.ravel(), [self.centre], self.ends]
        return np.concatenate([*parts, self.volume])

    @property
    def places(self) -> dict[str, slice]:
        """Where each attribute is in `flat`."""
        found, start = {}, 0
        sizes = (self.a.size, self.b.size, self.h.size, 1, 2, self.volume.size)
        for name, size in zip(("a", "b", "h", "centre", "ends", "volume"), sizes, strict=True):
            found[name] = slice(start, start + size)
            start += size
        return found


class Form(Protocol):
    """What function of the sums a KPI is."""

    def coefficients(self, totals: Totals) -> Coefficients:
        """What shares and rates are worth, given the totals."""
        ...

    def value(self, V: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The KPI of n groups of segments, (n,), of volumes (n,) and sums (K, n)."""
        ...


def differentiated(
    value: Callable[[np.ndarray, np.ndarray], np.ndarray], V: np.ndarray, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a function of the sums of n groups of segments, and its derivative in them.

    Parameters
    ----------
    value : callable
        As `Form.value`.
    V : ndarray, shape (n,)
        Positive.
    X : ndarray, shape (K, n)

    Returns
    -------
    value : ndarray, shape (n,)
        NaN where there is none.
    derivative : ndarray, shape (1 + K, n)
    """
    sums = np.vstack([V, X])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = value(V, X)
        derivative = np.zeros(sums.shape)
        for i, own in enumerate(sums):
            step = _STEP * np.where(own == 0, 1.0, np.abs(own))
            moved = sums.astype(complex)
            moved[i] += 1j * step
            derivative[i] = np.imag(value(moved[0], moved[1:])) / step
    there = np.isfinite(found) & np.isfinite(derivative).all(axis=0)
    return np.where(there, found, np.nan), np.where(there, derivative, 0.0)


def jacobian(form: Form, at: Totals) -> np.ndarray:
    """Return the derivative of the coefficients in the totals, (coefficients, totals).

    Parameters
    ----------
    form : Form
    at : Totals

    Returns
    -------
    ndarray
    """
    return _in_totals(lambda totals: form.coefficients(totals).flat(), at)


def midway(form: Form, at: Totals) -> tuple[float, np.ndarray]:
    """Return the KPI midway between two periods, and its derivative in the totals.

    ``sum over u, s, t of w_us / 2 F(V_u, p_s, x_t)``, w = 1/3 where u = s, else 1/6: the mean of
    the KPI standardized to the volume and the shares of both (Shapley) over the rates of both. Of
    one ratio of sums it is ``sum_c p_c r_c`` at the midpoints.

    Parameters
    ----------
    form : Form
    at : Totals

    Returns
    -------
    float, ndarray of shape (totals,)
    """

    def value(totals: Totals) -> np.ndarray:
        m, v, found = totals.m, totals.v, 0.0
        for u, s, t in np.ndindex(2, 2, 2):
            X = (v[u] * m[s, t])[:, None]
            found = found + (1 + (u == s)) / 12 * form.value(v[u : u + 1], X)
        return np.asarray(found)

    return float(value(at)[0]), _in_totals(value, at)[0]


def _in_totals(value: Callable[[Totals], np.ndarray], at: Totals) -> np.ndarray:
    flat = at.flat()
    columns = []
    for i, own in enumerate(flat):
        step = _STEP * (abs(own) or 1.0)
        moved = flat.astype(complex)
        moved[i] += 1j * step
        columns.append(np.imag(value(Totals.of(moved))) / step)
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class RatioForm:
    """N / D with a volume of its own; X holds N, then D.

    With n = N / V, d = D / V, z_t = n_t - R d_t at the midpoint R of the KPI and d the mean over
    periods of sum_c p_tc d_tc:  mix_c = Δp_c z_c / d,  rate_c = p_c Δz_c / d  (midpoints).
    """

    def coefficients(self, totals: Totals) -> Coefficients:
        """What shares and rates are worth, given the totals."""
        own = np.stack([totals.m[0, 0], totals.m[1, 1]])
        R = own[:, 0] / own[:, 1]
        mean, scale = R.sum() / 2, own[:, 1].sum() / 2
        g = np.stack([1.0 + 0 * mean, -mean]) / scale
        halves = np.stack([g, g]) / 2
        none = 0 * R
        h = np.stack([none, 1 + none, -R], axis=1) / totals.X[:, 1:]
        # Shares are valued from 0, not from the mean of z, which differs from it where d moved.
        centre = (halves * own).sum()
        ends = totals.X[:, 0] / totals.X[:, 1]
        return Coefficients(halves, halves, h, centre, ends, none[:0])

    def value(self, V: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The ratio of each group."""
        return X[0] / X[1]


@dataclass(frozen=True)
class TotalForm:
    """The sum T = V sum_c p_c x_c: the Shapley value of three factors.

    volume = ΔV [(p_0·x_0 + p_1·x_1) / 3 + (p_0·x_1 + p_1·x_0) / 6]
    mix_c  = Δp_c [W_0 x_0c + W_1 x_1c - ref]      W_0 = V_0 / 3 + V_1 / 6
    rate_c = Δx_c [W_0 p_0c + W_1 p_1c]            W_1 = V_1 / 3 + V_0 / 6
    """

    def coefficients(self, totals: Totals) -> Coefficients:
        """What shares and rates are worth, given the totals."""
        m, v = totals.m[:, :, 0], totals.v
        worth = (v / 3 + v[::-1] / 6)[:, None]
        volume = (v[1] - v[0]) * ((m[0, 0] + m[1, 1]) / 3 + (m[0, 1] + m[1, 0]) / 6)
        h = np.array([[0.0, 1.0], [0.0, 1.0]]) + 0 * v[0]
        return Coefficients(worth, worth, h, 0 * v[0], totals.X[:, 0], np.array([volume]))

    def value(self, V: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The sum of each group."""
        return X[0]


@dataclass(frozen=True)
class SmoothForm:
    """Any smooth function f of the means per unit of volume.

    The Shapley value over {mix, rates}, each step shared out along the straight line between its
    ends: f(m') - f(m) = (m' - m) · integral of grad f, exactly.

    Attributes
    ----------
    function : callable
        Means of shape (K, n), also complex, to the values (n,) and the gradients (K, n).
    """

    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def coefficients(self, totals: Totals) -> Coefficients:
        """What shares and rates are worth, given the totals."""
        m, function = totals.m, self.function
        a = np.stack([_average_gradient(function, m[0, t], m[1, t]) for t in (0, 1)]) / 2
        b = np.stack([_average_gradient(function, m[s, 0], m[s, 1]) for s in (0, 1)]) / 2
        h = []
        for t in (0, 1):
            whole = totals.X[t] / totals.V[t]
            g = _average_gradient(function, m[t, t], whole) / totals.V[t]
            h.append(np.concatenate([[-(g * m[t, t]).sum()], g]))
        ends, _ = function((totals.X / totals.V[:, None]).T)
        return Coefficients(a, b, np.stack(h), 0 * m[0, 0, 0], ends, m[0, 0, :0])

    def value(self, V: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The function of each group."""
        return self.function(X / V)[0]


@cache
def _gauss_legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(count)


def _average_gradient(
    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    stop: np.ndarray,
) -> np.ndarray:
    """The mean of the gradient along a line, by Gauss-Legendre with as many nodes as it takes."""
    step = stop - start
    ends, _ = function(np.stack([start, stop], axis=1))
    found = np.zeros_like(step)
    for count in _NODES:
        nodes, weights = _gauss_legendre(count)
        line = start[:, None] + step[:, None] * (nodes + 1) / 2
        _, gradients = function(line)
        found = gradients @ (weights / 2)
        if not np.isfinite(found).all():
            break
        missing = abs((found * step).sum() - (ends[1] - ends[0]))
        if missing <= _EXACT * max(abs(ends[0]), abs(ends[1]), (abs(found * step)).sum()):
            return found
    raise OptionError(
        "metric: the function of sums is not smooth between the two periods: a denominator in it "
        "passes through 0 there, or comes close to it."
    )
