"""What a reader of a scorecard should know: entities that cannot be judged, noise, overlaps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.cards.parts import unit_name
from attribution.cards.scoring import FEWEST_ENTITIES
from attribution.errors import listing
from attribution.formatting import tiny
from attribution.goals import in_several
from attribution.labels import plural

if TYPE_CHECKING:
    from attribution.cards.card import Scorecard

__all__ = ["findings"]

# An entity with more of the volume than this is much of the KPI it is compared with.
_LARGE_SHARE = 0.3
_LARGE_PHI = 4.0
_STATUS_FINDINGS = (
    (
        "too_few",
        "too few",
        "warning",
        "fewer than {n} rows (or one cluster); not judged, not ranked.",
    ),
    ("no_reference", "no reference", "warning", "no other entity in any of their cells."),
    ("data_without_target", "no target", "warning", "data, but no target."),
)


def findings(card: Scorecard) -> Iterator[dict[str, Any]]:
    """Yield every finding about a card: `code, severity, message, facts`."""
    s, frame = card.scores, card.table
    found, names = s.found, np.array(s.names, dtype=object)
    residual = float(
        np.abs(found.observed - found.expected - found.difference * found.volume).max()
    )
    yield _finding(
        "residual",
        "ok",
        f"Observed less expected is the difference times the volume; residual {tiny(residual)}.",
        residual=residual,
    )
    yield from (dict(f) for f in card.cube.findings)
    for code, wanted, severity, words in _STATUS_FINDINGS:
        # Who is too few is so without a target, too.
        told = frame["signal" if wanted == "too few" else "status"]
        named = frame.loc[told == wanted, "entity"].tolist()
        if named and (wanted != "no target" or card.goals is not None):
            message = f"{listing(named, most=8)}: {words.format(n=card.min_n)}"
            yield _finding(code, severity, message, entities=named)
    empty = [" × ".join(x) for x in card.empty]
    if empty:
        what = card.metric.denominator or "rows"
        message = (
            f"{listing(empty, most=8)}: no {what} in the period scored (a denominator of 0), so no "
            "KPI; not judged, not ranked."
        )
        yield _finding("no_data", "warning", message, entities=empty)
    if missing := [" × ".join(x) for x in card.absent[len(empty) :]]:
        message = f"{listing(missing, most=8)}: a target, but no data in the period scored."
        yield _finding("target_without_data", "warning", message, entities=missing)
    partly = (s.compared < 1 - 1e-9) & (found.volume > 0)
    if partly.any():
        # Rounded down: part of the work is never all of it.
        least = f"{math.floor(1000 * s.compared[partly].min()) / 10:g} %"
        message = (
            f"{listing(names[partly], most=8)}: part of the work is in cells without any other "
            f"entity and is not compared (down to {least} of the volume is)."
        )
        yield _finding("partly_compared", "warning", message, entities=list(names[partly]))
    adjusted = frame["adjusted"]
    if card.metric.of_trials and (beyond := int(((adjusted < 0) | (adjusted > 1)).sum())):
        message = (
            f"{beyond:,} adjusted rates lie beyond 0 to 100 %: R_ref plus the difference from the "
            "expectation, not a rate of their own."
        )
        yield _finding("beyond_bounds", "info", message, count=beyond)
    share = found.total / found.total.sum()
    if len(names) > 1 and (large := share > _LARGE_SHARE).any():
        message = (
            f"{listing(names[large])}: more than {100 * _LARGE_SHARE:.0f} % of the volume. "
            "The others are the yardstick, so that the adjusted rates of the large lie further "
            "from R_ref than they move it."
        )
        yield _finding("large_entity", "info", message, entities=list(names[large]))
    enough = int(s.enough.sum())
    if card.overdispersion is not None and enough < FEWEST_ENTITIES:
        message = (
            f"Only {enough} entities have enough rows; their spread cannot be told from noise, "
            "so that the funnel limits are not widened."
        )
        yield _finding("few_entities", "warning", message, entities=enough)
    elif s.phi > 1:
        widened = {
            "multiplicative": f"funnel limits are {np.sqrt(s.phi):.2f} times as wide",
            "additive": "funnel limits hold a between-entity standard deviation of "
            f"{card.format.change(card.tau).lstrip('+')}",
            None: "funnel limits are NOT widened, as asked",
        }[card.overdispersion]
        message = f"Entities vary {s.phi:.2f} times as much (variance) as their noise: {widened}."
        if s.phi > _LARGE_PHI and card.overdispersion == "multiplicative":
            message += (
                " That much is true differences rather than noise, which overdispersion="
                "'additive' adds the same to all instead of the most to the smallest."
            )
        yield _finding("overdispersion", "info", message, phi=s.phi, tau=card.tau)
    if s.noise.borrowed.any() and card.cube.clusters is not None:
        named = list(names[s.noise.borrowed & (found.volume > 0)])
        message = (
            f"{listing(named, most=8)}: one {unit_name(card.cube)} or no variation; the noise of "
            "the other entities stands in."
        )
        yield _finding("borrowed_noise", "warning", message, entities=named)
    yield from _in_several(card)
    if len(card.entity) > 1 and (twice := in_several(s.labels, len(card.entity) - 1)):
        message = (
            f"{listing(twice, most=8)}: in more than one {' × '.join(card.entity[:-1])}; scored "
            "once in each of them."
        )
        yield _finding(
            "entity_in_several", "warning", message, column=card.entity[-1], entities=twice
        )


def _in_several(card: Scorecard) -> Iterator[dict[str, Any]]:
    """Clusters that work for more than one entity."""
    clusters = card.cube.clusters
    if clusters is None:
        return
    periods = [card.cube.periods.index(p) for p in card.current]
    kept = clusters.take(np.isin(clusters.period, periods))
    of = np.unique(card.cube.codes[:, : len(card.entity)], axis=0, return_inverse=True)[1]
    entity = of.ravel()[kept.segment].astype(np.int64)
    for name, codes in zip(clusters.names, kept.codes, strict=True):
        pairs = np.unique(codes * (entity.max(initial=0) + 1) + entity)
        times = np.bincount(pairs // (entity.max(initial=0) + 1))
        if (several_of := int((times > 1).sum())) > 0:
            message = (
                f"{several_of:,} of {int((times > 0).sum()):,} {plural(name)} work for more "
                f"than one {card.noun}; their rows count where they were done, and what the "
                "entities share in noise is taken into account."
            )
            yield _finding("cluster_in_several", "info", message, column=name, count=several_of)


def _finding(code: str, severity: str, message: str, **facts: Any) -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": message, "facts": facts}
