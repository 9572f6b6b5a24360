"""Published decompositions by factors, recomputed to the tolerance of their tables.

Das Gupta's numbers: Prithwis Das Gupta (1993), Standardization and Decomposition of Rates: A User's
Manual, US Bureau of the Census, Current Population Reports P23-186 (public domain), tables as
numbered below; figures as carried by the R package DasGuptR. They are the tables' effects of each
factor, and the rates standardized to the other factors, whose difference the effects are.
"""

from __future__ import annotations

import numpy as np
import pytest

from attribution.decompose.factors import shapley_value
from attribution.drivers import Factors, factors

TOLERANCE = 1e-6

# formula, the factors of both populations, their effects
SCALARS = [
    pytest.param(
        "avg_earnings * earner_prop",
        {"avg_earnings": 10930, "earner_prop": 0.717892},
        {"avg_earnings": 16591, "earner_prop": 0.825974},
        {"avg_earnings": 4369.912713, "earner_prop": 1487.262361},
        id="2.1 mean earnings, black and white males, US 1980",
    ),
    pytest.param(
        "birthsw1549 * propw1549 * propw",
        {"birthsw1549": 51.78746, "propw1549": 0.45919, "propw": 0.52638},
        {"birthsw1549": 84.90502, "propw1549": 0.75756, "propw": 0.51065},
        {"birthsw1549": 10.4340333493, "propw1549": 10.5608476330, "propw": -0.6670083809},
        id="2.2 birth rate, Austria and Chile 1981",
    ),
    pytest.param(
        "product",
        {"prop_m": 0.58, "noncontr": 0.76, "abort": 0.84, "lact": 0.66, "fecund": 16.573},
        {"prop_m": 0.72, "noncontr": 0.97, "abort": 0.97, "lact": 0.56, "fecund": 16.158},
        {
            "prop_m": 1.090978450053334,
            "noncontr": 1.22984382773,
            "abort": 0.7278399475966673,
            "lact": -0.8398706757333328,
            "fecund": -0.12901865556666645,
        },
        id="2.4 total fertility rate, South Korea",
    ),
    pytest.param(
        "crude_birth - crude_death",
        {"crude_birth": 19.4, "crude_death": 10.8},
        {"crude_birth": 23.7, "crude_death": 9.5},
        {"crude_birth": 4.3, "crude_death": 1.3},
        id="3.1 rate of natural increase, US 1940 and 1960",
    ),
]


def effects(change: Factors) -> dict[str, float]:
    return change.effects.groupby("dimension")["estimate"].sum().to_dict()


@pytest.mark.parametrize("method", ["shapley", "integral"])
@pytest.mark.parametrize(("formula", "first", "second", "published"), SCALARS)
def test_das_gupta_tables_of_numbers(formula, first, second, published, method):
    change = factors(formula, first, second, method=method)
    assert effects(change) == pytest.approx(published, rel=TOLERANCE)
    assert change.total.change == pytest.approx(sum(published.values()), rel=TOLERANCE)


# Table 4.3: births per 1,000 married women, share married, share of the population; seven ages.
TAIWAN_1960 = {
    "bm": [393, 407, 369, 274, 184, 90, 16],
    "mw": [0.122, 0.622, 0.903, 0.93, 0.916, 0.873, 0.8],
    "wp": [0.043, 0.041, 0.036, 0.032, 0.026, 0.02, 0.018],
}
TAIWAN_1970 = {
    "bm": [488, 452, 338, 156, 63, 22, 3],
    "mw": [0.082, 0.527, 0.866, 0.941, 0.942, 0.923, 0.876],
    "wp": [0.058, 0.038, 0.032, 0.03, 0.026, 0.023, 0.019],
}
TAIWAN_EFFECTS = {"bm": -7.285631833333339, "mw": -2.720633333333335, "wp": -1.5651808333333346}


@pytest.mark.parametrize(
    "function", ["sum(bm * mw * wp)", "product", lambda bm, mw, wp: float(bm @ (mw * wp))]
)
@pytest.mark.parametrize("asked", [{}, {"method": "integral"}, {"elements": True}])
def test_das_gupta_table_of_vectors(function, asked):
    change = factors(function, TAIWAN_1960, TAIWAN_1970, **asked)
    assert change.total.baseline == pytest.approx(38.774628, rel=TOLERANCE)
    assert change.total.current == pytest.approx(27.203182, rel=TOLERANCE)
    assert effects(change) == pytest.approx(TAIWAN_EFFECTS, rel=TOLERANCE)


