"""Scorecards: who does better or worse than the work explains, and whether targets are met.

asking.py the question; scoring.py the numbers; card.py the result; table.py its tables; parts.py
two entities as two periods; findings.py what to know; words.py what is shown; composite.py several
KPIs with gates.
"""

from attribution.cards.asking import scorecard
from attribution.cards.card import Scorecard
from attribution.cards.composite import CompositeScorecard, composite_scorecard

__all__ = ["CompositeScorecard", "Scorecard", "composite_scorecard", "scorecard"]
