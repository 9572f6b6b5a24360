"""
Is this change unusual
======================

The change beside all earlier changes from month to month, with the limits that these set.
"""

import numpy as np
import pandas as pd

import attribution as at

rng = np.random.default_rng(4)
months = [f"2026-{m:02}" for m in range(1, 10)]
rows = pd.DataFrame(
    [
        (month, queue, n, rng.binomial(n, rate))
        for t, month in enumerate(months)
        for queue, n, rate in (
            ("live", 4000 + 600 * t, 0.90 - 0.02 * (t > 5)),
            ("comments", 9000, 0.95),
            ("ads", 2500, 0.93),
        )
    ],
    columns=["month", "queue", "reviewed", "correct"],
)
accuracy = at.Rate("correct", "reviewed", name="Accuracy")
history = at.Cube.from_data(rows, accuracy, "queue", period="month")
change = history.explain(baseline="2026-08", current="2026-09")
picture = change.plot.individuals(history)
