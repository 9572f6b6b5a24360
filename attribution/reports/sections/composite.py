"""The section of a composite scorecard: gates first, then the score, then every KPI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attribution.cards.shown import ShownComposite
from attribution.labels import plural
from attribution.privacy.rules import Privacy, without_names
from attribution.reports.sections.section import Column, Section, Table, Tile

if TYPE_CHECKING:
    import pandas as pd

    from attribution.cards import CompositeScorecard

__all__ = ["composite_section"]

_TONES = {"met": "better", "missed": "worse"}


def composite_section(card: CompositeScorecard, privacy: Privacy | None) -> Section:
    """Return what a file shows of a composite scorecard.

    Parameters
    ----------
    card : CompositeScorecard
    privacy : Privacy, optional
        None hides people and suppresses nothing.

    Returns
    -------
    Section
    """
    shown = ShownComposite(card, privacy)
    kept, frame, counted, message = shown.kept, shown.frame, shown.counted, shown.message
    noun = next(iter(card.cards.values())).noun
    gates = counted["gate"].str.split(":").str[0].value_counts()
    tiles = [
        (words, f"{int(gates.get(word, 0)):,}", f"of {len(counted):,} {plural(noun)}")
        for word, words in (
            ("failed", "Gate failed"),
            ("unknown", "Gate unknown"),
            ("open", "Gate open"),
        )
        if card.gates
    ]
    scored = counted["score"].dropna()
    if len(scored):
        tiles.append(("Median score", f"{100 * scored.median():.1f} %", f"{len(scored):,} scored"))
    first = next(iter(card.cards.values()))
    when = f" · {' + '.join(first.current)}" if first.cube.provenance.get("period") else ""
    secret = kept.secret
    findings = [
        {**f, "message": f"{name}: {f['message']}"}
        for name, one in card.cards.items()
        for f in without_names(one.check().to_dict(orient="records"), secret)
    ]
    return Section(
        name=f"KPIs by {noun}",
        message=message,
        subtitle=f"{', '.join(card.cards)} by {noun}{when}",
        tiles=tuple(tiles),
        tables=tuple(_tables(card, frame, counted, message, kept.hidden)),
        notes=(card.note,),
        findings=tuple(findings),
        withheld=kept.withheld,
        provenance=shown.provenance,
    )


def _tables(
    card: CompositeScorecard,
    frame: pd.DataFrame,
    counted: pd.DataFrame,
    message: str,
    hidden: bool,
) -> list[Table]:
    noun, forms = next(iter(card.cards.values())).noun, card.formats
    first = next(iter(forms.values()))
    if hidden:
        gates = counted["gate"].str.split(":").str[0].value_counts()
        rows = [{"gate": word, "count": int(count)} for word, count in gates.items()]
        columns = (Column("gate", "gate", "word"), Column("count", plural(noun), "count"))
        title = f"How many {plural(noun)}, by gate"
        return [Table("Counts", title, columns, tuple(rows), first, message)]
    columns = [
        Column("entity", noun, width=2.0),
        Column("gate", "gate", "word", width=2.0),
        Column("score", "score (%)", "percent"),
        Column("weight_scored", "of weight (%)", "percent"),
    ]
    for i, (name, form) in enumerate(forms.items()):
        unit = f" ({form.unit})" if form.unit else ""
        columns += [
            Column(f"tile{i}", f"{name}{unit}", "tile", "page", width=1.6),
            Column(f"kpi{i}", f"{name}{unit}", "level", "book", format=form),
            Column(f"n{i}", f"{name}: n", "count", "book"),
            Column(f"target{i}", f"{name}: target", "level", "book", format=form),
            Column(f"done{i}", f"{name}: completion (%)", "percent", "book"),
            Column(f"status{i}", f"{name}: status", "word", "book"),
        ]
    kpis = card.kpis.set_index(["entity", "kpi"])
    rows = [_row(card, row, kpis) for row in frame.to_dict(orient="records")]
    title = "Failed gates first, then the lowest score; a missing KPI is missing, not zero"
    return [Table("KPIs", title, tuple(columns), tuple(rows), first, message, bars=("score",))]


def _row(card: CompositeScorecard, row: dict[Any, Any], kpis: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {k: row[k] for k in ("entity", "gate", "score", "weight_scored")}
    for i, (name, form) in enumerate(card.formats.items()):
        one = kpis.loc[(row["true"], name)]
        value, status = float(one["adjusted"]), str(one["status"])
        text = f"{form.number(value)} {status}" if value == value else status
        found |= {
            f"tile{i}": Tile(text, _TONES.get(status, ""), value),
            f"kpi{i}": value,
            f"n{i}": int(one["n"]),
            f"target{i}": float(one["target"]),
            f"done{i}": float(one["completion"]),
            f"status{i}": status,
        }
    return found
