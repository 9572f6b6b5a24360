"""whatif: what the overall KPI does if segments reach a rate, or if volumes move."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.bridge import Bar, Bridge
from attribution.cube import Cube
from attribution.decompose import decompose
from attribution.drawn import line_label
from attribution.errors import OptionError, listing, nearest
from attribution.filed import Filed
from attribution.formatting import Format, aligned
from attribution.goals import Labels, numbers_by_segment, read_goals, target_columns
from attribution.labels import label_of
from attribution.metrics import Metric
from attribution.privacy.bars import without_secret_bars
from attribution.tables import named_line
from attribution.targets.scan import judged, labels_of, scan
from attribution.targets.shown import shown_of_supposition

if TYPE_CHECKING:
    import pandas as pd

    from attribution.privacy import Privacy

__all__ = ["WhatIf", "whatif"]


def whatif(
    data: object,
    metric: Metric | str,
    by: str | Sequence[str],
    *,
    rates: object = None,
    reach: Sequence[object] | None = None,
    volumes: object = None,
    scale: Mapping[object, float] | None = None,
    period: str | None = None,
    current: object = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
) -> WhatIf:
    """Say how the overall KPI moves if segments reach a rate, or if volumes move.

    The decomposition of `attribution.explain` forward: from the KPI as it is to the KPI with the
    rates and volumes that are supposed, mix and rate exactly adding up, segment by segment.

    Parameters
    ----------
    data : table
        As things are; see `attribution.explain`.
    metric : Metric or str
        A rate, ratio or mean.
    by : str or sequence of str
        The columns that tell the segments.
    rates : Targets, mapping or table, optional
        The rate that segments reach: a plan of `attribution.targets`, ``{"ads": 0.95}``, or a table
        with the columns of `by` and "target". Segments that are not named keep theirs.
    reach : sequence, optional
        Only these segments of `rates` reach it.
    volumes : mapping or table, optional
        The volume (of the denominator) that segments get; others keep theirs.
    scale : mapping, optional
        ``{"live": 1.2}``: factors on volumes.
    period, current, weight, where, mapping, on_invalid
        See `attribution.targets.completion`.

    Returns
    -------
    WhatIf

    Raises
    ------
    OptionError
        Nothing is supposed, no such segment, a rate or volume out of range.

    References
    ----------
    Kitagawa, E. M. (1955). Components of a Difference Between Two Rates. JASA 50:1168-1194.

    Examples
    --------
    >>> import pandas as pd
    >>> month = pd.DataFrame({"queue": ["easy", "hard"], "ok": [4_800, 4_200], "n": [5_000, 5_000]})
    >>> better = whatif(month, "ok / n", "queue", rates={"hard": 0.90})
    >>> better
    <WhatIf ok / n would rise from 90.00 % to 93.00 % (+3.00 pp)>
    >>> shifted = whatif(month, "ok / n", "queue", scale={"hard": 2})
    >>> shifted.effects[["effect", "dimension", "estimate"]].round(4)
      effect dimension  estimate
    0    mix     queue     -0.02
    1   rate      None      0.00
    """
    if rates is None and volumes is None and scale is None:
        raise OptionError("rates: nothing is supposed. Give rates, volumes or scale.")
    if reach is not None and rates is None:
        raise OptionError("reach: names segments of rates; give rates too.")
    request = {
        "period": period,
        "weight": weight,
        "where": where,
        "mapping": mapping,
        "on_invalid": on_invalid,
    }
    cube, _ = judged(scan(data, metric, by, request), current)
    metric = cube.metrics[0]
    D, N, n = (cube.metric_sums(metric, r)[0] for r in ("denominator", "numerator", "count"))
    cube = cube.keep_segments(D > 0)
    D, N, n = D[D > 0], N[D > 0], n[D > 0]
    if not len(D):
        raise OptionError(f"data: no {metric.denominator or 'rows'!r} in {cube.periods[0]!r}.")
    labels = tuple(labels_of(cube))
    rate = _supposed_rates(N / D, labels, cube, metric, rates, reach)
    volume = _supposed_volumes(D, labels, cube, volumes, scale)
    sizes = tuple(len(levels) for levels in cube.levels)
    sums = np.stack([D, volume]), np.stack([N, volume * rate]), np.stack([n, n])
    parts = decompose(*sums, cube.codes, sizes, rates="saturated")
    lines = tuple((line.effect, *named_line(line, cube, parts)) for line in parts.lines)
    return WhatIf(
        metric, cube.dimensions, cube.periods[0], labels, D, volume, N / D, rate, parts, lines
    )


def _supposed_rates(
    observed: np.ndarray,
    labels: Sequence[Labels],
    cube: Cube,
    metric: Metric,
    rates: object,
    reach: Sequence[object] | None,
) -> np.ndarray:
    if rates is None:
        return observed
    found = read_goals(target_columns(rates), cube.dimensions, metric, "rates")
    if not isinstance(found, dict):
        found = dict.fromkeys(labels, found)
    _check_there(found, labels, "rates")
    if reach is not None:
        wanted = {
            tuple(map(label_of, x)) if isinstance(x, tuple) else (label_of(x),) for x in reach
        }
        _check_there(wanted, found, "reach")
        found = {x: value for x, value in found.items() if x in wanted}
    return np.array([found.get(x, r) for x, r in zip(labels, observed, strict=True)])


def _supposed_volumes(
    observed: np.ndarray,
    labels: Sequence[Labels],
    cube: Cube,
    volumes: object,
    scale: Mapping[object, float] | None,
) -> np.ndarray:
    volume = observed.copy()
    for parameter, given in (("volumes", volumes), ("scale", scale)):
        if given is None:
            continue
        names = ("volume", "planned_volume")
        found = numbers_by_segment(target_columns(given), cube.dimensions, names, parameter)
        _check_there(found, labels, parameter)
        if bad := [" × ".join(x) for x, v in found.items() if v < 0]:
            raise OptionError(f"{parameter}: {listing(bad, most=8)}: negative.")
        for i, x in enumerate(labels):
            if x in found:
                volume[i] = found[x] * (volume[i] if parameter == "scale" else 1.0)
    if not volume.sum() > 0:
        raise OptionError("volumes: nothing is left of the work.")
    return volume


def _check_there(found: Any, there: Any, parameter: str) -> None:
    known = {" × ".join(x) for x in there}
    missing = [" × ".join(x) for x in found if " × ".join(x) not in known]
    if missing:
        raise OptionError(
            f"{parameter}: no segment {listing(missing, most=8)}.{nearest(missing[0], known)} "
            f"There: {listing(sorted(known), most=12)}."
        )


@dataclass(frozen=True, eq=False)
class WhatIf(Filed):
    """The overall KPI as it is and as it would be; made by `attribution.targets.whatif`.

    Attributes
    ----------
    metric : Metric
    by : tuple of str
    period : str
    labels : tuple of tuple of str
    volume_now, volume_then, rate_now, rate_then : ndarray, shape (S,)
    """

    metric: Metric
    by: tuple[str, ...]
    period: str
    labels: tuple[Labels, ...]
    volume_now: np.ndarray
    volume_then: np.ndarray
    rate_now: np.ndarray
    rate_then: np.ndarray
    _parts: Any
    _lines: tuple[tuple[str, str | None, str | None], ...]

    @property
    def baseline(self) -> float:
        """The KPI as it is."""
        return float(self._parts.R[0])

    @property
    def current(self) -> float:
        """The KPI as it would be."""
        return float(self._parts.R[1])

    @property
    def change(self) -> float:
        """What it would move by."""
        return self.current - self.baseline

    @property
    def effects(self) -> pd.DataFrame:
        """The rows of the bridge, `effect, dimension, segment, estimate`, adding up to the change.

        A row of "exit" names the level that leaves.
        """
        import pandas as pd

        frame = pd.DataFrame(self._lines, columns=["effect", "dimension", "segment"], dtype=object)
        return frame.assign(estimate=self._parts.estimate)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per segment: volumes, rates, and what each adds to the change.

        Columns: segment, one per column of `by`, volume_now, volume_then, rate_now, rate_then,
        mix, rate, total. Segments that leave (a volume of 0) have their exit in `total`.
        """
        import pandas as pd

        p0, p1 = (x / x.sum() for x in (self.volume_now, self.volume_then))
        stay = (self.volume_now > 0) & (self.volume_then > 0)
        q0, q1 = (np.where(stay, x, 0.0) / x[stay].sum() for x in (p0, p1))
        R0, R1 = float(q0 @ self.rate_now), float(q1 @ self.rate_then)
        mean = (self.rate_now + self.rate_then) / 2 - (R0 + R1) / 2
        rate = (q0 + q1) / 2 * (self.rate_then - self.rate_now)
        mix = (q1 - q0) * mean
        leaving = np.where(stay, 0.0, p0 * (R0 - self.rate_now))
        names = {d: [x[i] for x in self.labels] for i, d in enumerate(self.by)}
        return pd.DataFrame(
            {
                "segment": [" × ".join(x) for x in self.labels],
                **names,
                "volume_now": self.volume_now,
                "volume_then": self.volume_then,
                "rate_now": self.rate_now,
                "rate_then": self.rate_then,
                "mix": np.where(stay, mix, np.nan),
                "rate": np.where(stay, rate, np.nan),
                "total": np.where(stay, mix + rate, leaving),
            }
        )

    @property
    def message(self) -> str:
        """The headline."""
        form = Format.fitting(self.metric.display_unit, self.change)
        if not self.change:
            return f"{self.metric.label} would stay at {form.level(self.current)}"
        moved = "rise" if self.change > 0 else "fall"
        levels = f"{form.level(self.baseline)} to {form.level(self.current)}"
        return f"{self.metric.label} would {moved} from {levels} ({form.change(self.change)})"

    def bridge(self, *, privacy: Privacy | None = None) -> Bridge:
        """Return the bars that a picture draws.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen: segments that leave and may not be shown are summed into one bar, with
            another bar where there is but one.

        Returns
        -------
        Bridge
        """
        bars = [
            Bar(line_label(*line), float(x), rows=(i,))
            for i, (line, x) in enumerate(zip(self._lines, self._parts.estimate, strict=True))
        ]
        whole = Bridge(
            metric=self.metric.label,
            unit=self.metric.display_unit,
            better=self.metric.better,
            baseline_label=self.period,
            current_label="what if",
            baseline=self.baseline,
            current=self.current,
            bars=tuple(bars),
            notes=("Supposed rates and volumes; no sampling error.",),
            verdict="real",
            message=self.message,
        )
        kept = shown_of_supposition(self, privacy)
        masked = self._parts.members @ np.tile(kept.mask, 2) > 0
        secret = [i for i, line in enumerate(self._parts.lines) if line.levels and masked[i]]
        small = privacy is not None and privacy.min_n > 0
        return without_secret_bars(whole, secret, people=kept.hidden, small=small)

    def summary(self, most: int = 20, *, privacy: Privacy | None = None) -> str:
        """Return headline, effects and what each segment adds as text.

        Parameters
        ----------
        most : int
            Segments shown, those that add most first.
        privacy : Privacy, optional
            Who may be seen; segments that are people are not shown by default.

        Returns
        -------
        str
        """
        form = Format.fitting(self.metric.display_unit, self.change)
        kept = shown_of_supposition(self, privacy)
        lines = [f"{self.message}.", ""]
        for bar in self.bridge(privacy=privacy).bars:
            name = bar.label[0].lower() + bar.label[1:]
            lines.append(f"  {name:<20} {form.change(bar.value):>12}")
        frame = self.frame.assign(segment=list(kept.names))[~kept.mask]
        order = frame["total"].sort_values(key=np.abs, ascending=False, kind="stable").index
        rows = [("", "volume now", "then", "KPI now", "then", "adds")]
        rows += [
            (
                row["segment"],
                f"{row['volume_now']:,.0f}",
                f"{row['volume_then']:,.0f}",
                form.level(row["rate_now"]),
                form.level(row["rate_then"]),
                form.change(row["total"]),
            )
            for row in frame.loc[order[:most]].to_dict(orient="records")
        ]
        if len(rows) > 1:
            lines += ["", *aligned(rows, right=range(1, len(rows[0])))]
        if len(frame) > most:
            lines.append(f"and {len(frame) - most:,} more")
        return "\n".join([*lines, *([""] if kept.said else []), *kept.said])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def __repr__(self) -> str:
        return f"<WhatIf {self.message}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WhatIf):
            return NotImplemented
        same = (self.metric, self.by, self.period, self.labels)
        theirs = (other.metric, other.by, other.period, other.labels)
        return same == theirs and self.frame.equals(other.frame)

    def __hash__(self) -> int:
        return hash((self.metric, self.by, self.period, self.labels))
