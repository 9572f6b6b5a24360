"""Gradient and unit sums in, covariance, intervals and p-values out.

Nothing here knows which decomposition it serves.
"""

from attribution.infer.covariance import UnitSums, cluster_units, covariance, row_units, std_errors
from attribution.infer.intervals import Inference, half_width, infer, t_inference
from attribution.infer.simultaneous import ADJUSTMENTS, adjusted_p_values

__all__ = [
    "ADJUSTMENTS",
    "Inference",
    "UnitSums",
    "adjusted_p_values",
    "cluster_units",
    "covariance",
    "half_width",
    "infer",
    "row_units",
    "std_errors",
    "t_inference",
]
