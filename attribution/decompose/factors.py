"""What each factor of a function contributed: the Shapley value, and the line integral beyond.

A player is what moves as one: a number, a whole array, or one element of it. Both decompositions
take the function of one vector, the vector in both periods, and the player of each element;
`Inputs` is the way there from named numbers and arrays.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from attribution.decompose.coalitions import shapley_weights
from attribution.errors import AttributionError, OptionError, given_instead, listing

__all__ = [
    "MOST_PLAYERS",
    "FactorEffects",
    "Inputs",
    "factor_effects",
    "line_integral",
    "shapley",
    "shapley_value",
    "standardized_values",
]

MOST_PLAYERS = 10  # 1,024 values of the function

# The integral is refined until its error is below this part of the movement (sum |effects|), and
# given up after so many intervals, or so many halvings that brought nothing: the function jumps,
# or is known to fewer digits, as one found by iteration is.
_STEPS = (1, 2, 4, 8)
_TOLERANCE = 1e-9
_MOST_INTERVALS = 200
_MOST_VAIN = 20

VectorFunction = Callable[[np.ndarray], float]


@dataclass(frozen=True, eq=False)
class FactorEffects:
    """The change of a function and what each player did to it.

    Attributes
    ----------
    baseline, current : float
        The function in the two periods.
    effects : ndarray, shape (players,)
        In units of the function.
    standardized : ndarray, shape (players, 2), or None
        The function with only that player at its baseline and its current value, the others
        averaged over both; None for the line integral.
    """

    baseline: float
    current: float
    effects: np.ndarray
    standardized: np.ndarray | None = None

    @property
    def residual(self) -> float:
        """The change less the sum of the effects: rounding, or the error of an integral."""
        return self.current - self.baseline - math.fsum(self.effects)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Named factors in two periods, each a number (an array without axes) or an array.

    Attributes
    ----------
    names : tuple of str
        A name may stand for several factors, where it is used in several places.
    baseline, current : tuple of ndarray
        One per name, of the same shape in both periods.
    """

    names: tuple[str, ...]
    baseline: tuple[np.ndarray, ...]
    current: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, baseline: Mapping[str, np.ndarray], current: Mapping[str, np.ndarray]) -> Inputs:
        """Pair the factors of both periods, in the order of the baseline.

        Parameters
        ----------
        baseline, current : mapping of str to ndarray

        Returns
        -------
        Inputs

        Raises
        ------
        OptionError
            No factors, names or shapes that differ, an empty array, a value that is not finite.

        Examples
        --------
        >>> Inputs.of({"a": np.array(1.0)}, {"b": np.array(2.0)})
        Traceback (most recent call last):
        ...
        attribution.errors.OptionError: current: no value for 'a', which the baseline has. \
Given: 'b'.
        """
        for side, named, other, others in (
            ("current", current, "baseline", baseline),
            ("baseline", baseline, "current", current),
        ):
            if not named:
                raise OptionError(f"{side}: it is empty; name at least one factor.")
            missing = [name for name in others if name not in named]
            if missing:
                raise OptionError(
                    f"{side}: no value for {listing(missing)}, which the {other} has."
                    f"{given_instead(missing[0], [x for x in named if x not in others])} "
                    f"Given: {listing(named)}."
                )
        for name, before in baseline.items():
            after = current[name]
            if before.shape != after.shape:
                raise OptionError(
                    f"current: {name!r} has the shape {after.shape}, at baseline {before.shape}. "
                    "Each factor has one shape in both."
                )
            if not before.size:
                raise OptionError(f"baseline: {name!r} is an empty array.")
            for side, array in (("baseline", before), ("current", after)):
                if not np.isfinite(array).all():
                    bad = array[~np.isfinite(array)]
                    raise OptionError(f"{side}: {name!r} holds {bad[0]}; it must be finite.")
        return cls(tuple(baseline), tuple(baseline.values()), tuple(current[n] for n in baseline))

    def at(self, places: Iterable[int]) -> Inputs:
        """Return the factors at these places, some of them perhaps several times."""
        names, baseline, current = zip(
            *((self.names[i], self.baseline[i], self.current[i]) for i in places), strict=True
        )
        return Inputs(names, baseline, current)

    def point(self, x: np.ndarray) -> list[Any]:
        """Return the factors that a vector holds, numbers and arrays, none of them shared."""
        own = x.copy()  # the user's function may write into its arguments
        return [
            own[start : start + array.size].reshape(array.shape) if array.ndim else own[start]
            for start, array in zip(self._starts, self.baseline, strict=True)
        ]

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(array.size for array in self.baseline)][:-1]

    def player(self, elements: bool) -> np.ndarray:
        """Return the player each element of the vector belongs to: its factor, or itself."""
        sizes = [array.size for array in self.baseline]
        return np.arange(sum(sizes)) if elements else np.repeat(np.arange(len(sizes)), sizes)


