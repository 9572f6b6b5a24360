"""The cluster bootstrap: against the linearized errors, its intervals, seeds, strata and trials."""

from __future__ import annotations

import io
import sys
import time

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decompose import Decomposition, decompose, total_change
from attribution.decompose.replicates import recompute
from attribution.errors import OptionError
from attribution.infer import Units, cluster_units, row_units, std_errors
from attribution.infer.bootstrap import (
    Bootstrap,
    Draws,
    bootstrap_inference,
    resample,
)
from attribution.infer.populations import cluster_strata
from attribution.progress import progress

SIZES = (3, 4, 2)


def operation(seed: int, clusters: int, rows: float) -> tuple[np.ndarray, np.ndarray, Units]:
    """Sums of 24 cells whose margins shift towards the worse levels, by people who differ."""
    rng = np.random.default_rng(seed)
    codes = np.indices(SIZES).reshape(3, -1).T
    worse = codes / (np.array(SIZES) - 1)
    share = np.exp([worse @ [0.2, 0.1, 0.3], worse @ [0.9, 0.6, 0.8]])
    share /= share.sum(axis=1, keepdims=True)
    rate = 0.9 - worse @ [0.06, 0.05, 0.07] - np.array([[0], [0.03]])
    home = rng.dirichlet(np.full(24, 2.0), clusters)[:, None, :] * 24
    D = rng.poisson(rows * 24 / clusters * share * home)
    N = rng.binomial(D, np.clip(rate + rng.normal(0, 0.05, (clusters, 1, 1)), 0, 1))
    g, t, c = np.nonzero(D)
    units = cluster_units(g[None], t, c, D[g, t, c], N[g, t, c], 24)
    return D.sum(axis=0).astype(float), N.sum(axis=0).astype(float), units


def decomposed(seed: int, rates: str, clusters: int, rows: float) -> tuple[Decomposition, Units]:
    D, N, units = operation(seed, clusters, rows)
    codes = np.indices(SIZES).reshape(3, -1).T
    return decompose(D, N, D, codes, SIZES, rates=rates), units


def ratio(sums: np.ndarray) -> np.ndarray:
    """R_1 - R_0 of all cells."""
    D0, D1, N0, N1 = (block.sum(axis=1) for block in np.split(sums, 4, axis=1))
    return (N1 / D1 - N0 / D0)[:, None]


def one_cell(D: np.ndarray, N: np.ndarray) -> Units:
    """Clusters over a single segment, from sums (G, 2)."""
    g, t = np.nonzero(np.ones(D.shape))
    return cluster_units(g[None], t, np.zeros(len(g), dtype=int), D[g, t], N[g, t], 1)


@pytest.mark.parametrize("weights", ["multinomial", "poisson"])
@pytest.mark.parametrize(("rates", "rows"), [("additive", 300), ("saturated", 3000)])
def test_replicates_vary_as_the_linearization_says(rates, rows, weights):
    parts, units = decomposed(1, rates, clusters=120, rows=rows)
    options = Bootstrap(2000, weights=weights)
    draws = resample(units, lambda sums: recompute(parts, sums).lines, options, seed=1)
    se = std_errors(parts.gradient, units)
    kept = [i for i, line in enumerate(parts.lines) if line.effect != "joint"]
    found = draws.estimates.std(axis=0, ddof=1)
    np.testing.assert_allclose(found[kept] / se[kept], 1, atol=0.07)


def test_few_clusters_have_the_variance_of_the_linear_case():
    # Means of 5 clusters: drawing 5 instead of 4 would make the error 11 % too small.
    rng = np.random.default_rng(2)
    N = rng.normal(10, 2, (5, 2))
    units = one_cell(np.full((5, 2), 1e-6), N)
    options = Bootstrap(20_000)
    found = resample(units, lambda sums: sums[:, 2:], options, seed=0).estimates.std(axis=0)
    np.testing.assert_allclose(found, np.sqrt(5 / 4 * 5 * N.var(axis=0)), rtol=0.02)


@pytest.mark.parametrize("weights", ["multinomial", "poisson"])
def test_errors_of_replicates_are_linearized_at_their_weights(weights):
    # One row in a segment of its own shows how often a cluster was drawn.
    rng = np.random.default_rng(3)
    g, t = np.nonzero(np.ones((9, 2)))
    units = cluster_units(g[None], t, g, np.ones(18), rng.normal(10, 1, 18), 9)
    way = units.ways[0]
    _, gradient = total_change(*np.split(way.totals.reshape(4, 9), 2))
    options = Bootstrap(50, weights=weights, interval="studentized")
    draws = resample(units, lambda s: s[:, :9], options, seed=0, gradient=gradient)
    w, psi = draws.estimates @ way.sums[:, :9].T, gradient.dot(way.sums)[:, 0]
    variance = w @ psi**2 - (w @ psi) ** 2 / w.sum(axis=1)
    np.testing.assert_allclose(draws.std_errors[:, 0], np.sqrt(9 / 8 * variance), rtol=1e-9)


