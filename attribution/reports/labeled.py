"""Dimensions under the names that readers know, in the place of those of the columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from attribution.cube import Cube
from attribution.privacy import Shown
from attribution.result import Attribution

__all__ = ["labeled"]


def labeled(shown: Shown, labels: Mapping[str, str]) -> Shown:
    """Return what may be shown with other names for its dimensions, in every table and text.

    Parameters
    ----------
    shown : Shown
    labels : mapping of str to str
        The column of a dimension -> what it is called.

    Returns
    -------
    Shown

    Notes
    -----
    Names of people's columns are recognized before, by `attribution.privacy.protect`.
    """

    def named(dimension: str) -> str:
        return labels.get(dimension, dimension)

    return replace(
        shown,
        change=_asked_for(replace(shown.change, cube=_renamed(shown.change.cube, labels)), labels),
        dimensions=tuple(map(named, shown.dimensions)),
        masks={tuple(map(named, key)): mask for key, mask in shown.masks.items()},
    )


def _asked_for(change: Attribution, labels: Mapping[str, str]) -> Attribution:
    """The change with the new names in what was asked of dimensions: parts are asked the same."""
    options = change.options
    if options.order is None and options.pairs is None:
        return change  # with all that has been worked out
    order = options.order and tuple(labels.get(d, d) for d in options.order)
    pairs = options.pairs and tuple((labels.get(a, a), labels.get(b, b)) for a, b in options.pairs)
    options = replace(options, order=order, pairs=pairs)
    return replace(change, _evidence=replace(change._evidence, options=options))


def _renamed(cube: Cube, labels: Mapping[str, str]) -> Cube:
    def named(dimension: str) -> str:
        return labels.get(dimension, dimension)

    provenance = dict(cube.provenance)
    if "part" in provenance:
        provenance["part"] = {named(d): levels for d, levels in provenance["part"].items()}
    return replace(
        cube,
        dimensions=tuple(map(named, cube.dimensions)),
        hierarchy={named(d): named(above) for d, above in cube.hierarchy.items()},
        provenance=provenance,
    )
