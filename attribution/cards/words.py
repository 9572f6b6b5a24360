"""The words and the shown table of a scorecard, as text and as notebook HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attribution.cards.parts import unit_name
from attribution.formatting import Format, aligned
from attribution.isolated import isolated
from attribution.labels import plural

if TYPE_CHECKING:
    import pandas as pd

    from attribution.cards.card import Scorecard
    from attribution.cards.shown import ShownCard

__all__ = [
    "display_rows",
    "least_expected_first",
    "message",
    "notes",
    "summary",
    "summary_html",
]


def message(shown: ShownCard) -> str:
    """The headline: who stands out, or that nobody does.

    Parameters
    ----------
    shown : ShownCard

    Returns
    -------
    str
    """
    card, frame, form = shown.card, shown.counted, shown.card.format
    nouns = plural(card.entity[0]) if len(card.entity) == 1 else f"{card.noun} entities"
    judged = int((~frame["signal"].isin(["too few", "n/a"])).sum())
    out = frame[frame["signal"].str.contains("worse|better")]
    if not judged:
        return (
            f"{card.metric.label}: none of {int((frame['n'] > 0).sum()):,} {nouns} has the "
            f"{card.min_n} rows that it takes to be judged"
        )
    if not len(out):
        return f"{card.metric.label}: none of {judged:,} {nouns} is outside the funnel limits"
    worse = out[out["signal"].str.startswith("worse")]
    named = worse if len(worse) else out
    which = "worse" if len(worse) else "better"
    worst = named.loc[(named["adjusted"] - card.overall).abs().idxmax()]
    text = f"{card.metric.label}: {len(named):,} of {judged:,} {nouns} {which} than their work "
    if shown.kept.hidden:
        return f"{text}explains"
    gap = form.change(float(worst["adjusted"]) - card.overall)
    return f"{text}explains, {worst['entity']} by {gap}"


def summary(shown: ShownCard, most: int) -> str:
    """Return headline, table and findings as text.

    Parameters
    ----------
    shown : ShownCard
    most : int
        Entities shown, the least expected first.

    Returns
    -------
    str
    """
    rows = display_rows(shown, most)
    table = aligned(rows, right=range(1, len(rows[0])))
    left = len(shown.frame) - (len(rows) - 1)
    if left > 0:
        table.append(f"and {left:,} more")
    worth = [x["message"] for x in shown.findings if x["severity"] in ("warning", "info")]
    more = [*notes(shown.card), *shown.said, *worth]
    return "\n".join([f"{message(shown)}.", "", *table, "", *more])


def display_rows(shown: ShownCard, most: int) -> list[tuple[str, ...]]:
    """Return the table as it is shown, a header first; what is unknown is "n/a".

    Where people are not shown, they are counted by signal.

    Parameters
    ----------
    shown : ShownCard
    most : int

    Returns
    -------
    list of tuple of str
    """
    card, form = shown.card, shown.card.format
    if shown.kept.hidden:
        counted = shown.counted["signal"].value_counts()
        return [("signal", shown.nouns), *((str(x), f"{int(n):,}") for x, n in counted.items())]
    frame = least_expected_first(shown.frame)
    header: tuple[str, ...] = (
        "",
        "n",
        "crude",
        "adjusted",
        "interval",
        "limits 95 %",
        "shrunk",
        "rank",
        "signal",
    )
    targeted = card.goals is not None
    if targeted:
        header = (*header, "target", "completion", "status")
    rows: list[tuple[str, ...]] = [header]
    for row in frame.head(most).to_dict(orient="records"):
        texts: tuple[str, ...] = (
            str(row["entity"]),
            f"{row['n']:,}",
            _level(form, row["crude"]),
            _level(form, row["adjusted"]),
            _between(form, row["conf_low"], row["conf_high"]),
            _between(form, row["limit_low_95"], row["limit_high_95"]),
            _level(form, row["shrunk"]),
            _rank(row) if row["signal"] not in ("too few", "n/a") else "n/a",
            str(row["signal"]),
        )
        if targeted:
            done = row["completion"]
            percent = "n/a" if done != done else f"{100 * done:.1f} %"
            texts = (*texts, _level(form, row["target"]), percent, str(row["status"]))
        rows.append(texts)
    return rows


def least_expected_first(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a card's rows: those outside the limits, the least expected first, then the others."""
    order = {"as expected": 2, "too few": 3, "n/a": 4}
    last = [order.get(x, 0 if "99.8" in x else 1) for x in frame["signal"]]
    far = -frame["z"].abs()
    keys = frame.assign(_last=last, _far=far).sort_values(["_last", "_far"], kind="stable")
    return frame.reindex(keys.index)


def notes(card: Scorecard) -> list[str]:
    """Return the small print: what is compared with what, n, noise, period."""
    s = card.scores
    cells = " × ".join(card.adjust_for) or "nothing"
    widened = {
        "multiplicative": f"widened by √φ, φ = {s.phi:.2f}",
        "additive": f"widened by τ = {card.format.change(card.tau).lstrip('+')}",
        None: "not widened",
    }[card.overdispersion]
    column = card.cube.provenance.get("period")
    period = "" if column is None else f" {column.capitalize()} {' + '.join(card.current)}."
    clusters = "rows" if card.cube.clusters is None else plural(unit_name(card.cube))
    return [
        f"All: {card.format.level(s.overall)}, n = {int(s.n.sum()):,}.{period} Adjusted for "
        f"{cells}: each {card.noun} against the others at its own mix.",
        f"Intervals {100 * card.conf_level:g} % over {clusters}; limits {widened}; ranks hold "
        f"together with {100 * card.conf_level:g} %.",
    ]


def summary_html(shown: ShownCard) -> str:
    """Return headline, table and small print for a notebook; labels are escaped."""
    header, *rows = display_rows(shown, 20)
    cells = "".join(f"<th>{isolated(x)}</th>" for x in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{isolated(x)}</td>" for x in row) + "</tr>" for row in rows
    )
    lines = [*notes(shown.card), *shown.said]
    small = "".join(f"<p><small>{isolated(x)}</small></p>" for x in lines)
    return (
        f"<p><b>{isolated(message(shown))}.</b></p><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table>{small}"
    )


def _level(form: Format, value: float) -> str:
    return form.level(value) if value == value else "n/a"


def _between(form: Format, low: float, high: float) -> str:
    if not (low == low and high == high):
        return "n/a"
    return f"{form.number(low)} to {form.number(high)}"


def _rank(row: Mapping[Any, Any]) -> str:
    low, high = int(row["rank_low"]), int(row["rank_high"])
    return f"{low}–{high}" if low < high else f"{low}"
