"""at.scorecard: entities compared at the work each of them had."""

from __future__ import annotations

import pickle
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import openpyxl
import pandas as pd
import pytest

import attribution as at
from attribution.errors import (
    ColumnNotFoundError,
    DataContractError,
    DataQualityWarning,
    IdentificationError,
    OptionError,
)
from attribution.reports.sections import sections_of

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
COLUMNS = [
    *("entity", "n", "observed", "expected", "ratio", "adjusted", "std_error"),
    *("conf_low", "conf_high", "limit_low_95", "limit_high_95", "limit_low_998"),
    *("limit_high_998", "shrunk", "rank_low", "rank_high", "target", "completion", "status"),
]
NUMBERS = [c for c in COLUMNS if c not in ("entity", "status", "target", "completion")]


def reviews(seed=0, sites=8, moderators=12, n=60, bad=0.0, months=("2026-08", "2026-09")):
    """Moderators of sites with unlike work; the first site is worse by `bad`."""
    rng, rows = np.random.default_rng(seed), []
    queues, level = ["ads", "live", "spam"], {"ads": 0.95, "live": 0.90, "spam": 0.85}
    for s in range(sites):
        share = rng.dirichlet([3, 3, 3])
        for m in range(moderators):
            for month in months:
                for queue, k in zip(queues, rng.multinomial(n, share), strict=True):
                    p = level[queue] - (bad if s == 0 else 0)
                    rows.append((month, f"S{s}", f"m{s}-{m}", queue, k, rng.binomial(k, p)))
    return pd.DataFrame(rows, columns=["month", "site", "moderator_id", "queue", "n", "ok"])


def by_hand(frame, entity, cells):
    """Leave-one-out indirect standardization in pandas."""
    x = frame.groupby([entity, *cells])[["n", "ok"]].sum().reset_index()
    x = x[x.n > 0]
    total = (
        x.groupby(cells)[["n", "ok"]].transform("sum")
        if cells
        else x[["n", "ok"]] * 0 + x[["n", "ok"]].sum()
    )
    x["E"] = x.n * (total.ok - x.ok) / (total.n - x.n)
    return x.groupby(entity)[["n", "ok", "E"]].sum()


@pytest.mark.parametrize("cells", [[], ["queue"], ["queue", "month"]])
@pytest.mark.parametrize("cluster", [None, "moderator_id"])
def test_the_columns_and_their_arithmetic(cells, cluster):
    data = reviews()
    card = at.scorecard(data, "ok / n", "site", adjust_for=cells, cluster=cluster, target=0.9)
    frame, wanted = card.frame, by_hand(data, "site", cells)
    assert list(frame.columns[: len(COLUMNS)]) == COLUMNS
    assert frame["entity"].tolist() == wanted.index.tolist()
    assert frame["n"].tolist() == wanted["n"].tolist()
    assert frame["observed"].to_numpy() == pytest.approx(wanted["ok"].to_numpy())
    assert frame["expected"].to_numpy() == pytest.approx(wanted["E"].to_numpy())
    assert frame["ratio"].to_numpy() == pytest.approx((wanted.ok / wanted.E).to_numpy())
    overall = data.ok.sum() / data.n.sum()
    assert card.overall == pytest.approx(overall)
    adjusted = overall + (wanted.ok - wanted.E) / wanted.n if cells else wanted.ok / wanted.n
    from_columns = frame.reference + (frame.observed - frame.expected) / frame.n
    assert frame["adjusted"].to_numpy() == pytest.approx(from_columns.to_numpy())
    assert frame["adjusted"].to_numpy() == pytest.approx(adjusted.to_numpy())
    assert np.isfinite(frame[NUMBERS].astype(float)).all(axis=None)
    inner = frame["limit_low_95"].gt(frame["limit_low_998"]) & frame["limit_high_95"].lt(
        frame["limit_high_998"]
    )
    assert inner.all()
    assert (frame["rank_low"] <= frame["rank_high"]).all()
    assert set(frame["status"]) <= {"met", "missed", "not distinguishable"}


def test_success_and_failure_mirror_each_other():
    data = reviews().assign(bad=lambda x: x.n - x.ok)
    up = at.scorecard(data, at.Rate("ok", "n"), "site", adjust_for="queue", target=0.9).frame
    down = at.scorecard(
        data, at.Rate("bad", "n", better="lower"), "site", adjust_for="queue", target=0.1
    ).frame
    for one, other in [
        ("adjusted", "adjusted"),
        ("conf_low", "conf_high"),
        ("limit_low_95", "limit_high_95"),
        ("limit_high_998", "limit_low_998"),
        ("shrunk", "shrunk"),
    ]:
        assert up[one].to_numpy() == pytest.approx(1 - down[other].to_numpy(), abs=1e-9)
    for same in ("status", "rank_low", "rank_high", "signal"):
        assert up[same].tolist() == down[same].tolist()


