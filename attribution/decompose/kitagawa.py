"""Mix and rate per segment: midpoint, threefold, baseline, current (Kitagawa 1955; Bennet 1920).

    rate_c = q_c (r_1c - r_0c)            q   = w_0 p_0 + w_1 p_1
    mix_c  = (p_1c - p_0c) (rho_c - ref)  rho = v_0 r_0 + v_1 r_1,  ref = v_0 R_0 + v_1 R_1
    interaction_c = (p_1c - p_0c) (r_1c - r_0c), for `threefold` only

All functions take shares p and rates r of shape (2, S), shares adding up to 1 in each period;
gradients are over the 4 S variables (p_0, p_1, r_0, r_1) in this order. The values also take
replicates in further axes, (2, S, ...).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.gradient import Gradient, diagonals

__all__ = ["METHODS", "PARTS", "Weights", "interaction", "mix", "rate"]


@dataclass(frozen=True)
class Weights:
    """Which period's shares weigh rate changes (w), and whose rates value share changes (v)."""

    w: tuple[float, float]
    v: tuple[float, float]
    threefold: bool = False


METHODS = {
    "midpoint": Weights((0.5, 0.5), (0.5, 0.5)),
    "threefold": Weights((1.0, 0.0), (1.0, 0.0), threefold=True),
    "baseline": Weights((1.0, 0.0), (0.0, 1.0)),
    "current": Weights((0.0, 1.0), (1.0, 0.0)),
}


def rate(p: np.ndarray, r: np.ndarray, weights: Weights) -> np.ndarray:
    """Return rate_c for each segment.

    Examples
    --------
    >>> p = np.array([[.5, .3, .2], [.4, .3, .3]])
    >>> r = np.array([[.95, .95, .80], [.95, .95, .80]])
    >>> rate(p, r, METHODS["midpoint"])
    array([0., 0., 0.])
    """
    w0, w1 = weights.w
    return (w0 * p[0] + w1 * p[1]) * (r[1] - r[0])


def mix(p: np.ndarray, r: np.ndarray, weights: Weights) -> np.ndarray:
    """Return mix_c for each segment, centred on the KPI itself.

    Examples
    --------
    >>> p = np.array([[.5, .3, .2], [.4, .3, .3]])
    >>> r = np.array([[.95, .95, .80], [.95, .95, .80]])
    >>> (100 * mix(p, r, METHODS["midpoint"])).round(3)
    array([-0.375,  0.   , -1.125])
    """
    rho, ref = _valued(p, r, weights)
    return (p[1] - p[0]) * (rho - ref)


def interaction(p: np.ndarray, r: np.ndarray, weights: Weights) -> np.ndarray:
    """Return (p_1c - p_0c)(r_1c - r_0c) for each segment; part of threefold only."""
    return (p[1] - p[0]) * (r[1] - r[0]) * weights.threefold


def rate_gradient(p: np.ndarray, r: np.ndarray, weights: Weights) -> Gradient:
    """Return the gradient of `rate`."""
    w0, w1 = weights.w
    q, change = w0 * p[0] + w1 * p[1], r[1] - r[0]
    return _diagonal(w0 * change, w1 * change, -q, q)


def mix_gradient(p: np.ndarray, r: np.ndarray, weights: Weights) -> Gradient:
    """Return the gradient of `mix`."""
    v0, v1 = weights.v
    (rho, ref), shift = _valued(p, r, weights), p[1] - p[0]
    own = _diagonal(ref - rho, rho - ref, v0 * shift, v1 * shift)
    of_ref = np.concatenate([v0 * r[0], v1 * r[1], v0 * p[0], v1 * p[1]])
    return own + Gradient.of(-shift[:, None], of_ref[None, :])


def interaction_gradient(p: np.ndarray, r: np.ndarray, weights: Weights) -> Gradient:
    """Return the gradient of `interaction`."""
    shift, change = (p[1] - p[0]) * weights.threefold, (r[1] - r[0]) * weights.threefold
    return _diagonal(-change, change, -shift, shift)


def _valued(p: np.ndarray, r: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """The rates rho that value share changes, and the KPI ref they are measured from."""
    v0, v1 = weights.v
    R0, R1 = np.einsum("tc...,tc...->t...", p, r)
    return v0 * r[0] + v1 * r[1], v0 * R0 + v1 * R1


# What a segment's change is made of: the value per segment and its gradient.
PARTS = {
    "mix": (mix, mix_gradient),
    "rate": (rate, rate_gradient),
    "interaction": (interaction, interaction_gradient),
}


def _diagonal(*parts: np.ndarray) -> Gradient:
    """The gradient whose line c depends on segment c only, one array per block of variables."""
    return Gradient.of(sparse.eye_array(len(parts[0]), format="csr"), diagonals(*parts))
