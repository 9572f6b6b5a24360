"""Arrays in, effects and gradient out: the decompositions, which see nothing of the user's labels.

kitagawa.py mix and rate per segment; turnover.py what enters and leaves; rates.py saturated,
additive and pairs rates; counted.py known volumes; dimensions.py the mix effect per dimension;
linearize.py the chain rule between them; decomposition.py puts one change together, functions.py
that of a KPI of several sums, with what its shares and rates are worth from coefficients.py, and
distribution.py that of a quantile, composed.py that of a
product or sum of KPIs. design.py is their linear algebra.
"""

from attribution.decompose.coefficients import (
    Form,
    RatioForm,
    SmoothForm,
    TotalForm,
    differentiated,
)
from attribution.decompose.composed import (
    COMPLEMENT,
    PRODUCT,
    Composition,
    Joined,
    compose,
    recompute_lines,
)
from attribution.decompose.decomposition import Decomposition, Line, decompose
from attribution.decompose.design import Design
from attribution.decompose.dimensions import identical
from attribution.decompose.distribution import Located, locate, quantile_effects, spacing, sparsity
from attribution.decompose.functions import FunctionDecomposition, decompose_function
from attribution.decompose.margins import margin_rates, margin_shares, total_change
from attribution.decompose.misfit import misfit
from attribution.decompose.mixing import MIX, compared
from attribution.decompose.pathways import pathways
from attribution.decompose.replicates import Recomputed
from attribution.decompose.turnover import staying

# What a change is decomposed into, whatever the KPI: the same attributes and gradients.
Decomposed = Decomposition | FunctionDecomposition | Composition

__all__ = [
    "COMPLEMENT",
    "MIX",
    "PRODUCT",
    "Composition",
    "Decomposed",
    "Decomposition",
    "Design",
    "Form",
    "FunctionDecomposition",
    "Joined",
    "Line",
    "Located",
    "Recomputed",
    "compared",
    "compose",
    "decompose",
    "decompose_function",
    "differentiated",
    "identical",
    "locate",
    "margin_rates",
    "margin_shares",
    "misfit",
    "pathways",
    "quantile_effects",
    "spacing",
    "sparsity",
    "RatioForm",
    "recompute_lines",
    "SmoothForm",
    "staying",
    "total_change",
    "TotalForm",
]