def test_splitting_a_cell_in_halves_of_equal_rates_changes_nothing():
    data = reviews()
    halves = pd.concat([data.assign(half=h, n=data.n * 2, ok=data.ok * 2) for h in "ab"])
    whole = at.scorecard(
        data.assign(n=data.n * 4, ok=data.ok * 4), "ok / n", "site", adjust_for="queue"
    )
    split = at.scorecard(halves, "ok / n", "site", adjust_for=["queue", "half"])
    names = ["observed", "expected", "adjusted"]
    assert split.frame[names].to_numpy() == pytest.approx(whole.frame[names].to_numpy())


def test_a_worse_site_is_found_and_shrinks_less_than_a_small_one():
    data = reviews(bad=0.06, n=80)
    card = at.scorecard(data, "ok / n", "site", adjust_for="queue", cluster="moderator_id")
    frame = card.frame.set_index("entity")
    assert frame.loc["S0", "signal"].startswith("worse")
    assert (frame["signal"] == "as expected").sum() >= 6
    assert "S0" in card.message
    assert frame.loc["S0", "rank_low"] > 1
    gap = (frame["shrunk"] - card.overall) / (frame["adjusted"] - card.overall)
    assert gap["S0"] < 1


def test_status_comes_from_the_interval():
    data = reviews(n=120)
    plain = at.scorecard(data, "ok / n", "site", adjust_for="queue").frame
    low, high = plain["conf_low"], plain["conf_high"]
    target = {
        "S0": low[0] - 0.001,
        "S1": high[1] + 0.001,
        "S2": (low[2] + high[2]) / 2,
        "S9": 0.9,
    }
    card = at.scorecard(data, "ok / n", "site", adjust_for="queue", target=target)
    status = card.frame.set_index("entity")["status"]
    assert status[["S0", "S1", "S2", "S3", "S9"]].tolist() == [
        "met",
        "missed",
        "not distinguishable",
        "no target",
        "no data",
    ]
    codes = set(card.check()["code"])
    assert {"target_without_data", "data_without_target"} <= codes
    text = str(card) + card._repr_html_()
    assert "nan" not in text.lower()
    assert "inf" not in text.lower().replace("info", "")


def test_completion_is_oriented_and_never_infinite():
    data = reviews()
    up = at.scorecard(data, "ok / n", "site", target=0.9).frame
    assert up["completion"].to_numpy() == pytest.approx((up.adjusted / 0.9).to_numpy())
    data["bad"] = data.n - data.ok
    lower = at.Rate("bad", "n", better="lower")
    down = at.scorecard(data, lower, "site", target=0.1).frame
    assert down["completion"].to_numpy() == pytest.approx((0.1 / down.adjusted).to_numpy())
    zero = at.scorecard(data, lower, "site", target=0.0)
    assert zero.frame["completion"].isna().all()
    assert "n/a" in str(zero)


def test_few_rows_are_neither_judged_nor_ranked():
    data = pd.concat(
        [
            reviews(),
            pd.DataFrame([("2026-09", "tiny", "x", "ads", 20, 20)], columns=reviews().columns),
        ]
    )
    frame = at.scorecard(data, "ok / n", "site", adjust_for="queue", target=0.5).frame
    tiny = frame.set_index("entity").loc["tiny"]
    assert tiny["status"] == tiny["signal"] == "too few"
    assert frame.set_index("entity").loc[["tiny"], ["rank_low", "rank_high"]].isna().all(axis=None)
    # The ranks of the others count only those who are ranked.
    assert frame["rank_high"].max() <= 8
    assert frame["rank_low"].notna().sum() == 8
    assert np.isfinite([tiny[c] for c in ("adjusted", "std_error", "shrunk")]).all()
    assert tiny["std_error"] > 0
    lenient = at.scorecard(data, "ok / n", "site", adjust_for="queue", target=0.5, min_n=20).frame
    assert lenient.set_index("entity").loc["tiny", "status"] == "met"


