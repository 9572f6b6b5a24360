"""The dictionary of moderation KPIs: ready metrics by name, bound to a team's columns in one place.

>>> import attribution as at
>>> at.kpis.named("aht").better
'lower'

A name stands wherever a metric does: ``at.explain(data, "accuracy", ...)``, the command, a
configuration. `table` lists them; `bind` says what a team calls the columns; `add` puts in a KPI of
its own. What is bound and added holds for the running program.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from attribution import metric_text
from attribution.errors import ColumnTypeError, DataQualityWarning, OptionError, listing, nearest
from attribution.functions import FunctionOfSums, Total, cohen_kappa
from attribution.metrics import Mean, Metric, Quantile, Rate, Ratio

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Kpi", "add", "as_metric", "bind", "check_columns", "named", "reset", "table"]

# A name in an expression; quoted text and quoted columns are left as they are.
_NAMES = re.compile(r"""('[^']*'|"[^"]*"|`[^`]*`)|(?<![\w.])([^\W\d]\w*)""")
_WORDS = {"and", "or", "not", "in", "None", "True", "False", "is"}
_NOT_EXPRESSIONS = {"name", "better", "unit", "formula", "define", "q"}


@dataclass(frozen=True)
class Kpi:
    """A KPI of the dictionary.

    Attributes
    ----------
    metric : Metric
        In the dictionary's column names; its `name`, `better` and `unit` are those shown.
    definition : str
        What is divided by what, in words.
    date_axis : str
        The date that puts a row into a period; another one fakes effects.
    weighting : str
        What rows weigh, and which are left out.
    trap : str
        What misleads.
    """

    metric: Metric
    definition: str
    date_axis: str = ""
    weighting: str = ""
    trap: str = ""


_DECIDED, _REVIEWED = "decision date", "decision date of the reviewed item"
_SAMPLE = "1 / inclusion probability; void and targeted reviews left out"


def _error(kind: str, name: str) -> Kpi:
    return Kpi(
        Rate(f"error_type == '{kind}'", "reviewed", name=name, better="lower"),
        f"QA reviews with the error {kind} / QA reviews",
        _REVIEWED,
        _SAMPLE,
        "accuracy = 1 - the sum of the four error shares; read them together",
    )


