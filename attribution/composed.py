"""error_types: accuracy explained by its error types, each with its own mix and rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attribution.analysis import explain
from attribution.cube import several
from attribution.kpis import as_metric
from attribution.products import ErrorTypes

if TYPE_CHECKING:
    from attribution.hierarchy import Dimension
    from attribution.result import Attribution

__all__ = ["error_types"]


def error_types(
    data: object,
    by: str | Dimension | Sequence[str | Dimension],
    types: Mapping[str, str] | Sequence[str] | None = None,
    *,
    name: str = "Accuracy",
    **asked: Any,
) -> Attribution:
    """Explain accuracy by its error types: what each type's mix and rate did to it.

    ``accuracy = 1 - sum of the shares of the types``; a line of a type is minus that of its share,
    so that positive lines raise accuracy, and all lines add up to its change.

    Parameters
    ----------
    data, by
        As in `attribution.explain`.
    types : mapping of str to str, or sequence of str, optional
        The name of each error type and its share: ``{"Over-enforcement": "over / reviewed"}``; or
        names of the KPI dictionary, by default its four. All count the same trials, of which each
        has one type at most; what no type holds counts as correct.
    name : str
    **asked
        `period, baseline, current` and the options of `attribution.explain`.

    Returns
    -------
    Attribution
        `effects` has a column `factor`, the error type; `factors` sums its rows.

    Raises
    ------
    OptionError
        A type is no share, or they do not share their trials.
    DataContractError
        A segment has more errors than trials: types overlap.

    Examples
    --------
    >>> import pandas as pd
    >>> qa = pd.DataFrame({"month": [1, 1, 2, 2], "queue": ["A", "B"] * 2, "n": [100] * 4,
    ...                    "over": [2, 4, 6, 4], "under": [1, 1, 1, 3]})
    >>> change = error_types(qa, "queue", {"Over": "over / n", "Under": "under / n"},
    ...                      period="month", baseline=1, current=2)
    >>> change
    <Attribution Accuracy: 96.00 % -> 93.00 % (−3.00 pp), noise>
    >>> change.factors["estimate"].round(4).tolist()
    [-0.02, -0.01]
    """
    if types is None:
        metric = ErrorTypes(name=name)
    elif isinstance(types, Mapping):
        metric = ErrorTypes(types, name=name)
    else:
        metric = ErrorTypes({as_metric(kpi).label: kpi for kpi in several(types)}, name=name)
    return explain(data, metric, by, **asked)
