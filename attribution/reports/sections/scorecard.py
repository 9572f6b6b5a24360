"""The section of a scorecard: who stands out, how sure, whether targets are met, since when."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.cards.shown import ShownCard
from attribution.cards.words import least_expected_first, message
from attribution.errors import DataQualityWarning
from attribution.formatting import Format
from attribution.plots.cards import SUPPRESSED, caterpillar_of, funnel_of, subtitle
from attribution.plots.caterpillar import caterpillar
from attribution.plots.funnel import funnel
from attribution.privacy.entities import Protected
from attribution.privacy.rules import Privacy
from attribution.reports.sections.section import (
    Column,
    Picture,
    Section,
    Table,
    Tile,
    adding_up,
    unknown,
)

if TYPE_CHECKING:
    import pandas as pd

    from attribution.cards import Scorecard

__all__ = ["scorecard_section"]

# Beyond this number a picture is pixels, statuses over time and changes are left out or cut.
_DENSE, _MOST_IN_TIME, _MOST_IN_GRID, _MOST_CHANGES = 400, 2_000, 60, 30
_STATUSES = ("met", "missed", "not distinguishable", "too few", "no data", "no reference")
_SIGNALS = (
    "better (99.8 %)",
    "better (95 %)",
    "as expected",
    "worse (95 %)",
    "worse (99.8 %)",
    "too few",
    "n/a",
)


def scorecard_section(card: Scorecard, privacy: Privacy | None) -> Section:
    """Return what a file shows of a scorecard.

    Parameters
    ----------
    card : Scorecard
    privacy : Privacy, optional
        None hides people and suppresses nothing.

    Returns
    -------
    Section
    """
    shown = _Parts(ShownCard(card, privacy))
    tables = [shown.entities(), shown.counts(), shown.changes(), shown.over_time()]
    pictures = [shown.funnel(), shown.caterpillar()]
    return Section(
        name=f"{card.metric.label} by {card.noun}",
        message=shown.message,
        subtitle=subtitle(card),
        tiles=tuple(shown.tiles()),
        pictures=tuple(x for x in pictures if x is not None),
        tables=tuple(x for x in tables if x is not None),
        notes=tuple(card.notes()),
        findings=tuple(shown.shown.findings),
        withheld=(*shown.kept.withheld, *shown.left_out),
        provenance=shown.shown.provenance,
    )


@dataclass(frozen=True)
class _Parts:
    """The parts of the section, from what may be shown of a card."""

    shown: ShownCard

    @property
    def card(self) -> Scorecard:
        return self.shown.card

    @property
    def kept(self) -> Protected:
        return self.shown.kept

    @property
    def frame(self) -> pd.DataFrame:
        return self.shown.frame

    @property
    def counted(self) -> pd.DataFrame:
        return self.shown.counted

    @property
    def nouns(self) -> str:
        return self.shown.nouns

    @property
    def message(self) -> str:
        return message(self.shown)

    @property
    def left_out(self) -> list[str]:
        """Sentences about what is not shown for its size."""
        K = len(self.frame)
        many = K > _MOST_IN_TIME and self._periods > 1
        return [f"Statuses over time are left out: {K:,} {self.nouns}."] if many else []

    @cached_property
    def form(self) -> Format:
        """How levels are written."""
        return self.card.format

    # -- parts ------------------------------------------------------------------------------------

    def tiles(self) -> list[tuple[str, str, str]]:
        """Return the numbers on top."""
        card, signals = self.card, self.counted["signal"]
        judged = int((~signals.isin(["too few", "n/a"])).sum())
        found = [
            (
                f"All {self.nouns}",
                self.form.level(card.overall),
                f"n = {int(card.scores.n.sum()):,}",
            ),
            ("Judged", f"{judged:,} of {len(self.counted):,}", f"at least {card.min_n} rows"),
        ]
        for side in ("worse", "better"):
            out = signals[signals.str.startswith(side)]
            far = int(out.str.contains("99.8").sum())
            words = f"{side.capitalize()} than explained"
            found.append((words, f"{len(out):,}", f"{far:,} beyond the 99.8 % limits"))
        if card.goals is not None:
            status = self.counted["status"].value_counts()
            met, missed = int(status.get("met", 0)), int(status.get("missed", 0))
            found.append(("Target met", f"{met:,}", f"{missed:,} missed"))
        return found

    def funnel(self) -> Picture | None:
        """Return the funnel plot."""
        drawn = self.frame[self.frame["adjusted"].notna()]
        if not len(drawn):
            return None
        made = funnel_of(self.shown)
        out = drawn[drawn["signal"].str.contains("worse|better")]
        named = [f"{e}: {s}" for e, s in zip(out["entity"], out["signal"], strict=True)]
        words = "; ".join(named[:20]) or "none is outside the limits"
        return Picture(
            self.message,
            f"Funnel plot of {len(drawn):,} {self.nouns} by size. {words}.",
            made,
            lambda theme: funnel(made, theme=theme),
            dense=len(drawn) > _DENSE,
        )

    def caterpillar(self) -> Picture | None:
        """Return the intervals, best to worst."""
        if not len(
            self.frame[self.frame["adjusted"].notna() & (self.frame["signal"] != "too few")]
        ):
            return None
        made = caterpillar_of(self.shown)
        return Picture(
            self.message,
            f"Intervals of {len(made.labels):,} {self.nouns} from best to worst; the numbers are "
            "in the table.",
            draw=lambda theme: caterpillar(made, theme=theme),
        )

    def entities(self) -> Table | None:
        """Return the table of entities, those furthest from their expectation first."""
        if not len(self.frame):
            return None
        card, better = self.card, self.card.higher
        frame = least_expected_first(self.frame)
        volume = dict(zip(card.table.index, self._volume, strict=True))
        unit = f" ({self.form.unit})" if self.form.unit else ""
        columns = [
            Column("entity", card.noun, width=2.0),
            Column("n", "n", "count"),
            Column("crude", f"crude{unit}", "level"),
            Column(
                "adjusted",
                f"adjusted{unit}",
                "level",
                formula="={reference}+({observed}-{expected})/{volume}",
            ),
            Column("interval", "interval", "interval", "page", width=1.6),
            Column("conf_low", "interval from", "level", "book"),
            Column("conf_high", "interval to", "level", "book"),
            Column("limits", "limits 95 %", "interval", "page", width=1.6),
            Column("shrunk", f"shrunk{unit}", "level"),
            Column("rank", "rank", "rank", "page"),
            Column("rank_low", "rank from", "count", "book"),
            Column("rank_high", "rank to", "count", "book"),
            Column("signal", "signal", "word", width=1.7),
        ]
        if card.goals is not None:
            done = "={adjusted}/{target}" if better else "={target}/{adjusted}"
            met, missed = ("{conf_low}>={target}", "{conf_high}<{target}")
            if not better:
                met, missed = ("{conf_high}<={target}", "{conf_low}>{target}")
            judged = f'=IF({met},"met",IF({missed},"missed","not distinguishable"))'
            columns += [
                Column("target", f"target{unit}", "level"),
                Column("completion", "completion (%)", "percent", formula=done, width=1.4),
                Column("status", "status", "word", formula=judged, width=2.1),
            ]
        # What the adjusted KPI is worked out from, and the other limits.
        columns += [
            Column("observed", "observed", "number", "book"),
            Column("expected", "expected", "number", "book"),
            Column("ratio", "observed / expected", "number", "book", "={observed}/{expected}"),
            Column("volume", "volume compared", "number", "book"),
            Column("reference", f"reference{unit}", "level", "book"),
            Column("std_error", "standard error", "level", "book"),
            *(
                Column(f"limit_{side}_{level}", f"limit {side} {words}", "level", "book")
                for level, words in (("95", "95 %"), ("998", "99.8 %"))
                for side in ("low", "high")
            ),
        ]
        return Table(
            name="Scorecard",
            title=f"{card.metric.label} by {card.noun}, the least expected first",
            columns=tuple(columns),
            rows=tuple(self._row(i, row, volume) for i, row in frame.iterrows()),  # pyright: ignore[reportArgumentType]
            format=self.form,
            message=self.message,
        )

    @property
    def _volume(self) -> np.ndarray:
        own = self.card.scores.found.volume
        return np.concatenate([own, np.zeros(len(self.card.table) - len(own))])

    def _row(self, i: int, row: pd.Series, volume: dict[int, float]) -> dict[str, Any]:
        found: dict[str, Any] = {k: v for k, v in row.items() if isinstance(k, str)}
        judged = row["signal"] not in ("too few", "n/a")
        limits = row["limit_low_95"], row["limit_high_95"]
        interval = row["conf_low"], row["conf_high"]
        found |= {"interval": interval, "limits": limits, "volume": volume[i]}
        found["rank"] = (row["rank_low"], row["rank_high"]) if judged else None
        if not judged:
            found |= {"rank_low": None, "rank_high": None}
        # Those who are not judged have a status that no formula makes.
        worked_out = row["status"] in ("met", "missed", "not distinguishable")
        return found | {"_values": () if worked_out else ("status",)}

    def counts(self) -> Table | None:
        """Return how many entities have which status, or signal where there are no targets."""
        key = "signal" if self.card.goals is None else "status"
        order = _SIGNALS if key == "signal" else (*_STATUSES, "no target")
        rows = []
        for word in order:
            some = self.counted[self.counted[key] == word]
            if not len(some):
                continue
            rows.append(
                {
                    "word": word,
                    "count": len(some),
                    "share": len(some) / len(self.counted),
                    "n": int(some["n"].sum()),
                }
            )
        if self.kept.mask.any() and not self.kept.hidden:
            gone = self.card.table[self.kept.mask]
            rows.append({"word": "suppressed", "count": len(gone), "n": int(gone["n"].sum())})
        columns = [
            Column("word", key, "word", width=2.0),
            Column("count", self.nouns, "count"),
            Column("share", f"share of {self.nouns} (%)", "percent"),
        ]
        if not self.kept.hidden:
            # With one of them in a row, n would be that of a person.
            columns.append(Column("n", "n", "count"))
        slide = self.message if self.kept.hidden else ""
        title = f"How many {self.nouns}, by {key}"
        return Table("Counts", title, tuple(columns), tuple(rows), self.form, slide)

    def changes(self) -> Table | None:
        """Return the change of each entity since the baseline, split into mix and performance."""
        card = self.card
        if not card.baseline or self.kept.hidden:
            return None
        frame = least_expected_first(self.frame)
        frame = frame[(frame["n"] > 0) & (frame["signal"] != "too few")].head(_MOST_CHANGES)
        if not len(frame):
            return None
        labels = [card.scores.labels[i] for i in frame.index]
        found = card.changes(labels).assign(entity=frame["entity"].tolist())
        largest = float(found["change"].abs().max())
        form = Format.fitting(card.metric.display_unit, largest if largest == largest else 0.0)
        unit = f" ({form.change_unit})" if form.change_unit else ""
        parts = ("mix", "performance", "turnover")
        columns = [Column("entity", card.noun, width=2.2)]
        columns += [Column("baseline", "before", "level"), Column("current", "after", "level")]
        columns.append(Column("change", f"change{unit}", "change", formula="={current}-{baseline}"))
        for part in parts:
            columns.append(Column(part, f"{part}{unit}", "change", width=1.4))
            columns.append(Column(f"{part}_interval", "interval", "interval", "page", width=1.5))
            columns += [
                Column(f"{part}_conf_{end}", f"{part} {words}", "change", "book")
                for end, words in (("low", "from"), ("high", "to"))
            ]
        left = "={change}-({mix}+{performance}+{turnover})"
        columns += [
            Column("left", "left over", "change", "book", left),
            Column("verdict", "verdict"),
            Column("note", "note", "text", "book"),
        ]
        rows = []
        for row in found.to_dict(orient="records"):
            intervals = {
                f"{part}_interval": (row[f"{part}_conf_low"], row[f"{part}_conf_high"])
                for part in parts
            }
            left_over = row["change"] - sum(row[part] for part in parts)
            texts = _displayed(row, parts, form)
            more = {"left": left_over, "_texts": texts}
            rows.append({str(k): v for k, v in row.items()} | intervals | more)
        before, now = " + ".join(card.baseline), " + ".join(card.current)
        slide = f"Since {before}: what is mix, and what each {card.noun}'s own performance"
        title = (
            f"Change from {before} to {now}: mix of the work, own performance, cells left or taken "
            "up; they add up"
        )
        return Table("Changes", title, tuple(columns), tuple(rows), form, slide)

    @property
    def _periods(self) -> int:
        past = self.card.past
        return len(self.card.cube.periods) + (0 if past is None else len(past.periods))

    def over_time(self) -> Table | None:
        """Return the status of every entity in every period, those that missed most on top."""
        card = self.card
        if self._periods < 2 or self.kept.hidden or len(self.frame) > _MOST_IN_TIME:
            return None
        with warnings.catch_warnings():
            # A period that cannot be scored is a column that is not there.
            warnings.simplefilter("ignore", DataQualityWarning)
            frame = self.shown.over_time()
        tones: dict[str, float] = {}
        cells: dict[tuple[str, str], Tile] = {}
        periods = list(dict.fromkeys(frame["period"]))
        for row in frame.to_dict(orient="records"):
            tile = Tile(SUPPRESSED) if row["suppressed"] else self._tile(row)
            name = row["entity"]
            cells[name, row["period"]] = tile
            side = {"worse": -1.0, "better": 1.0}.get(tile.tone, 0.0)
            tones[name] = tones.get(name, 0.0) + side
        order = sorted(tones, key=lambda name: tones[name])[:_MOST_IN_GRID]
        columns = [Column("entity", card.noun, width=2.0)]
        columns += [Column(f"p{i}", period, "tile") for i, period in enumerate(periods)]
        rows = [
            {"entity": name}
            | {f"p{i}": cells[name, p] for i, p in enumerate(periods) if (name, p) in cells}
            for name in order
        ]
        what = "signal" if card.goals is None else "status"
        more = (
            f"; {len(tones) - len(order):,} more in `over_time()`"
            if len(tones) > len(order)
            else ""
        )
        title = f"Adjusted KPI, colored by the {what} of each period by itself{more}"
        slide = f"{card.metric.label}: {what} of each {card.noun} over {len(periods)} periods"
        return Table("Over time", title, tuple(columns), tuple(rows), self.form, slide)

    def _tile(self, row: dict[Any, Any]) -> Tile:
        value = float(row["adjusted"])
        word = str(row["signal"] if self.card.goals is None else row["status"]).split(" (")[0]
        tone = {"met": "better", "missed": "worse", "better": "better", "worse": "worse"}
        if value != value:
            return Tile("n/a")
        return Tile(self.form.number(value), tone.get(word, ""), value)


def _displayed(row: dict[Any, Any], parts: Sequence[str], form: Format) -> dict[str, str]:
    """The change as the difference of what is displayed, and its parts adding up to it."""
    if unknown(row["change"]):
        return {}
    before, after = (round(row[x] * form.factor, form.decimals) for x in ("baseline", "current"))
    change = (after - before) / form.factor
    texts = adding_up({part: row[part] for part in parts}, change, form)
    return texts | {"change": form.number(change, signed=True)}
