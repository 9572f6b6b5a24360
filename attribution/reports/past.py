"""A KPI over its periods beside its bridge: the line as inline SVG, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from attribution.formatting import Format
from attribution.reports.places import label_box, label_sides
from attribution.reports.textfit import text_width

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Past"]

_WIDTHS, _HEIGHT = {"broad": 860.0, "narrow": 360.0}, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 24.0, 90.0, 24.0, 34.0
_SIZE = 13
# The names of periods along the lower edge.
_PERIODS = 20.0
# Room for the label of a period.
_LABEL = 70.0


@dataclass(frozen=True, eq=False)
class Past:
    """What a KPI was in its periods, the current one last.

    Attributes
    ----------
    frame : DataFrame
        `period, value, n` in time order; a value is NaN where the KPI has none.
    format : Format
    limits : (float, float) or None
        The natural limits of the periods before the current one.
    restated : mapping of str to float
        Periods whose value was reported otherwise, and as what.
    """

    frame: pd.DataFrame
    format: Format
    limits: tuple[float, float] | None = None
    restated: Mapping[str, float] = field(default_factory=dict)

    @property
    def known(self) -> list[tuple[int, str, float]]:
        """Place, period and value where there is one."""
        rows = enumerate(zip(self.frame["period"], self.frame["value"], strict=True))
        return [(i, str(period), float(x)) for i, (period, x) in rows if x == x]

    @property
    def words(self) -> str:
        """The line for those who do not see it."""
        said = "; ".join(f"{period}: {self.format.level(x)}" for _, period, x in self.known)
        if self.limits is not None:
            low, high = (self.format.level(x) for x in self.limits)
            said += f". Natural limits of the past: {low} to {high}"
        return said

    def rows(self) -> list[dict[str, str]]:
        """The table: `period, value, change, n, note` as text, the latest period first."""
        f, found, before = self.format, [], None
        columns = (self.frame[c] for c in ("period", "value", "n"))
        for period, value, n in zip(*columns, strict=True):
            there = value == value
            row = {"period": str(period), "value": f.level(value) if there else "–"}
            row["change"] = f.change(f.step(before, value)) if there and before is not None else ""
            row["n"] = f"{n:,.0f}" if n == n else "–"
            was = self.restated.get(str(period))
            row["note"] = "" if was is None else f"restated; reported as {f.level(was)}"
            found.append(row)
            before = value if there else before
        return found[::-1]

    def sparkline(self) -> str:
        """A line without axes, "" where there are fewer than two values."""
        from markupsafe import escape

        known = self.known
        if len(known) < 2:
            return ""
        low, high = min(x for _, _, x in known), max(x for _, _, x in known)
        last, span = max(len(self.frame) - 1, 1), (high - low) or 1.0
        at = [f"{2 + 196 * i / last:.1f},{36 - 32 * (x - low) / span:.1f}" for i, _, x in known]
        x, y = at[-1].split(",")
        return (
            f'<svg viewBox="0 0 200 40" role="img" aria-label="{escape(self.words)}" '
            'preserveAspectRatio="none"><polyline fill="none" stroke="currentColor" '
            f'stroke-width="1.5" vector-effect="non-scaling-stroke" points="{" ".join(at)}"/>'
            f'<circle cx="{x}" cy="{y}" r="2" fill="currentColor"/></svg>'
        )

    def svg(self, name: str) -> str:
        """The line with its numbers for a broad and a narrow page, "" with fewer than two values.

        The style sheet shows one of the two.

        Parameters
        ----------
        name : str
            For the ids of its parts, different for every picture of a page.

        Returns
        -------
        str
        """
        if len(self.known) < 2:
            return ""
        return "".join(self._drawn(f"{name}-{kind}", kind) for kind in _WIDTHS)

    def _drawn(self, name: str, kind: str) -> str:
        from markupsafe import escape

        known, f, whole = self.known, self.format, _WIDTHS[kind]
        values = [x for _, _, x in known]
        low, high = min([*values, *(self.limits or ())]), max([*values, *(self.limits or ())])
        room = 0.08 * ((high - low) or abs(high) or 1.0)
        low, high = low - room, high + room
        width = whole - _LEFT - _RIGHT
        step = width / max(len(self.frame) - 1, 1)

        def y(value: float) -> float:
            return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

        parts = [
            f'<svg class="trend {kind}" viewBox="0 0 {whole:.0f} {_HEIGHT:.0f}" role="img" '
            f'aria-labelledby="{name}-d" xmlns="http://www.w3.org/2000/svg">',
            f'<desc id="{name}-d">{escape(self.words)}</desc>',
        ]
        if self.limits is not None:
            below, above = (y(x) for x in self.limits)
            parts.append(
                f'<rect class="band" x="{_LEFT:.1f}" y="{above:.1f}" width="{width:.1f}" '
                f'height="{below - above:.1f}"/>'
            )
            parts += [
                f'<text class="small" x="{whole - _RIGHT + 6:.1f}" y="{at + 4:.1f}">'
                f"{escape(f.level(x))}</text>"
                for at, x in zip((below, above), self.limits, strict=True)
            ]
        # A gap in the periods is a gap in the line.
        breaks = [k for k in range(1, len(known)) if known[k][0] != known[k - 1][0] + 1]
        for start, stop in zip([0, *breaks], [*breaks, len(known)], strict=True):
            at = " ".join(f"{_LEFT + i * step:.1f},{y(x):.1f}" for i, _, x in known[start:stop])
            parts.append(f'<polyline class="line" points="{at}"/>')
        every = max(1, -(-len(self.frame) // int(width // _LABEL)))
        numbered = len(known) <= width // _LABEL
        marked = {known[k][0] for k in (values.index(min(values)), values.index(max(values)))}
        marked |= {known[-1][0], known[0][0]}
        shown = {i: f.number(x) for i, _, x in known if numbered or i in marked}
        points: list[tuple[float, float] | None] = [None] * len(self.frame)
        for i, _, x in known:
            points[i] = (_LEFT + i * step, y(x))
        sizes = {i: (text_width(text, _SIZE), 1.2 * _SIZE) for i, text in shown.items()}
        sides = label_sides(points, sizes, (0.0, 0.0, whole, _HEIGHT - _PERIODS))
        for i, period, x in known:
            across, last = _LEFT + i * step, i == known[-1][0]
            again = " restated" if period in self.restated else ""
            parts.append(
                f'<circle class="dot{again}" cx="{across:.1f}" cy="{y(x):.1f}" '
                f'r="{4 if last else 3}"/>'
            )
            if i in shown:
                bold = ' class="total"' if last else ""
                left, _, right, bottom = label_box((across, y(x)), sizes[i], sides[i])
                # Letters stand on a line above the lower edge of their box.
                parts.append(
                    f'<text x="{(left + right) / 2:.1f}" y="{bottom - 0.25 * _SIZE:.1f}" '
                    f'text-anchor="middle"{bold}>{escape(shown[i])}</text>'
                )
        for i, period in enumerate(self.frame["period"]):
            if (len(self.frame) - 1 - i) % every == 0:
                parts.append(
                    f'<text class="small" x="{_LEFT + i * step:.1f}" y="{_HEIGHT - 8:.0f}" '
                    f'text-anchor="middle">{escape(str(period))}</text>'
                )
        return "".join([*parts, "</svg>"])
