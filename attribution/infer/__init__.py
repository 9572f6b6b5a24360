"""Gradient and unit sums in, covariance, intervals and p-values out.

Nothing here knows which decomposition it serves.
"""

from attribution.infer.bootstrap import Bootstrap, Draws, bootstrap_inference, resample
from attribution.infer.covariance import MOST_ROWS, covariance, psi, std_errors
from attribution.infer.intervals import (
    FEWEST_UNITS,
    Inference,
    degrees_of_freedom,
    half_width,
    infer,
    t_inference,
)
from attribution.infer.lack_of_fit import lack_of_fit
from attribution.infer.permutation import (
    PermutationTest,
    permutation_test,
    permutation_test_of,
)
from attribution.infer.populations import cluster_strata
from attribution.infer.proportions import proportions
from attribution.infer.simultaneous import (
    ADJUSTMENTS,
    adjusted_p_values,
    critical_value,
    stepwise,
)
from attribution.infer.unit_sums import Support, UnitSums
from attribution.infer.units import (
    Units,
    cluster_sum_units,
    cluster_units,
    row_sum_units,
    row_units,
)

__all__ = [
    "ADJUSTMENTS",
    "FEWEST_UNITS",
    "MOST_ROWS",
    "Bootstrap",
    "Draws",
    "Inference",
    "PermutationTest",
    "Support",
    "UnitSums",
    "Units",
    "adjusted_p_values",
    "bootstrap_inference",
    "cluster_strata",
    "cluster_sum_units",
    "cluster_units",
    "covariance",
    "critical_value",
    "degrees_of_freedom",
    "half_width",
    "infer",
    "lack_of_fit",
    "permutation_test",
    "permutation_test_of",
    "proportions",
    "psi",
    "resample",
    "row_sum_units",
    "row_units",
    "std_errors",
    "stepwise",
    "t_inference",
]
