"""Quantiles: exact where they say so, Shapley on reweighted rows, noise from influence functions."""

from __future__ import annotations

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import ColumnTypeError, DataContractError, DataQualityWarning, OptionError
from attribution.gradient import Gradient
from attribution.infer import std_errors

ASK = {"period": "month", "baseline": "2026-08", "current": "2026-09"}
QUEUES = ["appeals", "chat", "video"]


def tickets(seed: int = 0, n: int = 600, queues: int = 3, shift: float = 0.15) -> pd.DataFrame:
    """Lognormal minutes: slower queues grow, the first one slows down; 40 moderators."""
    rng = np.random.default_rng(seed)
    names = [*QUEUES, *(f"q{i:02}" for i in range(3, queues))][:queues]
    frames = []
    for t, month in enumerate(("2026-08", "2026-09")):
        share = np.linspace(2 - t, 1 + t, queues)
        queue = rng.choice(queues, n + 100 * t, p=share / share.sum())
        moderator = rng.integers(0, 40, len(queue))
        log = 3 + 1.2 * queue / queues + shift * t * (queue == 0) + rng.normal(0, 0.5, len(queue))
        frame = pd.DataFrame({"month": month, "queue": np.array(names)[queue]})
        frame["site"] = np.where(moderator % 3 == 0, "north", "south")
        frame["moderator"], frame["minutes"] = moderator, np.exp(log + 0.1 * (moderator % 5))
        frame["weight"] = rng.integers(1, 4, len(queue)).astype(float)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def explained(data: pd.DataFrame, q: float = 0.9, by=("queue",), **more) -> at.Attribution:
    return at.explain(data, at.Quantile("minutes", q, unit="min"), list(by), **{**ASK, **more})


def brute_force(data: pd.DataFrame, q: float, weight: str | None = None) -> dict[str, float]:
    """Shapley values of mix and queues with numpy's weighted quantile of reweighted rows."""
    parts = [data[data["month"] == month] for month in ("2026-08", "2026-09")]
    parts = [p.assign(w=p[weight] if weight else 1.0) for p in parts]
    queues = sorted(data["queue"].unique())

    def value(coalition: set[str]) -> float:
        rows = []
        for queue in queues:
            shares = parts["mix" in coalition]
            share = shares.loc[shares["queue"] == queue, "w"].sum() / shares["w"].sum()
            own = parts[queue in coalition]
            own = own[own["queue"] == queue]
            rows.append(own.assign(w=own["w"] * share / own["w"].sum()))
        rows = pd.concat(rows)
        return float(
            np.quantile(rows["minutes"], q, weights=rows["w"], method="inverted_cdf")
        )  # fmt: skip

    players, found = ["mix", *queues], {}
    for player in players:
        rest, found[player] = [p for p in players if p != player], 0.0
        for size in range(len(players)):
            for others in itertools.combinations(rest, size):
                gain = value({*others, player}) - value(set(others))
                found[player] += gain / (len(players) * math.comb(len(players) - 1, size))
    return found


# -- what is exact -------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0.5137, 0.9041])
@pytest.mark.parametrize("weight", [None, "weight"])
def test_mix_and_queues_are_shapley_values_of_reweighted_rows(q: float, weight: str | None) -> None:
    data = tickets()
    change, wanted = explained(data, q, weight=weight), brute_force(data, q, weight)
    effects = change.effects.set_index("effect")["estimate"]
    assert effects["mix"] == pytest.approx(wanted["mix"], rel=1e-9)
    levels = change.levels("queue").set_index("segment")
    assert levels["rate"].to_dict() == pytest.approx({k: wanted[k] for k in QUEUES}, rel=1e-9)
    assert levels["mix"].sum() == pytest.approx(effects["mix"], rel=1e-12)
    assert change.segments()["rate"].sum() == pytest.approx(effects["rate"], rel=1e-12)


