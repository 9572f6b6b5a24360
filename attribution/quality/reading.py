"""Findings on how a bridge may be read: Simpson reversals, signs, sketches of quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from attribution.decompose import Decomposition
from attribution.finding import finding
from attribution.formatting import Format
from attribution.functions import FunctionOfSums, Total
from attribution.metrics import Quantile
from attribution.products import Product
from attribution.quality.displayed import displayed
from attribution.quantiles import group_quantiles

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["quantile", "signs", "simpson"]

_NEARLY_ALL = 0.8


def simpson(change: Attribution, format: Format) -> list[dict[str, Any]]:
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
            fell, moved = "fell" if total > 0 else "rose", sum(displayed(change).values())
            severity = "warning" if change.verdict == "real" else "info"
            found.append(
                finding(
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


def _level_rates(change: Attribution) -> tuple[np.ndarray, np.ndarray]:
    """The KPI of each level in both periods, (q, 2), and where there is one."""
    levels = sparse.csr_array(change._parts.design.matrix.T)
    found = [change._parts.group_rates(levels, t) for t in (0, 1)]
    rates, _, known = zip(*found, strict=True)
    if isinstance(change.metric, Quantile):
        rates = [group_quantiles(change.cube, change.metric, levels, t) for t in (0, 1)]
    return np.stack(rates, axis=1), np.stack(known, axis=1)


def signs(change: Attribution, format: Format) -> list[dict[str, Any]]:
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
            shown = by_method | {change.options.method: displayed(change).get(effect, 0.0)}
            listed = ", ".join(f"{format.change(shown[m])} ({m})" for m in methods)
            found.append(
                finding(
                    "sign_depends_on_weights",
                    "warning",
                    f"The sign of the {effect} effect depends on the weights: {listed}.",
                    effect=effect,
                    **by_method,
                )
            )
    return found


def quantile(change: Attribution) -> list[dict[str, Any]]:
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
    found = [finding("quantile_sketch", "info", message, exact=exact, bucket=facts["bucket"])]
    if facts["sampling_error"] > 0:
        found.append(
            finding(
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
            finding(
                "no_density",
                "warning",
                "No interval can be given: all values around the quantile are one and the same, "
                "so that it has no density. A rate of rows above a threshold "
                f"(at.Rate('{change.metric.value} > ...')) has one.",
                density=facts["density"],
            )
        )
    return found
