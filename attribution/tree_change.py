"""TreeChange: what each place of a KPI tree did to its parent and to the root."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from attribution.bridge import Bar, Bridge
from attribution.drivers import FactorTotal, exact_bridge, in_short, shares_of_change
from attribution.filed import Filed
from attribution.formatting import Format, aligned, largest_remainder

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from attribution.plots.theme import Theme
    from attribution.tree import Tree

__all__ = ["Place", "TreeChange", "TreeNode"]

# A place in the tree: the names on the way from the root.
Place = tuple[str, ...]


@dataclass(frozen=True)
class TreeNode:
    """One place of a tree: its own change, and what it did to its parent and to the root.

    Attributes
    ----------
    place : tuple of str
        The names on the way from the root to it.
    leaf : bool
    unit : str
    total : FactorTotal or None
        Its own baseline, current and change; None for an array.
    on_parent : float or None
        In units of the parent: what it contributed to the parent's change; None for the root.
    estimate : float
        In units of the root: what it contributed to the root's change.
    """

    place: Place
    leaf: bool
    unit: str
    total: FactorTotal | None
    on_parent: float | None
    estimate: float

    @property
    def node(self) -> str:
        """Its name."""
        return self.place[-1]

    @property
    def texts(self) -> tuple[str, str, str]:
        """Baseline, current and change as every table and picture writes them; "" for an array.

        The change is that of the two numbers beside it as they are shown, as in a bridge.
        """
        if self.total is None:
            return "", "", ""
        ends = self.total.baseline, self.total.current
        own = Format.fitting(self.unit, self.total.change, None if self.total.change else ends[1])
        first, last = (round(x * own.factor, own.decimals) / own.factor for x in ends)
        return own.number(first), own.number(last), own.number(last - first, signed=True)


@dataclass(frozen=True)
class TreeChange(Filed):
    """Why the root of a KPI tree changed; made by `Tree.explain`.

    Attributes
    ----------
    tree : Tree
    labels : (str, str)
        What the two sides are called.
    method : str
        "shapley" or "integral".
    total : FactorTotal
        `baseline`, `current` and `change` of the root.
    nodes : tuple of TreeNode
        Parents before children; a node used in several places is there several times.
    """

    tree: Tree
    labels: tuple[str, str]
    method: str
    total: FactorTotal
    nodes: tuple[TreeNode, ...]

    @property
    def effects(self) -> pd.DataFrame:
        """One row per place of the tree; within each parent, `estimate` adds up to the parent's.

        Columns: level (0 the root), node, parent, path, leaf, unit, baseline, current, change (its
        own, in its unit), on_parent (its effect on the parent, in the parent's unit; children add
        up to the parent's `change`), estimate (its effect on the root, in the root's unit; children
        add up to the parent's `estimate`, leaves to the change of the root), share_of_change.
        """
        import pandas as pd

        every = [node.estimate for node in self.nodes]
        leaves = [node.estimate for node in self.nodes if node.leaf]
        frame = pd.DataFrame(
            {
                "level": len(node.place) - 1,
                "node": node.node,
                "path": " / ".join(node.place),
                "leaf": node.leaf,
                "unit": node.unit,
                "baseline": np.nan if node.total is None else node.total.baseline,
                "current": np.nan if node.total is None else node.total.current,
                "change": np.nan if node.total is None else node.total.change,
                "on_parent": np.nan if node.on_parent is None else node.on_parent,
                "estimate": node.estimate,
            }
            for node in self.nodes
        )
        parents = [node.place[-2] if len(node.place) > 1 else None for node in self.nodes]
        frame.insert(2, "parent", pd.Series(parents, dtype=object))
        frame["share_of_change"] = shares_of_change(every, self.total.change, leaves)
        return frame

    def bridge(self, max_bars: int | None = None) -> Bridge:
        """Return the bars that every picture and file draws: one per leaf, all its places.

        Parameters
        ----------
        max_bars : int, optional
            Sum the smallest bars into "other" beyond this number.

        Returns
        -------
        Bridge
        """
        bars = []
        for leaf in self.tree.leaves:
            of = [i for i, node in enumerate(self.nodes) if node.node == leaf]
            rows = tuple(of) if len(of) == 1 else ()  # several rows would mean "other"
            bars.append(Bar(leaf, sum(self.nodes[i].estimate for i in of), rows=rows))
        how = {"shapley": "Shapley", "integral": "line integral"}[self.method]
        what = "leaves" if len(bars) > 1 else "leaf"
        tree, unit = self.tree, self.nodes[0].unit
        note = f"Method: {how} over {len(bars)} {what}; a node is the sum of its leaves."
        bridge = exact_bridge(tree.root, unit, tree.better, self.labels, self.total, bars, note)
        return bridge if max_bars is None else bridge.condensed(max_bars)

    def plot(self, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
        """Draw the tree; see `attribution.plots.drivers`.

        Parameters
        ----------
        ax : Axes, optional
        theme : Theme, optional

        Returns
        -------
        Axes
        """
        from attribution.plots.drivers import driver_tree

        return driver_tree(self, ax, theme=theme)

    def summary(self) -> str:
        """Return the headline and the tree as indented text; displayed effects add up too."""
        bridge = self.bridge()
        root = bridge.format
        shown = self.shown()
        rows = [("", *self.labels, "change", f"on {self.tree.root}", "")]
        for node, effect in zip(self.nodes, shown, strict=True):
            name = "  " * (len(node.place) - 1) + node.node
            on_root = root.number(effect / root.factor, signed=True)
            rows.append((name, *node.texts, on_root, node.unit))
        table = aligned(rows, right=range(1, 5))
        return "\n".join([f"{bridge.message}.", "", *table, "", *bridge.notes])

    def shown(self) -> list[float]:
        """Return displayed effects, in displayed units: children add up to their displayed parent.

        Returns
        -------
        list of float
            One per node.
        """
        root = self.bridge().format
        ends = [
            round(x * root.factor, root.decimals) for x in (self.total.baseline, self.total.current)
        ]
        shown: dict[Place, float] = {self.nodes[0].place: ends[1] - ends[0]}
        for node in self.nodes:
            children = [x for x in self.nodes if x.place[:-1] == node.place]
            values = [x.estimate * root.factor for x in children]
            parts = largest_remainder(values, shown[node.place], root.decimals)
            shown |= {x.place: part for x, part in zip(children, parts, strict=True)}
        return [shown[node.place] for node in self.nodes]

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<TreeChange {in_short(self.bridge())}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"
