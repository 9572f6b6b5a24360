"""The sparse search for causes, over arrays only: which few segments carry a change, if any.

incidence.py all segments up to an order as one sparse table; strata.py what is compared with what,
and its scores; working.py the covariance of scores with drift of units and of cells integrated out;
drift.py how large those drifts are; threshold.py what the best of all segments reaches by chance;
price.py what a choice among them costs;
select.py forward choice, swaps and backward checks; hidden.py what drift of blocks hides;
corrected.py effects corrected for having been chosen; contribution.py what a cause adds to a
bridge.
"""

from attribution.search.contribution import mix_contributions, rate_contributions
from attribution.search.corrected import corrected_effects, corrected_limits
from attribution.search.drift import Grains
from attribution.search.incidence import Segments, segments_up_to
from attribution.search.price import USUAL_EFFECT
from attribution.search.select import Found, search
from attribution.search.strata import (
    Strata,
    counted_strata,
    dispersed,
    paired_strata,
    planned_strata,
    shrunk,
    standardized,
)

__all__ = [
    "USUAL_EFFECT",
    "Found",
    "Grains",
    "Segments",
    "Strata",
    "corrected_effects",
    "corrected_limits",
    "counted_strata",
    "dispersed",
    "mix_contributions",
    "paired_strata",
    "planned_strata",
    "rate_contributions",
    "search",
    "segments_up_to",
    "shrunk",
    "standardized",
]
