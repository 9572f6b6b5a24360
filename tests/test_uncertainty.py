"""Standard errors as everyone expects them, the verdict in words, and the bootstrap beside it."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import attribution as at
from attribution.errors import ColumnTypeError, OptionError

ASK = {
    "by": ["queue", "tenure"], "period": "month", "baseline": "2026-08", "current": "2026-09",
    "cluster": "moderator",
}  # fmt: skip


def reviews(moved: float = 0.0, grown: float = 0.0, rows: int = 4000) -> pd.DataFrame:
    """Accuracy falls by `moved` everywhere; the hard queue grows by `grown`."""
    rng = np.random.default_rng(2)
    who, later = rng.integers(0, 40, rows), rng.random(rows) < 0.5
    queue = np.where(rng.random(rows) < 0.3 + grown * later, "live", "video")
    tenure = rng.integers(0, 3, rows)
    p = 0.9 - 0.2 * (queue == "live") - 0.02 * tenure - moved * later
    p = p + rng.normal(0, 0.02, 40)[who]
    return pd.DataFrame(
        {
            "month": np.where(later, "2026-09", "2026-08"),
            "queue": queue,
            "tenure": tenure,
            "moderator": who,
            "correct": (rng.random(rows) < p).astype(int),
        }
    )


# One scan per table, however often it is asked about.
SCANNED: dict[tuple[int, str], tuple[pd.DataFrame, at.Cube]] = {}


def explain(rows: pd.DataFrame, **options) -> at.Attribution:
    asked = {**ASK, **options}
    read = {k: asked.pop(k) for k in ("by", "period", "cluster", "on_invalid") if k in asked}
    key = id(rows), str(read)
    if key not in SCANNED:
        SCANNED[key] = rows, at.Cube.from_data(rows, at.Rate("correct", name="Accuracy"), **read)
    return SCANNED[key][1].explain(**asked)


STILL, FALLEN = reviews(), reviews(moved=0.08)
# More of the hard queue, and better everywhere: the total hardly moves.
OFFSET = reviews(moved=-0.055, grown=0.3)


@pytest.fixture(scope="module")
def fallen() -> at.Attribution:
    return explain(FALLEN)


@pytest.fixture(scope="module")
def bootstrapped() -> at.Attribution:
    return explain(FALLEN, inference="bootstrap")


# -- intervals, covariance, tests -------------------------------------------------------------


def test_intervals_nest_and_those_of_the_attribution_are_its_own(fallen):
    wide, own, narrow = (fallen.conf_int(level) for level in (0.99, None, 0.5))
    assert list(own.columns) == ["conf_low", "conf_high"]
    assert own.index.tolist() == ["mix[queue]", "mix[tenure]", "joint", "rate", "total"]
    effects = fallen.effects[["conf_low", "conf_high"]].to_numpy()
    np.testing.assert_array_equal(own.drop("total"), effects)
    np.testing.assert_array_equal(own.loc["total"], [fallen.total.conf_low, fallen.total.conf_high])
    for outer, inner in ((wide, own), (own, narrow)):
        assert (outer["conf_low"] < inner["conf_low"]).all()
        assert (outer["conf_high"] > inner["conf_high"]).all()
    level = explain(FALLEN, conf_level=0.5)
    np.testing.assert_allclose(level.conf_int(), narrow, rtol=1e-12)
    half = stats.t.ppf(0.75, 39) * fallen.total.std_error
    assert narrow.loc["total", "conf_high"] - fallen.total.change == pytest.approx(half)


@pytest.mark.parametrize("level", [95, 0, 1, -0.5, float("nan"), "0.95", True])
def test_a_level_lies_between_0_and_1(fallen, level):
    with pytest.raises(OptionError, match="level: .* is not between 0 and 1, as in 0.95"):
        fallen.conf_int(level)
    with pytest.raises(OptionError, match="conf_level: .* is not between 0 and 1, as in 0.95"):
        explain(FALLEN, conf_level=level)


@pytest.mark.parametrize("rates", ["additive", "saturated"])
def test_the_covariance_has_the_variances_of_the_lines(rates):
    change = explain(FALLEN, rates=rates)
    V = change.cov
    assert V.index.tolist() == V.columns.tolist() == change.conf_int().index[:-1].tolist()
    np.testing.assert_allclose(np.diag(V), change.effects["std_error"] ** 2, rtol=1e-9, atol=1e-24)
    np.testing.assert_array_equal(V, V.T)
    assert np.linalg.eigvalsh(V.to_numpy()).min() > -1e-12 * np.trace(V)
    if rates == "additive":
        # The lines add up to the change, so their covariance adds up to its variance.
        assert V.to_numpy().sum() == pytest.approx(change.total.std_error**2)


def test_one_line_has_the_p_value_of_its_row(fallen):
    # All 40 moderators stand behind each line: the degrees of freedom agree.
    for row, name in enumerate(["mix[queue]", "mix[tenure]", "joint", "rate"]):
        found = fallen.test(f"{name} = 0")
        assert found.p_value == pytest.approx(fallen.effects["p_value"][row], rel=1e-9)
        assert found.df_denom == 39
        assert found.std_error[0] == pytest.approx(fallen.effects["std_error"][row])


def test_all_lines_of_additive_rates_together_are_the_total():
    change = explain(FALLEN, rates="additive")
    found = change.test("mix + rate = 0")
    assert found.estimate[0] == pytest.approx(change.total.change)
    assert found.p_value == pytest.approx(change.total.p_value, rel=1e-6)
    with pytest.raises(OptionError, match="no variance"):
        change.test("joint = 0")


# -- bootstrap --------------------------------------------------------------------------------


def test_the_bootstrap_agrees_with_the_linearized_errors(bootstrapped):
    linear = explain(FALLEN)
    assert bootstrapped.total.change == linear.total.change
    assert bootstrapped.total.std_error == pytest.approx(linear.total.std_error, rel=0.1)
    largest = linear.effects["std_error"] > 0.2 * linear.total.std_error
    assert largest.sum() >= 2
    ratio = (bootstrapped.effects["std_error"] / linear.effects["std_error"])[largest]
    assert ratio.between(0.85, 1.15).all()
    np.testing.assert_array_equal(bootstrapped.effects["estimate"], linear.effects["estimate"])
    for column in ("rate", "total"):
        one, other = (c.levels("queue")[f"{column}_std_error"] for c in (bootstrapped, linear))
        assert (one / other).between(0.85, 1.15).all()
    assert bootstrapped.provenance["inference"] == "bootstrap"
    assert "intervals (bootstrap)" in bootstrapped.summary()


def test_the_same_seed_gives_the_same_replicates(bootstrapped):
    few = at.Bootstrap(replicates=199)
    first, again, other, threaded = (
        explain(FALLEN, inference=asked, rng=rng)
        for asked, rng in ((few, 1), (few, 1), (few, 2), (at.Bootstrap(199, workers=2), 1))
    )
    pd.testing.assert_frame_equal(first.effects, again.effects)
    pd.testing.assert_frame_equal(first.effects, threaded.effects)
    assert first == again
    assert first.effects["std_error"].ne(other.effects["std_error"]).all()
    assert first.provenance["seed"] == 1


def test_a_bootstrap_travels(bootstrapped):
    twin = pickle.loads(pickle.dumps(bootstrapped))
    assert twin == bootstrapped
    pd.testing.assert_frame_equal(twin.effects, bootstrapped.effects)
    pd.testing.assert_frame_equal(twin.conf_int(0.8), bootstrapped.conf_int(0.8))
    pd.testing.assert_frame_equal(twin.levels("queue"), bootstrapped.levels("queue"))


def test_bootstrap_intervals_nest_and_its_covariance_is_that_of_the_replicates(bootstrapped):
    own, narrow = bootstrapped.conf_int(), bootstrapped.conf_int(0.5)
    assert (own["conf_low"] < narrow["conf_low"]).all()
    assert (own["conf_high"] > narrow["conf_high"]).all()
    np.testing.assert_array_equal(
        own.loc["total"], [bootstrapped.total.conf_low, bootstrapped.total.conf_high]
    )
    V = bootstrapped.cov.to_numpy()
    np.testing.assert_allclose(np.diag(V), bootstrapped.effects["std_error"] ** 2, rtol=1e-9)
    assert V.sum() == pytest.approx(bootstrapped.total.std_error**2, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"inference": "bootstrp"}, "inference: 'bootstrp' .*Did you mean 'bootstrap'"),
        ({"inference": None}, "inference: None is not one of 'analytic', 'bootstrap'"),
        ({"rng": "x"}, "rng: 'x' is not a whole number of 0 or more"),
        ({"rng": -1}, "rng: -1 is not a whole number of 0 or more"),
        ({"rng": 0.5}, r"rng: 0\.5 is not a whole number"),
        ({"rng": True}, "rng: True is not a whole number"),
        ({"material": 0}, "material: 0 is not a positive number in KPI units"),
        ({"material": "1 pp"}, "material: '1 pp' is not a positive number"),
        ({"inference": at.Bootstrap(20)}, "replicates: 20 are too few for 95 % intervals"),
    ],
)
def test_options_of_uncertainty_are_checked(options, words):
    with pytest.raises(OptionError, match=words):
        explain(STILL, **options)
    with pytest.raises(OptionError, match=words):
        at.explain(STILL, at.Rate("correct"), **{**ASK, **options})


def test_any_generator_of_numpy_will_do():
    seeds = [
        explain(STILL, rng=rng).provenance["seed"]
        for rng in (None, 5, np.int64(5), np.random.default_rng(5), np.random.SeedSequence(5))
    ]
    assert seeds[:3] == [0, 5, 5]
    assert seeds[3] == seeds[4]
    assert isinstance(seeds[3], int)


def test_an_option_of_a_cube_is_checked_like_one_of_explain():
    cube = at.Cube.from_data(
        STILL, at.Rate("correct"), ["queue"], period="month", cluster="moderator"
    )
    asked = {"baseline": "2026-08", "current": "2026-09"}
    with pytest.raises(OptionError, match="option: 'conf_levl' .*Did you mean 'conf_level'"):
        cube.explain(**asked, conf_levl=0.9)
    with pytest.raises(OptionError, match="option: 'seed' is not one of"):
        cube.explain(**asked, seed=1)


# -- equality ---------------------------------------------------------------------------------


def test_answers_of_other_options_differ_and_equal_ones_hash_alike():
    first, same, seeded = (explain(STILL, rng=rng) for rng in (0, None, 1))
    assert first == same
    assert hash(first) == hash(same)
    assert first != seeded
    for options in ({"adjust": "holm"}, {"conf_level": 0.9}, {"material": 0.01}):
        assert explain(STILL, **options) != first
    assert len({first, same, seeded}) == 2
    assert first != "Accuracy"


def test_answers_that_rest_on_other_clusters_differ():
    by_team = explain(STILL.assign(moderator=STILL["moderator"] // 2))
    assert by_team.total.std_error != explain(STILL).total.std_error
    assert by_team != explain(STILL)


def test_answers_without_a_standard_error_are_equal_too():
    alone = explain(STILL.assign(moderator=1))
    assert pickle.loads(pickle.dumps(alone)) == alone


# -- verdict and words ------------------------------------------------------------------------


def test_a_real_change_leads_with_what_moved(fallen):
    assert fallen.verdict == "real"
    assert fallen.total.conf_high < 0
    first, second = fallen.summary().split("\n")[:2]
    assert first.startswith("Accuracy fell from ")
    assert first.endswith(", most of it in the rate effect.")
    assert second.startswith("Real: 95 % interval ")
    assert "Offsetting" not in fallen.summary()
    assert explain(FALLEN, material=0.5).verdict == "real"


@pytest.mark.parametrize(
    ("material", "verdict"), [(None, "noise"), (1.0, "noise"), (0.001, "inconclusive")]
)
def test_a_change_that_may_be_0_leads_with_the_verdict(material, verdict):
    change = explain(STILL, material=material)
    low, high = change.total.conf_low, change.total.conf_high
    assert low < 0 < high
    assert change.verdict == verdict
    first, second, third = change.summary().split("\n")[:3]
    if verdict == "noise":
        assert first.endswith("is not distinguishable from noise.")
        assert second.startswith("Noise: 95 % interval ")
    else:
        assert first.endswith("is inconclusive.")
        assert "it may be more than the 0.10 pp that matters" in second
    assert "could not be seen" in second
    assert (change.effects["p_adjusted"].dropna() > 0.05).all()
    assert third == "No line of the bridge stands out from noise either."
    for name in ("queue", "tenure", "rate effect"):
        assert name not in first
    assert repr(change).endswith(f", {verdict}>")


@pytest.mark.parametrize("material", [None, 1e-4])
def test_lines_are_named_as_offsetting_only_where_they_are_significant(material):
    change = explain(OFFSET, material=material)
    assert change.verdict == ("noise" if material is None else "inconclusive")
    lines = change.effects.set_index("effect")["p_adjusted"]
    claimed = change.effects["p_adjusted"] < 0.05
    assert claimed.tolist() == [True, False, False, True]
    assert lines["rate"] < 0.05
    third = change.summary().split("\n")[2]
    assert third.startswith("Offsetting movements that are significant on their own: Mix: queue −")
    assert "; Rate +" in third
    assert "tenure" not in third
    assert "queue" not in change.summary().split("\n")[0]
    assert "jointly" not in third


def test_the_page_of_a_notebook_leads_with_the_verdict_too():
    page = explain(STILL)._repr_html_()
    assert page.index("not distinguishable from noise") < page.index("Mix: queue")
    assert "Noise: 95 % interval" in page


def test_what_could_not_be_seen_is_2_8_standard_errors_with_many_clusters():
    total = explain(STILL).total
    assert total.detectable == pytest.approx(2.8 * total.std_error, rel=0.03)


def test_what_could_not_be_seen_is_more_than_what_the_interval_excludes():
    total = explain(STILL.assign(moderator=STILL["moderator"] % 3)).total
    assert total.detectable > (total.conf_high - total.conf_low) / 2


def test_shares_of_a_change_that_is_noise_are_not_given(fallen):
    assert explain(STILL).effects["share_of_change"].isna().all()
    assert explain(OFFSET).effects["share_of_change"].isna().all()
    assert fallen.effects["share_of_change"].sum() == pytest.approx(1)


def test_no_cluster_is_named_in_what_leaves_the_program():
    names = [f"person-{x}" for x in STILL["moderator"]]
    change = explain(STILL.assign(moderator=names))
    assert "person-" not in change.to_json() + change.summary() + change._repr_html_()
    assert "person-" not in change.segments().to_csv() + str(change.provenance)
    assert b"person-" not in pickle.dumps(change)


def test_a_hypothesis_must_be_text(fallen):
    with pytest.raises(ColumnTypeError, match="is not text"):
        fallen.test(5)
