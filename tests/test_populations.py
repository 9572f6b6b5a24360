"""standardize_factors: what is taken as populations, and what is refused in words."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import attribution as at
from attribution.errors import ColumnNotFoundError, ColumnTypeError, OptionError

SITES = {
    "Austin": {"volume": 1000, "aht": 0.10, "wage": 30},
    "Dublin": {"volume": 1200, "aht": 0.11, "wage": 25},
    "Manila": {"volume": 2000, "aht": 0.12, "wage": 10},
}


def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = itertools.product(["2026-01", "2026-02", "2026-03"], ["easy", "hard"])
    frame = pd.DataFrame(rows, columns=["month", "queue"])
    return frame.assign(share=rng.uniform(1, 3, 6), rate=rng.uniform(0.7, 0.99, 6))


ACCURACY = "sum(share * rate) / sum(share)"


def test_a_table_in_any_order_of_rows_and_of_any_kind_is_read_by_its_elements():
    found = at.standardize_factors(ACCURACY, table(), group="month", by="queue")
    shuffled = table().sample(frac=1, random_state=1)
    for other in (shuffled, pl.from_pandas(shuffled)):
        again = at.standardize_factors(ACCURACY, other, group="month", by="queue")
        assert again.populations == found.populations
        np.testing.assert_allclose(again.standardized, found.standardized, rtol=1e-14)
    named = {month: part.set_index("queue") for month, part in table().groupby("month")}
    by_name = at.standardize_factors(ACCURACY, named)
    np.testing.assert_allclose(by_name.standardized, found.standardized, rtol=1e-14)

    def accuracy(share, rate):
        return share @ rate / share.sum()

    called = at.standardize_factors(accuracy, table(), group="month", by=["queue"])
    np.testing.assert_allclose(called.standardized, found.standardized, rtol=1e-13)


def test_renaming_and_reordering_populations_changes_nothing_but_the_order():
    found = at.standardize_factors("volume * aht * wage", SITES)
    turned = at.standardize_factors("product", dict(reversed(SITES.items())))
    for factor in found.factors:
        a, b = found.table.loc[factor], turned.table.loc[factor]
        np.testing.assert_allclose(b[list(a.index)], a, rtol=1e-12)
    same = at.standardize_factors("product", dict.fromkeys("abc", SITES["Austin"]))
    assert np.ptp(same.standardized, axis=1).max() < 1e-9
    assert same.crude == (3000.0,) * 3


def test_it_is_frozen_can_be_pickled_and_says_what_it_is():
    found = at.standardize_factors("product", SITES, name="Cost", unit="EUR", better="lower")
    assert pickle.loads(pickle.dumps(found)) == found == copy.copy(found)
    assert repr(found).startswith("<StandardizedFactors Cost: 3 populations, 2,400 EUR to 3,300")
    assert "Austin" in found._repr_html_()
    assert "(in EUR)" in str(found)
    with pytest.raises(AttributeError):
        found.name = "x"


@pytest.mark.parametrize(
    ("populations", "asked", "error", "message"),
    [
        ({"a": SITES["Austin"]}, {}, OptionError, "populations: 1 given; 2 to 100"),
        (
            {**SITES, "Cork": {"volume": 1, "aht": 1}},
            {},
            OptionError,
            "populations, 'Cork': no value for 'wage', which 'Austin' has",
        ),
        (
            {**SITES, "Cork": {"volume": [1, 2], "aht": 1, "wage": 2}},
            {},
            OptionError,
            r"populations, 'Cork': 'volume' has the shape \(2,\), in 'Austin' \(\)",
        ),
        (
            {**SITES, "Cork": {"volume": float("nan"), "aht": 1, "wage": 2}},
            {},
            OptionError,
            "populations, 'Cork': 'volume' holds nan",
        ),
        (
            {**SITES, "Cork": {"volume": "many", "aht": 1, "wage": 2}},
            {},
            ColumnTypeError,
            "populations, 'Cork': 'volume' is 'many'",
        ),
        ({**SITES, "Cork": 3}, {}, ColumnTypeError, "populations, 'Cork': int is not a mapping"),
        (SITES, {"by": "queue"}, OptionError, "by: it names columns of a table"),
        ({1: SITES["Austin"], "1": SITES["Dublin"]}, {}, OptionError, "two are called the same"),
        (table(), {}, OptionError, "group: name the column"),
        (table(), {"group": "moth", "by": "queue"}, ColumnNotFoundError, "Did you mean 'month'"),
        (table().iloc[1:], {"group": "month", "by": "queue"}, OptionError, "not the same elements"),
        (
            pd.concat([table(), table()[:1]]),
            {"group": "month", "by": "queue"},
            OptionError,
            "'2026-01' has several rows of 'easy'",
        ),
        (table().iloc[1:], {"group": "month"}, OptionError, "by: .* has 2 rows, .* 1 row; name"),
    ],
)
def test_populations_that_do_not_fit_are_refused_by_name(populations, asked, error, message):
    function = ACCURACY if isinstance(populations, pd.DataFrame) else "volume * aht * wage"
    with pytest.raises(error, match=message):
        at.standardize_factors(function, populations, **asked)


def test_functions_that_do_not_fit_are_refused_in_words():
    with pytest.raises(OptionError, match="names no columns of the table"):
        at.standardize_factors("product", table(), group="month", by="queue")
    with pytest.raises(OptionError, match="is a factor and names"):
        at.standardize_factors("sum(share) * month", table(), group="month")
    with pytest.raises(OptionError, match=r"it is nan at volume ="):
        at.standardize_factors(lambda volume, aht, wage: float("nan"), SITES)
    many = {k: {f"x{i}": 1.0 + i for i in range(11)} for k in "ab"}
    with pytest.raises(OptionError, match="11 factors; at most 10"):
        at.standardize_factors("product", many)
