"""Named causes: the few segments that carry a rate effect, or the word that none stands out.

compared    rows of the cube, arranged by what is compared with what
answer      cube and search (`attribution.search`) meet: segments get names, volumes, figures
of_factors  a KPI made of KPIs: the causes of each factor, put together
named       the result: its table, its words, its bars in a bridge
"""

from __future__ import annotations

from attribution.causes.answer import mix_causes, rate_causes
from attribution.causes.named import Causes, with_causes

__all__ = ["Causes", "mix_causes", "rate_causes", "with_causes"]
