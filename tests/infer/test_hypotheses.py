"""Linear hypotheses: the grammar, against t-tests and statsmodels, size with few clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import attribution as at
from attribution.errors import ColumnTypeError, OptionError
from attribution.hypotheses import line_name, linear_test
from attribution.infer.hypotheses import LinearTest, wald

LINES = [
    ("mix", "queue", None),
    ("mix", "tenure", None),
    ("joint", None, None),
    ("rate", None, None),
    ("entry", "market", "ID"),
    ("exit", "market", "BR"),
    ("exit", "queue × market", "Live × JP"),
]


def row(**coefficients: float) -> list[float]:
    names = ["queue", "tenure", "joint", "rate", "entry", "exit", "exit_both"]
    return [coefficients.get(name, 0.0) for name in names]


@pytest.mark.parametrize(
    ("text", "R", "q"),
    [
        ("mix[tenure] = 0", [row(tenure=1)], [0]),
        ("  mix [ tenure ]=0 ", [row(tenure=1)], [0]),
        ("mix[queue] + mix[tenure] = 0", [row(queue=1, tenure=1)], [0]),
        ("mix[tenure] = rate", [row(tenure=1, rate=-1)], [0]),
        ("mix = 0", [row(queue=1, tenure=1)], [0]),
        ("mix + joint = rate", [row(queue=1, tenure=1, joint=1, rate=-1)], [0]),
        ("rate = -0.01", [row(rate=1)], [-0.01]),
        ("rate = −0.01", [row(rate=1)], [-0.01]),
        ("0 = rate + 1e-2", [row(rate=-1)], [0.01]),
        ("2 * rate - .5 * mix[queue] = 1 + 2", [row(rate=2, queue=-0.5)], [3]),
        ("-rate = --joint", [row(rate=-1, joint=-1)], [0]),
        ("rate - 3 + rate = 1", [row(rate=2)], [4]),
        ("rate = 0, joint = 0.1", [row(rate=1), row(joint=1)], [0, 0.1]),
        (["rate = 0", "joint = 0, mix = 0"], [row(rate=1), row(joint=1), row(queue=1, tenure=1)], [0, 0, 0]),
        ("entry[market: ID] = 0", [row(entry=1)], [0]),
        ("entry[market:ID] = 0", [row(entry=1)], [0]),
        ("entry[ID] = 0", [row(entry=1)], [0]),
        ("entry['market': 'ID'] = 0", [row(entry=1)], [0]),
        ("entry = 0", [row(entry=1)], [0]),
        ("exit[Live × JP] = 0", [row(exit_both=1)], [0]),
        ("exit[queue × market: Live × JP] = exit[BR]", [row(exit_both=1, exit=-1)], [0]),
        ("exit = 0", [row(exit=1, exit_both=1)], [0]),
    ],
)  # fmt: skip
def test_a_text_is_its_matrix(text, R, q):
    found = linear_test(LINES, text)
    assert found[0].tolist() == R
    assert found[1] == pytest.approx(q)


@pytest.mark.parametrize(
    "name",
    [
        "my dim",
        "очередь",
        "待ち行列",
        "a: b",
        "x]y",
        "L'Aquila",
        'the "new" ones',
        "10:00",
        "a,b=c",
        "'",
    ],
)
def test_any_name_can_be_written_and_its_own_name_is_understood(name):
    lines = [("mix", name, None), ("entry", "market", name), ("rate", None, None)]
    for i, line in enumerate(lines):
        R, _ = linear_test(lines, f"{line_name(line)} = 0")
        assert np.flatnonzero(R[0]).tolist() == [i]
    quote = '"' if "'" in name else "'"
    R, _ = linear_test(lines, f"entry[market: {quote}{name}{quote}] = rate")
    assert R.tolist() == [[0, 1, -1]]


def test_names_with_an_apostrophe_need_no_quotes():
    lines = [("entry", "city", "L'Aquila"), ("entry", "city", "L'Orient")]
    R, _ = linear_test(lines, "entry[L'Aquila] = entry[city: L'Orient]")
    assert R.tolist() == [[1, -1]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mix[tenur] = 0", r"no line 'mix\[tenur\]'. Did you mean 'mix\[tenure\]'\? Lines: 'mix\[queue\]'"),
        ("mixx = 0", r"no line 'mixx'. Did you mean 'mix'"),
        ("rate[queue] = 0", r"no line 'rate\[queue\]'"),
        ("joint[] = 0", "no line"),
        ("tenure = 0", "no line 'tenure'"),
        ("interaction = 0", "no line 'interaction'"),
        ("mix[tenure]", "needs one '='"),
        ("rate = joint = 0", "needs one '='"),
        ("rate == 0", "nothing beside '='"),
        ("rate = ", "nothing beside '='"),
        ("= 0", "nothing beside '='"),
        ("rate = 0,", "nothing beside ','"),
        ("", "nothing in it"),
        ("rate > 0", "Two-sided"),
        ("rate = 1 pp", "not understood at 'pp'"),
        ("rate joint = 0", "not understood at 'joint'"),
        ("2 rate = 0", "not understood at 'rate'"),
        ("rate * 2 = 0", r"not understood at '\*'"),
        ("2 * 3 = rate", "not understood at '3'"),
        ("2 * = rate", "ends where a line should follow"),
        ("rate + = 0", "ends where a line should follow"),
        ("rate / 2 = 0", "not understood at '/ 2 = 0'"),
        ("rate = 5 %", "not understood at '%'"),
        ("rate[ = 0", "not understood"),
        ("rate = rate", "says nothing about a line"),
        ("1 = 1", "says nothing about a line"),
    ],
)  # fmt: skip
def test_what_is_no_hypothesis_is_refused_with_the_reason(text, words):
    with pytest.raises(OptionError, match=f"^hypothesis: .*{words}"):
        linear_test(LINES, text)


def test_a_level_of_two_dimensions_needs_its_dimension():
    lines = [("entry", "market", "ID"), ("entry", "site", "ID")]
    with pytest.raises(OptionError, match="'entry\\[market: ID\\]', 'entry\\[site: ID\\]'"):
        linear_test(lines, "entry[ID] = 0")
    assert linear_test(lines, "entry[site: ID] = 0")[0].tolist() == [[0, 1]]


@pytest.mark.parametrize("text", [None, 3, [], ["rate = 0", 3]])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(ColumnTypeError, match="^hypothesis: "):
        linear_test(LINES, text)


# -- the test itself ---------------------------------------------------------------------------


NAMES = [
    ("mix", "queue", None),
    ("mix", "tenure", None),
    ("joint", None, None),
    ("rate", None, None),
]


@pytest.fixture(scope="module")
def psi() -> np.ndarray:
    """What each of 40 clusters adds to four correlated lines, in KPI units."""
    rng = np.random.default_rng(8)
    mixing = [[1, 0.5, 0, 0.8], [0, 1, 0.1, -0.7], [0, 0, 0.3, 0], [0.4, 0, 0, 2]]
    return 4e-4 * (rng.normal(size=(40, 4)) @ mixing + [0.05, -0.3, 0.02, -0.2])


def asked(psi: np.ndarray, text: str) -> LinearTest:
    R, q = linear_test(NAMES, text)
    G = len(psi)
    return wald(psi.sum(axis=0), G * np.cov(psi.T), R, q, G - 1, text)


def test_one_line_has_its_own_t_test(psi):
    for text, i in [("mix[tenure] = 0", 1), ("rate = 0", 3)]:
        found, theirs = asked(psi, text), stats.ttest_1samp(psi[:, i], 0.0)
        assert found.statistic == pytest.approx(theirs.statistic)
        assert found.p_value == pytest.approx(theirs.pvalue)
        assert found.estimate[0] == pytest.approx(psi[:, i].sum())
        assert (found.df_num, found.df_denom) == (1, 39)


def test_a_sum_of_lines_has_the_t_test_of_the_sum(psi):
    found = asked(psi, "mix + joint + 2 * rate = -0.002")
    each = psi @ [1, 1, 1, 2] + 0.002 / 40
    assert found.estimate[0] == pytest.approx(each.sum())
    assert found.p_value == pytest.approx(stats.ttest_1samp(each, 0.0).pvalue)


def test_sides_signs_and_scale_of_a_hypothesis_do_not_matter(psi):
    ps = [
        asked(psi, text).p_value
        for text in ("mix[tenure] = rate", "rate - mix[tenure] = 0", "2 * rate = 2 * mix[tenure]")
    ]
    assert ps == pytest.approx([ps[0]] * 3)


def test_the_units_of_the_lines_do_not_matter(psi):
    text = "mix[queue] = rate, joint = 0"
    assert asked(psi * 1e6, text).p_value == pytest.approx(asked(psi, text).p_value)


def test_a_hypothesis_at_the_estimate_is_not_rejected(psi):
    assert asked(psi, f"rate = {psi[:, 3].sum():.17g}").p_value == pytest.approx(1)


def test_the_lines_of_an_attribution_are_understood():
    frame = pd.DataFrame(
        {
            "month": [1, 1, 2, 2, 2],
            "queue": ["A", "B", "A", "B", "new one"],
            "correct": [90, 80, 85, 82, 40],
            "reviewed": [100, 100, 90, 110, 50],
        }
    )
    change = at.explain(
        frame, "correct / reviewed", by=["queue"], period="month", baseline=1, current=2
    )
    effects = change.effects.astype(object).where(change.effects.notna(), None)
    lines = list(effects[["effect", "dimension", "segment"]].itertuples(index=False, name=None))
    R, _ = linear_test(lines, "mix[queue] + entry[new one] = entry[queue: new one] + 2 * rate")
    b = change.effects.set_index("effect")["estimate"]
    assert R @ change.effects["estimate"] == pytest.approx([b["mix"] - 2 * b["rate"]])


def test_joint_tests_agree_with_statsmodels_but_for_the_small_sample_factor():
    from statsmodels.regression.linear_model import OLS

    rng = np.random.default_rng(6)
    clusters = np.repeat(np.arange(15), 20)
    X = np.column_stack(
        [np.ones(300), rng.normal(size=(300, 3)) + rng.normal(size=(15, 3))[clusters]]
    )
    y = X @ [1, 0.1, 0, -0.1] + rng.normal(size=15)[clusters] + rng.normal(size=300)
    fit = OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    R, q = np.eye(4)[1:], np.array([0.0, 0.05, -0.1])
    theirs = fit.f_test((R, q))
    found = wald(fit.params, fit.cov_params(), R, q, 14)
    assert found.statistic == pytest.approx(float(theirs.fvalue) * 12 / 14)
    assert (found.df_num, found.df_denom) == (3, 12)
    single = fit.t_test((R[:1], q[:1]))
    mine = wald(fit.params, fit.cov_params(), R[:1], q[:1], 14)
    assert mine.statistic == pytest.approx(single.tvalue.item())
    assert mine.p_value == pytest.approx(float(single.pvalue))


def test_many_lines_over_few_clusters_keep_the_level():
    rng = np.random.default_rng(7)
    G, k, rejected = 12, 6, 0
    for _ in range(2000):
        psi = rng.normal(size=(G, k)) @ np.linspace(0.2, 2, k * k).reshape(k, k)
        psi += 0.3 * rng.normal(size=(G, k))
        V = G * np.cov(psi.T)
        rejected += wald(psi.sum(axis=0), V, np.eye(k), np.zeros(k), G - 1).p_value < 0.05
    assert rejected / 2000 == pytest.approx(0.05, abs=0.015)


def test_hypotheses_that_follow_from_others_count_once(psi):
    two = asked(psi, "mix[queue] = 0, mix[tenure] = 0")
    three = asked(psi, "mix[queue] = 0, mix[tenure] = 0, mix = 0")
    assert three.df_num == two.df_num == 2
    assert three.statistic == pytest.approx(two.statistic)
    assert three.p_value == pytest.approx(two.p_value)
    twice = asked(psi, "rate = 0, 2 * rate = 0")
    assert twice.p_value == pytest.approx(asked(psi, "rate = 0").p_value)


def test_hypotheses_that_contradict_each_other_are_refused(psi):
    with pytest.raises(OptionError, match="contradict"):
        asked(psi, "rate = 0, rate = 0.01")


def test_lines_without_variance_are_refused():
    b, V = np.array([-0.01, 0.0, 0.01]), np.diag([1e-4, 1e-40, 1e-4])
    V[0, 2] = V[2, 0] = -1e-4
    with pytest.raises(OptionError, match=r"^hypothesis: 'joint = 0' has no variance"):
        wald(b, V, np.array([[0.0, 1, 0]]), np.zeros(1), 30, "joint = 0")
    with pytest.raises(OptionError, match="part 2 of 'rate = 0, joint = 0'"):
        wald(b, V, np.eye(3)[[0, 1]], np.zeros(2), 30, "rate = 0, joint = 0")
    with pytest.raises(OptionError, match="has no variance"):
        wald(b, V, np.array([[1.0, 0, 1]]), np.zeros(1), 30)
    with pytest.raises(OptionError, match="no covariance"):
        wald(b, np.full((3, 3), np.nan), np.eye(3)[:1], np.zeros(1), 0)


def test_a_combination_that_cancels_but_for_rounding_is_refused():
    for seed in range(20):
        psi = np.random.default_rng(seed).normal(size=(30, 3)) * [1e-3, 2e-3, 1]
        psi[:, 2] = psi[:, 0] + psi[:, 1]
        V = 30 * np.cov(psi.T)
        with pytest.raises(OptionError, match="has no variance"):
            wald(psi.sum(axis=0), V, np.array([[1.0, 1, -1]]), np.zeros(1), 29)


def test_more_hypotheses_than_clusters_are_refused():
    rng = np.random.default_rng(3)
    psi = rng.normal(size=(4, 6))
    V = 4 * np.cov(psi.T)
    with pytest.raises(OptionError, match="Test fewer together"):
        wald(psi.sum(axis=0), V, np.eye(6), np.zeros(6), 3)
    with pytest.raises(OptionError, match="4 hypotheses together need more than 4"):
        wald(np.ones(4), np.eye(4), np.eye(4), np.zeros(4), 3)
    assert 0 < wald(np.ones(3), np.eye(3), np.eye(3), np.zeros(3), 3).p_value < 1


def test_the_text_states_the_null_and_the_finding(psi):
    single, joint = asked(psi, "rate = 0"), asked(psi, "rate = 0, mix[tenure] = 0")
    assert str(single).startswith("Null hypothesis: rate = 0. Left minus right: -0.0")
    assert "t(39) = " in str(single)
    assert "F(2, 38) = " in str(joint)
    assert repr(joint).startswith("<LinearTest rate = 0, mix[tenure] = 0: p")
