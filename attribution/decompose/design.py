"""The dimensions as dummy variables, and the weighted additive fit on them.

    y_c = mean + sum_d alpha_d(l_d(c)) + e_c        weights p_c, sum_l p_d(l) alpha_d(l) = 0

Where the dummies are aliased (a market that only one queue serves) the solution is the one that
minimises sum_d sum_l p_d(l) alpha_d(l)^2, which splitting or merging levels cannot change
(METHODS.md 2). Aliasing is a matter of which cells are observed, not of their weights, so its
null space is found from the pattern of cells once and needs no tolerance on weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg, sparse

from attribution.gradient import Gradient

__all__ = ["AdditiveFit", "Design", "aliased_levels"]

# Eigenvalues of the pattern's scaled cross-product lie in [0, 1]; those of linked levels are at
# least about 1 / cells, those of aliased ones are rounding.
_NULL = 1e-11

# Entries of the shared factors of a solution that are held at once: 100 MB.
_MOST_SHARED = 8_000_000


@dataclass(frozen=True, eq=False)
class Design:
    """Dummy variables of D dimensions over n cells.

    Attributes
    ----------
    codes : ndarray of int, shape (n, D)
        The level of each cell.
    sizes : tuple of int
        Levels per dimension; q is their sum.
    nested : tuple of (int, int)
        Declared: (dimension, one that each of its levels lies within), all levels of a hierarchy.
    """

    codes: np.ndarray
    sizes: tuple[int, ...]
    nested: tuple[tuple[int, int], ...] = ()

    @cached_property
    def offsets(self) -> np.ndarray:
        """Where each dimension's columns start, shape (D + 1,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(int)

    @property
    def width(self) -> int:
        """The number of dummy variables q."""
        return int(self.offsets[-1])

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """The dummies X, shape (n, q)."""
        n, dimensions = self.codes.shape
        columns = (self.codes + self.offsets[:-1]).ravel()
        start = np.arange(0, n * dimensions + 1, max(dimensions, 1))[: n + 1]
        start = start if dimensions else np.zeros(n + 1, dtype=int)
        return sparse.csr_array((np.ones(n * dimensions), columns, start), shape=(n, self.width))

    def block(self, d: int) -> slice:
        """The columns of dimension `d`."""
        return slice(int(self.offsets[d]), int(self.offsets[d + 1]))

    def only(self, dimensions: Sequence[int]) -> Design:
        """The design of some of the dimensions."""
        if list(dimensions) == list(range(len(self.sizes))):
            return self
        return self.of(self.codes[:, list(dimensions)], dimensions)

    def of(self, codes: np.ndarray, dimensions: Sequence[int]) -> Design:
        """Some of the dimensions over other cells."""
        place = {d: i for i, d in enumerate(dimensions)}
        nested = [(place[a], place[b]) for a, b in self.nested if a in place and b in place]
        return Design(codes, tuple(self.sizes[d] for d in dimensions), tuple(nested))

    def at(self, cells: np.ndarray) -> Design:
        """The design over some of the cells."""
        return Design(self.codes[cells], self.sizes, self.nested)

    @cached_property
    def dimension_totals(self) -> sparse.csr_array:
        """Sums columns to dimensions, shape (D, q)."""
        return sparse.csr_array(
            (np.ones(self.width), (self.of_dimension, np.arange(self.width))),
            shape=(len(self.sizes), self.width),
        )

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """For each dimension, the dimensions that are functions of it.

        Dimensions with a single level are left out: they are functions of everything. Of two that
        are functions of each other, the one declared to lie within the other is the child.

        Examples
        --------
        >>> market_and_region = np.array([[0, 0], [1, 0], [2, 1]])
        >>> Design(market_and_region, (3, 2)).parents
        ((1,), ())
        """
        codes, dimensions = self.codes.T, range(len(self.sizes))
        used = [np.count_nonzero(np.bincount(of)) for of in codes]

        def lies_within(child: int, parent: int) -> bool:
            if child == parent or not 1 < used[parent] <= used[child]:
                return False
            if used[parent] == used[child] and (parent, child) in self.nested:
                return False
            above = np.zeros(self.sizes[child], dtype=codes.dtype)
            above[codes[child]] = codes[parent]
            return bool((above[codes[child]] == codes[parent]).all())

        return tuple(tuple(p for p in dimensions if lies_within(child, p)) for child in dimensions)

    @cached_property
    def innermost(self) -> list[int]:
        """The dimensions that no other one lies within; their dummies span those of all."""
        above = {a for found in self.parents for a in found}
        return [d for d in range(len(self.sizes)) if d not in above]

    @cached_property
    def of_dimension(self) -> np.ndarray:
        """The dimension each column belongs to, shape (q,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


class AdditiveFit:
    """Weighted least squares of cell values on the dummies, with its derivatives.

    Parameters
    ----------
    design : Design
    weights : ndarray, shape (n,)
        Nonnegative; cells of weight 0 are not observed.
    values : ndarray, shape (n,)
        What is fitted; ignored where the weight is 0.

    Attributes
    ----------
    mean : float
        The weighted mean.
    alpha : ndarray, shape (q,)
        The effects, centred per dimension; 0 for levels not observed.
    fitted : ndarray, shape (n,)
        mean + X alpha, for all cells.
    residual : ndarray, shape (n,)
        values - fitted, 0 where not observed.
    """

    def __init__(self, design: Design, weights: np.ndarray, values: np.ndarray) -> None:
        self.design = design
        self.observed: np.ndarray = weights > 0
        self.p: np.ndarray = weights / weights.sum()
        X = design.matrix
        self.margins: np.ndarray = X.T @ self.p
        self.active: np.ndarray = self.margins > 0
        y = np.where(self.observed, values, 0.0)
        self.mean: float = float(self.p @ y)
        self._factor()
        right = X.T @ (self.p * y) - self.margins * self.mean
        self.alpha: np.ndarray = self.solve(right[None, :])[0]
        self.fitted: np.ndarray = self.mean + X @ self.alpha
        self.residual: np.ndarray = np.where(self.observed, y - self.fitted, 0.0)

    # -- the normal equations ----------------------------------------------------------------
    # K0 = X'WX - mm' + sum_d m_d m_d' has diagonal blocks diag(m_d), so the largest dimension is
    # eliminated exactly and cheaply, however many levels it has.

    def _factor(self) -> None:
        design, m = self.design, self.margins
        active = [self.active[design.block(d)] for d in range(len(design.sizes))]
        self._sizes = sizes = [int(np.count_nonzero(x)) for x in active]
        self._big = int(np.argmax(sizes)) if sizes else 0
        # The place of each cell's level among the active ones; cells of others have no weight.
        self._places = [
            np.maximum(np.cumsum(x) - 1, 0)[codes]
            for x, codes in zip(active, design.codes.T, strict=True)
        ]
        ends = np.cumsum([0 if d == self._big else size for d, size in enumerate(sizes)])
        self._rest = [
            (d, slice(int(end) - sizes[d], int(end)))
            for d, end in enumerate(ends)
            if d != self._big
        ]
        in_big = (design.of_dimension == self._big) & self.active
        in_rest = (design.of_dimension != self._big) & self.active
        self._b, self._r = np.flatnonzero(in_big), np.flatnonzero(in_rest)
        self._across, schur = self._blocks(self.p, m)
        self._null_rest = self._pattern_null()
        penalty = self._null_rest @ self._null_rest.T
        scale = np.sqrt(m[self._r])
        scaled = schur / np.outer(scale, scale) + penalty
        self._scale = scale
        # Without a second dimension there is nothing left to factor.
        self._cholesky = linalg.cho_factor(scaled) if len(self._r) else (scaled, False)
        self.null: np.ndarray = self._full_null()
        self._null_gram = self.null.T @ (m[:, None] * self.null)

    def _blocks(self, p: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The block of K0 across the largest dimension and the rest, and the Schur complement.

        Two-dimension margins are all that it needs.
        """
        b, r = self._b, self._r
        inner = np.diag(m[r])
        across = np.zeros((len(b), len(r)))
        for i, (d, at) in enumerate(self._rest):
            across[:, at] = self._pair(self._big, d, p)
            for e, beside in self._rest[i + 1 :]:
                inner[at, beside] = pair = self._pair(d, e, p) - np.outer(m[r[at]], m[r[beside]])
                inner[beside, at] = pair.T
        across -= np.outer(m[b], m[r])
        return across, inner - across.T @ (across / m[b][:, None])

    def _pair(self, d: int, e: int, p: np.ndarray) -> np.ndarray:
        """The weights by the active levels of two dimensions."""
        rows, columns = self._sizes[d], self._sizes[e]
        key = self._places[d] * columns + self._places[e]
        return np.bincount(key, weights=p, minlength=rows * columns)[: rows * columns].reshape(
            rows, columns
        )

    def _pattern_null(self) -> np.ndarray:
        """The aliased directions among the smaller dimensions, orthonormal after scaling."""
        if not len(self._r):
            return np.zeros((0, 0))
        pattern = self.observed / self.observed.sum()
        m = self.design.matrix.T @ pattern
        _, schur = self._blocks(pattern, m)
        scale = np.sqrt(m[self._r])
        values, vectors = linalg.eigh(schur / np.outer(scale, scale))
        null = vectors[:, values < _NULL]
        # From the pattern's scale and centre to those of the weights.
        null = null / scale[:, None]
        of = self.design.of_dimension[self._r]
        for d in np.unique(of):
            null[of == d] -= self.margins[self._r][of == d] @ null[of == d]
        null = null * np.sqrt(self.margins[self._r])[:, None]
        return linalg.orth(null) if null.shape[1] else null

    def _full_null(self) -> np.ndarray:
        """All aliased directions over the q columns, shape (q, nu), centred per dimension."""
        null = np.zeros((self.design.width, self._null_rest.shape[1]))
        if null.shape[1]:
            null[self._r] = self._null_rest / self._scale[:, None]
            null[self._b] = -(self._across @ null[self._r]) / self.margins[self._b][:, None]
            for d in range(len(self.design.sizes)):
                block = self.design.block(d)
                means = self.margins[block] @ null[block]
                null[block] -= np.where(self.active[block][:, None], means, 0.0)
        return null

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve K x = s with N'Px = 0 for each row s (made to lie in the range of K first)."""
        m, b, r = self.margins, self._b, self._r
        s = self._into_range(right)
        x = np.zeros_like(s)
        if len(r):
            reduced = s[:, r] - (s[:, b] / m[b]) @ self._across
            solved = np.asarray(linalg.cho_solve(self._cholesky, (reduced / self._scale).T))
            x[:, r] = solved.T / self._scale
        x[:, b] = (s[:, b] - x[:, r] @ self._across.T) / m[b]
        return self._without_null(x)

    def solved(self, right: Gradient) -> Gradient:
        """Return ``solve(right)`` over the q columns, in as few factors as it has.

        The solution is the margins' own division and a term of low rank (METHODS.md 2):
        ``x = s / m_b + s F core F'`` with F of w = the smaller dimensions' levels, and two columns
        for each dimension and aliased direction. For more lines than that its factors are kept
        apart: no line then takes q slopes.

        Parameters
        ----------
        right : Gradient
            Over the q columns; K lines.
        """
        if right.shape[0] <= self.shared or self.shared == self.design.width:
            return Gradient.of(self.solve(right.toarray()), sparse.eye_array(right.shape[1]))
        F, squares = self._factors
        per_margin = np.zeros(len(self.margins))
        per_margin[self._b] = 1 / self.margins[self._b]
        left, half = right.times(F), len(squares)
        of_U, of_W, of_rest = left[:, :half], left[:, half : 2 * half], left[:, 2 * half :]
        if len(self._r):
            solved = np.asarray(linalg.cho_solve(self._cholesky, (of_rest / self._scale).T))
            of_rest = solved.T / self._scale
        shared = np.hstack([of_U @ squares + of_W, of_U, of_rest])
        return right.through(sparse.diags_array(per_margin).tocsr()) + Gradient.of(shared, F.T)

    @cached_property
    def shared(self) -> int:
        """The columns of F in `solved`; q where they are not far fewer or would fill the memory.

        The margins' own division couples a line to all cells of its level: worth it for a dimension
        of many levels only.
        """
        columns = 2 * (len(self.design.sizes) + self.null.shape[1]) + len(self._r)
        fits = 2 * columns <= self.design.width and columns * len(self.p) <= _MOST_SHARED
        return columns if fits else self.design.width

    @cached_property
    def _factors(self) -> tuple[np.ndarray, np.ndarray]:
        """F = [U, V / m_b, Q] of `solved`, and V'V / m_b; diag(active) + U V' is the projection."""
        m, b = self.margins[:, None], self._b
        own = self.design.dimension_totals.toarray().T * self.active[:, None]
        null = self.null - own @ ((m * own).T @ self.null)
        if null.shape[1]:
            null = linalg.solve(self._null_gram, null.T).T
        U, V = np.hstack([-own, -null]), np.hstack([m * own, m * self.null])
        W = np.zeros_like(V)
        W[b] = V[b] / m[b]
        Q = np.zeros((len(m), len(self._r)))
        Q[self._r, np.arange(len(self._r))] = 1.0
        Q[b] = -self._across / m[b]
        return np.hstack([U, W, Q + U @ (V.T @ Q)]), V.T @ W

    def _totals(self, values: np.ndarray) -> np.ndarray:
        """Sum the columns of each dimension: shape (K, D)."""
        starts = self.design.offsets[:-1]
        if not len(starts):
            return np.zeros((len(values), 0))
        return np.add.reduceat(np.where(self.active, values, 0.0), starts, axis=1)

    def _into_range(self, g: np.ndarray) -> np.ndarray:
        g = np.where(self.active, g, 0.0)
        g = g - self._totals(g)[:, self.design.of_dimension] * self.margins
        if self.null.shape[1]:
            g = (
                g
                - linalg.solve(self._null_gram, (g @ self.null).T).T
                @ (self.null * self.margins[:, None]).T
            )
        return g

    def _without_null(self, x: np.ndarray) -> np.ndarray:
        means = self._totals(x * self.margins)[:, self.design.of_dimension]
        x = np.where(self.active, x - means, 0.0)
        if self.null.shape[1]:
            weighted = x @ (self.null * self.margins[:, None])
            x = x - linalg.solve(self._null_gram, weighted.T).T @ self.null.T
        return x

    # -- what it identifies ------------------------------------------------------------------

    def predicts(self) -> np.ndarray:
        """Which cells the fit determines: their levels are observed, no aliasing is involved."""
        X = self.design.matrix
        seen = X @ (~self.active).astype(float) == 0
        if self.null.shape[1]:
            size = np.abs(self.null).max(axis=0)
            seen &= (np.abs(X @ (self.null / size)) < 1e-8).all(axis=1)
        return seen

    # -- derivatives -------------------------------------------------------------------------

    def pull_alpha(self, g: Gradient) -> tuple[Gradient, Gradient]:
        """Pull gradients in alpha back to the cells.

        Parameters
        ----------
        g : Gradient
            K lines over alpha, (K, q).

        Returns
        -------
        u : Gradient, shape (K, q)
            (u @ X') * p is the gradient in the values, (u @ X') * residual a part of that in p.
        v : Gradient, shape (K, q)
            -(v @ X') is the other part of the gradient in p: the norm's own weights move.
        """
        active = g.through(sparse.diags_array(self.active.astype(float)).tocsr())
        own = self.design.dimension_totals
        along = Gradient.of(active.times(own.toarray().T), own.multiply(self.alpha[None, :]))
        if self.null.shape[1]:
            slopes = linalg.solve(self._null_gram, active.times(self.null).T).T
            along = along + Gradient.of(slopes, self.null.T * self.alpha)
        return self.solved(active), along


def aliased_levels(design: Design, null: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """Return which levels aliased directions tell apart, shape (q,) of bool.

    An aliased direction is constant on levels that are told apart only jointly; in each dimension
    the constant of most volume is the reference, and the other levels are aliased.

    Parameters
    ----------
    design : Design
    null : ndarray, shape (q, nu)
        The directions.
    margins : ndarray, shape (q,)
        Volumes; levels of none are not observed.
    """
    flagged = np.zeros(design.width, dtype=bool)
    if not null.shape[1]:
        return flagged
    pattern = np.round(null / np.abs(null).max(axis=0), 6)
    for d in range(len(design.sizes)):
        block = design.block(d)
        _, group = np.unique(pattern[block], axis=0, return_inverse=True)
        group = np.where(margins[block] > 0, group.ravel(), -1)
        volume = np.bincount(group[group >= 0], weights=margins[block][group >= 0])
        flagged[block] = (group >= 0) & (group != int(np.argmax(volume)))
    return flagged