def test_the_quantile_is_the_smallest_value_with_enough_below() -> None:
    data = tickets()
    change = explained(data, 0.9)
    for value, (_, rows) in zip(
        (change.total.baseline, change.total.current), data.groupby("month"), strict=True
    ):
        assert value == np.quantile(rows["minutes"], 0.9, method="inverted_cdf")
    level = change.levels("queue").set_index("segment").loc["chat"]
    rows = data[(data["queue"] == "chat") & (data["month"] == "2026-08")]["minutes"]
    assert level["rate_baseline"] == np.quantile(rows, 0.9, method="inverted_cdf")
    assert level["rate_baseline_conf_low"] < level["rate_baseline"] < rows.max()


def test_weights_are_rows_counted_several_times() -> None:
    data = tickets(n=300)
    repeated = data.loc[data.index.repeat(data["weight"].astype(int))]
    weighted, plain = explained(data, 0.9041, weight="weight"), explained(repeated, 0.9041)
    pd.testing.assert_series_equal(weighted.effects["estimate"], plain.effects["estimate"])
    assert weighted.total.std_error > 1.1 * plain.total.std_error  # rows repeat, evidence does not


@pytest.mark.parametrize("queues", [3, 14, 120])
def test_bars_add_up_and_reversed_time_flips_them(queues: int) -> None:
    data, by = tickets(queues=queues, n=3000), ["queue", "site"]
    change = explained(data, by=by, rates="additive")
    back = explained(data, by=by, rates="additive", baseline="2026-09", current="2026-08")
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, rel=1e-12)
    np.testing.assert_allclose(back.effects["estimate"], -change.effects["estimate"], atol=1e-9)
    for dimension in by:
        levels = change.levels(dimension)
        mix = change.effects.set_index(["effect", "dimension"])["estimate"][("mix", dimension)]
        assert levels["mix"].sum() == pytest.approx(mix, abs=1e-9)
        rate = change.effects.set_index("effect")["estimate"]["rate"]
        assert levels["rate"].sum() == pytest.approx(rate, abs=1e-9)
    assert (change.cube.provenance["distribution"]["sampling_error"] > 0) == (queues > 3)


def test_order_and_names_change_nothing() -> None:
    data = tickets(queues=14, n=2000)
    renamed = data.sample(frac=1, random_state=1).replace({"queue": {"chat": "zz", "q05": "aa"}})
    there, here = explained(renamed, by=["site", "queue"]), explained(data, by=["queue", "site"])
    np.testing.assert_allclose(
        there.effects["estimate"].to_numpy()[[1, 0, 2, 3]], here.effects["estimate"], atol=1e-9
    )


def test_no_change_is_all_zero() -> None:
    data = tickets()
    first = data[data["month"] == "2026-08"]
    same = pd.concat([first, first.assign(month="2026-09")])
    change = explained(same, by=["queue", "site"])
    np.testing.assert_allclose(change.effects["estimate"], 0, atol=1e-9)


def test_a_margin_that_did_not_move_gets_nothing() -> None:
    data = tickets()
    first = data[data["month"] == "2026-08"]
    slower = first.assign(month="2026-09", minutes=first["minutes"] * 1.1)
    effects = explained(pd.concat([first, slower]), by=["queue", "site"]).effects
    assert effects["estimate"].round(9).tolist()[:3] == [0, 0, 0]
    assert effects["estimate"].iloc[3] > 0


def test_entering_and_leaving_levels_are_named_and_exact() -> None:
    data = tickets(queues=5, n=2000)
    gone = (data["month"] == "2026-09") & (data["queue"] == "chat")
    new = (data["month"] == "2026-08") & data["queue"].isin(["video", "q03"])
    kept = data[~gone & ~new]
    change = explained(kept)
    effects = change.effects.set_index(["effect", "segment"])["estimate"]
    assert effects.index.tolist()[-3:] == [("exit", "chat"), ("entry", "q03"), ("entry", "video")]
    stayed = kept[kept["queue"].isin(["appeals", "q04"])]
    quantiles = [
        stayed[stayed["month"] == m]["minutes"].quantile(0.9, interpolation="higher")
        for m in ("2026-08", "2026-09")
    ]
    assert effects["exit"].sum() == pytest.approx(quantiles[0] - change.total.baseline, abs=0.2)
    within = effects["mix"].sum() + effects["rate"].sum()
    assert within == pytest.approx(quantiles[1] - quantiles[0], abs=0.4)
    assert effects.sum() == pytest.approx(change.total.change, rel=1e-12)


