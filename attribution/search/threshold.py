"""What the best of all segments reaches by chance alone, from draws of the fitted model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.search.working import Working, in_order

__all__ = ["Chance", "chance"]

_DRAWS = 256
# Of more rows than this half as many draws: their error is still a tenth of a criterion.
_MANY_ROWS = 100_000
_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Chance:
    """The distribution of the best criterion where nothing happened: Gumbel, as for any maximum.

    Attributes
    ----------
    maxima : ndarray, shape (draws,)
    location, scale : float
    """

    maxima: np.ndarray
    location: float
    scale: float

    def threshold(self, alpha: float) -> float:
        """Return what the best criterion exceeds with chance `alpha`."""
        return self.location - self.scale * float(np.log(-np.log1p(-alpha)))

    def p_value(self, criterion: np.ndarray) -> np.ndarray:
        """Return the chance that the best of all segments is at least so good."""
        return -np.expm1(-np.exp(-(criterion - self.location) / self.scale))


def draws(
    work: Working, members: sparse.csr_array, keep: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield scores of segments under the fitted model, shape (kept segments + 1, draws).

    The last row is that of all cells together.
    """
    cell, unit, row = work.strata.cell, work.strata.unit, work.row
    S, R, units = len(work.v), len(cell), len(work.g)
    # What is drawn for rows is given to them in an order of their own.
    place, seat = in_order(work), np.empty(units, dtype=int)
    noise = np.sqrt(row.v)
    entries = (noise.astype(np.float32), (cell, place))
    to_cells = sparse.csr_array(entries, shape=(S, R))
    own = unit >= 0
    pull = np.divide(row.z, row.v, out=np.zeros_like(row.v), where=(row.v > 0) & own)
    entries = ((pull * noise)[own].astype(np.float32), (unit[own], place[own]))
    to_units = sparse.csr_array(entries, shape=(units, R))
    Z = work.z.astype(np.float32)
    sd = np.sqrt(work.drift.unit).astype(np.float32)
    columns = members[keep].astype(np.float32)
    freedom = max(units - 1, 1)
    seat[np.lexsort((work.unit_score.round(6), work.unit_information.round(6)))] = np.arange(units)
    count = _DRAWS // 2 if R > _MANY_ROWS else _DRAWS
    for start in range(0, count, _AT_ONCE):
        b = min(_AT_ONCE, count - start)
        u = rng.standard_normal((R, b), dtype=np.float32)
        scores = to_cells @ u
        if units:
            # With few units the variance of their drift is itself a rough guess.
            rough = np.sqrt(freedom / rng.chisquare(freedom, b)).astype(np.float32)
            moved = sd[:, None] * rough * rng.standard_normal((units, b), dtype=np.float32)[seat]
            summed = to_units @ u + work.unit_information[:, None].astype(np.float32) * moved
            scores = scores + Z @ (moved - work.g[:, None].astype(np.float32) * summed)
        if work.drift.blocks:
            scores = scores.astype(float)
            for block in work.drift.blocks:
                width = int(block.group.max()) + 1
                at = np.sqrt(block.variance) * rng.standard_normal((width, b))
                scores = scores + work.through_units(at[block.group])
            scores = work.without_blocks(scores)
        yield np.vstack([columns @ scores, scores.sum(axis=0)[None, :]])


def chance(
    work: Working,
    members: sparse.csr_array,
    penalty: np.ndarray,
    information: np.ndarray,
    with_all: np.ndarray,
    of_all: float,
    rng: np.random.Generator,
) -> Chance:
    """Draw the best criterion of all segments under the fitted model without causes.

    Parameters
    ----------
    work : Working
    members : csr_array, shape (J, S)
    penalty, information, with_all : ndarray, shape (J,)
        `information` given the effect everywhere; `with_all` is x'M⁻¹1.
    of_all : float
        1'M⁻¹1.
    rng : Generator

    Returns
    -------
    Chance
    """
    keep = information > 0
    slope = (with_all[keep] / of_all).astype(np.float32)[:, None]
    scale = (0.5 / information[keep]).astype(np.float32)[:, None]
    cost = penalty[keep].astype(np.float32)[:, None]
    maxima = []
    for scores in draws(work, members, keep, rng):
        apart = scores[:-1] - slope * scores[-1:]
        maxima.append((apart * apart * scale - cost).max(axis=0))
    found = np.concatenate(maxima).astype(float)
    scale_of = max(np.std(found) * np.sqrt(6) / np.pi, 1e-3)
    return Chance(found, float(found.mean() - np.euler_gamma * scale_of), float(scale_of))