def factor_effects(
    value: Callable[[Sequence[Any]], object],
    inputs: Inputs,
    method: str,
    elements: bool = False,
    name: str = "function",
) -> FactorEffects:
    """Decompose the change of a function over its factors, or over their elements.

    Parameters
    ----------
    value : callable
        The factors, in the order of `inputs`, to one number.
    inputs : Inputs
    method : {"shapley", "integral"}
    elements : bool
        Each element of an array is a player.
    name : str
        Of the function, in errors.

    Returns
    -------
    FactorEffects

    Raises
    ------
    OptionError
        The function fails, or does not return one finite number, somewhere between baseline and
        current, or there are too many players for Shapley.

    Examples
    --------
    >>> inputs = Inputs.of(
    ...     {"a": np.array(2.0), "b": np.array(5.0)}, {"a": np.array(3.0), "b": np.array(7.0)}
    ... )
    >>> factor_effects(lambda x: x[0] * x[1], inputs, "shapley").effects
    array([6., 5.])
    """

    def function(x: np.ndarray) -> float:
        point = inputs.point(x)
        try:
            # What is not finite is refused below, in words.
            with np.errstate(all="ignore"):
                found = value(point)
        except AttributionError:
            raise
        except Exception as error:
            said = str(error).strip().rstrip(".")
            raise OptionError(
                f"{name}: it fails at {_shown(inputs.names, point)}: "
                f"{f'{said} ' if said else ''}({type(error).__name__}). It must give one finite "
                "number wherever its factors lie between baseline and current, each on its own."
            ) from error
        return _number(name, found, inputs.names, point)

    solve = {"shapley": shapley, "integral": line_integral}[method]
    baseline, current = (
        np.concatenate([array.ravel() for array in side])
        for side in (inputs.baseline, inputs.current)
    )
    return solve(function, baseline, current, inputs.player(elements))


def _number(name: str, value: object, names: Sequence[str], point: Sequence[Any]) -> float:
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list is no array
        array = np.array(None)
    if array.size != 1 or array.dtype.kind not in "fiub":
        what = f"an array of shape {array.shape}" if array.ndim else f"{value!r:.80}"
        raise OptionError(
            f"{name}: it gives {what}, not one number, at {_shown(names, point)}. "
            "The result over the elements of arrays is often their sum(...)."
        )
    number = float(array.item())
    if not math.isfinite(number):
        raise OptionError(
            f"{name}: it is {number} at {_shown(names, point)}. It must be finite wherever its "
            "factors lie between baseline and current, each on its own."
        )
    return number


def _shown(names: Sequence[str], point: Sequence[Any], most: int = 8) -> str:
    shown = []
    for name, value in zip(names, point, strict=True):
        flat = np.ravel(value)
        text = ", ".join(f"{x:.6g}" for x in flat[:3]) + (", ..." if flat.size > 3 else "")
        shown.append(f"{name} = [{text}]" if np.ndim(value) else f"{name} = {text}")
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def shapley_value(values: np.ndarray) -> np.ndarray:
    """Return the Shapley value of each player of a game.

    ``effect_i = sum over A without i of |A|! (P - 1 - |A|)! / P! [v(A and i) - v(A)]``, which for
    a product or sum of factors is Das Gupta's effect of the factor.

    Parameters
    ----------
    values : ndarray, shape (2, ..., 2)
        One axis per player: index 1 where the player is in the coalition (at its current value),
        0 where it is not (at its baseline value).

    Returns
    -------
    ndarray, shape (P,)
        They add up to ``values[1, ..., 1] - values[0, ..., 0]``.

    References
    ----------
    Shapley 1953; Das Gupta 1993, chapters 2 to 4; Shorrocks 2013.

    Examples
    --------
    Of three gloves only a left and a right one make a pair; the third player holds the left one:

    >>> pairs = np.zeros((2, 2, 2))
    >>> pairs[1, 0, 1] = pairs[0, 1, 1] = pairs[1, 1, 1] = 1
    >>> shapley_value(pairs).round(4)
    array([0.1667, 0.1667, 0.6667])
    """
    return np.diff(standardized_values(values), axis=1)[:, 0]


