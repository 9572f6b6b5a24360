"""The files of one review: an index, a report per KPI, one deck, one workbook, pictures, tables.

Written to a temporary sibling and renamed, so that at any moment the previous output is whole. The
same inputs give the same bytes: nothing in the folder knows when or how fast it was made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.config import Kpi, ReviewConfig
from attribution.monthly.actions import write_actions
from attribution.monthly.messages import as_dict, counts, remarks, tone
from attribution.monthly.runs import KpiReview, privacy_of
from attribution.monthly.workbook import write_workbook
from attribution.reports.folder import replace_folder
from attribution.reports.pptx import deck_of_all

if TYPE_CHECKING:
    from attribution.monthly.job import Reviewed

__all__ = ["planned_files", "slug", "write_folder"]

_PICTURES = ("png", "svg")
_ALWAYS = ("actions.csv", "index.html", "manifest.json", "review.json", "summary.md")


def slug(name: str) -> str:
    """Return a name that is safe as a file name on any system.

    Examples
    --------
    >>> slug("AHT (s) / p90"), slug("准确率")
    ('aht-s-p90', '准确率')
    """
    return re.sub(r"[^\w]+", "-", name.casefold()).strip("-")[:80] or "kpi"


def _slugs(kpis: Iterable[Kpi]) -> dict[str, str]:
    """A file name for every KPI, no two alike."""
    found: dict[str, str] = {}
    for kpi in kpis:
        name, number = slug(kpi.name), 2
        while name in found.values():
            name, number = f"{slug(kpi.name)}-{number}", number + 1
        found[kpi.name] = name
    return found


def planned_files(config: ReviewConfig, kpis: Sequence[Kpi]) -> list[str]:
    """Return the files of a review in which every KPI has an answer.

    Parameters
    ----------
    config : ReviewConfig
    kpis : sequence of Kpi

    Returns
    -------
    list of str
    """
    names, wanted = list(_slugs(kpis).values()), config.output
    files = [*_ALWAYS]
    files += [f"charts/{n}-bridge.{x}" for n in names for x in _PICTURES if wanted.charts]
    files += ["workbook.xlsx"] * wanted.xlsx + ["deck.pptx"] * wanted.pptx
    files += [f"kpis/{n}.html" for n in names if wanted.html]
    files += [f"kpis/{n}.xlsx" for n in names if wanted.xlsx]
    files += [f"tidy/{n}/" for n in names if wanted.tidy]
    return sorted(files)


def write_folder(
    done: Reviewed, each: Callable[..., Iterable], note: Callable[[str], None]
) -> None:
    """Write the folder of a period.

    Parameters
    ----------
    done : Reviewed
    each : callable
        Maps a function over arguments, as `map` does.
    note : callable
        Gets a line of text per part.
    """

    def write(folder: Path) -> None:
        names = _slugs(k.kpi for k in done.kpis)
        answered = [k for k in done.kpis if k.main is not None]
        if done.config.output.charts:
            (folder / "charts").mkdir()
        slugs = [names[k.kpi.name] for k in answered]
        for name in each(_write_kpi, answered, repeat(folder), slugs, repeat(done.config)):
            note(f"{name}: files written")
        if done.config.output.xlsx:
            write_workbook(done, folder / "workbook.xlsx")
        if done.config.output.pptx:
            _write_deck(done, folder / "deck.pptx")
        note("deck and workbook written")
        (folder / "summary.md").write_text(done.markdown() + "\n", encoding="utf-8")
        write_actions(done.actions, folder / "actions.csv")
        (folder / "review.json").write_text(_json(as_dict(done)), encoding="utf-8")
        (folder / "manifest.json").write_text(_json(_manifest(done)), encoding="utf-8")
        files = sorted(p.name for p in folder.iterdir() if p.is_file() and p.suffix != ".html")
        (folder / "index.html").write_text(_index(done, names, files), encoding="utf-8")

    if done.folder is not None:
        replace_folder(done.folder, write)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _write_kpi(k: KpiReview, folder: Path, name: str, config: ReviewConfig) -> str:
    """Write the files of one KPI and return its name."""
    from attribution.plots import save

    change, wanted = k.main, config.output
    if change is None:
        return k.kpi.name
    privacy = privacy_of(config)
    if wanted.charts:
        for suffix in _PICTURES:
            save(change.plot.waterfall(), folder / "charts" / f"{name}-bridge.{suffix}")
    if wanted.html:
        change.to_html(folder / "kpis" / f"{name}.html", privacy=privacy)
    if wanted.xlsx:
        change.to_excel(folder / "kpis" / f"{name}.xlsx", privacy=privacy)
    if wanted.tidy:
        change.to_tidy(folder / "tidy" / name, privacy=privacy)
    return k.kpi.name


def _write_deck(done: Reviewed, path: Path) -> None:
    """One deck: the slides of each KPI's first comparison behind those of the KPI before."""
    first = [next((c.shown for c in k.compared if c.shown is not None), None) for k in done.kpis]
    title = f"{done.config.review.title}, {done.period}"
    shown = [one for one in first if one is not None]
    if shown:
        deck_of_all(shown, path, title, template=done.config.output.template)


