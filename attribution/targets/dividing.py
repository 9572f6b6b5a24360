"""One target divided among its segments: what each is asked for, and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from attribution.decompose.allocation import allocate, allocate_detectable
from attribution.errors import OptionError, listing
from attribution.finding import finding
from attribution.formatting import Format
from attribution.infer.power import rows_needed
from attribution.targets.segments import Asked, Segments

__all__ = ["divided"]

# A target further from the overall one than this does not roll up.
ROUNDING = 1e-9


def divided(
    segments: Segments,
    asked: Asked,
    limits: tuple[np.ndarray, ...],
    overall: float,
    of: str,
) -> tuple[dict[str, np.ndarray], list[str], list[dict[str, Any]]]:
    """Divide one target; the columns, notes and findings of `Targets`."""
    metric, base = asked.metric, segments.base
    floor, bound, detectable = limits
    sign = 1.0 if metric.better == "higher" else -1.0
    share = segments.volume / segments.volume.sum()
    B, low, high, T = sign * base, sign * floor, sign * bound, sign * overall
    form = Format.fitting(metric.display_unit, float(np.abs(T - share @ B)))
    where = "overall" if of == "overall" else f"target of {of!r}"
    for reach, words in ((share @ high, "at most"), (share @ low, "at least")):
        beyond = reach + ROUNDING < T if words == "at most" else reach - ROUNDING > T
        if beyond:
            best = "best" if words == "at most" else "worst"
            raise OptionError(
                f"{where}: {form.level(overall)} cannot be reached: the {best} that floors and "
                f"bounds allow is {form.level(sign * reach)} at the planned mix (today "
                f"{form.level(float(share @ base))}). Change overall, floor or stretch."
            )
    peers = np.quantile(B, 0.75)
    gain = {
        "headroom": high - np.clip(B, low, high),
        "proportional": np.abs(B) if (B != 0).any() else np.ones_like(B),
        "peer": np.maximum(peers - B, 0.0),
    }[asked.method]
    T = float(np.clip(T, share @ low, share @ high))
    found = allocate_detectable(B, share, gain, low, high, T, detectable)
    if found is None:
        raise OptionError(_not_shown(segments, asked, share, T - share @ B, detectable, where))
    target, held = found
    change = target - B
    needed = np.array(
        [
            rows_needed(float(x), float(v), 0.0, asked.alpha, asked.power)
            if x > ROUNDING and v > 0
            else 0
            for x, v in zip(change, segments.variance, strict=True)
        ],
        dtype=float,
    )
    at_floor = (target <= low + ROUNDING) & (low > B + ROUNDING)
    notes = np.select(
        [held & ~at_floor, at_floor, target >= high - ROUNDING],
        ["held: its share could not be shown", "at the floor", "at the bound"],
        default="",
    )
    still = np.abs(change) <= ROUNDING
    notes = [n if n.startswith("held") or not s else "" for n, s in zip(notes, still, strict=True)]
    columns = {
        "volume": segments.volume,
        "share": share,
        "n": segments.n,
        "baseline": base,
        "std_error": np.sqrt(segments.variance / segments.n_history),
        "target": sign * target,
        "change": sign * np.where(still, 0.0, change),
        "floor": floor,
        "bound": bound,
        "detectable": detectable,
        "n_needed": needed,
    }
    findings = _less_than_today(asked, float(overall), float(share @ base), form, of)
    findings += _floors_alone(segments, asked, share, (low, high), T, target, form, of)
    if held.any():
        some = np.flatnonzero(held)
        smallest = allocate(B, share, gain, low, high, T) - B
        texts = [
            f"{' × '.join(segments.labels[i])} "
            f"({_rows_for(float(smallest[i]), float(segments.variance[i]), asked)})"
            for i in some[:6]
        ]
        more = f" and {len(some) - 6} more" if len(some) > 6 else ""
        message = (
            f"Held at their baseline, since their share of {form.change(sign * (T - share @ B))} "
            f"would be less than their volume can show; rows a period it would take: "
            f"{', '.join(texts)}{more}."
        )
        findings.append(
            finding(
                "held", "info", message, segments=[" × ".join(segments.labels[i]) for i in some]
            )
        )
    if (blind := at_floor & (change < detectable)).any():
        named = [" × ".join(segments.labels[i]) for i in np.flatnonzero(blind)]
        message = f"{listing(named, most=8)}: the floor asks for less than the volume can show."
        findings.append(finding("floor_below_detectable", "warning", message, segments=named))
    return columns, notes, findings


def _less_than_today(
    asked: Asked, overall: float, today: float, form: Format, of: str
) -> list[dict[str, Any]]:
    """A target that today's level already betters: a slip of `better` or of the number."""
    metric = asked.metric
    higher = metric.better == "higher"
    if not (overall < today - ROUNDING if higher else overall > today + ROUNDING):
        return []
    which = "The overall target" if of == "overall" else f"The target of {of!r}"
    other = "lower" if higher else "higher"
    message = (
        f"{which}, {form.level(overall)}, asks for less than today's level, {form.level(today)} at "
        f"the planned mix, since {metric.better} is better: the targets let the KPI get worse by "
        f"{form.change(abs(overall - today)).lstrip('+')}. If that is not meant, change the number "
        f"or give the metric better={other!r}."
    )
    return [finding("target_below_today", "warning", message, of=of, target=overall, today=today)]


