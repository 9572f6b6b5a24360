"""oaxaca: the difference of two groups' mean outcome, explained by predictors in a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.decompose.regression import Category, Term, decompose_regression
from attribution.errors import OptionError, check_level, check_option, listing
from attribution.formatting import Format, tiny
from attribution.gradient import Gradient
from attribution.infer import (
    ADJUSTMENTS,
    FEWEST_UNITS,
    Inference,
    Support,
    Units,
    adjusted_p_values,
    infer,
    psi,
    std_errors,
)
from attribution.infer.influence import influence_units, level_support
from attribution.labels import plural
from attribution.predictors import Observations, Request, observe
from attribution.seeds import seed_of
from attribution.total import Total

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Oaxaca", "oaxaca"]

_REFERENCES = ("weighted", "neumark", "pooled")


def oaxaca(
    data: object,
    outcome: str,
    predictors: str | Sequence[str],
    group: str,
    baseline: object,
    current: object,
    *,
    kind: str = "twofold",
    reference: float | str | None = None,
    model: str = "linear",
    categorical: str | Sequence[str] = (),
    normalize: bool = True,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    on_invalid: str = "raise",
    conf_level: float = 0.95,
    adjust: str | None = "max-t",
    rng: object = None,
) -> Oaxaca:
    """Explain the difference of a mean outcome between two groups or periods by predictors.

    ``Ȳ_1 - Ȳ_0 = (x_1 - x_0) b* + x_1 (b_1 - b*) + x_0 (b* - b_0)``, explained by what the groups
    are like and unexplained; threefold, ``(x_1 - x_0) b_0 + x_0 (b_1 - b_0) + (x_1 - x_0)
    (b_1 - b_0)``, endowments, coefficients and interaction.

    Parameters
    ----------
    data : table
        One row per observation; see `attribution.explain` for what a table can be.
    outcome : str
        A column or expression: ``"handle_seconds"``; with ``model="logit"`` one of 0 and 1.
    predictors : str or sequence of str
        Columns: numbers as they are, text and flags by level, a null level being "(missing)"; or
        expressions, ``"age * age"``.
    group : str
        The column that tells the two groups, or periods, apart.
    baseline, current : value or list of values
        Values of `group`, cast to the column's type; a list pools them.
    kind : {"twofold", "threefold"}
    reference : float or {"pooled", "neumark", "weighted"}, optional
        For twofold, the coefficients b* that value differences: 0 those of the baseline, 1 those
        of the current group, a number between them a mixture, "weighted" one by the sizes of the
        groups, "neumark" those of both groups together, "pooled" (None) the same with an indicator
        of the group, which keeps the unexplained part out of them.
    model : {"linear", "logit"}
        "logit" decomposes the difference of mean predicted probabilities, which is the same, and
        shares its parts out over the predictors by their parts of the linear predictor.
    categorical : str or sequence of str
        Predictors whose numbers or dates are levels.
    normalize : bool
        Effects of levels as deviations from their mean. Without it the first level of each
        predictor is the reference, and unexplained parts depend on which one that is.
    cluster : str or sequence of str, optional
        The column of units that are independent of each other, or two. None: rows are independent.
    weight : str, optional
        A column of row weights, or an expression: ``"1 / inclusion_prob"``.
    where : str, optional
        A condition on rows.
    on_invalid : {"raise", "drop"}
        Rows with nulls or infinities: an error that lists them all, or leave them out with a
        warning that counts them.
    conf_level : float
        Of all intervals.
    adjust : {"max-t", "holm", "bh", None}
        How the p-values of one view are adjusted for its number of lines.
    rng : int, Generator or SeedSequence, optional
        Of the adjustment. None is 0.

    Returns
    -------
    Oaxaca

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError, ExpressionError, OptionError
        The request does not fit the table.
    PeriodError
        A group is not in the data.
    DataContractError
        Rows break the data contract; all findings are listed.
    IdentificationError
        Coefficients are not determined: a level that one group lacks, predictors that repeat each
        other, a logit that predicts rows perfectly.

    Notes
    -----
    All rows of the two groups are held in memory, unlike anywhere else in the package.
    Standard errors are linearized: predictors are random too, and clusters may be in both groups.
    The constant is a line of the unexplained part. How that part divides among numbers and the
    constant depends on where their zero is (Jones 1983); its total does not.

    References
    ----------
    Oaxaca, R. (1973). Int. Econ. Rev. 14. Blinder, A. S. (1973). J. Human Resources 8.
    Neumark, D. (1988). J. Human Resources 23. Yun, M.-S. (2004). Econ. Letters 82. Yun, M.-S.
    (2005). Econ. Inquiry 43. Jann, B. (2008). The Blinder-Oaxaca decomposition for linear
    regression models. Stata J. 8(4).

    Examples
    --------
    >>> import pandas as pd
    >>> decisions = pd.DataFrame({
    ...     "site": ["A"] * 6 + ["B"] * 6,
    ...     "length": [1., 2, 3, 4, 5, 6, 3, 4, 5, 6, 7, 8],
    ...     "queue": ["text", "video"] * 6,
    ... })
    >>> decisions["seconds"] = 5 * decisions["length"] + 20 * (decisions["queue"] == "video")
    >>> decisions.loc[decisions["site"] == "B", "seconds"] += 3
    >>> gap = oaxaca(decisions, "seconds", ["length", "queue"], "site", "A", "B")
    >>> gap
    <Oaxaca seconds: A 27.5 -> B 40.5 (+13.0), explained +10.0, unexplained +3.0>
    """
    asked = {
        "kind": kind,
        "reference": _reference(kind, reference),
        "model": model,
        "normalize": normalize,
        "conf_level": check_level("conf_level", conf_level),
        "adjust": adjust,
        "seed": seed_of(rng),
    }
    _check_options(asked, on_invalid)
    request = Request(
        outcome=outcome,
        predictors=predictors,
        group=group,
        baseline=baseline,
        current=current,
        model=model,
        categorical=categorical,
        normalize=normalize,
        cluster=cluster,
        weight=weight,
        where=where,
        on_invalid=on_invalid,
    )
    found = observe(data, request)
    rows = found.columns, found.y, found.w, found.side
    parts = decompose_regression(*rows, kind=kind, reference=asked["reference"], model=model)
    provenance = {
        "outcome": outcome,
        "predictors": list(found.predictors),
        "group": group,
        "baseline": found.labels[0],
        "current": found.labels[1],
        **asked,
        "cluster": list(found.clusters),
        "weight": weight,
        "where": where,
        "source": found.rows.kind,
        "name": found.rows.name,
        "rows": len(found.y),
    }
    return Oaxaca(
        provenance=provenance,
        findings=tuple(found.rows.findings),
        _means=parts.means,
        _names=tuple((effect, *found.term_name(term)) for effect, term in parts.lines),
        _estimate=parts.estimate,
        _gradient=parts.gradient,
        _units=influence_units(parts.influence, len(found.y), list(found.clusters.values())),
        _supports=_supports(found, [term for _, term in parts.lines]),
    )


def _supports(found: Observations, terms: Sequence[Term]) -> tuple[Support, Support]:
    """The units that each line rests on, those of its level, and the units of all lines."""
    clusters, everyone = list(found.clusters.values()), Category(np.zeros_like(found.side), 1)
    of_predictor = [x if isinstance(x, Category) else everyone for x in found.predictors.values()]
    levels = [level_support(x.codes, x.size, found.side, clusters) for x in of_predictor]
    whole = level_support(everyone.codes, 1, found.side, clusters)
    at = [(whole if x.predictor is None else levels[x.predictor], x.level or 0) for x in terms]
    per_period = np.stack([support.per_period[level] for support, level in at])
    return Support(per_period, np.array([support.either[level] for support, level in at])), whole


@dataclass(frozen=True, eq=False)
class Oaxaca:
    """A difference explained by predictors; made by `attribution.oaxaca`.

    Attributes
    ----------
    provenance : dict
        What was asked, of which rows.
    findings : tuple of dict
        What the reading noticed.
    """

    provenance: dict[str, Any]
    findings: tuple[dict[str, Any], ...]
    _means: np.ndarray
    _names: tuple[tuple[str, str | None, str | None], ...]
    _estimate: np.ndarray
    _gradient: Gradient
    _units: Units
    _supports: tuple[Support, Support]

    @cached_property
    def total(self) -> Total:
        """The difference itself: `baseline, current, change`, and the interval of the change."""
        found, _ = self._inferred(np.ones((1, len(self._estimate))), self._supports[1])
        known = ("std_error", "conf_low", "conf_high", "p_value")
        values = {name: float(getattr(found, name)[0]) for name in known}
        change = float(self._means[1] - self._means[0])
        return Total(float(self._means[0]), float(self._means[1]), change, **values)

    @property
    def effects(self) -> pd.DataFrame:
        """All lines; `estimate` adds up to the difference.

        Columns: effect, dimension (the predictor, or "(constant)"), segment (the level of a
        categorical predictor), estimate, std_error, conf_low, conf_high, p_value, p_adjusted.
        Effects: "explained", "unexplained"; threefold "endowments", "coefficients", "interaction".
        """
        return self._frame(list(self._names))

    @property
    def predictors(self) -> pd.DataFrame:
        """The same with the levels of a predictor summed: one row per part and predictor."""
        return self._frame([(effect, dimension, None) for effect, dimension, _ in self._names])

    @property
    def parts(self) -> pd.DataFrame:
        """The same with all predictors summed: one row per part."""
        return self._frame([(effect, None, None) for effect, _, _ in self._names])

    def _frame(self, keys: list[tuple[str, str | None, str | None]]) -> pd.DataFrame:
        """The lines summed by key, as one view."""
        import pandas as pd

        rows = list(dict.fromkeys(keys))
        at = np.array([rows.index(key) for key in keys])
        weights = (np.arange(len(rows))[:, None] == at).astype(float)
        support = self._supports[0]
        if len(rows) < len(keys):
            # A sum over levels rests on all units, as the difference does.
            whole = self._supports[1]
            support = Support(
                np.repeat(whole.per_period, len(rows), axis=0), np.repeat(whole.either, len(rows))
            )
        found, gradient = self._inferred(weights, support)
        asked = self.provenance
        p = np.where(found.few, np.nan, found.p_value)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = found.estimate / found.std_error
        adjusted = adjusted_p_values(
            p, t, psi(gradient, self._units), self._units, asked["adjust"], asked["seed"]
        )
        effect, dimension, segment = zip(*rows, strict=True)
        return pd.DataFrame(
            {
                "effect": effect,
                "dimension": pd.Series(dimension, dtype=object),
                "segment": pd.Series(segment, dtype=object),
                "estimate": found.estimate,
                "std_error": found.std_error,
                "conf_low": found.conf_low,
                "conf_high": found.conf_high,
                "p_value": found.p_value,
                "p_adjusted": adjusted,
            }
        )

    def _inferred(self, weights: np.ndarray, support: Support) -> tuple[Inference, Gradient]:
        gradient = self._gradient.combine(weights)
        se = std_errors(gradient, self._units)
        size = float(max(np.abs(self._means).max(), np.abs(self._estimate).max()))
        level = self.provenance["conf_level"]
        return infer(weights @ self._estimate, se, support, level, size), gradient

    def check(self) -> pd.DataFrame:
        """Return the residual and every data-quality finding: `code, severity, message, facts`."""
        import pandas as pd

        residual = float(self._means[1] - self._means[0] - self._estimate.sum())
        message = f"The lines add up to the difference; the residual is {tiny(residual)}."
        found = [_finding("residual", "ok", message, residual=residual)]
        found += [dict(f) for f in self.findings]
        few = self._supports[0].fewest < FEWEST_UNITS
        if few.any():
            names = [d if x is None else f"{d} {x}" for _, d, x in self._names]
            named = dict.fromkeys(str(x) for x, f in zip(names, few, strict=True) if f)
            units = " or ".join(plural(x) for x in self.provenance["cluster"]) or "rows"
            message = (
                f"{listing(named, most=8)}: fewer than {FEWEST_UNITS} {units} in a group. Their "
                "intervals are wide, and there is none for a single one."
            )
            found.append(_finding("few_units", "warning", message, lines=list(named)))
        return pd.DataFrame(found, columns=["code", "severity", "message", "facts"])

    def __repr__(self) -> str:
        asked, form = self.provenance, Format.fitting("", self._means[1] - self._means[0])
        sums = dict.fromkeys((effect for effect, _, _ in self._names), 0.0)
        for (effect, _, _), value in zip(self._names, self._estimate, strict=True):
            sums[effect] += value
        return (
            f"<Oaxaca {asked['outcome']}: {asked['baseline']} {form.level(self._means[0])} -> "
            f"{asked['current']} {form.level(self._means[1])} "
            f"({form.change(self._means[1] - self._means[0])}), "
            f"{', '.join(f'{effect} {form.change(value)}' for effect, value in sums.items())}>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Oaxaca):
            return NotImplemented
        return (self.provenance, self.total) == (other.provenance, other.total) and np.array_equal(
            self._estimate, other._estimate
        )

    def __hash__(self) -> int:
        return hash((str(self.provenance), self.total))


def _finding(code: str, severity: str, message: str, **facts: Any) -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": message, "facts": facts}


# -- what was asked ---------------------------------------------------------------------------


def _reference(kind: str, reference: object) -> float | str | None:
    check_option("kind", kind, ["twofold", "threefold"])
    if kind == "threefold":
        if reference is not None:
            raise OptionError(
                f"reference: {reference!r} is for kind='twofold'; threefold has none."
            )
        return None
    if reference is None:
        return "pooled"
    number = isinstance(reference, int | float) and not isinstance(reference, bool)
    if number and 0 <= reference <= 1:  # pyright: ignore[reportOperatorIssue]
        return float(reference)  # pyright: ignore[reportArgumentType]
    if not isinstance(reference, str):
        raise OptionError(
            f"reference: {reference!r} is not a number from 0 (the baseline's coefficients) to 1 "
            f"(the current group's), nor one of {listing(_REFERENCES)}."
        )
    check_option("reference", reference, _REFERENCES)
    return reference


def _check_options(asked: dict[str, Any], on_invalid: str) -> None:
    check_option("model", asked["model"], ["linear", "logit"])
    check_option("normalize", asked["normalize"], [True, False])
    check_option("on_invalid", on_invalid, ["raise", "drop"])
    check_option("adjust", asked["adjust"], ADJUSTMENTS)
