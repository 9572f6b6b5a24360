"""Data-quality findings: what a reader must know before trusting a bridge, with figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from attribution.calendars import calendar_of
from attribution.decompose import Decomposed, Decomposition
from attribution.errors import listing
from attribution.evidence import THIN_ROWS
from attribution.formatting import Format, tiny
from attribution.functions import FunctionOfSums, Total
from attribution.infer import FEWEST_UNITS
from attribution.labels import MISSING
from attribution.metrics import Quantile, is_ratio
from attribution.products import Composite, Product
from attribution.quantiles import group_quantiles, has_density
from attribution.recoding import recodings
from attribution.tables import line_keys, too_few

if TYPE_CHECKING:
    from attribution.cube import Cube
    from attribution.result import Attribution

__all__ = ["findings"]

_FEW_CLUSTERS = 12
_MANY_LEVELS = 1_000
_NEARLY_ALL = 0.8
_RECODED_RATIO = 50.0
_RECODED_SHARE = 0.01


def findings(change: Attribution) -> list[dict[str, Any]]:
    """Return all findings on one attribution, the residual first.

    Parameters
    ----------
    change : Attribution

    Returns
    -------
    list of dict
        `code, severity ("ok", "info", "warning"), message, facts`.
    """
    parts, cube = change._parts, change.cube
    n, volume = cube.metric_sums(change.metric, "count"), parts.volumes
    format = change.format
    found = [_residual(change)]
    found += [dict(f) for f in cube.findings]
    found += _rates_in_use(parts, cube)
    found += _missing_levels(cube, volume)
    found += _unplanned(parts, cube, volume)
    found += _cells(change, volume, n)
    found += _quantile(change)
    # What a level was worth before it was merged is a sum; a quantile has none to compare.
    ratio = not isinstance(change.metric, Quantile)
    found += _recodings(change, volume, n) if ratio else []
    found += _recoded(parts, cube, volume)
    found += _counts(change, cube.metric_sums(change.metric, "denominator"))
    found += _clusters(change)
    found += _periods(change)
    found += _simpson(change, format)
    # A quantile has one set of weights, those of the Shapley value.
    found += _signs(change, format) if ratio else []
    return found + _identification(parts, cube)


def _finding(code: str, severity: str, message: str, **facts: Any) -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": message, "facts": facts}


def _residual(change: Attribution) -> dict[str, Any]:
    residual = change.total.change - float(change._parts.estimate.sum())
    return _finding(
        "residual",
        "ok",
        f"The bars add up to the change; the residual is {tiny(residual)}.",
        residual=residual,
    )


def _rates_in_use(parts: Decomposed, cube: Cube) -> list[dict[str, Any]]:
    pairs = [f"{cube.dimensions[a]} × {cube.dimensions[b]}" for a, b in parts.pairs]
    fitted = {
        "additive": "main effects",
        "pairs": f"main effects and the two-way terms of {', '.join(pairs)}",
    }
    described = "observed rates of the segments"
    if parts.form == "planned":
        described = "the plan's targets in the baseline, observed rates in the actual"
    if parts.form == "mixed":
        described = "observed rates of the segments for some factors, fitted ones for others"
    if parts.form in fitted:
        described = (
            f"rates fitted with {fitted[parts.form]}, which reproduce {100 * min(parts.fit):.0f} % "
            "of the observed spread between segments (sampling noise included)"
        )
    return [
        _finding(
            "rates",
            "info",
            f"Rates are {parts.form}: {described} ({parts.reason}).",
            form=parts.form,
            reason=parts.reason,
            pairs=pairs,
            fit=list(parts.fit),
        )
    ]


def _missing_levels(cube: Cube, volume: np.ndarray) -> list[dict[str, Any]]:
    found = []
    for d, (name, levels) in enumerate(zip(cube.dimensions, cube.levels, strict=True)):
        if MISSING not in levels:
            continue
        rows = cube.codes[:, d] == levels.index(MISSING)
        shares = volume[:, rows].sum(axis=1) / volume.sum(axis=1)
        grew = abs(shares[1] - shares[0]) > 0.02
        found.append(
            _finding(
                "missing_level",
                "warning" if shares.max() > 0.05 or grew else "info",
                f"{name}: {100 * shares[0]:.1f} % of the volume has no level in the baseline, "
                f"{100 * shares[1]:.1f} % in the current period; it is kept as {MISSING!r}.",
                dimension=name,
                share_baseline=shares[0],
                share_current=shares[1],
            )
        )
    return found


def _unplanned(parts: Decomposed, cube: Cube, V: np.ndarray) -> list[dict[str, Any]]:
    """What was done without a plan, and what was planned and not done."""
    if parts.form != "planned":
        return []
    found = []
    for code, t, words in (("unplanned", 1, "actual"), ("undelivered", 0, "planned")):
        alone = np.flatnonzero((V[t] > 0) & (V[1 - t] == 0))
        if len(alone):
            share = float(V[t][alone].sum() / V[t].sum())
            named = [cube.segment_name(c) for c in alone[np.argsort(-V[t][alone], kind="stable")]]
            side = "without a plan" if t else "without an actual"
            found.append(
                _finding(
                    code,
                    "warning" if share > 0.05 else "info",
                    f"{len(alone):,} segment{'s' * (len(alone) > 1)} {side} "
                    f"({100 * share:.1f} % of the {words} volume): {listing(named, most=6)}.",
                    segments=named,
                    share=share,
                )
            )
    return found


def _cells(change: Attribution, volume: np.ndarray, n: np.ndarray) -> list[dict[str, Any]]:
    """Thin cells, cells of one period, cells of one unit, rates borrowed from the other period."""
    parts = change._parts
    stayed, found = parts.turnover.stayed, []
    n_S, volume_S = n[:, stayed], volume[:, stayed]
    total, saturated = volume_S.sum(), parts.form == "saturated"
    one = (n_S > 0).sum(axis=0) == 1
    if one.any():
        share = float(volume_S[:, one].sum() / total)
        found.append(
            _finding(
                "one_period_cells",
                "warning" if saturated and share > 0.02 else "info",
                f"{int(one.sum()):,} of {len(one):,} segments were seen in one period only "
                f"({100 * share:.1f} % of the volume)"
                + (
                    "; with saturated rates their rate change is counted as mix." * saturated or "."
                ),
                segments=int(one.sum()),
                of=len(one),
                share=share,
            )
        )
    thin = (n_S > 0) & (n_S < THIN_ROWS)
    if thin.any():
        share = float(volume_S[thin].sum() / total)
        found.append(
            _finding(
                "thin_cells",
                "warning" if saturated and share > 0.05 else "info",
                f"{int(thin.sum()):,} of {int((n_S > 0).sum()):,} observed cells have fewer than "
                f"{THIN_ROWS} rows ({100 * share:.1f} % of the volume).",
                cells=int(thin.sum()),
                share=share,
            )
        )
    alone = np.logical_or.reduce([way.in_cell[:, stayed] == 1 for way in change._units.ways])
    if saturated and alone.any():
        share = float(volume_S[alone].sum() / total)
        found.append(
            _finding(
                "cells_of_one_unit",
                "warning" if share > 0.02 else "info",
                f"{int(alone.sum()):,} cells ({100 * share:.1f} % of the volume) rest on a single "
                f"{_unit(change)} in a period: their observed rates have noise that no standard "
                "error can see.",
                cells=int(alone.sum()),
                share=share,
            )
        )
    borrowed = parts.borrowed
    if borrowed.any() and not saturated:
        found.append(
            _finding(
                "borrowed_rates",
                "info",
                f"{int(borrowed.sum()):,} cells cannot be predicted in their period and take the "
                "other period's fitted rate.",
                cells=int(borrowed.sum()),
            )
        )
    return found


def _unit(change: Attribution) -> str:
    clusters = change.cube.clusters
    return "row" if clusters is None else " or ".join(clusters.names)


def _counts(change: Attribution, D: np.ndarray) -> list[dict[str, Any]]:
    """What known volumes changed: the KPI of the counts, and counted cells never sampled."""
    volume, parts, format = change.cube.volume, change._parts, change.format
    if volume is None:
        return []
    shares = [float(volume[t][D[t] <= 0].sum() / volume[t].sum()) for t in (0, 1)]
    sampling = sum(
        float(x)
        for line, x in zip(parts.lines, parts.estimate, strict=True)
        if line.effect == "sampling"
    )
    return [
        _finding(
            "known_volumes",
            "warning" if max(shares) > 0.2 else "info",
            f"The mix is that of the full counts. {100 * shares[0]:.1f} % of them in the baseline "
            f"and {100 * shares[1]:.1f} % in the current period lie in segments without a sample, "
            f"whose rates are predicted. How the sample differs from the counts moved the KPI by "
            f"{format.change(_displayed(change)['sampling'])}.",
            unsampled_baseline=shares[0],
            unsampled_current=shares[1],
            sampling=sampling,
        )
    ]


def _recodings(change: Attribution, volume: np.ndarray, n: np.ndarray) -> list[dict[str, Any]]:
    """Levels that were probably renamed, split or merged, with the mapping to paste."""
    parts, evidence, design = change._parts, change._evidence, change._parts.design
    D, N = _as_ratio(change)

    def std_errors(d: int) -> np.ndarray:
        if len(change.cube.levels[d]) > _MANY_LEVELS:
            return np.zeros((2, len(change.cube.levels[d])))
        member = design.matrix[:, design.block(d)].T
        support = change._units.support(sparse.hstack([member, member]))
        both = [parts.group_rates(member, t)[:2] for t in (0, 1)]
        known = [evidence.of(*both[t], support.in_period(t)) for t in (0, 1)]
        return np.stack([x.found.std_error for x in known])

    proposed, found = recodings(change.cube, volume, D, N, n, std_errors), []
    for one in proposed:
        code = f"probable_{one.kind}" if one.clear else "unclear_recoding"
        found.append(_finding(code, "warning", one.describe(change.format), **one.facts))
    clear = [one for one in proposed if one.clear]
    if len(clear) > 1:
        merged: dict[str, dict[str, str]] = {}
        for one in clear:
            merged.setdefault(one.dimension, {}).update(one.mapping[one.dimension])
        message = f"All probable changes of coding at once: mapping={merged!r}."
        found.append(_finding("proposed_mapping", "info", message, mapping=merged))
    return found


def _as_ratio(change: Attribution) -> tuple[np.ndarray, np.ndarray]:
    """Denominators and numerators of the segments; of several sums, volume and volume x rate."""
    cube, parts, metric = change.cube, change._parts, change.metric
    if is_ratio(metric):
        return cube.metric_sums(metric, "denominator"), cube.metric_sums(metric, "numerator")
    each = sparse.eye_array(len(parts.design.codes), format="csr")
    rates = [parts.group_rates(each, t)[0] for t in (0, 1)]
    return parts.volumes, parts.volumes * np.stack(rates)


def _level_rates(change: Attribution) -> tuple[np.ndarray, np.ndarray]:
    """The KPI of each level in both periods, (q, 2), and where there is one."""
    levels = sparse.csr_array(change._parts.design.matrix.T)
    found = [change._parts.group_rates(levels, t) for t in (0, 1)]
    rates, _, known = zip(*found, strict=True)
    if isinstance(change.metric, Quantile):
        rates = [group_quantiles(change.cube, change.metric, levels, t) for t in (0, 1)]
    return np.stack(rates, axis=1), np.stack(known, axis=1)


def _recoded(parts: Decomposed, cube: Cube, D: np.ndarray) -> list[dict[str, Any]]:
    """Levels that all but vanished or came from almost nothing: a change of coding, not of work."""
    design, found = parts.design, []
    shares = (design.matrix.T @ D.T).T / D.sum(axis=1)[:, None]
    for d, name in enumerate(cube.dimensions):
        block = design.block(d)
        for i in range(block.start, block.stop):
            before, after = shares[:, i]
            small, large = sorted((before, after))
            if small > 0 and large >= _RECODED_SHARE and large >= _RECODED_RATIO * small:
                label = cube.levels[d][i - block.start]
                volumes = [float(x) for x in shares[:, i] * D.sum(axis=1)]
                word = "collapsed" if after < before else "grew"
                found.append(
                    _finding(
                        "recoded_level",
                        "warning",
                        f"{name}: {label!r} {word} from {volumes[0]:,.0f} to {volumes[1]:,.0f} "
                        f"({100 * before:.2f} % to {100 * after:.2f} % of the volume): probably "
                        "counted elsewhere now. Merge it with where its items went "
                        "(mapping=...) or read its mix line as a change of coding.",
                        dimension=name,
                        segment=label,
                        volume_baseline=volumes[0],
                        volume_current=volumes[1],
                        share_baseline=before,
                        share_current=after,
                    )
                )
    return found


def _quantile(change: Attribution) -> list[dict[str, Any]]:
    """How exact a quantile is: its bucket, its permutations, its density."""
    facts, f = change.cube.provenance.get("distribution"), change.format
    if facts is None or not isinstance(change.metric, Quantile):
        return []
    widths = [high - low for low, high in facts["bucket"]]
    exact = max(widths) == 0
    message = "Quantiles are exact, of the values themselves."
    if not exact:
        ends = " and ".join(f"{f.number(a)} to {f.number(b)}" for a, b in facts["bucket"])
        message = (
            f"Quantiles are interpolated in the buckets of a sketch: they lie in {ends} for sure."
        )
    found = [_finding("quantile_sketch", "info", message, exact=exact, bucket=facts["bucket"])]
    if facts["sampling_error"] > 0:
        found.append(
            _finding(
                "sampled_permutations",
                "info",
                f"With {facts['players'] - 1:,} segments, the orders in which mix and segments "
                "change are drawn by chance: that leaves a standard error of at most "
                f"{f.change(facts['sampling_error']).lstrip('+')} on a bar, beside sampling noise.",
                players=facts["players"],
                std_error=facts["sampling_error"],
            )
        )
    if None in facts["density"]:
        found.append(
            _finding(
                "no_density",
                "warning",
                "No interval can be given: all values around the quantile are one and the same, "
                "so that it has no density. A rate of rows above a threshold "
                f"(at.Rate('{change.metric.value} > ...')) has one.",
                density=facts["density"],
            )
        )
    return found


def _clusters(change: Attribution) -> list[dict[str, Any]]:
    units = change._units
    if not has_density(change.cube, change.metric):
        return []  # nothing is known of the noise, however many clusters there are
    if not units.clustered:
        return [
            _finding(
                "no_clusters",
                "info",
                f"Rows are taken as independent (n = {units.count:,}). If they come in batches by "
                "moderator, day or reviewer, name that column as cluster: the standard errors "
                "are too small without it.",
                units=units.count,
            ),
            *_too_few(change),
        ]
    cube, found = change.cube, []
    names = cube.clusters.names if cube.clusters else ()
    n = cube.metric_sums(change.metric, "count").sum()
    for name, way in zip(names, units.ways, strict=True):
        if way.count < 2:
            message = f"There is one {name} only: no standard error can be computed."
        elif way.count < _FEW_CLUSTERS:
            message = (
                f"There are {way.count} clusters ({name}) only; intervals rest on t with "
                f"{way.count - 1} degree{'s' * (way.count != 2)} of freedom and are rough."
            )
        else:
            message = ""
        if message:
            found.append(_finding("few_clusters", "warning", message, clusters=way.count))
        if way.count > 0.99 * n > 1:
            found.append(
                _finding(
                    "cluster_per_row",
                    "warning",
                    f"cluster: {name!r} is different in nearly every row ({way.count:,} of "
                    f"{n:,.0f}), which is the same as independent rows. Name the unit whose rows "
                    "resemble each other, such as the moderator.",
                    column=name,
                    clusters=way.count,
                    rows=float(n),
                )
            )
    return found + _too_few(change)


def _too_few(change: Attribution) -> list[dict[str, Any]]:
    """Lines of the bridge, and levels, that rest on too few units in a period."""
    cube, parts, X = change.cube, change._parts, change._parts.design.matrix
    bars = [bar.label for bar in change.bridge().bars if bar.note]
    fewest = change._units.support(sparse.hstack([X.T, X.T])).fewest
    volume = cube.metric_sums(change.metric, "denominator")
    there = X.T @ volume.sum(axis=0) > 0
    levels = [
        f"{cube.dimensions[d]} {cube.levels[d][i - parts.design.offsets[d]]}"
        for i, d in enumerate(parts.design.of_dimension)
        if fewest[i] < FEWEST_UNITS and there[i]
    ]
    if not bars and not levels:
        return []
    listed = f"{', '.join([*bars, *levels][:8])}{' ...' if len(bars) + len(levels) > 8 else ''}"
    return [
        _finding(
            "too_few_units",
            "warning" if bars else "info",
            f"{too_few(cube).capitalize()} (below {FEWEST_UNITS} in a period) stand behind "
            f"{listed}: intervals are widened, or there is none, and no claim rests on them.",
            lines=bars,
            levels=levels,
        )
    ]


def _periods(change: Attribution) -> list[dict[str, Any]]:
    """Periods of unequal length: in days of the calendar, or in pooled values."""
    asked = change.metric
    kpis = asked.kpis.values() if isinstance(asked, Composite) else [asked]
    grows = any(isinstance(kpi, Total) for kpi in kpis)
    pooled = [label.split(" + ") for label in change.cube.periods]
    calendar, unit = calendar_of([*pooled[0], *pooled[1]]), "days"
    if calendar is None or calendar.unit == "number" or calendar.fiscal:
        (a, b), unit = map(len, pooled), "pooled periods"
    else:
        a, b = (sum(calendar.days(x) for x in labels) for labels in pooled)
    if a == b:
        return []
    much = max(a, b) > (1.0 if grows else 1.15) * min(a, b)
    means = (
        "Part of the volume line is the calendar; compare per day if that matters."
        if grows
        else "A ratio can be compared; volumes cannot."
    )
    return [
        _finding(
            "unequal_periods",
            "warning" if much else "info",
            f"The periods differ in length: {a} and {b} {unit}. {means}",
            baseline=a,
            current=b,
            unit=unit,
        )
    ]


def _simpson(change: Attribution, format: Format) -> list[dict[str, Any]]:
    """All or nearly all levels of a dimension moved one way, the total the other."""
    parts, cube, found = change._parts, change.cube, []
    total = change.total.change
    # A sum that grew while its means fell has grown in volume, and a kappa is no mean of kappas,
    # nor a product of products;
    # against a single target the levels moved since the baseline, the total did not.
    no_mean = isinstance(change.metric, Total | FunctionOfSums | Product)
    if total == 0 or parts.target is not None or no_mean:
        return []
    level_rates, known = _level_rates(change)
    for d, name in enumerate(cube.dimensions):
        block = parts.design.block(d)
        both = known[block].all(axis=1)
        if both.sum() < 2:
            continue
        rates = level_rates[block][both]
        moves = rates[:, 1] - rates[:, 0]
        against = int((np.sign(moves) == -np.sign(total)).sum())
        if against >= _NEARLY_ALL * len(moves):
            fell, moved = "fell" if total > 0 else "rose", sum(_displayed(change).values())
            severity = "warning" if change.verdict == "real" else "info"
            found.append(
                _finding(
                    "simpson",
                    severity,
                    f"Simpson reversal: {against} of {len(moves)} levels of {name} {fell} while "
                    f"{change.metric.label} moved {format.change(moved)}. The mix moved it, not "
                    "the levels.",
                    dimension=name,
                    against=against,
                    levels=len(moves),
                    change=total,
                )
            )
    return found


def _displayed(change: Attribution) -> dict[str, float]:
    """What the bars of each effect show together, in KPI units; "mix" with what is joint."""
    bridge, keys, found = change.bridge(), line_keys(change), {}
    for bar, shown in zip(bridge.bars, bridge.shown(), strict=True):
        effect = keys[bar.rows[0]].effect
        effect = "mix" if effect == "joint" else effect
        found[effect] = found.get(effect, 0.0) + shown / bridge.format.factor
    return found


def _signs(change: Attribution, format: Format) -> list[dict[str, Any]]:
    """Whether the sign of mix or rate depends on which period's weights are used."""
    parts, methods = change._parts, ("baseline", "midpoint", "current")
    if not isinstance(parts, Decomposition):
        return []
    pairs = {m: parts.under(m) for m in methods}
    totals = {effect: {m: pairs[m][i] for m in methods} for i, effect in enumerate(("mix", "rate"))}
    found = []
    rounding = 1e-12 * max(abs(change.total.baseline), abs(change.total.current))
    for effect, by_method in totals.items():
        values = list(by_method.values())
        if min(values) < -rounding and max(values) > rounding:
            # The weights in use are those of the bridge, whose number a reader sees beside it.
            shown = by_method | {change.options.method: _displayed(change).get(effect, 0.0)}
            listed = ", ".join(f"{format.change(shown[m])} ({m})" for m in methods)
            found.append(
                _finding(
                    "sign_depends_on_weights",
                    "warning",
                    f"The sign of the {effect} effect depends on the weights: {listed}.",
                    effect=effect,
                    **by_method,
                )
            )
    return found


