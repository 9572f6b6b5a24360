"""Levels that were probably renamed, split or merged: changes of coding that look like mix.

Merged into one level, they would have about the same share, rate and work in both periods. What
fits several ways is not guessed at.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from attribution.cube import Cube
from attribution.formatting import Format

__all__ = ["Recoding", "recodings"]

# Shares may differ by this part of what moved, rates by these parts of the spread between cells
# and of themselves, or by two standard errors up to half the spread; the work by this distance, of
# few rows more.
_OF_SHARE, _OF_SPREAD, _OF_RATE, _AT_MOST = 0.2, 0.25, 0.02, 0.5
_OF_WORK, _OF_WORK_OF_FEW = 0.3, 0.55
# A level that stays must have moved by this factor, and much more than levels do here, to have been
# split or merged into.
_MOVED, _TIMES_USUAL = 1.25, 3.0
# An explanation must be better than any other of the same levels by this much (each of the three
# differences counts for at most 1); a level more than two costs something, and so does one that
# stayed.
_BETTER, _PER_LEVEL = 0.5, 0.3
# Levels that came, went or moved are searched from the largest on.
_MOST_LEVELS = 12


@dataclass(frozen=True)
class Recoding:
    """Levels of one dimension that were probably one in the baseline or are one in the current.

    Attributes
    ----------
    dimension : str
    old, new : tuple of str
        The levels that held the work in the baseline and in the current period; a level that
        stayed is in both.
    share, rate : (float, float)
        Of all of them in the two periods.
    clear : bool
        False: several old and several new levels fit together, which to which is not told.
    """

    dimension: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    share: tuple[float, float]
    rate: tuple[float, float]
    clear: bool = True

    @property
    def kind(self) -> str:
        """What happened: "rename", "split" or "merge"."""
        if len(self.old) == len(self.new) == 1:
            return "rename"
        return "split" if len(self.new) > len(self.old) else "merge"

    @property
    def mapping(self) -> dict[str, dict[str, str]]:
        """The mapping that makes them one level: of a split the old name, else the new one."""
        (into,) = self.old if self.kind == "split" else self.new
        others = self.new if self.kind == "split" else self.old
        return {self.dimension: {level: into for level in others if level != into}}

    @property
    def facts(self) -> dict[str, Any]:
        """What was found, one level as such and several as a list."""
        old, new = (side[0] if len(side) == 1 else list(side) for side in (self.old, self.new))
        facts = {"dimension": self.dimension, "old": old, "new": new}
        facts |= {"share_baseline": self.share[0], "share_current": self.share[1]}
        facts |= {"rate_baseline": self.rate[0], "rate_current": self.rate[1]}
        return facts | ({"mapping": self.mapping} if self.clear else {})

    def describe(self, format: Format) -> str:
        """Say it in a sentence, with the mapping to paste."""
        stayed = [x for x in self.old if x in self.new]
        verbs = ("had", "have") if stayed else ("left with", "entered with")
        (old, a), (new, b) = (
            (
                " and ".join(repr(x) for x in side),
                f"{verb} {100 * share:.1f} % of the volume at {format.level(rate)}"
                + " together" * (len(side) > 1),
            )
            for side, verb, share, rate in zip(
                (self.old, self.new), verbs, self.share, self.rate, strict=True
            )
        )
        said = f"{self.dimension}: {old} {a} and {new} {b}"
        if not self.clear:
            return (
                f"{said}: probably a new coding. Shares and rates do not tell which became which; "
                f"if you know it, say so: mapping={{{self.dimension!r}: {{{self.old[0]!r}: ...}}}}."
            )
        words = {"rename": "renamed", "split": "split", "merge": "merged"}
        done = (
            f"split off from {stayed[0]!r}" if stayed and self.kind == "split" else words[self.kind]
        )
        return f"{said}. If it was {done}: mapping={self.mapping!r}."


def recodings(
    cube: Cube,
    volume: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    n: np.ndarray,
    std_errors: Callable[[int], np.ndarray],
) -> list[Recoding]:
    """Find the levels that were probably re-coded.

    Parameters
    ----------
    cube : Cube
        Of two periods.
    volume, D, N, n : ndarray, shape (2, S)
        Full counts or denominators, denominators, numerators, rows.
    std_errors : callable
        The standard errors of the observed rates of a dimension's levels, shape (2, levels).

    Returns
    -------
    list of Recoding
    """
    found = []
    for d in range(len(cube.dimensions)):
        share = _margins(volume, cube.codes[:, d], len(cube.levels[d]))
        if ((share > 0).any(axis=0) & ~(share > 0).all(axis=0)).any():
            found += _of_dimension(_Candidates(cube, d, volume, D, N, n, std_errors(d)))
    return found


def _margins(values: np.ndarray, code: np.ndarray, levels: int) -> np.ndarray:
    """Sum cells to levels, shape (2, levels)."""
    return np.stack([np.bincount(code, row, levels) for row in values])


class _Candidates:
    """Sets of levels of one dimension, and how far each is from being one level throughout."""

    def __init__(
        self,
        cube: Cube,
        d: int,
        volume: np.ndarray,
        D: np.ndarray,
        N: np.ndarray,
        n: np.ndarray,
        std_error: np.ndarray,
    ) -> None:
        self.cube, self.d, self.volume, self.n = cube, d, volume, n
        code, levels = cube.codes[:, d], len(cube.levels[d])
        self.D, self.N = _margins(D, code, levels), _margins(N, code, levels)
        self.share = _margins(volume, code, levels) / volume.sum(axis=1)[:, None]
        self.std_error = np.nan_to_num(std_error)
        self.spread = _spread(D, N)
        there = self.share > 0
        self.gone = _largest(there[0] & ~there[1], self.share[0])
        self.new = _largest(there[1] & ~there[0], self.share[1])
        stayed = np.flatnonzero(there.all(axis=0))
        self.stayed = stayed[np.argsort(-self.share[:, stayed].sum(axis=0), kind="stable")]

    def sets(self) -> Iterator[tuple[int, ...]]:
        """One level that became one or two others, or that one or two others became."""
        growth = np.log(self.share[1, self.stayed] / self.share[0, self.stayed])
        usual = _TIMES_USUAL * float(np.median(np.abs(growth))) if len(growth) else 0.0
        least = max(np.log(_MOVED), usual)
        fell = self.stayed[growth < -least][:_MOST_LEVELS].tolist()
        grew = self.stayed[growth > least][:_MOST_LEVELS].tolist()
        for ones, others in (((*self.gone, *fell), self.new), ((*self.new, *grew), self.gone)):
            for one in ones:
                for count in (1, 2):
                    for more in itertools.combinations(others, count):
                        yield tuple(sorted(map(int, (one, *more))))

    def distance(self, levels: tuple[int, ...]) -> float:
        """How unlike the levels are in the two periods, taken together; infinite if too much."""
        of = list(levels)
        share, D = self.share[:, of], self.D[:, of]
        if not (D.sum(axis=1) > 0).all():
            return np.inf
        moved = np.where((share > 0).all(axis=0), 0.0, share).sum(axis=1).max()
        apart = [abs(share[1].sum() - share[0].sum()) / (_OF_SHARE * moved)]
        if apart[0] > 1:  # nearly all sets, and the cheapest to see
            return np.inf
        rates, tolerance = self.rates(of)
        apart += [abs(rates[1] - rates[0]) / tolerance if rates[1] != rates[0] else 0.0]
        apart += [self._work(of)]
        if max(apart) > 1:
            return np.inf
        stayed = len(set(of) & set(self.stayed))
        return sum(apart) + _PER_LEVEL * (len(of) - 2 + stayed) - self._like_names(of)

    def rates(self, of: list[int]) -> tuple[np.ndarray, float]:
        """The rates of the levels together, and by how much they may differ."""
        weight = self.D[:, of] / self.D[:, of].sum(axis=1)[:, None]
        rates = self.N[:, of].sum(axis=1) / self.D[:, of].sum(axis=1)
        noise = 2 * float(np.sqrt(((weight * self.std_error[:, of]) ** 2).sum()))
        tolerance = max(_OF_SPREAD * self.spread, _OF_RATE * abs(rates[0]))
        return rates, max(tolerance, min(noise, _AT_MOST * self.spread))

    def _work(self, of: list[int]) -> float:
        """How far the work of the levels lies apart in other dimensions, 1 being the limit."""
        code, kept = self.cube.codes[:, self.d], [x for x in of if x in self.stayed]
        together = self._apart(self.volume * np.isin(code, of))
        if not kept:
            return together
        # What was split off or merged must be like what stayed, and not just small beside it.
        rest = [x for x in of if x not in kept]
        t = int((self.share[1, rest] > 0).all())
        sides = [np.isin(code, rest if side == t else kept) for side in (0, 1)]
        return max(together, self._apart(self.volume * np.stack(sides)))

    def _apart(self, volume: np.ndarray) -> float:
        rows = np.maximum((self.n * (volume > 0)).sum(axis=1), 1.0)
        furthest = 0.0
        for e, levels in enumerate(self.cube.levels):
            if e == self.d:
                continue
            margins = _margins(volume, self.cube.codes[:, e], len(levels))
            margins /= margins.sum(axis=1)[:, None]
            everywhere = _margins(self.volume, self.cube.codes[:, e], len(levels))
            both = (everywhere > 0).all(axis=0)
            if margins[:, both].sum(axis=1).min() < 0.5:
                continue  # That dimension was re-coded too.
            used = int((margins > 0).any(axis=0).sum())
            # The distance of two samples from the same work is about 0.4 sqrt(levels (1/n + 1/m)).
            noise = 0.5 * np.sqrt(used * (1 / rows).sum())
            limit = min(_OF_WORK + noise, _OF_WORK_OF_FEW)
            furthest = max(furthest, float(np.abs(margins[1] - margins[0]).sum() / 2 / limit))
        return furthest

    def _like_names(self, of: list[int]) -> float:
        a, b = (self.cube.levels[self.d][x].casefold() for x in of[:2])
        return 2 * difflib.SequenceMatcher(None, a, b).ratio() if len(of) == 2 else 0.0

    def named(self, levels: tuple[int, ...], clear: bool = True) -> Recoding:
        """The finding that these levels are."""
        of = list(levels)
        sides = [tuple(self.cube.levels[self.d][x] for x in of if s[x] > 0) for s in self.share]
        share, (rates, _) = self.share[:, of].sum(axis=1), self.rates(of)
        return Recoding(
            self.cube.dimensions[self.d],
            *sides,
            share=(float(share[0]), float(share[1])),
            rate=(float(rates[0]), float(rates[1])),
            clear=clear,
        )


def _largest(levels: np.ndarray, share: np.ndarray) -> list[int]:
    found = np.flatnonzero(levels)
    return found[np.argsort(-share[found], kind="stable")][:_MOST_LEVELS].tolist()


def _spread(D: np.ndarray, N: np.ndarray) -> float:
    """The standard deviation of rates between cells, weighted by volume."""
    seen = D > 0
    r = np.divide(N, D, out=np.zeros_like(N), where=seen)
    mean = np.average(r[seen], weights=D[seen])
    return float(np.sqrt(np.average((r[seen] - mean) ** 2, weights=D[seen])))


def _contradict(a: set[int], b: set[int]) -> bool:
    """Whether two sets share a level and neither is part of the other."""
    return bool(a & b) and not a <= b and not b <= a


def _of_dimension(candidates: _Candidates) -> list[Recoding]:
    """The best explanations, each level in one; those that contradict each other are unclear."""
    distance = {levels: candidates.distance(levels) for levels in set(candidates.sets())}
    left = sorted((x, levels) for levels, x in distance.items() if np.isfinite(x))
    clear, unclear = [], set()
    while left:
        best, levels = left[0]
        rivals = [
            other
            for x, other in left[1:]
            if x < best + _BETTER and _contradict(set(levels), set(other))
        ]
        used = set(levels).union(*rivals)
        if rivals:
            unclear |= used
        else:
            clear.append(levels)
        left = [(x, other) for x, other in left if not used & set(other)]
    explained = set(itertools.chain.from_iterable(clear))
    moved = {*candidates.gone, *candidates.new}
    for group in (tuple(sorted(moved - explained)), tuple(sorted(unclear & moved))):
        several = all(len(set(side) & set(group)) > 1 for side in (candidates.gone, candidates.new))
        if several and np.isfinite(candidates.distance(group)):
            return [*map(candidates.named, sorted(clear)), candidates.named(group, clear=False)]
    return [candidates.named(levels) for levels in sorted(clear)]
