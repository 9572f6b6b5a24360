"""A hierarchy rolled up: what each region, and each market within it, did to the KPI."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from attribution.cube import Cube
from attribution.decompose import Decomposed
from attribution.evidence import Evidence
from attribution.metrics import Metric
from attribution.tables import known_columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["hierarchy_table"]


def hierarchy_table(cube: Cube, metric: Metric, evidence: Evidence, d: int) -> pd.DataFrame:
    """Return the levels of a dimension and of those above it; see `Attribution.hierarchy`.

    Parameters
    ----------
    cube : Cube
    metric : Metric
    evidence : Evidence
    d : int
        The position of the dimension.

    Returns
    -------
    DataFrame
    """
    import pandas as pd

    parts, name = evidence.parts, cube.dimensions[d]
    chain = np.array([cube.dimension_index(a) for a in (*cube.ancestors(name)[::-1], name)])
    depth, code = _tree(cube.codes[:, chain])
    X, level = parts.design.matrix, parts.design.offsets[chain][depth] + code
    member = sparse.csr_array(X[:, level].T)
    own = sparse.eye_array(parts.design.width, format="csr")[level]
    below = _below(sparse.coo_array(member @ X), parts.design.of_dimension, chain, depth)

    everywhere = sparse.csr_array(sparse.hstack([member, member]))
    outside = sparse.diags_array(np.tile(~parts.turnover.stayed, 2).astype(float))
    here, turned = (evidence.units.support(m) for m in (everywhere, everywhere @ outside))
    levels = [("mix", "mix", own), ("mix_below", "mix", below)]
    levels += [(part, part, own) for part in parts.level_parts if part != "mix"]
    of_levels = {
        column: (rows @ parts.level_parts[part], parts.levels_gradient(part, rows), here)
        for column, part, rows in levels
    }
    value, gradient = parts.outside
    of_cells = {"turnover": (member @ value, gradient.combine(member), turned)}
    lines = [*of_levels.values(), *of_cells.values()]
    estimate = np.sum([x for x, _, _ in lines], axis=0)
    total = {"total": (estimate, functools.reduce(operator.add, [g for _, g, _ in lines]), here)}

    stayed = np.asarray(parts.turnover.exists.all(axis=0))[level]
    known = {column: evidence.of_lines(*line).where(stayed) for column, line in of_levels.items()}
    known |= {column: evidence.of_lines(*line) for column, line in (of_cells | total).items()}
    p_adjusted = np.split(evidence.adjusted(*known.values()), len(known))
    frame = pd.DataFrame(_described(cube, metric, parts, chain, depth, code, member))
    frame["within"] = frame["within"].astype(object).where(depth > 0, None)
    for (column, found), adjusted in zip(known.items(), p_adjusted, strict=True):
        columns = known_columns(column, found)
        columns |= {f"{column}_p_value": found.found.p_value, f"{column}_p_adjusted": adjusted}
        frame = frame.assign(**columns)
    return frame


def _tree(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and own code of every level of a chain of dimensions, (n, K): parents in front."""
    K = codes.shape[1]
    paths = []
    for depth in range(K):
        found = np.unique(codes[:, : depth + 1], axis=0)
        paths.append(np.pad(found, ((0, 0), (0, K - 1 - depth)), constant_values=-1))
    path = np.unique(np.vstack(paths), axis=0)
    depth = (path >= 0).sum(axis=1) - 1
    return depth, path[np.arange(len(path)), depth]


def _below(
    shared: sparse.coo_array, of_dimension: np.ndarray, chain: np.ndarray, depth: np.ndarray
) -> sparse.csr_array:
    """1 where a level lies below a row, of the levels that share cells with it, (rows, q)."""
    depth_of = np.full(of_dimension.max(initial=0) + 1, -1)
    depth_of[chain] = np.arange(len(chain))
    row, column = shared.coords
    deeper = depth_of[of_dimension[column]] > depth[row]
    at = row[deeper], column[deeper]
    return sparse.csr_array((np.ones(len(at[0])), at), shape=shared.shape)


def _described(
    cube: Cube,
    metric: Metric,
    parts: Decomposed,
    chain: np.ndarray,
    depth: np.ndarray,
    code: np.ndarray,
    member: sparse.csr_array,
) -> dict[str, object]:
    """Names, counts, and observed shares and rates."""
    names = [cube.dimensions[d] for d in chain]
    above = [[None] * len(cube.levels[chain[0]]), *map(cube.parent_levels, names[1:])]
    n = member @ cube.metric_sums(metric, "count").T
    V = parts.volumes
    share = member @ V.T / V.sum(axis=1)
    rates = [parts.group_rates(member, t) for t in (0, 1)]
    rate = np.stack([np.where(known, value, np.nan) for value, _, known in rates], axis=1)
    described: dict[str, object] = {
        "dimension": [names[k] for k in depth],
        "segment": [cube.levels[chain[k]][x] for k, x in zip(depth, code, strict=True)],
        "within": [above[k][x] for k, x in zip(depth, code, strict=True)],
    }
    for column, of in (("n", n), ("share", share), ("rate", rate)):
        described |= {f"{column}_baseline": of[:, 0], f"{column}_current": of[:, 1]}
    return described
