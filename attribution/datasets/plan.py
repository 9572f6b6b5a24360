"""The plan the operation is measured against: volumes and targets per month, queue and market."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from attribution.datasets import world
from attribution.datasets.events import Event, conditions
from attribution.datasets.expected import expect

# Accuracy is to rise evenly by this much over the year.
GLIDE = 0.006
SLA_TARGET = 0.95


def targets(months: int, scales: Mapping[Event, float], quiet_volume: float) -> pd.DataFrame:
    """Return the plan.

    It knows the quiet year and the market launch; the other events happen to it. The accuracy
    target of a queue in a market is its expected accuracy under the plan plus the glide; a new
    market is planned at its level.

    Parameters
    ----------
    months : int
        How many months, from January.
    scales : mapping
        Event -> scale.
    quiet_volume : float
        Decisions in a quiet month.

    Returns
    -------
    DataFrame
        month, kpi (accuracy, sla, aht_seconds), queue, market, planned_volume (decisions),
        target (KPI units).
    """
    known = {e: s for e, s in scales.items() if e.name == "launch"}
    frames = []
    for t in range(months):
        plan = expect(t, conditions(t, known), quiet_volume)
        volume = plan.volume.sum(axis=(1, 3))
        queue, market = np.nonzero(volume)
        correct = (plan.volume * plan.rate).sum(axis=(1, 3))
        accuracy = correct[queue, market] / volume[queue, market] + GLIDE * (t + 1) / 12
        tenure = plan.volume.sum(axis=(0, 1, 2)) / plan.volume.sum()
        by_kpi = {
            "accuracy": np.minimum(accuracy, 0.99).round(4),
            "sla": np.full(len(queue), SLA_TARGET),
            "aht_seconds": (world.HANDLE_SECONDS * (world.TENURE_HANDLE @ tenure)).round(1)[queue],
        }
        for kpi, target in by_kpi.items():
            columns = {
                "month": world.MONTHS[t],
                "kpi": kpi,
                "queue": world.QUEUES[queue],
                "market": world.MARKETS[market],
                "planned_volume": volume[queue, market].round(1),
                "target": target,
            }
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
