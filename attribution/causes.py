"""Named causes: the few segments that carry a rate effect, or the word that none stands out.

The search itself is in `attribution.search`; here cube and search meet, and its answer gets the
names, volumes and contributions of the bridge.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from attribution.bridge import Bar, Bridge
from attribution.decompose import Design
from attribution.errors import DataQualityWarning, OptionError, check_level
from attribution.formatting import Format, p_text, significant
from attribution.infer import half_width
from attribution.metrics import ratio_only
from attribution.plain import plain
from attribution.search import (
    Found,
    Grains,
    Segments,
    Strata,
    corrected,
    counted_strata,
    dispersed,
    mix_contributions,
    paired_strata,
    rate_contributions,
    search,
    segments_up_to,
    standardized,
)
from attribution.seeds import seed_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from attribution.result import Attribution

__all__ = ["Causes", "mix_causes", "rate_causes", "with_causes"]

# Power and size of "an effect of x would have been seen".
_POWER = 0.8416
_MOST_CAUSES = 50


@dataclass(frozen=True, eq=False)
class Causes:
    """The segments that carry an effect; made by `Attribution.causes`.

    Attributes
    ----------
    frame : DataFrame
        One row per cause, the largest contribution first: `segment` in words, one column per
        dimension (null where it is free), `order, n_baseline, n_current, rate_baseline,
        rate_current, odds_ratio, contribution, std_error, conf_low, conf_high, p_adjusted`.
        `odds_ratio` is the cause's own, beside everywhere and the other causes; null for ratios.
    everywhere : dict
        What all segments have in common: `contribution, std_error, conf_low, conf_high,
        odds_ratio, p_value`.
    remainder : float
        The effect less everything named: spread over the rest.
    none : str or None
        Where nothing is named: that no segment stands out, and what would have.
    effect : float
        What the contributions, everywhere and the remainder add up to, exactly.
    notes : tuple of str
        What a reader should know about the search.
    provenance : dict
    """

    frame: pd.DataFrame
    everywhere: Mapping[str, float]
    remainder: float
    none: str | None
    effect: float
    notes: tuple[str, ...]
    provenance: Mapping[str, Any] = field(repr=False)
    kind: str = "rate"
    _words: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def format(self) -> Format:
        """How its numbers are written."""
        return Format.fitting(self._words["unit"], self.effect)

    def __repr__(self) -> str:
        if self.none:
            return f"<Causes of {self._words['metric']}: none stands out>"
        named = "; ".join(
            f"{row['segment']} ({self.format.change(row['contribution'])})" for row in self.rows()
        )
        return f"<Causes of {self._words['metric']}: {named}>"

    def __str__(self) -> str:
        return self.summary()

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `frame`, each as a mapping."""
        return [{str(k): v for k, v in row.items()} for row in self.frame.to_dict("records")]

    def summary(self) -> str:
        """Return the causes, everywhere and the remainder as text that adds up."""
        f = self.format
        rows = [
            (
                row["segment"],
                f.number(row["contribution"], signed=True),
                f"[{f.interval(row['conf_low'], row['conf_high'])}]",
                p_text(row["p_adjusted"]),
            )
            for row in self.rows()
        ]
        common = self.everywhere
        interval = f.interval(common["conf_low"], common["conf_high"])
        rows.append(
            (
                "everywhere",
                f.number(common["contribution"], signed=True),
                f"[{interval}]" if interval else "",
                p_text(common["p_value"]),
            )
        )
        rows.append(("spread over the rest", f.number(self.remainder, signed=True), "", ""))
        rows.append((f"{self.kind} effect", f.number(self.effect, signed=True), "", ""))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        table = [
            f"  {a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d}".rstrip()
            for a, b, c, d in rows
        ]
        return "\n".join([self.message(), "", *table, "", *self.notes])

    def message(self) -> str:
        """Return the sentence above the table."""
        if self.none:
            return self.none
        f = self.format
        named = self.frame["contribution"].sum()
        count = len(self.frame)
        segments = "segment carries" if count == 1 else "segments carry"
        return (
            f"{count} {segments} {f.change(named)} of the {self.kind} effect of "
            f"{f.change(self.effect)} on {self._words['metric']}."
        )

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the causes as bars with their intervals; see `attribution.plots.causes`.

        Parameters
        ----------
        ax : Axes, optional

        Returns
        -------
        Axes
        """
        from attribution.plots.causes import causes_plot

        return causes_plot(self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; numbers have 12 significant digits, null for none."""
        return {
            "kind": self.kind,
            "effect": significant(self.effect),
            "causes": [{k: plain(v) for k, v in row.items()} for row in self.rows()],
            "everywhere": {k: plain(v) for k, v in self.everywhere.items()},
            "remainder": significant(self.remainder),
            "none": self.none,
            "notes": list(self.notes),
            "provenance": {k: plain(v) for k, v in self.provenance.items()},
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Causes):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.provenance["sha256"], self.kind, significant(self.remainder)))