# -- the sketch ----------------------------------------------------------------------------------


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is small: every table is counted in buckets."""
    monkeypatch.setattr("attribution.source.distributions.EXACT_ROWS", 0)


@pytest.mark.usefixtures("sketched")
def test_a_sketch_holds_the_quantile_in_its_bucket() -> None:
    data = tickets(n=3000)
    data["minutes"] -= 20  # negative values, too
    data.loc[::50, "minutes"] = 0.0
    for q in (0.02, 0.3, 0.9, 0.99):
        change = explained(data, q)
        for t, (_, rows) in enumerate(data.groupby("month")):
            truth = np.quantile(rows["minutes"], q, method="inverted_cdf")
            low, high = change.cube.provenance["distribution"]["bucket"][t]
            assert low <= truth <= high
            assert high - low <= 0.0401 * max(abs(low), abs(high))
            value = (change.total.baseline, change.total.current)[t]
            assert low <= value <= high
    finding = change.check().set_index("code").loc["quantile_sketch"]
    assert "lie in" in finding["message"]


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("unit", [1, 0.5])
def test_values_that_many_rows_share_are_exact_in_a_sketch(
    monkeypatch: pytest.MonkeyPatch, unit: float
) -> None:
    data = tickets(n=3000)
    data["minutes"] = data["minutes"].clip(upper=150 if unit == 1 else 25).round() * unit
    change = explained(data, 0.4137)
    monkeypatch.setattr("attribution.source.distributions.EXACT_ROWS", 50_000)
    exact = explained(data, 0.4137)
    pd.testing.assert_series_equal(change.effects["estimate"], exact.effects["estimate"])


@pytest.mark.usefixtures("sketched")
def test_sketches_add_up() -> None:
    data = tickets(n=2000, queues=4)
    data["half"] = data["month"] + np.where(data.index % 2, "a", "b")
    metric, by = at.Quantile("minutes", 0.9), ["queue", "site"]
    whole = at.Cube.from_data(data, metric, by, period="month", cluster="moderator")
    halves = at.Cube.from_data(data, metric, by, period="half", cluster="moderator")
    pooled = halves.pool({m: [f"{m}a", f"{m}b"] for m in ("2026-08", "2026-09")})
    months = {"baseline": "2026-08", "current": "2026-09"}
    assert pooled.explain(**months).effects.equals(whole.explain(**months).effects)
    rolled = whole.rollup(["queue"]).explain(**months)
    direct = explained(data, by=["queue"], cluster="moderator")
    np.testing.assert_allclose(rolled.effects["estimate"], direct.effects["estimate"], atol=1e-9)
    part = whole.explain(**months).within(site="north")
    alone = explained(data[data["site"] == "north"], by=["queue"], cluster="moderator")
    assert part.total.baseline == pytest.approx(alone.total.baseline, rel=0.01)
    merged = whole.merge_levels("queue", {"q03": "video"})
    assert merged.sketches["minutes"].weight.sum() == len(data)


@pytest.mark.usefixtures("sketched")
def test_a_saved_cube_answers_the_same(tmp_path) -> None:
    metric = at.Quantile("minutes", 0.9, name="P90", better="lower", unit="min")
    cube = at.Cube.from_data(tickets(), metric, ["queue"], period="month", weight="weight")
    cube.save(tmp_path / "p90.cube")
    loaded = at.Cube.load(tmp_path / "p90.cube")
    assert loaded.metrics == cube.metrics
    assert loaded.digest() == cube.digest()
    asked = [c.explain(baseline="2026-08", current="2026-09") for c in (cube, loaded)]
    assert asked[0] == asked[1] == pickle.loads(pickle.dumps(asked[0]))
    median = loaded.explain("quantile(minutes, 0.5)", baseline="2026-08", current="2026-09")
    assert median.metric.label == "p50 of minutes"
    other = tickets()
    other.loc[0, "minutes"] *= 2
    changed = at.Cube.from_data(other, metric, ["queue"], period="month", weight="weight")
    assert changed.digest() != cube.digest()


def test_every_engine_counts_the_same(tmp_path) -> None:
    import duckdb
    import polars as pl

    data = tickets()
    path = tmp_path / "tickets.parquet"
    data.to_parquet(path)
    told = [
        explained(source, by=["queue", "site"], cluster="moderator")
        for source in (data, pl.from_pandas(data), str(path), duckdb.from_df(data))
    ]
    assert all(other == told[0] for other in told[1:])


# -- noise ---------------------------------------------------------------------------------------


def test_the_interval_agrees_with_resampled_rows() -> None:
    data = tickets(n=1500)
    change = explained(data)
    rng, months = np.random.default_rng(1), [g["minutes"].to_numpy() for _, g in
                                             data.groupby("month")]  # fmt: skip
    draws = [
        np.diff([np.quantile(rng.choice(m, len(m)), 0.9) for m in months])[0] for _ in range(400)
    ]
    assert change.total.std_error == pytest.approx(np.std(draws), rel=0.25)
    clustered = explained(data, cluster="moderator")
    assert clustered.total.std_error > 0


def test_values_that_are_all_one_have_no_interval_and_say_why() -> None:
    data = tickets().assign(minutes=5.0)
    change = explained(data, by=["queue", "site"], cluster="moderator")
    assert (change.total.baseline, change.total.change) == (5.0, 0.0)
    assert np.isnan(change.total.std_error)
    assert "no_density" in change.check()["code"].tolist()
    assert "no density" in change.summary()
    np.testing.assert_allclose(change.effects["estimate"], 0, atol=1e-12)


def test_one_row_per_period_is_answered_without_an_interval() -> None:
    data = pd.DataFrame({"month": ["2026-08", "2026-09"], "queue": "a", "minutes": [3.0, 7.0]})
    change = explained(data)
    assert change.total.change == change.effects["estimate"].sum() == 4.0
    assert np.isnan(change.total.std_error)
    change.summary()


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    """Lognormal minutes with moderators that differ: the total's 95 % interval covers 95 %."""
    rng, covered, worlds = np.random.default_rng(5), 0, 900
    for _ in range(worlds):
        months = []
        pace = rng.normal(0, 0.3, 60)
        for month in ("2026-08", "2026-09"):
            moderator = rng.integers(0, 60, 3000)
            log = 3 + pace[moderator] + rng.normal(0, 0.1, 60)[moderator] + rng.normal(0, 0.7, 3000)
            months.append(
                pd.DataFrame({"month": month, "queue": "a", "moderator": moderator,
                              "minutes": np.exp(log)})
            )  # fmt: skip
        total = explained(pd.concat(months), cluster="moderator").total
        covered += total.conf_low <= 0 <= total.conf_high
    assert 0.917 < covered / worlds < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["moderator", None])
