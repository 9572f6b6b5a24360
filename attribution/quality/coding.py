"""Findings on codes: levels that were probably renamed, split or merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from attribution.decompose import Decomposed
from attribution.finding import finding
from attribution.labels import names_people
from attribution.metrics import is_ratio
from attribution.recoding import recodings as proposals

if TYPE_CHECKING:
    from attribution.cube import Cube
    from attribution.result import Attribution

__all__ = ["is_recoding", "recoded", "recodings"]

_MANY_LEVELS = 1_000
_RECODED_RATIO = 50.0
_RECODED_SHARE = 0.01


def is_recoding(finding: Mapping[str, Any]) -> bool:
    """Return whether a finding says that levels were probably renamed, split or merged."""
    known = ("unclear_recoding", "proposed_mapping", "recoded_level")
    return finding["code"] in known or finding["code"].startswith("probable_")


def recodings(change: Attribution, volume: np.ndarray, n: np.ndarray) -> list[dict[str, Any]]:
    """Levels that were probably renamed, split or merged, with the mapping to paste."""
    parts, evidence, design = change._parts, change._evidence, change._parts.design
    D, N = _as_ratio(change)

    def std_errors(d: int) -> np.ndarray:
        if len(change.cube.levels[d]) > _MANY_LEVELS:
            return np.zeros((2, len(change.cube.levels[d])))
        member = design.matrix[:, design.block(d)].T
        support = change._units.support(sparse.hstack([member, member]))
        both = [parts.group_rates(member, t)[:2] for t in (0, 1)]
        known = [evidence.of(*both[t], support.in_period(t)) for t in (0, 1)]
        return np.stack([x.found.std_error for x in known])

    # One person who left and another who came are no change of coding.
    every = proposals(change.cube, volume, D, N, n, std_errors)
    proposed, found = [one for one in every if not names_people(one.dimension)], []
    for one in proposed:
        code = f"probable_{one.kind}" if one.clear else "unclear_recoding"
        found.append(finding(code, "warning", one.describe(change.format), **one.facts))
    clear = [one for one in proposed if one.clear]
    if len(clear) > 1:
        merged: dict[str, dict[str, str]] = {}
        for one in clear:
            merged.setdefault(one.dimension, {}).update(one.mapping[one.dimension])
        message = f"All probable changes of coding at once: mapping={merged!r}."
        found.append(finding("proposed_mapping", "info", message, mapping=merged))
    return found


def _as_ratio(change: Attribution) -> tuple[np.ndarray, np.ndarray]:
    """Denominators and numerators of the segments; of several sums, volume and volume x rate."""
    cube, parts, metric = change.cube, change._parts, change.metric
    if is_ratio(metric):
        return cube.metric_sums(metric, "denominator"), cube.metric_sums(metric, "numerator")
    each = sparse.eye_array(len(parts.design.codes), format="csr")
    rates = [parts.group_rates(each, t)[0] for t in (0, 1)]
    return parts.volumes, parts.volumes * np.stack(rates)


def recoded(parts: Decomposed, cube: Cube, D: np.ndarray) -> list[dict[str, Any]]:
    """Levels that all but vanished or came from almost nothing: a change of coding, not of work."""
    design, found = parts.design, []
    shares = (design.matrix.T @ D.T).T / D.sum(axis=1)[:, None]
    for d, name in enumerate(cube.dimensions):
        if names_people(name):
            continue
        block = design.block(d)
        for i in range(block.start, block.stop):
            before, after = shares[:, i]
            small, large = sorted((before, after))
            if small > 0 and large >= _RECODED_SHARE and large >= _RECODED_RATIO * small:
                label = cube.levels[d][i - block.start]
                volumes = [float(x) for x in shares[:, i] * D.sum(axis=1)]
                word = "collapsed" if after < before else "grew"
                found.append(
                    finding(
                        "recoded_level",
                        "warning",
                        f"{name}: {label!r} {word} from {volumes[0]:,.0f} to {volumes[1]:,.0f} "
                        f"({100 * before:.2f} % to {100 * after:.2f} % of the volume): probably "
                        "counted elsewhere now. Merge it with where its items went "
                        "(mapping=...) or read its mix line as a change of coding.",
                        dimension=name,
                        segment=label,
                        volume_baseline=volumes[0],
                        volume_current=volumes[1],
                        share_baseline=before,
                        share_current=after,
                    )
                )
    return found
