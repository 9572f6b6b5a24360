"""
Mix against rate
================

Levels to the left cost by their share, levels at the bottom by their rate. Useful with many
levels.
"""

import numpy as np
import pandas as pd

import attribution as at

rng = np.random.default_rng(3)
markets = ["BR", "DE", "EG", "ES", "FR", "ID", "IN", "JP", "MX", "PH", "TH", "TR", "US", "VN"]
rows = pd.DataFrame(
    [
        (month, market, n, rng.binomial(n, rate))
        for month in ("March", "April")
        for market, n, rate in zip(
            markets, rng.integers(300, 3000, 14), rng.uniform(0.90, 0.96, 14), strict=True
        )
    ],
    columns=["month", "market", "reviewed", "correct"],
)
change = at.explain(
    rows,
    at.Rate("correct", "reviewed", name="Accuracy"),
    by="market",
    period="month",
    baseline="March",
    current="April",
)
picture = change.plot.scatter("market")
