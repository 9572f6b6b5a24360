"""What a cube must be before two of its periods are decomposed: denominators, sizes, levels."""

from __future__ import annotations

import numpy as np

from attribution.cube import Cube
from attribution.decompose import Design, identical, staying
from attribution.errors import (
    DataContractError,
    IdentificationError,
    OptionError,
    PeriodError,
    listing,
)
from attribution.evidence import Options
from attribution.metrics import Metric, Ratio, is_ratio

__all__ = ["design_of", "prepared"]

_MOST_OF_ONE, _MOST_OF_OTHERS = 20_000, 3_400


def prepared(cube: Cube, metric: Metric, options: Options) -> Cube:
    """Return a cube of the segments that a KPI has, or say why it cannot be decomposed.

    Parameters
    ----------
    cube : Cube
        Of two periods.
    metric : Metric
    options : Options

    Returns
    -------
    Cube

    Raises
    ------
    PeriodError
        A sum that the KPI divides by is 0 in a period.
    DataContractError
        A numerator without a denominator, or counted levels that were never sampled.
    IdentificationError
        No segment exists in both periods, or two dimensions are identical.
    OptionError
        Too many levels, or counted segments without any observed rate.
    """
    cube = _observed(cube, metric)
    _check_size(cube)
    D, design = cube.metric_sums(metric, "denominator"), design_of(cube)
    _check_identified(cube, D if cube.volume is None else cube.volume, design)
    _check_sampled(cube, D, design, options)
    return cube


def design_of(cube: Cube) -> Design:
    """Return the segments of a cube as dummies of its dimensions.

    Parameters
    ----------
    cube : Cube

    Returns
    -------
    Design
    """
    return Design(cube.codes, tuple(len(levels) for levels in cube.levels), cube.nested)


def _check_sampled(cube: Cube, D: np.ndarray, design: Design, options: Options) -> None:
    """Refuse levels that are counted and were never sampled: they have no rate."""
    if cube.volume is None:
        return
    sampled = design.matrix.T @ D.sum(axis=0)
    counted = (design.matrix.T @ cube.volume.T) / cube.volume.sum(axis=1)
    without = np.flatnonzero((sampled <= 0) & (counted.max(axis=1) > 0))
    if len(without):
        named = [
            f"{cube.dimensions[d]} {cube.levels[d][i - design.offsets[d]]} "
            f"({100 * counted[i].max():.2g} %)"
            for i, d in zip(without, design.of_dimension[without], strict=True)
        ]
        raise DataContractError(
            f"volume: {len(named):,} levels are counted and were never sampled, so they have no "
            f"rate: {listing(named, most=6)}. Merge them with others (mapping=...) or leave them "
            "out of the counts.",
            [{"level": name, "problem": "never sampled"} for name in named],
        )
    never = int((D <= 0).all(axis=0).sum())
    if options.rates == "saturated" and never:
        raise OptionError(
            f"rates: {never:,} counted segments were never sampled and have no observed rate. "
            "Use rates='additive' (or 'auto')."
        )


def _observed(cube: Cube, metric: Metric) -> Cube:
    """Check the denominators and drop segments without any."""
    moments = metric.moments(cube.weighted)
    D = cube.metric_sums(metric, "denominator")
    for t, parameter in enumerate(("baseline", "current")):
        for role, what in _needed(metric):
            if not cube.metric_sums(metric, role)[t].sum() > 0:
                text = " * ".join(moments[role].factors) or "rows"
                raise PeriodError(
                    f"{parameter}: the {what} {text!r} of {metric.label!r} is 0 in "
                    f"{cube.periods[t]!r}."
                )
    above = [r for r in moments if r == "numerator" or (r.startswith("sum") and "_" not in r)]
    held = np.stack([cube.metric_sums(metric, role) for role in above])
    stray = (D == 0) & (held != 0).any(axis=0)
    if stray.any():
        found = [
            {
                "period": cube.periods[t],
                "segment": cube.segment_name(c),
                "numerator": held[:, t, c][held[:, t, c] != 0][0],
            }
            for t, c in np.argwhere(stray)
        ]
        named = [f"{f['segment']} in {f['period']}" for f in found]
        raise DataContractError(
            f"data: {len(found):,} segment{'s' * (len(found) > 1)} with a numerator and no "
            f"denominator: {listing(named, most=8)}. A rate needs both.",
            found,
        )
    there = D if cube.volume is None else cube.volume
    return cube.keep_segments(np.asarray((there > 0).any(axis=0)))


def _needed(metric: Metric) -> list[tuple[str, str]]:
    """The sums that may not be 0 in a period, and what they are called."""
    if is_ratio(metric):
        return [("denominator", "denominator")]
    of_ratio = [("sum2", "denominator")] if isinstance(metric, Ratio) else []
    return [("denominator", "volume"), *of_ratio]


def _check_size(cube: Cube) -> None:
    """Refuse what would fill the memory: the square of all levels but the largest dimension's."""
    counts = {d: len(levels) for d, levels in zip(cube.dimensions, cube.levels, strict=True)}
    most = max(counts.values(), default=0)
    if most > _MOST_OF_ONE or sum(counts.values()) - most > _MOST_OF_OTHERS:
        named = max(counts, key=counts.__getitem__)
        raise OptionError(
            f"by: {named!r} has {counts[named]:,} levels, all dimensions {sum(counts.values()):,}; "
            f"one may have {_MOST_OF_ONE:,} and the others {_MOST_OF_OTHERS:,} together. Leave it "
            "out, merge its levels (mapping=...), or pass it as cluster if it says who did the "
            "work."
        )


def _check_identified(cube: Cube, D: np.ndarray, design: Design) -> None:
    """Refuse total renames and identical dimensions, by name."""
    exists, stayed = staying(D, design)
    empty = [t for t in (0, 1) if not D[t][stayed].sum() > 0]
    if empty:
        moved = []
        for d, name in enumerate(cube.dimensions):
            both = np.asarray(exists[:, design.block(d)].all(axis=0))
            held = both[cube.codes[:, d]]
            moved.append((min(D[t][held].sum() / D[t].sum() for t in (0, 1)), d, name))
        _, d, name = min(moved)
        sides = [
            [cube.levels[d][i] for i in np.flatnonzero(exists[t, design.block(d)])] for t in (0, 1)
        ]
        old, new = ([x for x in side if x not in other] for side, other in (sides, sides[::-1]))
        raise IdentificationError(
            f"by: no segment exists in both periods; the levels of {name!r} changed: "
            f"{listing(old, most=6)} in {cube.periods[0]}, {listing(new, most=6)} in "
            f"{cube.periods[1]}. If they were renamed, say so: mapping={{{name!r}: "
            f"{{{old[0]!r}: {new[0]!r}, ...}}}}; else leave {name!r} out of by."
        )
    if pair := identical(design.at(stayed)):
        a, b = (cube.dimensions[d] for d in pair)
        raise IdentificationError(
            f"by: {a!r} and {b!r} are identical, level for level, so their effects cannot be told "
            f"apart. Drop one of them."
        )
