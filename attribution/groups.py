"""standardize: many groups compared fairly, as if all had the same mix."""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from attribution.cube import Cube
from attribution.decompose import Design, identical, staying
from attribution.decompose.standardize import Standardization, standardize_populations
from attribution.errors import (
    AttributionError,
    DataContractError,
    IdentificationError,
    OptionError,
    check_level,
    check_option,
    listing,
)
from attribution.evidence import THIN_ROWS
from attribution.filed import Filed
from attribution.finding import finding
from attribution.formatting import Format, aligned, tiny
from attribution.functions import Total
from attribution.gradient import Gradient
from attribution.hierarchy import Dimension
from attribution.infer import (
    FEWEST_UNITS,
    Inference,
    Support,
    Units,
    infer,
    proportions,
    std_errors,
    stepwise,
)
from attribution.joint import units_over
from attribution.kinds import denominators_of, form_of
from attribution.labels import plural
from attribution.metrics import Metric, Quantile, is_ratio
from attribution.privacy import Privacy
from attribution.privacy.entities import Protected, protected
from attribution.privacy.rules import without_names
from attribution.products import Composite, sum_roles

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Standardized", "standardize"]

_MOST_GROUPS = 100
# The gradient of one line of all groups is 2 P^2 S numbers: 400 MB at most.
_MOST_SLOPES = 50_000_000


def standardize(
    data: object,
    metric: Metric | str,
    by: str | Dimension | Sequence[str | Dimension],
    *,
    group: str,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    rates: str = "auto",
    mix: str = "adjusted",
    conf_level: float = 0.95,
) -> Standardized:
    """Compare many groups fairly: the KPI each would have if all had the same mix.

    ``standardized_k = level + (1/P) sum_i rate(i, k)``

    with rate(i, k) the rate effect of group k against group i (see `attribution.explain`) and
    level the mean over all pairs of the KPI at the mix and the rates between the two. Effects of
    one group against another go through all P groups, so that A to B and B to C add up to A to C.
    A total is compared at the same volume too, and has an effect of it.

    Parameters
    ----------
    data : table
        See `attribution.explain`.
    metric : Metric or str
        The KPI, ``at.Rate("correct", "reviewed")`` or ``"correct / reviewed"``: any ratio, mean,
        total or function of sums. Of a product each factor has a mix of its own: standardize one
        at a time, or see `attribution.standardize_factors`.
    by : str, Dimension, or a sequence of them
        The dimensions whose mix is made the same. A null level becomes the level "(missing)".
    group : str
        The column of groups: site, market, vendor. All of its values are compared; `where` keeps
        some. Rows without one are left out, and `check` counts them.
    cluster : str or sequence of str, optional
        The column of units that are independent of each other, or two. None: rows are independent.
    weight : str, optional
        A column or expression of row weights.
    where : str, optional
        A condition on rows.
    mapping : dict, optional
        ``{dimension: {old level: new level}}``.
    on_invalid : {"raise", "drop"}
        What to do with rows that break the data contract.
    rates : {"auto", "saturated", "additive"}
        Segment rates as observed or fitted with main effects; the same for all groups.
    mix : {"adjusted", "shapley", "das_gupta"}
        How the mix effect of each pair is divided among the dimensions; see `attribution.explain`.
        The standardized KPI is the same.
    conf_level : float
        Of all intervals.

    Returns
    -------
    Standardized

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError, ExpressionError, OptionError
        The request does not fit the table; the message names the nearest match.
    DataContractError
        Rows break the data contract.
    IdentificationError
        Two groups share no segment, or two dimensions are identical.

    Notes
    -----
    Levels that one group has and another has not are compared with nothing: they stay out of the
    rates of that pair and form the line "turnover" of `pairs`. `check` names them.

    References
    ----------
    Das Gupta, P. (1993). Standardization and Decomposition of Rates: A User's Manual. Current
    Population Reports P23-186, U.S. Bureau of the Census, chapter 6.

    Examples
    --------
    >>> import pandas as pd
    >>> reviews = pd.DataFrame({
    ...     "site": ["Austin"] * 2 + ["Dublin"] * 2 + ["Manila"] * 2,
    ...     "queue": ["easy", "hard"] * 3,
    ...     "reviewed": [800, 200, 500, 500, 200, 800],
    ...     "correct": [760, 160, 480, 410, 190, 648],
    ... })
    >>> sites = standardize(reviews, "correct / reviewed", by="queue", group="site")
    >>> sites.frame[["group", "crude", "standardized"]].round(3)
        group  crude  standardized
    0  Austin  0.920         0.876
    1  Dublin  0.890         0.890
    2  Manila  0.838         0.880
    """
    check_option("rates", rates, ["auto", "saturated", "additive"])
    check_option("mix", mix, ["adjusted", "shapley", "das_gupta"])
    conf_level = check_level("conf_level", conf_level)
    try:
        cube = Cube.from_data(
            data,
            metric,
            by,
            period=group,
            cluster=cluster,
            weight=weight,
            where=where,
            mapping=mapping,
            on_invalid=on_invalid,
        )
    except AttributionError as error:
        if str(error).startswith("period:"):
            error.args = (str(error).replace("period:", "group:", 1), *error.args[1:])
        raise
    cube = _checked(cube, group)
    kpi, sizes = cube.metrics[0], tuple(len(levels) for levels in cube.levels)
    sums = np.stack([cube.metric_sums(kpi, role) for role in sum_roles(kpi)])
    _check_comparable(cube, sums[0], Design(cube.codes, sizes, cube.nested))
    parts = standardize_populations(
        sums,
        cube.metric_sums(kpi, "count"),
        cube.codes,
        sizes,
        function=None if is_ratio(kpi) else form_of(kpi),
        rates=rates,
        mix=mix,
        nested=cube.nested,
    )
    return Standardized(cube, kpi, group, conf_level, parts, units_over(cube, kpi))


