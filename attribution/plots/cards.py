"""The pictures of a scorecard: what its table says, as a funnel, a caterpillar, a heatmap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from attribution.cards.shown import ShownCard
from attribution.cards.words import message
from attribution.errors import OptionError
from attribution.formatting import Format
from attribution.plots.caterpillar import Caterpillar, caterpillar
from attribution.plots.funnel import Funnel, funnel
from attribution.plots.grid import Cell, Grid, draw_grid, plan_grid
from attribution.plots.page import POINTS_PER_INCH, Key, Words, place_size
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from attribution.cards import Scorecard
    from attribution.privacy import Privacy

__all__ = ["SUPPRESSED", "CardPlots", "caterpillar_of", "funnel_of", "subtitle"]

# What stands for a number that is suppressed.
SUPPRESSED = "×"
_IMPACT = {"met": 1.0, "missed": -1.0}


@dataclass(frozen=True)
class CardPlots:
    """The pictures of a scorecard, as ``card.plot``.

    Entities that are people are not drawn unless ``card.plot(privacy=...)`` says otherwise.
    """

    card: Scorecard
    privacy: Privacy | None = None

    def __call__(self, *, privacy: Privacy) -> CardPlots:
        """Return the pictures with another rule for who may be seen.

        ``people.plot(privacy=at.Privacy(people="pseudonyms", key=...)).funnel()``
        """
        return replace(self, privacy=privacy)

    @property
    def _shown(self) -> ShownCard:
        """What may be drawn.

        Raises
        ------
        OptionError
            Entities are people, and nobody asked for them.
        """
        shown = ShownCard(self.card, self.privacy)
        shown.check_named()
        return shown

    def funnel(self, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
        """Draw each entity's adjusted KPI by its size; see `attribution.plots.funnel`."""
        return funnel(funnel_of(self._shown), ax, theme=theme)

    def caterpillar(
        self, ax: Axes | None = None, *, most: int = 40, theme: Theme | None = None
    ) -> Axes:
        """Draw entities from best to worst with their intervals, at most `most` of them.

        Beyond it those nearest to their expectation are left out, and counted.
        """
        return caterpillar(caterpillar_of(self._shown, most), ax, theme=theme)

    def status(self, ax: Axes | None = None, *, most: int = 30, theme: Theme | None = None) -> Axes:
        """Draw the status of every entity in every period, those that missed most often on top.

        Cells hold the adjusted KPI. Without targets, colors say which funnel limits are crossed.
        """
        theme = look(ax, theme)
        pen, card, shown = Pen.of(theme), self.card, self._shown
        frame, form = shown.over_time(), _format(_compared(shown.frame), card)
        targeted = card.goals is not None
        if targeted:
            frame["impact"] = [_IMPACT.get(x, 0.0) for x in frame["status"]]
        else:
            frame["impact"] = [float(np.nan_to_num(_signal(x))) / 2 for x in frame["signal"]]
        sums = frame.groupby("entity")["impact"].sum().sort_values(kind="stable")
        rows, columns = tuple(sums.index[:most]), tuple(dict.fromkeys(frame["period"]))
        at = {(row["entity"], row["period"]): row for row in frame.to_dict(orient="records")}
        cells = [[_cell(at.get((row, column)), form) for column in columns] for row in rows]
        grid = Grid(rows, columns, cells)
        words = _status_words(shown, pen, targeted, len(sums) - len(rows), [*rows, *columns])
        with theme.context():
            plan = plan_grid(grid, words, pen, None if ax is None else place_size(ax))
            if not plan.fits and ax is not None:
                width, height = (x / POINTS_PER_INCH for x in plan.size)
                raise OptionError(
                    f"ax: {width:.1f} x {height:.1f} inches is too small for {len(rows)} entities "
                    f"in {len(columns)} periods. Leave it out, or show fewer (most=)."
                )
            return draw_grid(grid, plan, ax, pen)


def funnel_of(shown: ShownCard) -> Funnel:
    """Return what a funnel plot of a card draws.

    Parameters
    ----------
    shown : ShownCard

    Returns
    -------
    Funnel
    """
    card, frame = shown.card, _compared(shown.frame)
    limits = ("limit_low_95", "limit_high_95", "limit_low_998", "limit_high_998")
    return Funnel(
        labels=tuple(frame["entity"]),
        n=frame["n"].to_numpy(float),
        value=frame["adjusted"].to_numpy(float),
        limits=np.stack([frame[x].to_numpy(float) for x in limits]),
        center=card.overall,
        impact=np.array([_signal(x) for x in frame["signal"]]),
        format=_format(frame, card),
        title=message(shown),
        subtitle=subtitle(card),
        notes=(*shown.kept.withheld, *card.notes()),
    )