def standardized_values(values: np.ndarray) -> np.ndarray:
    """Return a game with one player out and in, the others averaged over all coalitions.

    ``S_i(x) = sum over A without i of |A|! (P - 1 - |A|)! / P! v(A, i is x)``: for a product of
    factors Das Gupta's rate standardized to all factors but i. The Shapley value is
    ``S_i(1) - S_i(0)``.

    Parameters
    ----------
    values : ndarray, shape (2, ..., 2)

    Returns
    -------
    ndarray, shape (P, 2)

    Examples
    --------
    >>> standardized_values(np.array([[10.0, 14], [15, 21]]))
    array([[12. , 18. ],
           [12.5, 17.5]])
    """
    P = values.ndim
    size = np.indices((2,) * (P - 1)).sum(axis=0) if P > 1 else np.zeros((), dtype=int)
    weight = shapley_weights(P)[size].ravel()
    return np.array([np.moveaxis(values, i, 0).reshape(2, -1) @ weight for i in range(P)])


def shapley(
    function: VectorFunction, baseline: np.ndarray, current: np.ndarray, player: np.ndarray
) -> FactorEffects:
    """Decompose the change of a function over its players by the Shapley value, exactly.

    Each coalition is a call: its players at their current values, the others at the baseline.

    Parameters
    ----------
    function : callable
        Vector of shape (n,) to float.
    baseline, current : ndarray, shape (n,)
    player : ndarray of int, shape (n,)
        The player each element belongs to, from 0.

    Returns
    -------
    FactorEffects

    Raises
    ------
    OptionError
        More than 10 players.

    References
    ----------
    Das Gupta 1993; Shorrocks 2013.

    Examples
    --------
    A product of two is the midpoint formula:

    >>> found = shapley(np.prod, np.array([2.0, 5.0]), np.array([3.0, 7.0]), np.arange(2))
    >>> found.effects
    array([6., 5.])
    """
    P = int(player.max()) + 1
    if P > MOST_PLAYERS:
        raise OptionError(
            f"method: 'shapley' takes at most {MOST_PLAYERS} factors (2^P values of the function), "
            f"got {P}. Allowed: 'auto', 'integral'."
        )
    values = np.empty((2,) * P)
    for coalition in np.ndindex(values.shape):
        joined = np.array(coalition, dtype=bool)[player]
        values[coalition] = function(np.where(joined, current, baseline))
    ends = float(values.flat[0]), float(values.flat[-1])
    alone = standardized_values(values)
    return FactorEffects(*ends, np.diff(alone, axis=1)[:, 0], alone)


