"""composite_scorecard: several KPIs of each entity, gates first, then a guarded weighted score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.cards.asking import OVERDISPERSION, card_of, columns_of, scan
from attribution.cards.card import Scorecard
from attribution.cards.shown import ShownComposite
from attribution.cube import several
from attribution.errors import OptionError, check_level, check_option, listing, nearest
from attribution.filed import Filed
from attribution.formatting import Format, aligned
from attribution.goals import require_ratio
from attribution.isolated import isolated
from attribution.labels import plural
from attribution.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

    from attribution.privacy import Privacy

__all__ = ["CompositeScorecard", "composite_scorecard"]

MISSING, NO_GATE = "missing", "none"
_GATES = {
    "met": "passed",
    "missed": "failed",
    "not distinguishable": "open",
    "too few": "too few",
}


def composite_scorecard(
    data: object,
    metrics: Sequence[Metric | str],
    entity: str | Sequence[str],
    *,
    targets: Mapping[str, Any],
    weights: Mapping[str, float] | None = None,
    gates: Mapping[str, Any] | None = None,
    cap: float = 1.0,
    adjust_for: str | Sequence[str] = (),
    cluster: str | Sequence[str] | None = None,
    period: str | None = None,
    current: object = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    overdispersion: str | None = "multiplicative",
    min_n: int = 30,
    conf_level: float = 0.95,
) -> CompositeScorecard:
    """Score several KPIs of each entity: gates first, then a weighted mean of capped completion.

    ``score = sum_k w_k min(completion_k, cap) / sum_k w_k`` over the KPIs that an entity has, each
    oriented by what is better. An entity that fails a gate, or cannot show that KPI, has NO score:
    nothing makes up for a failed gate.

    Parameters
    ----------
    data : table
        With what all metrics read; one scan.
    metrics : sequence of Metric or str
        Two or more rates, ratios or means with different names.
    entity : str or sequence of str
        See `attribution.scorecard`.
    targets : mapping
        Name of a KPI -> its target, as in `attribution.scorecard`.
    weights : mapping, optional
        Name of a KPI -> its weight. None: equal weights of all KPIs with a target.
    gates : mapping, optional
        Name of a KPI -> the least (or most, where lower is better) that is acceptable. Failed when
        the whole interval is beyond it; open while the interval holds it.
    cap : float
        Completion counts up to this: at 1 no KPI pays for another one's miss.
    adjust_for, cluster, period, current, weight, where, mapping, on_invalid
        See `attribution.scorecard`.
    overdispersion, min_n, conf_level
        See `attribution.scorecard`.

    Returns
    -------
    CompositeScorecard

    Raises
    ------
    OptionError
        Fewer than two metrics, two of one name, a name that is none of them, a weight or cap that
        is not positive, a KPI with a weight and no target.
    AttributionError
        As in `attribution.scorecard`.

    References
    ----------
    OECD and JRC (2008). Handbook on Constructing Composite Indicators (compensability).

    Examples
    --------
    Cebu is fast, which does not hide that it fails the quality gate:

    >>> import pandas as pd
    >>> import attribution as at
    >>> month = pd.DataFrame({"site": ["Austin", "Cebu", "Dublin"], "n": [2000] * 3,
    ...                       "ok": [1900, 1700, 1860], "in_time": [1800, 1990, 1900]})
    >>> accuracy, sla = at.Rate("ok", "n", name="Accuracy"), at.Rate("in_time", "n", name="SLA")
    >>> card = composite_scorecard(month, [accuracy, sla], "site", gates={"Accuracy": 0.90},
    ...                            targets={"Accuracy": 0.93, "SLA": 0.95})
    >>> card.frame[["entity", "gate", "score"]].round(3)
       entity              gate  score
    0  Austin            passed  0.974
    1    Cebu  failed: Accuracy    NaN
    2  Dublin            passed  1.000
    """
    check_option("overdispersion", overdispersion, OVERDISPERSION)
    conf_level = check_level("conf_level", conf_level)
    chosen = [require_ratio(m) for m in several(metrics)]
    names = [m.label for m in chosen]
    if len(names) < 2:
        raise OptionError("metrics: fewer than two. One KPI is at.scorecard.")
    if twice := [x for x in names if names.count(x) > 1]:
        raise OptionError(f"metrics: {twice[0]!r} is there twice. Give them names (name=...).")
    goals, limits = dict(targets), dict(gates or {})
    shares = dict.fromkeys(goals, 1.0) if weights is None else dict(weights)
    _check(names, goals, limits, shares, cap)
    entities, cells = columns_of("entity", entity), columns_of("adjust_for", adjust_for)
    units = [c for c in ([] if cluster is None else several(cluster)) if [c] != list(entities)]
    request = {
        "period": period,
        "cluster": units or None,
        "weight": weight,
        "where": where,
        "mapping": mapping,
        "on_invalid": on_invalid,
    }
    cube = scan(data, chosen, entities, cells, request)

    def card(metric: Metric, target: object, parameter: str) -> Scorecard:
        return card_of(
            cube,
            metric,
            entities,
            current=current,
            baseline=None,
            past=None,
            target=target,
            overdispersion=overdispersion,
            min_n=min_n,
            conf_level=conf_level,
            parameter=f"{parameter}: {metric.label!r}",
        )

    return CompositeScorecard(
        entity=entities,
        cards={m.label: card(m, goals.get(m.label), "targets") for m in chosen},
        gates={m.label: card(m, limits[m.label], "gates") for m in chosen if m.label in limits},
        weights={name: float(w) for name, w in shares.items()},
        cap=float(cap),
    )


def _check(
    names: Sequence[str],
    goals: Mapping[str, Any],
    limits: Mapping[str, Any],
    shares: Mapping[str, Any],
    cap: object,
) -> None:
    for parameter, given in (("targets", goals), ("gates", limits), ("weights", shares)):
        for name in given:
            if name not in names:
                raise OptionError(
                    f"{parameter}: no KPI {name!r}.{nearest(name, names)} KPIs: {listing(names)}."
                )
    for words, value in (*((f"weights: {k!r}", v) for k, v in shares.items()), ("cap", cap)):
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not (math.isfinite(value) and value > 0):  # pyright: ignore[reportArgumentType, reportOperatorIssue]
            raise OptionError(f"{words}: {value!r} is not a positive number.")
    if missing := [x for x in shares if x not in goals]:
        raise OptionError(f"targets: none for {listing(missing)}, which has a weight.")
    if not shares:
        raise OptionError("targets: there is none, so there is nothing to score.")


@dataclass(frozen=True, eq=False)
class CompositeScorecard(Filed):
    """Several KPIs of each entity; made by `attribution.composite_scorecard`.

    Attributes
    ----------
    entity : tuple of str
    cards : dict of str to Scorecard
        One per KPI, judged against its target.
    gates : dict of str to Scorecard
        The same KPIs judged against their gates.
    weights : dict of str to float
    cap : float
    """

    entity: tuple[str, ...]
    cards: dict[str, Scorecard]
    gates: dict[str, Scorecard]
    weights: dict[str, float]
    cap: float

    @cached_property
    def _kpis(self) -> pd.DataFrame:
        import pandas as pd

        entities = sorted({e for card in self.cards.values() for e in card.table["entity"]})
        columns = ["n", "crude", "adjusted", "std_error", "conf_low", "conf_high"]
        columns += ["target", "completion", "status", "signal"]
        frames = []
        for name, card in self.cards.items():
            frame = card.table.set_index("entity")[columns].reindex(entities)
            absent = (frame["n"].isna() | (frame["n"] == 0)).to_numpy()
            frame.loc[absent, ["status", "signal"]] = MISSING
            frame["n"] = frame["n"].fillna(0).astype(np.int64)
            frame.insert(0, "kpi", name)
            gate = pd.Series([None] * len(frame), index=frame.index, dtype=object)
            if name in self.gates:
                judged = self.gates[name].table.set_index("entity")["status"].reindex(entities)
                gate = judged.map(lambda x: _GATES.get(str(x), MISSING)).astype(object)
                gate[absent] = MISSING
            frame["gate"] = gate
            frame["weight"] = self.weights.get(name, 0.0)
            frames.append(frame.reset_index())
        return pd.concat(frames, ignore_index=True)

    @property
    def kpis(self) -> pd.DataFrame:
        """One row per entity and KPI.

        Columns: entity, kpi, n, crude, adjusted, std_error, conf_low, conf_high, target,
        completion, status, signal, gate (passed, open, failed, too few, missing; null without a
        gate), weight. A KPI that an entity does not have is "missing", its numbers null.
        """
        return self._kpis.copy()

    @property
    def frame(self) -> pd.DataFrame:
        """One row per entity.

        Columns: entity, gate ("passed", "open: ..." while the interval holds the gate, "failed:
        ...", "unknown: ..." where the KPI is missing or has too few rows, "none"), score (null
        where a gate is failed or unknown), weight_scored (the part of all weights behind it), met,
        missed, not_distinguishable, missing (numbers of KPIs), then per KPI its adjusted value and
        status.
        """
        import pandas as pd

        rows = []
        for entity, part in self._kpis.groupby("entity", sort=True):
            by_kpi = part.set_index("kpi")
            gate = self._gate_of(dict(zip(part["kpi"], part["gate"], strict=True)))
            score, covered = self._score(by_kpi)
            status = by_kpi["status"]
            row = {
                "entity": entity,
                "gate": gate,
                "score": score if gate.split(":")[0] not in ("failed", "unknown") else math.nan,
                "weight_scored": covered,
                "met": int((status == "met").sum()),
                "missed": int((status == "missed").sum()),
                "not_distinguishable": int((status == "not distinguishable").sum()),
                "missing": int((status == MISSING).sum()),
            }
            for name in self.cards:
                row |= {name: by_kpi.loc[name, "adjusted"], f"{name} status": status[name]}
            rows.append(row)
        return pd.DataFrame(rows)

    def _gate_of(self, gate: Mapping[str, Any]) -> str:
        for word, states in (
            ("failed", ("failed",)),
            ("unknown", (MISSING, "too few")),
            ("open", ("open",)),
        ):
            named = [name for name in self.gates if gate[name] in states]
            if named:
                return f"{word}: {', '.join(named)}"
        return "passed" if self.gates else NO_GATE

    def _score(self, by_kpi: pd.DataFrame) -> tuple[float, float]:
        done = by_kpi["completion"].to_numpy(float)
        judged = np.isfinite(done) & ~by_kpi["status"].isin([MISSING, "too few"]).to_numpy()
        weight = by_kpi["weight"].to_numpy(float)
        used = float(weight[judged].sum())
        covered = used / float(weight.sum())
        if not used:
            return math.nan, covered
        return float(weight[judged] @ np.minimum(done[judged], self.cap)) / used, covered

    @property
    def message(self) -> str:
        """The headline: who fails a gate, else how many miss a target; people are not named."""
        return ShownComposite(self).message

    def message_of(self, frame: pd.DataFrame, named: bool = True) -> str:
        """Return the headline about some of its rows.

        Parameters
        ----------
        frame : DataFrame
            Rows of `frame`.
        named : bool
            Whether those who fail are called by name.

        Returns
        -------
        str
        """
        failed = frame[frame["gate"].str.startswith("failed")]
        nouns = plural(self.entity[0]) if len(self.entity) == 1 else "entities"
        if len(failed) and not named:
            return f"{len(failed):,} of {len(frame):,} {nouns} fail a gate"
        if len(failed):
            first = ", ".join(failed["entity"].head(3))
            more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
            return f"{len(failed):,} of {len(frame):,} {nouns} fail a gate: {first}{more}"
        missed = int((frame["missed"] > 0).sum())
        text = (
            f"{missed:,} of {len(frame):,} {nouns} {'misses' if missed == 1 else 'miss'} a target"
        )
        return f"No gate is failed; {text}" if self.gates else text

    def check(self) -> pd.DataFrame:
        """Return the findings of all KPIs, with the name of the KPI in front."""
        import pandas as pd

        frames = []
        for name, card in self.cards.items():
            found = card.check()
            found.insert(0, "kpi", name)
            frames.append(found)
        return pd.concat(frames, ignore_index=True)

    def by_gate(self) -> pd.DataFrame:
        """Return `frame` with failed gates first, then the lowest scores."""
        frame = self.frame
        order = {"failed": 0, "unknown": 1, "open": 2, "passed": 3, NO_GATE: 3}
        rank = frame["gate"].str.split(":").str[0].map(order)
        keys = frame.assign(_rank=rank).sort_values(["_rank", "score"], kind="stable")
        return frame.reindex(keys.index)

    @property
    def formats(self) -> dict[str, Format]:
        """How numbers of each KPI are written."""
        return {
            name: Format.fitting(
                card.metric.display_unit, float(np.ptp(card.table["adjusted"].dropna()))
            )
            for name, card in self.cards.items()
        }

    @property
    def note(self) -> str:
        """What the score is."""
        weights = ", ".join(f"{name} {w:g}" for name, w in self.weights.items())
        return (
            f"Score: mean of completion, each counted up to {100 * self.cap:g} %, weights "
            f"{weights}" + ("; no score where a gate is failed or unknown." if self.gates else ".")
        )

    def display_rows(self, *, privacy: Privacy | None = None) -> list[tuple[str, ...]]:
        """Return the table as it is shown, a header first; failed gates stand first.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen; entities that are people are counted only by default.

        Returns
        -------
        list of tuple of str
        """
        return _display_rows(ShownComposite(self, privacy))

    def summary(self, *, privacy: Privacy | None = None) -> str:
        """Return headline, table and what the score is as text.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen; entities that are people are counted only by default.

        Returns
        -------
        str
        """
        shown = ShownComposite(self, privacy)
        table = aligned(_display_rows(shown), right=())
        return "\n".join([f"{shown.message}.", "", *table, "", self.note, *shown.said])

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<CompositeScorecard {self.message}>"

    def _repr_html_(self) -> str:
        shown = ShownComposite(self)
        header, *rows = _display_rows(shown)
        head = "".join(f"<th>{isolated(x)}</th>" for x in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{isolated(x)}</td>" for x in row) + "</tr>" for row in rows
        )
        small = "".join(f"<p><small>{isolated(x)}</small></p>" for x in shown.said)
        return (
            f"<p><b>{isolated(shown.message)}.</b></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{small}"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CompositeScorecard):
            return NotImplemented
        mine = (self.entity, self.cards, self.gates, self.weights, self.cap)
        return mine == (other.entity, other.cards, other.gates, other.weights, other.cap)

    def __hash__(self) -> int:
        return hash((self.entity, tuple(self.cards), self.cap))


def _display_rows(shown: ShownComposite) -> list[tuple[str, ...]]:
    card = shown.card
    if shown.kept.hidden:
        counted = shown.counted["gate"].str.split(":").str[0].value_counts()
        return [("gate", plural(card.entity[0])), *((str(x), f"{n:,}") for x, n in counted.items())]
    kpis, forms = card.kpis.set_index(["entity", "kpi"]), card.formats
    rows: list[tuple[str, ...]] = [("", "gate", "score", "of weight", *card.cards)]
    for row in shown.frame.to_dict(orient="records"):
        cells = []
        for name, form in forms.items():
            found = kpis.loc[(row["true"], name)]
            value = float(found["adjusted"])
            level = form.level(value) if value == value else ""
            cells.append(f"{level} {found['status']}".strip())
        score = row["score"]
        percent = f"{100 * score:.1f} %" if score == score else "no score"
        weight = f"{100 * row['weight_scored']:.0f} %"
        rows.append((str(row["entity"]), str(row["gate"]), percent, weight, *cells))
    return rows
