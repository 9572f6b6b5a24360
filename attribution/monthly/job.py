"""review: the monthly variance review, from a configuration to a folder of files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from attribution.config import Kpi, ReviewConfig, load_config
from attribution.cube import Cube
from attribution.errors import AttributionError, OptionError, check_option
from attribution.formatting import significant
from attribution.monthly.actions import Action, followed_up, read_actions
from attribution.monthly.answers import Failure, KpiReview
from attribution.monthly.cards import CardReview, card_scans, review_cards
from attribution.monthly.history import History
from attribution.monthly.output import planned_files, write_feed, write_folder
from attribution.monthly.remembered import remembered
from attribution.monthly.runs import privacy_of, review_kpi
from attribution.monthly.scans import Scan, cube_of, metric_of, scans
from attribution.progress import steps
from attribution.reports.folder import clear_leftovers
from attribution.reports.pptx import new_deck

__all__ = ["FAIL_ON", "Reviewed", "planned", "review", "reviews"]

FAIL_ON = ("breach", "quality", "any")
_HISTORY = "history.duckdb"
_CACHE, _FEED = ".cache", "feed"


@dataclass(frozen=True)
class Reviewed:
    """A review of one period; made by `attribution.review`.

    Attributes
    ----------
    config : ReviewConfig
    period : str
    kpis : tuple of KpiReview
        In the order of the configuration.
    actions : tuple of Action
    folder : Path
        What was written.
    inputs : tuple of dict
        Per scan: `source, rows, sha256, cached, periods, kpis`.
    cards : tuple of CardReview
        The scorecards, in the order of the configuration.
    """

    config: ReviewConfig
    period: str
    kpis: tuple[KpiReview, ...]
    actions: tuple[Action, ...]
    folder: Path
    inputs: tuple[dict[str, Any], ...]
    cards: tuple[CardReview, ...] = ()

    def __repr__(self) -> str:
        breached = sum(bool(k.breaches) for k in self.kpis)
        failed = sum(k.main is None for k in self.kpis)
        return (
            f"<Reviewed {self.config.review.title} {self.period}: {len(self.kpis)} KPIs, "
            f"{breached} breached, {failed} failed>"
        )

    def __str__(self) -> str:
        from attribution.monthly.messages import as_text

        return as_text(self)

    def kpi(self, name: str) -> KpiReview:
        """Return one KPI's review.

        Parameters
        ----------
        name : str

        Returns
        -------
        KpiReview

        Raises
        ------
        OptionError
            No such KPI.
        """
        names = [k.kpi.name for k in self.kpis]
        check_option("kpi", name, names)
        return self.kpis[names.index(name)]

    def markdown(self) -> str:
        """Return the executive summary, for chat or e-mail."""
        from attribution.monthly.messages import as_markdown

        return as_markdown(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        from attribution.monthly.messages import as_dict

        return as_dict(self)

    def exit_code(self, fail_on: str | None = None) -> int:
        """Return the exit code of the command: 0, 1 (asked for), 3 (no answer) or 4 (internal).

        It is 3 if anything that was asked for has no answer: a KPI, one of its comparisons or
        drill-downs, a scorecard; a comparison with what lies before the first rows is no fault.
        4 and 3 go before 1: who fixes the data is told first.

        Parameters
        ----------
        fail_on : {"breach", "quality", "any"}, optional
            What makes it 1.

        Returns
        -------
        int
        """
        if fail_on is not None:
            check_option("fail_on", fail_on, FAIL_ON)
        failures = [f for k in self.kpis for f in k.failures if not f.early]
        failures += [card.failure for card in self.cards if card.failure is not None]
        if failures:
            return 4 if any(f.internal for f in failures) else 3
        breached = any(k.breaches for k in self.kpis)
        doubtful = any(f["severity"] == "warning" for k in self.kpis for f in k.findings)
        asked = {"breach": breached, "quality": doubtful, "any": breached or doubtful}
        return int(fail_on is not None and asked[fail_on])


def review(
    config: str | Path | Mapping[str, Any] | ReviewConfig,
    *,
    period: str,
    out: str | Path | None = None,
    only: Sequence[str] = (),
    jobs: int = 1,
    log: Callable[[str], None] | None = None,
) -> Reviewed:
    """Review all KPIs of a configuration in one period and write the folder of that period.

    One scan per source; per KPI the comparisons, drill-downs, thresholds and findings; a history
    that remembers earlier reviews. What fails for one KPI is shown in its place and stops no other.

    Parameters
    ----------
    config : path, mapping or ReviewConfig
        The TOML file, or what it would hold.
    period : str
        The label of the period: "2026-09".
    out : path, optional
        Instead of the configuration's folder. Relative to the working directory.
    only : sequence of str
        Names of KPIs; all by default. The others are left out of the files.
    jobs : int
        Processes that explain and draw KPIs side by side.
    log : callable, optional
        Gets a line of text as work goes on.

    Returns
    -------
    Reviewed

    Raises
    ------
    ConfigError, MissingFileError
        The configuration is wrong.
    OptionError
        No KPI of a name in `only`, or the folder cannot be written.
    LockedError
        Another review is writing to the same folder.

    Examples
    --------
    >>> import tempfile
    >>> import attribution as at
    >>> ops = at.datasets.simulate_moderation("small", months=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ops.qa_reviews.to_parquet(f"{folder}/reviews.parquet")
    ...     config = {
    ...         "sources": {"qa": {"data": f"{folder}/reviews.parquet", "period": "month"}},
    ...         "kpis": [{"name": "Accuracy", "metric": "correct / reviewed", "by": ["queue"]}],
    ...         "output": {"pptx": False, "xlsx": False, "charts": False},
    ...     }
    ...     at.review(config, period="2025-03", out=f"{folder}/out")
    <Reviewed KPI review 2025-03: 1 KPIs, 0 breached, 0 failed>
    """
    return next(
        reviews(config, [period], out=out, only=only, jobs=jobs, log=log),
    )


def reviews(
    config: str | Path | Mapping[str, Any] | ReviewConfig,
    periods: Sequence[str],
    *,
    out: str | Path | None = None,
    only: Sequence[str] = (),
    jobs: int = 1,
    log: Callable[[str], None] | None = None,
) -> Iterator[Reviewed]:
    """Review several periods one after the other, from one scan of each source.

    Parameters
    ----------
    config : path, mapping or ReviewConfig
    periods : sequence of str
        In time order: each sees the history that the ones before it left.
    out, only, jobs, log
        As in `review`.

    Yields
    ------
    Reviewed
        When its folder is written.

    Raises
    ------
    AttributionError
        As `review` does.
    """
    config, say = load_config(config), log or _silent
    for name in only:
        check_option("only", name, [kpi.name for kpi in config.kpis])
    if jobs < 1:
        raise OptionError(f"jobs: {jobs} is below 1.")
    folder = Path(out if out is not None else config.review.folder)
    # What can be known to fail is said before anything is read.
    try:
        privacy_of(config)
        if config.output.pptx and config.output.template is not None:
            new_deck("", config.output.template)
        actions = [] if config.actions is None else read_actions(config.actions)
    except AttributionError as error:
        error.args = (config.located(str(error)), *error.args[1:])
        raise
    read, per_period = len(scans(config, only)), _parts(config, only)
    with (
        History(folder / _HISTORY) as history,
        _side_by_side(jobs) as each,
        steps(read + len(periods) * per_period, "review") as step,
    ):
        log_of = _Log(say, step)
        for name in (*periods, _FEED):  # of killed runs: with the history in hand we are alone
            clear_leftovers(folder / name)
        cubes, inputs = _scanned(config, only, folder / _CACHE, log_of)

        def begun(i: int) -> Iterator[KpiReview]:
            more = i < len(periods)
            return _reviewed(cubes, config, periods[i], each) if more else iter(())

        found = begun(0)
        for i, period in enumerate(periods):
            kpis = tuple(
                k if k.failure else remembered(k, history, config) for k in log_of.watched(found)
            )
            followed = tuple(followed_up(actions, kpis))
            cards = review_cards(config, period, folder / _CACHE, tuple(only), log_of.done)
            for card in cards:
                history.record_card(card.name, period, card.tables)
            done = Reviewed(config, period, kpis, followed, folder / period, tuple(inputs), cards)
            # Workers have the next period in hand while this one is put together.
            found = write_folder(done, each, log_of.done, partial(begun, i + 1))
            if config.output.tidy:
                write_feed(history.tables(), folder / _FEED)
            log_of.done(f"Wrote {folder / period}/")
            log_of.write(folder / "run.log", period)
            yield done


def _parts(config: ReviewConfig, only: Sequence[str]) -> int:
    """How many steps a period has: each KPI's answer and files, scorecards, deck, the whole."""
    kpis = [kpi for kpi in config.kpis if not only or kpi.name in only]
    return 2 * len(kpis) + len(card_scans(config, tuple(only))) + config.output.pptx + 1


class _Log:
    """What was done and when: to whoever listens, to a bar, and into a file beside the output."""

    def __init__(self, say: Callable[[str], None], step: Callable[[int], None]) -> None:
        self._say, self._step, self._lines = say, step, []
        self._started = time.perf_counter()

    def note(self, text: str) -> None:
        self._lines.append(f"{time.perf_counter() - self._started:8.2f} s  {text}\n")
        self._say(text)

    def done(self, text: str, parts: int = 1) -> None:
        self.note(text)
        self._step(parts)

    def watched(self, results: Iterable[KpiReview]) -> Iterator[KpiReview]:
        for result in results:
            # Without an answer there will be no files.
            self.done(_in_short(result), parts=1 if result.main is not None else 2)
            yield result

    def write(self, path: Path, period: str) -> None:
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{period}\n" + "".join(self._lines))
        except OSError as error:
            raise OptionError(
                f"out: {str(path)!r} cannot be written ({error.strerror})."
            ) from error
        self._lines.clear()


def planned(
    config: str | Path | Mapping[str, Any] | ReviewConfig,
    *,
    period: str,
    out: str | Path | None = None,
    only: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a review would read and write, without writing anything.

    The sources are read and held to the data contract, as the review would.

    Parameters
    ----------
    config, period, out, only
        As in `review`.

    Returns
    -------
    dict
        `title, period, folder, files, scans`; each scan with `source, kpis, sql, rows` (of all
        periods), `n` (observations of the period) and `problem`.
    """
    config = load_config(config)
    for name in only:
        check_option("only", name, [kpi.name for kpi in config.kpis])
    folder = Path(out if out is not None else config.review.folder) / period
    kpis = [kpi for kpi in config.kpis if not only or kpi.name in only]
    return {
        "title": config.review.title,
        "period": period,
        "folder": str(folder),
        "files": planned_files(config, kpis),
        "scans": [
            _preview(scan, config, period)
            for scan in (*scans(config, only), *card_scans(config, tuple(only)).values())
        ],
    }


def _preview(scan: Scan, config: ReviewConfig, period: str) -> dict[str, Any]:
    found: dict[str, Any] = {"source": scan.name, "kpis": [kpi.name for kpi in scan.kpis]}
    try:
        cube, _ = cube_of(scan, config, None)
        n = cube.metric_sums(cube.metrics[0], "count")[cube.period_index(period)].sum()
    except AttributionError as error:
        problem = _problem(error, scan, config)
        return found | {"sql": None, "rows": 0, "n": 0, "problem": problem}
    rows = cube.provenance["rows"]
    return found | {"sql": cube.provenance["sql"], "rows": rows, "n": float(n), "problem": None}


def _problem(error: AttributionError, scan: Scan, config: ReviewConfig) -> str:
    """What is wrong with a scan; of several KPIs, with the first whose own question fails."""
    kpi = scan.kpis[0]
    # Such an error comes before anything is read: asking again costs nothing.
    if len(scan.kpis) > 1 and str(error).partition(": ")[0] in Kpi.model_fields:
        for kpi in scan.kpis:
            try:
                cube_of(replace(scan, kpis=(kpi,), by=tuple(kpi.by)), config, None)
            except AttributionError as own:
                error = own
                break
    return Failure.of(error, config, kpi, scan.card).message


@contextmanager
def _side_by_side(jobs: int) -> Iterator[Callable[..., Iterable]]:
    """Yield what maps a function over arguments, in so many processes."""
    if jobs == 1:
        yield map
        return
    # A fork would copy the engine's threads, and their locks with them.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield pool.map


def _silent(_: str) -> None:
    pass


def _scanned(
    config: ReviewConfig, only: Sequence[str], cache: Path, log: _Log
) -> tuple[list[tuple[Kpi, Cube | Failure]], list[dict[str, Any]]]:
    """The cube of every KPI, or why there is none, and what was read."""
    held: dict[str, Cube | Failure] = {}
    inputs = []
    for scan in scans(config, only):
        found = _scan(scan, config, cache)
        for kpi, (cube, _) in found.items():
            held[kpi] = cube
            if isinstance(cube, Failure):
                log.note(f"{kpi}: no data. {cube.message}")
        cube, cached = next(iter(found.values()))
        scanned = repr(cube) if isinstance(cube, Cube) else "no data"
        log.done(f"{scan.name}: {scanned}{' (kept)' * cached}")
        if isinstance(cube, Cube):
            inputs.append(
                {
                    "source": scan.name,
                    "rows": cube.provenance["rows"],
                    # Who knows nearly all sums could try the rest until the digest fits.
                    "sha256": "withheld: small groups are suppressed"
                    if config.privacy.min_n
                    else cube.digest(),
                    "periods": list(cube.periods),
                    "kpis": [kpi.name for kpi in scan.kpis],
                }
            )
    return [(kpi, held[kpi.name]) for kpi in config.kpis if kpi.name in held], inputs


def _scan(scan: Scan, config: ReviewConfig, cache: Path) -> dict[str, tuple[Cube | Failure, bool]]:
    """Scan once for all KPIs; if that fails, once for each: a broken KPI stops no other."""
    try:
        cube, cached = cube_of(scan, config, cache)
        return {kpi.name: (cube, cached) for kpi in scan.kpis}
    except Exception as error:
        if len(scan.kpis) == 1:
            return {scan.kpis[0].name: (Failure.of(error, config, scan.kpis[0]), False)}
    found: dict[str, tuple[Cube | Failure, bool]] = {}
    for kpi in scan.kpis:
        alone = replace(scan, kpis=(kpi,), by=tuple(kpi.by), name=f"{scan.name} {kpi.name}")
        found |= _scan(alone, config, cache)
    return found


def _reviewed(
    cubes: Sequence[tuple[Kpi, Cube | Failure]],
    config: ReviewConfig,
    period: str,
    each: Callable[..., Iterable],
) -> Iterator[KpiReview]:
    """Review each KPI that has a cube; the others say why they have none."""
    kpis = [kpi for kpi, cube in cubes if isinstance(cube, Cube)]
    held = [cube for _, cube in cubes if isinstance(cube, Cube)]
    results = iter(each(review_kpi, held, kpis, repeat(config), repeat(period)))

    def in_order() -> Iterator[KpiReview]:
        for kpi, cube in cubes:
            if isinstance(cube, Failure):
                metric = metric_of(kpi, config.columns)
                yield KpiReview(kpi, metric, period, failure=cube)
            else:
                yield next(results)

    return in_order()


def _in_short(result: KpiReview) -> str:
    name = f"{result.kpi.name}, {result.period}"
    if result.failure is not None:
        return f"{name}: no answer. {result.failure.message}"
    return f"{name}: {significant(result.value)}, {result.status}"