def _floors_alone(
    segments: Segments,
    asked: Asked,
    share: np.ndarray,
    limits: tuple[np.ndarray, np.ndarray],
    wanted: float,
    target: np.ndarray,
    form: Format,
    of: str,
) -> list[dict[str, Any]]:
    """Floors that raise the whole beyond its target, so that the others may get worse.

    Everything is oriented so that more is better.
    """
    sign = 1.0 if asked.metric.better == "higher" else -1.0
    base = sign * segments.base
    reach = float(share @ np.clip(base, *limits))
    lowered = np.flatnonzero(target < base - ROUNDING)
    if reach <= wanted + ROUNDING or wanted < share @ base - ROUNDING or not len(lowered):
        return []
    which = "the overall target" if of == "overall" else f"the target of {of!r}"
    named = [" × ".join(segments.labels[i]) for i in lowered]
    most = float((base - target)[lowered].max())
    message = (
        f"Floors alone would bring the KPI to {form.level(sign * reach)}, beyond {which}, "
        f"{form.level(sign * wanted)}: to roll up to it, {listing(named, most=8)} may get worse "
        f"by up to {form.change(most).lstrip('+')}. If that is not meant, ask for "
        f"{form.level(sign * reach)} or loosen the floors."
    )
    return [
        finding(
            "floors_beyond_target",
            "warning",
            message,
            of=of,
            reach=sign * reach,
            target=sign * wanted,
            segments=named,
        )
    ]


def _rows_for(change: float, variance: float, asked: Asked) -> str:
    if not (change > ROUNDING and variance > 0):
        return "no change"
    return f"{rows_needed(float(change), float(variance), 0.0, asked.alpha, asked.power):,}"


def _not_shown(
    segments: Segments,
    asked: Asked,
    share: np.ndarray,
    gap: float,
    detectable: np.ndarray,
    where: str,
) -> str:
    form = Format.fitting(asked.metric.display_unit, float(detectable.min()))
    order = np.argsort(share * detectable)[:3]
    texts = [
        f"{' × '.join(segments.labels[i])} {form.change(float(detectable[i])).lstrip('+')} "
        f"(n = {segments.n[i]:,.0f})"
        for i in order
    ]
    return (
        f"{where}: an improvement of {form.change(float(gap)).lstrip('+')} cannot be divided so "
        "that each segment's part can be shown. Detectable: "
        f"{', '.join(texts)} ... Judge more periods together (periods=), name fewer columns (by=), "
        "or allow more (stretch=)."
    )
