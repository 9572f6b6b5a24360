"""Gradients of many lines at once, kept as sums of (small dense) @ (sparse) products.

A line of a bridge depends on every cell, but in a structured way: through its own cells, through
a level's margin, through a total. Kept as factors, thousands of lines over thousands of cells cost
memory and time in proportion to the cells, not to their product.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

__all__ = ["Gradient"]


@dataclass(frozen=True, eq=False)
class Gradient:
    """The gradient of K lines with respect to n variables: ``sum of left @ right``.

    Attributes
    ----------
    terms : tuple of (left, right)
        `left` is an array or sparse matrix of shape (K, r), `right` a sparse matrix (r, n).
    shape : (int, int)
        K and n.
    """

    terms: tuple[tuple, ...]
    shape: tuple[int, int]

    @classmethod
    def of(cls, left, right) -> Gradient:
        """Return the gradient ``left @ right``."""
        right = sparse.csr_array(right)
        return cls(((left, right),), (left.shape[0], right.shape[1]))

    @classmethod
    def zero(cls, lines: int, variables: int) -> Gradient:
        """Return a gradient without terms."""
        return cls((), (lines, variables))

    @classmethod
    def stack(cls, parts: Iterable[Gradient]) -> Gradient:
        """Return the lines of several gradients below each other."""
        parts = list(parts)
        total = sum(p.shape[0] for p in parts)
        terms, start = [], 0
        for part in parts:
            rows = np.arange(start, start + part.shape[0])
            place = sparse.csr_array(
                (np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(total, len(rows))
            )
            terms += [(place @ left, right) for left, right in part.terms]
            start += part.shape[0]
        return cls(tuple(terms), (total, parts[0].shape[1]))

    def __add__(self, other: Gradient) -> Gradient:
        return Gradient(self.terms + other.terms, self.shape)

    def __sub__(self, other: Gradient) -> Gradient:
        return self + other.combine(-np.eye(other.shape[0]))

    def combine(self, weights) -> Gradient:
        """Return the lines ``weights @ lines``; weights of shape (new K, K)."""
        terms = tuple((weights @ left, right) for left, right in self.terms)
        return Gradient(terms, (weights.shape[0], self.shape[1]))

    def through(self, jacobian) -> Gradient:
        """Apply the chain rule: variables are functions of others, `jacobian` of shape (n, new n)."""
        terms = tuple((left, sparse.csr_array(right @ jacobian)) for left, right in self.terms)
        return Gradient(terms, (self.shape[0], jacobian.shape[1]))

    def columns(self, start: int, stop: int) -> Gradient:
        """Return the gradient with respect to a range of variables."""
        terms = tuple((left, right[:, start:stop]) for left, right in self.terms)
        return Gradient(terms, (self.shape[0], stop - start))

    def rows(self, start: int, stop: int) -> Gradient:
        """Return a range of lines."""
        terms = tuple((left[start:stop], right) for left, right in self.terms)
        return Gradient(terms, (min(stop, self.shape[0]) - start, self.shape[1]))

    def toarray(self) -> np.ndarray:
        """Return the gradient as a dense array of shape (K, n)."""
        dense = np.zeros(self.shape)
        for left, right in self.terms:
            product = left @ right
            dense += product.toarray() if sparse.issparse(product) else product
        return dense

    def dot(self, sums) -> np.ndarray:
        """Return ``sums @ gradient.T``, shape (G, K): what each row of `sums` adds to each line."""
        psi = np.zeros((sums.shape[0], self.shape[0]))
        for left, right in self.terms:
            if sparse.issparse(left):
                product = sums @ sparse.csr_array(left @ right).T
            else:
                reduced = sums @ right.T
                dense = reduced.toarray() if sparse.issparse(reduced) else reduced
                product = dense @ left.T
            psi += product.toarray() if sparse.issparse(product) else product
        return psi
