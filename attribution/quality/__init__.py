"""Data-quality findings: what a reader must know before trusting a bridge, with figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attribution.decompose import Decomposed
from attribution.finding import finding
from attribution.formatting import tiny
from attribution.metrics import Quantile
from attribution.quality.cells import cells, counts, identification, missing_levels, unplanned
from attribution.quality.coding import recoded, recodings
from attribution.quality.reading import quantile, signs, simpson
from attribution.quality.units import clusters, periods

if TYPE_CHECKING:
    from attribution.cube import Cube
    from attribution.result import Attribution

__all__ = ["findings"]


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
    found += missing_levels(cube, volume)
    found += unplanned(parts, cube, volume)
    found += cells(change, volume, n)
    found += quantile(change)
    # What a level was worth before it was merged is a sum; a quantile has none to compare.
    ratio = not isinstance(change.metric, Quantile)
    found += recodings(change, volume, n) if ratio else []
    found += recoded(parts, cube, volume)
    found += counts(change, cube.metric_sums(change.metric, "denominator"))
    found += clusters(change)
    found += periods(change)
    found += simpson(change, format)
    # A quantile has one set of weights, those of the Shapley value.
    found += signs(change, format) if ratio else []
    return found + identification(parts, cube)


def _residual(change: Attribution) -> dict[str, Any]:
    residual = change.total.change - float(change._parts.estimate.sum())
    return finding(
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
        finding(
            "rates",
            "info",
            f"Rates are {parts.form}: {described} ({parts.reason}).",
            form=parts.form,
            reason=parts.reason,
            pairs=pairs,
            fit=list(parts.fit),
        )
    ]
