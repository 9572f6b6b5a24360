"""The command `attribution`: explain, check, demo. Results go to stdout, messages to stderr."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution import errors

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["app", "main"]

DATA_BROKEN = 3
INTERNAL = 4
_USAGE = (
    errors.OptionError,
    errors.ColumnNotFoundError,
    errors.ColumnTypeError,
    errors.ExpressionError,
    errors.PeriodError,
    errors.MissingFileError,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Why an operations KPI moved: exact mix and rate bridges with honest intervals.",
)

File = Annotated[
    str, typer.Argument(help="A path or glob (.parquet .csv .csv.gz), or one SELECT statement.")
]
MetricText = Annotated[
    str, typer.Option("--metric", help='"correct / reviewed", or "ratio(seconds / decisions)".')
]
By = Annotated[str, typer.Option("--by", help="The dimensions, separated by commas.")]
PeriodColumn = Annotated[
    str,
    typer.Option("--period", help='The column of the periods, or "month of decided_at".'),
]
Baseline = Annotated[list[str], typer.Option("--baseline", help="Repeat it to pool values.")]
Current = Annotated[list[str], typer.Option("--current", help="Repeat it to pool values.")]
Cluster = Annotated[
    str | None,
    typer.Option(help="The column of independent units, such as moderator_id; a,b for two-way."),
]
Weight = Annotated[
    str | None, typer.Option(help='A column of row weights, or "1 / inclusion_prob".')
]
Where = Annotated[str | None, typer.Option(help="A condition, \"design == 'random'\".")]
Name = Annotated[str | None, typer.Option(help="What to call the KPI.")]
Better = Annotated[str, typer.Option(help='"higher" or "lower".')]
Unit = Annotated[str | None, typer.Option(help="The KPI's unit; a rate is shown in %.")]
Method = Annotated[str, typer.Option(help="midpoint, threefold, baseline or current.")]
Rates = Annotated[str, typer.Option(help="auto, saturated, additive or pairs.")]
Volume = Annotated[
    str | None, typer.Option(help="A file of full counts by period and dimensions: a known mix.")
]
InferenceKind = Annotated[str, typer.Option("--inference", help="analytic or bootstrap.")]
Adjust = Annotated[str, typer.Option(help="max-t, holm, bh or none: p-values of one view.")]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]
Material = Annotated[
    float | None, typer.Option(help="The smallest change that matters, in KPI units.")
]
ConfLevel = Annotated[float, typer.Option(help="The confidence level of intervals.")]
OnInvalid = Annotated[str, typer.Option(help="raise, or drop with a warning.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from attribution import __version__

        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(2)


@app.command()
def explain(
    file: File,
    metric: MetricText,
    by: By,
    period: PeriodColumn,
    baseline: Baseline,
    current: Current,
    cluster: Cluster = None,
    weight: Weight = None,
    volume: Volume = None,
    where: Where = None,
    name: Name = None,
    better: Better = "higher",
    unit: Unit = None,
    method: Method = "midpoint",
    rates: Rates = "auto",
    inference: InferenceKind = "analytic",
    conf_level: ConfLevel = 0.95,
    adjust: Adjust = "max-t",
    material: Material = None,
    seed: Seed = 0,
    on_invalid: OnInvalid = "raise",
    out: Annotated[
        Path | None, typer.Option(help="A folder for summary, tables, JSON and pictures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain why a KPI changed between two periods."""
    change = _change(
        file,
        (metric, name, better, unit),
        by=_listed(by),
        period=period,
        baseline=baseline,
        current=current,
        cluster=_listed(cluster) if cluster else None,
        weight=weight,
        volume=volume,
        where=where,
        method=method,
        rates=rates,
        inference=inference,
        conf_level=conf_level,
        adjust=None if adjust == "none" else adjust,
        material=material,
        rng=seed,
        on_invalid=on_invalid,
    )
    if out is not None:
        from attribution.reports.folder import replace_folder, write_results

        written = replace_folder(out, lambda folder: write_results(change, folder))
        _say(f"Wrote {written}/")
    print(change.to_json() if as_json else change.summary())


