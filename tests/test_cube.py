"""A cube keeps every sum through every operation, and through a file."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.cube import ClusterSums, Cube
from attribution.errors import (
    AttributionError,
    ColumnNotFoundError,
    MissingFileError,
    OptionError,
    PeriodError,
    SourceError,
)

METRICS = [
    at.Rate("correct", "reviewed", name="Accuracy"),
    at.Ratio("seconds", "reviewed", name="AHT", better="lower", unit="s"),
    at.Rate("correct > 3"),
]


def rows(n: int = 400, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    reviewed = rng.integers(1, 9, n)
    return pd.DataFrame(
        {
            "month": rng.choice([8, 9, 10], n),
            "queue": rng.choice(["live", "video", "Zürich"], n),
            "market": rng.choice(["ID", "BR", "JP", None], n),
            "moderator": [f"mod-{i:03d}" for i in rng.integers(0, 40, n)],
            "correct": np.where(rng.random(n) < 0.2, 0, rng.binomial(reviewed, 0.8) * 0 + 1),
            "reviewed": reviewed,
            "seconds": rng.gamma(3, 20, n),
            "w": rng.random(n) + 0.5,
        }
    )


def cube_of(cluster: str | None = None, **options) -> Cube:
    return Cube.from_data(
        rows(), METRICS, ["queue", "market"], period="month", cluster=cluster, **options
    )


@pytest.fixture(scope="module", params=[None, "moderator"])
def cube(request: pytest.FixtureRequest) -> Cube:
    return cube_of(request.param)


# -- conservation -----------------------------------------------------------------------------


def cluster_totals(cube: Cube) -> dict[str, np.ndarray]:
    """The sums of a cube put together from its clusters alone."""
    held = cube.clusters
    assert held is not None
    shape = (len(cube.periods), len(cube.codes))
    where = np.ravel_multi_index((held.period, held.segment), shape)
    return {
        name: np.bincount(where, values, shape[0] * shape[1]).reshape(shape)
        for name, values in held.sums.items()
    }


@st.composite
def cubes(draw: st.DrawFn) -> Cube:
    """Any small cube, with or without clusters."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    P, S = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    codes = np.unique(rng.integers(0, sizes, (S, len(sizes))), axis=0).astype(np.int32)
    clusters, sums = None, {}
    if draw(st.booleans()):
        G = draw(st.integers(1, 5))
        present = np.argwhere(rng.random((P, len(codes), G)) < 0.6).astype(np.int32)
        t, c, g = present.T
        values = {name: rng.normal(size=len(t)) for name in ("den", "num")}
        clusters = ClusterSums(("who",), g[None, :], t, c, values)
        shape = (P, len(codes))
        sums = {
            name: np.bincount(np.ravel_multi_index((t, c), shape), x, P * len(codes)).reshape(shape)
            for name, x in values.items()
        }
    else:
        sums = {name: rng.normal(size=(P, len(codes))) for name in ("den", "num")}
    return Cube(
        metrics=(at.Ratio("num", "den"),),
        dimensions=tuple(f"d{i}" for i in range(len(sizes))),
        levels=tuple(tuple(f"l{j}" for j in range(n)) for n in sizes),
        periods=tuple(f"p{t}" for t in range(P)),
        codes=codes,
        sums=sums,
        clusters=clusters,
    )


def same_sums(cube: Cube, expected: dict[str, np.ndarray]) -> None:
    """Check total sums per period, of segments and of clusters."""
    for name, values in expected.items():
        np.testing.assert_allclose(cube.sums[name].sum(axis=1), values, atol=1e-9)
    if cube.clusters is not None:
        for name, values in cluster_totals(cube).items():
            np.testing.assert_allclose(values, cube.sums[name], atol=1e-9)
        keys = np.vstack([cube.clusters.codes, cube.clusters.period, cube.clusters.segment])
        assert len(np.unique(keys, axis=1).T) == keys.shape[1]


