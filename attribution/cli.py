"""The command `attribution`: explain, check, review, demo. Results to stdout, else stderr."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution import errors

if TYPE_CHECKING:
    from attribution.privacy import Privacy
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
    errors.LockedError,
)

app: typer.Typer = typer.Typer(
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
By = Annotated[
    str,
    typer.Option(
        "--by", help='The dimensions, separated by commas; "market within region" in a hierarchy.'
    ),
]
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
Better = Annotated[
    str | None, typer.Option(help='"higher" or "lower"; by default as the metric has it.')
]
Unit = Annotated[str | None, typer.Option(help="The KPI's unit; a rate is shown in %.")]
Method = Annotated[str, typer.Option(help="midpoint, threefold, baseline or current.")]
Mix = Annotated[
    str, typer.Option(help="How mix is divided: adjusted, shapley, das_gupta or ordered.")
]
Order = Annotated[
    str | None,
    typer.Option(help="For --mix ordered: all dimensions, the one decided first in front."),
]
Rates = Annotated[str, typer.Option(help="auto, saturated, additive or pairs.")]
Pairs = Annotated[
    str | None,
    typer.Option(help='For --rates pairs: "queue:market,queue:tenure"; else the significant ones.'),
]
Mapping = Annotated[
    list[str] | None,
    typer.Option("--mapping", help='Levels that are one, "policy: old = new"; may be repeated.'),
]
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
Timeout = Annotated[
    float | None, typer.Option(help="Seconds after which a statement is stopped on its engine.")
]
MinN = Annotated[
    int,
    typer.Option("--min-n", help="Groups of fewer rows in a period are suppressed; 0 is none."),
]
People = Annotated[
    str,
    typer.Option(
        help="Levels that are people: hidden, pseudonyms (their key is the environment variable "
        "ATTRIBUTION_KEY) or names."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say what goes on.")]


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
    mapping: Mapping = None,
    name: Name = None,
    better: Better = None,
    unit: Unit = None,
    method: Method = "midpoint",
    mix: Mix = "adjusted",
    order: Order = None,
    rates: Rates = "auto",
    pairs: Pairs = None,
    inference: InferenceKind = "analytic",
    conf_level: ConfLevel = 0.95,
    adjust: Adjust = "max-t",
    material: Material = None,
    seed: Seed = 0,
    on_invalid: OnInvalid = "raise",
    timeout: Timeout = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for summary, tables, JSON and pictures.")
    ] = None,
    min_n: MinN = 0,
    people: People = "hidden",
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Explain why a KPI changed between two periods."""
    privacy = _privacy(people, min_n)
    change = _change(
        file,
        (metric, name, better, unit),
        by=_dimensions(by),
        period=period,
        baseline=baseline,
        current=current,
        cluster=_listed(cluster) if cluster else None,
        weight=weight,
        volume=volume,
        where=where,
        mapping=_merged(mapping),
        method=method,
        mix=mix,
        order=_listed(order) if order else None,
        rates=rates,
        pairs=_pairs(pairs),
        inference=inference,
        conf_level=conf_level,
        adjust=None if adjust == "none" else adjust,
        material=material,
        rng=seed,
        on_invalid=on_invalid,
        timeout=timeout,
    )
    if out is not None:
        from attribution.reports.folder import replace_folder, write_results

        say = _say if verbose else None
        written = replace_folder(
            out, lambda folder: write_results(change, folder, privacy=privacy, say=say)
        )
        _say(f"Wrote {written}/")
    print(change.to_json(privacy=privacy) if as_json else change.summary(privacy=privacy))


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
    mapping: Mapping = None,
    rates: Rates = "auto",
    pairs: Pairs = None,
    on_invalid: OnInvalid = "raise",
    timeout: Timeout = None,
    min_n: MinN = 0,
    people: People = "hidden",
    as_json: AsJson = False,
) -> None:
    """Print the data-quality findings only."""
    privacy = _privacy(people, min_n)
    change = _change(
        file,
        (metric, None, None, None),
        by=_dimensions(by),
        period=period,
        baseline=baseline,
        current=current,
        cluster=_listed(cluster) if cluster else None,
        weight=weight,
        volume=volume,
        where=where,
        mapping=_merged(mapping),
        rates=rates,
        pairs=_pairs(pairs),
        on_invalid=on_invalid,
        timeout=timeout,
    )
    found = change.to_dict(privacy=privacy)["findings"]
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for finding in found:
        print(f"[{finding['severity']}] {finding['code']}: {finding['message']}")


