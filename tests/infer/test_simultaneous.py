"""Adjusted p-values and simultaneous intervals: what they bound, agree with and do not depend on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

import attribution as at
from attribution.infer import Units, adjusted_p_values, cluster_units, critical_value

ASK = {"by": ["queue", "market"], "period": "month", "baseline": 1, "current": 2}
SEEN = "ratio(seconds / 1)"


def handling(seed: int, clusters: int, rows: int = 1500, moved: float = 0.3) -> pd.DataFrame:
    """Handle times of moderators; two queues get slower and one market grows."""
    rng = np.random.default_rng(seed)
    who, month = rng.integers(0, clusters, rows), rng.integers(1, 3, rows)
    queue = rng.integers(0, 3, rows)
    market = np.where(rng.random(rows) < 0.15 * month, 0, rng.integers(0, 3, rows))
    mean = 1 + 0.2 * market + moved * queue * (month == 2) + rng.normal(0, 0.2, clusters)[who]
    return pd.DataFrame(
        {
            "month": month,
            "queue": queue,
            "market": market,
            "who": who,
            "seconds": rng.gamma(4, np.maximum(mean, 0.1) / 4),
        }
    )


# One scan per table, however often it is asked about.
SCANNED: dict[tuple[int, str], tuple[pd.DataFrame, at.Cube]] = {}


def explain(rows: pd.DataFrame, **options) -> at.Attribution:
    asked = {"cluster": "who", **ASK, **options}
    read = {k: asked.pop(k) for k in ("by", "period", "cluster", "on_invalid") if k in asked}
    key = id(rows), str(read)
    if key not in SCANNED:
        SCANNED[key] = rows, at.Cube.from_data(rows, SEEN, **read)
    return SCANNED[key][1].explain(**asked)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return handling(1, 40)


@pytest.mark.parametrize("adjust", ["bh", "holm"])
def test_step_procedures_are_those_of_statsmodels(rows, adjust):
    found = explain(rows, adjust=adjust).effects
    method = {"bh": "fdr_bh", "holm": "holm"}[adjust]
    expected = multipletests(found["p_value"], method=method)[1]
    np.testing.assert_allclose(found["p_adjusted"], expected, rtol=1e-12)


def test_no_adjustment_leaves_p_values_as_they_are(rows):
    found = explain(rows, adjust=None)
    np.testing.assert_array_equal(found.effects["p_adjusted"], found.effects["p_value"])
    assert "p-values adjusted" not in found.summary()
    assert "p-values adjusted (max-t)" in explain(rows).summary()
    assert found.provenance["adjust"] is None


@pytest.mark.parametrize("adjust", ["maxt", "bonferroni", "", True])
def test_an_unknown_adjustment_lists_the_known(rows, adjust):
    with pytest.raises(at.errors.OptionError, match="adjust: .* is not one of 'max-t', 'holm'"):
        explain(rows, adjust=adjust)


@pytest.mark.parametrize("seed", range(2))
def test_max_t_lies_between_the_plain_p_value_and_bonferroni(seed):
    found = explain(handling(seed, 60, moved=0.05)).effects
    plain, adjusted = found["p_value"], found["p_adjusted"]
    # A draw of 1,999 knows a p-value to one or two points.
    slack = 3 * np.sqrt(0.25 / 1999)
    assert (adjusted >= plain).all()
    assert (adjusted <= np.minimum(len(found) * plain, 1) + slack).all()
    assert (adjusted > plain).any()


def test_the_order_of_evidence_is_kept(rows):
    found = explain(rows).effects.sort_values("p_value")
    assert found["p_adjusted"].is_monotonic_increasing


@pytest.mark.parametrize("clusters", [9, 40])
def test_simultaneous_intervals_exclude_0_where_the_adjusted_p_value_is_small(clusters):
    excluded = []
    for seed in range(2):
        change = explain(handling(seed, clusters, moved=0.05))
        assert not change._evidence.lines.found.few.any()
        adjusted = change.effects["p_adjusted"].to_numpy()
        for level in (0.5, 0.8, 0.95):
            intervals = change.conf_int(level, simultaneous=True).drop("total")
            excludes = (intervals["conf_low"] > 0) | (intervals["conf_high"] < 0)
            # Where a p-value is 1 - level itself the interval excludes 0.
            np.testing.assert_array_equal(excludes, adjusted <= 1 - level + 1e-9)
            plain = change.conf_int(level).drop("total")
            assert (intervals["conf_low"] <= plain["conf_low"]).all()
            assert (intervals["conf_high"] >= plain["conf_high"]).all()
            excluded += excludes.tolist()
    assert 0 < np.mean(excluded) < 1


def test_the_total_is_a_family_of_its_own(rows):
    change = explain(rows)
    alone = change.conf_int().loc["total"]
    pd.testing.assert_series_equal(change.conf_int(simultaneous=True).loc["total"], alone)
    assert alone.tolist() == [change.total.conf_low, change.total.conf_high]


def test_a_level_that_few_clusters_cannot_support_excludes_nothing():
    rows = handling(2, 7, rows=3000, moved=1.0)
    change = explain(rows, conf_level=0.99)
    # 2^6 sign patterns: no p-value is below 1/64, which is above 0.01.
    assert change.effects["p_adjusted"].min() >= 1 / 64
    intervals = change.conf_int(simultaneous=True).drop("total")
    assert not ((intervals["conf_low"] > 0) | (intervals["conf_high"] < 0)).any()


# -- what they do not depend on ---------------------------------------------------------------


@pytest.mark.parametrize("clusters", [11, 40])
def test_names_of_clusters_and_the_order_of_rows_do_not_matter(clusters):
    rows = handling(3, clusters)
    renamed = rows["who"].map(dict(enumerate(np.random.default_rng(0).permutation(clusters))))
    shuffled = rows.sample(frac=1, random_state=0)
    plain = explain(rows).effects["p_adjusted"]
    for other in (rows.assign(who=renamed), shuffled):
        pd.testing.assert_series_equal(explain(other).effects["p_adjusted"], plain, rtol=1e-9)


def test_the_unit_of_the_kpi_does_not_matter_to_enumerated_signs():
    rows, factor = handling(3, 12), 100
    other = explain(rows.assign(seconds=rows["seconds"] * factor))
    change = explain(rows)
    np.testing.assert_allclose(other.effects["p_adjusted"], change.effects["p_adjusted"])
    np.testing.assert_allclose(other.effects["estimate"], factor * change.effects["estimate"])


def test_the_unit_of_the_kpi_does_not_matter_to_drawn_signs():
    rows = handling(3, 40)
    other = explain(rows.assign(seconds=rows["seconds"] * 100))
    np.testing.assert_allclose(other.effects["p_adjusted"], explain(rows).effects["p_adjusted"])


def test_twelve_clusters_are_enumerated_whatever_the_seed():
    clusters = 12
    rows = handling(4, clusters, moved=0.05)
    found = [explain(rows, rng=seed).effects for seed in (0, 1)]
    pd.testing.assert_frame_equal(*found)
    adjusted = found[0]["p_adjusted"][found[0]["p_adjusted"] > found[0]["p_value"]]
    assert len(adjusted) >= 2
    counted = adjusted * 2 ** (clusters - 1)
    np.testing.assert_allclose(counted, counted.round(), atol=1e-6)


def test_drawn_signs_follow_the_seed():
    rows = handling(4, 13, moved=0.05)
    first, again, other = (explain(rows, rng=seed).effects["p_adjusted"] for seed in (0, 0, 1))
    pd.testing.assert_series_equal(first, again)
    assert (first != other).any()
    np.testing.assert_allclose(first, other, atol=0.08)


# -- what belongs to a family -----------------------------------------------------------------


def test_lines_without_variance_have_no_p_value_and_leave_the_family(rows):
    change = explain(rows, rates="additive", adjust="holm")
    joint = change.effects.query("effect == 'joint'").iloc[0]
    assert joint["std_error"] == 0
    assert np.isnan(joint[["p_value", "p_adjusted"]].to_numpy(float)).all()
    others = change.effects.query("effect != 'joint'")
    expected = multipletests(others["p_value"], method="holm")[1]
    np.testing.assert_allclose(others["p_adjusted"], expected)


def test_a_table_of_levels_is_one_family(rows):
    change = explain(rows, adjust="holm")
    levels = change.levels("queue")
    parts = ["mix", "rate", "total"]
    p = np.concatenate([levels[f"{part}_p_value"] for part in parts])
    adjusted = np.concatenate([levels[f"{part}_p_adjusted"] for part in parts])
    np.testing.assert_allclose(adjusted, multipletests(p, method="holm")[1])
    # By itself, whatever other views hold.
    own = explain(rows, adjust="max-t").levels("queue")
    before = explain(rows, adjust="max-t")
    before.levels("market")
    pd.testing.assert_frame_equal(before.levels("queue"), own)


def test_lines_of_too_few_units_leave_the_family(rows):
    new = rows[rows["month"] == 2].head(60).assign(queue=9)
    new = new.assign(who=new["who"] % 3)
    change = explain(pd.concat([rows, new]), adjust="holm")
    few = change.effects["effect"] == "entry"
    assert few.sum() == 1
    assert change.effects.loc[few, "p_value"].notna().all()
    assert change.effects.loc[few, "p_adjusted"].isna().all()
    expected = multipletests(change.effects.loc[~few, "p_value"], method="holm")[1]
    np.testing.assert_allclose(change.effects.loc[~few, "p_adjusted"], expected)
    # Nor do simultaneous intervals change what is known of it.
    name = "entry[queue: 9]"
    alone, together = change.conf_int().loc[name], change.conf_int(simultaneous=True).loc[name]
    pd.testing.assert_series_equal(alone, together)


# -- false claims -----------------------------------------------------------------------------


def made_units(clusters: int) -> Units:
    g = np.arange(clusters)
    one = np.ones(clusters)
    return cluster_units(g[None], g * 0, g * 0, one, one, 1)


def null_families(worlds: int, clusters: int, lines: int) -> np.ndarray:
    """What clusters of unequal size bring to correlated lines when nothing happened."""
    rng = np.random.default_rng(7)
    size = rng.lognormal(0, 0.5, (worlds, clusters, 1))
    common = rng.standard_t(5, (worlds, clusters, 1))
    return size * (rng.standard_t(5, (worlds, clusters, lines)) + common)


def two_sided(t: np.ndarray, degrees: int) -> np.ndarray:
    return 2 * stats.t.sf(np.abs(t), degrees)


def test_false_claims_are_as_rare_as_the_level_says():
    worlds, clusters = 400, 12
    units = made_units(clusters)
    claims = outside = unadjusted = 0
    for x in null_families(worlds, clusters, 6):
        psi = x - x.mean(axis=0)
        t = x.sum(axis=0) / np.sqrt(clusters / (clusters - 1) * (psi**2).sum(axis=0))
        plain = two_sided(t, clusters - 1)
        p = adjusted_p_values(plain, t, [psi], units, "max-t", 0)
        claims += p.min() < 0.05
        unadjusted += plain.min() < 0.05
        outside += np.abs(t).max() > critical_value([psi], units, 0.95, 0)
    limit = 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / worlds)
    assert claims / worlds <= limit
    assert outside / worlds <= limit
    # The family is large enough to need it, and it still finds something.
    assert unadjusted / worlds > 0.12
    assert claims / worlds > 0.01


def test_a_line_that_moved_is_claimed():
    units, found = made_units(12), 0
    for x in null_families(50, 12, 6):
        x = x / np.abs(x).mean()
        x[:, 2] += 2
        psi = x - x.mean(axis=0)
        t = x.sum(axis=0) / np.sqrt(12 / 11 * (psi**2).sum(axis=0))
        p = adjusted_p_values(two_sided(t, 11), t, [psi], units, "max-t", 0)
        found += p[2] < 0.05
    assert found > 35
