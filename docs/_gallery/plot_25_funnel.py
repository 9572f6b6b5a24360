"""
Sites by size, within the limits of chance
==========================================

A site inside the funnel cannot be told from the others, wherever it stands in a ranking.
"""

import numpy as np
import pandas as pd

import attribution as at

rng = np.random.default_rng(7)
sites = {
    f"site {c}": 0.94 + shift
    for c, shift in zip("ABCDEFGHIJKL", rng.normal(0, 0.008, 12), strict=True)
}
sites["site D"] = 0.90
rows = pd.DataFrame(
    [
        (site, queue, n, rng.binomial(n, rate - 0.04 * (queue == "live")))
        for site, rate in sites.items()
        for queue, n in (("live", rng.integers(60, 900)), ("comments", rng.integers(100, 1500)))
    ],
    columns=["site", "queue", "reviewed", "correct"],
)
card = at.scorecard(rows, "correct / reviewed", "site", adjust_for=["queue"])
picture = card.plot.funnel()
