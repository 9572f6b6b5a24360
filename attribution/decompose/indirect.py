"""Indirect standardization: each entity against what the others would have got from its work.

With the leave-one-out reference rate of cell c for entity e

    p_{c,-e} = (N_c - N_ec) / (D_c - D_ec)

an entity's observed and expected sums are

    O_e = sum_c N_ec        E_e = sum_c D_ec p_{c,-e}

over the cells in which others work too. An entity never enters its own yardstick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Indirect", "indirect_standardization"]

# A reference below this part of a cell's denominator is rounding.
_ALONE = 1e-9


@dataclass(frozen=True, eq=False)
class Indirect:
    """K entities against the rest of their cells; m entries, one per entity and cell observed.

    Attributes
    ----------
    entity, cell : ndarray of int, shape (m,)
    D, N : ndarray, shape (m,)
        Denominator and numerator of an entry.
    reference : ndarray, shape (m,)
        p_{c,-e}; 0 where there is no other.
    others : ndarray, shape (m,)
        D_c - D_ec, the denominator of the reference.
    compared : ndarray of bool, shape (m,)
        Whether others work in the cell.
    total : ndarray, shape (K,)
        Denominator of an entity, all its cells.
    volume, observed, expected : ndarray, shape (K,)
        Denominator, O_e and E_e, of the cells with others.
    """

    entity: np.ndarray
    cell: np.ndarray
    D: np.ndarray
    N: np.ndarray
    reference: np.ndarray
    others: np.ndarray
    compared: np.ndarray
    total: np.ndarray
    volume: np.ndarray
    observed: np.ndarray
    expected: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """(O - E) / volume, 0 for an entity without any other in its cells, shape (K,)."""
        excess = self.observed - self.expected
        return np.divide(excess, self.volume, out=np.zeros_like(excess), where=self.volume > 0)

    @property
    def overall(self) -> float:
        """The KPI of all entities together."""
        return float(self.N.sum() / self.D.sum())

    def sum_entities(self, values: np.ndarray) -> np.ndarray:
        """Sum a value per entry over the cells with others of each entity, shape (K,)."""
        return _summed(self.entity, values, self.compared, len(self.volume))

    def rest_of_cell(self, values: np.ndarray) -> np.ndarray:
        """What the others of an entry's cell add up to, for a sum per entry, shape (m,)."""
        return np.bincount(self.cell, values)[self.cell] - values


def indirect_standardization(
    entity: np.ndarray, cell: np.ndarray, D: np.ndarray, N: np.ndarray, entities: int
) -> Indirect:
    """Compare each entity with the rest of its cells.

    Parameters
    ----------
    entity, cell : ndarray of int, shape (m,)
        Codes from 0; each pair at most once.
    D, N : ndarray, shape (m,)
        Denominators, positive, and numerators.
    entities : int
        K.

    Returns
    -------
    Indirect

    References
    ----------
    Breslow, N. E. and Day, N. E. (1987). Statistical Methods in Cancer Research II, ch. 2. IARC.

    Examples
    --------
    Two sites, an easy and a hard queue; the second site is better in both.

    >>> D = np.array([80.0, 20, 20, 80])
    >>> N = np.array([72.0, 12, 19, 56])
    >>> sites, queues = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    >>> found = indirect_standardization(sites, queues, D, N, 2)
    >>> found.observed, found.expected
    (array([84., 75.]), array([90., 66.]))
    >>> found.difference.round(2)
    array([-0.06,  0.09])
    """
    D_c, N_c = np.bincount(cell, D), np.bincount(cell, N)
    # In place where it can be: with millions of entries, it is the memory that takes time.
    others = D_c[cell]
    least = _ALONE * others
    others -= D
    compared = others > least
    reference = N_c[cell]
    reference -= N
    np.divide(reference, others, out=reference, where=compared)
    if not compared.all():
        others[~compared] = reference[~compared] = 0.0

    def summed(values: np.ndarray) -> np.ndarray:
        return _summed(entity, values, compared, entities)

    return Indirect(
        entity=entity,
        cell=cell,
        D=D,
        N=N,
        reference=reference,
        others=others,
        compared=compared,
        total=np.bincount(entity, D, entities),
        volume=summed(D),
        observed=summed(N),
        expected=summed(D * reference),
    )


def _summed(
    entity: np.ndarray, values: np.ndarray, compared: np.ndarray, entities: int
) -> np.ndarray:
    """Sum over the entries of each entity that are compared."""
    if not compared.all():
        values = np.where(compared, values, 0.0)
    return np.bincount(entity, values, entities)