def line_integral(
    function: VectorFunction, baseline: np.ndarray, current: np.ndarray, player: np.ndarray
) -> FactorEffects:
    """Decompose the change of a function over its players along the straight line between periods.

    ``effect_i = integral_0^1 df/dx_i (x_1i - x_0i) dλ`` at ``x = x_0 + λ (x_1 - x_0)``. On a step
    of the line a player is moved from its start to its end while the others wait in the middle;
    one, two, four and eight steps are extrapolated (Romberg), and the interval with the largest
    error is halved until the error is small. The result is exact for polynomials up to degree 8,
    equals the Shapley value where the function is linear in each player, and the effects of
    elements add up to the effect of their array.

    Parameters
    ----------
    function : callable
        Vector of shape (n,) to float.
    baseline, current : ndarray, shape (n,)
    player : ndarray of int, shape (n,)
        The player each element belongs to, from 0.

    Returns
    -------
    FactorEffects
        `residual` holds what could not be attributed, such as a jump of the function.

    References
    ----------
    Horiuchi, Wilmoth & Pletcher 2008; Aumann & Shapley 1974.

    Examples
    --------
    >>> found = line_integral(
    ...     lambda x: x[0] / x[1], np.array([2.0, 1.0]), np.array([4.0, 3.0]), np.arange(2)
    ... )
    >>> found.effects.round(6)
    array([ 1.098612, -1.765279])
    >>> abs(found.residual) < 1e-9
    True
    """
    line = _Line(function, baseline, current, player)
    first = line.interval(0.0, 1.0, function(baseline), function(current))
    least = 1e-15 * len(line.moving) * (abs(first.start) + abs(first.end))
    # The widest errors first; the count breaks ties, since intervals have no order.
    heap, count, vain = [(-first.error, 0, first)], 1, 0
    while count < _MOST_INTERVALS and vain < _MOST_VAIN:
        effects = np.sum([interval.effects for *_, interval in heap], axis=0)
        error = -math.fsum(negative for negative, *_ in heap)
        if error <= max(_TOLERANCE * np.abs(effects).sum(), least):
            break
        _, _, worst = heapq.heappop(heap)
        halves = line.halves(worst)
        vain += sum(half.error for half in halves) > 0.9 * worst.error
        for half in halves:
            heapq.heappush(heap, (-half.error, count, half))
            count += 1
    effects = np.zeros(int(player.max()) + 1)
    effects[line.moving] = np.sum([interval.effects for *_, interval in heap], axis=0)
    return FactorEffects(float(first.start), float(first.end), effects)


@dataclass(frozen=True, eq=False)
class _Interval:
    """Effects of the moving players on a part of the line, and the function at its ends."""

    low: float
    high: float
    start: float
    end: float
    effects: np.ndarray
    error: float


class _Line:
    """The straight line from baseline to current."""

    def __init__(
        self,
        function: VectorFunction,
        baseline: np.ndarray,
        current: np.ndarray,
        player: np.ndarray,
    ) -> None:
        self.function, self.baseline, self.current = function, baseline, current
        moved = baseline != current
        # What did not change has no effect, and needs no call.
        self.moving = np.unique(player[moved])
        self.members = [np.flatnonzero(moved & (player == i)) for i in self.moving]

    def at(self, place: float) -> np.ndarray:
        """The point, exactly the baseline at 0 and the current values at 1."""
        return (1 - place) * self.baseline + place * self.current

    def interval(self, low: float, high: float, start: float, end: float) -> _Interval:
        """Work out the effects between two places."""
        better = coarse = [self.steps(low, high, n) for n in _STEPS]
        for order in range(1, len(_STEPS)):
            coarse = better
            better = [b + (b - a) / (4**order - 1) for a, b in pairwise(coarse)]
        effects = better[0]
        error = np.abs(effects - coarse[-1]).sum() + abs(end - start - effects.sum())
        return _Interval(low, high, start, end, effects, float(error))

    def steps(self, low: float, high: float, n: int) -> np.ndarray:
        """Sum each player's own move over n equal steps."""
        effects = np.zeros(len(self.moving))
        places = np.linspace(low, high, 2 * n + 1)
        for before, middle, after in zip(places[:-2:2], places[1::2], places[2::2], strict=True):
            x, start, end = self.at(middle), self.at(before), self.at(after)
            for i, members in enumerate(self.members):
                waiting = x[members]
                x[members] = end[members]
                effects[i] += self.function(x)
                x[members] = start[members]
                effects[i] -= self.function(x)
                x[members] = waiting
        return effects

    def halves(self, whole: _Interval) -> tuple[_Interval, _Interval]:
        """Work out both halves of an interval."""
        middle = (whole.low + whole.high) / 2
        value = self.function(self.at(middle))
        return (
            self.interval(whole.low, middle, whole.start, value),
            self.interval(middle, whole.high, value, whole.end),
        )