# Table 5.1: share of 13 age groups (in %) and headship rates, US.
HEADSHIP_1970 = {
    "size": [12.9, 10.9, 9.5, 8.0, 7.8, 8.4, 8.6, 7.8, 7.0, 5.9, 4.7, 3.6, 4.9],
    "rate": [1.9, 25.8, 45.7, 49.6, 51.2, 51.6, 51.8, 54.9, 58.7, 60.4, 62.8, 66.6, 66.8],
}
HEADSHIP_1985 = {
    "size": [10.1, 11.2, 11.6, 10.9, 9.4, 7.7, 6.3, 6.0, 6.3, 5.9, 5.1, 4.0, 5.5],
    "rate": [2.2, 24.3, 45.8, 52.5, 56.1, 55.6, 56.0, 57.4, 57.2, 61.2, 63.9, 68.6, 72.2],
}
# Table 5.3: population (thousands) and death rates of 2 races x 11 ages, US.
DEATHS_1970 = {
    "size": [
        [2968, 11484, 34614, 30992, 21983, 20314, 20928, 16897, 11339, 5720, 1315],
        [535, 2162, 6120, 4781, 3096, 2718, 2363, 1767, 1149, 448, 117],
    ],
    "rate": [
        [18.469, 0.751, 0.391, 1.146, 1.287, 2.672, 6.636, 15.691, 34.723, 79.763, 176.837],
        [36.993, 1.352, 0.541, 2.04, 3.523, 6.746, 12.967, 24.471, 45.091, 74.902, 123.205],
    ],
}
DEATHS_1985 = {
    "size": [
        [3041, 11577, 27450, 32711, 35480, 27411, 19555, 19795, 15254, 8022, 2472],
        [707, 2692, 6473, 6841, 6547, 4352, 3034, 2540, 1749, 804, 236],
    ],
    "rate": [
        [9.163, 0.462, 0.248, 0.929, 1.084, 1.81, 4.715, 12.187, 27.728, 64.068, 157.57],
        [17.208, 0.738, 0.328, 1.103, 2.045, 3.724, 8.052, 17.812, 34.128, 68.276, 125.161],
    ],
}


@pytest.mark.parametrize(
    ("first", "second", "composition", "rate"),
    [
        pytest.param(HEADSHIP_1970, HEADSHIP_1985, 1.2269, 1.7403, id="5.1"),
        pytest.param(
            DEATHS_1970, DEATHS_1985, 1.5415096112753848, -2.227725369304172, id="5.3, both races"
        ),
    ],
)
def test_a_rate_over_a_population_has_the_published_composition_and_rate_effects(
    first, second, composition, rate
):
    change = factors("sum(size * rate) / sum(size)", first, second)
    assert effects(change) == pytest.approx({"size": composition, "rate": rate}, rel=1e-8)


# DemoDecomp's example of horiuchi(): R0 = 0.4886 sum(L F). Survivorship and fertility in the two
# periods and the published effects of both; of a sum of products an age's effects are its own.
R0 = {  # age: (L_0, F_0, L_1, F_1, effect of L, effect of F)
    15: (
        0.974511905895702,
        0.0044574915,
        0.977020728518587,
        0.000865188264183674,
        3.26229899272334e-06,
        -0.00171266441646711,
    ),
    20: (
        0.971169414836568,
        0.0437927249,
        0.974004223837712,
        0.0192584561353061,
        4.36657069662338e-05,
        -0.0116588297580904,
    ),
    25: (
        0.965634430772572,
        0.1413056267,
        0.969006770863965,
        0.0858025681641837,
        0.000187105967053514,
        -0.0262325684930549,
    ),
    30: (
        0.959642434386513,
        0.1911073835,
        0.963593457924236,
        0.178965523911429,
        0.000357207341387111,
        -0.00570481057712136,
    ),
    40: (
        0.940734757935006,
        0.0861424686,
        0.946489532199555,
        0.113718973144694,
        0.000280983472712881,
        0.0127141169229199,
    ),
}


def test_elements_of_the_line_integral_have_the_published_effects():
    L0, F0, L1, F1, of_L, of_F = np.array(list(R0.values())).T
    change = factors(
        lambda L, F: 0.4886 * (L * F).sum(), {"L": L0, "F": F0}, {"L": L1, "F": F1}, elements=True
    )
    np.testing.assert_allclose(change.effects["estimate"], [*of_L, *of_F], rtol=1e-9)
    assert change.residual == pytest.approx(0, abs=1e-15)


def test_the_glove_game_has_its_textbook_value():
    # Two players hold a right glove and one a left: a pair is worth 1.
    pairs = np.zeros((2, 2, 2))
    pairs[1, :, 1] = pairs[:, 1, 1] = 1
    np.testing.assert_allclose(shapley_value(pairs), [1 / 6, 1 / 6, 2 / 3], rtol=1e-12)


# Tables 2.1, 2.4, 3.1 and 4.3: the rates of both populations standardized to all factors but one.
STANDARDIZED = [
    (
        *SCALARS[0].values[:3],
        {"avg_earnings": (8437.22769, 12807.140403), "earner_prop": (9878.552866, 11365.815227)},
    ),
    (
        *SCALARS[2].values[:3],
        {
            "prop_m": (4.519767864507, 5.61074631456),
            "noncontr": (4.450863376547, 5.680707204277),
            "abort": (4.70296581524, 5.430805762837),
            "lact": (5.54314645984, 4.703275784107),
            "fecund": (5.152352237847, 5.02333358228),
        },
    ),
    (
        *SCALARS[3].values[:3],
        {"crude_birth": (9.25, 13.55), "crude_death": (10.75, 12.05)},
    ),
    (
        "sum(bm * mw * wp)",
        TAIWAN_1960,
        TAIWAN_1970,
        {
            "bm": (36.7286715, 29.443039666667),
            "mw": (34.470284333333, 31.749651),
            "wp": (33.8309465, 32.265765666667),
        },
    ),
]


@pytest.mark.parametrize(("formula", "first", "second", "published"), STANDARDIZED)
def test_das_gupta_tables_of_standardized_rates(formula, first, second, published):
    found = factors(formula, first, second).standardized.set_index("dimension")
    for factor, (before, after) in published.items():
        assert found.loc[factor, "baseline"] == pytest.approx(before, rel=TOLERANCE)
        assert found.loc[factor, "current"] == pytest.approx(after, rel=TOLERANCE)
