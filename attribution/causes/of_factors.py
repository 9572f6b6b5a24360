"""Causes of a KPI made of KPIs: those of each factor, times what a change of it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from attribution.causes.named import Causes
from attribution.decompose import Composition
from attribution.errors import IdentificationError, OptionError, check_level, listing
from attribution.formatting import Format
from attribution.infer import half_width
from attribution.metrics import is_ratio

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["causes_of_factors"]

_SCALED = ("contribution", "std_error", "conf_low", "conf_high")
_DUST = 1e-12
_PARTS = {"rate": ("rate",), "mix": ("mix", "joint")}


def causes_of_factors(
    change: Attribution,
    parts: Composition,
    search: Callable[[Attribution, float], Causes],
    alpha: float,
    kind: str,
) -> Causes:
    """Find the causes of each factor and put them together; see `Attribution.causes`.

    Parameters
    ----------
    change : Attribution
        Of a KPI made of KPIs.
    parts : Composition
        Its decomposition.
    search : callable
        A factor's change and an alpha to its causes.
    alpha : float
        The chance of naming anything where nothing happened, of all searches together.
    kind : {"rate", "mix"}

    Returns
    -------
    Causes

    Raises
    ------
    OptionError
        No factor is a ratio of sums.
    IdentificationError
        None of them can be searched.
    """
    import pandas as pd

    alpha = check_level("alpha", alpha)
    searched = {
        factor: (float(C), own)
        for C, (factor, own) in zip(parts.worth, change.changes.items(), strict=True)
        if is_ratio(own.metric)
    }
    others = [factor for factor in change.changes if factor not in searched]
    unsearched = [factor for factor in others if _has(parts, factor, change, kind)]
    if not searched:
        raise OptionError(
            f"causes: no factor of {change.metric.label!r} is one ratio of sums (at.Rate, at.Mean, "
            f"at.Ratio without a volume of its own): {listing(others)}. A total has the rate "
            "'ratio(value / volume)'; make that a factor beside its volume."
        )
    found, failed = {}, {}
    for factor, (C, own) in searched.items():
        try:
            found[factor] = C, search(own, alpha / len(searched))
        except IdentificationError as error:
            failed[factor] = error
    if not found:
        raise next(iter(failed.values()))
    unsearched += [factor for factor in failed if _has(parts, factor, change, kind)]
    frames = []
    for factor, (C, causes) in found.items():
        frame = causes.frame.copy()
        frame.insert(1, "factor", pd.Series([factor] * len(frame), dtype=object))
        frame["segment"] = [f"{factor}: {segment}" for segment in frame["segment"]]
        scaled = C * frame[list(_SCALED)].to_numpy(dtype=float)
        frame["contribution"], frame["std_error"] = scaled[:, 0], np.abs(scaled[:, 1])
        frame["conf_low"], frame["conf_high"] = np.sort(scaled[:, 2:], axis=1).T
        frames.append(frame)
    kept = [frame for frame in frames if len(frame)] or frames[:1]
    frame = pd.concat(kept, ignore_index=True)
    largest = np.argsort(-frame["contribution"].abs().to_numpy(), kind="stable")
    frame = frame.iloc[largest].reset_index(drop=True)
    lines = zip(parts.lines, parts.estimate, strict=True)
    effect = float(sum(x for line, x in lines if line.effect in _PARTS[kind]))
    everywhere = _everywhere(change, found)
    first = next(iter(found.values()))[1]
    return Causes(
        frame=frame,
        everywhere=everywhere,
        remainder=effect - float(frame["contribution"].sum()) - everywhere["contribution"],
        none=None if len(frame) else _none(change, found, kind),
        effect=effect,
        notes=(*_notes(found, unsearched, kind), *first.notes),
        provenance={
            **first.provenance,
            **{k: change.provenance[k] for k in ("metric", "sha256")},
            "alpha": alpha,
            "worth": {factor: C for factor, (C, _) in found.items()},
            "segments": sum(c.provenance["segments"] for _, c in found.values()),
            "judged": sum(c.provenance["judged"] for _, c in found.values()),
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


def _has(parts: Composition, factor: str, change: Attribution, kind: str) -> bool:
    """Whether a factor has such an effect: decisions per decision have none."""
    at = list(change.changes).index(factor)
    lines = zip(parts.lines, parts.estimate, strict=True)
    own = [abs(x) for line, x in lines if line.factor == at and line.effect in _PARTS[kind]]
    return sum(own) > _DUST * float(np.abs(parts.R).max())


def _everywhere(change: Attribution, found: Mapping[str, tuple[float, Causes]]) -> dict[str, float]:
    """What all segments have in common, of all factors.

    The same clusters are behind every factor. The standard error of the sum is never more than
    the sum of standard errors, which is what is given.
    """
    value = sum(C * causes.everywhere["contribution"] for C, causes in found.values())
    error = sum(abs(C) * causes.everywhere["std_error"] for C, causes in found.values())
    freedom = max(change._units.degrees_of_freedom, 1)
    half = float(half_width(freedom, change.options.conf_level)) * error
    t = value / error if error > 0 else float("nan")
    return {
        "contribution": float(value),
        "std_error": float(error),
        "conf_low": float(value - half),
        "conf_high": float(value + half),
        "odds_ratio": float("nan"),
        "p_value": float(2 * special.stdtr(freedom, -abs(t))),
    }


def _none(change: Attribution, found: Mapping[str, tuple[float, Causes]], kind: str) -> str:
    """Say of each factor what would have stood out, and what that is worth in the KPI's units."""
    said = []
    for factor, (C, causes) in found.items():
        text = f"{factor}: {causes.none}"
        if causes.least is not None and kind == "rate":
            effect, share = causes.least
            size, whole = causes.format.change(effect).lstrip("+"), abs(C) * effect * share
            worth = Format.fitting(change.metric.display_unit, whole).change(whole).lstrip("+")
            text = (
                f"{factor}: an effect of {size} in a segment of {100 * share:.0f} % of the volume "
                f"would have, some {worth} of {change.metric.label}."
            )
        said.append(text)
    return f"No segment stands out in any factor. {' '.join(said)}"


def _notes(
    found: Mapping[str, tuple[float, Causes]], others: list[str], kind: str
) -> tuple[str, ...]:
    worth = ", ".join(f"{factor} {C:.4g}" for factor, (C, _) in found.items())
    notes = [
        "Each factor is searched by itself, at its part of alpha; its causes are multiplied by "
        f"what a change of it by 1 is worth ({worth}), which is taken as known.",
    ]
    if others:
        notes.append(
            f"Not searched, because they are no ratio of two sums or vary too little to be judged: "
            f"{listing(others)}; their {kind} is in the rest."
        )
    return tuple(notes)
