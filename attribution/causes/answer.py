"""From what was asked to what is answered: search a cube, give its findings names and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from attribution.causes.compared import rate_strata, volume_strata
from attribution.causes.named import Causes
from attribution.causes.of_factors import causes_of_factors
from attribution.decompose import Composition, Design
from attribution.errors import OptionError, check_level
from attribution.infer import half_width
from attribution.metrics import ratio_only
from attribution.search import (
    USUAL_EFFECT,
    Found,
    Grains,
    Segments,
    Strata,
    corrected_effects,
    corrected_limits,
    mix_contributions,
    rate_contributions,
    search,
    segments_up_to,
)
from attribution.seeds import seed_of

if TYPE_CHECKING:
    import pandas as pd

    from attribution.result import Attribution

__all__ = ["mix_causes", "rate_causes"]

# Power and size of "an effect of x would have been seen".
_POWER = 0.8416
_MOST_CAUSES = 50
# The order that `Attribution.causes` searches where none is given.
_USUAL_ORDER = 3
# Of fewer clusters than this their drift is a rough guess.
_FEW_UNITS = 10


def rate_causes(
    change: Attribution, max_order: int, max_causes: int, alpha: float, rng: object
) -> Causes:
    """Find the segments that carry the rate effect; see `Attribution.causes`."""
    if isinstance(change._parts, Composition):
        return causes_of_factors(
            change,
            change._parts,
            lambda own, part: rate_causes(own, max_order, max_causes, part, rng),
            alpha,
            "rate",
        )
    asked = _checked(change, max_order, max_causes, alpha, rng)
    strata, notes = rate_strata(change)
    return _answer(change, strata, asked, notes, "rate")


def mix_causes(
    change: Attribution, max_order: int, max_causes: int, alpha: float, rng: object
) -> Causes:
    """Find the segments whose volume carries the mix effect; see `Attribution.mix_causes`."""
    if isinstance(change._parts, Composition):
        return causes_of_factors(
            change,
            change._parts,
            lambda own, part: mix_causes(own, max_order, max_causes, part, rng),
            alpha,
            "mix",
        )
    asked = _checked(change, max_order, max_causes, alpha, rng)
    return _answer(change, volume_strata(change), asked, (), "mix")


@dataclass(frozen=True)
class _Asked:
    """How a search was asked for, and what was changed about it."""

    max_order: int
    max_causes: int
    alpha: float
    seed: int
    notes: tuple[str, ...]


def _checked(
    change: Attribution, max_order: object, max_causes: object, alpha: object, rng: object
) -> _Asked:
    dimensions = len(change.cube.dimensions)
    if not dimensions:
        raise OptionError("causes: no dimension is left to search; ask the attribution above it.")
    ratio_only(change.metric, "causes")
    order = _whole("max_order", max_order)
    notes: tuple[str, ...] = ()
    if order > dimensions:
        # The usual order is nothing that was asked for, and leaves nothing out.
        if order > _USUAL_ORDER:
            there = "1 dimension" if dimensions == 1 else f"{dimensions} dimensions"
            notes = (f"max_order = {order} is above the {there} searched.",)
        order = dimensions
    causes = _whole("max_causes", max_causes)
    if causes > _MOST_CAUSES:
        raise OptionError(f"max_causes: {causes} is above {_MOST_CAUSES}.")
    seed = change.options.seed if rng is None else seed_of(rng)
    return _Asked(order, causes, check_level("alpha", alpha), seed, notes)


def _whole(parameter: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise OptionError(f"{parameter}: {value!r} is not a whole number of 1 or more, as in 3.")
    return int(value)


def _answer(
    change: Attribution, strata: Strata, asked: _Asked, notes: tuple[str, ...], kind: str
) -> Causes:
    stayed = change._parts.turnover.stayed
    codes, cells = change.cube.codes[stayed], int(stayed.sum())
    informative = np.bincount(strata.cell, strata.scores(np.zeros(cells)).v, cells) > 0
    apart = _apart(change, codes)
    segments = segments_up_to(codes, asked.max_order, informative, apart)
    grains = Grains(codes)
    if kind == "rate" and grains.too_few and cells > 1:
        few = f"{cells} segments are too few to tell how much a segment drifts by nature"
        notes = (*notes, f"{few}: that is not counted as noise here.")
    if kind == "rate" and (few := _few_units(change)):
        notes = (*notes, few)
    found = search(
        strata,
        segments,
        grains,
        cells=cells,
        max_causes=asked.max_causes,
        alpha=asked.alpha,
        bound=kind == "rate",
        seed=asked.seed,
    )
    if apart:
        names = change.cube.dimensions
        nested = ", ".join(f"{names[child]} in {names[parent]}" for parent, child in apart)
        notes = (*notes, f"Nested, never combined: {nested}.")
    return _causes(change, found, segments, strata, asked, (*asked.notes, *notes), kind)


def _few_units(change: Attribution) -> str:
    """Say so where there are too few clusters to tell how much they drift."""
    clusters = change.cube.clusters
    if clusters is None:
        return ""
    count = len(np.unique(clusters.codes[0]))
    if count >= _FEW_UNITS:
        return ""
    name = clusters.names[0]
    return (
        f"Only {count} different {name}, too few to tell how much one drifts by nature: false "
        "alarms rise."
    )


def _apart(change: Attribution, codes: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of a parent and a child dimension, declared or evident."""
    parents = Design(codes, change._parts.design.sizes).parents
    evident = {(parent, child) for child, found in enumerate(parents) for parent in found}
    return sorted(evident | {(parent, child) for child, parent in change.cube.nested})


