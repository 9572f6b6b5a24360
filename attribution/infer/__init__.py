"""Gradient and unit sums in, covariance, intervals and p-values out: one linearisation for every line.

Nothing here knows which decomposition it serves.
"""

from attribution.infer.covariance import UnitSums, cluster_units, covariance, row_units, std_errors
from attribution.infer.simultaneous import ADJUSTMENTS, adjusted_p_values
from attribution.infer.intervals import Inference, infer, t_inference

__all__ = [
    "ADJUSTMENTS",
    "Inference",
    "UnitSums",
    "adjusted_p_values",
    "cluster_units",
    "covariance",
    "infer",
    "row_units",
    "std_errors",
    "t_inference",
]