def _manifest(done: Reviewed) -> dict[str, Any]:
    """Everything that the folder depends on, and how far parts are from their totals."""
    from attribution import __version__

    residuals = {
        k.kpi.name: max(
            abs(float(c.change.effects["estimate"].sum()) - c.change.total.change)
            for c in k.compared
            if c.change is not None
        )
        for k in done.kpis
        if k.main is not None
    }
    return {
        "version": __version__,
        "period": done.period,
        "seed": done.config.review.seed,
        "inputs": list(done.inputs),
        "residuals": {name: float(f"{x:.1g}") for name, x in residuals.items()},
        # As written in the file: variables of the environment by their names.
        "config": done.config.model_dump(mode="json"),
    }


def _index(done: Reviewed, names: dict[str, str], files: Sequence[str]) -> str:
    import jinja2

    from attribution import __version__

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attribution.monthly", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html.jinja").render(
        title=done.config.review.title,
        period=done.period,
        counts=counts(done),
        files=files,
        tiles=[_tile(k, names, done.config.output.html) for k in done.kpis],
        restated=_restated(done),
        actions=done.actions,
        findings=[{"kpi": k.kpi.name, **f} for k in done.kpis for f in k.findings],
        version=__version__,
    )


def _tile(k: KpiReview, names: dict[str, str], linked: bool) -> dict[str, Any]:
    import markupsafe

    answers = []
    for c in k.compared:
        answer = {"words": c.comparison.words, "failure": c.failure and c.failure.message}
        if c.change is not None:
            f = c.change.format
            shown = [round(x * f.factor, f.decimals) / f.factor for x in _ends(c.change)]
            answer |= {
                "change": f.change(shown[1] - shown[0]),
                "verdict": c.change.verdict,
                "tone": tone(c),
            }
        answers.append(answer)
    return {
        "name": k.kpi.name,
        "status": k.status,
        "failure": k.failure and k.failure.message,
        "value": k.format.level(k.value),
        "link": f"kpis/{names[k.kpi.name]}.html" if k.main is not None and linked else None,
        "answers": answers,
        "breaches": k.breaches,
        "remarks": remarks(k),
        "sparkline": markupsafe.Markup(_sparkline(k)),
    }


def _ends(change: Any) -> tuple[float, float]:
    return change.total.baseline, change.total.current


def _sparkline(k: KpiReview) -> str:
    """The KPI over its periods as a small line; gaps where it has no value."""
    points = [(i, v) for i, (v, _) in enumerate(k.values.values()) if v == v]
    if len(points) < 2:
        return ""
    low, high = min(v for _, v in points), max(v for _, v in points)
    last, span = max(len(k.values) - 1, 1), (high - low) or 1.0
    at = [f"{2 + 196 * i / last:.1f},{36 - 32 * (v - low) / span:.1f}" for i, v in points]
    f, periods = k.format, list(k.values)
    text = f"{periods[0]} to {periods[-1]}, from {f.level(low)} to {f.level(high)}"
    x, y = at[-1].split(",")
    return (
        f'<svg viewBox="0 0 200 40" role="img" aria-label="{_escaped(text)}" '
        'preserveAspectRatio="none"><polyline fill="none" stroke="currentColor" '
        f'stroke-width="1.5" vector-effect="non-scaling-stroke" points="{" ".join(at)}"/>'
        f'<circle cx="{x}" cy="{y}" r="2" fill="currentColor"/></svg>'
    )


def _escaped(text: str) -> str:
    import html

    return html.escape(text, quote=True)


def _restated(done: Reviewed) -> list[dict[str, str]]:
    rows = []
    for k in done.kpis:
        f = k.format
        rows += [
            {
                "kpi": k.kpi.name,
                "period": r.period,
                "was": f.level(r.was),
                "now": f.level(r.now),
                "n_was": f"{r.n_was:,.0f}",
                "n_now": f"{r.n_now:,.0f}",
            }
            for r in k.restated
        ]
    return rows
