"""Tree: a KPI written as formulas of formulas, and why it changed, at every level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np

from attribution.decompose.factors import MOST_PLAYERS, factor_effects
from attribution.drivers import (
    FactorTotal,
    check_labels,
    residual_shows,
)
from attribution.errors import (
    ColumnTypeError,
    OptionError,
    check_option,
    given_instead,
    listing,
    nearest,
)
from attribution.formulas import (
    Formula,
    mentioned,
    named_values,
    read_factors,
    read_formulas,
)
from attribution.tree_change import Place, TreeChange, TreeNode

__all__ = ["Tree", "capacity_tree"]


@dataclass(frozen=True)
class Tree:
    """A KPI tree: each formula is a node, what it names are its children, the rest are leaves.

    Parameters
    ----------
    formulas : mapping of str to str, list of str, or str
        Node to formula, or lines ``"cost = volume * aht"`` as a list or as one text, in any order:
        names, numbers, ``+ - * /``, parentheses, ``sum(...)`` over the elements of arrays. One
        node, the root, is in no other formula. Kept as a mapping.
    units : mapping of str to str, optional
        Shown beside the numbers of a node or leaf; "%" shows them in % and changes in pp.
    better : {"higher", "lower"}
        Which direction of the root is good.

    Raises
    ------
    OptionError
        No formulas, a line without "=", a cycle, several roots, a unit of something that is not in
        the tree.
    ExpressionError
        A formula is not in the grammar.

    Examples
    --------
    >>> tree = Tree(["cost = volume * aht * wage", "volume = inflow - backlog_change"])
    >>> tree.root, tree.leaves
    ('cost', ('inflow', 'backlog_change', 'aht', 'wage'))
    >>> tree == Tree({"cost": "volume * aht * wage", "volume": "inflow - backlog_change"})
    True
    """

    formulas: Mapping[str, str] | Sequence[str] | str
    _: KW_ONLY
    units: Mapping[str, str] = field(default_factory=dict)
    better: str = "higher"

    def __post_init__(self) -> None:
        if isinstance(self.formulas, str | list | tuple):
            object.__setattr__(self, "formulas", read_formulas(self.formulas))
        for parameter in ("formulas", "units"):
            given = getattr(self, parameter)
            if not isinstance(given, Mapping) or not all(
                isinstance(x, str) for pair in given.items() for x in pair
            ):
                raise ColumnTypeError(
                    f"{parameter}: {given!r:.80} is not a mapping of text to text."
                )
            object.__setattr__(self, parameter, dict(given))
        if not self._of:
            raise OptionError(
                "formulas: it is empty; write at least one, {'cost': 'volume * aht'}."
            )
        check_option("better", self.better, ["higher", "lower"])
        _check_cycles({node: self.children(node) for node in self._of})
        roots = self._roots()
        if len(roots) > 1:
            raise OptionError(
                f"formulas: {listing(roots)} are in no other formula; a tree has one root."
            )
        known = [self.root, *(place[-1] for place in self.places)]
        for name in self.units:
            if name not in known:
                raise OptionError(
                    f"units: {name!r} is not in the tree.{nearest(name, known)} "
                    f"Nodes and leaves: {listing(dict.fromkeys(known), most=30)}."
                )

    @property
    def _of(self) -> dict[str, str]:
        """The formulas as they are kept: a mapping, however they were written."""
        return cast(dict[str, str], self.formulas)

    @property
    def root(self) -> str:
        """The node that no other formula names."""
        return self._roots()[0]

    @property
    def leaves(self) -> tuple[str, ...]:
        """What has no formula, in the order of first use: the values to give."""
        return tuple(dict.fromkeys(p[-1] for p in self.places if p[-1] not in self._of))

    def children(self, node: str) -> tuple[str, ...]:
        """Return the names in a node's formula, in order; none for a leaf.

        Parameters
        ----------
        node : str

        Returns
        -------
        tuple of str
        """
        return tuple(self._parsed[node].names) if node in self._of else ()

    def explain(
        self,
        baseline: Mapping[str, Any],
        current: Mapping[str, Any],
        *,
        labels: tuple[str, str] = ("baseline", "current"),
    ) -> TreeChange:
        """Return what each node and leaf contributed to the change of the root.

        The root is one function of its leaves. Leaves get their Shapley effects on it
        (`attribution.factors`), and a node the sum of the leaves below it:
        ``estimate(node) = sum over leaves below of estimate(leaf)``. So leaves add up to the
        change of the root, and children to their parent, at every level. The same, with each
        inner node taken as the root of its own tree, gives a child's effect on its parent in the
        parent's units; these add up to the parent's own change. Beyond 10 leaves, or where a leaf
        stands in several places, the line integral is used: only there the places of a leaf add
        up to the effect of the leaf. The two agree where formulas are sums of products.

        Parameters
        ----------
        baseline, current : mapping of str to number or array
            A value for each leaf.
        labels : (str, str)
            What the two sides are called: ("plan", "actual").

        Returns
        -------
        TreeChange

        Raises
        ------
        OptionError
            A leaf has no value, a value is not of a leaf or not finite, or a node has no single
            finite value between baseline and current.

        Examples
        --------
        >>> tree = Tree({"cost": "volume * aht", "volume": "inflow - held"})
        >>> change = tree.explain(
        ...     {"inflow": 10, "held": 2, "aht": 5}, {"inflow": 14, "held": 2, "aht": 6}
        ... )
        >>> print(change)
        cost rose from 40.0 to 72.0 (+32.0), most of it in inflow.
        <BLANKLINE>
                    baseline  current  change  on cost
        cost            40.0     72.0   +32.0    +32.0
          volume        8.00    12.00   +4.00    +22.0
            inflow     10.00    14.00   +4.00    +22.0
            held           2        2       0      0.0
          aht           5.00     6.00   +1.00    +10.0
        <BLANKLINE>
        Method: Shapley over 3 leaves; a node is the sum of its leaves.
        """
        self._check_values(baseline, current)
        order = self.leaves
        inputs, _ = read_factors(
            *({leaf: side[leaf] for leaf in order} for side in (baseline, current))
        )
        below = {node: self._leaf_places(node) for node in self._of}
        once = len(below[self.root]) == len(order) <= MOST_PLAYERS
        method = "shapley" if once else "integral"
        found, ends = {}, {}
        for node, places in below.items():
            at = inputs.at(order.index(place[-1]) for place in places)
            own = factor_effects(
                lambda values, node=node, places=places: self._value(
                    (node,), dict(zip(places, values, strict=True))
                ),
                at,
                method,
                name=node,
            )
            found[node] = dict(zip(places, own.effects.tolist(), strict=True))
            ends[node] = FactorTotal(own.baseline, own.current)
            if residual_shows(own.residual, list(own.effects), ends[node]):
                raise OptionError(
                    f"baseline, current: {node!r} = {self._of[node]!r} cannot be decomposed: "
                    "a denominator passes through 0 between the two."
                )
        for i, leaf in enumerate(order):
            if not inputs.baseline[i].ndim:
                ends[leaf] = FactorTotal(float(inputs.baseline[i]), float(inputs.current[i]))
        nodes = tuple(self._rows(found, ends))
        return TreeChange(self, check_labels(labels), method, ends[self.root], nodes)

    # -- its shape ---------------------------------------------------------------------------

    @cached_property
    def _parsed(self) -> dict[str, Formula]:
        return {
            node: Formula.of(text, mentioned(text), f"formulas: {node!r}")
            for node, text in self._of.items()
        }

    def _roots(self) -> list[str]:
        used = {name for node in self._of for name in self.children(node)}
        return [node for node in self._of if node not in used]

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every place of the tree but the root's, parents before children."""
        return tuple(self._places((self.root,)))

    def _places(self, place: Place) -> Iterator[Place]:
        for child in self.children(place[-1]):
            yield (*place, child)
            yield from self._places((*place, child))

    def _leaf_places(self, node: str) -> list[Place]:
        return [p for p in self._places((node,)) if p[-1] not in self._of]

    # -- its values --------------------------------------------------------------------------

    def _value(self, place: Place, leaves: Mapping[Place, Any]) -> Any:
        """The value at a place, each place of a leaf with a value of its own."""
        node = place[-1]
        if node not in self._of:
            return leaves[place]
        values = {child: self._value((*place, child), leaves) for child in self.children(node)}
        value = self._parsed[node].value(values)
        if np.ndim(value):
            raise OptionError(
                f"formulas: {node!r} = {self._of[node]!r} gives an array of shape "
                f"{np.shape(value)}, not one number. Write it with sum(...)."
            )
        return value

    def _check_values(self, baseline: Mapping[str, Any], current: Mapping[str, Any]) -> None:
        baseline, current = named_values(baseline, current)
        for side, values in (("baseline", baseline), ("current", current)):
            missing = [leaf for leaf in self.leaves if leaf not in values]
            if missing:
                raise OptionError(
                    f"{side}: no value for {listing(missing, most=30)}."
                    f"{given_instead(missing[0], [x for x in values if x not in self.leaves])}"
                )
            for name in values:
                if name in self._of:
                    raise OptionError(
                        f"{side}: {name!r} has the formula {self._of[name]!r}; leave it out."
                    )
                if name not in self.leaves:
                    raise OptionError(
                        f"{side}: {name!r} is not in the tree.{nearest(name, self.leaves)} "
                        f"Leaves: {listing(self.leaves, most=30)}."
                    )

    def _rows(
        self, found: Mapping[str, Mapping[Place, float]], ends: Mapping[str, FactorTotal]
    ) -> Iterator[TreeNode]:
        """The nodes in the order of the tree, from the effects of leaf places on every node."""
        for place in ((self.root,), *self.places):
            node, parent = place[-1], place[-2] if len(place) > 1 else None
            on_parent = None
            if parent is not None:
                on_parent = sum(x for p, x in found[parent].items() if p[1] == node)
            yield TreeNode(
                place=place,
                leaf=node not in self._of,
                unit=self.units.get(node, ""),
                total=ends.get(node),
                on_parent=on_parent,
                estimate=sum(x for p, x in found[self.root].items() if p[: len(place)] == place),
            )