def _causes(
    change: Attribution,
    found: Found,
    segments: Segments,
    strata: Strata,
    asked: _Asked,
    notes: tuple[str, ...],
    kind: str,
) -> Causes:
    theta, low, high, se = (x * strata.size for x in _effects(found, change))
    covariance = found.covariance * strata.size**2
    known = change.cube.codes[change._parts.turnover.stayed]
    X = np.ones((len(known), len(theta)))
    # A cause holds the cells that cannot be compared too.
    X[:, 1:] = _in_causes(known, known, segments, found.chosen)
    value, effect = _contributions(change, X, strata.link, kind)
    base = value(theta)
    jacobian = _jacobian(value, theta)
    error = np.sqrt(np.maximum(np.diag(jacobian @ covariance @ jacobian.T), 0.0))
    ends = np.stack([_moved(value, theta, bound) for bound in (low, high)])
    ends = np.sort(ends, axis=0)
    frame = _frame(change, segments, found, theta, strata.link)
    frame["contribution"], frame["std_error"] = base[1:], error[1:]
    frame["conf_low"], frame["conf_high"] = ends[0, 1:], ends[1, 1:]
    frame["p_adjusted"] = found.p_adjusted
    rank = np.argsort(-np.abs(base[1:]), kind="stable")
    frame = frame.iloc[rank].reset_index(drop=True)
    odds = strata.link != "difference"
    t = theta[0] / se[0] if se[0] > 0 else float("nan")
    everywhere = {
        "contribution": float(base[0]),
        "std_error": float(error[0]),
        "conf_low": float(ends[0, 0]),
        "conf_high": float(ends[1, 0]),
        "odds_ratio": float(np.exp(theta[0])) if odds else float("nan"),
        "p_value": float(2 * special.stdtr(_freedom(change), -abs(t))),
    }
    least = None if len(found.chosen) else _least(change, found, segments, strata)
    none = None if len(found.chosen) else _none(change, least, strata.link)
    provenance = change.provenance
    return Causes(
        frame=frame,
        everywhere=everywhere,
        remainder=float(effect - base.sum()),
        none=none,
        effect=float(effect),
        notes=notes,
        least=least,
        provenance={
            **{k: provenance[k] for k in ("version", "metric", "baseline", "current", "sha256")},
            "max_order": asked.max_order,
            "max_causes": asked.max_causes,
            "alpha": asked.alpha,
            "seed": asked.seed,
            "segments": len(found.penalty),
            "judged": int((found.information > 0).sum()),
        },
        kind=kind,
        _words={
            "metric": change.metric.label,
            "unit": change.metric.display_unit,
            "better": change.metric.better,
            "baseline": change.cube.periods[0],
            "current": change.cube.periods[1],
        },
    )


def _freedom(change: Attribution) -> int:
    return max(change._units.degrees_of_freedom, 1)


def _effects(found: Found, change: Attribution) -> tuple[np.ndarray, ...]:
    """Effects corrected for selection, with limits; everywhere moves along with the causes."""
    level = change.options.conf_level
    se = np.sqrt(np.diag(found.covariance))
    theta, low, high = found.theta.copy(), found.theta.copy(), found.theta.copy()
    if len(found.chosen):
        below, above = corrected_limits(theta[1:] / se[1:], found.cutoff, level)
        C = found.covariance
        moved = corrected_effects(theta[1:], C[1:, 1:], USUAL_EFFECT) - theta[1:]
        theta[0] += C[0, 1:] @ np.linalg.solve(C[1:, 1:], moved)
        theta[1:] += moved
        low[1:], high[1:] = below * se[1:], above * se[1:]
    half = float(half_width(_freedom(change), level)) * se[0]
    low[0], high[0] = theta[0] - half, theta[0] + half
    return theta, low, high, se


def _in_causes(
    codes: np.ndarray, known: np.ndarray, segments: Segments, chosen: np.ndarray
) -> np.ndarray:
    columns = []
    for j in chosen:
        fixed = list(segments.fixed[segments.cuboid[j]])
        columns.append((codes[:, fixed] == known[segments.example[j]][fixed]).all(axis=1))
    return np.array(columns, dtype=float).reshape(len(columns), len(codes)).T


