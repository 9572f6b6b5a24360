"""Levels and pairs of levels: displayed numbers add up, and nothing collides at any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import attribution as at
from attribution.errors import ColumnNotFoundError, OptionError
from attribution.plots import save
from attribution.plots.heatmap import heatmap
from attribution.plots.levels import levels
from attribution.plots.theme import THEME

LONG = [
    "x" * 500,
    "Safety > Minors > " * 28,
    "新しいポリシー 内容审核 政策" * 20,
    "مراجعة المحتوى للقاصرين",
    "$x^2$ & <b>",
    "a\nb\tc",
]


def sums(count, seed=0, n=4_000, new=()):
    """Sums of two months by `count` queues and three markets, whose shares and rates move."""
    rng = np.random.default_rng(seed)
    names = [LONG[i] if i < len(LONG) else f"queue_{i}" for i in range(count)]
    rows = []
    for month in ("2026-08", "2026-09"):
        for i, name in enumerate(names):
            for market in ("ID", "BR", "JP"):
                if (i in new and month == "2026-08") or rng.random() < 0.05:
                    continue
                reviewed = int(rng.integers(n // 20, n))
                p = 0.9 + rng.normal(0, 0.02)
                rows.append((month, name, market, int(reviewed * p), reviewed))
    return pd.DataFrame(rows, columns=["month", "queue", "market", "correct", "reviewed"])


def explained(count, **options):
    metric = at.Rate("correct", "reviewed", name="Accuracy", better=options.pop("better", "higher"))
    ask = {"period": "month", "baseline": "2026-08", "current": "2026-09", "rates": "saturated"}
    return at.explain(sums(count, **options), metric, by=["queue", "market"], **ask)


@pytest.fixture(scope="module")
def changes():
    return {count: explained(count, new=(1,)) for count in (2, 8, 30)}


def number(text):
    return float(text.replace("−", "-").replace(",", ""))


# -- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 8, 30])
def test_displayed_levels_add_up_to_the_displayed_bridge(changes, count):
    change = changes[count]
    lines = dict(zip((b.label for b in change.bridge().bars), change.bridge().shown(), strict=True))
    for most in (None, 5):
        made = change.breakdown("queue", most)
        for name, line in (("mix", "Mix: queue"), ("rate", "Rate")):
            at_ = made.parts.index(name)
            shown = [x.parts[at_].shown for x in made.levels]
            assert np.nansum(shown) == pytest.approx(lines[line])
            assert made.sums[at_].shown == pytest.approx(lines[line])
        for level in made.levels:
            *each, total = (p.shown for p in level.parts)
            if not level.status and len(level.rows) == 1:
                assert total == pytest.approx(np.nansum(each), abs=1e-9)
        total = sum(x.parts[-1].value for x in made.levels)
        assert total == pytest.approx(change.levels("queue")["total"].sum())


def test_numbers_in_the_picture_are_those_of_the_breakdown(changes, texts):
    made = changes[8].breakdown("queue").by_size()
    expected = [made.text(p) for x in made.levels for p in x.parts] + [
        made.text(p) for p in made.sums
    ]
    assert texts(levels(made), "value") == [x for x in expected if x]


def test_bars_share_one_scale_from_zero(changes):
    made = changes[8].breakdown("queue")
    ax = levels(made, sort="given")
    bars = [p for p in ax.patches if p.get_label() == "_bar"]
    values = [p.value for x in made.levels for p in x.parts if np.isfinite(p.value)]
    scale = [bar.get_width() / abs(v) for bar, v in zip(bars, values, strict=False)]
    assert np.ptp(scale) < 1e-6 * max(scale)
    zeros = sorted({round(x.get_xdata()[0], 6) for x in ax.lines if x.get_label() == "_origin"})
    assert len(zeros) == 3
    for bar in bars:
        ends = (bar.get_x(), bar.get_x() + bar.get_width())
        assert min(abs(end - zero) for end in ends for zero in zeros) < 1e-5


def test_a_new_level_has_a_total_and_neither_mix_nor_rate(changes):
    made = changes[8].breakdown("queue")
    (new,) = [x for x in made.levels if x.status == "new"]
    assert made.text(new.parts[0]) == made.text(new.parts[1]) == ""
    bars = {bar.label: bar.value for bar in changes[8].bridge().bars}
    assert new.parts[-1].value == pytest.approx(bars[f"New: {new.label}"])


def test_cells_add_up_to_the_change(changes):
    for change in changes.values():
        cells = change.crossing("queue", "market")
        for most in (30, 4, 2):
            shown = [c for row in cells.condensed(most, most).cells for c in row if c]
            assert sum(c.value for c in shown) == pytest.approx(change.total.change, abs=1e-12)
            assert sum(c.shown for c in shown) == pytest.approx(sum(change.bridge().shown()))


def test_pairs_of_all_dimensions_are_the_segments(changes):
    change = changes[8]
    pd.testing.assert_frame_equal(change.segments(), change.segments(by=["queue", "market"]))
    by_queue = change.segments(by=["queue"])
    assert by_queue["total"].sum() == pytest.approx(change.total.change, abs=1e-12)
    summed = change.segments().groupby("queue")["total"].sum()
    assert by_queue.set_index("queue")["total"].to_dict() == pytest.approx(summed.to_dict())


def test_a_pair_without_volume_is_hatched_and_explained():
    rows = sums(4).query("not (queue == @LONG[0] and market == 'ID')")
    ask = {"period": "month", "baseline": "2026-08", "current": "2026-09"}
    change = at.explain(rows, "correct / reviewed", by=["queue", "market"], **ask)
    ax = change.plot.heatmap("queue", "market")
    empty = [p for p in ax.patches if p.get_label() == "_empty"]
    assert len(empty) == 1
    assert empty[0].get_hatch()
    assert any("no volume" in t.get_text() for t in ax.texts)


# -- look --------------------------------------------------------------------------------------


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_colors_go_by_impact(better):
    made = explained(3, seed=2, better=better).breakdown("queue")
    made = replace(made, bridge=replace(made.bridge, verdict="real"))
    ax = levels(made, sort="given")
    bars = [p for p in ax.patches if p.get_label() == "_bar"]
    shown = [p.shown for x in made.levels for p in x.parts if np.isfinite(p.shown)]
    for bar, value in zip(bars, shown, strict=False):
        good = (value > 0) == (better == "higher")
        color = THEME.neutral if value == 0 else THEME.good if good else THEME.bad
        assert to_hex(bar.get_facecolor()) == color


def test_cells_are_colored_by_impact_and_their_numbers_can_be_read(changes):
    from attribution.plots.theme import contrast

    for theme in (THEME, THEME.dark()):
        ax = heatmap(changes[8].crossing("queue", "market"), theme=theme)
        written = [t for t in ax.texts if t.get_label() == "_value"]
        cells = [p for p in ax.patches if p.get_label() == "_cell"]
        for text, cell in zip(written, cells, strict=True):
            assert contrast(to_hex(text.get_color()), to_hex(cell.get_facecolor())) >= 4.4


@pytest.mark.parametrize(
    ("count", "theme"),
    [(2, THEME), (8, THEME), (8, THEME.dark()), (8, replace(THEME, style="plain")), (30, THEME)],
)
def test_words_stay_inside_and_apart(changes, count, theme, assert_readable):
    change = changes[count]
    assert_readable(change.plot.levels("queue", max_levels=30, theme=theme))
    assert_readable(change.plot.heatmap("queue", "market", max_levels=30, theme=theme))
    assert_readable(change.plot.heatmap("market", "queue", max_levels=30, theme=theme))


@pytest.mark.parametrize("size", [(6.4, 4.8), (13, 7)])
def test_what_does_not_fit_given_axes_goes_into_other(changes, size, assert_readable):
    for draw in ("levels", "heatmap", "turned"):
        ax = Figure(figsize=size).subplots()
        if draw == "levels":
            assert changes[30].plot.levels("queue", ax, max_levels=30) is ax
        else:
            pair = ("queue", "market")[:: 1 if draw == "heatmap" else -1]
            assert changes[30].plot.heatmap(*pair, ax, max_levels=30) is ax
        assert_readable(ax)


def test_axes_without_room_are_refused(changes):
    with pytest.raises(OptionError, match=r"ax: 2.0 x 1.5 inches is too small for the levels"):
        changes[8].plot.levels("queue", Figure(figsize=(2, 1.5)).add_axes((0, 0, 1, 1)))
    with pytest.raises(OptionError, match=r"ax: 2.0 x 1.5 inches is too small for the cells"):
        changes[8].plot.heatmap("queue", "market", Figure(figsize=(2, 1.5)).add_axes((0, 0, 1, 1)))


def test_plain_leaves_message_and_small_print_to_the_page(changes):
    written = [" ".join(t.get_text() for t in changes[8].plot.levels("queue", style=s).texts)
               for s in ("ibcs", "plain")]  # fmt: skip
    assert "Accuracy by queue:" in written[0]
    assert "Accuracy by queue:" not in written[1]
    assert "Method:" in written[0]
    assert "Method:" not in written[1]
    assert all("2026-09 (AC) against 2026-08 (PP)" in x for x in written)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_levels_give_the_same_bytes(changes, tmp_path, ending):
    for i in range(2):
        save(changes[8].plot.levels("queue"), tmp_path / f"l{i}.{ending}")
        save(changes[8].plot.heatmap("queue", "market"), tmp_path / f"h{i}.{ending}")
    for kind in "lh":
        first, second = (tmp_path / f"{kind}{i}.{ending}" for i in range(2))
        assert first.read_bytes() == second.read_bytes()


def test_a_wrong_dimension_or_part_is_named(changes):
    with pytest.raises(ColumnNotFoundError, match="queue"):
        changes[8].plot.levels("quue")
    with pytest.raises(OptionError, match="twice"):
        changes[8].plot.heatmap("queue", "queue")
    with pytest.raises(OptionError, match="part"):
        changes[8].plot.heatmap("queue", "market", part="mixx")
    with pytest.raises(OptionError, match="max_levels"):
        changes[8].plot.levels("queue", max_levels=1)
    with pytest.raises(OptionError, match="max_levels"):
        changes[8].plot.heatmap("queue", "market", max_levels=1)