_BUILT_IN: dict[str, Kpi] = {
    "accuracy": Kpi(
        Rate("correct", "reviewed", name="Accuracy"),
        "agreeing QA reviews / QA reviews",
        _REVIEWED,
        _SAMPLE,
        "a strict definition (same policy too) is another KPI; a change of sampling moves it",
    ),
    "over_enforcement": _error("over_enforcement", "Over-enforcement"),
    "under_enforcement": _error("under_enforcement", "Under-enforcement"),
    "wrong_policy": _error("wrong_policy", "Wrong policy"),
    "technical_errors": _error("technical", "Technical errors"),
    "precision": Kpi(
        Rate("actioned * violating", "actioned", name="Precision"),
        "actioned and violating / actioned",
        _REVIEWED,
        _SAMPLE,
        "1 - precision is not the false-positive rate",
    ),
    "recall": Kpi(
        Rate("actioned * violating", "violating", name="Recall"),
        "actioned and violating / truly violating",
        _REVIEWED,
        _SAMPLE,
        "published recall may be the machine's share of upheld actions",
    ),
    "false_positive_rate": Kpi(
        Rate("actioned * (1 - violating)", "1 - violating", name="FPR", better="lower"),
        "actioned and benign / benign",
        _REVIEWED,
        _SAMPLE,
        "not 1 - precision: the denominator is all benign items",
    ),
    "false_negative_rate": Kpi(
        Rate("(1 - actioned) * violating", "violating", name="FNR", better="lower"),
        "kept and violating / violating",
        _REVIEWED,
        _SAMPLE,
        "1 - recall",
    ),
    "f1": Kpi(
        Ratio("2 * actioned * violating", "actioned + violating", name="F1", unit="%"),
        "2 TP / (2 TP + FP + FN)",
        _REVIEWED,
        _SAMPLE,
        "leaves out true negatives; rises with prevalence",
    ),
    "severity_weighted_quality": Kpi(
        Ratio("severity * correct", "severity * reviewed", name="Weighted quality", unit="%"),
        "1 - sum(severity x error) / sum(severity)",
        _REVIEWED,
        _SAMPLE,
        "show it beside the unweighted accuracy",
    ),
    "leakage": Kpi(
        Rate("(1 - actioned) * violating", "1 - actioned", name="Leakage", better="lower"),
        "violating, found later / reviewed and kept",
        "decision date of a cohort 30 days old",
        _SAMPLE,
        "young cohorts look better: let them mature",
    ),
    "appeal_rate": Kpi(
        Rate("appealed", "actioned", name="Appeal rate", better="lower"),
        "appeals / actions",
        "action date",
        "none: every action counts",
        "selection-biased: who appeals is no sample; young cohorts have not appealed yet",
    ),
    "overturn_rate": Kpi(
        Rate("overturned", "decided", name="Overturn rate", better="lower"),
        "reversed / decided appeals",
        "action date of the appealed item",
        "none: every decided appeal counts",
        "selection-biased, not accuracy",
    ),
    "prevalence": Kpi(
        Ratio("violating_views", "sampled_views", name="Prevalence", better="lower", unit="%"),
        "sampled violating views / sampled views",
        "view date",
        "1 / sampling probability of a view",
        "of views, not of items",
    ),
    "sla_attainment": Kpi(
        Rate("in_sla", name="SLA attainment"),
        "decided in SLA / due; a row is an item that was due",
        "due date",
        "none: every item that was due",
        "open items past their due date are due too; without them a backlog looks fast",
    ),
    "tat_p50": Kpi(
        Quantile("turnaround_minutes", 0.5, name="TAT p50", better="lower", unit="min"),
        "median of decided - enqueued",
        _DECIDED,
        "none",
        "quantiles do not average; open items have no turnaround yet",
    ),
    "tat_p90": Kpi(
        Quantile("turnaround_minutes", 0.9, name="TAT p90", better="lower", unit="min"),
        "90 % quantile of decided - enqueued",
        _DECIDED,
        "none",
        "quantiles do not average; open items have no turnaround yet",
    ),
    "aht": Kpi(
        Mean("handle_seconds", name="AHT", better="lower", unit="s"),
        "handling seconds / decisions; a row is a decision",
        _DECIDED,
        "none: every decision",
        "falls in a rush, and accuracy with it; one record of hours can ruin a mean",
    ),
    "throughput": Kpi(
        Ratio("decisions", "productive_hours", name="Throughput", unit="per h"),
        "decisions / productive hours",
        _DECIDED,
        "none",
        "moves with the queue mix before anyone works faster",
    ),
    "utilization": Kpi(
        Ratio("productive_hours", "paid_hours", name="Utilization", unit="%"),
        "productive hours / paid hours",
        "work date",
        "none",
        "has a band: too high is no good news either",
    ),
    "backlog": Kpi(
        Total("waiting", name="Backlog", better="lower"),
        "items that wait; a row is an item, or holds a number of them",
        "end of the period",
        "none",
        "B1 = B0 + in - out: compare with inflow",
    ),
    "agreement": Kpi(
        Rate("correct == second_correct", name="Agreement"),
        "double reviews that agree / double reviews",
        _REVIEWED,
        "only items with a second review",
        "agreement by chance is high where nearly all items are of one kind",
    ),
    "kappa": Kpi(
        cohen_kappa("correct", "second_correct"),
        "agreement beyond chance: (po - pe) / (1 - pe)",
        _REVIEWED,
        "only items with a second review",
        "depends on prevalence; show PABAK beside it",
    ),
    "pabak": Kpi(
        FunctionOfSums(
            "2 * agree / n - 1", {"agree": "correct == second_correct", "n": "1"}, name="PABAK"
        ),
        "2 po - 1",
        _REVIEWED,
        "only items with a second review",
        "forgives chance agreement of 1/2 only",
    ),
}
_added: dict[str, Kpi] = {}
_columns: dict[str, str] = {}


