"""Root-cause attribution for operations KPIs: exact mix and rate bridges with honest intervals.

>>> import attribution as at

Ask why:
    explain         why a KPI changed between two periods           -> Attribution
    trend           every change over many periods, adding up       -> Trend
    compare_to_plan             actual against plan: mix, performance, unplanned work
    error_types     accuracy by its error types, each with its mix and rate
    standardize     many groups at the same mix, pairwise effects transitive
    oaxaca          regression decomposition of a difference of means
    factors         any function of named factors, attributed to them
    standardize_factors         the same for many populations, one factor at a time
    Tree            a KPI tree written as formulas; capacity_tree is one
    Cube            the sums behind an answer, to scan once and ask often
    Bootstrap       how to bootstrap, for `explain(inference=...)`

Say what a KPI is:
    Rate, Ratio, Mean, Total, Quantile
    FunctionOfSums  any smooth function of sums; cohen_kappa and f_score are two
    Product         a product of KPIs: cost = volume x AHT x wage
    Dimension       a dimension within another one: market within region
    kpis            the moderation KPIs by name, bound to your columns: at.kpis.table()

Set targets and keep them:
    scorecard       sites or moderators compared fairly, with noise, ranks and targets
    composite_scorecard         several KPIs of each, gates first
    targets         plan, cascade, completion, whatif: targets that roll up
    minimum_detectable_change   how small a change a sample can show

Show it:
    review          the scripted monthly review: a configuration in, a folder of files out
    Theme           fonts and colors of pictures, for a company to set once
    Privacy         who may be seen in a file, and which groups are too small for one

    datasets        example data with known causes; real open data
    errors          everything that can be raised or warned
    testing         checks that a decomposition of your own has to pass

The path of every answer: any table --source--> Cube --decompose--> lines and their gradient
--infer--> Attribution --> Bridge --> summary, plots, files.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Imported on first use, so that `import attribution` costs next to nothing.
_HOME = {
    "Attribution": "attribution.result",
    "Bootstrap": "attribution.infer.bootstrap",
    "CompositeScorecard": "attribution.cards",
    "Cube": "attribution.cube",
    "Dimension": "attribution.hierarchy",
    "Mean": "attribution.metrics",
    "Quantile": "attribution.metrics",
    "Product": "attribution.products",
    "Privacy": "attribution.privacy",
    "Rate": "attribution.metrics",
    "FunctionOfSums": "attribution.functions",
    "Oaxaca": "attribution.regression",
    "Ratio": "attribution.metrics",
    "Scorecard": "attribution.cards",
    "Standardized": "attribution.groups",
    "StandardizedFactors": "attribution.populations",
    "Theme": "attribution.plots.theme",
    "Total": "attribution.functions",
    "Tree": "attribution.tree",
    "capacity_tree": "attribution.tree",
    "compare_to_plan": "attribution.plans",
    "cohen_kappa": "attribution.functions",
    "error_types": "attribution.composed",
    "composite_scorecard": "attribution.cards",
    "explain": "attribution.analysis",
    "f_score": "attribution.functions",
    "factors": "attribution.drivers",
    "minimum_detectable_change": "attribution.power",
    "oaxaca": "attribution.regression",
    "scorecard": "attribution.cards",
    "review": "attribution.monthly.job",
    "standardize": "attribution.groups",
    "standardize_factors": "attribution.populations",
    "Trend": "attribution.trends",
    "trend": "attribution.periods",
}
_MODULES = ("datasets", "errors", "kpis", "targets", "testing")

__all__ = [
    "Attribution",
    "Bootstrap",
    "CompositeScorecard",
    "Cube",
    "Dimension",
    "FunctionOfSums",
    "Mean",
    "Oaxaca",
    "Quantile",
    "Privacy",
    "Product",
    "Rate",
    "Ratio",
    "Scorecard",
    "Standardized",
    "StandardizedFactors",
    "Theme",
    "Total",
    "Tree",
    "Trend",
    "capacity_tree",
    "cohen_kappa",
    "compare_to_plan",
    "composite_scorecard",
    "datasets",
    "error_types",
    "errors",
    "explain",
    "f_score",
    "factors",
    "kpis",
    "minimum_detectable_change",
    "oaxaca",
    "scorecard",
    "review",
    "standardize",
    "standardize_factors",
    "targets",
    "testing",
    "trend",
]

if TYPE_CHECKING:
    from attribution import datasets, errors, kpis, targets, testing
    from attribution.analysis import explain
    from attribution.cards import (
        CompositeScorecard,
        Scorecard,
        composite_scorecard,
        scorecard,
    )
    from attribution.composed import error_types
    from attribution.cube import Cube
    from attribution.drivers import factors
    from attribution.functions import FunctionOfSums, Total, cohen_kappa, f_score
    from attribution.groups import Standardized, standardize
    from attribution.hierarchy import Dimension
    from attribution.infer.bootstrap import Bootstrap
    from attribution.metrics import Mean, Quantile, Rate, Ratio
    from attribution.monthly.job import review
    from attribution.periods import trend
    from attribution.plans import compare_to_plan
    from attribution.plots.theme import Theme
    from attribution.populations import StandardizedFactors, standardize_factors
    from attribution.power import minimum_detectable_change
    from attribution.privacy import Privacy
    from attribution.products import Product
    from attribution.regression import Oaxaca, oaxaca
    from attribution.result import Attribution
    from attribution.tree import Tree, capacity_tree
    from attribution.trends import Trend


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"attribution.{name}")
    else:
        raise AttributeError(f"module 'attribution' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