@pytest.mark.parametrize("target", [None, 0.9, {"S1": 0.9}])
@pytest.mark.parametrize("cells", [[], ["queue"]])
def test_an_entity_with_a_denominator_of_zero_is_a_row_without_data(target, cells, tmp_path):
    data = reviews()
    data.loc[data.site == "S0", ["n", "ok"]] = 0
    card = at.scorecard(data, "ok / n", "site", adjust_for=cells, target=target)
    row = card.frame.set_index("entity").loc["S0"]
    assert (row["status"], row["signal"], row["n"]) == ("no data", "n/a", 0)
    assert row[[c for c in NUMBERS if c != "n"]].isna().all()
    without = at.scorecard(
        data[data.site != "S0"], "ok / n", "site", adjust_for=cells, target=target
    )
    rest = card.frame.query("entity != 'S0'").reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, without.frame, check_dtype=False)
    found = card.check().set_index("code")
    assert found.loc["no_data", "facts"] == {"entities": ["S0"]}
    assert "target_without_data" not in found.index
    assert "S0" in card.summary()
    assert "S0" in card._repr_html_()
    assert "S0" in card.to_html(tmp_path / "card.html").read_text(encoding="utf-8")
    card.to_excel(tmp_path / "card.xlsx")
    book = openpyxl.load_workbook(tmp_path / "card.xlsx")
    try:
        cells_of = {c.value for sheet in book for line in sheet.iter_rows() for c in line}
    finally:
        book.close()
    assert {"S0", "no data"} <= cells_of if target is not None else "S0" in cells_of


def test_who_did_nothing_this_month_is_there_and_who_left_long_ago_is_not():
    data = reviews(months=("2026-07", "2026-08", "2026-09"))
    gone = data[~((data.site == "S0") & (data.month > "2026-08"))]
    gone = gone[~((gone.site == "S1") & (gone.month > "2026-07"))]
    card = at.scorecard(gone, "ok / n", "site", period="month")
    status = card.frame.set_index("entity")["status"]
    assert status["S0"] == "no data"
    assert "S1" not in status
    # A composite card tells of an entity that has none of its KPIs.
    data.loc[data.site == "S0", ["n", "ok"]] = 0
    two = [at.Rate("ok", "n", name="good"), at.Rate("n - ok", "n", name="bad", better="lower")]
    both = at.composite_scorecard(data, two, "site", targets={"good": 0.9, "bad": 0.1})
    row = both.frame.set_index("entity").loc["S0"]
    assert row["missing"] == 2
    assert np.isnan(row["score"])
    assert "S0" in both.summary()


@pytest.mark.parametrize("cells", [[], ["queue"]])
@pytest.mark.parametrize("cluster", [None, "moderator_id"])
@pytest.mark.parametrize("overdispersion", ["multiplicative", "additive"])
@pytest.mark.parametrize("p", [0.0, 0.0005, 0.5, 0.998, 1.0])
def test_bounds_of_a_rate_are_rates(p, cells, cluster, overdispersion):
    rng, data = np.random.default_rng(1), reviews(n=100)
    data["ok"] = rng.binomial(data.n, p)
    small = data[data.site == "S1"].head(9).assign(site="small", n=5, ok=5 * round(p))
    data = pd.concat([data, small])
    card = at.scorecard(
        data, "ok / n", "site", adjust_for=cells, cluster=cluster, overdispersion=overdispersion
    )
    frame = card.frame
    bounds = [c for c in frame.columns if c.startswith(("conf_", "limit_"))]
    least, most = np.minimum(frame["adjusted"], 0), np.maximum(frame["adjusted"], 1)
    for name in bounds:
        assert frame[name].between(least - 1e-12, most + 1e-12).all(), name
    assert (frame["conf_low"] <= frame["adjusted"]).all()
    assert (frame["conf_high"] >= frame["adjusted"]).all()
    assert frame["ratio"].isna().tolist() == (frame["expected"] == 0).tolist()
    if p in (0, 1):
        # None of n: at least what Clopper and Pearson's one-sided rule of three says.
        width = (frame["conf_high"] - frame["conf_low"]).to_numpy()
        assert (width >= 1 - 0.05 ** (1 / frame["n"].to_numpy())).all()
        assert (width <= 8 / frame["n"].to_numpy()).all() or cluster


@pytest.mark.parametrize("p", [0.9, 0.99])
def test_intervals_of_clustered_rates_cover(p):
    """Sites of few moderators who differ: t intervals of a rate this high cover too seldom."""
    rng, found, collapsed = np.random.default_rng(3), [], 0
    for _ in range(60):
        moderators = pd.DataFrame({"site": np.repeat([f"S{i}" for i in range(20)], 8)})
        moderators["m"] = np.arange(len(moderators))
        own = rng.beta(p * 60, (1 - p) * 60, len(moderators))
        moderators["n"] = 25
        moderators["ok"] = rng.binomial(25, own)
        frame = at.scorecard(moderators, "ok / n", "site", cluster="m").frame
        found.append(((frame["conf_low"] <= p) & (p <= frame["conf_high"])).mean())
        collapsed += int((frame["conf_low"] == frame["conf_high"]).sum())
    assert collapsed == 0
    assert np.mean(found) > 0.94