def as_metric(metric: Metric | str, columns: Mapping[str, str] | None = None) -> Metric:
    """Return a metric from a metric, the name of a KPI, or a metric's text form.

    Parameters
    ----------
    metric : Metric or str
        As `attribution.metric_text.as_metric`, or a name of the dictionary.
    columns : mapping of str to str, optional
        Bindings for this call alone, before those of `bind`; they concern names only.

    Returns
    -------
    Metric

    Raises
    ------
    OptionError
        No KPI has the name; the message names the nearest.

    Examples
    --------
    >>> as_metric("AHT").label, as_metric("correct / reviewed").label
    ('AHT', 'correct / reviewed')
    >>> as_metric("acuracy")
    Traceback (most recent call last):
    ...
    attribution.errors.OptionError: metric: 'acuracy' is not a ratio of two expressions and no KPI \
of the dictionary. Did you mean 'accuracy'? at.kpis.table() lists them; 'correct / reviewed', \
'ratio(a / b)', 'mean(x)', 'total(x)' and 'quantile(x, 0.9)' are metrics as text.
    """
    if not isinstance(metric, str):
        return metric_text.as_metric(metric)
    if _key(metric) in _all():
        return named(metric, columns)
    kind, inside = metric_text.called(metric)
    if kind == "product":
        from attribution.products import product_of

        return product_of(inside, metric)
    if any(mark in metric for mark in "/("):
        return metric_text.as_metric(metric)
    raise OptionError(
        f"metric: {metric!r} is not a ratio of two expressions and no KPI of the dictionary."
        f"{nearest(_key(metric), _all())} at.kpis.table() lists them; 'correct / reviewed', "
        "'ratio(a / b)', 'mean(x)', 'total(x)' and 'quantile(x, 0.9)' are metrics as text."
    )


def named(name: str, columns: Mapping[str, str] | None = None) -> Metric:
    """Return the metric of a KPI, in the columns that are bound.

    Parameters
    ----------
    name : str
        Capitals, spaces, hyphens and underscores do not matter.
    columns : mapping of str to str, optional
        Bindings for this call alone, before those of `bind`.

    Returns
    -------
    Metric

    Raises
    ------
    OptionError
        No KPI has the name, or none reads a column of `columns`.

    Examples
    --------
    >>> named("aht", {"handle_seconds": "seconds"}).value
    'seconds'
    >>> named("SLA attainment")
    Rate(successes='in_sla', trials=None, name='SLA attainment', better='higher', unit=None)
    """
    if not isinstance(name, str) or _key(name) not in _all():
        raise OptionError(
            f"kpi: no KPI {name!r}.{nearest(_key(str(name)), _all())} "
            f"KPIs: {listing(_all(), most=40)}."
        )
    if columns is not None:
        check_columns(columns)
    return _bound(_all()[_key(name)].metric, {**_columns, **(columns or {})})


