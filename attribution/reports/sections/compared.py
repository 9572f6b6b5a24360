"""The sections of comparisons: factors, a driver tree, a trend, groups at the same mix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.formatting import MINUS, p_text
from attribution.privacy import protect_trend
from attribution.privacy.rules import Privacy, without_names
from attribution.reports.sections.section import Check, Column, Picture, Section, Table, adding_up

if TYPE_CHECKING:
    import pandas as pd

    from attribution.bridge import Bridge
    from attribution.drivers import Factors
    from attribution.groups import Standardized
    from attribution.tree_change import TreeChange
    from attribution.trends import Trend

__all__ = ["factors_section", "standardized_section", "tree_section", "trend_section"]

_KNOWN = (
    Column("interval", "interval", "interval", "page", width=1.5),
    Column("conf_low", "interval from", "change", "book"),
    Column("conf_high", "interval to", "change", "book"),
    Column("p", "p", "text", "page"),
    Column("p_adjusted", "p", "number", "book"),
)


def factors_section(change: Factors, privacy: Privacy | None) -> Section:
    """Return what a file shows of the factors of a function; nobody has to be hidden in it.

    Parameters
    ----------
    change : Factors
    privacy : Privacy, optional

    Returns
    -------
    Section
    """
    bridge = change.bridge()
    rows: list[dict[str, Any]] = [
        {
            "factor": row.label,
            "baseline": row.baseline,
            "current": row.current,
            "estimate": row.estimate,
        }
        for row in change.rows
    ]
    if change.residual_shows:
        rows.append({"factor": "Residual", "estimate": change.residual})
    columns = (
        Column("factor", "factor", width=2.0),
        Column("baseline", bridge.baseline_label, "number"),
        Column("current", bridge.current_label, "number"),
        Column("estimate", f"effect{_unit(bridge.format.change_unit)}", "change"),
    )
    table = _adding_up("Factors", "What each factor added to the change", columns, rows, bridge)
    provenance = {"function": change.name, "method": change.method}
    return _of_bridge(change.name, bridge, table, provenance)


def tree_section(change: TreeChange, privacy: Privacy | None) -> Section:
    """Return what a file shows of a driver tree; nobody has to be hidden in it.

    Parameters
    ----------
    change : TreeChange
    privacy : Privacy, optional

    Returns
    -------
    Section
    """
    bridge = change.bridge()
    form, rows = bridge.format, _rows(change.effects.astype({"leaf": str}))
    for row, node, effect in zip(rows, change.nodes, change.shown(), strict=True):
        texts = (*node.texts, form.number(effect / form.factor, signed=True))
        names = ("baseline", "current", "change", "estimate")
        row["_texts"] = dict(zip(names, texts, strict=True))
    columns = (
        Column("path", "place", width=3.0),
        Column("baseline", bridge.baseline_label, "number"),
        Column("current", bridge.current_label, "number"),
        Column("change", "change", "number"),
        Column("unit", "unit"),
        Column("estimate", f"on {change.tree.root}{_unit(form.change_unit)}", "change"),
    )
    title = "What each place of the tree added to the root; children add up to their parent"
    table = Table("Tree", title, columns, tuple(rows), form, bridge.message)
    provenance = {"root": change.tree.root, "method": change.method}
    section = _of_bridge(change.tree.root, bridge, table, provenance)
    tree = Picture(bridge.message, "The tree of the KPI.", draw=lambda t: change.plot(theme=t))
    return Section(**{**vars(section), "pictures": (*section.pictures, tree)})


def trend_section(trend: Trend, privacy: Privacy | None) -> Section:
    """Return what a file shows of a KPI over many periods.

    Parameters
    ----------
    trend : Trend
    privacy : Privacy, optional
        None hides levels that are people and suppresses nothing.

    Returns
    -------
    Section
    """
    from attribution.plots.trend_line import trend_line

    shown, form, message = protect_trend(trend, privacy), trend.format, trend.headline()
    unit, steps = _unit(form.unit), _unit(form.change_unit)
    frame = trend.frame
    periods = (
        Column("period", "period"),
        Column("n", "n", "count"),
        Column("value", f"KPI{unit}", "level"),
        Column("value_interval", "interval", "interval", "page", width=1.5),
        Column("conf_low", "interval from", "level", "book"),
        Column("conf_high", "interval to", "level", "book"),
        Column("baseline", "against"),
        Column("change", f"change{steps}", "change"),
        Column("verdict", "verdict", width=1.5),
    )
    found = [
        row | {"value_interval": (row["conf_low"], row["conf_high"])}
        for row in _rows(frame.astype(object).where(frame.notna(), None))
    ]
    tables = [Table("Periods", "The KPI by period", periods, tuple(found), form, message)]
    lines = (
        Column("effect", "effect"),
        Column("dimension", "dimension"),
        Column("segment", "segment", width=1.5),
        Column("estimate", f"effect{steps}", "change"),
        *_KNOWN,
    )
    pictures = [Picture(message, "The KPI over time.", draw=lambda t: trend_line(trend, theme=t))]
    if trend.total is not None:
        bridge = shown.bridge()
        pictures.insert(0, Picture(message, f"Waterfall. {_words(bridge)}", bridge))
        rows, title = _with_interval(shown.summed), f"What the changes add up to ({trend.path})"
        tables.append(_adding_up("Added up", title, lines, rows, bridge))
    each = tuple(_with_interval(shown.effects))
    columns = (Column("period", "period"), *lines)
    tables.append(Table("Effects", "The bars of each change", columns, each, form))
    tiles = [(f"{x}", form.level(v), "") for x, v in zip(*_ends(frame), strict=True)]
    if trend.total is not None:
        moved = form.step(trend.total.baseline, trend.total.current)
        tiles.append(("Change", form.change(moved), trend.path))
    return Section(
        name=f"Trend: {trend.metric.label}",
        message=message,
        subtitle=f"{trend.metric.label} by {' × '.join(trend.cube.dimensions) or 'nothing'}",
        tiles=tuple(tiles),
        pictures=tuple(pictures),
        tables=tuple(tables),
        notes=tuple(trend.notes()),
        findings=tuple(shown.findings),
        withheld=tuple(shown.withheld),
        provenance=shown.provenance,
    )


def standardized_section(groups: Standardized, privacy: Privacy | None) -> Section:
    """Return what a file shows of groups at the same mix.

    Parameters
    ----------
    groups : Standardized
    privacy : Privacy, optional
        None hides groups that are people and suppresses nothing.

    Returns
    -------
    Section
    """
    form, names = groups.format, groups.cube.periods
    kept, shown = groups.shown(privacy)
    unit, steps = _unit(form.unit), _unit(form.change_unit)
    columns = (
        Column("group", groups.group, width=2.0),
        Column("n", "n", "count"),
        Column("crude", f"crude{unit}", "level"),
        Column("standardized", f"at the same mix{unit}", "level", width=1.5),
        Column("interval", "interval", "interval", "page", width=1.5),
        Column("conf_low", "interval from", "level", "book"),
        Column("conf_high", "interval to", "level", "book"),
    )
    seen = {g: name for g, name, no in zip(names, kept.names, kept.mask, strict=True) if not no}
    pairs = groups.pairs
    pairs = pairs[pairs["baseline"].isin(list(seen)) & pairs["current"].isin(list(seen))]
    pairs = pairs.replace({"baseline": seen, "current": seen})
    between = (
        Column("baseline", "from", width=1.5),
        Column("current", "to", width=1.5),
        Column("effect", "effect"),
        Column("dimension", "dimension"),
        Column("estimate", f"effect{steps}", "change"),
        *_KNOWN,
    )
    title, message = "Each group as it is, and at the mix of all", groups.headline()
    several = "What leads from one group to another; effects add up along any chain of groups"
    tables = (
        Table("Groups", title, columns, tuple(_with_interval(shown)), form, message),
        Table("Pairs", several, between, tuple(_with_interval(pairs)), form),
    )
    return Section(
        name=f"Standardized: {groups.metric.label}",
        message=message,
        subtitle=f"{groups.metric.label} by {groups.group}",
        tables=tuple(table for table in tables if table.rows),
        notes=(f"{100 * groups.conf_level:g} % intervals; p over all pairs by Holm.",),
        findings=tuple(without_names(groups.check().to_dict(orient="records"), kept.secret)),
        withheld=kept.withheld,
        provenance={
            "metric": groups.metric.label,
            "group": groups.group,
            "by": list(groups.cube.dimensions),
            "sha256": groups.cube.digest(),
        },
    )


def _of_bridge(name: str, bridge: Bridge, table: Table, provenance: dict[str, Any]) -> Section:
    form = bridge.format
    return Section(
        name=name,
        message=bridge.message,
        subtitle=f"{bridge.current_label} against {bridge.baseline_label}",
        tiles=(
            (bridge.baseline_label, form.level(bridge.baseline), ""),
            (bridge.current_label, form.level(bridge.current), ""),
            ("Change", form.change(bridge.change), "without sampling error"),
        ),
        pictures=(Picture(bridge.message, f"Waterfall. {_words(bridge)}", bridge),),
        tables=(table,),
        notes=bridge.notes,
        provenance=provenance,
    )


def _adding_up(
    name: str, title: str, columns: tuple[Column, ...], rows: list[dict[str, Any]], bridge: Bridge
) -> Table:
    """A table whose displayed effects add up to the displayed change."""
    form = bridge.format
    parts = {str(i): row["estimate"] for i, row in enumerate(rows)}
    texts = adding_up(parts, form.step(bridge.baseline, bridge.current), form)
    for i, row in enumerate(rows):
        rows[i] = _exact(row, {"estimate": texts[str(i)]} if texts else {})
    check = Check("Change", "change", bridge.change, "=SUM({estimate})")
    return Table(name, title, columns, tuple(rows), form, bridge.message, (check,))


def _exact(row: dict[str, Any], texts: dict[str, str] | None = None) -> dict[str, Any]:
    """A row with the factors themselves to six digits, whatever their size."""
    own = {
        key: f"{row[key]:,.6g}".replace("-", MINUS)
        for key in ("baseline", "current")
        if isinstance(row.get(key), float) and np.isfinite(row[key])
    }
    return row | {"_texts": own | (texts or {})}


def _with_interval(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        row
        | {"interval": (row["conf_low"], row["conf_high"])}
        | ({"p": p_text(row["p_adjusted"])} if "p_adjusted" in row else {})
        for row in _rows(frame)
    ]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]


def _ends(frame: pd.DataFrame) -> tuple[list[str], list[float]]:
    ends = frame.iloc[[0, -1]]
    return ends["period"].tolist(), ends["value"].tolist()


def _words(bridge: Bridge) -> str:
    return "; ".join(f"{b.label}: {t}" for b, t in zip(bridge.bars, bridge.texts(), strict=True))


def _unit(unit: str) -> str:
    return f" ({unit})" if unit else ""
