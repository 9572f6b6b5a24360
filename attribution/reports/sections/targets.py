"""The sections of targets: a plan, how far it was met, and what would happen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attribution.formatting import Format, p_text
from attribution.privacy.entities import Protected
from attribution.privacy.rules import Privacy, without_names
from attribution.reports.sections.section import (
    Check,
    Column,
    Picture,
    Section,
    Table,
    adding_up,
)
from attribution.targets.shown import (
    JOINED,
    gives_away,
    shown_of_completion,
    shown_of_plan,
    shown_of_supposition,
)

if TYPE_CHECKING:
    from attribution.targets.forward import WhatIf
    from attribution.targets.plans import Targets
    from attribution.targets.reached import Completion

__all__ = ["completion_section", "plan_section", "whatif_section"]


def plan_section(plan: Targets, privacy: Privacy | None) -> Section:
    """Return what a file shows of a plan: its latest version.

    Parameters
    ----------
    plan : Targets
    privacy : Privacy, optional
        None hides people and suppresses nothing.

    Returns
    -------
    Section
    """
    last, form = plan.versions[-1], plan.format
    kept = shown_of_plan(plan, privacy)
    frame = pd.DataFrame(last.columns).assign(segment=list(kept.names), note=list(last.notes))
    frame = frame[~kept.mask]
    unit, steps = _units(form)
    columns = (
        Column("segment", " × ".join(plan.by), width=2.0),
        Column("volume", "planned volume", "count", "book"),
        Column("share", "share (%)", "percent"),
        Column("n", "n", "count"),
        Column("baseline", f"baseline{unit}", "level"),
        Column("target", f"target{unit}", "level"),
        Column("change", f"change{steps}", "change", formula="={target}-{baseline}"),
        Column("floor", f"floor{unit}", "level", "book"),
        Column("bound", f"achievable{unit}", "level", "book"),
        Column("detectable", f"detectable{steps}", "level"),
        Column("n_needed", "n needed", "count"),
        Column("note", "note", width=2.2),
    )
    # What is not shown is a part of the sum.
    checks = (
        [
            Check(
                "Targets at the planned mix", "level", last.overall, "=SUMPRODUCT({share},{target})"
            )
        ]
        if not kept.mask.any()
        else []
    )
    asked = int((np.abs(last.columns["change"]) > 0).sum())
    table = Table(
        "Targets",
        "Targets that roll up to the overall one at the planned mix; detectable is the smallest "
        "change that n can show",
        columns,
        tuple(_rows(frame)),
        form,
        plan.message,
        tuple(checks),
        bars=("change",) if asked else (),
    )
    when = "" if last.effective is None else f" · from {last.effective}"
    return Section(
        name=f"Targets: {plan.metric.label}",
        message=plan.message,
        subtitle=f"{plan.metric.label} by {' × '.join(plan.by)}{when}, version {last.number}",
        tiles=(
            ("Overall target", form.level(last.overall), f"{len(last.labels):,} targets"),
            ("Asked to change", f"{asked:,}", f"of {len(last.labels):,}"),
            ("Divided by", last.method, ""),
        ),
        tables=(table,) if len(frame) else (),
        notes=("No target is tighter than what its volume can show; those are held.",),
        findings=tuple(without_names(plan.check().to_dict(orient="records"), kept.secret)),
        withheld=kept.withheld,
        provenance={"metric": plan.metric.label, "by": list(plan.by), "method": last.method},
    )


def completion_section(done: Completion, privacy: Privacy | None) -> Section:
    """Return what a file shows of how far targets were met, and why they were missed.

    Parameters
    ----------
    done : Completion
    privacy : Privacy, optional
        None hides people and suppresses nothing.

    Returns
    -------
    Section
    """
    form, total, frame = done.format, done.total, done.frame
    kept = shown_of_completion(done, privacy)
    shown = frame.assign(segment=list(kept.names), volume=done.volume)[~kept.mask]
    joined = gives_away(done, kept)
    bridge = done.bridge(privacy=privacy)
    steps = "; ".join(f"{b.label}: {t}" for b, t in zip(bridge.bars, bridge.texts(), strict=True))
    gap = "n/a" if total.gap_closed is None else f"{100 * total.gap_closed:.0f} %"
    reached = "n/a" if total.completion is None else f"{100 * total.completion:.1f} %"
    tables = [_why(done, form, joined), _how_many(done, kept, form), _segments(done, shown, form)]
    return Section(
        name=f"Completion: {done.metric.label}",
        message=done.message,
        subtitle=f"{done.metric.label} by {' × '.join(done.by)} against plan · {done.period}",
        tiles=(
            ("Actual", form.level(total.actual), total.status),
            ("Plan", form.level(total.planned), f"completion {reached}"),
            ("Plan at the actual mix", form.level(total.adjusted), total.status_adjusted),
            ("Gap closed", gap, "from baseline to target"),
        ),
        pictures=(Picture(done.message, f"Waterfall from plan to actual. {steps}", bridge),),
        tables=tuple(x for x in tables if x is not None),
        notes=tuple(done.notes()),
        findings=tuple(without_names(done.check().to_dict(orient="records"), kept.secret)),
        withheld=kept.withheld,
        provenance={"metric": done.metric.label, "by": list(done.by), "period": done.period},
    )


def _why(done: Completion, form: Format, joined: bool) -> Table:
    _, steps = _units(form)
    columns = (
        Column("effect", "why", width=1.6),
        Column("estimate", f"effect{steps}", "change"),
        Column("interval", "interval", "interval", "page"),
        Column("conf_low", "interval from", "change", "book"),
        Column("conf_high", "interval to", "change", "book"),
        Column("p", "p", "text", "page"),
        Column("p_value", "p", "number", "book"),
    )
    rows = [
        row | {"interval": (row["conf_low"], row["conf_high"]), "p": p_text(row["p_value"])}
        for row in _rows(done.effects)
        # All segments have a target and data: nothing entered, nothing left.
        if row["effect"] in ("performance", "mix") or row["estimate"] != 0
    ]
    if joined:
        rest = sum(row["estimate"] for row in rows[1:])
        rows = [rows[0], {"effect": JOINED, "estimate": rest}]
    gap = done.total.actual - done.total.planned
    shown = sum(done.bridge().shown()) / form.factor
    texts = adding_up({row["effect"]: row["estimate"] for row in rows}, shown, form)
    rows = [row | {"_texts": {"estimate": texts[row["effect"]]} if texts else {}} for row in rows]
    check = Check("Actual less plan", "change", gap, "=SUM({estimate})")
    title = "Why: the effects add up to actual less plan"
    return Table("Why", title, columns, tuple(rows), form, checks=(check,))


def _how_many(done: Completion, kept: Protected, form: Format) -> Table:
    columns = [
        Column("status", "status", "word", width=2.0),
        Column("segments", "segments", "count"),
        Column("share_of_segments", "of segments (%)", "percent"),
    ]
    if not kept.mask.any():
        # A status of one segment would give its volume away.
        columns += [
            Column("volume", "volume", "count"),
            Column("share_of_volume", "of volume (%)", "percent"),
        ]
    rows = [row for row in _rows(done.rates) if row["segments"]]
    title = "How many targets are met, by count and by volume"
    return Table("How many", title, tuple(columns), tuple(rows), form)


def _segments(done: Completion, shown: pd.DataFrame, form: Format) -> Table | None:
    if not len(shown):
        return None
    unit, steps = _units(form)
    done_by = "={actual}/{target}" if done.higher else "={target}/{actual}"
    columns = (
        Column("segment", " × ".join(done.by), width=2.0),
        Column("n", "n", "count"),
        Column("share", "share (%)", "percent"),
        Column("planned_share", "planned (%)", "percent"),
        Column("actual", f"actual{unit}", "level"),
        Column("interval", "interval", "interval", "page", width=1.5),
        Column("conf_low", "interval from", "level", "book"),
        Column("conf_high", "interval to", "level", "book"),
        Column("target", f"target{unit}", "level"),
        Column("completion", "completion (%)", "percent", formula=done_by, width=1.4),
        Column("baseline", f"baseline{unit}", "level", "book"),
        Column("gap_closed", "gap closed (%)", "percent", width=1.2),
        Column("status", "status", "word", width=2.0),
        Column("performance", f"performance{steps}", "change", width=1.5),
        Column("mix", f"mix{steps}", "change"),
    )
    order = shown["performance"].add(shown["mix"], fill_value=0).sort_values(kind="stable").index
    rows = [
        row | {"interval": (row["conf_low"], row["conf_high"])} for row in _rows(shown.loc[order])
    ]
    title = "Each segment against its target; performance and mix are what it added to the distance"
    message = f"{done.metric.label} by {' × '.join(done.by)}: where the plan was met and missed"
    return Table("Segments", title, columns, tuple(rows), form, message)


def whatif_section(supposed: WhatIf, privacy: Privacy | None) -> Section:
    """Return what a file shows of a supposition.

    Parameters
    ----------
    supposed : WhatIf
    privacy : Privacy, optional
        None hides people and suppresses nothing.

    Returns
    -------
    Section
    """
    form = Format.fitting(supposed.metric.display_unit, supposed.change)
    kept = shown_of_supposition(supposed, privacy)
    shown = supposed.frame.assign(segment=list(kept.names))[~kept.mask]
    unit, steps = _units(form)
    columns = (
        Column("segment", " × ".join(supposed.by), width=2.0),
        Column("volume_now", "volume now", "count"),
        Column("volume_then", "volume then", "count"),
        Column("rate_now", f"KPI now{unit}", "level"),
        Column("rate_then", f"KPI then{unit}", "level"),
        Column("mix", f"mix{steps}", "change"),
        Column("rate", f"rate{steps}", "change"),
        Column("total", f"total{steps}", "change"),
    )
    checks = (
        (Check("The KPI would move by", "change", supposed.change, "=SUM({total})"),)
        if not kept.mask.any()
        else ()
    )
    order = shown["total"].sort_values(key=np.abs, ascending=False, kind="stable").index
    table = Table(
        "What if",
        "What each segment adds to the change",
        columns,
        tuple(_rows(shown.loc[order])),
        form,
        supposed.message,
        checks,
    )
    bridge = supposed.bridge(privacy=privacy)
    steps_text = "; ".join(
        f"{b.label}: {t}" for b, t in zip(bridge.bars, bridge.texts(), strict=True)
    )
    return Section(
        name=f"What if: {supposed.metric.label}",
        message=supposed.message,
        subtitle=f"{supposed.metric.label} by {' × '.join(supposed.by)} · {supposed.period}",
        tiles=(
            ("Now", form.level(supposed.baseline), ""),
            ("Then", form.level(supposed.current), ""),
            ("Change", form.change(supposed.change), "supposed, without sampling error"),
        ),
        pictures=(Picture(supposed.message, f"Waterfall. {steps_text}", bridge),),
        tables=(table,) if len(shown) else (),
        notes=bridge.notes,
        withheld=kept.withheld,
        provenance={
            "metric": supposed.metric.label,
            "by": list(supposed.by),
            "period": supposed.period,
        },
    )


def _units(form: Format) -> tuple[str, str]:
    return tuple(f" ({x})" if x else "" for x in (form.unit, form.change_unit))  # pyright: ignore[reportReturnType]


def _rows(frame: pd.DataFrame) -> Sequence[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]