def caterpillar_of(shown: ShownCard, most: int = 40) -> Caterpillar:
    """Return what a caterpillar plot of a card draws: those furthest from expectation.

    Parameters
    ----------
    shown : ShownCard
    most : int

    Returns
    -------
    Caterpillar
    """
    card, frame = shown.card, _compared(shown.frame)
    frame = frame[frame["signal"] != "too few"]
    kept = frame["z"].abs().sort_values(ascending=False, kind="stable").index[:most]
    left = len(frame) - len(kept)
    frame = frame.loc[kept].sort_values("adjusted", ascending=not card.higher, kind="stable")
    low, high = frame["conf_low"].to_numpy(float), frame["conf_high"].to_numpy(float)
    sign = 1.0 if card.higher else -1.0
    ranks = [
        f"{a}–{b}" if a < b else f"{a}"
        for a, b in zip(frame["rank_low"], frame["rank_high"], strict=True)
    ]
    note = [f"{left:,} entities nearer to their expectation are not shown."] if left else []
    return Caterpillar(
        labels=tuple(frame["entity"]),
        value=frame["adjusted"].to_numpy(float),
        low=low,
        high=high,
        ranks=tuple(ranks),
        target=frame["target"].to_numpy(float),
        center=card.overall,
        impact=sign * ((low > card.overall) * 1.0 - (high < card.overall)),
        format=_format(frame, card),
        title=message(shown),
        subtitle=subtitle(card),
        notes=(*note, *shown.kept.withheld, *card.notes()),
    )


def _compared(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["adjusted"].notna()]


def _format(frame: pd.DataFrame, card: Scorecard) -> Format:
    spread = float(np.ptp(frame["adjusted"])) if len(frame) else 0.0
    return Format.fitting(card.metric.display_unit, spread)


def _signal(text: str) -> float:
    if text in ("too few", "n/a"):
        return float("nan")
    side = 1.0 if text.startswith("better") else -1.0 if text.startswith("worse") else 0.0
    return side * (2.0 if "99.8" in text else 1.0)


def subtitle(card: Scorecard, period: bool = True) -> str:
    """Return what is shown, in which unit, by whom, when."""
    unit = f" in {card.metric.display_unit}" if card.metric.display_unit else ""
    lower = " (lower is better)" if card.metric.better == "lower" else ""
    cells = f", adjusted for {' × '.join(card.adjust_for)}" if card.adjust_for else ""
    dated = period and card.cube.provenance.get("period") is not None
    when = f" · {' + '.join(card.current)}" if dated else ""
    return f"{card.metric.label}{unit}{lower} by {card.noun}{cells}{when}"


def _cell(row: dict | None, form: Format) -> Cell | None:
    if row is None:
        return None
    value, impact = float(row["adjusted"]), float(row["impact"])
    if row["suppressed"]:
        return Cell(SUPPRESSED, 0.0, pale=True, sure=False)
    text = form.number(value) if value == value else "n/a"
    few = row["status"] in ("too few", "no data", "no reference")
    return Cell(text, impact, pale=few, sure=impact != 0)


def _status_words(
    shown: ShownCard, pen: Pen, targeted: bool, left: int, labels: list[str]
) -> Words:
    card, headline = shown.card, message(shown)
    theme = pen.theme
    gray = theme.tint(theme.neutral, 0.3)
    if targeted:
        keys = [Key("■", theme.good, "met"), Key("■", theme.bad, "missed")]
        keys.append(Key("■", gray, "not distinguishable, or not judged"))
    else:
        keys = [Key("■", theme.good, "better than the limits"), Key("■", theme.bad, "worse")]
        keys.append(Key("■", gray, "as expected, or not judged"))
    notes = [f"{left:,} entities that missed less often are not shown."] if left else []
    notes += [*shown.kept.withheld, *card.notes()]
    if pen.lacks([headline, *labels]):
        notes.append(MISSING_NOTE)
    what = "status" if targeted else "signal"
    line = f"{subtitle(card, period=False)}; {what} of each period by itself"
    title = _target_message(shown) if targeted else headline
    return Words(title, line, tuple(keys), tuple(notes))


def _target_message(shown: ShownCard) -> str:
    card, counted = shown.card, shown.counted["status"].value_counts()
    met, missed = (int(counted.get(x, 0)) for x in ("met", "missed"))
    judged = met + missed + int(counted.get("not distinguishable", 0))
    return (
        f"{card.metric.label}: {met:,} of {judged:,} met the target in {' + '.join(card.current)}, "
        f"{missed:,} missed it"
    )