@settings(max_examples=60, deadline=None)
@given(cube=cubes(), data=st.data())
def test_every_operation_keeps_every_sum(cube: Cube, data: st.DataObject) -> None:
    totals = {name: values.sum(axis=1) for name, values in cube.sums.items()}
    kept = data.draw(st.lists(st.sampled_from(cube.dimensions), unique=True))
    same_sums(cube.rollup(kept), totals)
    dimension = data.draw(st.sampled_from(cube.dimensions))
    d = cube.dimensions.index(dimension)
    new = data.draw(st.dictionaries(st.sampled_from(cube.levels[d]), st.sampled_from("xyz")))
    merged = cube.merge_levels(dimension, new)
    same_sums(merged, totals)
    assert set(merged.levels[d]) == {new.get(level, level) for level in cube.levels[d]}
    there = sorted({cube.levels[d][i] for i in cube.codes[:, d]})
    chosen = data.draw(st.lists(st.sampled_from(there), min_size=1, unique=True))
    mask = np.isin([cube.levels[d][i] for i in cube.codes[:, d]], chosen)
    part = cube.select(**{dimension: chosen})
    same_sums(part, {name: v[:, mask].sum(axis=1) for name, v in cube.sums.items()})
    assert set(part.levels[d]) == set(chosen)
    groups = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(cube.periods),
                                         max_size=len(cube.periods))))  # fmt: skip
    named = {f"g{g}": [cube.periods[t] for t in np.flatnonzero(groups == g)] for g in (0, 1)}
    pooled = cube.pool(named)
    assert pooled.periods == ("g0", "g1")
    expected = {
        name: np.array([v[groups == g].sum() for g in (0, 1)]) for name, v in cube.sums.items()
    }
    same_sums(pooled, expected)


def test_operations_commute(cube: Cube) -> None:
    one = cube.select(queue=["live", "video"]).rollup(["market"]).merge_levels(
        "market", {"ID": "Asia", "JP": "Asia"})  # fmt: skip
    other = cube.merge_levels("market", {"ID": "Asia", "JP": "Asia"}).rollup(
        ["market", "queue"]).select(queue=["live", "video"]).rollup(["market"])  # fmt: skip
    assert one.levels == other.levels == (("Asia", "BR", "(missing)"),)
    for name, values in one.sums.items():
        np.testing.assert_allclose(other.sums[name], values, rtol=1e-12)


def test_a_rolled_up_cube_is_the_cube_of_fewer_dimensions(cube: Cube) -> None:
    options = {"cluster": cube.clusters and "moderator"}
    direct = Cube.from_data(rows(), METRICS, ["market"], period="month", **options)
    rolled = cube.rollup(["market"])
    assert rolled.digest() == direct.digest()
    assert rolled.rollup([]).codes.shape == (1, 0)
    if cube.clusters is not None:
        for name in ("codes", "period", "segment"):
            np.testing.assert_array_equal(
                getattr(rolled.clusters, name), getattr(direct.clusters, name)
            )