@app.command()
def check(
    file: File,
    metric: MetricText,
    by: By,
    period: PeriodColumn,
    baseline: Baseline,
    current: Current,
    cluster: Cluster = None,
    weight: Weight = None,
    volume: Volume = None,
    where: Where = None,
    rates: Rates = "auto",
    on_invalid: OnInvalid = "raise",
    as_json: AsJson = False,
) -> None:
    """Print the data-quality findings only."""
    change = _change(
        file,
        (metric, None, "higher", None),
        by=_listed(by),
        period=period,
        baseline=baseline,
        current=current,
        cluster=_listed(cluster) if cluster else None,
        weight=weight,
        volume=volume,
        where=where,
        rates=rates,
        on_invalid=on_invalid,
    )
    if as_json:
        print(json.dumps(change.to_dict()["findings"], ensure_ascii=False, indent=1))
        return
    for finding in change.check().itertuples():
        print(f"[{finding.severity}] {finding.code}: {finding.message}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("out/demo"),
) -> None:
    """Run the whole job on simulated data that ships with the package: why did accuracy fall?"""
    import attribution as at
    from attribution.datasets.export import write_tables
    from attribution.reports.folder import replace_folder, write_results

    _say("Simulating four months of a moderation operation (60,000 decisions a month) ...")
    reviews = at.datasets.simulate_moderation("standard", months=4).qa_reviews
    change = at.explain(
        reviews,
        at.Rate("correct", "reviewed", name="Accuracy"),
        by=["queue", "policy", "market", "tenure"],
        period="month",
        baseline="2025-03",
        current="2025-04",
        cluster="moderator_id",
        weight="weight",
        where=_NOT_COACHING,
    )

    def write(folder: Path) -> None:
        write_results(change, folder)
        write_tables({"reviews": reviews[_DEMO_COLUMNS]}, folder, "parquet")

    folder = replace_folder(out, write)
    print(change.summary())
    _say(f"\nWrote {folder}/: {', '.join(sorted(p.name for p in folder.glob('[!.]*')))}")
    _say(
        f"The same on a file:\n  uv run attribution explain {folder}/reviews.parquet "
        '--metric "correct / reviewed" --by queue,policy,market,tenure --period month '
        "--baseline 2025-03 --current 2025-04 --cluster moderator_id --weight weight "
        f'--where "{_NOT_COACHING}"'
    )


_NOT_COACHING = "design != 'targeted'"
_DEMO_COLUMNS = [
    "month",
    "moderator_id",
    "queue",
    "policy",
    "market",
    "tenure",
    "design",
    "weight",
    "correct",
    "reviewed",
]


def _change(file: str, kpi: tuple[str, str | None, str, str | None], **asked: Any) -> Attribution:
    from dataclasses import replace

    import attribution as at
    from attribution.metrics import as_metric

    text, name, better, unit = kpi
    return at.explain(file, replace(as_metric(text), name=name, better=better, unit=unit), **asked)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and turn errors into exit codes: 2 usage, 3 data contract, 4 internal."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", errors.AttributionWarning)
        warnings.showwarning = lambda message, *_, **__: _say(f"Warning: {message}")
        try:
            app(arguments)
        except _USAGE as error:
            _say(f"Error: {error}")
            raise SystemExit(2) from None
        except errors.AttributionError as error:
            _say(f"Error: {error}")
            raise SystemExit(DATA_BROKEN) from None
        except KeyboardInterrupt:
            _say("Interrupted.")
            raise SystemExit(130) from None
        except Exception as error:
            _say(f"Internal error: {type(error).__name__}: {error}. Please report it.")
            raise SystemExit(INTERNAL) from error
