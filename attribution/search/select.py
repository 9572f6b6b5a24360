"""Which segments carry the change: forward choice, swaps, a backward check, one family-wise gate.

A segment's efficient score given everything chosen before is Z = U / √I; its criterion
Z² / 2 - penalty charges it for the number of segments it was chosen from. The search stops where
the best criterion is within what the best of all segments reaches by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from scipy import linalg, special

from attribution.errors import IdentificationError
from attribution.progress import progress
from attribution.search.drift import Grains, bounded, grain_drift, unit_variance
from attribution.search.hidden import log_evidence
from attribution.search.incidence import Segments
from attribution.search.price import penalties
from attribution.search.strata import Strata
from attribution.search.threshold import Chance, chance
from attribution.search.working import Drift, Meetings, Working, working

__all__ = ["Found", "search"]

# A weak prior on effects, sd 4 on the logit: keeps the effect of a segment without failures finite.
_RIDGE = 1 / 16
_TIE = 1e-6
# Scores are linearized at the last step, which is off by no more than its square.
_SETTLED = 0.01
# While drifts are still moving, effects need not settle further.
_ROUGH = 0.05
# How many segments are tried that the drift of blocks may hide.
_TRIED = 4
_UNMOVED = 0.9
# The standard errors of excess that keep a drift in the model which was evident before.
_STILL = 1.5
# Fisher scoring that has not settled after so many steps goes on with half steps, then gives up.
_WHOLE_STEPS = 8
_MOST_STEPS = 40


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes
    ----------
    chosen : ndarray of int, shape (K,)
        Columns of the segments.
    theta : ndarray, shape (K + 1,)
        Effects; the first is everywhere.
    covariance : ndarray, shape (K + 1, K + 1)
    p_adjusted : ndarray, shape (K,)
        The chance that the best of all segments does as well where nothing happened.
    cutoff : ndarray, shape (K,)
        The size of θ / se from which a cause is named.
    information : ndarray, shape (J,)
        Of every segment beside everywhere, 0 where it is too thin to be judged.
    penalty : ndarray, shape (J,)
    threshold : float
        Of the criterion.
    best : float
        The best criterion where nothing is chosen, -inf where there is no segment.
    drift : Drift
    """

    chosen: np.ndarray
    theta: np.ndarray
    covariance: np.ndarray
    p_adjusted: np.ndarray
    cutoff: np.ndarray
    information: np.ndarray
    penalty: np.ndarray
    threshold: float
    best: float
    drift: Drift


def search(
    strata: Strata,
    segments: Segments,
    grains: Grains | None,
    *,
    cells: int,
    max_causes: int = 8,
    alpha: float = 0.05,
    least_information: float = 4.0,
    bound: bool = True,
    evident: float = 2.5,
    seed: int = 0,
) -> Found:
    """Search for the segments that carry a change.

    Parameters
    ----------
    strata : Strata
    segments : Segments
    grains : Grains, optional
        Where cells may drift together; None: they do not.
    cells : int
        The number S of cells.
    max_causes : int
    alpha : float
        The chance that anything is named where nothing happened.
    least_information : float
        Segments with less are too thin for their scores to be near normal.
    bound : bool
        Whether the influence of a single unit is bounded.
    evident : float
        The standard errors of excess from which cells are taken to drift.
    seed : int

    Returns
    -------
    Found

    Raises
    ------
    IdentificationError
        The effects do not settle.
    """
    model = _Model(
        strata,
        Meetings.of(strata, segments.members),
        np.zeros(len(segments.cuboid)),
        grains,
        cells=cells,
        least=least_information,
        bound=bound,
        evident=evident,
    )
    steps = _steps(model, segments, max_causes, alpha, seed)
    found = None
    for step in progress(steps, total=max_causes + 2, text="causes"):
        found = step
    return cast(Found, found)


