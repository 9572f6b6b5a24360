"""Bars of a bridge that stand for people or small groups, as one that gives nobody away."""

from __future__ import annotations

from collections.abc import Collection

from attribution.bridge import Bridge

__all__ = ["without_secret_bars"]

# A bar that is smaller beside the largest is nothing.
_ROUNDING = 1e-9


def without_secret_bars(
    bridge: Bridge, secret: Collection[int], *, people: bool, small: bool
) -> Bridge:
    """Return the bridge with the bars that may not be shown summed into one.

    Parameters
    ----------
    bridge : Bridge
    secret : collection of int
        Positions of bars of people or small groups that entered or left.
    people : bool
        Whether it is people that are hidden.
    small : bool
        Whether small groups are suppressed: then one bar alone takes the smallest other along.

    Returns
    -------
    Bridge
    """
    members = sorted(secret)
    if not members:
        return bridge
    label = "New and gone: people" if people else "New and gone: small groups"
    if len(members) == 1 and small and len(bridge.bars) > 1:
        # Alone it would be its own sum, and so it would beside a bar of nothing.
        others = [i for i in range(len(bridge.bars)) if i not in members]
        values = {i: abs(bridge.bars[i].value) for i in others}
        nothing = _ROUNDING * max(abs(bar.value) for bar in bridge.bars)
        members.append(min(others, key=lambda i: (values[i] <= nothing, values[i])))
        label = "Small groups and other"
    return bridge.merged(sorted(members), label)
