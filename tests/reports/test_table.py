"""The tables of a notebook: displayed numbers add up, labels are text, people stay hidden."""

from __future__ import annotations

from io import StringIO

import pandas as pd
import pytest

import attribution as at
from attribution.errors import ColumnNotFoundError, OptionError

from .conftest import MARKETS


def read(made) -> pd.DataFrame:
    """The table as a reader sees it, without the line of headings that all columns share."""
    frame = pd.read_html(StringIO(made.as_raw_html()), flavor="lxml")[0]
    frame.columns = [str(c[-1] if isinstance(c, tuple) else c) for c in frame.columns]
    return frame


def number(text: str) -> float:
    return float(text.split()[0].replace("−", "-"))


def test_the_bridge_adds_up(change):
    rows = read(change.table())
    steps = [number(x) for x in rows["effect"].iloc[1:-1] if isinstance(x, str) and "pp" in x]
    bars = change.bridge().condensed(12)
    assert steps == pytest.approx(list(bars.shown()))
    html = change.table().as_raw_html()
    assert change.bridge().message in html
    assert "border-left: 4px solid" in html


def test_levels_add_up_and_labels_are_text(change):
    made = change.breakdown("market").by_size()
    html = change.table("market").as_raw_html()
    assert "<b>x</b>" not in html
    rows = read(change.table("market")).set_index("market")
    assert {str(name).partition(" (")[0] for name in rows.index} >= set(MARKETS)
    # The small print stands in rows of its own, below the sum.
    mixes = [number(str(x)) for x in rows["mix, pp"].loc[:"Sum"].iloc[:-1].dropna()]
    assert sum(mixes) == pytest.approx(made.sums[made.parts.index("mix")].shown, abs=1e-9)


def test_people_are_hidden_and_errors_are_those_of_levels(change):
    with pytest.raises(OptionError, match="'queue' are people and are not shown"):
        change.table("queue", privacy=at.Privacy(columns=["queue"]))
    with pytest.raises(ColumnNotFoundError, match="quue"):
        change.table("quue")
    with pytest.raises(OptionError, match="below 2"):
        change.table("queue", max_rows=1)
