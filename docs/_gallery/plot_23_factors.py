"""
Factors of a formula
====================

Cost is volume times handling time times wage; each factor gets its part, in no order.
"""

import attribution as at

change = at.factors(
    "volume * aht * wage",
    {"volume": 1000, "aht": 0.10, "wage": 20},
    {"volume": 1200, "aht": 0.11, "wage": 19},
    name="Cost",
    unit="EUR",
    better="lower",
)
picture = change.plot.waterfall()
