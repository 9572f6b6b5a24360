"""The frames of an answer: per level, per segment, rolled up, and by every mix method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attribution.decompose import Composition
from attribution.errors import OptionError, listing
from attribution.methods import (
    Pathways,
    compared_of_factors,
    pathway_matrix,
    pathways_of_factors,
)
from attribution.methods import compare_methods as compared
from attribution.metrics import Quantile
from attribution.products import Composite
from attribution.rollup import hierarchy_table
from attribution.tables import factors_table, levels_table, segments_table

if TYPE_CHECKING:
    import pandas as pd

    from attribution.result import Attribution

__all__ = ["compare_methods", "factors", "hierarchy", "levels", "pathways", "segments"]


def factors(self: Attribution) -> pd.DataFrame:
    """What each factor of a KPI made of KPIs did, with the factor itself in both periods.

    Columns: factor, baseline, current (in the factor's own unit), estimate (the sum of its rows of
    `effects`), std_error, conf_low, conf_high, p_value, share_of_change.

    Raises
    ------
    OptionError
        The KPI is not made of KPIs.
    """
    if isinstance(self.metric, Composite) and isinstance(self._parts, Composition):
        return factors_table(list(self.metric.kpis), self._parts, self._evidence)
    raise OptionError(
        f"factors: {self.metric.label!r} is one KPI; at.Product({{...}}) has factors."
    )


def levels(self: Attribution, dimension: str) -> pd.DataFrame:
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

    Intervals of shares, and of the rates of a `Rate`, lie in [0, 1]: t intervals of the logit, and
    where a level has only successes or only failures Wilson's score interval with the design effect
    of the other levels. Those of changes are symmetric.
    """
    d = self.cube.dimension_index(dimension)
    if dimension not in self._kept:
        self._kept[dimension] = levels_table(self.cube, self.metric, self._evidence, d)
    return self._kept[dimension].copy()


def hierarchy(self: Attribution, dimension: str) -> pd.DataFrame:
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
    d = self.cube.dimension_index(dimension)
    return hierarchy_table(self.cube, self.metric, self._evidence, d)


def segments(self: Attribution, by: Sequence[str] | None = None) -> pd.DataFrame:
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


def compare_methods(self: Attribution, order: Sequence[str] | None = None) -> pd.DataFrame:
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
        these data has nulls, and ``frame.attrs["why"]`` says why. Of a KPI made of KPIs each
        factor's mix is divided, times what a change of the factor is worth; a column `factor`
        names it.

    Notes
    -----
    Das Gupta's published form changes when a constant is added to all rates. Where all segments
    have one rate, as in the volume of a product, mix is 0 and so are the lines of the other
    methods; his do not vanish then, they cancel.

    Raises
    ------
    OptionError
        Another method than midpoint, or an order that does not name each dimension once; a
        quantile, whose mix has no cells that methods could divide.
    """
    if isinstance(self.metric, Quantile):
        raise OptionError(
            "compare_methods: the mix of a quantile is divided by its linear form, for which only "
            "'adjusted' is exact; compare the methods for a mean or a share above a threshold."
        )
    if not isinstance(self._parts, Composition):
        return compared(self.cube, self._evidence, self.effects, order)
    return compared_of_factors(self.changes, self._parts.worth, order)


def pathways(self: Attribution) -> Pathways:
    """Return whose mix was pushed (rows) and through whose rates it acted (columns).

    Columns are those of the bridge: the dimensions', by mix="adjusted", and joint.

    Returns
    -------
    Pathways
        With `frame` and the `note` that belongs beside it. Of a KPI made of KPIs each factor has
        a mix of its own, that of its denominator: the rows are those of each factor, times what a
        change of it is worth, named "AHT: queue"; columns and all add up as they do for one KPI.

    Raises
    ------
    IdentificationError
        The baseline's empty cells leave no table with the current margins: no matrix.
    OptionError
        A quantile, whose mix acts through whole distributions and not through rates.
    """
    if isinstance(self.metric, Quantile):
        raise OptionError(
            "pathways: the mix of a quantile acts through whole distributions, not through rates; "
            "ask for the pathways of a mean or of a share above a threshold."
        )
    if not isinstance(self._parts, Composition):
        return pathway_matrix(self.cube, self._evidence)
    return pathways_of_factors(self.changes, self._parts.worth)
