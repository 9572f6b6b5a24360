"""Example data: simulated moderation operations with known causes, and real open data.

* `simulate_moderation` - a year of decisions, reviews, appeals and targets, and the truth
* `load_flights` - flights from New York in 2013, on time or not
"""

from attribution.datasets.flights import load_flights
from attribution.datasets.moderation import Moderation, simulate_moderation
from attribution.datasets.truth import Truth

__all__ = ["Moderation", "Truth", "load_flights", "simulate_moderation"]
