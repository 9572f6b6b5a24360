"""The mix effect per dimension, adjusted for the others: in no order, adding up.

    rho_c = mu + sum_d alpha_d(l_d(c)) + e_c          weighted by p = (p_0 + p_1) / 2
    mix_{d,l} = (p_1d(l) - p_0d(l)) alpha_d(l)        joint = sum_c (p_1c - p_0c) e_c

the detailed explained part of a pooled Oaxaca-Blinder decomposition (METHODS.md 2). A dimension
that another one refines (region, of market) is not fitted beside it: it takes the weighted mean of
its children's effects and the child keeps the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse

from attribution.decompose.design import AdditiveFit, Design, aliased_levels
from attribution.decompose.kitagawa import Weights
from attribution.gradient import Gradient, diagonals

__all__ = [
    "LevelEffects",
    "adjusted",
    "aliased_directions",
    "identical",
    "level_effects",
]


def identical(design: Design) -> tuple[int, int] | None:
    """Return two dimensions that split the segments in the same way, if there are any."""
    for child, found in enumerate(design.parents):
        for parent in found:
            if child in design.parents[parent]:
                return min(child, parent), max(child, parent)
    return None


@dataclass(frozen=True, eq=False)
class LevelEffects:
    """The effects of all levels, centred at 0 per dimension, with the chain rule to the cells.

    Attributes
    ----------
    alpha : ndarray, shape (q,)
    residual : ndarray, shape (n,)
    aliased : ndarray of bool, shape (q,)
        Levels whose effect is a choice among equally good ones.
    """

    alpha: np.ndarray
    residual: np.ndarray
    aliased: np.ndarray
    _design: Design
    _leaves: list[int]
    _fit: AdditiveFit
    _inner: dict[int, tuple[Sequence[int], LevelEffects]] = field(default_factory=dict)

    @property
    def slopes(self) -> int:
        """The factors that the gradients of many levels share."""
        return max([self._fit.shared, *(effects.slopes for _, effects in self._inner.values())])

    def pull(self, g: Gradient) -> tuple[Gradient, Gradient]:
        """Pull gradients in alpha, shape (K, q), back to cell weights and cell values."""
        design, fit, lines = self._design, self._fit, g.shape[0]
        in_weights, at_leaves = Gradient.zero(lines, len(self.residual)), Gradient.zero(lines, 0)
        for leaf in self._leaves:
            own = _columns(g, design, leaf)
            if leaf in self._inner:
                parents, effects = self._inner[leaf]
                above = reduce(Gradient.beside, [_columns(g, design, a) for a in parents])
                # alpha_leaf is what the inner fit leaves over: its value minus its fit.
                below = own.through(effects._design.matrix)
                to_weights, to_values = effects.pull(above - below)
                X_leaf = design.only([leaf]).matrix
                in_weights = in_weights + to_weights.through(sparse.csr_array(X_leaf.T))
                own = own + to_values
            at_leaves = Gradient.beside(at_leaves, own)
        u, v = fit.pull_alpha(at_leaves)
        X = fit.design.matrix
        in_values = u.through(X.multiply(fit.p[:, None]).T)
        in_weights = in_weights + u.through(X.multiply(fit.residual[:, None]).T)
        return in_weights - v.through(X.T), in_values


def _columns(g: Gradient, design: Design, d: int) -> Gradient:
    block = design.block(d)
    return g.columns(block.start, block.stop)


def level_effects(design: Design, weights: np.ndarray, values: np.ndarray) -> LevelEffects:
    """Fit values additively on the dimensions and share nested effects out between them.

    Parameters
    ----------
    design : Design
        No two dimensions identical.
    weights, values : ndarray, shape (n,)

    Returns
    -------
    LevelEffects
    """
    parents, leaves = design.parents, design.innermost
    fit = AdditiveFit(design.only(leaves), weights, values)
    alpha = np.zeros(design.width)
    aliased = aliased_levels(design, aliased_directions(design, fit), design.matrix.T @ fit.p)
    inner = {}
    for i, leaf in enumerate(leaves):
        own = fit.alpha[fit.design.block(i)]
        if parents[leaf]:
            below, margins = _parent_levels(design, leaf, parents[leaf]), fit.margins
            effects = level_effects(below, margins[fit.design.block(i)], own)
            for j, parent in enumerate(parents[leaf]):
                alpha[design.block(parent)] += effects.alpha[below.block(j)]
                aliased[design.block(parent)] |= effects.aliased[below.block(j)]
            own = np.where(margins[fit.design.block(i)] > 0, effects.residual, 0.0)
            inner[leaf] = (parents[leaf], effects)
        alpha[design.block(leaf)] = own
    return LevelEffects(alpha, fit.residual, aliased, design, leaves, fit, inner)


def aliased_directions(design: Design, fit: AdditiveFit) -> np.ndarray:
    """Return the directions that a fit of the innermost dimensions leaves open, shape (q, nu).

    Two dimensions within one (market and site within region) are aliased by it, which is settled
    once it takes its share of both.
    """
    parents, leaves = design.parents, design.innermost
    found = np.zeros((design.width, fit.null.shape[1]))
    for i, leaf in enumerate(leaves):
        block = fit.design.block(i)
        found[design.block(leaf)] = fit.null[block]
        if not parents[leaf]:
            continue
        below = _parent_levels(design, leaf, parents[leaf])
        for k, direction in enumerate(fit.null[block].T):
            effects = level_effects(below, fit.margins[block], direction)
            found[design.block(leaf), k] = effects.residual
            for j, parent in enumerate(parents[leaf]):
                found[design.block(parent), k] += effects.alpha[below.block(j)]
    if not any(parents) or not fit.null.shape[1]:
        return found
    left, size, _ = np.linalg.svd(found, full_matrices=False)
    return left[:, size > 1e-9 * np.linalg.norm(fit.null)]


def _parent_levels(design: Design, child: int, parents: Sequence[int]) -> Design:
    """The table of a child's levels and the parents' levels they lie in."""
    codes = np.zeros((design.sizes[child], len(parents)), dtype=design.codes.dtype)
    codes[design.codes[:, child]] = design.codes[:, list(parents)]
    return design.of(codes, parents)


@dataclass(frozen=True, eq=False)
class Adjusted:
    """The mix effect divided among the levels.

    Attributes
    ----------
    levels : ndarray, shape (q,)
        mix_{d,l}.
    alpha : ndarray, shape (q,)
        What a level is worth: its effect, centred so that one dimension's lines are its segments'.
    effects : LevelEffects
    design : Design
    """

    levels: np.ndarray
    alpha: np.ndarray
    effects: LevelEffects
    _p: np.ndarray
    _r: np.ndarray
    design: Design
    _weights: Weights

    @property
    def slopes(self) -> int:
        """What the gradient of one level holds, beside the slopes on its own cells."""
        return self.effects.slopes

    def gradient(self, rows: Any) -> Gradient:
        """The gradient of ``rows @ levels`` over (p_0, p_1, r_0, r_1); rows of shape (K, q).

        Only the lines that are asked for: those of all levels would fill q x q.
        """
        p, r, X = self._p, self._r, self.design.matrix
        v0, v1 = self._weights.v
        mean_p, shift = (p[0] + p[1]) / 2, p[1] - p[0]
        rho = v0 * r[0] + v1 * r[1]
        rows = sparse.csr_array(rows)
        shift_of_level = X.T @ shift
        none = sparse.csr_array(X.shape).T
        own = Gradient.of(
            rows.multiply(self.alpha[None, :]).tocsr(), sparse.hstack([-X.T, X.T, none, none])
        )
        moved = sparse.csr_array(rows.multiply(shift_of_level[None, :]))
        levels = sparse.eye_array(len(shift_of_level), format="csr")
        in_weights, in_values = self.effects.pull(Gradient.of(moved, levels))
        each = np.ones(len(shift))
        through_weights = in_weights.through(diagonals(each / 2, each / 2, None, None))
        through_values = in_values.through(diagonals(None, None, v0 * each, v1 * each))
        of_constant = np.concatenate(
            [rho / 2 - v0 * r[0], rho / 2 - v1 * r[1], v0 * (mean_p - p[0]), v1 * (mean_p - p[1])]
        )
        by_constant = moved.sum(axis=1)[:, None]
        through_constant = Gradient.of(by_constant, of_constant[None, :])
        return own + through_weights + through_values + through_constant


def adjusted(p: np.ndarray, r: np.ndarray, design: Design, weights: Weights) -> Adjusted:
    """Divide the mix effect among the levels of all dimensions.

    Parameters
    ----------
    p, r : ndarray, shape (2, S)
        Shares and the rates in use.
    design : Design
    weights : Weights
        Those of the method: they say which rates value the shifts.

    Returns
    -------
    Adjusted

    Examples
    --------
    >>> p = np.array([[.5, .3, .2], [.4, .3, .3]])
    >>> r = np.array([[.95, .95, .80], [.95, .95, .80]])
    >>> from attribution.decompose.kitagawa import METHODS
    >>> one = adjusted(p, r, Design(np.array([[0], [1], [2]]), (3,)), METHODS["midpoint"])
    >>> (100 * one.levels).round(3)
    array([-0.375,  0.   , -1.125])
    """
    v0, v1 = weights.v
    mean_p, shift = (p[0] + p[1]) / 2, p[1] - p[0]
    rho = v0 * r[0] + v1 * r[1]
    ref = v0 * p[0] @ r[0] + v1 * p[1] @ r[1]
    effects = level_effects(design, mean_p, rho)
    X = design.matrix
    shift_of_level = X.T @ shift
    # The common constant cancels in every dimension's total and makes the lines of a single
    # dimension those of its segments.
    constant = mean_p @ rho - ref
    valued = np.where(X.T @ mean_p > 0, effects.alpha + constant, 0.0)
    return Adjusted(
        levels=shift_of_level * valued,
        alpha=valued,
        effects=effects,
        _p=p,
        _r=r,
        design=design,
        _weights=weights,
    )
