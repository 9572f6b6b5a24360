"""Attribution: the answer to one question, frozen and printable, and a list of what it can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution import lines, views
from attribution.cube import Cube
from attribution.decompose import Decomposed, Decomposition
from attribution.errors import OptionError
from attribution.evidence import Evidence, Options
from attribution.formatting import Format
from attribution.infer import Units
from attribution.metrics import Metric
from attribution.plain import plain
from attribution.products import Composite
from attribution.tables import effects_table, line_keys
from attribution.total import Total

if TYPE_CHECKING:
    import pandas as pd

    from attribution.causes import Causes
    from attribution.context import Context
    from attribution.plots import Plots

__all__ = ["Attribution"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """Why a KPI changed between two periods; made by `attribution.explain`.

    What it can do is imported into the class from modules of one idea each: `views` (frames),
    `lines` (standard errors), `drawn` (bridges), `exports` (words and files).

    Attributes
    ----------
    cube : Cube
        The sums of the two periods, baseline first.
    metric : Metric
    total : Total
        The change with its interval.
    verdict : str
        "real": the interval excludes 0; "noise": it includes 0 and, where `material` is given,
        lies within ± material; else "inconclusive". It concerns the total only.
    """

    cube: Cube
    metric: Metric
    total: Total
    verdict: str
    _evidence: Evidence = field(repr=False)

    @property
    def options(self) -> Options:
        """How the question was asked."""
        return self._evidence.options

    @property
    def _parts(self) -> Decomposed:
        return self._evidence.parts

    @property
    def _ratio_parts(self) -> Decomposition:
        """The decomposition of one ratio, for what writes out its formulas."""
        if isinstance(self._parts, Decomposition):
            return self._parts
        raise OptionError(
            f"metric: a workbook writes out the formulas of one ratio of sums; "
            f"{self.metric.label!r} is a {type(self.metric).__name__}. Use to_frame or to_json."
        )

    @property
    def _units(self) -> Units:
        return self._evidence.units

    @cached_property
    def _kept(self) -> dict[Any, Any]:
        """Tables that were asked for before, and what may be shown: every file quotes the same."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        # What is kept can be worked out again, and holds the keys of pseudonyms.
        return {k: v for k, v in vars(self).items() if k != "_kept"}

    # -- frames ------------------------------------------------------------------------------

    @property
    def effects(self) -> pd.DataFrame:
        """The bridge: one row per bar; `estimate` adds up to the change.

        Columns: effect, dimension, segment, estimate, std_error, conf_low, conf_high, p_value,
        p_adjusted, share_of_change. Effects: "mix" (one row per dimension), "joint" (how the
        dimensions pair up), "rate", "volume" (of a `Total`), "interaction" (threefold only),
        "sampling" (with `volume` only), "exit" and "entry" (one row per level that left or
        entered). `share_of_change` is null where it would mislead (a change within 2 standard
        errors, or within 10 % of the movement behind it). Of a KPI made of KPIs (`at.Product`,
        `at.error_types`) each factor has rows of its own, named in a column `factor`.
        """
        change, movement = self.total.change, np.abs(self._parts.estimate).sum()
        sound = abs(change) > 2 * self.total.std_error and abs(change) > 0.1 * movement
        keys = line_keys(self)
        frame = effects_table(keys, self._evidence, change, sound)
        if isinstance(self.metric, Composite):
            frame["factor"] = [key.factor for key in keys]
        return frame

    @property
    def factors(self) -> pd.DataFrame:
        """What each factor of a KPI made of KPIs did, with the factor itself in both periods.

        Columns: factor, baseline, current (in the factor's own unit), estimate (the sum of its rows
        of `effects`), std_error, conf_low, conf_high, p_value, share_of_change. Any other KPI
        raises `OptionError`: it has none.
        """
        return views.factors(self)

    @cached_property
    def changes(self) -> dict[str, Attribution]:
        """Each factor of a KPI made of KPIs explained by itself, in its own unit; else nothing.

        ``change.changes["AHT"].causes()`` searches the change of one factor.
        """
        from attribution.analysis import factor_changes

        if not isinstance(self.metric, Composite):
            return {}
        return factor_changes(self.cube, self.metric, self.options)

    # -- other ways to divide the mix effect ---------------------------------------------------
    from attribution.views import compare_methods, hierarchy, levels, pathways, segments

    # -- the segments that carry it --------------------------------------------------------------

    def causes(
        self, max_order: int = 3, max_causes: int = 8, alpha: float = 0.05, rng: object = None
    ) -> Causes:
        """Name the few segments that carry the rate effect, or say that none stands out.

        All segments that fix up to `max_order` dimensions are compared at once, conditional on who
        did the work (a cluster in a segment in both periods is compared with itself), with the
        drift of clusters and of cells as noise. A segment is named if it passes a test that has
        the chance `alpha` of naming anything where nothing happened. Overlapping causes are
        counted once; contributions, everywhere and the remainder add up to the rate effect.

        Parameters
        ----------
        max_order : int
            The most dimensions a segment fixes. Above the number of dimensions it is clipped, with
            a note where more than the usual 3 were asked for.
        max_causes : int
        alpha : float
        rng : int, Generator or SeedSequence, optional
            None takes that of the attribution.

        Returns
        -------
        Causes
            With `frame, everywhere, remainder, none, plot`.

        Raises
        ------
        OptionError
            An argument that is not allowed, or a KPI that is no ratio of two sums: ask a total for
            its ratio, and a quantile for the share of rows above a threshold. Of a KPI made of
            KPIs one factor at least must be a ratio.

        Warns
        -----
        DataQualityWarning
            Without a cluster column: rows are then independent and false alarms rise.

        Notes
        -----
        Effects are corrected for having been chosen. The estimate is the posterior mean under a
        normal prior of standard deviation 1 on the log odds, which the choice does not move. The
        interval makes no such assumption: given that z = effect / standard error is beyond the
        cutoff c it was named for, it is a truncated normal, and the limits are those of that law.
        Far beyond the cutoff nothing changes.

        Of several cluster columns the first is the unit whose drift counts as noise; a note of
        the answer says so. Name the one first within which decisions are most alike.

        A contribution is the difference of two rates that are the effect apart on the log odds and
        have the cell's mean rate, weighted by the cell's share. Against plan the targets are taken
        as known, and how far clusters are from them by nature is the noise.

        Of a KPI made of KPIs (`at.Product`, `at.error_types`) each factor that is a ratio is
        searched by itself, at `alpha` over the number of them, so that the chance of naming
        anything where nothing happened stays `alpha`. A cause's contribution is that to its
        factor times what a change of the factor is worth (Das Gupta's weight, taken as known): a
        column `factor` names it, and contributions, everywhere and the remainder add up to the
        rate effects of all factors. The standard error of everywhere is the sum of the factors',
        which no correlation between them exceeds.

        Examples
        --------
        >>> import pandas as pd
        >>> import attribution as at
        >>> rows = [(month, f"m{g}", q, p, 40, 36 - (month == 2 and p == "minors") * (2 + g % 3))
        ...         for month in (1, 2) for g in range(30) for q in "AB"
        ...         for p in ("minors", "spam", "hate", "fraud")]
        >>> names = ["month", "moderator", "queue", "policy", "reviewed", "correct"]
        >>> change = at.explain(pd.DataFrame(rows, columns=names), "correct / reviewed",
        ...                     by=["queue", "policy"], period="month", baseline=1, current=2,
        ...                     cluster="moderator")
        >>> change.causes()
        <Causes of correct / reviewed: policy = minors (−1.83 pp)>
        """
        from attribution.causes import rate_causes

        return rate_causes(self, max_order, max_causes, alpha, rng)

    def mix_causes(
        self, max_order: int = 3, max_causes: int = 8, alpha: float = 0.05, rng: object = None
    ) -> Causes:
        """Name the few segments whose volume carries the mix effect: the same search on volumes.

        Parameters
        ----------
        max_order, max_causes, alpha, rng
            As in `causes`.

        Returns
        -------
        Causes
            `odds_ratio` is by how much the segment's volume grew beside all others; what it is
            worth is its cells' share gained times how much better they are than the KPI.
        """
        from attribution.causes import mix_causes

        return mix_causes(self, max_order, max_causes, alpha, rng)

    # -- standard errors as everyone expects -------------------------------------------------

    @property
    def cov(self) -> pd.DataFrame:
        """The covariance of the lines of the bridge, KPI units squared.

        Named as in `test`. An interval of a sum of lines is not the sum of theirs.
        """
        return lines.cov(self)

    from attribution.lines import combined, conf_int, lack_of_fit, permutation_test
    from attribution.lines import wald_test as test

    def context(self, history: object, *, lag: int = 1) -> Context:
        """Say how unusual the change is against past changes, beside what sampling allows.

        An individuals chart: a change is unusual beyond 3.267 times the mean moving range of the
        periods before it.

        Parameters
        ----------
        history : Cube or mapping
            A cube of more than two periods, or period label -> KPI in time order.
        lag : int
            Compare with so many periods earlier: 12 for the same month of last year.

        Returns
        -------
        Context
            With `frame`, `unusual`, and its words as `str`.

        Raises
        ------
        OptionError, PeriodError
            The change is not one of neighboring periods, or the history is of something else.
        """
        from attribution.context import usual_change

        return usual_change(self, history, lag=lag)

    # -- parts and checks --------------------------------------------------------------------

    def within(self, **levels: object) -> Attribution:
        """Return the attribution of one part alone, from the cube in memory.

        Parameters
        ----------
        **levels
            ``dimension=level`` or ``dimension=[levels]``.

        Returns
        -------
        Attribution
            Of the KPI within that part, over the remaining dimensions.

        Raises
        ------
        ColumnNotFoundError, OptionError
            No such dimension or level.
        PeriodError
            The part has no volume in one of the periods.
        """
        from attribution.analysis import explain_part

        return explain_part(self, levels)

    def check(self) -> pd.DataFrame:
        """Return the residual and every data-quality finding: `code, severity, message, facts`.

        Severities: "ok", "info", "warning".
        """
        import pandas as pd

        from attribution.quality import findings

        return pd.DataFrame(findings(self), columns=["code", "severity", "message", "facts"])

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from: version, method, source, rows, SHA-256 of the sums."""
        from attribution import __version__

        return {
            "version": __version__,
            "metric": self.metric.label,
            "numerator": self.metric.numerator,
            "denominator": self.metric.denominator or "rows",
            "by": list(self.cube.dimensions),
            "hierarchy": dict(self.cube.hierarchy),
            "baseline": self.cube.periods[0],
            "current": self.cube.periods[1],
            "method": self.options.method,
            "mix": self.options.mix,
            "rates": self._parts.form,
            "rates_because": self._parts.reason,
            "inference": self.options.inference,
            "units": self._units.count,
            "conf_level": self.options.conf_level,
            "adjust": self.options.adjust,
            "seed": self.options.seed,
            "finite_population": self.options.finite_population,
            "material": self.options.material,
            "path": "end-to-end",
            **self.cube.origin,
            "sha256": self.cube.digest(),
        }

    @property
    def _ends(self) -> tuple[str, str]:
        """What the change leads from and to: two periods, or a target and a period."""
        first, last = self.cube.periods
        return ("PL" if self.options.target is not None else first), last

    from attribution.drawn import breakdown, bridge, crossing

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        total = self.total
        level = None if self.verdict == "real" else max(abs(total.baseline), abs(total.current))
        return Format.fitting(self.metric.display_unit, total.change, level)

    # -- showing and exporting ---------------------------------------------------------------

    from attribution.exports import narrative, summary, to_prompt

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        f = self.format
        start, end = self.total.baseline, self.total.current
        return (
            f"<Attribution {self.metric.label}: {f.level(start)} -> {f.level(end)} "
            f"({f.change(f.step(start, end))}), {self.verdict}>"
        )

    def _repr_html_(self) -> str:
        from attribution.privacy import protect
        from attribution.reports.notebook import notebook_html

        return notebook_html(protect(self, None))

    @property
    def plot(self) -> Plots:
        """The pictures: ``change.plot.waterfall()``.

        Levels that are people are hidden; ``change.plot(privacy=...)`` says who may be seen.
        """
        from attribution.plots import Plots

        return Plots(self)

    from attribution.exports import (
        table,
        to_dict,
        to_excel,
        to_frame,
        to_html,
        to_json,
        to_pptx,
        to_tidy,
    )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Attribution):
            return NotImplemented
        return (
            self.options == other.options
            and self.metric == other.metric
            and self.cube.digest() == other.cube.digest()
            and plain(vars(self.total)) == plain(vars(other.total))
        )

    def __hash__(self) -> int:
        return hash((self.options, self.metric, self.cube.digest()))