def rate_causes(
    change: Attribution, max_order: int, max_causes: int, alpha: float, rng: object
) -> Causes:
    """Find the segments that carry the rate effect; see `Attribution.causes`."""
    asked = _checked(change, max_order, max_causes, alpha, rng)
    if change.options.rates == "planned":
        raise OptionError(
            "causes: a plan has target rates and no rows, so nobody's work can be compared with "
            "their own of before, and how segments drift by themselves is not known. "
            "Take levels() or segments() of this comparison for where performance falls short, or "
            "explain(...) two actual periods and ask it for causes."
        )
    strata, notes = _rate_strata(change)
    return _answer(change, strata, asked, notes, "rate")


def mix_causes(
    change: Attribution, max_order: int, max_causes: int, alpha: float, rng: object
) -> Causes:
    """Find the segments whose volume carries the mix effect; see `Attribution.mix_causes`."""
    asked = _checked(change, max_order, max_causes, alpha, rng)
    return _answer(change, _volume_strata(change), asked, (), "mix")


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
        notes = (f"max_order = {order} is above the {dimensions} dimensions there are.",)
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


# -- what is compared --------------------------------------------------------------------------


def _entries(change: Attribution, roles: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, Any]:
    """Cells, units and, per role, sums of shape (2, R): of each unit in each cell of S."""
    cube, metric = change.cube, change.metric
    stayed = change._parts.turnover.stayed
    place = np.cumsum(stayed) - 1
    moments = metric.moments(cube.weighted)
    clusters = cube.clusters
    if clusters is None:
        cell = np.arange(int(stayed.sum()))
        sums = [cube.metric_sums(metric, role)[:, stayed] for role in roles]
        return cell, np.full(len(cell), -1), sums
    inside = stayed[clusters.segment]
    code = clusters.codes[0][inside]
    segment = place[clusters.segment[inside]]
    key = code.astype(np.int64) * int(stayed.sum()) + segment
    unique, row = np.unique(key, return_inverse=True)
    at = clusters.period[inside].astype(np.int64) * len(unique) + row.ravel()
    sums = [
        np.bincount(at, clusters.sums[moments[role].key][inside], 2 * len(unique)).reshape(2, -1)
        for role in roles
    ]
    unit, cell = np.divmod(unique, max(int(stayed.sum()), 1))
    return cell, np.unique(unit, return_inverse=True)[1].ravel(), sums


def _rate_strata(change: Attribution) -> tuple[Strata, tuple[str, ...]]:
    cube, metric = change.cube, change.metric
    codes = cube.codes[change._parts.turnover.stayed]
    cell, unit, (D, N, count) = _entries(change, ("denominator", "numerator", "count"))
    link = "odds" if metric.of_trials else "difference"
    if cube.clusters is None:
        return _independent(change, cell, D, N, link)
    notes: list[str] = []
    if len(cube.clusters.names) > 1:
        notes.append(f"Units: {cube.clusters.names[0]}, the first of the cluster columns.")
    if link == "odds" and cube.weighted:
        # As many trials as there were, at the weighted rate: weights say who, not how many.
        rate = np.divide(N, D, out=np.zeros_like(D), where=D > 0)
        D, N = np.where(D > 0, count, 0.0), np.where(D > 0, count, 0.0) * rate
    strata = paired_strata(D, N, cell, unit, link, codes)
    if link == "difference" or cube.weighted:
        strata = dispersed(strata, len(codes), alike=link == "odds")
    if link == "difference":
        strata = standardized(strata)
    if not strata.paired.any():
        who = str(cube.clusters.names[0])  # pyright: ignore[reportGeneralTypeIssues]
        notes.append(
            f"No {who} is in the same segment in both periods: they are "
            "compared with each other, and what they differ by counts as noise. What is common "
            "to all and what is spread over the rest cannot be told apart then: read everywhere "
            "and the rest as one figure, their sum."
        )
    return strata, tuple(notes)


def _independent(
    change: Attribution, cell: np.ndarray, D: np.ndarray, N: np.ndarray, link: str
) -> tuple[Strata, tuple[str, ...]]:
    cube, metric = change.cube, change.metric
    text = "Rows are taken as independent (no cluster): false alarms rise where people drift."
    warnings.warn(f"causes: {text}", DataQualityWarning, stacklevel=5)
    stayed = change._parts.turnover.stayed
    roles = ("den_den", "num_den", "num_num")
    DD, DN, NN = (cube.metric_sums(metric, role)[:, stayed] for role in roles)
    if link == "odds":
        if cube.weighted:
            # Kish's effective number of trials.
            effective = np.divide(D**2, DD, out=np.zeros_like(D), where=DD > 0)
            N = np.divide(N, D, out=np.zeros_like(D), where=D > 0) * effective
            D = effective
        return paired_strata(D, N, cell, None, link, cube.codes[stayed]), (text,)
    r = np.divide(N, D, out=np.zeros_like(D), where=D > 0)
    noise = np.divide(NN - 2 * r * DN + r**2 * DD, D**2, out=np.zeros_like(D), where=D > 0)
    strata = paired_strata(D, N, cell, None, link, cube.codes[stayed])
    half = np.divide(D[0] * D[1], D.sum(axis=0), out=np.zeros(len(cell)), where=D.sum(axis=0) > 0)
    scale = noise.sum(axis=0) * half
    usual = np.median(scale[scale > 0]) if (scale > 0).any() else 1.0
    # A cell of one row shows no noise of its own.
    strata = replace(strata, scale=np.where(scale > 0.05 * usual, scale, usual))
    return standardized(strata), (text,)


