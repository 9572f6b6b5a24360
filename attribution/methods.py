"""The bridge by every mix method side by side, and the pathway matrix with its caveat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from attribution.cube import Cube
from attribution.decompose import compared, pathways
from attribution.errors import OptionError, listing
from attribution.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

    from attribution.result import Attribution

__all__ = [
    "Pathways",
    "compare_methods",
    "compared_of_factors",
    "pathway_matrix",
    "pathways_of_factors",
    "positions",
]

_DUST = 1e-12
_NOTE = (
    "Rows: whose mix was pushed; columns: through whose rate differences it acted. It says where "
    "the change is located, not what caused it. A shift made inside every level of another "
    "dimension shows compensating rows, because holding a margin fixed takes a push of its own. "
    "It starts from the baseline and would not mirror if the periods were swapped."
)


@dataclass(frozen=True, eq=False)
class Pathways:
    """The pathway matrix of a mix effect; made by `Attribution.pathways`.

    Attributes
    ----------
    frame : DataFrame
        Rows: the dimensions pushed, and "association"; columns: the dimensions whose rates they
        acted through, and "joint". KPI units.
    note : str
        What to print beside it.
    """

    frame: pd.DataFrame
    note: str = _NOTE

    def __str__(self) -> str:
        return f"{self.frame.to_string()}\n{self.note}"


def compare_methods(
    cube: Cube, evidence: Evidence, frame: pd.DataFrame, order: Sequence[str] | None
) -> pd.DataFrame:
    """Return the names of the lines in `frame` and a column of estimates per mix method.

    Parameters
    ----------
    cube : Cube
    evidence : Evidence
    frame : DataFrame
        The rows of `effects`.
    order : sequence of str, optional
        All dimensions; adds "ordered".

    Returns
    -------
    DataFrame
        ``attrs["why"]`` says why a method has none.

    Raises
    ------
    OptionError
        Another method than midpoint, or an order that does not name each dimension once.
    """
    if evidence.options.method != "midpoint":
        raise OptionError(
            f"method: {evidence.options.method!r} divides the mix effect by 'adjusted' only; the "
            "methods that are compared need method='midpoint'."
        )
    parts = evidence.parts
    p, r, within = parts.valued
    found = compared(p, r, within, positions(cube, order))
    frame = frame[["effect", "dimension", "segment"]].copy()
    in_mix, why = frame["effect"].isin(["mix", "joint"]).to_numpy(), {}
    for mix, lines in found.items():
        column = np.where(in_mix, np.nan, parts.estimate)
        if isinstance(lines, str):
            why[mix] = lines
        else:
            column[in_mix] = lines[: in_mix.sum()]
        frame[mix] = column
    frame.attrs["why"] = why
    return frame


def pathway_matrix(cube: Cube, evidence: Evidence) -> Pathways:
    """Return the pathway matrix; see `Attribution.pathways`."""
    import pandas as pd

    parts, names = evidence.parts, list(cube.dimensions)
    p, r, within = parts.valued
    matrix = pathways(p, r, within, parts.weights)
    rows = pd.Index([*names, "association"], name="pushed")
    return Pathways(pd.DataFrame(matrix, index=rows, columns=[*names, "joint"]))


def compared_of_factors(
    changes: Mapping[str, Attribution], worth: np.ndarray, order: Sequence[str] | None
) -> pd.DataFrame:
    """Return the same for a KPI made of KPIs: each factor's, times what its change is worth.

    Parameters
    ----------
    changes : mapping of str to Attribution
        Of each factor by itself.
    worth : ndarray, shape (P,)
    order : sequence of str, optional

    Returns
    -------
    DataFrame
        With a column `factor`; a method without an answer for one factor has none for any.
    """
    import pandas as pd

    named, why = ["effect", "dimension", "segment"], {}
    frames = []
    for C, (factor, change) in zip(worth, changes.items(), strict=True):
        frame = change.compare_methods(order)
        why |= {mix: f"{factor}: {said}" for mix, said in frame.attrs["why"].items()}
        methods = [name for name in frame.columns if name not in named]
        frame[methods] *= C
        frame.insert(len(named), "factor", factor)
        # Columns without any value would otherwise lose their type.
        frames.append(frame.astype({"dimension": object, "segment": object}))
    found = pd.concat([pd.DataFrame(x) for x in frames], ignore_index=True)
    in_mix = found["effect"].isin(["mix", "joint"])
    for mix in why:
        found.loc[in_mix, mix] = np.nan
    found.attrs["why"] = why
    return found


def pathways_of_factors(changes: Mapping[str, Attribution], worth: np.ndarray) -> Pathways:
    """Return the pathway matrices of a KPI made of KPIs below each other, times their worth.

    A factor whose mix cannot act, as that of decisions per decision, has no rows.
    """
    import pandas as pd

    frames = []
    for C, (factor, change) in zip(worth, changes.items(), strict=True):
        frame = C * change.pathways().frame
        size = abs(C) * float(np.abs(change._parts.R).max())
        if not frame.abs().to_numpy().max() > _DUST * size:
            continue
        frame.index = pd.Index([f"{factor}: {name}" for name in frame.index], name="pushed")
        frames.append(frame)
    if not frames:
        raise OptionError("pathways: no factor has a mix that acts through its rates.")
    return Pathways(pd.concat(frames))


def positions(cube: Cube, order: Sequence[str] | None) -> list[int]:
    """Return where the dimensions of an order are; without one, nothing.

    Raises
    ------
    ColumnNotFoundError, OptionError
        It does not name each dimension once.
    """
    if order is None:
        return []
    at = [cube.dimension_index(d, "order") for d in order]
    if sorted(at) != list(range(len(cube.dimensions))):
        raise OptionError(
            f"order: {listing(order)} does not name each dimension once: "
            f"{listing(cube.dimensions)}."
        )
    return at
