"""Arrays in, effects and gradient out: the decompositions, which see nothing of the user's labels.

kitagawa.py mix and rate per segment; turnover.py what enters and leaves; rates.py saturated,
additive and pairs rates; counted.py known volumes; dimensions.py the mix effect per dimension;
linearize.py the chain rule between them; decomposition.py puts one change together;
distribution.py that of a quantile. design.py and gradient.py are their linear algebra.
"""

from attribution.decompose.decomposition import Decomposition, Line, decompose
from attribution.decompose.design import Design
from attribution.decompose.dimensions import identical
from attribution.decompose.distribution import Located, locate, quantile_effects, sparsity
from attribution.decompose.margins import (
    margin_rates,
    margin_shares,
    total_change,
)
from attribution.decompose.misfit import misfit
from attribution.decompose.mixing import MIX, compared
from attribution.decompose.pathways import pathways
from attribution.decompose.replicates import Recomputed, recompute
from attribution.decompose.turnover import staying

__all__ = [
    "MIX",
    "Decomposition",
    "Design",
    "Line",
    "Located",
    "Recomputed",
    "compared",
    "decompose",
    "identical",
    "locate",
    "margin_rates",
    "margin_shares",
    "misfit",
    "pathways",
    "quantile_effects",
    "recompute",
    "sparsity",
    "staying",
    "total_change",
]