def _steps(
    model: _Model, segments: Segments, max_causes: int, alpha: float, seed: int
) -> Iterator[Found | None]:
    """Yield None while there is something left to do, then what was found."""
    state = model.estimated((), Drift(np.zeros(len(model.strata.kind))), np.zeros(1), rounds=3)
    yield None
    information = state.information
    everywhere = state.MX[:, 0]
    with_all, of_all = model.meetings.members @ everywhere, float(everywhere.sum())
    # Beside everywhere the two levels of a dimension are one question, at one price.
    apart = np.where(information > 0, information - with_all**2 / of_all, 0.0)
    apart = np.where(_judged(information, apart), apart, 0.0)
    information = np.where(apart > 0, information, 0.0)
    model = replace(model, penalty=penalties(segments, apart))
    if not (apart > 0).any():
        yield _found(model, state, information, None, alpha, float("-inf"))
        return
    rng = np.random.default_rng(seed)
    members = model.meetings.members
    by_chance = chance(state.work, members, model.penalty, apart, with_all, of_all, rng)
    threshold = by_chance.threshold(alpha)
    best = float(model.criteria(state, threshold)[0].max())
    yield None
    tried: set[frozenset[int]] = set()
    while len(state.chosen) < max_causes:
        criterion, shift = model.criteria(state, threshold)
        j = _pick(criterion, state.theta[0] - shift)
        # What was dropped beside the same others is not taken up again.
        if criterion[j] > threshold and (chosen := frozenset((*state.chosen, j))) not in tried:
            tried.add(chosen)
            longer = model.with_one_more(state, j, rounds=1)
        else:
            longer = _unhidden(model, state, threshold, tried)
        if longer is None:
            break
        state = _backward(model, _swapped(model, longer), threshold)
        yield None
    yield _found(model, state, information, by_chance, alpha, best)


@dataclass(frozen=True, eq=False)
class _State:
    """A model with some causes: their effects, and all that scores need.

    Scores are linearized at `at`, a last small step from `theta`.
    """

    chosen: tuple[int, ...]
    X: np.ndarray
    theta: np.ndarray
    at: np.ndarray
    work: Working
    MX: np.ndarray
    precision: np.ndarray
    residual: np.ndarray
    model: _Model

    @cached_property
    def information(self) -> np.ndarray:
        """Of every segment, 0 where it is too thin to be judged."""
        return self.work.information(self.model.meetings, self.model.least)

    @cached_property
    def at_least(self) -> np.ndarray:
        """What the information of every segment is at least."""
        return self.work.least_information(self.model.meetings)

    @property
    def all_known(self) -> bool:
        """Whether the information of all segments is known, or costs little."""
        return "information" in vars(self) or not self.work.drift.blocks

    def information_of(self, which: np.ndarray) -> np.ndarray:
        """Of the segments that `which` (a mask) selects, at least."""
        if self.all_known:
            return self.information
        return self.work.information(self.model.meetings, self.model.least, which)


