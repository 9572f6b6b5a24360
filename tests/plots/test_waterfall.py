"""The waterfall: geometry, words and colors agree with the bridge, and nothing collides."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import attribution as at
from attribution.bridge import Bar, Bridge
from attribution.errors import OptionError
from attribution.plots import save
from attribution.plots.theme import THEME
from attribution.plots.waterfall import waterfall

pytestmark = pytest.mark.filterwarnings("error")

ORIENTATIONS = ["horizontal", "vertical"]
NAMES = [
    "Rate",
    "Mix: queue",
    "Mix: policy",
    "New: Appeals (external)",
    "Gone: live-stream video",
    "Mix: jointly",
    "Mix: content_category_of_long_name",
]
CJK = "新しいポリシー 内容审核 政策"


def bridge(values, base=0.9266, half=0.004, labels=(), **options):
    labels = labels or [f"{NAMES[i % len(NAMES)]} {i}" for i in range(len(values))]
    bars = tuple(
        Bar(label, v, v - half, v + half, 0.01 if abs(v) > half else 0.4, (i,))
        for i, (label, v) in enumerate(zip(labels, values, strict=True))
    )
    made = Bridge(
        "Accuracy",
        "%",
        "higher",
        "2026-08",
        "2026-09",
        base,
        base + sum(values),
        bars,
        "Accuracy moved",
        ("n = 26,971 and 27,020.", "Method: midpoint."),
    )
    return replace(made, **options)


def steps(count, seed=0, scale=0.006):
    return [float(v) for v in np.random.default_rng(seed).normal(0, scale, count)]


def texts(ax, role):
    return [t for t in ax.texts if t.get_label() == f"_{role}" and t.get_text()]


def ends(ax, orientation="horizontal"):
    if orientation == "horizontal":
        return [(p.get_x(), p.get_x() + p.get_width()) for p in ax.patches]
    return [(p.get_y(), p.get_y() + p.get_height()) for p in ax.patches]


def number(text):
    return float(text.replace("−", "-").replace(",", "").split()[0])


def boxes(ax):
    FigureCanvasAgg(ax.figure)
    ax.figure.draw_without_rendering()
    # A background patch is no part of the words.
    return [(t.get_text(), t.get_window_extent()) for t in ax.texts if t.get_text().strip()]


def assert_readable(ax):
    width, height = ax.figure.bbox.size
    found = boxes(ax)
    for text, box in found:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, (text, box)
    for i, (text, box) in enumerate(found):
        for other, against in found[i + 1 :]:
            apart = (
                box.x1 <= against.x0 + 1
                or against.x1 <= box.x0 + 1
                or box.y1 <= against.y0 + 1
                or against.y1 <= box.y0 + 1
            )
            assert apart, (text, other)


# -- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("totals", ["zoom", "zero", "none"])
def test_bars_chain_from_baseline_to_current(orientation, totals):
    b = bridge(steps(7))
    drawn = ends(waterfall(b, orientation=orientation, totals=totals), orientation)
    origin = b.baseline if totals == "none" else 0.0
    chain = drawn[1:-1] if totals != "none" else drawn[:-1]
    assert chain[0][0] == pytest.approx(b.baseline - origin)
    for (_, end), (start, _) in pairwise(chain):
        assert start == pytest.approx(end)
    assert chain[-1][1] == pytest.approx(b.current - origin)
    assert drawn[-1][1] == pytest.approx(b.current - origin)
    if totals != "none":
        assert drawn[0][1] == b.baseline


@pytest.mark.parametrize("totals", ["zoom", "zero", "none"])
def test_displayed_steps_add_up_to_the_displayed_change(totals):
    b = bridge([-0.00545, -0.00545, -0.00545, 0.00123], half=0.001)
    shown = [number(t.get_text()) for t in texts(waterfall(b, totals=totals), "value")]
    if totals == "none":
        assert sum(shown[:-1]) == pytest.approx(shown[-1])
    else:
        assert sum(shown[1:-1]) == pytest.approx(shown[-1] - shown[0])


def test_every_step_shows_its_sign():
    shown = [t.get_text() for t in texts(waterfall(bridge([0.01, -0.02])), "value")]
    assert shown[1:-1] == ["−2.00", "+1.00"]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_whiskers_are_the_intervals(orientation):
    b = bridge([0.012, -0.007, 0.003])
    ax = waterfall(b, orientation=orientation, sort="given")
    whiskers = [x for x in ax.lines if x.get_label() == "_whisker"]
    for whisker, start, bar in zip(whiskers, b.starts(), b.bars, strict=True):
        along = whisker.get_xdata() if orientation == "horizontal" else whisker.get_ydata()
        assert list(along) == pytest.approx([start + bar.conf_low, start + bar.conf_high])


def test_intervals_are_written_as_text():
    b = bridge([0.012, -0.007])
    written = [t.get_text() for t in texts(waterfall(b, sort="given"), "interval")]
    assert written[:2] == ["+0.80 to +1.60", "−1.10 to −0.30"]


def test_without_intervals_there_is_neither_whisker_nor_column():
    ax = waterfall(bridge([0.012, -0.007], half=float("nan")))
    assert not [x for x in ax.lines if x.get_label() in ("_whisker", "_rim")]
    assert not texts(ax, "interval")


def test_steps_are_sorted_by_size_or_left_as_given():
    b = bridge([0.001, -0.02, 0.01], labels=["a", "b", "c"])

    def order(sort):
        return [t.get_text() for t in texts(waterfall(b, sort=sort), "label")]

    assert order("size") == ["2026-08", "b", "c", "a", "2026-09"]
    assert order("given") == ["2026-08", "a", "b", "c", "2026-09"]


def test_the_smallest_steps_become_other_and_still_add_up():
    b = bridge(steps(20))
    ax = waterfall(b, max_bars=6)
    assert len(ax.patches) == 8
    assert texts(ax, "label")[-2].get_text() == "other (15)"
    shown = [number(t.get_text()) for t in texts(ax, "value")]
    assert sum(shown[1:-1]) == pytest.approx(shown[-1] - shown[0])


# -- look --------------------------------------------------------------------------------------


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_colors_go_by_impact(better):
    ax = waterfall(bridge([0.02, -0.01], better=better))
    colors = [to_hex(p.get_facecolor()) for p in ax.patches]
    expected = [THEME.good, THEME.bad] if better == "higher" else [THEME.bad, THEME.good]
    assert colors == [THEME.baseline, *expected, THEME.current]


def test_a_step_that_shows_as_zero_is_neither_good_nor_bad():
    ax = waterfall(bridge([0.02, -1e-6]))
    assert to_hex(ax.patches[2].get_facecolor()) == THEME.neutral


@pytest.mark.parametrize("verdict", ["real", "noise", "inconclusive"])
def test_insignificant_steps_are_pale_unless_the_total_is_real(verdict):
    b = bridge([0.02, -0.001], verdict=verdict)
    b = replace(b, bars=(*b.bars, Bar("untested", -0.0005)), current=b.current - 0.0005)
    ax = waterfall(b)
    colors = [to_hex(p.get_facecolor()) for p in ax.patches[1:-1]]
    insignificant = THEME.bad if verdict == "real" else THEME.tint(THEME.bad)
    assert colors == [THEME.good, insignificant, insignificant]
    declared = any("not significant" in t.get_text() for t in ax.texts)
    assert declared == (verdict != "real")


def test_totals_are_cut_only_with_mark_and_words():
    far, near = bridge([0.01, -0.02]), bridge([0.3, -0.1], base=0.2)
    for b, cut in ((far, True), (near, False)):
        ax = waterfall(b)
        start = ends(ax)[0][0]
        assert (start != 0) == cut
        assert bool([x for x in ax.lines if x.get_label() == "_cut"]) == cut
        said = [t.get_text() for t in ax.texts if "not 0" in t.get_text()]
        assert bool(said) == cut
        if cut:
            assert b.format.level(start) in said[0]


def test_zero_totals_start_at_zero_and_the_axis_shows_it():
    ax = waterfall(bridge([0.01, -0.02]), totals="zero")
    assert ends(ax)[0][0] == ends(ax)[-1][0] == 0
    assert ax.get_xlim()[0] <= 0


def test_levels_below_zero_are_cut_at_the_other_end():
    ax = waterfall(bridge([0.01, -0.02], base=-0.9))
    start, end = ends(ax)[0]
    assert end < start < 0
    assert start == ax.get_xlim()[1]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_bars_may_cross_zero(orientation):
    b = bridge([0.7, -0.2], base=-0.2, half=0.05, unit="")
    ax = waterfall(b, orientation=orientation)
    assert ends(ax, orientation)[0] == (0, -0.2)
    assert ends(ax, orientation)[1] == pytest.approx((-0.2, 0.5))
    assert_readable(ax)


# -- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    ("count", "totals"),
    [(2, "zoom"), (3, "none"), (6, "zero"), (12, "zoom"), (20, "zoom"), (20, "none")],
)
def test_words_stay_inside_and_apart(orientation, count, totals):
    b = bridge(steps(count, seed=count), verdict="noise")
    assert_readable(waterfall(b, orientation=orientation, totals=totals, max_bars=20))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    "label", ["x" * 500, "Safety > Minors > " * 28, CJK * 25, "a\nb\tc", "مراجعة المحتوى", ""]
)
def test_long_labels_keep_the_layout(orientation, label):
    b = bridge(
        [0.01, -0.02, 0.005],
        labels=[label, label + "2", "Rate"],
        message=label or "moved",
        metric=label or "KPI",
    )
    assert_readable(waterfall(b, orientation=orientation))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([25_000.0, -21_000.0, 4e6], {"base": 98_765_432.0, "half": 9e5, "unit": "EUR"}),
        ([1e-6, -2e-6, 1e-7], {"half": 1e-6}),
        ([0.0, 0.0], {"half": 0.0}),
        ([0.0, 0.0], {"base": 0.0, "half": 0.0}),
        ([0.01, -0.01], {"half": 0.2}),
        ([-0.15, 1e-5], {"half": 0.07}),
    ],
    ids=["large", "tiny", "still", "nothing", "wide", "one"],
)
def test_any_size_of_number_is_readable(orientation, values, options):
    for totals in ("zoom", "none"):
        b = bridge(values, **options)
        assert_readable(waterfall(b, orientation=orientation, totals=totals))


def test_a_character_without_a_glyph_is_a_square_and_a_note_not_a_warning(tmp_path):
    theme = replace(THEME, fonts=("DejaVu Sans",))
    # A letter of Mro, a script that hardly any font has.
    ax = waterfall(bridge([0.01, -0.02], labels=["policy \U00016a40", "Rate"]), theme=theme)
    save(ax, tmp_path / "a.png")
    assert "□" in texts(ax, "label")[2].get_text()
    assert any("no installed font" in t.get_text() for t in ax.texts)


def test_dollars_and_markup_are_shown_as_they_are(tmp_path):
    ax = waterfall(bridge([0.01, -0.02], labels=["$x^2$ & $\\frac$", "<b>Rate</b>"]))
    assert texts(ax, "label")[2].get_text() == "$x^2$ & $\\frac$"
    svg = save(ax, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "<b>" not in svg


def test_message_periods_and_notes_are_written():
    ax = waterfall(bridge([0.01, -0.02]))
    written = " ".join(t.get_text() for t in ax.texts)
    for words in (
        "Accuracy moved",
        "Accuracy in %, steps in pp",
        "2026-09 (AC) against 2026-08 (PP)",
        "n = 26,971",
        "Method: midpoint.",
    ):
        assert words in written


# -- axes, figures, files ----------------------------------------------------------------------


def test_given_axes_are_returned_and_their_figure_is_the_only_one():
    figure = Figure(figsize=(12, 9))
    left, right = figure.subplots(1, 2)
    before = plt.get_fignums()
    b = bridge(steps(14))
    assert waterfall(b, left) is left
    assert waterfall(b, right, totals="none") is right
    assert figure.axes == [left, right]
    assert plt.get_fignums() == before
    assert_readable(left)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("size", [(6.4, 4.8), (14, 8)])
def test_steps_that_do_not_fit_given_axes_go_into_other(orientation, size):
    ax = Figure(figsize=size).subplots()
    waterfall(bridge(steps(20)), ax, orientation=orientation, max_bars=20)
    assert_readable(ax)
    shown = [number(t.get_text()) for t in texts(ax, "value")]
    assert sum(shown[1:-1]) == pytest.approx(shown[-1] - shown[0])


def test_axes_without_room_are_refused():
    with pytest.raises(OptionError, match=r"^ax: 3\.0 x 1\.8 inches is too small"):
        waterfall(bridge(steps(4)), Figure(figsize=(3, 2)).subplots())


def test_a_file_cut_to_its_content_holds_all_words():
    figure = waterfall(bridge(steps(6))).figure
    tight = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert tight.width > 0.9 * width
    assert tight.height > 0.85 * height


def test_a_layout_engine_makes_the_room_itself():
    ax = Figure(figsize=(9, 6), layout="constrained").subplots()
    waterfall(bridge(steps(6)), ax)
    assert_readable(ax)


def test_no_figure_is_left_behind_and_no_setting_changed():
    figures, settings = plt.get_fignums(), dict(mpl.rcParams)
    waterfall(bridge(steps(5)))
    assert plt.get_fignums() == figures
    assert dict(mpl.rcParams) == settings


def test_the_users_style_does_not_change_the_picture(tmp_path):
    b = bridge(steps(5))
    plain = save(waterfall(b), tmp_path / "a.svg").read_bytes()
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.facecolor": "red"}):
        styled = save(waterfall(b), tmp_path / "b.svg").read_bytes()
    assert styled == plain


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_bridge_gives_the_same_bytes(tmp_path, ending):
    b = bridge(steps(5))
    first, second = (save(waterfall(b), tmp_path / f"{i}.{ending}").read_bytes() for i in range(2))
    assert first == second
    assert len(first) > 5000


def test_the_figure_grows_with_the_bars():
    few, many = (waterfall(bridge(steps(n)), max_bars=20).figure for n in (3, 20))
    assert many.get_figheight() > 2 * few.get_figheight()


def test_importing_the_package_and_its_plots_does_not_load_matplotlib():
    code = (
        "import sys, attribution, attribution.plots.waterfall; "
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"orientation": "horizontl"}, {"totals": "zooom"}, {"sort": "sise"}, {"max_bars": 1}],
)
def test_unknown_options_are_refused_by_name(options):
    with pytest.raises(OptionError, match=f"^{next(iter(options))}: "):
        waterfall(bridge([0.01, -0.02]), **options)


def test_an_empty_bridge_is_refused():
    with pytest.raises(OptionError, match="no bars"):
        waterfall(bridge([]))


def test_a_bar_without_a_number_is_refused_by_name():
    with pytest.raises(OptionError, match="'Rate' is nan"):
        waterfall(bridge([0.01, float("nan")], labels=["Mix: queue", "Rate"]))


def test_a_file_ending_that_is_no_picture_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"'\.svg'"):
        save(waterfall(bridge([0.01, -0.02])), tmp_path / "a.sgv")


# -- end to end --------------------------------------------------------------------------------


def test_an_attribution_draws_its_own_bridge():
    reviews = pd.DataFrame(
        {
            "month": ["2026-08"] * 4 + ["2026-09"] * 4,
            "queue": ["A", "B", "C", "old", "A", "B", "C", "new"],
            "reviewed": [5000, 3000, 2000, 300, 4000, 3000, 3000, 400],
            "correct": [4750, 2850, 1600, 250, 3800, 2850, 2400, 390],
        }
    )
    change = at.explain(
        reviews,
        "correct / reviewed",
        by=["queue"],
        period="month",
        baseline="2026-08",
        current="2026-09",
    )
    ax = change.plot.waterfall()
    assert ends(ax)[0][1] == pytest.approx(change.total.baseline)
    assert ends(ax)[-1][1] == pytest.approx(change.total.current)
    sizes = sorted(end - start for start, end in ends(ax)[1:-1])
    assert sizes == pytest.approx(sorted(bar.value for bar in change.bridge().bars))
    assert_readable(ax)