def test_intervals_of_mix_and_rate_cover_theirs(cluster: str | None) -> None:
    """Queues of different density at p90, shares that move: the noise of the density counts."""
    rng, found, worlds = np.random.default_rng(1), [], 300
    scale, spread = np.array([0.0, 0.5, 1.1]), np.array([0.5, 0.6, 0.8])
    for _ in range(worlds):
        months, pace = [], rng.normal(0, 0.3, 60)
        for month, shares in (("2026-08", [0.5, 0.3, 0.2]), ("2026-09", [0.35, 0.3, 0.35])):
            queue, moderator = rng.choice(3, 3000, p=shares), rng.integers(0, 60, 3000)
            log = 3 + scale[queue] + rng.normal(0, 1, 3000) * spread[queue]
            if cluster:
                log += pace[moderator] + rng.normal(0, 0.1, 60)[moderator]
            months.append(
                pd.DataFrame({"month": month, "queue": np.array(QUEUES)[queue],
                              "moderator": moderator, "minutes": np.exp(log)})
            )  # fmt: skip
        effects = explained(pd.concat(months), cluster=cluster, rates="saturated").effects
        found.append(effects.set_index("effect")[["estimate", "std_error"]].to_numpy().T)
    estimate, error = np.array(found).swapaxes(0, 1)
    covered = (np.abs(estimate - estimate.mean(axis=0)) < 1.96 * error).mean(axis=0)
    assert ((covered > 0.93) & (covered < 0.985)).all()
    ratio = error.mean(axis=0) / estimate.std(axis=0, ddof=1)
    assert ((ratio > 0.93) & (ratio < 1.15)).all()