@dataclass(frozen=True, eq=False)
class Standardized(Filed):
    """Groups made comparable; made by `attribution.standardize`.

    Attributes
    ----------
    cube : Cube
        The sums, with the groups as its periods.
    metric : Metric
    group : str
        The column of groups.
    conf_level : float
    """

    cube: Cube
    metric: Metric
    group: str
    conf_level: float
    _parts: Standardization
    _units: Units

    @cached_property
    def _standardized(self) -> Inference:
        """What is known of the standardized rates."""
        P, parts = len(self.cube.periods), self._parts
        here = self._support(np.eye(P))
        gradient = parts.standardized_gradient().through(self._place)
        found = self._inferred(parts.standardized, gradient, Support(here[:, None], here))
        if not self.metric.of_trials:
            return found
        n = self.cube.metric_sums(self.metric, "count").sum(axis=1)
        return proportions(found, self.conf_level, n, here)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per group: `group, n, crude, standardized, std_error, conf_low, conf_high`.

        Crude is the KPI as it is; the interval is that of `standardized`, null for a group of a
        single unit. That of a `Rate` lies in [0, 1]: of its logit, and at 0 or 100 % Wilson's.
        """
        import pandas as pd

        found = self._standardized
        return pd.DataFrame(
            {
                "group": list(self.cube.periods),
                "n": self.cube.metric_sums(self.metric, "count").sum(axis=1),
                "crude": self._parts.R,
                "standardized": found.estimate,
                "std_error": found.std_error,
                "conf_low": found.conf_low,
                "conf_high": found.conf_high,
            }
        )

    @property
    def pairs(self) -> pd.DataFrame:
        """The effects that lead from each group to each later one, one row per pair and effect.

        Columns: baseline, current, effect, dimension, estimate, std_error, conf_low, conf_high,
        p_value, p_adjusted (Holm, over all rows). Effects: "volume" (of a total), "mix" (a row per
        dimension), "joint", "rate", "turnover" (levels that groups do not share). The rows of a
        pair add up to the difference of the two KPIs; each effect adds up along any chain of
        groups. The other direction of a pair has the opposite sign.
        """
        import pandas as pd

        labels, lines = self.cube.periods, self._parts.lines
        found, of_pair = self._between, list(itertools.combinations(labels, 2))
        columns = {
            name: np.stack([getattr(x, name) for x in found], axis=1).ravel()
            for name in ("estimate", "std_error", "conf_low", "conf_high", "p_value")
        }
        few = np.stack([x.few for x in found], axis=1).ravel()
        dimensions = [
            None if x.dimension is None else self.cube.dimensions[x.dimension] for x in lines
        ]
        return pd.DataFrame(
            {
                "baseline": [a for a, _ in of_pair for _ in lines],
                "current": [b for _, b in of_pair for _ in lines],
                "effect": [line.effect for line in lines] * len(of_pair),
                "dimension": pd.Series(dimensions * len(of_pair), dtype=object),
                **columns,
                "p_adjusted": stepwise(np.where(few, np.nan, columns["p_value"]), "holm"),
            }
        )

    @cached_property
    def _between(self) -> list[Inference]:
        """What is known of each line, for all pairs."""
        P, E = len(self.cube.periods), len(self._parts.lines)
        first, second = np.triu_indices(P, 1)
        contrast = np.eye(P)[second] - np.eye(P)[first]
        alone = self._support(np.eye(P))
        support = Support(
            np.column_stack([alone[first], alone[second]]), self._support(np.abs(contrast))
        )
        estimate, found = self._parts.effects @ contrast.T, []
        sums = self._parts.populations.sums.size
        at_once = max(1, _MOST_SLOPES // (P * sums))
        for start in range(0, E, at_once):
            some = range(start, min(start + at_once, E))
            gradient = self._parts.gradient(some).through(self._place)
            for row, e in enumerate(some):
                own = np.kron(np.eye(len(some))[row], np.eye(P))
                found.append(self._inferred(estimate[e], gradient.combine(contrast @ own), support))
        return found

    def _inferred(self, estimate: np.ndarray, gradient: Gradient, support: Support) -> Inference:
        units = self._units
        if self._parts.form == "saturated":
            n = self.cube.metric_sums(self.metric, "count").ravel()
            thin = np.stack([n < THIN_ROWS, np.zeros(len(n), dtype=bool)])
            of = denominators_of(self.metric)
            units = units.delete_one(np.ones(len(n), dtype=bool), thin, of)
        se, size = std_errors(gradient, units), float(np.abs(self._parts.R).max())
        return infer(estimate, se, support, self.conf_level, size)

    def _support(self, groups: np.ndarray) -> np.ndarray:
        """The units of the groups that each line (K, P) rests on, shape (K,)."""
        cells = sparse.csr_array(np.kron(groups, np.ones((1, len(self.cube.codes)))))
        none = sparse.csr_array(cells.shape)
        return self._units.support(sparse.hstack([cells, none], format="csr")).either

    @property
    def _place(self) -> sparse.csr_array:
        """From the sums of all groups to the layout of inference, (D_0, D_1, N_0, N_1 ...).

        Inference arranges sums by two periods; the cells of all groups stand in the first.
        """
        blocks, P, S = self._parts.populations.sums.shape
        cells = P * S
        columns = np.concatenate([2 * b * cells + np.arange(cells) for b in range(blocks)])
        rows = np.arange(blocks * cells)
        ones = np.ones(blocks * cells)
        return sparse.csr_array((ones, (rows, columns)), (blocks * cells, 2 * blocks * cells))

    def check(self) -> pd.DataFrame:
        """Return the residual and every data-quality finding: `code, severity, message, facts`."""
        import pandas as pd

        parts = self._parts
        residual = float(np.abs(parts.R - parts.R.mean() - parts.effects.sum(axis=0)).max())
        ok = f"The effects add up to the differences of the KPIs; the residual is {tiny(residual)}."
        used = f"Rates are {parts.form} in all groups ({parts.reason})."
        found = [
            finding("residual", "ok", ok, residual=residual),
            *(dict(f) for f in self.cube.findings),
            finding("rates", "info", used, form=parts.form, reason=parts.reason),
            *_not_shared(self.cube, self.cube.metric_sums(self.metric, "denominator")),
            *self._few(),
        ]
        return pd.DataFrame(found, columns=["code", "severity", "message", "facts"])

    def _few(self) -> list[dict[str, Any]]:
        units = self._support(np.eye(len(self.cube.periods)))
        few = [g for g, k in zip(self.cube.periods, units, strict=True) if k < FEWEST_UNITS]
        if not few:
            return []
        clusters = self.cube.clusters
        names = "rows" if clusters is None else " or ".join(plural(x) for x in clusters.names)
        message = (
            f"{listing(few)}: fewer than {FEWEST_UNITS} {names}. Their intervals are wide, and "
            "there is none for a single one."
        )
        return [finding("few_units", "warning", message, groups=few)]

    def headline(self) -> str:
        """Return the message: how far groups are apart, and at the same mix. It names no group."""
        spread = [
            " to ".join(self.format.level(x) for x in (values.min(), values.max()))
            for values in (self._parts.R, self._parts.standardized)
        ]
        return (
            f"{self.metric.label} of {len(self.cube.periods)} groups of {self.group}: {spread[0]}, "
            f"at the same {self._same} {spread[1]}"
        )

    def shown(self, privacy: Privacy | None) -> tuple[Protected, pd.DataFrame]:
        """Return who is hidden, and the rows of `frame` of the others, the highest first.

        Parameters
        ----------
        privacy : Privacy or None
            None hides groups that are people and suppresses nothing.

        Returns
        -------
        (Protected, DataFrame)
        """
        frame = self.frame
        labels = [(x,) for x in frame["group"]]
        kept = protected(privacy, (self.group,), labels, frame["n"].to_numpy()[None, :])
        rows = frame.assign(group=list(kept.names))[~kept.mask]
        return kept, rows.sort_values("standardized", ascending=False, kind="stable")

    def summary(self, *, privacy: Privacy | None = None) -> str:
        """Return the groups, those highest at the same mix first, and findings as text.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen; groups that are people are hidden by default.

        Returns
        -------
        str
        """
        form = self.format
        kept, shown = self.shown(privacy)
        rows = [("", "n", "crude", "same mix", "interval")]
        rows += [
            (
                row["group"],
                f"{row['n']:,.0f}",
                form.number(row["crude"]),
                form.number(row["standardized"]),
                f"{form.number(row['conf_low'])} to {form.number(row['conf_high'])}"
                if np.isfinite(row["conf_low"])
                else "n/a",
            )
            for row in shown.to_dict(orient="records")
        ]
        unit = [f"(in {form.unit})"] if form.unit else []
        found = without_names(self.check().to_dict(orient="records"), kept.secret)
        said = [f"[{x['severity']}] {x['message']}" for x in found if x["severity"] == "warning"]
        table = [*aligned(rows, right=range(1, 4)), *unit] if len(rows) > 1 else []
        return "\n".join([f"{self.headline()}.", "", *table, *kept.said, *said])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        low, high = self._parts.standardized.min(), self._parts.standardized.max()
        return Format.fitting(self.metric.display_unit, high - low, max(abs(low), abs(high)))

    @property
    def _same(self) -> str:
        return "volume and mix" if isinstance(self.metric, Total) else "mix"

    def __repr__(self) -> str:
        low, high = self._parts.standardized.min(), self._parts.standardized.max()
        form = self.format
        return (
            f"<Standardized {self.metric.label}: {len(self.cube.periods)} groups of {self.group}, "
            f"{form.level(low)} to {form.level(high)} at the same {self._same} of "
            f"{', '.join(self.cube.dimensions) or 'nothing'}>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Standardized):
            return NotImplemented
        return (
            (self.metric, self.group, self.conf_level, self._parts.form)
            == (other.metric, other.group, other.conf_level, other._parts.form)
        ) and self.cube.digest() == other.cube.digest()

    def __hash__(self) -> int:
        return hash((self.metric, self.group, self.conf_level, self.cube.digest()))


def _not_shared(cube: Cube, D: np.ndarray) -> list[dict[str, Any]]:
    """Name the levels that some groups have and others have not."""
    found = []
    exists = (Design(cube.codes, tuple(map(len, cube.levels))).matrix.T @ D.T) > 0
    start = 0
    for name, levels in zip(cube.dimensions, cube.levels, strict=True):
        for level, there in zip(levels, exists[start : start + len(levels)], strict=True):
            lacking = [g for g, t in zip(cube.periods, there, strict=True) if not t]
            if 0 < len(lacking) < len(cube.periods):
                message = f"{name} {level!r} is not in {listing(lacking)}; see the turnover rows."
                facts = {"dimension": name, "level": level, "groups": lacking}
                found.append(finding("level_not_shared", "info", message, **facts))
        start += len(levels)
    return found


def _checked(cube: Cube, group: str) -> Cube:
    """Check the groups and drop segments without a denominator in any of them."""
    metric, P = cube.metrics[0], len(cube.periods)
    _check_standard(metric)
    if not 2 <= P <= _MOST_GROUPS:
        compared = "There is nothing to compare." if P < 2 else "Each is compared with each."
        raise OptionError(
            f"group: {group!r} has {P:,} value{'s' * (P != 1)} ({listing(cube.periods, most=6)}); "
            f"2 to {_MOST_GROUPS} groups can be standardized. {compared}"
        )
    D, *others = (cube.metric_sums(metric, role) for role in sum_roles(metric))
    if empty := [g for g, d in zip(cube.periods, D.sum(axis=1), strict=True) if not d > 0]:
        raise OptionError(
            f"group: the denominator {metric.denominator or 'rows'!r} of {metric.label!r} is 0 in "
            f"{listing(empty, most=6)}. Leave such groups out (where=...)."
        )
    stray = np.argwhere((D == 0) & np.any([N != 0 for N in others], axis=0))
    if len(stray):
        named = [f"{cube.segment_name(c)} in {cube.periods[k]}" for k, c in stray]
        raise DataContractError(
            f"data: {len(named):,} segment{'s' * (len(named) > 1)} with a numerator and no "
            f"denominator: {listing(named, most=8)}. A rate needs both.",
            [{"segment": name, "problem": "numerator without denominator"} for name in named],
        )
    cube = cube.keep_segments(np.asarray((D > 0).any(axis=0)))
    if len(sum_roles(metric)) * P * P * len(cube.codes) > _MOST_SLOPES:
        raise OptionError(
            f"by: {len(cube.codes):,} segments of {P} groups are too many to standardize. Name "
            "fewer dimensions, or merge levels (mapping=...)."
        )
    renamed = [
        {**f, "code": "null_group", "message": f["message"].replace("no period.", "no group.")}
        if f["code"] == "null_period"
        else f
        for f in cube.findings
    ]
    return replace(cube, findings=tuple(renamed))


def _check_standard(metric: Metric) -> None:
    """Refuse KPIs that have no value at the same mix: those made of KPIs, and quantiles."""
    if isinstance(metric, Composite):
        raise OptionError(
            f"metric: {metric.label!r} is a {type(metric).__name__}: each of its factors has a mix "
            "of its own, so that there is no one KPI at the same mix. Standardize one factor at a "
            "time, or give the factors of each group to at.standardize_factors."
        )
    if isinstance(metric, Quantile):
        raise OptionError(
            f"metric: {metric.label!r} is a quantile, whose value at the mix of all groups depends "
            "on every pair's own reference point. Compare two groups with at.explain(period="
            "group), or standardize a mean or the rate above a limit."
        )


def _check_comparable(cube: Cube, D: np.ndarray, design: Design) -> None:
    """Refuse groups without a segment in common and identical dimensions, by name."""
    for k, j in itertools.combinations(range(len(D)), 2):
        _, stayed = staying(D[[k, j]], design)
        if not (D[[k, j]][:, stayed].sum(axis=1) > 0).all():
            raise IdentificationError(
                f"group: {cube.periods[k]!r} and {cube.periods[j]!r} share no segment of "
                f"{listing(cube.dimensions)}, so their rates cannot be compared. Merge levels "
                "(mapping=...), name fewer dimensions, or leave one of the groups out (where=...)."
            )
        seen = stayed & (D[[k, j]] > 0).any(axis=0)
        if pair := identical(design.at(seen)):
            a, b = (cube.dimensions[d] for d in pair)
            raise IdentificationError(
                f"by: {a!r} and {b!r} are identical, level for level, in {cube.periods[k]!r} and "
                f"{cube.periods[j]!r}, so their effects cannot be told apart. Drop one of them."
            )