@pytest.mark.parametrize("interval", ["percentile", "studentized"])
@pytest.mark.parametrize("weights", ["multinomial", "poisson"])
def test_the_same_seed_gives_the_same_bytes_on_any_number_of_workers(weights, interval):
    parts, units = decomposed(3, "additive", clusters=40, rows=50)

    def draw(workers: int, seed: int) -> bytes:
        options = Bootstrap(150, weights=weights, interval=interval, workers=workers)
        lines = lambda sums: recompute(parts, sums).lines  # noqa: E731
        found = resample(units, lines, options, seed, gradient=parts.gradient)
        errors = b"" if found.std_errors is None else found.std_errors.tobytes()
        return found.estimates.tobytes() + errors

    assert draw(1, seed=5) == draw(2, seed=5)
    assert draw(1, seed=5) != draw(1, seed=6)


def test_no_cell_of_the_data_vanishes_in_a_replicate():
    _, _, units = operation(4, clusters=6, rows=3)
    totals = units.ways[0].totals
    drawn = resample(units, lambda sums: sums, Bootstrap(300), seed=0).estimates
    assert (drawn[:, totals > 0] >= 1e-4 * totals[totals > 0]).all()
    assert (drawn[:, totals == 0] == 0).all()


def test_an_error_in_a_replicate_ends_the_work():
    _, _, units = operation(4, clusters=6, rows=3)

    def broken(sums):
        raise KeyboardInterrupt

    for workers in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            resample(units, broken, Bootstrap(500, workers=workers), seed=0)


# -- strata -----------------------------------------------------------------------------------


def stratified_units() -> tuple[Units, np.ndarray]:
    """Twelve clusters of one row in two segments; segments 0 and 1 are the strata."""
    segment = np.array([0] * 4 + [1] * 8)
    g, t = np.nonzero(np.ones((12, 2)))
    values = np.random.default_rng(0).normal(10, 1, len(g)) + 5 * segment[g]
    units = cluster_units(g[None], t, segment[g], np.ones(len(g)), values, 2)
    return units, cluster_strata(units.ways[0], np.array([0, 1]), "site")


def test_strata_keep_their_size_in_every_replicate():
    units, stratum = stratified_units()
    counts = resample(units, lambda s: s[:, :4], Bootstrap(100, strata="site"), 0, stratum)
    np.testing.assert_allclose(counts.estimates, [[4, 8, 4, 8]] * 100, rtol=1e-12)
    free = resample(units, lambda s: s[:, :4], Bootstrap(100), 0)
    assert free.estimates.std(axis=0).min() > 0.5


def test_strata_take_the_variance_between_them_out():
    units, stratum = stratified_units()
    parts = [units.ways[0].sums.toarray()[stratum == h][:, 4 + h] for h in (0, 1)]
    by_hand = [np.sqrt(len(x) * x.var(ddof=1)) for x in parts]
    options = Bootstrap(8000, strata="site")
    found = resample(units, lambda s: s[:, 4:6], options, 0, stratum).estimates.std(axis=0)
    np.testing.assert_allclose(found, by_hand, rtol=0.04)


def test_stratified_linearized_errors_are_those_within_strata():
    units, stratum = stratified_units()
    _, gradient = total_change(*np.split(units.ways[0].totals.reshape(4, 2), 2))
    psi = gradient.dot(units.ways[0].sums)[:, 0]
    by_hand = sum(n * psi[stratum == h].var(ddof=1) for h, n in ((0, 4), (1, 8)))
    options = Bootstrap(200, strata="site", interval="studentized")
    draws = resample(units, ratio, options, 0, stratum, gradient)
    assert draws.std_error == pytest.approx(np.sqrt(by_hand), rel=1e-10)
    assert np.median(draws.std_errors) == pytest.approx(np.sqrt(by_hand), rel=0.2)


def test_within_a_stratum_there_is_one_stratum():
    """Its part is asked without strata, and asks the same as its rows alone."""
    rng = np.random.default_rng(4)
    who, month, queue = (
        rng.integers(0, 40, 2000),
        rng.integers(1, 3, 2000),
        rng.integers(0, 2, 2000),
    )
    rows = pd.DataFrame({"month": month, "queue": queue, "moderator": who, "site": who % 2})
    rows["correct"] = (rng.random(2000) < 0.9).astype(int)

    def asked(table: pd.DataFrame, by: list[str], strata: str | None) -> at.Attribution:
        return at.explain(
            table, at.Rate("correct"), by, period="month", baseline=1, current=2, cluster="moderator",
            inference=at.Bootstrap(200, strata=strata),
        )  # fmt: skip

    part = asked(rows, ["queue", "site"], "site").within(site=0)
    alone = asked(rows[rows["site"] == 0], ["queue"], None)
    assert part.effects["std_error"].tolist() == pytest.approx(alone.effects["std_error"].tolist())