@pytest.mark.parametrize("cluster", ["moderator", None])
def test_the_noise_of_place_and_density_leaves_the_total_as_it_is(cluster: str | None) -> None:
    change = explained(tickets(), cluster=cluster, rates="saturated")
    units, parts = change._evidence.units, change._parts
    plain = replace(units, ways=tuple(replace(way, shared=None) for way in units.ways))
    _, gradient = parts.total_change
    assert std_errors(gradient, units) == pytest.approx(std_errors(gradient, plain), rel=1e-9)
    assert std_errors(parts.scores, units)[0] > 1.05 * std_errors(parts.scores, plain)[0]
    each = np.eye(int(parts.turnover.stayed.sum()))
    many = Gradient.stack([parts.segments_gradient("mix", each)] * 40)
    way = units.ways[0]
    squares = np.einsum("gk,gk->k", *[way.dot(many)] * 2)
    assert way.squares(many) == pytest.approx(squares, rel=1e-9)


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0, 1, -0.1, 1.5, float("nan"), "0.9", True, None])
def test_q_is_a_number_between_0_and_1(q: object) -> None:
    with pytest.raises(OptionError, match="q: .* is not a number between 0 and 1"):
        at.Quantile("minutes", q)  # pyright: ignore[reportArgumentType]


def test_a_percentile_is_taken_for_what_it_is_meant_as() -> None:
    with pytest.raises(OptionError, match=r"Did you mean 0\.95\?"):
        at.Quantile("minutes", 95)


@pytest.mark.parametrize("text", ["quantile(minutes)", "quantile(0.9)", "quantile(minutes, high)"])
def test_a_text_form_that_is_no_quantile_says_how_to_write_one(text: str) -> None:
    with pytest.raises(OptionError, match=r"quantile\(minutes, 0\.9\)"):
        at.explain(tickets(), text, ["queue"], **ASK)


def test_text_forms() -> None:
    data = tickets()
    change = at.explain(data, "quantile(minutes / 60, 0.9)", ["queue"], **ASK)
    assert change.metric == at.Quantile("minutes / 60", 0.9)
    assert change.total.change == pytest.approx(explained(data).total.change / 60, rel=1e-9)


