"""What a review says of one KPI: its comparisons, drill-downs, breaches, and what has none."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from attribution.config import Comparison, Kpi, ReviewConfig, concealed
from attribution.context import Context
from attribution.errors import AttributionError
from attribution.formatting import Format
from attribution.metrics import Metric
from attribution.monthly.comparisons import TooEarlyError
from attribution.monthly.history import Restated
from attribution.privacy import Shown, ShownCauses
from attribution.reports.past import Past
from attribution.result import Attribution

__all__ = ["Compared", "Drill", "Failure", "KpiReview", "Repeated"]


@dataclass(frozen=True)
class Failure:
    """Why there is no answer: shown in the place of the answer.

    Attributes
    ----------
    message : str
    internal : bool
        A fault of the package and not of data or configuration.
    early : bool
        There is nothing to compare with yet: nothing went wrong.
    """

    message: str
    internal: bool = False
    early: bool = False

    @classmethod
    def of(
        cls,
        error: Exception,
        config: ReviewConfig,
        kpi: Kpi | None = None,
        card: str | None = None,
    ) -> Failure:
        """Say what went wrong, without what the environment holds.

        Parameters
        ----------
        error : Exception
        config : ReviewConfig
        kpi : Kpi, optional
            Whose keys the error may be about.
        card : str, optional
            The scorecard whose keys it may be about.

        Returns
        -------
        Failure
        """
        if isinstance(error, AttributionError):
            # Where it is too early there is no line of the file to look at.
            if isinstance(error, TooEarlyError):
                return cls(concealed(str(error), config), early=True)
            return cls(concealed(config.located(str(error), kpi, card), config))
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
        said = concealed(f"{type(error).__name__}: {error}", config)
        return cls(f"Internal error: {said} ({where}).", internal=True)


@dataclass(frozen=True)
class Repeated:
    """A level or cause that has stood out for several periods in a row.

    Attributes
    ----------
    kind : str
        "cause", or the "mix" or "rate" of a level.
    dimension, segment : str
        The dimension is empty for a cause, which names its own.
    periods : int
        How many in a row, the current one included.
    direction : int
        1 where it raises the KPI, -1 where it lowers it.
    """

    kind: str
    dimension: str
    segment: str
    periods: int
    direction: int

    @property
    def words(self) -> str:
        """``"mix of market BR: third period running"``."""
        ordinal = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}
        count = ordinal.get(self.periods, f"{self.periods}th")
        named = f"{self.dimension} {self.segment}".strip()
        named = f"mix of {named}" if self.kind == "mix" else named
        return f"{named}: {count} period running"


@dataclass(frozen=True)
class Drill:
    """A part of a KPI that the configuration asks for, or why there is none.

    Attributes
    ----------
    title : str
        ``"market: BR, by policy"``
    name : str
        Of its page.
    shown : Shown or None
        What files may show of it.
    failure : Failure or None
    """

    title: str
    name: str
    shown: Shown | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Compared:
    """One comparison of a KPI, or why there is none.

    Attributes
    ----------
    comparison : Comparison
    change : Attribution or None
    failure : Failure or None
    context : Context or None
        How usual the change is, where the past is long enough.
    shown : Shown or None
        What files may show of the change, with its dimensions by their labels.
    drills : tuple of Drill
        The parts that were asked for.
    """

    comparison: Comparison
    change: Attribution | None = None
    failure: Failure | None = None
    context: Context | None = None
    shown: Shown | None = None
    drills: tuple[Drill, ...] = ()

    @property
    def causes(self) -> ShownCauses | None:
        """The segments that carry the rate effect, where the KPI has clusters to judge them by."""
        return None if self.shown is None else self.shown.causes


@dataclass(frozen=True)
class KpiReview:
    """What a review says of one KPI.

    Attributes
    ----------
    kpi : Kpi
    metric : Metric
    period : str
    value, n : float
        The KPI and its observations; NaN where it failed.
    compared : tuple of Compared
    breaches : tuple of str
        Which thresholds are broken, in words.
    findings : tuple of dict
        `code, severity, message, facts` of the month's data.
    restated : tuple of Restated
        Earlier periods whose value is no longer what was reported.
    repeated : tuple of Repeated
        What stands out again.
    failure : Failure or None
        Why there is no answer at all.
    """

    kpi: Kpi
    metric: Metric
    period: str
    value: float = float("nan")
    n: float = 0.0
    compared: tuple[Compared, ...] = ()
    breaches: tuple[str, ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    restated: tuple[Restated, ...] = ()
    repeated: tuple[Repeated, ...] = ()
    failure: Failure | None = None
    values: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    @property
    def main(self) -> Attribution | None:
        """The first comparison that has an answer."""
        return next((c.change for c in self.compared if c.change is not None), None)

    @property
    def shown(self) -> Shown | None:
        """What files may show of `main`."""
        return next((c.shown for c in self.compared if c.shown is not None), None)

    @property
    def failures(self) -> list[Failure]:
        """Why answers are missing, of the KPI, a comparison or a drill-down."""
        own = [] if self.failure is None else [self.failure]
        own += [c.failure for c in self.compared if c.failure is not None]
        return own + [d.failure for c in self.compared for d in c.drills if d.failure is not None]

    @property
    def early(self) -> bool:
        """Whether it has no answer because there is nothing to compare with yet."""
        return self.main is None and all(f.early for f in self.failures)

    @property
    def status(self) -> str:
        """ "failed" (no comparison has an answer), "breach" or "ok".

        A level that breaks its threshold is a breach with or without a comparison.
        """
        if self.breaches:
            return "breach"
        return "failed" if self.main is None else "ok"

    @property
    def past(self) -> Past:
        """The KPI over the periods that are known, this one last."""
        import pandas as pd

        rows = [(period, value, n) for period, (value, n) in self.values.items()]
        contexts = [c.context for c in self.compared if c.context is not None]
        last = contexts[0].frame.iloc[-1] if contexts else None
        limits = None if last is None else (float(last["limit_low"]), float(last["limit_high"]))
        known = limits is not None and all(map(math.isfinite, limits))
        frame = pd.DataFrame(rows, columns=["period", "value", "n"])
        was = {r.period: r.was for r in self.restated}
        return Past(frame, self.format, limits if known else None, was)

    @property
    def format(self) -> Format:
        """How its numbers are written."""
        change = self.main
        if change is not None:
            return change.format
        return Format.fitting(self.metric.display_unit, self.value)
