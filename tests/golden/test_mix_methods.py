"""Cross-classified shares against published tables and DasGuptR's implementation of eq. 5.36.

Das Gupta, P. (1993), Standardization and Decomposition of Rates, Census P23-186, tables 5.1 and 5.3,
as carried by the R package DasGuptR; the three-way case is that package's output on generated data.
The lines of raking and of the additive fit are those of an independent implementation.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution.decompose import Design
from attribution.decompose.mixing import compared

CASES = Path(__file__).parent / "cases"

# effect_d of the published form, and the rate effect.
PUBLISHED = {
    "dg1993_5_1_headship": {"age_group": 1.2269},
    "dg1993_5_3_deathrate_race_age": {"race": 0.019774900732152524, "age": 1.521734710543231},
    "dasguptr_oracle_synthetic_3way": {
        "q": -0.0008283212446867228,
        "p": 0.00013839921297597723,
        "m": -0.0014087994499119875,
    },
}
# Raking Shapley: the dimensions, then association.
RAKED = {
    "dg1993_5_3_deathrate_race_age": [
        0.057082726416931046,
        1.4873761053206258,
        -0.002949220462173348,
    ],
    "dasguptr_oracle_synthetic_3way": [
        -0.0003041675833108289,
        -4.262847108767638e-06,
        -0.0008464656666299084,
        -0.0009438253845732066,
    ],
}


def compared_on(name: str) -> dict:
    table = pd.read_csv(CASES / name / "input.csv", dtype={"pop": str})
    expected = json.loads((CASES / name / "expected.json").read_text(encoding="utf-8"))
    dimensions, populations = expected["dims"], expected["populations"]
    wide = table.pivot(index=dimensions, columns="pop", values=["size", "rate"]).reset_index()
    size = np.stack([wide["size"][x].to_numpy(float) for x in populations])
    r = np.stack([wide["rate"][x].to_numpy(float) for x in populations])
    coded = [pd.factorize(wide[d])[0] for d in dimensions]
    design = Design(np.column_stack(coded), tuple(int(code.max()) + 1 for code in coded))
    return compared(size / size.sum(axis=1, keepdims=True), r, design)


@pytest.mark.parametrize("name", PUBLISHED)
def test_das_gupta_effects_are_the_published_ones(name):
    found = compared_on(name)["das_gupta"]
    np.testing.assert_allclose(found[:-1], list(PUBLISHED[name].values()), rtol=1e-8)
    assert found[-1] == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("name", RAKED)
def test_raking_shapley_agrees_with_an_independent_implementation(name):
    np.testing.assert_allclose(compared_on(name)["shapley"], RAKED[name], rtol=1e-8)
