"""What it costs to have chosen a segment among many."""

from __future__ import annotations

import numpy as np
from scipy import special

from attribution.search.incidence import Segments

__all__ = ["USUAL_EFFECT", "penalties"]

# The size of effects on the logit, as a standard deviation, and the z from which one is seen: by
# them segments are weighted by the chance that their effect could be seen at all.
USUAL_EFFECT = 1.0
_SEEN = 4.0


def penalties(segments: Segments, information: np.ndarray) -> np.ndarray:
    """Return what a choice among the judged segments is charged for their number, shape (J,).

    A cuboid costs log(cuboids of its order) + log(segments in it): the orders share the chance
    of a false alarm evenly, and so do the cuboids of an order. Within a cuboid a segment counts
    by the chance that an effect of usual size in it could be seen (weights of hypotheses, as in
    Genovese, Roeder and Wasserman 2006): hundreds of segments so thin that only a tenfold of
    the odds would be seen do not cost the others their power.

    Parameters
    ----------
    segments : Segments
    information : ndarray, shape (J,)
        Beside everywhere; 0 where a segment is too thin to be judged.

    Returns
    -------
    ndarray, shape (J,)
    """
    cuboids, judged = len(segments.fixed), information > 0
    need = _SEEN / np.sqrt(np.where(judged, information, 1.0)) / USUAL_EFFECT
    log_weight = np.where(judged, special.log_ndtr(-need), 0.0)
    inside = np.bincount(segments.cuboid[judged], np.exp(log_weight[judged]), cuboids)
    orders = np.array([len(f) for f in segments.fixed])
    of_order = np.bincount(orders[inside > 0], minlength=int(orders.max()) + 1)
    cost = np.log(np.maximum(of_order[orders], 1))
    cost[inside > 0] += np.log(inside[inside > 0])
    return cost[segments.cuboid] - log_weight
