"""Gradients of many lines at once, kept as sums of (small dense) @ (sparse) products.

A line of a bridge depends on every cell, but in a structured way: through its own cells, through
a level's margin, through a total. Kept as factors, thousands of lines over thousands of cells cost
memory and time in proportion to the cells, not to their product. A few lines are one dense array: a
dozen sparse products each of a few numbers cost more than one of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import matmul
from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["Gradient", "diagonals"]

# Up to this many lines, of so many numbers, a dense product is faster than keeping the structure.
_DENSE_LINES, _DENSE_NUMBERS = 64, 2**21

# A sum of squares below this part of its terms has lost too many digits.
_CANCELLED = 1e-5


@dataclass(frozen=True, eq=False)
class Gradient:
    """The gradient of K lines with respect to n variables: ``sum of left @ right``.

    Attributes
    ----------
    terms : tuple of (left, right)
        `left` is an array or sparse matrix of shape (K, r), `right` a sparse matrix or, where
        the lines are few, an array (r, n).
    shape : (int, int)
        K and n.
    """

    terms: tuple[tuple[Any, Any], ...]
    shape: tuple[int, int]

    @classmethod
    def of(cls, left: Any, right: Any) -> Gradient:
        """Return the gradient ``left @ right``."""
        columns: Any = sparse.csr_array(right)
        return cls(((left, columns),), (left.shape[0], columns.shape[1]))

    @classmethod
    def zero(cls, lines: int, variables: int) -> Gradient:
        """Return a gradient without terms."""
        return cls((), (lines, variables))

    @classmethod
    def stack(cls, parts: Iterable[Gradient]) -> Gradient:
        """Return the lines of several gradients below each other."""
        parts = [p._compact() for p in parts]
        total = sum(p.shape[0] for p in parts)
        terms, start = [], 0
        for part in parts:
            rows = np.arange(start, start + part.shape[0])
            place = sparse.csr_array(
                (np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(total, len(rows))
            )
            own = part.combine(sparse.eye_array(part.shape[0]))
            terms += [(place @ left, right) for left, right in own.terms]
            start += part.shape[0]
        return cls(tuple(terms), (total, parts[0].shape[1]))

    @classmethod
    def beside(cls, first: Gradient, second: Gradient) -> Gradient:
        """Return the gradient over the variables of both, one after the other."""
        n, m = first.shape[1], second.shape[1]
        before = sparse.eye_array(n, n + m, format="csr")
        behind = sparse.eye_array(m, n + m, k=n, format="csr")
        return first.through(before) + second.through(behind)

    def __add__(self, other: Gradient) -> Gradient:
        return Gradient(self.terms + other.terms, self.shape)

    def __neg__(self) -> Gradient:
        return self.combine(-sparse.eye_array(self.shape[0], format="csr"))

    def __sub__(self, other: Gradient) -> Gradient:
        return self + -other

    def combine(self, weights: Any) -> Gradient:
        """Return the lines ``weights @ lines``; weights of shape (new K, K)."""
        if not isinstance(weights, np.ndarray):
            weights = _by_rows(weights)
        K, terms = weights.shape[0], []
        for left, right in self.terms:
            combined = weights @ left
            if right.shape[0] > K:
                # Fewer lines than factors: the product is the smaller form.
                combined, right = sparse.eye_array(K, format="csr"), combined @ right
            terms.append((combined, _by_rows(right)))
        return Gradient(tuple(terms), (K, self.shape[1]))

    def through(self, jacobian: Any) -> Gradient:
        """Apply the chain rule: the variables have the `jacobian`, shape (n, new n), in others."""
        jacobian, here = _by_rows(jacobian), self._compact()
        after = _moved if _each_onto_its_own(jacobian) else matmul
        terms = tuple((left, _by_rows(after(right, jacobian))) for left, right in here.terms)
        return Gradient(terms, (self.shape[0], jacobian.shape[1]))

    def _compact(self) -> Gradient:
        """The same in one dense term, where the lines are few and the terms are not."""
        K, n = self.shape
        if len(self.terms) < 2 or K > _DENSE_LINES or K * n > _DENSE_NUMBERS:
            return self
        return Gradient(((sparse.eye_array(K, format="csr"), self.toarray()),), self.shape)

    def columns(self, start: int, stop: int) -> Gradient:
        """Return the gradient with respect to a range of variables."""
        terms = tuple((left, right[:, start:stop]) for left, right in self.terms)
        return Gradient(terms, (self.shape[0], stop - start))

    def toarray(self) -> np.ndarray:
        """Return the gradient as a dense array of shape (K, n)."""
        dense = np.zeros(self.shape)
        for left, right in self.terms:
            product: Any = left @ right
            dense += product if isinstance(product, np.ndarray) else product.toarray()
        return dense

    def times(self, vector: np.ndarray) -> np.ndarray:
        """Return ``gradient @ vector``, shape (K,), or (K, m) for a matrix of shape (n, m)."""
        product = np.zeros((self.shape[0], *vector.shape[1:]))
        for left, right in self.terms:
            product += left @ (right @ vector)
        return product

    def dot(self, sums: Any) -> np.ndarray:
        """Return ``sums @ gradient.T``, shape (G, K): what each row of `sums` adds to each line."""
        if self.shape[0] <= _DENSE_LINES:
            return sums @ self.toarray().T
        product = np.zeros((sums.shape[0], self.shape[0]))
        for left, right in self.terms:
            if _own(left, right):
                added: Any = sums @ _by_rows(left @ right).T
                product += added.toarray()
            else:
                product += (sums @ right.T) @ left.T
        return product

    def squares(self, sums: Any) -> np.ndarray:
        """Return the column sums of ``dot(sums) ** 2``, shape (K,), without forming it.

        With dot = own + shared @ left.T, own sparse and shared narrow, the sum of squares is
        sum own^2 + 2 own'shared . left + left (shared'shared) left'. With more shared factors than
        lines (the levels of a large dimension) the dots are the smaller form.
        """
        shared_factors = sum(left.shape[1] for left, right in self.terms if not _own(left, right))
        if self.shape[0] <= max(_DENSE_LINES, shared_factors):
            return np.einsum("gk,gk->k", *[self.dot(sums)] * 2)
        own = sparse.csr_array(self.shape)
        lefts, shared = [np.zeros((self.shape[0], 0))], [np.zeros((sums.shape[0], 0))]
        for left, right in self.terms:
            if _own(left, right):
                own = own + _by_rows(left @ right)
            else:
                lefts.append(_dense(left))
                shared.append(_dense(sums @ right.T))
        left, reduced = np.hstack(lefts), np.hstack(shared)
        own_psi = sparse.csr_array(own @ sums.T)
        in_own = np.asarray(own_psi.multiply(own_psi).sum(axis=1)).ravel()
        in_shared = np.einsum("kr,kr->k", left @ (reduced.T @ reduced), left)
        squares = in_own + 2 * np.einsum("kr,kr->k", own_psi @ reduced, left) + in_shared
        # Where the two cancel the sum is rounding, and a variance of 0 must stay 0.
        lost = np.flatnonzero(squares < _CANCELLED * (in_own + in_shared))
        for some in np.array_split(lost, -(-len(lost) // _DENSE_LINES) or 1):
            rows = sparse.eye_array(self.shape[0], format="csr")[some]
            squares[some] = np.einsum("gk,gk->k", *[self.combine(rows).dot(sums)] * 2)
        return squares


def diagonals(*blocks: np.ndarray | None) -> sparse.csr_array:
    """Return diagonal matrices beside each other; None is a block of zeros.

    Parameters
    ----------
    *blocks : ndarray of shape (n,), or None
        At least one array.

    Examples
    --------
    >>> diagonals(np.array([1.0, 2.0]), None, np.array([3.0, 4.0])).toarray()
    array([[1., 0., 0., 0., 3., 0.],
           [0., 2., 0., 0., 0., 4.]])
    """
    # The matrix itself: to put sparse blocks beside each other costs ten times as much.
    held = [(j, x) for j, x in enumerate(blocks) if x is not None]
    n, each = len(held[0][1]), len(held)
    columns = np.array([j * n for j, _ in held]) + np.arange(n)[:, None]
    values = np.stack([x for _, x in held], axis=1).ravel()
    ends = np.arange(0, each * n + 1, each)
    return sparse.csr_array((values, columns.ravel(), ends), shape=(n, len(blocks) * n))


def _own(left: Any, right: Any) -> bool:
    """Whether a term is of the lines' own cells: both factors are sparse."""
    return sparse.issparse(left) and sparse.issparse(right)


def _dense(matrix: Any) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def _each_onto_its_own(jacobian: Any) -> bool:
    """Whether each variable is a multiple of one new one, in the same order: a scale, a place."""
    if isinstance(jacobian, np.ndarray) or len(jacobian.indices) != jacobian.shape[0]:
        return False
    one_each = np.array_equal(jacobian.indptr, np.arange(jacobian.shape[0] + 1))
    return one_each and bool((np.diff(jacobian.indices) > 0).all())


def _moved(right: Any, jacobian: sparse.csr_array) -> Any:
    """``right @ jacobian`` of variables that each become a multiple of one: no product to form."""
    if isinstance(right, np.ndarray):
        return right @ jacobian
    data = right.data * jacobian.data[right.indices]
    moved = (data, jacobian.indices[right.indices], right.indptr)
    return sparse.csr_array(moved, shape=(right.shape[0], jacobian.shape[1]))


def _by_rows(matrix: Any) -> Any:
    """An array as it is, a sparse matrix by rows; to copy a small one costs more than its work."""
    kept = isinstance(matrix, np.ndarray | sparse.csr_array)
    return matrix if kept else sparse.csr_array(matrix)
