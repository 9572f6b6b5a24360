"""Targets per segment that roll up: set, cascaded, followed up, and tried out beforehand.

    plan         targets per segment from history, an overall target and what can be achieved
    cascade      a plan one level further down
    completion   how far targets were met, and why they were missed
    whatif       what the overall KPI does if segments reach a rate, or volumes move

setting.py makes plans from segments.py (what history says), dividing.py (who is asked for what) and
variance.py (what volumes can show); plans.py holds them; scan.py reads tables;
following.py asks how far they were met, reached.py answers; forward.py supposes.
"""

from attribution.targets.following import completion
from attribution.targets.forward import WhatIf, whatif
from attribution.targets.plans import Targets
from attribution.targets.reached import Completion
from attribution.targets.setting import cascade, plan

__all__ = ["Completion", "Targets", "WhatIf", "cascade", "completion", "plan", "whatif"]
