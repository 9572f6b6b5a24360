"""The detectable change: published figures, the cube's own variance, simulated power, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import ColumnTypeError, IdentificationError, OptionError, PeriodError
from attribution.infer.power import ratio_covariance, row_variance
from attribution.power import DetectableChange, minimum_detectable_change


def reviews(seed: int = 1, months: int = 4, moderators: int = 60, each: int = 30) -> pd.DataFrame:
    """Every moderator in every month, with an accuracy of their own."""
    rng = np.random.default_rng(seed)
    n = months * moderators * each
    moderator = np.tile(np.arange(moderators), months * each)
    own = 2.5 + rng.normal(0, 0.8, moderators)
    return pd.DataFrame(
        {
            "month": np.repeat(np.arange(1, months + 1), moderators * each),
            "queue": rng.integers(0, 3, n),
            "moderator": moderator,
            "shift": rng.integers(0, 20, n),
            "weight": rng.choice([1.0, 4.0], n),
            "correct": (rng.random(n) < 1 / (1 + np.exp(-own[moderator]))).astype(int),
            "reviewed": 1,
            "seconds": rng.gamma(2, 20, n),
        }
    )


def scanned(
    rows: pd.DataFrame, metric: object = "correct / reviewed", **options: object
) -> at.Cube:
    return at.Cube.from_data(rows, metric, by=["queue"], period="month", **options)


@pytest.fixture(scope="module")
def clustered() -> at.Cube:
    return scanned(reviews(), cluster="moderator")


@pytest.mark.parametrize(
    ("plan", "points"),
    [
        ({"n": 2000, "rate": 0.92, "design_effect": 2.0}, 3.4),
        ({"n": 7500, "rate": 0.93}, 1.2),
        ({"n": 7500, "rate": 0.93, "design_effect": 1.7}, 1.5),
    ],
)
def test_known_plans_give_their_published_figures(plan, points):
    assert round(100 * minimum_detectable_change(**plan).change, 1) == points


def test_the_planned_change_is_seen_with_the_asked_power():
    rng = np.random.default_rng(5)
    n, rate, power = (4000, 2500), 0.9, 0.8
    plan = minimum_detectable_change(n=n, rate=rate, power=power)
    baseline, current = (
        rng.binomial(size, p, 20_000) / size
        for size, p in zip(n, (rate - plan.change / 2, rate + plan.change / 2), strict=True)
    )
    variance = sum(x * (1 - x) / size for x, size in zip((baseline, current), n, strict=True))
    seen = np.abs(current - baseline) > 1.959964 * np.sqrt(variance)
    assert seen.mean() == pytest.approx(power, abs=0.01)


def test_cluster_size_and_icc_are_a_design_effect():
    by_size = minimum_detectable_change(n=2000, rate=0.9, cluster_size=35, icc=0.02)
    assert by_size.design_effect == pytest.approx(1.68)
    assert by_size == minimum_detectable_change(
        n=2000, rate=0.9, design_effect=by_size.design_effect
    )


def test_a_design_effect_may_come_with_the_cluster_size_it_was_found_at():
    plan = minimum_detectable_change(n=2000, rate=0.9, design_effect=1.68)
    assert plan == minimum_detectable_change(n=2000, rate=0.9, design_effect=1.68, cluster_size=35)


def test_rows_found_for_a_change_show_that_change_and_one_row_fewer_does_not():
    plan = minimum_detectable_change(n=2000, rate=0.92, design_effect=2, correlation=0.3)
    for change in (0.03, 0.01, 0.004):
        n = plan.n_for(change)
        shown = [
            minimum_detectable_change(n=x, rate=0.92, design_effect=2, correlation=0.3).change
            for x in (n, n - 1)
        ]
        assert shown[0] <= change < shown[1]
    assert plan.n_for(plan.change) == 2000


def test_more_rows_in_one_period_help_less_than_in_both():
    both, one, neither = (
        minimum_detectable_change(n=n, rate=0.9).change for n in (4000, (4000, 1000), 1000)
    )
    assert both < one < neither


def test_paired_moderators_sharpen_the_change():
    apart, paired = (
        minimum_detectable_change(n=2000, rate=0.9, correlation=c).std_error for c in (0, 0.5)
    )
    assert paired == pytest.approx(apart * np.sqrt(0.5))


@pytest.mark.parametrize("options", [{}, {"cluster": "moderator"}, {"weight": "weight"}])
@pytest.mark.parametrize("metric", ["correct / reviewed", "ratio(seconds / reviewed)"])
def test_two_periods_of_a_cube_detect_what_their_change_detects(metric, options):
    cube = scanned(reviews(months=2), metric, **options)
    seen = minimum_detectable_change(cube)
    total = cube.explain(baseline="1", current="2").total
    assert seen.std_error == pytest.approx(total.std_error, rel=1e-3)
    assert seen.change == pytest.approx(2.8016 * total.std_error, rel=2e-3)
    # The planned figure is for many clusters; with the few of a sample it takes a little more.
    assert 0.998 * seen.change < total.detectable < 1.05 * seen.change
    assert seen.n == (1800, 1800)


def test_the_design_effect_of_a_cube_is_the_one_of_its_moderators(clustered):
    frame = reviews()
    seen = minimum_detectable_change(clustered)
    p = frame["correct"].mean()
    means = frame.groupby(["month", "moderator"])["correct"].mean().groupby("month").var()
    assert seen.design_effect == pytest.approx(30 * means.mean() / (p * (1 - p)), rel=0.01)
    assert seen.design_effect > 2
    assert seen.rate == pytest.approx(p)


def test_independent_rows_have_no_design_effect_and_no_correlation():
    for metric in ("correct / reviewed", "ratio(seconds / reviewed)"):
        seen = minimum_detectable_change(scanned(reviews(), metric))
        assert seen.design_effect == pytest.approx(1, rel=1e-9)
        assert seen.correlation == 0


def test_unequal_weights_are_part_of_the_design_effect():
    seen = minimum_detectable_change(scanned(reviews(moderators=600), weight="weight"))
    # Kish: mean of squares over square of mean, of weights 1 and 4 in halves.
    assert seen.design_effect == pytest.approx(8.5 / 6.25, rel=0.05)


def test_a_month_of_few_rows_counts_for_little():
    frame = reviews()
    partial = frame[(frame["month"] < 4) | (frame.index % 100 == 0)]
    whole, with_partial, small = (
        minimum_detectable_change(scanned(partial), period=p) for p in ([1, 2, 3], None, 4)
    )
    assert small.variance != pytest.approx(whole.variance, rel=0.1)
    assert with_partial.variance == pytest.approx(whole.variance, rel=0.01)
    assert with_partial.design_effect == pytest.approx(1)


def test_a_cube_answers_what_more_rows_would_show(clustered):
    now, more = minimum_detectable_change(clustered), minimum_detectable_change(clustered, n=7200)
    assert more.change == pytest.approx(now.change / 2)
    assert now.n_for(more.change) == 7200


def test_one_period_knows_no_correlation_and_an_option_overrides_it(clustered):
    one = minimum_detectable_change(clustered, period=2)
    several = minimum_detectable_change(clustered)
    assert one.correlation == 0
    assert several.correlation > 0.2
    assert minimum_detectable_change(clustered, correlation=0).std_error > several.std_error


def test_a_clustered_ratio_has_its_change_but_no_design_effect():
    seen = minimum_detectable_change(
        scanned(reviews(), "ratio(seconds / reviewed)", cluster="moderator")
    )
    assert np.isnan(seen.design_effect)
    assert seen.change > 0
    assert "design effect" not in str(seen)


def test_ratio_covariance_is_the_covariance_of_cluster_means_where_clusters_are_equal():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(25, 3)) + rng.normal(size=(25, 1))
    cluster, period = (x.ravel() for x in np.indices(values.shape))
    found = ratio_covariance(cluster[None], period, np.ones(75), values.ravel(), 3)
    assert found == pytest.approx(np.cov(values.T) / 25)


def test_two_cluster_columns_add_up_less_their_crossing():
    frame = reviews(months=2)
    D, N = np.ones(len(frame)), frame["correct"].to_numpy(float)
    a, b = frame["moderator"].to_numpy(), frame["shift"].to_numpy()
    period = frame["month"].to_numpy() - 1
    one = [ratio_covariance(np.array(x), period, D, N, 2) for x in ([a], [b], [a * 100 + b])]
    both = ratio_covariance(np.array([a, b]), period, D, N, 2)
    summed = one[0] + one[1] - one[2]
    assert both[0, 1] == both[1, 0] == pytest.approx(summed[0, 1])
    largest = np.max([x.diagonal() for x in (summed, one[0], one[1])], axis=0)
    assert both.diagonal() == pytest.approx(largest)
    cube = scanned(frame, cluster=["moderator", "shift"])
    assert minimum_detectable_change(cube).variance == pytest.approx(1800 * largest.mean())


def test_a_second_cluster_column_does_not_make_a_change_easier_to_see():
    frame = reviews(months=2)
    one, two = (
        minimum_detectable_change(scanned(frame, cluster=c), correlation=0).std_error
        for c in (["moderator"], ["moderator", "shift"])
    )
    assert two >= one


def test_row_variance_of_a_rate_is_binomial():
    D, N = np.array([200.0]), np.array([150.0])
    assert row_variance(D, N, D, N, N, D) == pytest.approx(0.75 * 0.25 / 199)


def test_the_text_says_change_power_level_and_rows():
    plan = minimum_detectable_change(n=(2000, 1500), rate=0.92, design_effect=2)
    text = str(plan)
    for part in ("3.67 pp", "80 % power", "5 % level", "2,000 and 1,500", "92.00 %", "2.00"):
        assert part in text
    assert "3.67 pp" in repr(plan)
    aht = scanned(reviews(), at.Ratio("seconds", "reviewed", unit="s"))
    assert " s with 80 % power" in str(minimum_detectable_change(aht))


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({}, "n"),
        ({"n": 2000}, "rate"),
        ({"rate": 0.9}, "n"),
        ({"n": 0, "rate": 0.9}, "n"),
        ({"n": -5, "rate": 0.9}, "n"),
        ({"n": float("nan"), "rate": 0.9}, "n"),
        ({"n": "many", "rate": 0.9}, "n"),
        ({"n": True, "rate": 0.9}, "n"),
        ({"n": (1, 2, 3), "rate": 0.9}, "n"),
        ({"n": [], "rate": 0.9}, "n"),
        ({"n": 2000, "rate": 0}, "rate"),
        ({"n": 2000, "rate": 1.0}, "rate"),
        ({"n": 2000, "rate": 92}, "rate"),
        ({"n": 2000, "rate": "0.9"}, "rate"),
        ({"n": 2000, "rate": 0.9, "design_effect": 0}, "design_effect"),
        ({"n": 2000, "rate": 0.9, "design_effect": 0.05}, "design_effect"),
        ({"n": 2000, "rate": 0.9, "design_effect": float("inf")}, "design_effect"),
        ({"n": 2000, "rate": 0.9, "design_effect": 2, "icc": 0.1}, "cluster_size"),
        ({"n": 2000, "rate": 0.9, "design_effect": 20, "cluster_size": 10}, "design_effect"),
        (
            {"n": 2000, "rate": 0.9, "design_effect": 2, "cluster_size": 10, "icc": 0.5},
            "design_effect",
        ),
        ({"n": 2000, "rate": 0.9, "icc": 0.1}, "cluster_size"),
        ({"n": 2000, "rate": 0.9, "cluster_size": 10}, "icc"),
        ({"n": 2000, "rate": 0.9, "cluster_size": 0.5, "icc": 0.1}, "cluster_size"),
        ({"n": 2000, "rate": 0.9, "cluster_size": 10, "icc": 1.1}, "icc"),
        ({"n": 2000, "rate": 0.9, "alpha": 5}, "alpha"),
        ({"n": 2000, "rate": 0.9, "power": 1}, "power"),
        ({"n": 2000, "rate": 0.9, "power": 0.01}, "power"),
        ({"n": 2000, "rate": 0.9, "correlation": 1}, "correlation"),
        ({"n": 2000, "rate": 0.9, "metric": "correct"}, "metric"),
        ({"n": 2000, "rate": 0.9, "period": 2}, "period"),
    ],
)
def test_bad_plans_are_refused_by_name(given, parameter):
    with pytest.raises(OptionError, match=f"^{parameter}: "):
        minimum_detectable_change(**given)


@pytest.mark.parametrize("change", [0, -0.01, float("nan"), "1 pp", None])
def test_no_rows_are_given_for_a_change_that_is_none(change):
    with pytest.raises(OptionError, match="^change: "):
        minimum_detectable_change(n=2000, rate=0.92).n_for(change)


@pytest.mark.parametrize("given", ["rate", "design_effect", "icc", "cluster_size"])
def test_a_cube_and_planned_figures_are_refused_together(clustered, given):
    with pytest.raises(OptionError, match=f"^{given}: comes from the cube"):
        minimum_detectable_change(clustered, **{given: 0.5})


def test_cubes_that_cannot_answer_are_refused(clustered):
    with pytest.raises(ColumnTypeError, match="^cube: .* DataFrame is not a Cube"):
        minimum_detectable_change(reviews())  # pyright: ignore[reportArgumentType]
    with pytest.raises(PeriodError, match="no period '9'"):
        minimum_detectable_change(clustered, period=9)
    with pytest.raises(OptionError, match="^period: an empty list"):
        minimum_detectable_change(clustered, period=[])
    with pytest.raises(OptionError, match="^metric: "):
        minimum_detectable_change(clustered, "seconds / reviewed")
    with pytest.raises(OptionError, match="^n: "):
        minimum_detectable_change(clustered, n=0)


def test_periods_without_variance_rows_or_clusters_are_refused():
    frame = reviews(months=2)
    perfect = frame.assign(correct=1)
    with pytest.raises(IdentificationError, match="'1' has no variance"):
        minimum_detectable_change(scanned(perfect, cluster="moderator"))
    constant = frame.assign(seconds=0.1 + 0.2, reviewed=1 / 3)
    for options in ({}, {"cluster": "moderator"}):
        with pytest.raises(IdentificationError, match="'1' has no variance"):
            minimum_detectable_change(scanned(constant, "ratio(seconds / reviewed)", **options))
    alone = frame[(frame["month"] == 1) | (frame["moderator"] == 3)]
    with pytest.raises(IdentificationError, match="'2' has fewer than two clusters"):
        minimum_detectable_change(scanned(alone, cluster="moderator"))
    single = frame.drop_duplicates("month")
    with pytest.raises(IdentificationError, match="'1' has one row"):
        minimum_detectable_change(scanned(single))
    empty = frame.assign(reviewed=np.where(frame["month"] == 1, 1, 0), correct=0)
    with pytest.raises(OptionError, match="^period: '2' has no 'reviewed'"):
        minimum_detectable_change(scanned(empty))


def test_the_result_is_a_frozen_value():
    plan = minimum_detectable_change(n=2000, rate=0.92)
    assert isinstance(plan, DetectableChange)
    with pytest.raises(AttributeError):
        plan.n = (1, 1)  # pyright: ignore[reportAttributeAccessIssue]
