"""What the bars of the bridge show, for findings to quote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution.tables import line_keys

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["displayed"]


def displayed(change: Attribution) -> dict[str, float]:
    """What the bars of each effect show together, in KPI units; "mix" with what is joint."""
    bridge, keys, found = change.bridge(), line_keys(change), {}
    for bar, shown in zip(bridge.bars, bridge.shown(), strict=True):
        effect = keys[bar.rows[0]].effect
        effect = "mix" if effect == "joint" else effect
        found[effect] = found.get(effect, 0.0) + shown / bridge.format.factor
    return found