def test_lost_rows_are_noticed(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(codes: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
        return bincount(codes[1:], row[1:], n)

    bincount = np.bincount
    monkeypatch.setattr(np, "bincount", forgetful)
    with pytest.raises(AttributionError, match="cube: the sum '.*' over .* and should be"):
        cube.rollup(["queue"])


# -- asking for parts -------------------------------------------------------------------------


def test_parts_that_do_not_exist_are_named(cube: Cube) -> None:
    with pytest.raises(ColumnNotFoundError, match="no dimension 'quue'. Did you mean 'queue'"):
        cube.select(quue="live")
    with pytest.raises(OptionError, match="queue: no level 'life' of 'queue'. Did you mean 'live'"):
        cube.select(queue="life")
    with pytest.raises(ColumnNotFoundError, match="no dimension 'team'"):
        cube.rollup(["team"])
    with pytest.raises(ColumnNotFoundError, match="mapping: no dimension 'team'"):
        cube.merge_levels("team", {})
    with pytest.raises(OptionError, match="mapping: no level 'life' of 'queue'"):
        cube.merge_levels("queue", {"life": "live"})
    with pytest.raises(PeriodError, match="period: no period '7'"):
        cube.pool({"a": ["7"]})
    with pytest.raises(PeriodError, match="'8' is in two groups"):
        cube.pool({"a": ["8"], "b": ["8", "9"]})
    with pytest.raises(PeriodError, match="current: no period '11'.* There: '8', '9', '10'"):
        cube.explain(baseline=8, current=11)
    with pytest.raises(OptionError, match="the cube holds no sums for 'seconds'"):
        cube.explain(at.Rate("seconds"), baseline=8, current=9)
    without_live = cube.keep_segments(cube.codes[:, 0] != cube.levels[0].index("live"))
    with pytest.raises(OptionError, match="select: no segment has queue='live'"):
        without_live.select(queue="live")


def test_a_metric_is_made_of_held_sums_only_if_its_rows_were_checked() -> None:
    cube = cube_of("moderator")
    renamed = at.Rate("correct", "reviewed", name="Quality", better="lower")
    assert cube.explain(renamed, baseline=8, current=9).metric == renamed
    as_ratio = at.Ratio("correct", "reviewed")
    assert cube.explain(as_ratio, baseline=8, current=9).metric == as_ratio
    for unchecked in (at.Rate("seconds", "reviewed"), at.Ratio("reviewed", "seconds")):
        with pytest.raises(OptionError, match="the cube holds no sums for"):
            cube.explain(unchecked, baseline=8, current=9)


def test_a_mapping_swaps_levels_at_once(cube: Cube) -> None:
    swapped = cube.merge_levels("queue", {"live": "video", "video": "live"})
    assert swapped.levels == cube.levels
    assert swapped.provenance["mapping"] == {"queue": {"live": "video", "video": "live"}}
    a, b = cube.select(queue="live"), swapped.select(queue="video")
    for name, values in a.sums.items():
        np.testing.assert_array_equal(b.sums[name], values)


def test_operations_leave_the_cube_as_it_was(cube: Cube) -> None:
    before = cube.digest()
    cube.select(queue="live").rollup(["market"]).merge_levels("market", {"ID": "x"})
    cube.between(8, [9, 10])
    assert cube.digest() == before


# -- explaining -------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.label)
def test_explaining_a_cube_is_explaining_the_data(cube: Cube, metric: at.Rate | at.Ratio) -> None:
    options = {"baseline": 8, "current": [9, 10]}
    direct = at.explain(
        rows(), metric, ["queue", "market"], period="month",
        cluster=cube.clusters and "moderator", **options,
    )  # fmt: skip
    for asked in (metric, metric.label):
        change = cube.explain(asked, **options)
        assert change.total.change == pytest.approx(direct.total.change, rel=1e-12)
        pd.testing.assert_frame_equal(change.effects, direct.effects, rtol=1e-9, atol=1e-14)
    assert cube.explain(**options).metric == METRICS[0]


def test_several_metrics_share_their_sums() -> None:
    cube = cube_of()
    assert list(cube.sums).count("reviewed") == 1
    assert len(cube.sums) == len({
        moment for metric in METRICS for moment in metric.moments(weighted=False).values()
    })  # fmt: skip
    total = rows().groupby("month")["seconds"].sum().to_numpy()
    np.testing.assert_allclose(cube.metric_sums(METRICS[1], "numerator").sum(axis=1), total)


def test_repr_is_one_short_line() -> None:
    assert repr(cube_of("moderator")) == (
        "<Cube 3 periods x 12 segments of queue x market x 40 moderator, 400 rows, "
        "metrics: Accuracy, AHT, correct > 3>"
    )


# -- the digest -------------------------------------------------------------------------------


def test_the_digest_does_not_depend_on_row_order_or_threads(tmp_path: Path) -> None:
    many = rows(60_000)
    metric = at.Ratio("seconds - 60", "w")  # fractions that cancel: the hard case for sums
    digests = set()
    for seed, threads in ((0, 1), (1, 2), (2, 8)):
        path = tmp_path / f"rows{seed}.parquet"
        many.sample(frac=1, random_state=seed).to_parquet(path, row_group_size=5_000)
        connection = duckdb.connect(config={"threads": threads})
        cube = Cube.from_data(
            connection.from_parquet(str(path)), metric, ["queue", "market"], period="month",
            weight="w",
        )  # fmt: skip
        digests.add(cube.digest())
    assert len(digests) == 1


def test_the_digest_sees_every_count_and_label() -> None:
    base = cube_of()
    one_more = rows()
    one_more.loc[0, "reviewed"] += 1
    changed = [
        Cube.from_data(one_more, METRICS, ["queue", "market"], period="month"),
        base.merge_levels("queue", {"live": "Live"}),
        base.rollup(["market", "queue"]),
        base.between(8, 9),
    ]
    assert len({base.digest(), *(cube.digest() for cube in changed)}) == 5


# -- a file -----------------------------------------------------------------------------------


def test_a_saved_cube_comes_back_whole(tmp_path: Path) -> None:
    for cluster, weight in ((None, None), ("moderator", "w")):
        cube = cube_of(cluster, weight=weight, where="market != 'JP'").merge_levels(
            "queue", {"live": "Live"})  # fmt: skip
        cube.save(tmp_path / "saved.cube")
        again = Cube.load(str(tmp_path / "saved.cube"))
        for name in ("metrics", "dimensions", "levels", "periods", "weighted", "provenance",
                     "findings"):  # fmt: skip
            assert getattr(again, name) == getattr(cube, name), name
        assert again.findings[0]["code"] == "null_condition"
        assert again.digest() == cube.digest()
        np.testing.assert_array_equal(again.codes, cube.codes)
        for name, values in cube.sums.items():
            np.testing.assert_array_equal(again.sums[name], values)
        if cube.clusters is not None:
            assert again.clusters is not None
            assert again.clusters.names == ("moderator",)
            for name, values in cube.clusters.sums.items():
                np.testing.assert_array_equal(again.clusters.sums[name], values)
        for metric in METRICS:
            one, other = (c.explain(metric, baseline=8, current=9) for c in (cube, again))
            pd.testing.assert_frame_equal(one.effects, other.effects)


def test_a_saved_cube_holds_no_cluster_labels(tmp_path: Path) -> None:
    cube_of("moderator").save(tmp_path / "saved.cube")
    with zipfile.ZipFile(tmp_path / "saved.cube") as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    assert any(b"live" in content for content in contents)
    assert any(b"moderator" in content for content in contents)
    assert not any(b"mod-" in content for content in contents)


def test_the_same_cube_gives_the_same_bytes_and_replaces_a_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "saved.cube"
    cube_of("moderator").save(path)
    first = path.read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)
    cube_of("moderator").save(path)
    assert path.read_bytes() == first
    monkeypatch.setattr(np, "save", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cube_of().save(path)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_a_saved_cube_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "saved.cube"
    with pytest.raises(MissingFileError, match=r"cube: no file '.*saved\.cube'"):
        Cube.load(path)
    cube_of("moderator").save(path)
    whole = path.read_bytes()

    def refused(words: str) -> None:
        with pytest.raises(SourceError, match=words):
            Cube.load(path)

    def with_header(**changes) -> None:
        path.write_bytes(whole)
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        header = json.loads(parts["cube.json"]) | changes
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in (parts | {"cube.json": json.dumps(header).encode()}).items():
                archive.writestr(name, content)

    for content in (b"", b"not a cube", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        refused(r"saved\.cube' is not a saved cube")
    with_header(format=99)
    refused("has format 99; this version reads 1. Update kpi-attribution")
    with_header(metrics=[{"kind": "Os", "numerator": "x"}])
    refused("is not a saved cube")
    with_header(sums=["correct"] * 99)
    refused("is not a saved cube")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "x")
    refused("is not a saved cube")
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cube.json", "{}")
        archive.writestr("codes.npy", buffer.getvalue())
    refused("is not a saved cube")
    refused("allow_pickle=False")
