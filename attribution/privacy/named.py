"""Named causes as files show them: rows that add up to the rate effect, small groups left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attribution.formatting import Format, largest_remainder
from attribution.plain import plain

if TYPE_CHECKING:
    from attribution.causes import Causes

__all__ = ["ShownCauses", "shown_causes"]

_NUMBERS = ("n_baseline", "n_current", "rate_baseline", "rate_current")


@dataclass(frozen=True)
class ShownCauses:
    """Causes, what all segments have in common, and the rest.

    Attributes
    ----------
    message : str
    rows : tuple of dict
        `segment, contribution, conf_low, conf_high` and, unless groups are protected,
        `n_baseline, n_current, rate_baseline, rate_current`. The last two rows are "everywhere"
        and what is spread over the rest.
    effect : float
        What all rows add up to.
    notes : tuple of str
    none : str or None
        Why no segment is named; None where one is.
    """

    message: str
    rows: tuple[dict[str, Any], ...]
    effect: float
    notes: tuple[str, ...]
    none: str | None

    @property
    def named(self) -> tuple[dict[str, Any], ...]:
        """The rows of segments: all but "everywhere" and the rest."""
        return self.rows[:-2]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; numbers have 12 significant digits."""
        everywhere, rest = self.rows[-2:]
        return {
            "effect": plain(self.effect),
            "causes": [plain(row) for row in self.named],
            "everywhere": plain(everywhere),
            "remainder": plain(rest["contribution"]),
            "none": self.none,
            "notes": list(self.notes),
        }

    def text_rows(self, format: Format) -> list[list[str]]:
        """Return the rows as text: segment, contribution, interval, rates, counts; they add up."""
        f = format
        values = [row["contribution"] * f.factor for row in self.rows]
        shown = largest_remainder(values, round(self.effect * f.factor, f.decimals), f.decimals)
        found = []
        for row, value in zip(self.rows, shown, strict=True):
            interval = f.interval(_number(row.get("conf_low")), _number(row.get("conf_high")))
            rates = [_known(row.get(f"rate_{when}"), f.number) for when in ("baseline", "current")]
            counts = [
                _known(row.get(f"n_{when}"), "{:,.0f}".format) for when in ("baseline", "current")
            ]
            text = f.number(value / f.factor, signed=True)
            found.append([row["segment"], text, interval, *rates, *counts])
        return found


def shown_causes(causes: Causes, hidden: Sequence[str], min_n: int) -> ShownCauses:
    """Return what may be shown of named causes.

    Parameters
    ----------
    causes : Causes
    hidden : sequence of str
        Dimensions whose levels are not shown.
    min_n : int
        Segments of fewer rows in a period are left out, and no counts are shown.

    Returns
    -------
    ShownCauses
    """
    kept, rest = [], float(causes.remainder)
    for row in causes.rows():
        secret = any(isinstance(row.get(d), str) for d in hidden)
        small = any(row[f"n_{when}"] < min_n for when in ("baseline", "current"))
        if secret or small:
            rest += row["contribution"]
        else:
            kept.append({k: v for k, v in row.items() if not (min_n and k in _NUMBERS)})
    common = {k: causes.everywhere[k] for k in ("contribution", "conf_low", "conf_high")}
    everywhere = {"segment": "everywhere", **common}
    remainder = {"segment": "spread over the rest", "contribution": rest}
    none = causes.none
    if not kept and not none:
        none = "The segments that carry the rate effect must not be shown."
    message = none or "These segments carry the named parts of the rate effect."
    rows = (*kept, everywhere, remainder)
    return ShownCauses(message, rows, float(causes.effect), tuple(causes.notes), none)


def _number(x: Any) -> float:
    return float(x) if isinstance(x, int | float) else math.nan


def _known(x: Any, write: Callable[[float], str]) -> str:
    return "" if math.isnan(_number(x)) else write(_number(x))
