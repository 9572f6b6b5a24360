"""What may be shown of targets: who of a plan, a completion or a supposition is named.

One rule for words and files, that of scorecards: people are counted unless they are asked for, and
small segments are suppressed so that the total does not give them away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attribution.privacy.entities import Protected, protected

if TYPE_CHECKING:
    from attribution.privacy.rules import Privacy
    from attribution.targets.forward import WhatIf
    from attribution.targets.plans import Targets
    from attribution.targets.reached import Completion

__all__ = [
    "JOINED",
    "gives_away",
    "shown_of_completion",
    "shown_of_plan",
    "shown_of_supposition",
]

JOINED = "mix, no target and no data"


def shown_of_plan(plan: Targets, privacy: Privacy | None) -> Protected:
    """Return who may be shown of a plan's latest version.

    Parameters
    ----------
    plan : Targets
    privacy : Privacy, optional
        None hides people and suppresses nothing.

    Returns
    -------
    Protected
    """
    last = plan.versions[-1]
    return protected(privacy, plan.by, last.labels, last.columns["n"])


def shown_of_completion(done: Completion, privacy: Privacy | None) -> Protected:
    """Return who may be shown of a completion.

    Parameters
    ----------
    done : Completion
    privacy : Privacy, optional
        None hides people and suppresses nothing.

    Returns
    -------
    Protected
    """
    return protected(privacy, done.by, done.labels, done.n)


def shown_of_supposition(supposed: WhatIf, privacy: Privacy | None) -> Protected:
    """Return who may be shown of a supposition.

    Parameters
    ----------
    supposed : WhatIf
    privacy : Privacy, optional
        None hides people and suppresses nothing.

    Returns
    -------
    Protected
    """
    counts = np.stack([supposed.volume_now, supposed.volume_then])
    return protected(privacy, supposed.by, supposed.labels, counts)


def gives_away(done: Completion, kept: Protected) -> bool:
    """Say whether a suppressed segment alone may be what "no target" or "no data" stands for.

    Parameters
    ----------
    done : Completion
    kept : Protected

    Returns
    -------
    bool
        True where mix, entry and exit are to be shown as one sum.
    """
    turned = np.isnan(done.target) | (done.volume <= 0)
    return bool((kept.mask & turned).any())