def _identification(parts: Decomposed, cube: Cube) -> list[dict[str, Any]]:
    found = []
    stayed = parts.turnover.stayed
    nested = parts.design.at(stayed).parents
    for child, parents in enumerate(nested):
        # Of market within region within world, "market within world" says nothing more.
        further = {a for parent in parents for a in nested[parent]}
        for parent in (a for a in parents if a not in further):
            inner, outer = cube.dimensions[child], cube.dimensions[parent]
            declared = outer in cube.ancestors(inner)
            found.append(
                _finding(
                    "nested",
                    "info",
                    f"Each {inner} lies in one {outer}: the mix of {outer} is between its levels, "
                    f"the mix of {inner} within them."
                    + f" Declare it: at.Dimension({inner!r}, within={outer!r})."
                    * (not declared),
                    child=inner,
                    parent=outer,
                    declared=declared,
                )
            )
    aliased = {
        name: [cube.levels[d][i] for i in np.flatnonzero(parts.aliased[parts.design.block(d)])]
        for d, name in enumerate(cube.dimensions)
    }
    aliased = {name: levels for name, levels in aliased.items() if levels}
    if aliased:
        listed = " and ".join(
            f"{name} {', '.join(levels[:4])}{' ...' if len(levels) > 4 else ''}"
            for name, levels in aliased.items()
        )
        found.append(
            _finding(
                "aliased_levels",
                "warning",
                f"The split between {listed} is not identified: they occur only together. Their "
                "common effect is shared out by the smallest effects that fit.",
                levels=aliased,
            )
        )
    return found