def _check_cycles(children: Mapping[str, Sequence[str]]) -> None:
    """Raise `OptionError` with the names on the way round, if a node is below itself."""
    done: set[str] = set()

    def walk(node: str, way: Place) -> None:
        if node in way:
            loop = (*way[way.index(node) :], node)
            raise OptionError(f"formulas: {' -> '.join(loop)} is a cycle.")
        if node not in done:
            for child in children.get(node, ()):
                walk(child, (*way, node))
            done.add(node)

    for node in children:
        walk(node, ())


def capacity_tree() -> Tree:
    """Return the tree of the headcount that a volume of work needs.

    ``headcount = volume * aht / (productive_hours * utilization)``: the hours of work over the
    hours that one full-time equivalent spends on it.

    Returns
    -------
    Tree
        Its leaves: volume (items in the period), aht (average handle time, in HOURS per item),
        productive_hours (paid hours less leave, training and breaks, per FTE and period) and
        utilization (the share of them spent on items).

    Examples
    --------
    >>> plan = {"volume": 90_000, "aht": 0.05, "productive_hours": 125, "utilization": 0.80}
    >>> actual = {"volume": 99_000, "aht": 0.05, "productive_hours": 125, "utilization": 0.72}
    >>> capacity_tree().explain(plan, actual, labels=("plan", "actual"))
    <TreeChange headcount: 45.0 FTE -> 55.0 FTE (+10.0 FTE)>
    """
    return Tree(
        {"headcount": "volume * aht / (productive_hours * utilization)"},
        units={
            "headcount": "FTE",
            "volume": "items",
            "aht": "h",
            "productive_hours": "h",
            "utilization": "%",
        },
        better="lower",
    )