def _contributions(change: Attribution, X: np.ndarray, link: str, kind: str):
    """What effects add to the bridge, as a function of them, and what there is to add up to."""
    parts = change._parts
    (p, r, _), weights = parts.valued, parts.weights
    lines = zip(parts.lines, parts.estimate, strict=True)
    if kind == "rate":
        weight = weights.w[0] * p[0] + weights.w[1] * p[1]
        middle = r.mean(axis=0)
        effect = sum(x for line, x in lines if line.effect == "rate")
        return lambda theta: rate_contributions(X, theta, weight, middle, link), float(effect)
    rho = weights.v[0] * r[0] + weights.v[1] * r[1]
    ref = weights.v[0] * p[0] @ r[0] + weights.v[1] * p[1] @ r[1]
    effect = sum(x for line, x in lines if line.effect in ("mix", "joint"))
    return lambda theta: mix_contributions(X, theta, p.mean(axis=0), rho - ref), float(effect)


def _jacobian(value, theta: np.ndarray) -> np.ndarray:
    columns, step = [], 1e-5 * np.maximum(np.abs(theta), 1e-3)
    for i, h in enumerate(step):
        at = h * (np.arange(len(theta)) == i)
        columns.append((value(theta + at) - value(theta - at)) / (2 * h))
    return np.column_stack(columns)


def _moved(value, theta: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Each contribution with its own effect at a bound and the others as they are."""
    found = []
    for i, end in enumerate(bound):
        found.append(value(np.where(np.arange(len(theta)) == i, end, theta))[i])
    return np.array(found)


def _frame(
    change: Attribution, segments: Segments, found: Found, theta: np.ndarray, link: str
) -> pd.DataFrame:
    import pandas as pd

    cube, metric = change.cube, change.metric
    known = cube.codes[change._parts.turnover.stayed]
    member = _in_causes(cube.codes, known, segments, found.chosen)
    count, D, N = (
        cube.metric_sums(metric, role) @ member for role in ("count", "denominator", "numerator")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(D > 0, N / D, np.nan)
    rows = []
    for j in found.chosen:
        fixed = segments.fixed[segments.cuboid[j]]
        example = known[segments.example[j]]
        rows.append({cube.dimensions[d]: cube.levels[d][example[d]] for d in fixed})
    frame = pd.DataFrame({"segment": pd.Series([segment_text(r) for r in rows], dtype=object)})
    for d in cube.dimensions:
        frame[d] = pd.Series([row.get(d) for row in rows], dtype=object)
    frame["order"] = np.array([len(row) for row in rows], dtype=int)
    for t, when in enumerate(("baseline", "current")):
        frame[f"n_{when}"] = count[t]
    for t, when in enumerate(("baseline", "current")):
        frame[f"rate_{when}"] = rate[t]
    frame["odds_ratio"] = np.exp(theta[1:]) if link != "difference" else np.nan
    return frame


def segment_text(levels: Mapping[str, str]) -> str:
    """Return a segment in words.

    Examples
    --------
    >>> segment_text({"policy": "minors", "market": "BR"})
    'policy = minors and market = BR'
    """
    return " and ".join(f"{dimension} = {level}" for dimension, level in levels.items())


def _least(
    change: Attribution, found: Found, segments: Segments, strata: Strata
) -> tuple[float, float] | None:
    """The effect that would have stood out in a segment a reader can picture, and its share."""
    judged = found.information > 0
    if not judged.any():
        return None
    shares, rates, _ = change._parts.valued
    p, r = shares.mean(axis=0), rates.mean(axis=0)
    share = segments.members.T @ p
    # Of the lowest order, about a tenth of the volume.
    first = judged & (segments.order == segments.order[judged].min())
    j = np.flatnonzero(first)[np.argmin(np.abs(np.log(share[first] / 0.1)))]
    need = np.sqrt(2 * (found.threshold + found.penalty[j])) + _POWER
    effect = need / np.sqrt(found.information[j]) * strata.size
    if strata.link == "odds":
        column = np.asarray(segments.members[:, [j]].todense()).ravel()
        own = (column * p) @ r / share[j]
        effect = abs(own - 1 / (1 + np.exp(-(np.log(own / (1 - own)) - effect))))
    elif strata.link == "volume":
        effect = np.expm1(effect)
    return float(effect), float(share[j])


def _none(change: Attribution, least: tuple[float, float] | None, link: str) -> str:
    """Say that nothing stands out, and what would have."""
    if least is None:
        planned = change.cube.provenance.get("path") == "against plan"
        sides = "plan and actual" if planned else "the two periods"
        return (
            f"No segment can be judged: {sides} have too little in common, or their rates do not "
            "vary."
        )
    effect, share = least
    if link == "volume":
        return (
            f"No segment stands out. A change of volume by {100 * effect:.0f} % in a segment of "
            f"{100 * share:.0f} % of it would have."
        )
    size = change.format.change(effect).lstrip("+")
    return (
        f"No segment stands out. An effect of {size} in a segment of {100 * share:.0f} % of the "
        "volume would have."
    )