def test_a_text_column_and_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ColumnTypeError, match="'queue' is text"):
        at.explain(tickets(), at.Quantile("queue", 0.5), ["site"], **ASK)
    data = tickets()
    data.loc[3, "minutes"], data.loc[5, "minutes"] = np.inf, np.nan
    with pytest.raises(DataContractError, match=r"infinite values in 1 row \(3\)"):
        explained(data)
    with pytest.warns(DataQualityWarning, match="2 rows break"):
        change = explained(data, on_invalid="drop")
    assert change.total == explained(data.drop(index=[3, 5])).total


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"method": "threefold"}, "method: 'threefold'"),
        ({"inference": "bootstrap"}, "inference: a quantile"),
        ({"volume": pd.DataFrame()}, "volume: full counts"),
    ],
)
def test_what_a_quantile_cannot_be_asked_is_said(more: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        explained(tickets(), **more)
    change = explained(tickets(), cluster="moderator")
    for question in (change.compare_methods, change.pathways, change.permutation_test):
        with pytest.raises(OptionError, match=" a quantile "):
            question()


def test_the_past_of_a_quantile() -> None:
    frames = [tickets(seed).assign(month=lambda x, k=seed: x["month"].str.slice(0, 5) + f"0{k + 1}")
              for seed in range(9)]  # fmt: skip
    cube = at.Cube.from_data(pd.concat(frames), "quantile(minutes, 0.9)", ["queue"], period="month")
    change = cube.explain(baseline="2026-08", current="2026-09")
    assert change.context(cube).of == 7


def test_the_values_of_a_review_are_quantiles_too() -> None:
    from attribution.kinds import period_values

    data = tickets()
    for metric in (at.Quantile("minutes", 0.5), at.Mean("minutes")):
        cube = at.Cube.from_data(data, metric, ["queue"], period="month")
        rows = data.groupby("month")["minutes"]
        wanted = (
            rows.quantile(0.5, interpolation="lower") if metric.label[0] == "p" else rows.mean()
        )
        np.testing.assert_allclose(period_values(cube, metric), wanted)


# -- many periods --------------------------------------------------------------------------------


def months(n: int = 800) -> pd.DataFrame:
    """Four months in which minutes rise by a twentieth of the first each."""
    parts = [
        tickets(seed, n).query("month == '2026-08'").assign(month=f"2026-{seed + 1:02}")
        for seed in range(4)
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(
        minutes=frame["minutes"] * (0.95 + 0.05 * frame["month"].str[-1:].astype(int))
    )


@pytest.mark.parametrize("cluster", ["moderator", None])
def test_a_trend_of_a_quantile_adds_up_and_its_steps_are_bridges(cluster) -> None:
    data, metric = months(), at.Quantile("minutes", 0.9)
    asked = {"period": "month", "cluster": cluster}
    found = at.trend(data, metric, ["queue", "site"], **asked)
    assert found.effects["estimate"].sum() == pytest.approx(found.total.change, rel=1e-12)
    assert found.summed["estimate"].sum() == pytest.approx(found.total.change, rel=1e-12)
    values = [
        np.quantile(x["minutes"], 0.9, method="inverted_cdf") for _, x in data.groupby("month")
    ]
    np.testing.assert_allclose(found.frame["value"], values, rtol=1e-12)
    two = at.explain(data, metric, ["queue", "site"], **asked, baseline="2026-02",
                     current="2026-03")  # fmt: skip
    pd.testing.assert_frame_equal(found.steps["2026-03"].effects, two.effects)
    assert found.frame["change_std_error"].iloc[2] == pytest.approx(two.total.std_error, rel=1e-12)
    assert "quantile_sums" in set(found.check()["code"])
    # One step from first to last knows what explain knows, but for the noise of the density.
    direct = at.trend(data, metric, ["queue", "site"], **asked, path="end-to-end")
    alone = direct.end_to_end.effects.set_index(["effect", "dimension"])["std_error"]
    joint = direct.summed.set_index(["effect", "dimension"])["std_error"]
    assert joint["rate"].iloc[0] == pytest.approx(alone["rate"].iloc[0], rel=0.1)
    assert direct.total.std_error == pytest.approx(direct.end_to_end.total.std_error, rel=0.05)


@pytest.mark.parametrize("asked", [{}, {"window": 2}, {"window": 2, "cluster": "moderator"}])
def test_a_trend_of_a_quantile_without_density_has_no_intervals(asked) -> None:
    data = months(60).assign(minutes=5.0)
    found = at.trend(data, at.Quantile("minutes", 0.9), "queue", period="month", **asked)
    assert found.frame["std_error"].isna().all()
    assert found.summed["std_error"].isna().all()


WINDOWS = ["2026-01 to 2026-02", "2026-02 to 2026-03", "2026-03 to 2026-04"]


@pytest.mark.parametrize("weight", [None, "heft"])
@pytest.mark.parametrize("cluster", ["moderator", None])
def test_rolling_windows_of_a_quantile_are_those_of_the_pooled_rows(cluster, weight) -> None:
    data, metric = months(800), at.Quantile("minutes", 0.9)
    data["heft"] = 1.0 + (np.arange(len(data)) % 3)
    asked = {"by": ["queue", "site"], "period": "month", "cluster": cluster, "weight": weight}
    found = at.trend(data, metric, **asked, window=2)
    assert list(found.cube.periods) == WINDOWS
    assert found.summed["estimate"].sum() == pytest.approx(found.total.change, rel=1e-12)
    for label, value in zip(WINDOWS, found.frame["value"], strict=True):
        own = data[data["month"].isin(label.split(" to "))]
        heft = None if weight is None else own["heft"]
        wanted = np.quantile(own["minutes"], 0.9, method="inverted_cdf", weights=heft)
        assert value == pytest.approx(wanted, rel=1e-12)
    # Windows that do not overlap are pooled periods, with all that explain knows of them.
    apart = at.trend(data, metric, **asked, window=2, lag=2).steps[WINDOWS[2]]
    two = at.explain(data, metric, **asked, baseline=["2026-01", "2026-02"],
                     current=["2026-03", "2026-04"])  # fmt: skip
    np.testing.assert_allclose(apart.effects["estimate"], two.effects["estimate"], atol=1e-11)
    assert apart.total.std_error == pytest.approx(two.total.std_error, rel=2e-3)
    near = 1e-9 if cluster else 0.1
    rate = [x.effects.set_index("effect")["std_error"]["rate"] for x in (apart, two)]
    assert rate[0] == pytest.approx(rate[1], rel=near)


def test_rows_that_windows_share_are_one_row_with_an_id_of_their_own_or_without() -> None:
    data, metric = months(500).reset_index(names="row"), at.Quantile("minutes", 0.9)
    asked = {"by": ["queue"], "period": "month", "window": 2}
    plain = at.trend(data, metric, **asked)
    by_row = at.trend(data, metric, **asked, cluster="row")
    for column in ("std_error", "change_std_error"):
        np.testing.assert_allclose(plain.frame[column], by_row.frame[column], rtol=3e-3)
    np.testing.assert_allclose(plain.summed["std_error"], by_row.summed["std_error"], rtol=3e-3)
    # Rows of both windows cancel in their change: it is surer than that of windows apart.
    levels = plain.frame["std_error"]
    apart = np.hypot(levels, levels.shift())
    assert (plain.frame["change_std_error"][1:] < 0.85 * apart[1:]).all()
    message = plain.check().set_index("code")["message"]["quantile_sums"]
    assert "those of each change too" in message


@pytest.mark.slow
def test_the_noise_of_a_quantile_over_time_is_that_of_resampled_moderators() -> None:
    data, metric = months(1500), at.Quantile("minutes", 0.9)
    asked = {"by": ["queue"], "period": "month"}
    found = at.trend(data, metric, **asked, cluster="moderator")
    rng, own = np.random.default_rng(0), dict(iter(data.groupby("moderator")))
    draws = []
    for _ in range(200):
        drawn = pd.concat([own[k] for k in rng.integers(0, 40, 40)])
        again = at.trend(drawn, metric, **asked)
        draws.append([again.total.change, *again.summed["estimate"], *again.frame["value"]])
    ours = [found.total.std_error, *found.summed["std_error"], *found.frame["std_error"]]
    ratio = np.array(ours) / np.std(draws, axis=0)
    assert (ratio > 0.75).all()
    assert (ratio < 1.35).all()
