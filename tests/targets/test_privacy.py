"""What bridges of completions and suppositions may show of small groups and of people."""

from __future__ import annotations

import pandas as pd
import pytest

import attribution as at

MONTH = pd.DataFrame(
    {
        "queue": ["ads", "live", "spam", "rare"],
        "n": [4000, 3000, 900, 12],
        "ok": [3800, 2700, 780, 9],
    }
)
SMALL = at.Privacy(min_n=30)


def values(bridge):
    return {bar.label: bar.value for bar in bridge.bars}


def test_a_small_segment_that_leaves_has_no_bar_of_its_own():
    """Its exit is summed with the smallest other bar that is not nothing, and still adds up."""
    supposed = at.targets.whatif(
        MONTH, "ok / n", "queue", volumes={"rare": 0}, rates={"live": 0.95}, scale={"ads": 1.5}
    )
    whole, shown = values(supposed.bridge()), values(supposed.bridge(privacy=SMALL))
    assert list(whole) == ["Mix: queue", "Rate", "Gone: rare"]
    assert list(shown) == ["Rate", "Small groups and other"]
    assert shown["Small groups and other"] == pytest.approx(
        whole["Gone: rare"] + whole["Mix: queue"]
    )
    assert sum(shown.values()) == pytest.approx(supposed.change)
    text = supposed.summary(privacy=SMALL)
    assert "gone" not in text
    assert "small groups and other" in text
    assert "rare" not in text
    assert "gone: rare" in supposed.summary()


def test_a_bar_of_nothing_hides_nobody():
    supposed = at.targets.whatif(MONTH, "ok / n", "queue", volumes={"rare": 0}, rates={"ads": 0.96})
    shown = values(supposed.bridge(privacy=SMALL))
    assert values(supposed.bridge())["Mix: queue"] == pytest.approx(0, abs=1e-15)
    assert list(shown) == ["Mix: queue", "Small groups and other"]


def test_large_segments_that_leave_are_shown():
    supposed = at.targets.whatif(MONTH, "ok / n", "queue", volumes={"spam": 0})
    others = at.Privacy(min_n=5)
    assert values(supposed.bridge(privacy=others)) == values(supposed.bridge())


def test_people_who_leave_are_one_bar():
    people = MONTH.rename(columns={"queue": "moderator_id"})
    supposed = at.targets.whatif(
        people, "ok / n", "moderator_id", volumes={"rare": 0, "spam": 0}, scale={"ads": 2}
    )
    assert list(values(supposed.bridge())) == ["Mix: moderator_id", "Rate", "New and gone: people"]
    named = supposed.bridge(privacy=at.Privacy(people="names"))
    # Two who leave are told apart.
    assert [bar.label for bar in named.bars][2:] == ["Gone: rare", "Gone: spam"]
    assert list(supposed.effects["segment"].dropna()) == ["rare", "spam"]


def test_a_small_segment_without_a_target_has_no_bar_of_its_own():
    targets = {"ads": 0.95, "live": 0.92, "spam": 0.85}
    done = at.targets.completion(MONTH, targets, "ok / n", "queue")
    whole, shown = values(done.bridge()), values(done.bridge(privacy=SMALL))
    assert list(whole) == ["Performance", "Mix against plan", "No target"]
    assert list(shown) == ["Performance", "Mix, no target and no data"]
    assert sum(shown.values()) == pytest.approx(sum(whole.values()))
    assert "No target" in values(done.bridge(privacy=at.Privacy(min_n=5)))


def test_files_draw_the_bridge_that_may_be_shown(tmp_path):
    supposed = at.targets.whatif(
        MONTH, "ok / n", "queue", volumes={"rare": 0}, rates={"live": 0.95}, scale={"ads": 1.5}
    )
    path = tmp_path / "supposed.html"
    supposed.to_html(path, privacy=SMALL)
    text = path.read_text(encoding="utf-8")
    assert "Small groups and other" in text
    assert "Gone" not in text