@app.command()
def review(
    config: Annotated[Path | None, typer.Argument(help="A TOML file; see --init.")] = None,
    period: Annotated[
        list[str] | None, typer.Option(help='"2026-09"; repeat it to fill in past periods.')
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Instead of the configuration's folder.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="A KPI's name; may be repeated.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes side by side.")] = 1,
    fail_on: Annotated[
        str | None, typer.Option(help="breach, quality or any: what makes the exit code 1.")
    ] = None,
    notify: Annotated[
        str | None, typer.Option(help="markdown: print the summary for a chat or e-mail.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check, say what would be written.")
    ] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
    init: Annotated[bool, typer.Option("--init", help="Print a commented configuration.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print its JSON schema, for editors.")
    ] = False,
) -> None:
    """Run the monthly review of a configuration and write a folder of files per period."""
    from attribution.config import config_schema, example_config

    if init or schema:
        print(example_config() if init else config_schema())
        return
    if config is None or not period:
        raise errors.OptionError("review: name a configuration and --period (or use --init).")
    if notify is not None:
        errors.check_option("notify", notify, ["markdown"])
    from attribution.monthly.job import FAIL_ON, planned, reviews

    if fail_on is not None:
        errors.check_option("fail_on", fail_on, FAIL_ON)
    if dry_run:
        plans = [planned(config, period=one, out=out, only=only or ()) for one in period]
        print(_as_json(plans) if as_json else "\n\n".join(_plan_text(plan) for plan in plans))
        if any(scan["problem"] is not None for plan in plans for scan in plan["scans"]):
            raise typer.Exit(DATA_BROKEN)
        return
    log = _say if verbose else None
    work = reviews(config, period, out=out, only=only or (), jobs=jobs, log=log)
    code, values = 0, []
    # A review holds every sum of its period: it is printed and let go.
    for i, one in enumerate(work):
        if as_json:
            values.append(one.to_dict())
        else:
            print("\n" * bool(i) + (one.markdown() if notify else str(one)), flush=True)
        _say(f"Wrote {one.folder}/")
        code = max(code, one.exit_code(fail_on))
    if as_json:
        print(_as_json(values if len(values) > 1 else values[0]))
    if code:
        raise typer.Exit(code)


def _plan_text(plan: dict[str, Any]) -> str:
    """What a dry run found."""
    lines = [f"{plan['period']} of {plan['title']}"]
    for scan in plan["scans"]:
        lines += ["", f"{scan['source']}: {', '.join(scan['kpis'])}"]
        if scan["problem"] is not None:
            lines.append(f"  no answer: {scan['problem']}")
            continue
        counted = f"{scan['rows']:,} rows, n = {scan['n']:,.0f} in {plan['period']}"
        lines += [f"  {scan['sql']}", f"  {counted}"]
    return "\n".join(
        [*lines, "", f"Would write {plan['folder']}/:", *map("  {}".format, plan["files"])]
    )


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("out/demo"),
    verbose: Verbose = False,
) -> None:
    """Run the whole job on simulated data that ships with the package: why did accuracy fall?"""
    import attribution as at
    from attribution.datasets.export import write_tables
    from attribution.reports.folder import replace_folder, write_results

    say = _say if verbose else None
    if say is not None:
        say("Simulating four months of a moderation operation (60,000 decisions a month).")
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
        write_results(change, folder, say=say)
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


def _change(file: str, kpi: tuple[str, *tuple[str | None, ...]], **asked: Any) -> Attribution:
    import attribution as at
    from attribution.kpis import as_metric
    from attribution.metrics import renamed

    text, name, better, unit = kpi
    return at.explain(file, renamed(as_metric(text), name=name, better=better, unit=unit), **asked)


def _privacy(people: str, min_n: int) -> Privacy:
    """Who may be seen; the key of pseudonyms stays out of the list of processes."""
    from attribution.privacy import Privacy

    key = os.environ.get("ATTRIBUTION_KEY") if people == "pseudonyms" else None
    if people == "pseudonyms" and key is None:
        raise errors.OptionError(
            "people: pseudonyms are made with a secret; set the environment variable "
            "ATTRIBUTION_KEY to one of at least 8 characters."
        )
    return Privacy(people, key, min_n)


def _dimensions(text: str) -> list[Any]:
    """The dimensions, with the hierarchies that are declared: "market within region"."""
    from attribution.hierarchy import Dimension

    pairs = [part.partition(" within ") for part in _listed(text)]
    return [Dimension(d.strip(), within=above.strip()) if above else d for d, _, above in pairs]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(text: str | None) -> list[tuple[str, str]] | None:
    """The pairs of ``"queue:market,queue:tenure"``."""
    if not text:
        return None
    found = []
    for part in _listed(text):
        one, _, other = (x.strip() for x in part.partition(":"))
        if not one or not other:
            raise errors.OptionError(
                f"pairs: {part!r} is not a pair of dimensions, as in --pairs queue:policy."
            )
        found.append((one, other))
    return found


def _merged(texts: list[str] | None) -> dict[str, dict[str, str]] | None:
    """The levels that are one, by their dimensions: ``"policy: old name = new name"``."""
    found: dict[str, dict[str, str]] = {}
    for text in texts or ():
        dimension, _, levels = (x.strip() for x in text.partition(":"))
        old, _, new = (x.strip() for x in levels.partition("="))
        if not (dimension and old and new):
            raise errors.OptionError(
                f"mapping: {text!r} does not merge levels, as in "
                '--mapping "policy: old name = new name".'
            )
        if found.setdefault(dimension, {}).setdefault(old, new) != new:
            raise errors.OptionError(
                f"mapping: {dimension} {old!r} becomes {found[dimension][old]!r} and {new!r}."
            )
    return found or None


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