def test_strata_are_levels_that_hold_whole_clusters():
    units, stratum = stratified_units()
    in_second = units.ways[0].sums.toarray()[:, 1] > 0
    found = cluster_strata(units.ways[0], np.array([3, 7]), "site")
    np.testing.assert_array_equal(found, np.where(in_second, 7, 3))
    g, t = np.nonzero(np.ones((12, 2)))
    mixed = cluster_units(g[None], t, t, np.ones(24), np.ones(24), 2)
    with pytest.raises(OptionError, match="12 of 12 clusters lie in more than one level of 'site'"):
        cluster_strata(mixed.ways[0], np.array([0, 1]), "site")
    with pytest.raises(OptionError, match="'site' holds no clusters"):
        cluster_strata(
            trials(np.array([[9.0], [9]]), np.array([[5.0], [6]])).ways[0], stratum, "site"
        )


# -- independent rows -------------------------------------------------------------------------


def trials(D: np.ndarray, N: np.ndarray) -> Units:
    return row_units(D, N, D, N, N, D)


def test_independent_trials_are_drawn_as_counts():
    D, N = np.array([[800.0, 0, 400], [900, 300, 0]]), np.array([[700.0, 0, 380], [760, 200, 0]])
    units = trials(D, N)
    kept = resample(units, lambda s: s, Bootstrap(300), seed=0).estimates
    np.testing.assert_allclose(kept[:, :6].sum(axis=1), D.sum(), rtol=1e-12)
    assert (kept[:, 6:] <= kept[:, :6] * (1 + 1e-12)).all()
    _, gradient = total_change(D, N)
    for weights in ("multinomial", "poisson"):
        options = Bootstrap(3000, weights=weights, interval="studentized")
        draws = resample(units, ratio, options, seed=1, gradient=gradient)
        assert draws.std_error == pytest.approx(std_errors(gradient, units), rel=1e-9)
        assert draws.estimates.std() == pytest.approx(draws.std_error[0], rel=0.04)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_rows_that_are_no_trials_need_a_cluster(scale):
    D, N = np.array([[80.0], [90]]), np.array([[70.0], [60]])
    weighted = row_units(scale * D, scale * N, scale**2 * D, scale**2 * N, scale**2 * N, D)
    with pytest.raises(OptionError, match="Name cluster=...; a column with an id of its own"):
        resample(weighted, ratio, Bootstrap(), seed=0)


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replicates": 0}, "replicates: 0 is not a whole number of at least 1"),
        ({"replicates": 1e3}, "replicates: 1000.0 is not a whole number"),
        ({"workers": True}, "workers: True is not a whole number"),
        ({"weights": "poison"}, "weights: 'poison' is not one of .* Did you mean 'poisson'"),
        ({"interval": "t"}, "interval: 't' is not one of 'percentile', 'studentized'"),
        ({"strata": ["site"]}, r"strata: \['site'\] is not the name of a dimension"),
        ({"strata": "site", "weights": "poisson"}, "Use weights='multinomial'"),
    ],
)
def test_options_say_what_is_allowed(options, words):
    with pytest.raises(OptionError, match=words):
        Bootstrap(**options)


def test_questions_without_an_answer_are_refused():
    units, stratum = stratified_units()
    with pytest.raises(OptionError, match="'studentized' needs the gradient"):
        resample(units, ratio, Bootstrap(interval="studentized"), seed=0)
    with pytest.raises(OptionError, match="1 of 3 strata hold a single cluster"):
        alone = np.where(np.arange(12) == 0, 2, stratum)
        resample(units, ratio, Bootstrap(strata="site"), 0, alone)
    with pytest.raises(OptionError, match=r"strata: \(3,\) codes for 12 clusters"):
        resample(units, ratio, Bootstrap(strata="site"), 0, stratum[:3])
    g, t = np.nonzero(np.ones((12, 2)))
    two_way = cluster_units(np.stack([g, g % 3]), t, 0 * t, np.ones(24), np.ones(24), 1)
    with pytest.raises(OptionError, match="draws the clusters of one column, and two were named"):
        resample(two_way, ratio, Bootstrap(), seed=0)


@pytest.mark.parametrize(("level", "needed"), [(0.8, 9), (0.9, 19), (0.95, 39), (0.99, 199)])
def test_too_few_replicates_for_a_level_are_refused(level, needed):
    values = np.random.default_rng(0).normal(0, 1, (needed, 1))
    bootstrap_inference(np.zeros(1), Draws(values), level, 1.0, np.array([50]))
    with pytest.raises(OptionError, match=f"need at least {needed};"):
        bootstrap_inference(np.zeros(1), Draws(values[1:]), level, 1.0, np.array([50]))