def _volume_strata(change: Attribution) -> Strata:
    """Cells by their volume: who does the work is what moves, so it is no unit here."""
    cube, stayed = change.cube, change._parts.turnover.stayed
    volume = cube.metric_sums(change.metric, "denominator") if cube.volume is None else cube.volume
    return counted_strata(volume[:, stayed])


# -- the answer --------------------------------------------------------------------------------


def _answer(
    change: Attribution, strata: Strata, asked: _Asked, notes: tuple[str, ...], kind: str
) -> Causes:
    stayed = change._parts.turnover.stayed
    codes, cells = change.cube.codes[stayed], int(stayed.sum())
    informative = np.bincount(strata.cell, strata.scores(np.zeros(cells)).v, cells) > 0
    apart = _apart(change, codes)
    segments = segments_up_to(codes, asked.max_order, informative, apart)
    found = search(
        strata,
        segments,
        Grains(codes),
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
    none = None if len(found.chosen) else _none(change, found, segments, strata)
    return Causes(
        frame=frame,
        everywhere=everywhere,
        remainder=float(effect - base.sum()),
        none=none,
        effect=float(effect),
        notes=notes,
        provenance={
            **{k: change.provenance[k] for k in ("version", "metric", "baseline", "current")},
            "max_order": asked.max_order,
            "max_causes": asked.max_causes,
            "alpha": asked.alpha,
            "seed": asked.seed,
            "segments": len(found.penalty),
            "judged": int((found.information > 0).sum()),
            "sha256": change.provenance["sha256"],
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
        estimate, below, above = corrected(theta[1:] / se[1:], found.cutoff, level)
        moved = estimate * se[1:] - theta[1:]
        C = found.covariance
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


def _none(change: Attribution, found: Found, segments: Segments, strata: Strata) -> str:
    """Say that nothing stands out, and what would have."""
    judged = found.information > 0
    if not judged.any():
        return (
            "No segment can be judged: the two periods have too little in common, or their rates "
            "do not vary."
        )
    f = change.format
    parts = change._parts
    shares, rates, _ = parts.valued
    p, r = shares.mean(axis=0), rates.mean(axis=0)
    share = segments.members.T @ p
    # A segment a reader can picture: of the lowest order, about a tenth of the volume.
    first = judged & (segments.order == segments.order[judged].min())
    j = np.flatnonzero(first)[np.argmin(np.abs(np.log(share[first] / 0.1)))]
    need = np.sqrt(2 * (found.threshold + found.penalty[j])) + _POWER
    effect = need / np.sqrt(found.information[j]) * strata.size
    if strata.link == "odds":
        column = np.asarray(segments.members[:, [j]].todense()).ravel()
        own = (column * p) @ r / share[j]
        effect = abs(own - 1 / (1 + np.exp(-(np.log(own / (1 - own)) - effect))))
    elif strata.link == "volume":
        text = f"{100 * np.expm1(effect):.0f} %"
        return (
            f"No segment stands out. A change of volume by {text} in a segment of "
            f"{100 * share[j]:.0f} % of it would have."
        )
    size = f.change(float(effect)).lstrip("+")
    return (
        f"No segment stands out. An effect of {size} in a segment of {100 * share[j]:.0f} % of the "
        "volume would have."
    )


# -- the bridge --------------------------------------------------------------------------------


def with_causes(bridge: Bridge, causes: Causes, rate: int) -> Bridge:
    """Return a bridge with the bar of the rate effect replaced by its causes.

    Parameters
    ----------
    bridge : Bridge
    causes : Causes
    rate : int
        The row of the rate effect.

    Returns
    -------
    Bridge
        The same where nothing is named.
    """
    if causes.none:
        return replace(bridge, notes=(*bridge.notes, causes.none))
    common = causes.everywhere
    columns = ("segment", "contribution", "conf_low", "conf_high", "p_adjusted")
    named = [Bar(*(row[c] for c in columns)) for row in causes.rows()]
    named.append(
        Bar(
            "Rate: everywhere",
            common["contribution"],
            common["conf_low"],
            common["conf_high"],
            common["p_value"],
        )
    )
    named.append(Bar("Rate: the rest", causes.remainder))
    bars = [b for bar in bridge.bars for b in (named if bar.rows == (rate,) else [bar])]
    return replace(bridge, bars=tuple(bars), covariance=None)
