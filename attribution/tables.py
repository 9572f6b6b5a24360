"""The tidy frames of an attribution: effects, levels, segments, each column with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from attribution.cube import Cube
from attribution.decompose import Composition, Decomposed, Line, margin_shares
from attribution.evidence import Evidence, Known
from attribution.gradient import Gradient
from attribution.hypotheses import LineKey
from attribution.labels import plural
from attribution.metrics import Metric, Quantile
from attribution.products import Composite
from attribution.quantiles import inferred_quantiles

if TYPE_CHECKING:
    import pandas as pd

    from attribution.result import Attribution

__all__ = [
    "effects_table",
    "factors_table",
    "known_columns",
    "levels_table",
    "line_keys",
    "segments_estimates",
    "segments_table",
    "too_few",
]

# Slopes of levels on levels that are held at once: 64 MB.
_MOST_SLOPES = 8_000_000


def line_keys(change: Attribution) -> list[LineKey]:
    """Return effect, dimension, segment and factor of the rows of `effects`.

    Several levels are joined by a cross.

    Parameters
    ----------
    change : Attribution

    Returns
    -------
    list of LineKey
    """
    evidence, metric = change._evidence, change.metric
    of = list(metric.kpis) if isinstance(metric, Composite) else [None]
    return [
        LineKey(line.effect, *named_line(line, change.cube, evidence.parts), of[line.factor or 0])
        for line in evidence.parts.lines
    ]


def named_line(line: Line, cube: Cube, parts: Decomposed) -> tuple[str | None, str | None]:
    """Return the dimension and the segment of a line, each null where it has none."""
    design = parts.design
    if line.dimension is not None:
        return cube.dimensions[line.dimension], None
    if not line.levels:
        return None, None
    of = [int(design.of_dimension[x]) for x in line.levels]
    segments = [cube.levels[d][x - design.offsets[d]] for d, x in zip(of, line.levels, strict=True)]
    return " × ".join(cube.dimensions[d] for d in of), " × ".join(segments)


def too_few(cube: Cube) -> str:
    """Return the words for a line that rests on too few units."""
    names = ["rows"] if cube.clusters is None else [plural(x) for x in cube.clusters.names]
    return f"too few {' or '.join(names)}"


def effects_table(
    names: Sequence[LineKey], evidence: Evidence, change: float, sound: bool
) -> pd.DataFrame:
    """Return the rows of the bridge; see `Attribution.effects`.

    Parameters
    ----------
    names : sequence of LineKey
        Effect, dimension and segment of each line.
    evidence : Evidence
    change : float
        The total change.
    sound : bool
        Whether shares of the change can be given without misleading.

    Returns
    -------
    DataFrame
    """
    import pandas as pd

    parts, found = evidence.parts, evidence.lines.found
    return pd.DataFrame(
        {
            "effect": [name.effect for name in names],
            "dimension": pd.Series([name.dimension for name in names], dtype=object),
            "segment": pd.Series([name.segment for name in names], dtype=object),
            "estimate": found.estimate,
            "std_error": found.std_error,
            "conf_low": found.conf_low,
            "conf_high": found.conf_high,
            "p_value": found.p_value,
            "p_adjusted": evidence.lines_adjusted,
            "share_of_change": parts.estimate / change if sound else np.nan,
        }
    )


def factors_table(names: Sequence[str], parts: Composition, evidence: Evidence) -> pd.DataFrame:
    """Return what each factor did; see `Attribution.factors`.

    Parameters
    ----------
    names : sequence of str
    parts : Composition
    evidence : Evidence

    Returns
    -------
    DataFrame
    """
    import pandas as pd

    weights = (parts.factor == np.arange(len(names))[:, None]).astype(float)
    found, change = evidence.combined(weights).found, float(np.diff(parts.R)[0])
    sound = abs(change) > 0.1 * np.abs(found.estimate).sum()
    columns = ("estimate", "std_error", "conf_low", "conf_high", "p_value")
    return pd.DataFrame(
        {
            "factor": list(names),
            "baseline": [float(part.R[0]) for part in parts.parts],
            "current": [float(part.R[1]) for part in parts.parts],
            **{column: getattr(found, column) for column in columns},
            "share_of_change": found.estimate / change if sound else np.nan,
        }
    )


def levels_table(cube: Cube, metric: Metric, evidence: Evidence, d: int) -> pd.DataFrame:
    """Return what each level of a dimension contributed; see `Attribution.levels`.

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

    parts, block = evidence.parts, evidence.parts.design.block(d)
    names = pd.DataFrame({"dimension": cube.dimensions[d], "segment": list(cube.levels[d])})
    if above := cube.parent_levels(cube.dimensions[d]):
        names["within"] = above
    # What the gradients of n levels hold.
    at_once = max(1, _MOST_SLOPES // parts.slopes)
    starts = range(block.start, block.stop, at_once)
    ranges = [slice(start, min(start + at_once, block.stop)) for start in starts]
    found = [_levels(cube, metric, evidence, some) for some in ranges]
    frame = _table(cube, evidence, names, found)
    # A level without any volume in either period has nothing to say.
    there = frame["share_baseline"].notna() | frame["share_current"].notna()
    return frame[there].reset_index(drop=True)


def _levels(cube: Cube, metric: Metric, evidence: Evidence, some: slice) -> _Rows:
    """What is known of a range of levels."""
    parts = evidence.parts
    inside = np.asarray(parts.turnover.exists[:, some].all(axis=0))
    estimates = {
        part: (x[some], parts.level_gradient(part, some.start, some.stop))
        for part, x in parts.level_parts.items()
    }
    lines = parts.level_totals[some, : len(parts.lines)]
    apart = lines @ parts.estimate, parts.scores.combine(lines), lines @ parts.members
    columns = {part: evidence.level_columns(part, some) for part in [*estimates, "total"]}
    member = parts.design.matrix[:, some].T
    return _rows(cube, metric, evidence, member, estimates, apart, inside, columns)


def segments_table(
    cube: Cube, metric: Metric, evidence: Evidence, by: Sequence[int]
) -> pd.DataFrame:
    """Return what each segment contributed; see `Attribution.segments`.

    Parameters
    ----------
    cube : Cube
    metric : Metric
    evidence : Evidence
    by : sequence of int
        The positions of the dimensions that are crossed; the others are summed over.

    Returns
    -------
    DataFrame
    """
    import pandas as pd

    parts = evidence.parts
    labels, member = _crossed(cube, by)
    joined = [" × ".join(row) for row in zip(*labels.values(), strict=True)] or ["all"]
    names = pd.DataFrame({"dimension": " × ".join(labels), "segment": joined} | labels)
    stayed = parts.turnover.stayed
    within = member[:, stayed]
    estimates = {
        part: (within @ x, parts.segments_gradient(part, within))
        for part, x in parts.segment_parts.items()
    }
    # A segment outside S holds a part of its turnover line, not the line.
    outside, gradient = parts.outside
    without = member @ sparse.diags_array((~stayed).astype(float))
    apart = (
        member @ outside,
        gradient.combine(member),
        sparse.hstack([without, without], format="csr"),
    )
    inside = np.asarray(member @ stayed.astype(float) > 0).ravel()
    rows = _rows(cube, metric, evidence, member, estimates, apart, inside, {})
    return _table(cube, evidence, names, [rows])


def segments_estimates(cube: Cube, evidence: Evidence, by: Sequence[int]) -> pd.DataFrame:
    """Return the parts of `segments_table` without what is known of their noise.

    Parameters
    ----------
    cube : Cube
    evidence : Evidence
    by : sequence of int
        The positions of the dimensions that are crossed; the others are summed over.

    Returns
    -------
    DataFrame
        One column per dimension, then the estimates of each part and of the total.
    """
    import pandas as pd

    parts = evidence.parts
    labels, member = _crossed(cube, by)
    stayed = parts.turnover.stayed
    inside = np.asarray(member @ stayed.astype(float) > 0).ravel()
    seen = inside | np.asarray((member @ parts.volumes.T) > 0).any(axis=1)
    found = {part: member[:, stayed] @ x for part, x in parts.segment_parts.items()}
    total = member @ parts.outside[0] + sum(found.values())
    columns = {part: np.where(inside, x, np.nan) for part, x in found.items()}
    return pd.DataFrame(labels | columns | {"total": np.where(seen, total, np.nan)})


def _crossed(cube: Cube, by: Sequence[int]) -> tuple[dict[str, np.ndarray], sparse.csr_array]:
    """The labels of the segments of some dimensions, and which cells are in which."""
    crossed, of = np.unique(cube.codes[:, by], axis=0, return_inverse=True)
    if len(by) == len(cube.dimensions):  # in the order of the cube
        crossed, of = cube.codes[:, by], np.arange(len(cube.codes))
    labels = {
        cube.dimensions[d]: np.array(cube.levels[d], dtype=object)[crossed[:, i]]
        for i, d in enumerate(by)
    }
    entries = np.ones(len(of)), (of.ravel(), np.arange(len(of)))
    return labels, sparse.csr_array(entries, shape=(len(crossed), len(of)))


@dataclass(frozen=True)
class _Rows:
    """Counts, observed shares and rates of some rows of a table, and what is known of its parts."""

    observed: dict[str, np.ndarray]
    parts: dict[str, Known]


def _rows(
    cube: Cube,
    metric: Metric,
    evidence: Evidence,
    member: Any,
    estimates: dict[str, tuple[np.ndarray, Gradient]],
    apart: tuple[np.ndarray, Gradient, Any],
    inside: np.ndarray,
    replicated: dict[str, slice],
) -> _Rows:
    """Work out rows that sum the cells of `member`.

    `apart` is what rows have outside S, `inside` says which have something within, `replicated`
    where a bootstrap holds them.
    """
    parts = evidence.parts
    n = member @ cube.metric_sums(metric, "count").T
    volume = parts.volumes
    exists = (member @ volume.T) > 0
    both = sparse.hstack([member, member], format="csr")
    support = evidence.units.support(both)
    columns = {"n_baseline": n[:, 0], "n_current": n[:, 1]}
    for t, when in enumerate(("baseline", "current")):
        here = support.in_period(t)
        value, in_share = margin_shares(volume, member, t, parts.blocks)
        estimated = cube.volume is None
        share = evidence.certain(value)
        if estimated:
            share = evidence.of_proportions(value, in_share, here)
        share = share.where(exists[:, t])
        if isinstance(metric, Quantile):
            rate = inferred_quantiles(cube, metric, evidence, member, t, here)
            rate = rate.where(exists[:, t])
        else:
            value, in_rate, known = parts.group_rates(member, t)
            if metric.of_trials:
                rate = evidence.of_proportions(value, in_rate, here, n[:, t])
            else:
                rate = evidence.of(value, in_rate, here)
            rate = rate.where(known)
        columns |= known_columns(f"share_{when}", share) | known_columns(f"rate_{when}", rate)

    total = apart[0] + sum(x for x, _ in estimates.values())
    gradient = apart[1]
    for _, g in estimates.values():
        gradient = gradient + g
    in_total = evidence.units.support(sparse.diags_array(inside.astype(float)) @ both + apart[2])
    tested = {
        part: evidence.of_lines(x, g, support, replicated.get(part)).where(inside)
        for part, (x, g) in estimates.items()
    }
    seen = inside | exists.any(axis=1)
    known = evidence.of_lines(total, gradient, in_total, replicated.get("total"))
    tested["total"] = known.where(seen)
    return _Rows(columns, tested)


def _table(cube: Cube, evidence: Evidence, names: pd.DataFrame, rows: list[_Rows]) -> pd.DataFrame:
    """The rows below each other, as one view: with adjusted p-values."""
    import pandas as pd

    observed = {k: np.concatenate([some.observed[k] for some in rows]) for k in rows[0].observed}
    parts = {k: Known.below([some.parts[k] for some in rows]) for k in rows[0].parts}
    columns = observed
    p_adjusted = np.split(evidence.adjusted(*parts.values()), len(parts))
    for (name, known), adjusted in zip(parts.items(), p_adjusted, strict=True):
        columns |= known_columns(name, known)
        columns |= {f"{name}_p_value": known.found.p_value, f"{name}_p_adjusted": adjusted}
    columns["note"] = np.where(parts["total"].found.few, too_few(cube), "")
    return pd.concat([names, pd.DataFrame(columns)], axis=1)


def known_columns(name: str, known: Known) -> dict[str, np.ndarray]:
    """Return one estimated column and its interval columns.

    Parameters
    ----------
    name : str
    known : Known

    Returns
    -------
    dict of str to ndarray
    """
    found = known.found
    return {
        name: found.estimate,
        f"{name}_std_error": found.std_error,
        f"{name}_conf_low": found.conf_low,
        f"{name}_conf_high": found.conf_high,
    }
