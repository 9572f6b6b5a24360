"""Attribution: the answer to one question, frozen, tidy, printable, and its frames."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.breakdown import Breakdown, breakdown
from attribution.bridge import Bar, Bridge
from attribution.crossing import Crossing, crossing
from attribution.cube import Cube
from attribution.decompose import Decomposed, Decomposition
from attribution.errors import OptionError, check_level, check_option, listing
from attribution.evidence import Evidence, Options
from attribution.formatting import Format, significant
from attribution.infer import Units, half_width
from attribution.methods import Pathways, compare_methods, pathway_matrix
from attribution.metrics import Metric, Quantile, ratio_only
from attribution.seeds import seed_of
from attribution.tables import effects_table, levels_table, line_names, segments_table, too_few

if TYPE_CHECKING:
    import pandas as pd

    from attribution.causes import Causes
    from attribution.context import Context
    from attribution.infer import PermutationTest
    from attribution.infer.hypotheses import LinearTest
    from attribution.plots import Plots
    from attribution.reports.privacy import Privacy
    from attribution.reports.sentences import Narrative
    from attribution.trends import Trend

__all__ = ["Attribution", "Total"]

SCHEMA = "kpi-attribution/1"
EFFECTS = ("mix", "joint", "rate", "interaction", "sampling", "entry", "exit")
_MOST_COVARYING = 500


@dataclass(frozen=True)
class Total:
    """The change itself, in KPI units.

    Attributes
    ----------
    baseline, current, change : float
    std_error, conf_low, conf_high, p_value : float
        Of the change.
    """

    baseline: float
    current: float
    change: float
    std_error: float
    conf_low: float
    conf_high: float
    p_value: float

    @property
    def detectable(self) -> float:
        """The smallest change the data could show with 80 % power.

        Half the interval and 0.84 standard errors: 2.8 of them at 95 % and many clusters.
        """
        return (self.conf_high - self.conf_low) / 2 + 0.8416 * self.std_error


@dataclass(frozen=True, eq=False)
class Attribution:
    """Why a KPI changed between two periods; made by `attribution.explain`.

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
    def _kept(self) -> dict[str, pd.DataFrame]:
        """Tables of levels that were asked for before: every file quotes the same."""
        return {}

    # -- frames ------------------------------------------------------------------------------

    @property
    def effects(self) -> pd.DataFrame:
        """The bridge: one row per bar; `estimate` adds up to the change.

        Columns: effect, dimension, segment, estimate, std_error, conf_low, conf_high, p_value,
        p_adjusted, share_of_change. Effects: "mix" (one row per dimension), "joint" (how the
        dimensions pair up), "rate", "volume" (of a `Total`), "interaction" (threefold only),
        "sampling" (with `volume` only), "exit" and "entry" (one row per level that left or
        entered). `share_of_change` is null where it would mislead (a change within 2 standard
        errors, or within 10 % of the movement behind it).
        """
        change, movement = self.total.change, np.abs(self._parts.estimate).sum()
        sound = abs(change) > 2 * self.total.std_error and abs(change) > 0.1 * movement
        names = line_names(self.cube, self._evidence)
        return effects_table(names, self._evidence, change, sound)

    def levels(self, dimension: str) -> pd.DataFrame:
        """Return what each level of a dimension contributed.

        ``mix = (p_1(l) - p_0(l)) alpha(l)`` with alpha the level's rate advantage over comparable
        segments; ``rate = sum over its segments of p_c (r_1c - r_0c)``.

        Parameters
        ----------
        dimension : str

        Returns
        -------
        DataFrame
            `dimension, segment, n_baseline, n_current`, then `share_baseline, share_current,
            rate_baseline, rate_current, mix, rate, total` each with `_std_error, _conf_low,
            _conf_high`, and `_p_value, _p_adjusted` for the last three (`interaction` too for
            threefold). Mix sums to the dimension's row of `effects`, rate to the rate row.
            Levels that entered or left have their entry or exit in `total`, mix and rate null.
            In a declared hierarchy a column `within` names the level above.

        Raises
        ------
        ColumnNotFoundError
            No such dimension.

        Notes
        -----
        Shares and rates are the observed ones of the whole population, while mix compares a level
        with comparable segments: mix cannot be recomputed from them, and with several dimensions
        the totals of one dimension need not add up to the change.
        """
        d = self.cube.dimension_index(dimension)
        if dimension not in self._kept:
            self._kept[dimension] = levels_table(self.cube, self.metric, self._evidence, d)
        return self._kept[dimension].copy()

    def hierarchy(self, dimension: str) -> pd.DataFrame:
        """Return a dimension and all that it lies within, rolled up: one row per level.

        ``total = mix + mix_below + rate + turnover``, and the total of a level is its own mix and
        the totals of the levels right below it.

        Parameters
        ----------
        dimension : str
            The lowest one, as in ``hierarchy("market")`` for the regions and their markets; see
            `attribution.Dimension`.

        Returns
        -------
        DataFrame
            Every level in front of those within it: `dimension, segment, within`, counts, observed
            shares and rates, then with `_std_error, _conf_low, _conf_high, _p_value, _p_adjusted`
            each `mix` (of a region: how its share moved; of a market: how its share of the region
            did), `mix_below` (that of all levels within it), `rate` (the sum of theirs),
            `turnover` (entries and exits in it) and `total`. Rows of `dimension` add up to its
            part of the change; what other dimensions' mix did, and joint, comes beside. Errors are
            linearized.

        Raises
        ------
        ColumnNotFoundError
            No such dimension.
        """
        from attribution.rollup import hierarchy_table

        d = self.cube.dimension_index(dimension)
        return hierarchy_table(self.cube, self.metric, self._evidence, d)

    def segments(self, by: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the same per segment: one column per dimension, then the columns of `levels`.

        ``mix`` is (p_1c - p_0c)(r_c - R), the segment's own, centred on the KPI. The totals add up
        to the change, less the row "sampling" of `effects` where there is one.

        Parameters
        ----------
        by : list of str, optional
            The dimensions that are crossed, all by default; segments are summed over the others.

        Returns
        -------
        DataFrame

        Raises
        ------
        ColumnNotFoundError, OptionError
            No such dimension, or one twice.
        """
        asked = self.cube.dimensions if by is None else by
        places = [self.cube.dimension_index(d, "by") for d in asked]
        if len(set(places)) < len(places):
            raise OptionError(f"by: {listing(asked)} names a dimension twice.")
        return segments_table(self.cube, self.metric, self._evidence, places)

    # -- other ways to divide the mix effect ---------------------------------------------------

    def compare_methods(self, order: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the lines of the bridge by every mix method, side by side.

        Parameters
        ----------
        order : list of str, optional
            All dimensions, the one decided first in front: adds "ordered".

        Returns
        -------
        DataFrame
            One row per bar, `effect, dimension, segment`, then `adjusted, shapley, das_gupta`
            (and `ordered`); every column adds up to the change. A method without an answer in
            these data has nulls, and ``frame.attrs["why"]`` says why.

        Raises
        ------
        OptionError
            Another method than midpoint, or an order that does not name each dimension once.
        """
        self._check_ratio("compare_methods")
        return compare_methods(self.cube, self._evidence, self.effects, order)

    def pathways(self) -> Pathways:
        """Return whose mix was pushed (rows) and through whose rates it acted (columns).

        Columns are those of the bridge: the dimensions', by mix="adjusted", and joint.

        Returns
        -------
        Pathways
            With `frame` and the `note` that belongs beside it.

        Raises
        ------
        IdentificationError
            The baseline's empty cells leave no table with the current margins: no matrix.
        """
        self._check_ratio("pathways")
        return pathway_matrix(self.cube, self._evidence)

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
            The most dimensions a segment fixes; above the number of dimensions it is clipped.
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
            An argument that is not allowed, or a KPI that is no ratio of two sums.

        Warns
        -----
        DataQualityWarning
            Without a cluster column: rows are then independent and false alarms rise.

        Notes
        -----
        Effects are corrected for having been chosen: given that z = effect / standard error is
        beyond the cutoff c it was named for, it is a truncated normal, and estimate and interval
        are those of that law (Zhong and Prentice 2008). Far beyond the cutoff nothing changes.

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
        <Causes of correct / reviewed: policy = minors (−1.90 pp)>
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
        """The joint covariance of the rows of `effects`, named as in `test`: "mix[queue]"."""
        import pandas as pd

        names = self._line_names()
        return pd.DataFrame(self._evidence.covariance, index=names, columns=names)

    def conf_int(self, level: float | None = None, *, simultaneous: bool = False) -> pd.DataFrame:
        """Return intervals of the rows of `effects`, and of the total.

        Parameters
        ----------
        level : float, optional
            The confidence level; that of the attribution by default.
        simultaneous : bool
            Intervals that hold for all rows at once: a row's excludes 0 where its max-T adjusted
            p-value is below 1 - level. The total is a family of its own.

        Returns
        -------
        DataFrame
            `conf_low, conf_high`, indexed by the names of the rows and "total".

        Raises
        ------
        OptionError
            A level that is not between 0 and 1.
        """
        import pandas as pd

        level = self.options.conf_level if level is None else check_level("level", level)
        found = self._evidence.intervals(level, simultaneous)
        total = self._evidence.total_interval(level)
        bounds = np.vstack([found, total])
        index = pd.Index([*self._line_names(), "total"])
        return pd.DataFrame(bounds, index=index, columns=["conf_low", "conf_high"])

    def test(self, hypotheses: str | Sequence[str]) -> LinearTest:
        """Test linear hypotheses about the rows of `effects`.

        Parameters
        ----------
        hypotheses : str or sequence of str
            ``"mix[tenure] = 0"``, ``"mix[queue] + mix[tenure] = rate"``; several, separated by
            commas or in a list, are tested jointly. A bare ``mix`` is the sum of its rows.

        Returns
        -------
        LinearTest
            With `statistic`, `p_value` and its null in words.

        Raises
        ------
        OptionError
            The text names no row, or what is tested cannot vary.
        """
        from attribution.hypotheses import linear_test
        from attribution.infer.hypotheses import wald

        R, q = linear_test(self._line_keys(), hypotheses)
        text = hypotheses if isinstance(hypotheses, str) else ", ".join(hypotheses)
        used, evidence = R.any(axis=0), self._evidence
        if np.isnan(evidence.lines.found.std_error[used]).any():
            raise OptionError(
                f"hypothesis: {text!r} is about a line that rests on a single unit in a period; "
                "nothing is known of its noise."
            )
        dof = int(evidence.degrees_of_freedom[used].min())
        V = evidence.covariance[np.ix_(used, used)]
        return wald(self._parts.estimate[used], V, R[:, used], q, dof, text)

    def combined(self, parts: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """Return sums of rows of `effects`, each with its interval.

        Parameters
        ----------
        parts : dict of str to sequence of str
            Name -> the effects that it sums: ``{"mix": ["mix", "joint"], "rate": ["rate"]}``.

        Returns
        -------
        DataFrame
            `part, estimate, std_error, conf_low, conf_high, p_value`. A part without any row is
            exactly 0.
        """
        import pandas as pd

        effects = [line.effect for line in self._parts.lines]
        for effect in (e for named in parts.values() for e in named):
            check_option("parts", effect, EFFECTS)
        weights = np.array([[float(e in named) for e in effects] for named in parts.values()])
        found = self._evidence.combined(weights).found
        names = ["estimate", "std_error", "conf_low", "conf_high", "p_value"]
        frame = pd.DataFrame({"part": list(parts)} | {x: getattr(found, x) for x in names})
        frame.loc[~weights.any(axis=1), names[:-1]] = 0.0
        return frame

    def lack_of_fit(self) -> pd.DataFrame:
        """Test for each pair of dimensions whether the rates in use miss a two-way term.

        Residuals summed over the crossing of two dimensions, against what they are when every
        cluster's part has a chance sign.

        Returns
        -------
        DataFrame
            `first, second, p_adjusted` (Holm), the worst fit first. `rates="pairs"` adds the
            two-way terms of pairs below 1 - conf_level.
        """
        import pandas as pd

        names, p = self.cube.dimensions, self._evidence.lack_of_fit()
        rows = [(names[a], names[b], value) for (a, b), value in p.items()]
        frame = pd.DataFrame(rows, columns=["first", "second", "p_adjusted"])
        return frame.sort_values("p_adjusted", kind="stable", ignore_index=True)

    def permutation_test(self, permutations: int = 9_999, *, rng: object = None) -> PermutationTest:
        """Test the sharp null that nothing changed, by permuting period labels among clusters.

        A cluster seen in both periods swaps its two with probability 1/2; those seen in one are
        dealt anew. It assumes no distribution and is exact where all permutations can be tried.
        Who works in one period only is part of the null: where nearly all of them are in the same
        period, as in a wave of new hires, there is little to deal and the test has little power.

        Parameters
        ----------
        permutations : int
            How many are drawn, where there are more.
        rng : int, Generator or SeedSequence, optional
            None takes that of the attribution.

        Returns
        -------
        PermutationTest
            With `statistic` (studentized change), `p_value` and `permutations`.

        Raises
        ------
        OptionError
            Rows are independent, or there are two cluster columns: no unit to permute.
        """
        from attribution.infer import permutation_test

        self._check_ratio("permutation_test")
        units = self._units
        if not units.clustered or units.overlap is not None:
            raise OptionError("cluster: a permutation test needs one cluster column.")
        ratio_only(self.metric, "a permutation test")
        sums, S = units.ways[0].sums, len(self.cube.codes)
        D0, D1, N0, N1 = (np.asarray(sums[:, k * S : (k + 1) * S].sum(axis=1)) for k in range(4))
        seed = self.options.seed if rng is None else seed_of(rng)
        return permutation_test(
            np.column_stack([D0, D1]), np.column_stack([N0, N1]), permutations, seed
        )

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

    def _check_ratio(self, question: str) -> None:
        """Refuse what is worked out from a ratio of sums, and would miss a quantile's curvature."""
        if isinstance(self.metric, Quantile):
            raise OptionError(f"{question}: it needs a ratio of sums, not a quantile.")

    def _line_keys(self) -> list[tuple[str, str | None, str | None]]:
        """Effect, dimension and segment of the rows of `effects`."""
        names = line_names(self.cube, self._evidence)
        return [(line.effect, *of) for line, of in zip(self._parts.lines, names, strict=True)]

    def _line_names(self) -> list[str]:
        """The rows of `effects` as names: "mix[queue]", "rate", "entry[market: NG]"."""
        from attribution.hypotheses import line_name

        return [line_name(key) for key in self._line_keys()]

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

    def bridge(self, max_bars: int | None = None, *, causes: bool = False) -> Bridge:
        """Return the bars that every picture and file draws.

        Parameters
        ----------
        max_bars : int, optional
            Sum the smallest bars into "other" beyond this number.
        causes : bool
            Show the named causes, everywhere and the remainder in place of the rate effect.

        Returns
        -------
        Bridge
        """
        from attribution.summary import headline, notes, scope

        parts, cube, evidence = self._parts, self.cube, self._evidence
        found, p_adjusted = evidence.lines.found, evidence.lines_adjusted
        names = line_names(cube, evidence)
        # With additive rates the joint effect is 0 by construction: no bar.
        dust = 1e-12 * np.abs(parts.R).max()
        kept = [
            i
            for i, line in enumerate(parts.lines)
            if line.effect != "joint" or abs(parts.estimate[i]) > dust
        ]
        bars = tuple(
            Bar(
                _bar_label(parts.lines[i].effect, *names[i], planned=parts.form == "planned"),
                *(float(x[i]) for x in (found.estimate, found.conf_low, found.conf_high)),
                p_adjusted=float(p_adjusted[i]),
                rows=(i,),
                note=too_few(cube) if found.few[i] else "",
            )
            for i in kept
        )
        bridge = Bridge(
            metric=self.metric.label,
            unit=self.metric.display_unit,
            better=self.metric.better,
            scenarios=("previous" if cube.provenance.get("plan") is None else "plan", "actual"),
            baseline_label=self._ends[0],
            current_label=cube.periods[1],
            baseline=self.total.baseline,
            current=self.total.current,
            bars=bars,
            notes=tuple(notes(self)),
            verdict=self.verdict,
            scope=scope(self),
            # Thousands of entries and exits: "other" then goes without an interval.
            covariance=evidence.covariance[np.ix_(kept, kept)]
            if len(parts.lines) <= _MOST_COVARYING
            else None,
            half_width=float(half_width(self._units.degrees_of_freedom, self.options.conf_level)),
        )
        bridge = replace(bridge, message=headline(self, bridge))
        if causes:
            from attribution.causes import with_causes

            rate = next(i for i, line in enumerate(parts.lines) if line.effect == "rate")
            bridge = with_causes(bridge, self.causes(), rate)
            bridge = replace(bridge, message=headline(self, bridge))
        return bridge if max_bars is None else bridge.condensed(max_bars)

    def breakdown(self, dimension: str, max_levels: int | None = None) -> Breakdown:
        """Return the levels that every picture and file draws, displayed numbers adding up.

        Parameters
        ----------
        dimension : str
        max_levels : int, optional
            Sum the levels that moved least into "other" beyond this number.

        Returns
        -------
        Breakdown

        Raises
        ------
        ColumnNotFoundError
            No such dimension.
        """
        made = breakdown(dimension, self.levels(dimension), self.bridge())
        return made if max_levels is None else made.condensed(max_levels)

    def crossing(self, rows: str, columns: str, part: str = "total") -> Crossing:
        """Return the pairs of levels that every picture and file draws.

        Parameters
        ----------
        rows, columns : str
            Two dimensions.
        part : {"total", "mix", "rate"}
            Or "interaction", for threefold.

        Returns
        -------
        Crossing

        Raises
        ------
        ColumnNotFoundError, OptionError
            No such dimension, or the same twice, or no such part.
        """
        check_option("part", part, ["total", *self._parts.segment_parts])
        frame = self.segments(by=[rows, columns])
        levels = [self.cube.levels[self.cube.dimension_index(d)] for d in (rows, columns)]
        return crossing((rows, columns), (levels[0], levels[1]), frame, part, self.bridge())

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        total = self.total
        level = None if self.verdict == "real" else max(abs(total.baseline), abs(total.current))
        return Format.fitting(self.metric.display_unit, total.change, level)

    # -- showing and exporting ---------------------------------------------------------------

    def summary(self) -> str:
        """Return headline, verdict, bridge and findings as text."""
        from attribution.summary import summary

        return summary(self)

    def narrative(
        self, length: str = "paragraph", format: str = "text", *, causes: Causes | None = None
    ) -> Narrative:
        """Say in plain English why the KPI changed, where, and what cannot be said.

        Parameters
        ----------
        length : {"headline", "paragraph", "page"}
            One sentence; a paragraph; a page with what moved, what to check first and what cannot
            be said.
        format : {"text", "markdown", "html"}
            Labels are escaped.
        causes : Causes, optional
            As `causes` returned them. Without them a page searches for them, which takes longest;
            a paragraph leaves them out.

        Returns
        -------
        Narrative
            A text. Its `sentences` keep the cells that their numbers come from.

        Raises
        ------
        OptionError
            Another length or format.
        """
        from attribution.reports.narrative import narrative

        return narrative(self, length, format, causes)

    def to_prompt(self) -> str:
        """Return the answer as compact JSON for a language model: all it may quote, and how.

        Returns
        -------
        str
            Numbers as displayed, with units; sentences; rules of reading; a `schema` version.
        """
        from attribution.reports.prompt import to_prompt

        return to_prompt(self)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        f = self.format
        return (
            f"<Attribution {self.metric.label}: {f.level(self.total.baseline)} -> "
            f"{f.level(self.total.current)} ({f.change(self.total.change)}), {self.verdict}>"
        )

    def _repr_html_(self) -> str:
        from attribution.reports.notebook import notebook_html

        return notebook_html(self)

    @property
    def plot(self) -> Plots:
        """The pictures: ``change.plot.waterfall()``."""
        from attribution.plots import Plots

        return Plots(self)

    def to_frame(self) -> pd.DataFrame:
        """Return `effects` with the KPI and the two periods in front: one table per report."""
        frame = self.effects
        for i, (name, value) in enumerate(
            [
                ("metric", self.metric.label),
                ("baseline", self._ends[0]),
                ("current", self.cube.periods[1]),
            ]
        ):
            frame.insert(i, name, value)
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; numbers have 12 significant digits, null for none."""
        return {
            "schema": SCHEMA,
            "metric": {
                "name": self.metric.label,
                "better": self.metric.better,
                "unit": self.metric.display_unit,
            },
            "baseline": self._ends[0],
            "current": self.cube.periods[1],
            "total": _plain(vars(self.total)),
            "verdict": self.verdict,
            "effects": _records(self.effects),
            "levels": {d: _records(self.levels(d)) for d in self.cube.dimensions},
            "findings": _records(self.check()),
            "provenance": _plain(self.provenance),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Return (and write, if a path is given) `to_dict` as JSON.

        Parameters
        ----------
        path : str or Path, optional

        Returns
        -------
        str
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_excel(self, path: str | Path, *, privacy: Privacy | None = None) -> Path:
        """Write an audit workbook: the bridge in live formulas over the sums of the cells.

        Parameters
        ----------
        path : str or Path
        privacy : Privacy, optional
            Who may be seen; levels that are people are hidden by default.

        Returns
        -------
        Path

        Raises
        ------
        OptionError
            The file cannot be written.
        """
        from attribution.reports.xlsx import write_excel

        return write_excel(self, path, privacy=privacy)

    def to_html(self, path: str | Path, *, privacy: Privacy | None = None) -> Path:
        """Write a self-contained HTML report: bridge, levels, drill-down, causes, findings.

        Parameters
        ----------
        path : str or Path
        privacy : Privacy, optional
            Who may be seen; levels that are people are hidden by default.

        Returns
        -------
        Path

        Raises
        ------
        OptionError
            The file cannot be written.
        """
        from attribution.reports.html import write_html

        return write_html(self, path, privacy=privacy)

    def to_pptx(
        self,
        path: str | Path,
        *,
        template: str | Path | None = None,
        append_to: str | Path | None = None,
        layout: str | None = None,
        trend: Trend | None = None,
        privacy: Privacy | None = None,
    ) -> Path:
        """Write a deck of native charts and tables, numbers and caveats in the speaker notes.

        Parameters
        ----------
        path : str or Path
        template : str or Path, optional
            A company's .pptx: its layouts are used, its sample slides left out.
        append_to : str or Path, optional
            A deck whose slides stay in front.
        layout : str, optional
            The name of a layout that has a title; "Title Only" by default.
        trend : Trend, optional
            A result of `attribution.trend`, for a slide of the KPI over time.
        privacy : Privacy, optional
            Who may be seen; levels that are people are hidden by default.

        Returns
        -------
        Path

        Raises
        ------
        OptionError
            The file cannot be written, or there is no such layout: the message lists them.
        """
        from attribution.reports.pptx import write_pptx

        return write_pptx(
            self,
            path,
            template=template,
            append_to=append_to,
            layout=layout,
            trend=trend,
            privacy=privacy,
        )

    def to_tidy(self, folder: str | Path, *, privacy: Privacy | None = None) -> Path:
        """Write a star schema for Tableau and Power BI, as Parquet and CSV.

        fact_change, fact_effect, fact_level, fact_cell; dim_metric, dim_period (dates), dim_level,
        dim_segment; finding, provenance. See `attribution.reports.tidy`.

        Parameters
        ----------
        folder : str or Path
            Made, or replaced as a whole if it is an earlier output.
        privacy : Privacy, optional
            Who may be seen; levels that are people are hidden by default.

        Returns
        -------
        Path

        Raises
        ------
        OptionError
            The folder cannot be written, or holds files that are no earlier output.
        """
        from attribution.reports.tidy import write_tidy

        return write_tidy(self, folder, privacy=privacy)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Attribution):
            return NotImplemented
        return (
            self.options == other.options
            and self.metric == other.metric
            and self.cube.digest() == other.cube.digest()
            and _plain(vars(self.total)) == _plain(vars(other.total))
        )

    def __hash__(self) -> int:
        return hash((self.options, self.metric, self.cube.digest()))


def _bar_label(
    effect: str, dimension: str | None, segment: str | None, planned: bool = False
) -> str:
    if effect == "mix":
        return f"Mix: {dimension}"
    if effect in ("entry", "exit"):
        words = ("Unplanned", "Undelivered") if planned else ("New", "Gone")
        return f"{words[effect == 'exit']}: {segment}"
    return {"joint": "Mix: jointly"}.get(effect, effect.capitalize())


def _plain(value: Any) -> Any:
    """Reduce a value to what JSON knows, floats to 12 significant digits."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return significant(float(value))
    return str(value)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [_plain(row) for row in frame.to_dict(orient="records")]
