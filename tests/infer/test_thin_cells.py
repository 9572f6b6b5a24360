"""Thin cells: saturated rates as leaving a unit out gives them, and two-way terms of pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.infer import Units, cluster_units, covariance, std_errors

ASK = {"period": "month", "baseline": 1, "current": 2, "cluster": "moderator"}


def reviews(seed: int, rows: int, people: int = 30, interaction: float = 0.0) -> pd.DataFrame:
    """Reviews over queue x market x tenure; the interaction is of queue and market."""
    rng = np.random.default_rng(seed)
    who, month = rng.integers(0, people, rows), rng.integers(1, 3, rows)
    queue, market = rng.integers(0, 3, rows), rng.integers(0, 3, rows)
    p = 0.85 - 0.03 * queue - 0.02 * market + rng.normal(0, 0.02, people)[who]
    p = p - interaction * np.where(queue == market, 1.0, -0.5)
    return pd.DataFrame(
        {
            "month": month,
            "queue": queue,
            "market": market,
            "tenure": rng.integers(0, 2, rows),
            "moderator": who,
            "correct": (rng.random(rows) < p).astype(int),
        }
    )


# One scan per table, however often it is asked about.
SCANNED: dict[tuple[int, str], tuple[pd.DataFrame, at.Cube]] = {}


def explain(rows: pd.DataFrame, **options) -> at.Attribution:
    asked = {"by": ["queue", "market", "tenure"], **ASK, **options}
    read = {k: asked.pop(k) for k in ("by", "period", "cluster", "on_invalid") if k in asked}
    key = id(rows), str(read)
    if key not in SCANNED:
        SCANNED[key] = rows, at.Cube.from_data(rows, at.Rate("correct"), **read)
    return SCANNED[key][1].explain(**asked)


PAIRED = reviews(1, 3000, interaction=0.15)


def finding(change: at.Attribution, code: str) -> pd.Series | None:
    found = change.check().query("code == @code")
    return None if found.empty else found.iloc[0]


# -- leaving one cluster out ------------------------------------------------------------------


def some_units(seed: int, clusters: int, cells: int, filled: float) -> tuple[Units, np.ndarray]:
    """Clusters over cells of two periods, and the sums (G, 2, 2, cells) of D and N."""
    rng = np.random.default_rng(seed)
    D = rng.integers(1, 9, (clusters, 2, cells)) * (rng.random((clusters, 2, cells)) < filled)
    N = rng.binomial(D, 0.7)
    g, t, c = np.nonzero(D)
    units = cluster_units(g[None], t, c, D[g, t, c], N[g, t, c], cells)
    return units, np.stack([D, N], axis=1).astype(float)


def in_given_order(units: Units, sums: np.ndarray) -> np.ndarray:
    """The row of the unit sums that each of the given clusters has."""
    flat = sums.reshape(len(sums), -1)
    held = units.ways[0].sums.toarray()
    return np.array([np.flatnonzero((held == row).all(axis=1))[0] for row in flat])


@pytest.mark.parametrize("filled", [0.2, 0.9])
def test_in_thin_cells_a_cluster_moves_a_rate_by_what_leaving_it_out_changes(filled):
    units, sums = some_units(1, 12, 7, filled)
    S = 7
    everywhere = np.ones((2, S), dtype=bool)
    changed = units.delete_one(everywhere[0], everywhere).ways[0].sums.toarray()
    milder = units.delete_one(everywhere[0], ~everywhere).ways[0].sums.toarray()
    order = in_given_order(units, sums)
    D, N = sums.sum(axis=0)
    checked = alone = 0
    for g, (Dg, Ng) in enumerate(sums):
        for t, c in np.argwhere(Dg > 0):
            r, left = N[t, c] / D[t, c], D[t, c] - Dg[t, c]
            # psi of the cell's rate: the gradient (-r, 1) / D at the unit's sums.
            psi, half = (
                (x[order[g], (2 + t) * S + c] - r * x[order[g], t * S + c]) / D[t, c]
                for x in (changed, milder)
            )
            plain = (Ng[t, c] - r * Dg[t, c]) / D[t, c]
            if left == 0:
                alone += 1
                assert psi == pytest.approx(plain, abs=1e-14)
                assert half == pytest.approx(plain, abs=1e-14)
            else:
                checked += 1
                without = (N[t, c] - Ng[t, c]) / left
                assert psi == pytest.approx(r - without, abs=1e-14)
                # Elsewhere by the geometric mean of that and the linear change.
                assert half**2 == pytest.approx(psi * plain, abs=1e-14)
                assert half * plain >= 0
    assert checked > 20
    assert (alone > 0) == (filled < 0.5)


def test_rates_that_are_not_taken_as_observed_keep_their_units():
    units, _ = some_units(2, 12, 7, 0.5)
    taken = np.arange(7) % 2 == 0
    before = units.ways[0].sums.toarray()
    after = units.delete_one(taken, np.ones((2, 7), dtype=bool)).ways[0].sums.toarray()
    cells = np.tile(taken, 4)
    np.testing.assert_array_equal(after[:, ~cells], before[:, ~cells])
    np.testing.assert_array_equal(after[:, : 2 * 7], before[:, : 2 * 7])
    assert (after[:, 14:][:, cells[14:]] != before[:, 14:][:, cells[14:]]).any()


@pytest.mark.parametrize(("n", "power"), [(36, 1.0), (900, 0.5)])
def test_the_rate_line_has_the_error_of_leaving_clusters_out_by_hand(n, power):
    rows = reviews(3, n)
    change = explain(rows, by=["queue"], rates="saturated")
    cell = rows.groupby(["month", "queue"])["correct"].agg(["sum", "size"])
    assert (cell["size"] < 10).tolist() == [power == 1] * 6
    own = rows.groupby(["moderator", "month", "queue"])["correct"].agg(["sum", "size"])
    own = own.unstack(["month", "queue"], fill_value=0).reorder_levels([1, 2, 0], axis=1)
    share = (cell["size"] / cell["size"].groupby("month").sum()).unstack("month")
    rate = (cell["sum"] / cell["size"]).unstack("month")
    psi = pd.Series(0.0, index=own.index)
    for (month, queue), (N, D) in cell.iterrows():
        n_g, d_g = own[month, queue, "sum"], own[month, queue, "size"]
        residual = (n_g - N / D * d_g) / D * (D / (D - d_g)) ** power
        psi += (2 * month - 3) * share.mean(axis=1)[queue] * residual
        # The mean shares move too, which the rate line feels through each queue's change of rate.
        moved = rate[2] - rate[1]
        total = cell["size"][month].sum()
        psi += 0.5 * d_g / total * (moved[queue] - share[month] @ moved)
    G = len(psi)
    by_hand = np.sqrt(G / (G - 1) * ((psi - psi.mean()) ** 2).sum())
    assert change.effects["std_error"].iloc[-1] == pytest.approx(by_hand, rel=1e-10)


def test_leaving_one_out_widens_thin_cells_and_hardly_moves_full_ones():
    ratios = []
    for rows in (300, 20_000):
        change = explain(reviews(4, rows), rates="saturated")
        plain = std_errors(change._parts.gradient, change._units)
        ratios.append(change.effects["std_error"].iloc[-1] / plain[-1])
    assert ratios[0] > 1.1
    assert 1 < ratios[1] < 1.03


@pytest.mark.parametrize(("each", "power"), [(6, 1.0), (80, 0.5)])
def test_residuals_of_independent_rows_grow_by_n_over_n_minus_1(each, power):
    rng = np.random.default_rng(5)
    # The same shares in both periods: the rate line is a plain sum of cell means.
    rows = pd.DataFrame({"month": np.repeat([1, 2], 4 * each), "queue": np.arange(8 * each) % 4})
    rows["seconds"] = rng.gamma(2, 20, 8 * each)
    change = at.explain(
        rows, "ratio(seconds / 1)", by="queue", **{**ASK, "cluster": None}, rates="saturated"
    )
    cells = rows.groupby(["month", "queue"])["seconds"]
    variance = cells.var(ddof=0) / each * (each / (each - 1)) ** (2 * power)
    moved = cells.mean()[2] - cells.mean()[1]
    # Shares are estimated as well; what they bring is the spread of the rate changes.
    of_shares = 2 * 0.25 / (4 * each) * moved.var(ddof=0)
    n = len(rows)
    by_hand = np.sqrt(n / (n - 1) * (variance.sum() / 16 + of_shares))
    assert change.effects["std_error"].iloc[-1] == pytest.approx(by_hand, rel=1e-10)


def test_the_total_and_additive_rates_know_nothing_of_it():
    rows = reviews(6, 400)
    saturated, additive = (explain(rows, rates=r) for r in ("saturated", "additive"))
    assert saturated.total == additive.total
    R = additive._parts.R
    sums = rows.groupby(["moderator", "month"])["correct"].agg(["sum", "size"]).unstack("month")
    D = rows.groupby("month").size()
    psi = sum(
        sign * (sums["sum"][t].fillna(0) - R[t - 1] * sums["size"][t].fillna(0)) / D[t]
        for t, sign in ((1, -1), (2, 1))
    )
    assert saturated.total.std_error == pytest.approx(np.sqrt(30 / 29 * (psi**2).sum()))
    plain = std_errors(additive._parts.gradient, additive._units)
    np.testing.assert_allclose(
        additive.effects["std_error"], np.where(plain > 1e-12, plain, 0), rtol=1e-12
    )
    V = covariance(additive._parts.gradient, additive._units)
    assert V.sum() == pytest.approx(additive.total.std_error**2)


def test_cells_of_a_single_cluster_are_reported():
    rows = reviews(7, 4000)
    extra = rows.head(40).assign(queue=3, market=0, tenure=0, month=[1, 2] * 20, moderator=7)
    change = explain(pd.concat([rows, extra]), rates="saturated")
    found = finding(change, "cells_of_one_unit")
    assert found is not None
    assert found["facts"]["cells"] == 2
    assert found["facts"]["share"] == pytest.approx(40 / 4040)
    assert "a single moderator" in found["message"]
    assert found["severity"] == "info"
    many = explain(rows.head(80), rates="saturated")
    assert finding(many, "cells_of_one_unit")["severity"] == "warning"
    assert finding(explain(rows, rates="saturated"), "cells_of_one_unit") is None
    # Additive rates do not rest on a cell of their own.
    assert finding(explain(pd.concat([rows, extra]), rates="additive"), "cells_of_one_unit") is None


# -- pairs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pairs", [[("queue", "market")], [("queue", "market"), ("market", "tenure")]]
)
def test_named_pairs_reproduce_their_two_way_margins(pairs):
    change = explain(reviews(8, 1500), rates="pairs", pairs=pairs)
    cube, parts = change.cube, change._parts
    D, N = cube.sums["#rows"], cube.sums["correct"]
    assert parts.turnover.stayed.all()
    fitted = parts.stages.rates.r * D
    off = 0.0
    for a, b in [("queue", "market"), ("market", "tenure"), ("queue", "tenure")]:
        i, j = cube.dimension_index(a), cube.dimension_index(b)
        pair = cube.codes[:, i] * 10 + cube.codes[:, j]
        for t in (0, 1):
            missed = np.abs(np.bincount(pair, fitted[t] - N[t])).max()
            if (a, b) in pairs:
                assert missed < 1e-9 * N[t].sum()
            else:
                off = max(off, missed)
    assert off > 0.1
    assert change.effects["estimate"].sum() == pytest.approx(change.total.change, abs=1e-15)
    additive = explain(reviews(8, 1500), rates="additive")
    assert change.total == additive.total
    assert not np.allclose(change.effects["estimate"], additive.effects["estimate"], atol=1e-5)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_pair_that_lacks_fit_is_found(seed):
    rows = reviews(seed, 3000, interaction=0.15)
    change = explain(rows, rates="pairs")
    assert change._parts.form == "pairs"
    first = explain(rows, rates="additive").lack_of_fit()
    assert list(first.loc[0, ["first", "second"]]) == ["queue", "market"]
    assert first["p_adjusted"][0] < 0.05
    named = explain(rows, rates="pairs", pairs=[("queue", "market")])
    if (first["p_adjusted"] < 0.05).sum() == 1:
        pd.testing.assert_frame_equal(change.effects, named.effects)


def test_no_pair_is_found_where_rates_are_additive():
    found = [explain(reviews(seed, 600), rates="pairs") for seed in range(6)]
    fitted = [change for change in found if change._parts.form == "pairs"]
    # At the 5 % level of one family each, three of six come in 0.2 % of such sets of seeds.
    assert len(fitted) <= 2
    plain = next(change for change in found if change._parts.form == "additive")
    assert "no pair of dimensions lacks fit" in finding(plain, "rates")["message"]
    assert "no pair of dimensions lacks fit" in plain.summary()


def test_lack_of_fit_has_a_row_per_pair_the_worst_first():
    fit = explain(PAIRED, rates="additive").lack_of_fit()
    assert list(fit.columns) == ["first", "second", "p_adjusted"]
    assert len(fit) == 3
    assert fit["p_adjusted"].is_monotonic_increasing
    assert fit["p_adjusted"].between(0, 1).all()
    assert explain(reviews(1, 500), by=["queue"], rates="additive").lack_of_fit().empty


def test_observed_rates_lack_no_fit():
    fit = explain(PAIRED, rates="saturated").lack_of_fit()
    assert (fit["p_adjusted"] == 1).all()


def test_a_pair_that_is_fitted_lacks_no_fit():
    rows = PAIRED
    fit = explain(rows, rates="pairs", pairs=[("queue", "market")]).lack_of_fit()
    pair = fit[(fit["first"] == "queue") & (fit["second"] == "market")]
    assert pair["p_adjusted"].iloc[0] == 1


def test_a_dimension_within_another_lacks_no_fit_with_it():
    rows = reviews(2, 3000)
    rows["region"] = rows["market"] // 2
    change = explain(rows, by=["queue", "market", "region"], rates="pairs")
    assert change._parts.form == "additive"
    fit = change.lack_of_fit()
    nested = fit[(fit["first"] == "market") & (fit["second"] == "region")]
    assert nested["p_adjusted"].iloc[0] == 1


def test_the_pairs_in_use_are_named():
    rows = PAIRED
    for change in (
        explain(rows, rates="pairs", pairs=[("queue", "market")]),
        explain(rows, rates="pairs"),
    ):
        message = finding(change, "rates")["message"]
        assert "queue" in message
        assert "market" in message


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("queue", "markt")], r"pairs: no dimension 'markt'.*Did you mean 'market'"),
        ([("queue", "queue")], r"pairs: \('queue', 'queue'\) is not a pair"),
        (["queue"], "pairs: 'queue' is not a pair"),
        (("queue", "market"), "pairs: 'queue' is not a pair of dimensions, as in"),
        ([("queue", "market", "tenure")], "is not a pair"),
        ([], "pairs: an empty list"),
        (5, "pairs: 5"),
        ([5], "pairs: 5"),
    ],
)
def test_what_is_no_pair_is_refused(pairs, words):
    with pytest.raises((at.errors.OptionError, at.errors.ColumnNotFoundError), match=words):
        explain(reviews(9, 200), rates="pairs", pairs=pairs)


def test_a_part_is_explained_with_the_pairs_that_are_left_in_it():
    """A pair of which one is fixed says nothing within the part; its files can be written."""
    rows = reviews(8, 1500)
    both = [("queue", "market"), ("market", "tenure")]
    change = explain(rows, rates="pairs", pairs=both)
    part = change.within(queue=0)
    own = rows[rows["queue"] == 0]
    asked = explain(own, by=["market", "tenure"], rates="pairs", pairs=both[1:])
    assert part.effects["estimate"].tolist() == pytest.approx(asked.effects["estimate"].tolist())
    assert part.options.pairs == (("market", "tenure"),)
    plain = change.within(market=0)
    assert plain._parts.form == "additive"
    assert plain.effects["estimate"].sum() == pytest.approx(plain.total.change, abs=1e-15)


@pytest.mark.parametrize("rates", ["auto", "saturated", "additive"])
def test_pairs_are_for_the_rates_of_that_name(rates):
    with pytest.raises(at.errors.OptionError, match=f"rates='pairs' only, not '{rates}'"):
        explain(reviews(9, 200), rates=rates, pairs=[("queue", "market")])


@pytest.mark.parametrize(("rows", "form"), [(300, "additive"), (3000, "saturated")])
def test_the_auto_rule_says_what_it_chose_and_why(rows, form):
    data = reviews(10, rows)
    change = explain(data)
    found = finding(change, "rates")
    assert found["facts"]["form"] == form
    assert found["message"].startswith(f"Rates are {form}: ")
    assert "median of" in found["message"]
    assert found["message"] in change.summary()
    assert change.provenance["rates"] == form
    assert f"{form} rates" in change.bridge().notes[1]
    other = {"additive": "saturated", "saturated": "additive"}[form]
    forced = explain(data, rates=other)
    assert forced.provenance["rates"] == other
    assert "(as asked)" in finding(forced, "rates")["message"]