def test_clusters_on_both_sides_keep_the_noise_of_the_expectation():
    """An entity without errors, whose moderators all work for the others as well."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"m": np.tile(np.arange(40), 6), "site": np.repeat(list("ABCDEF"), 40)})
    data["n"], data["bad"] = 50, rng.binomial(50, 0.05, len(data))
    data.loc[data.site == "A", "bad"] = 0
    error = at.Rate("bad", "n", better="lower")
    rows = at.scorecard(data, error, "site").frame.iloc[0]
    shared = at.scorecard(data, error, "site", cluster="m").frame.iloc[0]
    apart = data.assign(m=data.site + data.m.astype(str))
    others = at.scorecard(apart, error, "site", cluster="m").frame.iloc[0]
    for frame in (rows, others):
        assert shared["conf_high"] == pytest.approx(frame["conf_high"], rel=0.25)


def test_one_moderator_is_no_site():
    data = reviews()
    data.loc[data.site == "S0", "moderator_id"] = "only"
    card = at.scorecard(
        data, "ok / n", "site", adjust_for="queue", cluster="moderator_id", target=0.9
    )
    row = card.frame.set_index("entity").loc["S0"]
    assert row["status"] == "too few"
    assert np.isfinite(row["std_error"])
    assert "borrowed_noise" in set(card.check()["code"])


def test_an_entity_alone_in_its_cells_has_no_reference():
    data = reviews()
    alone = data.assign(queue=data.queue.where(data.site != "S0", "own queue"))
    card = at.scorecard(alone, "ok / n", "site", adjust_for="queue", target=0.9)
    row = card.frame.set_index("entity").loc["S0"]
    assert row["status"] == "no reference"
    assert row["compared"] == 0
    assert pd.isna(row["adjusted"])
    assert "nan" not in str(card).lower()
    assert "no_reference" in set(card.check()["code"])
    # The others are as if it were not there, but for the KPI of all.
    rest = at.scorecard(alone[alone.site != "S0"], "ok / n", "site", adjust_for="queue", target=0.9)
    names = ["observed", "expected", "ratio", "std_error"]
    others = card.frame.set_index("entity").drop("S0")[names]
    assert others.to_numpy() == pytest.approx(rest.frame[names].to_numpy())


def test_partly_alone_is_compared_where_it_can_be():
    data = reviews()
    extra = data[data.site == "S0"].assign(queue="own queue")
    plain = at.scorecard(data, "ok / n", "site", adjust_for="queue")
    card = at.scorecard(pd.concat([data, extra]), "ok / n", "site", adjust_for="queue")
    row, before = (c.frame.set_index("entity").loc["S0"] for c in (card, plain))
    assert row["compared"] == pytest.approx(0.5)
    assert row["observed"] == before["observed"]
    assert row["adjusted"] - card.overall == pytest.approx(before["adjusted"] - plain.overall)
    assert "partly_compared" in set(card.check()["code"])


def test_nothing_to_compare_with_is_an_error():
    data = reviews()
    with pytest.raises(IdentificationError, match="'S0': none has another"):
        at.scorecard(data[data.site == "S0"], "ok / n", "site", adjust_for="queue")


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ({"S0": 95}, OptionError, "95 for 'S0' is above 100 %.*0.95 is 95 %"),
        ({"S0": float("nan")}, OptionError, "not a number"),
        ({"S0": -0.1}, OptionError, "negative"),
        ("high", Exception, "target"),
        (
            pd.DataFrame({"site": ["S0", "S0"], "target": [0.9, 0.95]}),
            DataContractError,
            "more than one target: 'S0'",
        ),
        (
            pd.DataFrame({"sites": ["S0"], "target": [0.9]}),
            ColumnNotFoundError,
            "Did you mean 'sites'",
        ),
        ({("S0", "ads"): 0.9}, TypeError, "should name 1 level"),
    ],
)
def test_targets_that_cannot_be(target, error, words):
    with pytest.raises(error, match=words):
        at.scorecard(reviews(), "ok / n", "site", target=target)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"adjust_for": "site"}, OptionError, "adjust_for: 'site' tells the entities"),
        (
            {"adjust_for": "quue"},
            ColumnNotFoundError,
            "adjust_for: no column 'quue'. Did you mean 'queue'",
        ),
        ({"overdispersion": "phi"}, OptionError, "overdispersion: 'phi' is not one of"),
        ({"min_n": 0}, OptionError, "min_n"),
        ({"conf_level": 95}, OptionError, "conf_level"),
        ({"current": "2026-09"}, OptionError, "current: needs period="),
        ({"period": "month", "current": "2026-10"}, ValueError, "no period '2026-10'"),
    ],
)
def test_options_that_cannot_be(options, error, words):
    with pytest.raises(error, match=words):
        at.scorecard(reviews(), "ok / n", "site", **options)
    with pytest.raises(ColumnNotFoundError, match="entity: no column 'sit'. Did you mean 'site'"):
        at.scorecard(reviews(), "ok / n", "sit")


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (at.Ratio("ok", "n", volume="n"), "whose mix is that of 'n'.*Leave volume= out"),
        (at.Quantile("n", 0.9, better="lower"), "quantiles.*at.Rate..n > 60., better=.lower"),
        ("total(ok)", "grows with the size of a segment.*at.Ratio..ok., .decisions."),
        ("kappa", "neither rate nor ratio nor mean.*Judge the rates"),
    ],
)
def test_a_kpi_without_a_common_level_is_refused_before_the_scan(metric, words):
    nothing_of_it = pd.DataFrame({"site": ["A", "B"]})
    for call in (
        lambda: at.scorecard(nothing_of_it, metric, "site"),
        lambda: at.targets.plan(nothing_of_it, metric, "site", overall=0.9),
        lambda: at.targets.completion(nothing_of_it, {"A": 0.9}, metric, "site"),
        lambda: at.targets.whatif(nothing_of_it, metric, "site", scale={"A": 2}),
    ):
        with pytest.raises(OptionError, match=words):
            call()


def test_those_who_are_judged_stand_above_those_who_are_too_few():
    data = reviews()
    few = pd.DataFrame(
        [("2026-09", f"tiny {i}", "x", "ads", 20, 0) for i in range(3)], columns=data.columns
    )
    card = at.scorecard(pd.concat([data, few]), "ok / n", "site", adjust_for="queue")
    rows = card.display_rows()[1:]
    assert [row[0].startswith("tiny") for row in rows] == [False] * 8 + [True] * 3
    assert {row[7] for row in rows[-3:]} == {"n/a"}
    nobody = at.scorecard(few, "ok / n", "site")
    assert nobody.message == "ok / n: none of 3 sites has the 30 rows that it takes to be judged"


def test_all_right_is_never_outside_the_limits_of_a_few_rows():
    """30 of 30 at 95 % happens to one in five; sizes that are not quite whole must allow it."""
    data = pd.DataFrame({"site": list("ABCDEF"), "n": [30] + [600] * 5, "ok": [30] + [570] * 5})
    card = at.scorecard(data, "ok / n", "site", adjust_for=[])
    row = card.frame.set_index("entity").loc["A"]
    assert row["limit_high_95"] == pytest.approx(1.0, abs=1e-3)
    assert row["signal"] == "as expected"


def test_adjusted_rates_beyond_all_are_said():
    """Everything right in work that others get wrong in half of the cases."""
    rows = [(f"S{i}", "hard", 100, 50) for i in range(6)] + [
        (f"S{i}", "easy", 900, 880) for i in range(6)
    ]
    data = pd.DataFrame([*rows, ("best", "hard", 200, 199)], columns=["site", "queue", "n", "ok"])
    card = at.scorecard(data, "ok / n", "site", adjust_for="queue")
    assert card.frame.set_index("entity").loc["best", "adjusted"] > 1
    assert card.display_rows()[1][0] == "best"
    assert "beyond_bounds" in set(card.check()["code"])
    plain = at.scorecard(data, "ok / n", "site")
    assert "beyond_bounds" not in set(plain.check()["code"])


def test_a_kpi_that_never_varies_is_known_for_certain():
    data = reviews().assign(seconds=lambda x: 50.0 * x.n)
    card = at.scorecard(data, at.Ratio("seconds", "n"), "site", adjust_for="queue", target=50)
    frame = card.frame
    assert np.isfinite(frame[NUMBERS].astype(float)).all(axis=None)
    assert frame["shrunk"].to_numpy() == pytest.approx(np.full(8, 50.0))
    assert "nan" not in str(card).lower()


def test_several_columns_tell_the_entities():
    card = at.scorecard(reviews(), "ok / n", ["site", "queue"], target={("S0", "ads"): 0.9})
    assert card.frame.loc[0, ["entity", "site", "queue"]].tolist() == ["S0 × ads", "S0", "ads"]
    assert card.frame["status"].iloc[0] != "no target"
    assert len(card.frame) == 24


def test_a_moderator_as_entity_is_not_its_own_cluster():
    data = reviews()
    one = at.scorecard(data, "ok / n", "moderator_id", adjust_for="queue", cluster="moderator_id")
    other = at.scorecard(data, "ok / n", "moderator_id", adjust_for="queue")
    pd.testing.assert_frame_equal(one.frame, other.frame)


@pytest.mark.parametrize("overdispersion", ["multiplicative", "additive", None])
def test_limits_widen_with_overdispersion(overdispersion):
    rng = np.random.default_rng(5)
    data = reviews(sites=20)
    shift = pd.Series(rng.normal(0, 0.05, 20), index=[f"S{i}" for i in range(20)])
    data["ok"] = rng.binomial(data.n, np.clip(0.9 + data.site.map(shift), 0, 1))
    card = at.scorecard(data, "ok / n", "site", adjust_for="queue", overdispersion=overdispersion)
    assert card.phi > 3
    width = (card.frame["limit_high_95"] - card.frame["limit_low_95"]).mean()
    plain = at.scorecard(data, "ok / n", "site", adjust_for="queue", overdispersion=None).frame
    raw = (plain["limit_high_95"] - plain["limit_low_95"]).mean()
    wanted = {"multiplicative": np.sqrt(card.phi), None: 1.0}
    if overdispersion in wanted:
        assert width / raw == pytest.approx(wanted[overdispersion])
    else:
        assert width > 1.5 * raw
    assert "overdispersion" in set(card.check()["code"])


@pytest.mark.parametrize("cluster", [None, "moderator_id"])
def test_ratio_and_mean(cluster):
    rng = np.random.default_rng(6)
    data = reviews(n=4, moderators=30)
    data = data[data.n > 0].assign(seconds=lambda x: x.n * rng.gamma(4, 10, len(x)))
    ratio = at.Ratio("seconds", "n", name="AHT", better="lower", unit="s")
    card = at.scorecard(data, ratio, "site", adjust_for="queue", cluster=cluster, target=40)
    frame = card.frame
    assert frame["reference"].to_numpy() == pytest.approx(np.full(8, card.overall))
    difference = (frame.observed - frame.expected) / data.groupby("site").n.sum().to_numpy()
    assert frame["adjusted"].to_numpy() == pytest.approx((card.overall + difference).to_numpy())
    assert np.isfinite(frame[NUMBERS].astype(float)).all(axis=None)
    best = frame.loc[frame["adjusted"].idxmin()]
    assert best["rank_low"] == 1
    mean = at.scorecard(data, at.Mean("seconds"), "site", adjust_for="queue", cluster=cluster).frame
    assert np.isfinite(mean[NUMBERS].astype(float)).all(axis=None)


def test_change_of_an_entity_is_its_attribution_and_adds_up():
    data = reviews()
    card = at.scorecard(
        data, "ok / n", "site", adjust_for="queue", cluster="moderator_id", period="month"
    )
    assert (card.baseline, card.current) == (("2026-08",), ("2026-09",))
    september = by_hand(data[data.month == "2026-09"], "site", ["queue"])
    assert card.frame["expected"].to_numpy() == pytest.approx(september["E"].to_numpy())
    change = card.change("S3")
    wanted = at.explain(
        data[data.site == "S3"],
        "ok / n",
        by="queue",
        period="month",
        baseline="2026-08",
        current="2026-09",
        cluster="moderator_id",
    )
    assert change.effects["estimate"].tolist() == pytest.approx(wanted.effects["estimate"].tolist())
    assert change.effects["std_error"].tolist() == pytest.approx(
        wanted.effects["std_error"].tolist()
    )
    frame = card.changes()
    parts = frame[["mix", "performance", "turnover"]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx(frame["change"].to_numpy(), abs=1e-12)
    row = frame.set_index("entity").loc["S3"]
    rate = wanted.effects.set_index("effect").loc["rate"]
    assert row["performance_std_error"] == pytest.approx(rate["std_error"])


def test_two_entities_compared_are_the_two_groups_explained():
    data = reviews()
    card = at.scorecard(data, "ok / n", "site", adjust_for="queue", cluster="moderator_id")
    found = card.compare("S1", "S2")
    wanted = at.explain(
        data,
        "ok / n",
        by="queue",
        period="site",
        baseline="S1",
        current="S2",
        cluster="moderator_id",
    )
    for column in ("estimate", "std_error", "conf_low"):
        assert found.effects[column].tolist() == pytest.approx(wanted.effects[column].tolist())
    with pytest.raises(OptionError, match="no 'S99'"):
        card.compare("S1", "S99")


def test_over_time_scores_every_period_by_itself():
    data = reviews(months=("2026-07", "2026-08", "2026-09"))
    whole = at.scorecard(data, "ok / n", "site", adjust_for="queue", period="month", target=0.9)
    frame = whole.over_time()
    assert frame["period"].unique().tolist() == ["2026-07", "2026-08", "2026-09"]
    last = frame[frame["period"] == "2026-09"].drop(columns="period").reset_index(drop=True)
    pd.testing.assert_frame_equal(last, whole.frame)
    now, past = data[data.month == "2026-09"], data[data.month != "2026-09"]
    parted = at.scorecard(
        now, "ok / n", "site", adjust_for="queue", period="month", target=0.9, history=past
    )
    pd.testing.assert_frame_equal(parted.over_time(), frame)


def test_clusters_of_several_entities_are_said():
    data = reviews()
    data.loc[data.index[:3], "moderator_id"] = "m5-0"
    card = at.scorecard(data, "ok / n", "site", adjust_for="queue", cluster="moderator_id")
    found = card.check().set_index("code").loc["cluster_in_several"]
    assert found["facts"]["count"] == 1


def test_results_pickle_compare_and_do_not_change():
    card = at.scorecard(reviews(), "ok / n", "site", adjust_for="queue", target=0.9)
    again = pickle.loads(pickle.dumps(card))
    assert again == card
    pd.testing.assert_frame_equal(again.frame, card.frame)
    frame = card.frame
    frame["adjusted"] = 0
    assert (card.frame["adjusted"] > 0).all()
    assert len(repr(card)) < 200


def test_rows_in_any_order_and_form_are_the_same_card():
    data = reviews()
    one = at.scorecard(data, "ok / n", "site", adjust_for="queue", cluster="moderator_id").frame
    other = at.scorecard(
        data.sample(frac=1, random_state=0),
        "ok / n",
        "site",
        adjust_for="queue",
        cluster="moderator_id",
    ).frame
    pd.testing.assert_frame_equal(one, other)


def test_identifiers_are_what_was_asked_for():
    many = pd.DataFrame({"who": np.arange(10_500), "n": 30, "ok": 27})
    frame = at.scorecard(many, "ok / n", "who").frame
    assert len(frame) == 10_500
    with pytest.warns(DataQualityWarning, match="10,500 levels"):
        at.Cube.from_data(many, "ok / n", by="who", period=None)


@pytest.mark.skipif(not SHARED.exists(), reason="real data are not here")
def test_workers_of_a_labeling_market():
    """38 workers with n >= 25, 3 beyond 3.09 standard deviations, 2 after phi."""
    data = pd.read_csv(SHARED / "adult_content_mturk" / "gold_labels.csv")
    card = at.scorecard(data, at.Rate("correct"), "worker_id", adjust_for="gold", min_n=25)
    frame = card.frame[card.frame["n"] >= 25]
    assert len(frame) == 38
    assert (frame["z"].abs() > 3.09).sum() == 3
    outside = (frame["adjusted"] < frame["limit_low_998"]) | (
        frame["adjusted"] > frame["limit_high_998"]
    )
    assert outside.sum() == 2
    assert frame["signal"].str.contains("99.8").sum() == 2


@pytest.mark.skipif(not SHARED.exists(), reason="real data are not here")
def test_a_tie_in_the_league_table_that_is_none():
    """9E and WN are both on time in 75.1 %; at equal hours WN is 3.7 pp worse (SE 0.53)."""
    data = pd.read_csv(SHARED / "nycflights13" / "on_time_by_segment.csv")
    card = at.scorecard(data, "on_time / flights", "carrier", adjust_for="dep_hour_band")
    crude = card.frame.set_index("entity")["crude"]
    assert round(crude["9E"], 3) == round(crude["WN"], 3) == 0.751
    rate = card.compare("9E", "WN").effects.set_index("effect").loc["rate"]
    assert rate["estimate"] == pytest.approx(-0.037, abs=5e-4)
    assert rate["std_error"] == pytest.approx(0.0053, abs=1e-4)


# -- people ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people():
    rng, rows = np.random.default_rng(1), []
    for month in ("2026-08", "2026-09"):
        for m in range(9):
            n = 12 if m == 4 else int(rng.integers(60, 300))
            rows.append((month, f"mod-{m}", "ads", n, rng.binomial(n, 0.7 if m == 2 else 0.93)))
    data = pd.DataFrame(rows, columns=["month", "moderator_id", "queue", "n", "ok"])
    return at.scorecard(
        data, "ok / n", "moderator_id", period="month", where="moderator_id != 'mod-8'"
    )


def test_words_and_display_count_people_and_do_not_name_them(people):
    said = [people.summary(), str(people), repr(people), people._repr_html_(), people.message]
    assert not any("mod-" in text for text in said)
    assert "1 of 7 moderators worse than their work explains" in people.message
    assert "at.Privacy(people='pseudonyms'" in people.summary()
    assert ("too few", "1") in people.display_rows()


def test_people_are_named_or_renamed_where_they_are_asked_for(people):
    names = people.summary(privacy=at.Privacy(people="names"))
    assert all(f"mod-{m}" in names for m in range(8))
    renamed = people.summary(privacy=at.Privacy(people="pseudonyms", key="a secret key"))
    assert "mod-" not in renamed
    assert renamed.count("p-") >= 8
    assert len(people.display_rows(privacy=at.Privacy(people="names"))) == 9


def test_pictures_of_people_are_drawn_where_they_are_asked_for(people):
    for draw in ("funnel", "caterpillar", "status"):
        with pytest.raises(OptionError, match="people, who are not shown. Ask for them"):
            getattr(people.plot, draw)()
    key = at.Privacy(people="pseudonyms", key="a secret key", min_n=20)
    for draw in ("funnel", "caterpillar", "status"):
        axes = getattr(people.plot(privacy=key), draw)()
        texts = [t.get_text() for t in axes.figure.findobj(mpl.text.Text)]
        assert not any("mod-" in t for t in texts)
        assert any("suppressed" in t for t in texts)
        plt.close(axes.figure)


def test_no_file_quotes_a_condition_that_names_people(people):
    assert people.provenance["where"] == "moderator_id != 'mod-8'"
    (section,) = sections_of([people])
    assert section.provenance["where"] == "moderator_id != '…'"
    (section,) = sections_of([people], at.Privacy(people="names"))
    assert section.provenance["where"] == "moderator_id != 'mod-8'"


def test_what_is_withheld_is_said_once():
    """Several findings name people; a reader needs one sentence."""
    rows = pd.DataFrame(
        {
            "moderator_id": [f"m{i}" for i in range(8)],
            "queue": ["a"] * 7 + ["b"],
            "n": [200] * 6 + [5, 300],
            "ok": [180] * 6 + [4, 270],
        }
    )
    card = at.scorecard(
        rows, "ok / n", "moderator_id", adjust_for="queue", target={"m0": 0.9, "gone": 0.9}
    )
    codes = set(card.check()["code"])
    assert {"too_few", "no_reference", "target_without_data", "data_without_target"} <= codes
    for privacy in (None, at.Privacy(people="pseudonyms", key="a secret key")):
        text = card.summary(privacy=privacy)
        assert text.count("Withheld: ") == 1
        assert not any(f"m{i}" in text.split() for i in range(8))


def test_a_card_of_which_nobody_can_be_judged_is_written_whole(tmp_path):
    rows = pd.DataFrame({"site": ["A", "B", "C"], "n": [5, 6, 7], "ok": [4, 5, 7]})
    card = at.scorecard(rows, "ok / n", "site", target=0.9)
    assert set(card.frame["status"]) == {"too few"}
    for write, name in (
        (card.to_html, "c.html"),
        (card.to_pptx, "c.pptx"),
        (card.to_excel, "c.xlsx"),
    ):
        write(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0


def test_too_few_is_a_finding_without_a_target_too():
    rows = pd.DataFrame({"site": ["A", "B", "C"], "n": [5, 600, 700], "ok": [4, 500, 600]})
    found = at.scorecard(rows, "ok / n", "site").check().set_index("code")
    assert found.loc["too_few", "facts"] == {"entities": ["A"]}


def test_a_period_in_history_and_in_the_data_is_refused():
    rows = pd.DataFrame({"site": ["A", "B"] * 2, "t": [1, 1, 2, 2], "n": 90, "ok": 80})
    with pytest.raises(OptionError, match=r"history: '2' is in the data as well\."):
        at.scorecard(rows, "ok / n", "site", period="t", history=rows[rows.t == 2])


def test_who_is_alone_is_told_so():
    rows = pd.DataFrame({"site": ["A"], "n": [90], "ok": [80]})
    with pytest.raises(IdentificationError, match="'A': there is no other, so there is nothing"):
        at.scorecard(rows, "ok / n", "site")


def test_headers_of_two_lines_have_room_in_the_workbook(tmp_path):
    rows = pd.DataFrame({"site": ["A", "B", "C"], "n": [50, 60, 70], "ok": [44, 55, 66]})
    at.scorecard(rows, "ok / n", "site").to_excel(tmp_path / "card.xlsx")
    book = openpyxl.load_workbook(tmp_path / "card.xlsx")
    sheet = book["Scorecard"]
    assert "observed / expected" in [c.value for c in sheet[6]]
    assert sheet.row_dimensions[6].height >= 30
    book.close()


def test_a_moderator_in_two_sites_is_said():
    sites = pd.DataFrame(
        {
            "site": ["A", "A", "A", "B", "B"],
            "team": ["t1", "t2", "t3", "t3", "t4"],
            "ok": [90, 91, 92, 93, 94],
            "n": [100] * 5,
        }
    )
    found = at.scorecard(sites, "ok / n", ["site", "team"]).check().set_index("code")
    row = found.loc["entity_in_several"]
    assert row.message == "'t3': in more than one site; scored once in each of them."
    assert row.facts == {"column": "team", "entities": ["t3"]}
    # Queues in markets are crossed, which is no slip.
    crossed = sites.assign(team=["x", "y", "z", "x", "y"])
    assert "entity_in_several" not in set(
        at.scorecard(crossed, "ok / n", ["site", "team"]).check().code
    )