# -- intervals --------------------------------------------------------------------------------


@pytest.mark.parametrize("studentized", [False, True])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_p_values_agree_with_intervals(level, studentized):
    rng = np.random.default_rng(0)
    estimate = np.linspace(-4, 4, 81)
    values = estimate + rng.gamma(2, 1, (499, 81)) - 2
    errors = (rng.uniform(0.5, 2, (499, 81)), np.ones(81)) if studentized else (None, None)
    found = bootstrap_inference(estimate, Draws(values, *errors), level, 1.0, np.full(81, 50))
    excluded = (found.conf_low > 0) | (found.conf_high < 0)
    assert 0 < excluded.sum() < 81
    np.testing.assert_array_equal(excluded, found.p_value <= 1 - level + 1e-12)
    assert found.p_value.min() >= 2 / 500
    np.testing.assert_allclose(found.std_error, values.std(axis=0, ddof=1))


def test_studentized_intervals_turn_the_skew_of_the_replicates():
    values = np.random.default_rng(1).gamma(2, 1, (999, 1)) - 2
    draws = Draws(values, np.ones((999, 1)), np.ones(1))
    found = bootstrap_inference(np.zeros(1), draws, 0.9, 1.0, np.array([50]))
    plain = bootstrap_inference(np.zeros(1), Draws(values), 0.9, 1.0, np.array([50]))
    assert found.conf_low[0] == -plain.conf_high[0]
    assert found.conf_high[0] == -plain.conf_low[0]


def test_lines_that_cannot_vary_have_no_p_value():
    values = np.column_stack([np.random.default_rng(0).normal(1, 1, 99), np.full((99, 3), 0.5)])
    values[:, 1] += 1e-17
    values[:, 2] = np.random.default_rng(1).normal(1, 1, 99)
    draws = Draws(values, np.ones((99, 4)), np.array([1.0, 1, 0, 1]))
    fewest = np.array([50, 50, 50, 1])
    found = bootstrap_inference(np.array([1.0, 0.5, 1, 0.5]), draws, 0.9, 1.0, fewest)
    np.testing.assert_array_equal(np.isnan(found.p_value), [False, True, True, True])
    np.testing.assert_array_equal(np.isnan(found.conf_low), [False, False, True, True])
    assert (found.std_error[1], found.conf_low[1], found.conf_high[1]) == (0.0, 0.5, 0.5)
    assert np.isnan(found.std_error[3])
    np.testing.assert_array_equal(found.few, [False, False, False, True])


def test_one_cluster_tells_nothing():
    units = one_cell(np.array([[10.0, 20]]), np.array([[9.0, 15]]))
    draws = resample(units, ratio, Bootstrap(99), seed=0)
    found = bootstrap_inference(np.array([-0.15]), draws, 0.95, 1.0, np.array([2]))
    assert np.isnan([found.std_error, found.conf_low, found.conf_high, found.p_value]).all()


def test_intervals_cover_the_change_about_as_often_as_they_say():
    covered = np.zeros((120, 2), dtype=bool)
    for seed in range(120):
        rng = np.random.default_rng(seed)
        D = rng.poisson(30, (40, 2)) + 1
        N = rng.binomial(D, rng.beta([36, 34.4], [4, 5.6], (40, 2)))
        change, gradient = total_change(D.sum(axis=0)[:, None], N.sum(axis=0)[:, None])
        options = Bootstrap(199, interval="studentized")
        draws = resample(one_cell(D, N), ratio, options, seed, gradient=gradient)
        for i, kind in enumerate([Draws(draws.estimates), draws]):
            found = bootstrap_inference(np.array([change]), kind, 0.9, 1.0, np.array([40]))
            covered[seed, i] = found.conf_low[0] <= -0.04 <= found.conf_high[0]
    assert np.abs(covered.mean(axis=0) - 0.9).max() < 3.3 * np.sqrt(0.9 * 0.1 / 120)


# -- progress ---------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_silent_off_a_terminal_and_for_quick_work(monkeypatch):
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(progress(iter("abc"), 3, "letters")) == ["a", "b", "c"]
        assert stream.getvalue() == ""


def test_long_work_shows_a_bar_that_an_interrupt_takes_away(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("attribution.progress._SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm-256color")

    def work():
        yield 1
        time.sleep(0.2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(progress(work(), 3, "counting"))
    shown = stream.getvalue()
    assert "counting" in shown
    # The cursor comes back, and the last thing done is to erase the line.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert shown.rindex("\x1b[2K") > shown.rindex("counting")
