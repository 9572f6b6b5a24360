"""A result fetched in partitions of the cluster is the same as in one piece."""

from __future__ import annotations

import gc
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution import errors
from attribution.source import partitions

RATE = at.Rate("correct", "reviewed")
ASKED: dict[str, Any] = {"by": ["queue", "market"], "period": "month", "cluster": "who"}
PAIR = {"baseline": "2026-08", "current": "2026-09"}


def reviews(n: int, clusters: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    reviewed = rng.integers(1, 9, n)
    return pd.DataFrame(
        {
            "month": rng.choice(["2026-08", "2026-09"], n),
            "queue": rng.choice(np.array(["q1", "q2", "q10", None], dtype=object), n),
            "market": rng.choice(["ID", "JP", "BR"], n),
            "who": rng.integers(0, clusters, n),
            "reviewed": reviewed,
            "correct": rng.binomial(reviewed, 0.9),
            "seconds": np.round(rng.lognormal(3, 1, n), 3),
        }
    )


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_MOST_GROUPS", 50)
    monkeypatch.setattr(partitions, "_AT_ONCE", 40)
    monkeypatch.setattr(partitions, "_SAMPLED", 1)


def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_MOST_GROUPS", 10**9)


def views(change: at.Attribution) -> list[pd.DataFrame]:
    return [change.effects, change.levels("queue"), change.segments()]


@settings(max_examples=3, deadline=None)
@given(n=st.integers(80, 900), clusters=st.integers(20, 200), seed=st.integers(0, 10**6))
def test_partitions_change_no_number(n: int, clusters: int, seed: int) -> None:
    frame = reviews(n, clusters, seed)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_MOST_GROUPS", 20), ("_AT_ONCE", 30), ("_SAMPLED", 1)):
            patch.setattr(partitions, name, value)
        cube = at.Cube.from_data(frame, RATE, **ASKED)
    expected = at.Cube.from_data(frame, RATE, **ASKED)
    assert cube.digest() == expected.digest()
    assert cube.clusters is not None
    assert cube.clusters.bounds is not None
    assert len(cube.clusters.bounds) > 2
    found, wanted = cube.explain(**PAIR), expected.explain(**PAIR)
    for a, b in zip(views(found), views(wanted), strict=True):
        pd.testing.assert_frame_equal(a, b, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        cube.rollup(["queue"]).explain(**PAIR).total.std_error,
        expected.rollup(["queue"]).explain(**PAIR).total.std_error,
        rtol=1e-12,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("divided")
def test_every_kind_of_question_has_the_same_answer_in_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = reviews(700, 60, 3)
    counts = frame.groupby(["month", "queue", "market"], dropna=False).size() * 9
    counts = counts.rename("n").reset_index()
    questions: list[tuple[Any, dict[str, Any]]] = [
        ("mean(seconds)", {"weight": "reviewed", "where": "seconds > 5"}),
        ("quantile(seconds, 0.8)", {}),
        (RATE, {"volume": counts, "finite_population": True}),
        (RATE, {"method": "threefold"}),
        (at.f_score("correct", "reviewed - correct", "reviewed"), {}),
        (RATE, {"mapping": {"market": {"JP": "Asia", "ID": "Asia"}}}),
    ]
    parted = [at.explain(frame, m, **ASKED, **PAIR, **options) for m, options in questions]
    whole(monkeypatch)
    for found, (metric, options) in zip(parted, questions, strict=True):
        held = at.explain(frame, metric, **ASKED, **PAIR, **options)
        assert found.cube.clusters is not None
        assert len(found.cube.clusters.parts) > 1
        pd.testing.assert_frame_equal(found.effects, held.effects, rtol=1e-11, atol=1e-12)
        assert list(found.check()["code"]) == list(held.check()["code"])


@pytest.mark.usefixtures("divided")
def test_rows_that_break_the_contract_are_counted_over_all_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = reviews(400, 60, 4)
    frame.loc[[3, 50, 399], "correct"] = 99
    with pytest.raises(errors.DataContractError) as parted:
        at.Cube.from_data(frame, RATE, **ASKED)
    with pytest.warns(errors.DataQualityWarning, match="3 rows break"):
        kept = at.Cube.from_data(frame, RATE, **ASKED, on_invalid="drop")
    assert kept.provenance["rows"] == 397
    whole(monkeypatch)
    with pytest.raises(errors.DataContractError) as held:
        at.Cube.from_data(frame, RATE, **ASKED)
    assert str(parted.value) == str(held.value)


@pytest.mark.usefixtures("divided")
def test_a_text_called_as_nulls_are_is_found_across_partitions() -> None:
    frame = reviews(400, 60, 4)
    frame["queue"] = frame["queue"].where(frame["who"] % 2 == 1, frame["queue"].fillna("(missing)"))
    with pytest.raises(errors.DataContractError, match=r"queue: the text '\(missing\)'"):
        at.Cube.from_data(frame, RATE, **ASKED)


@pytest.mark.usefixtures("divided")
def test_a_bootstrap_of_clusters_in_files_is_refused() -> None:
    with pytest.raises(errors.OptionError, match="'bootstrap' holds the sums of all"):
        _ = at.explain(reviews(400, 60, 5), RATE, **ASKED, **PAIR, inference="bootstrap").effects


@pytest.mark.usefixtures("divided")
def test_files_go_with_the_cube_they_belong_to() -> None:
    def there() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob("kpi-attribution-*"))

    gc.collect()
    before = there()
    cube = at.Cube.from_data(reviews(400, 60, 6), RATE, **ASKED)
    change = cube.explain(**PAIR)
    _ = change.effects
    assert there() - before
    copy = pickle.loads(pickle.dumps(change))
    pd.testing.assert_frame_equal(copy.levels("queue"), change.levels("queue"), rtol=1e-12)
    assert copy.cube.digest() == cube.digest()
    del cube, change, copy
    gc.collect()
    assert not there() - before


@pytest.mark.usefixtures("divided")
def test_two_cluster_columns_are_fetched_in_one_piece() -> None:
    frame = reviews(400, 60, 7)
    cube = at.Cube.from_data(frame, RATE, "queue", period="month", cluster=["who", "market"])
    assert cube.clusters is not None
    assert len(cube.clusters.parts) == 1
