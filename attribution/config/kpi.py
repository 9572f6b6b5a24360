"""The table of one KPI: what it is, what it is compared with, and what breaches a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from attribution.analysis import asked_options
from attribution.config.comparison import check_comparisons
from attribution.config.drills import Drilldown
from attribution.config.keys import Condition, Place, Positive, Section, Text
from attribution.config.located import LocatedError
from attribution.errors import AttributionError, OptionError, listing, nearest
from attribution.kpis import as_metric
from attribution.metrics import Metric
from attribution.products import ErrorTypes, Product

__all__ = ["Breach", "Kpi"]


class Breach(Section):
    """What makes a KPI breach its threshold; any of them is enough."""

    below: float | None = Field(
        default=None, description="The KPI itself, in its unit (0.95 is 95 %)."
    )
    above: float | None = None
    worse_by: Positive | None = Field(
        default=None, description="A change for the worse beyond this."
    )
    only_real: bool = Field(
        default=True, description="`worse_by` counts only where the verdict is real."
    )


class Kpi(Section):
    """One KPI, what it is compared with and what is drilled into."""

    name: Text
    metric: Text | None = Field(
        default=None,
        description='"correct / reviewed", "mean(x)", or a KPI of the dictionary; or one of the '
        "two below.",
    )
    factors: dict[str, Text] = Field(
        default={}, description="A product of KPIs: the name and metric of each factor."
    )
    types: dict[str, Text] = Field(
        default={},
        description='Accuracy by error types: name and share of each, "over / reviewed".',
    )
    source: Text | None = Field(default=None, description="Needed where there are several sources.")
    by: list[Text] = Field(min_length=1)
    better: Literal["higher", "lower"] | None = Field(
        default=None, description="Default: the metric's own; higher for one written as text."
    )
    unit: str | None = None
    where: Condition | None = Field(default=None, description="A further condition on rows.")
    weight: Text | None = Field(
        default=None, description="Instead of the source's; an empty one is none."
    )
    cluster: Text | list[Text] | None = None
    volume: Place | None = Field(default=None, description="A table of full counts.")
    plan: Place | None = Field(default=None, description="A table of planned shares and targets.")
    target: float | None = None
    compare: list[Text] = Field(
        default=["previous"], min_length=1, description='"previous", "year", "plan", "rolling 3".'
    )
    drill: list[Text] = Field(default=[], description='"market=BR by policy", "top 3".')
    material: Positive | None = Field(default=None, description="The smallest change that matters.")
    method: Literal["midpoint", "threefold", "baseline", "current"] = Field(
        default="midpoint",
        description="Of all comparisons but those with a plan, as are `mix`, "
        "`order`, `rates`, `pairs` and `inference`; see `attribution.explain`.",
    )
    mix: Literal["adjusted", "shapley", "das_gupta", "ordered"] = Field(
        default="adjusted", description="How the mix effect is divided among the dimensions."
    )
    order: list[Text] | None = Field(
        default=None, description='For mix = "ordered": all of `by`, first what is decided first.'
    )
    rates: Literal["auto", "saturated", "additive", "pairs"] = "auto"
    pairs: list[list[Text]] | None = Field(
        default=None,
        description='For rates = "pairs": [["queue", "tenure"]]; default: the significant ones.',
    )
    inference: Literal["analytic", "bootstrap"] = "analytic"
    causes: bool = Field(default=True, description="Search for named causes of the rate effect.")
    breach: Breach = Breach()

    @field_validator("compare")
    @classmethod
    def _known(cls, given: list[str]) -> list[str]:
        check_comparisons(given)
        return given

    @field_validator("drill")
    @classmethod
    def _divisible(cls, given: list[str]) -> list[str]:
        for text in given:
            Drilldown.of(text)
        return given

    @field_validator("metric")
    @classmethod
    def _readable(cls, given: str | None) -> str | None:
        try:
            if given is not None:
                as_metric(given)
        except AttributionError as error:
            raise ValueError(str(error).removeprefix("metric: ")) from None
        return given

    @model_validator(mode="after")
    def _one_metric(self) -> Kpi:
        parts = {n: getattr(self, n) for n in ("metric", "factors", "types")}
        given = [name for name, part in parts.items() if part]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"exactly one of metric, factors and types is needed; {found}")
        for name, text in {**self.factors, **self.types}.items():
            try:
                as_metric(text)
            except AttributionError as error:
                said = str(error).removeprefix("metric: ")
                raise LocatedError((given[0], name), said) from None
        try:
            self.measured({})
        except AttributionError as error:
            raise LocatedError((given[0],), str(error).removeprefix(f"{given[0]}: ")) from None
        return self

    def measured(self, columns: Mapping[str, str]) -> Metric:
        """Return the metric, or what is made of the factors or types.

        Parameters
        ----------
        columns : mapping of str to str
            What the source calls the columns of the KPI dictionary.

        Returns
        -------
        Metric
        """
        if self.metric is not None:
            return as_metric(self.metric, columns)
        kind, parts = (Product, self.factors) if self.factors else (ErrorTypes, self.types)
        return kind({name: as_metric(text, columns) for name, text in parts.items()})

    @property
    def options(self) -> dict[str, Any]:
        """How a change is divided and judged: the options of `attribution.explain`."""
        names = ("method", "mix", "order", "rates", "pairs", "inference")
        return {name: getattr(self, name) for name in names}

    @model_validator(mode="after")
    def _explainable(self) -> Kpi:
        try:
            asked = asked_options(**self.options)
        except OptionError as error:
            key, _, said = str(error).partition(": ")
            raise LocatedError((key,), said) from None
        if asked.order is not None and sorted(asked.order) != sorted(self.by):
            slips = [d for d in asked.order if d not in self.by]
            hint = nearest(slips[0], self.by) if slips else ""
            raise LocatedError(
                ("order",), f"{list(asked.order)!r} does not name each of {self.by!r} once.{hint}"
            )
        for i, pair in enumerate(asked.pairs or ()):
            if slips := [d for d in pair if d not in self.by]:
                said = f"no dimension {slips[0]!r}.{nearest(slips[0], self.by)}"
                raise LocatedError(("pairs", i), f"{said} Dimensions: {listing(self.by)}.")
        return self

    @model_validator(mode="after")
    def _planned(self) -> Kpi:
        if "plan" in self.compare and self.plan is None and self.target is None:
            raise ValueError("compare has 'plan', which needs plan (a table) or target (a number)")
        return self