@dataclass(frozen=True, eq=False)
class _Model:
    """The rows, all segments they could be explained by, and how their noise is modelled."""

    strata: Strata
    meetings: Meetings
    penalty: np.ndarray
    grains: Grains | None
    cells: int
    least: float
    bound: bool
    evident: float

    def estimated(
        self,
        chosen: tuple[int, ...],
        drift: Drift,
        theta: np.ndarray,
        rounds: int,
        near: Working | None = None,
    ) -> _State:
        """Estimate effects and drifts in turn, each with the other as it is.

        `near` are scores at `theta`, where they are known.
        """
        X = np.ones((self.cells, 1 + len(chosen)))
        if chosen:
            X[:, 1:] = self.meetings.members[list(chosen)].toarray().T
        at = theta
        for _ in range(rounds):
            at, near, step = self._fitted(X, at, drift, near, _ROUGH)
            drift = self._drift(near, len(chosen), drift)
            if np.abs(step).max() >= _SETTLED:
                at, near = at + step, None
        at, work, step = self._fitted(X, at, drift, near, _SETTLED)
        MX = work.times(X)
        return _State(
            chosen,
            X,
            at + step,
            at,
            work,
            MX,
            X.T @ MX + np.diag(_ridge(X.shape[1])),
            work.u - MX @ step,
            self,
        )

    def _fitted(
        self,
        X: np.ndarray,
        theta: np.ndarray,
        drift: Drift,
        near: Working | None,
        settled: float,
    ) -> tuple[np.ndarray, Working, np.ndarray]:
        """Fisher scoring: effects, the scores there, and the last step, yet to be taken."""
        ridge = _ridge(X.shape[1])
        for taken in range(_MOST_STEPS):
            if near is not None and near.drift is drift:
                work = near
            else:
                scores = self.strata.scores(X @ theta) if near is None else near.plain
                work = working(self.strata, scores, drift, self.cells)
            information = X.T @ work.times(X) + np.diag(ridge)
            step = linalg.solve(information, X.T @ work.u - ridge * theta, assume_a="pos")
            if np.abs(step).max() < settled:
                return theta, work, step
            theta = theta + np.clip(step, -2, 2) * (1.0 if taken < _WHOLE_STEPS else 0.5)
            near = None
        raise IdentificationError(
            f"causes: the effects of {X.shape[1] - 1} segments and of everywhere did not settle in "
            f"{_MOST_STEPS} steps, so none of them can be trusted. Search a lower max_order, or "
            "fewer dimensions, or merge thin levels."
        )

    def _drift(self, work: Working, causes: int, before: Drift) -> Drift:
        kind = self.strata.kind
        variance = np.zeros(len(kind))
        for which in (0, 1):
            own = kind == which
            if own.any():
                scores = work.unit_score[own], work.unit_information[own]
                variance[own] = unit_variance(*scores, fitted=1 + causes)
                # A wild day or person of one period is part of what the period was like.
                if self.bound and which == 0:
                    variance[own] = bounded(variance[own], *scores)
        if self.grains is None:
            return Drift(variance)
        alone = working(self.strata, work.plain, Drift(variance), self.cells)
        known = before.row or before.cell or before.blocks
        evident = min(_STILL, self.evident) if known else self.evident
        return grain_drift(alone, self.grains, evident, causes) or Drift(variance)

    def with_one_more(self, state: _State, j: int, rounds: int) -> _State:
        """Return the model with one more segment."""
        at = np.append(state.at, 0.0)
        return self.estimated((*state.chosen, j), state.work.drift, at, rounds, state.work)

    def criteria(
        self, state: _State, floor: float | None, without: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return each segment's criterion given the chosen ones, and how far it would move
        everywhere; `without` leaves the effect of one of them out.

        What drift of blocks leaves of a segment's information is dear to work out. It is done for
        the chosen, and for those that may reach `floor` (None: what the one left out reaches) with
        the least it could be; the criterion of the others is -inf.
        """
        keep = np.arange(state.X.shape[1]) != without
        residual = state.residual
        if without is not None:
            residual = residual + state.MX[:, without] * state.theta[without]
        X, MX = state.X[:, keep], state.MX[:, keep]
        crossed = self.meetings.members @ MX
        slope = crossed @ linalg.inv(state.precision[np.ix_(keep, keep)])
        U = self.meetings.members @ residual - slope @ (X.T @ residual)
        spent = np.einsum("jk,jk->j", slope, crossed)
        causes = int(keep.sum())

        def judged(which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            information = state.information_of(which)
            left = information - spent
            there = which & _judged(information, left)
            Z2 = np.divide(U**2, left, out=np.zeros_like(U), where=there)
            Z2 = self.as_normal(np.sqrt(Z2), causes) ** 2
            shift = np.divide(U, left, out=np.zeros_like(U), where=there) * slope[:, 0]
            return np.where(there, Z2 / 2 - self.penalty, -np.inf), shift

        if state.all_known:
            return judged(np.ones(len(U), dtype=bool))
        which = np.zeros(len(U), dtype=bool)
        which[list(state.chosen)] = True
        if floor is None:
            floor = float(judged(which)[0][state.chosen[cast(int, without) - 1]])
        if floor < np.inf:
            left = state.at_least - spent
            # A hair lower, for segments that fit alike.
            needed = 2 * (floor - _TIE * (1 + abs(floor)) + self.penalty)
            which |= (left <= 0) | (needed * left <= U**2)
        return judged(which)

    def _freedom(self, causes: int) -> float:
        """From how many degrees of freedom the drift of cells is told; infinite for many cells."""
        return np.inf if self.grains is None else max(self.grains.freedom - causes, 1.0)

    def as_normal(self, z: np.ndarray, causes: int) -> np.ndarray:
        """Return the normal deviate as rare as z is where the drift of few cells is estimated.

        Their noise is told from a handful of degrees of freedom, so z has a t distribution.
        """
        freedom = self._freedom(causes)
        if not np.isfinite(freedom):
            return z
        return -special.ndtri(special.stdtr(freedom, -np.abs(z)))

    def least_z(self, normal: np.ndarray, causes: int) -> np.ndarray:
        """Return the z that is as rare as a normal deviate; the inverse of `as_normal`."""
        freedom = self._freedom(causes)
        if not np.isfinite(freedom):
            return normal
        return -special.stdtrit(freedom, special.ndtr(-normal))


def _judged(information: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Whether enough of a segment's information is its own, beside what is in the model."""
    return (information > 0) & (left > 0.02 * information) & (left > 1.0)


def _ridge(effects: int) -> np.ndarray:
    ridge = np.full(effects, _RIDGE)
    ridge[0] = _RIDGE / 16
    return ridge


def _pick(criterion: np.ndarray, everywhere: np.ndarray) -> int:
    """The best segment; of two that fit alike (the two levels of a dimension) the one that leaves
    less to everywhere.
    """
    best = criterion.max()
    ties = np.flatnonzero(criterion >= best - _TIE * (1 + abs(best)))
    return int(ties[np.argmin(np.abs(everywhere[ties]))])


def _unhidden(
    model: _Model, state: _State, threshold: float, tried: set[frozenset[int]]
) -> _State | None:
    """Return a model with more segments that only the drift of blocks had hidden.

    Causes that are not in the model yet pass for drift of all blocks like them, and so large a
    drift hides them. What would stand out without blocks is added, one after the other, until the
    model with what drift is then left explains the scores better than the one without them, by more
    than the choice of those segments costs.
    """
    drift = state.work.drift
    if not drift.blocks:
        return None
    plain = replace(drift, blocks=())
    bare = model.estimated(state.chosen, plain, state.at, rounds=0, near=state.work)
    cost = 0.0
    for _ in range(_TRIED):
        criterion, shift = model.criteria(bare, threshold)
        j = _pick(criterion, bare.theta[0] - shift)
        if criterion[j] <= threshold:
            break
        cost += model.penalty[j] + threshold
        bare = model.with_one_more(bare, j, rounds=0)
        chosen = frozenset(bare.chosen)
        if chosen in tried:
            continue
        tried.add(chosen)
        longer = model.estimated(bare.chosen, drift, bare.at, rounds=2, near=bare.work)
        before, after = state.X @ state.theta, longer.X @ longer.theta
        scores = model.strata.scores(after)
        work = working(model.strata, scores, plain, model.cells)
        own = log_evidence(work, 0 * after, longer.work.drift.blocks)[0]
        # Drift is told from winsorized squares; without the causes it may need to be larger.
        without = log_evidence(work, after - before, drift.blocks, widened=(1, 2, 4))
        # What leaves the drift as it was did not pass for it, and neither does what comes next.
        left = longer.work.drift.of_blocks / drift.of_blocks
        if own - without[0] < cost and left > _UNMOVED:
            break
        if own - without.max() > cost and _all_pass(model, longer, threshold):
            return longer
    return None


def _own_criteria(model: _Model, state: _State) -> list[float]:
    """The criterion of each chosen segment given the others."""
    return [
        float(model.criteria(state, np.inf, without=i + 1)[0][j])
        for i, j in enumerate(state.chosen)
    ]


def _all_pass(model: _Model, state: _State, threshold: float) -> bool:
    return min(_own_criteria(model, state)) > threshold


def _swapped(model: _Model, state: _State) -> _State:
    """Choose every segment again given the others, until nothing changes."""
    for _ in range(4):
        before = state.chosen
        for i in range(len(before)):
            criterion, shift = model.criteria(state, None, without=i + 1)
            others = [j for k, j in enumerate(state.chosen) if k != i]
            criterion[others] = -np.inf
            j, now = _pick(criterion, state.theta[0] - shift), state.chosen[i]
            if j != now and criterion[j] > criterion[now] + 1e-3:
                chosen = (*state.chosen[:i], j, *state.chosen[i + 1 :])
                theta = np.where(np.arange(len(state.theta)) == i + 1, 0.0, state.theta)
                other = model.estimated(chosen, state.work.drift, theta, rounds=1)
                # It has to be better with the drift that is left beside it, too.
                if model.criteria(other, np.inf, without=i + 1)[0][j] > criterion[now]:
                    state = other
        if state.chosen == before:
            break
    return state


def _backward(model: _Model, state: _State, threshold: float) -> _State:
    """Drop segments that would not be named given the others."""
    while len(state.chosen) > 1:
        own = _own_criteria(model, state)
        weakest = int(np.argmin(own))
        if own[weakest] > threshold:
            break
        chosen = tuple(j for i, j in enumerate(state.chosen) if i != weakest)
        theta = np.delete(state.theta, weakest + 1)
        state = model.estimated(chosen, state.work.drift, theta, rounds=1)
    return state


def _found(
    model: _Model, state: _State, null, by_chance: Chance | None, alpha, best: float
) -> Found:
    chosen, covariance = np.array(state.chosen, dtype=int), linalg.inv(state.precision)
    cost = model.penalty[chosen]
    se = np.sqrt(np.diag(covariance))[1:]
    threshold = float("inf") if by_chance is None else by_chance.threshold(alpha)
    z = model.as_normal(state.theta[1:] / se, len(chosen))
    criterion = z**2 / 2 - cost
    return Found(
        chosen=chosen,
        theta=state.theta,
        covariance=covariance,
        p_adjusted=np.zeros(0) if by_chance is None else by_chance.p_value(criterion),
        cutoff=model.least_z(np.sqrt(2 * np.maximum(threshold + cost, 0.0)), len(chosen)),
        information=null,
        penalty=model.penalty,
        threshold=threshold,
        best=best,
        drift=state.work.drift,
    )
