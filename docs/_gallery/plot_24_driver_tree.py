"""
A driver tree
=============

How many people are needed, and which of the drivers changed that.
"""

import attribution as at

plan = {"volume": 90_000, "aht": 0.05, "productive_hours": 125, "utilization": 0.80}
actual = {"volume": 99_000, "aht": 0.05, "productive_hours": 125, "utilization": 0.72}
picture = at.capacity_tree().explain(plan, actual, labels=("plan", "actual")).plot()