def bind(columns: Mapping[str, str]) -> None:
    """Say what a team calls the columns of the dictionary, in one place.

    Parameters
    ----------
    columns : mapping of str to str
        The dictionary's column -> the team's column or expression.

    Raises
    ------
    OptionError
        No KPI reads the column.
    ColumnTypeError
        Not a mapping of texts.

    Examples
    --------
    >>> bind({"handle_seconds": "aht_ms / 1000"})
    >>> named("aht").value
    '(aht_ms / 1000)'
    >>> reset()
    """
    check_columns(columns)
    _columns.update(columns)


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuse bindings of columns that no KPI reads, or to something that is no text.

    Parameters
    ----------
    columns : mapping of str to str

    Raises
    ------
    OptionError
        No KPI reads the column.
    ColumnTypeError
        Not a mapping of texts.
    """
    if not isinstance(columns, Mapping):
        raise ColumnTypeError(f"columns: {columns!r} is not a mapping, as in {{'correct': 'ok'}}.")
    known = sorted({x for kpi in _all().values() for x in _read(kpi.metric)})
    for column, own in columns.items():
        if column not in known:
            raise OptionError(
                f"columns: no KPI reads {column!r}.{nearest(column, known)} "
                f"Columns: {listing(known, most=40)}."
            )
        if not (isinstance(own, str) and own.strip()):
            raise ColumnTypeError(f"columns: {column!r} is bound to {own!r}, which is no text.")


def add(name: str, kpi: Kpi | Metric, *, replace: bool = False) -> None:
    """Put a team's own KPI into the dictionary, or replace one.

    Parameters
    ----------
    name : str
        What it is called where a metric is taken.
    kpi : Kpi or Metric
        With its definition, or the metric alone.
    replace : bool
        Whether a KPI that the dictionary comes with is meant to be replaced.

    Raises
    ------
    OptionError
        The name could be read as a metric's text.
    ColumnTypeError
        Neither a KPI nor a metric.

    Warns
    -----
    DataQualityWarning
        The name is that of a KPI the dictionary comes with, and `replace` is not set.

    Examples
    --------
    >>> add("reopen rate", Kpi(Rate("reopened", better="lower"), "reopened / decisions"))
    >>> named("reopen_rate").better
    'lower'
    >>> reset()
    """
    if not (isinstance(name, str) and re.fullmatch(r"[\w\s-]*[^\W\d][\w\s-]*", name)):
        raise OptionError(f"name: {name!r} is no name: letters, digits, spaces, - and _ only.")
    if not isinstance(kpi, Kpi):
        if isinstance(kpi, str) or not isinstance(kpi, Metric):
            raise ColumnTypeError(f"kpi: {kpi!r} is neither an at.kpis.Kpi nor a metric.")
        kpi = Kpi(kpi, "")
    if _key(name) in _BUILT_IN and not replace:
        warnings.warn(
            f"name: {name!r} replaces a KPI that the dictionary comes with, from now on and "
            "wherever it is named. Pass replace=True if that is meant, or another name.",
            DataQualityWarning,
            stacklevel=2,
        )
    _added[_key(name)] = kpi


def reset() -> None:
    """Forget what was bound and added."""
    _added.clear()
    _columns.clear()


def table() -> pd.DataFrame:
    """List the dictionary.

    Returns
    -------
    DataFrame
        One row per KPI: `name, label, kind, better, unit, definition, columns, date_axis,
        weighting, trap`; `columns` are those it reads, as they are bound.

    Examples
    --------
    >>> table().set_index("name").loc["aht", ["label", "better", "unit", "columns"]].tolist()
    ['AHT', 'lower', 's', 'handle_seconds']
    """
    import pandas as pd

    rows = []
    for name, kpi in _all().items():
        metric = _bound(kpi.metric, _columns)
        rows.append(
            {
                "name": name,
                "label": metric.label,
                "kind": type(metric).__name__,
                "better": metric.better,
                "unit": metric.display_unit,
                "definition": kpi.definition,
                "columns": ", ".join(_read(metric)),
                "date_axis": kpi.date_axis,
                "weighting": kpi.weighting,
                "trap": kpi.trap,
            }
        )
    return pd.DataFrame(rows)


def _all() -> dict[str, Kpi]:
    return {**_BUILT_IN, **_added}


def _key(name: str) -> str:
    """A name whatever its case, its separators and the side of the Atlantic it is spelled on."""
    one = re.sub(r"[\s_-]+", "_", name.strip().casefold())
    return re.sub(r"isation\b", "ization", one)


def _expressions(metric: Metric) -> dict[str, Any]:
    """The parameters of a metric that are expressions over columns."""
    own: Any = metric
    given = {f.name: getattr(metric, f.name) for f in fields(own) if f.name not in _NOT_EXPRESSIONS}
    return {k: v for k, v in given.items() if isinstance(v, str | Mapping)}


def _kpis_of(metric: Metric) -> Mapping[str, Metric]:
    """The KPIs that a metric is made of; none for most."""
    return getattr(metric, "kpis", {})


def _read(metric: Metric) -> list[str]:
    """The columns that a metric reads."""
    if parts := _kpis_of(metric):
        return list(dict.fromkeys(column for part in parts.values() for column in _read(part)))
    texts = []
    for value in _expressions(metric).values():
        texts += [value] if isinstance(value, str) else value.values()
    found = [m.group(2) or m.group(1).strip("`") for t in texts for m in _NAMES.finditer(t)
             if m.group(2) or m.group(1).startswith("`")]  # fmt: skip
    return [name for name in dict.fromkeys(found) if name not in _WORDS]


def _bound(metric: Metric, columns: Mapping[str, str]) -> Metric:
    """The metric in the team's columns."""
    if not columns:
        return metric
    own: Any = metric
    if parts := _kpis_of(metric):
        return replace(own, factors={name: _bound(x, columns) for name, x in parts.items()})
    changed = {
        parameter: _renamed(value, columns)
        if isinstance(value, str)
        else {name: _renamed(text, columns) for name, text in value.items()}
        for parameter, value in _expressions(metric).items()
    }
    return replace(own, **changed)


def _renamed(text: str, columns: Mapping[str, str]) -> str:
    whole = columns.get(text)
    if whole is not None and (whole.isidentifier() or whole.startswith("`")):
        return whole

    def one(found: re.Match) -> str:
        own = columns.get(found.group(2) or "")
        if own is None:
            return found.group(0)
        return own if own.isidentifier() or own.startswith("`") else f"({own})"

    return _NAMES.sub(one, text)
