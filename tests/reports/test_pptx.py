"""The deck, opened again: native charts, numbers that add up, notes, templates, room for all."""

from __future__ import annotations

import itertools

import pytest
from pptx import Presentation
from pptx.util import Inches

import attribution as at
from attribution.errors import OptionError

from .conftest import ASK


@pytest.fixture(scope="module")
def path(change, tmp_path_factory):
    return change.to_pptx(tmp_path_factory.mktemp("pptx") / "deck.pptx")


@pytest.fixture(scope="module")
def deck(path):
    return Presentation(str(path))


def charts(slide):
    return [shape.chart for shape in slide.shapes if shape.has_chart]


def number(text):
    return float(text.replace("−", "-").replace(",", ""))


def test_widescreen_with_a_message_on_every_slide(deck, change):
    assert deck.slide_width / deck.slide_height == pytest.approx(16 / 9)
    assert len(deck.slides) >= 4
    assert all(slide.shapes.title.text_frame.text for slide in deck.slides)
    assert deck.slides[0].shapes.title.text_frame.text == change.bridge().message


def test_the_waterfall_is_native_and_adds_up(deck, change):
    (chart,) = charts(deck.slides[0])
    series = {s.name: list(s.values) for s in chart.plots[0].series}
    assert {"base", "baseline", "current", "better", "worse", "label"} <= set(series)
    labels = chart.plots[0].series[len(series) - 1].points
    texts = [labels[i].data_label.text_frame.paragraphs[0].text for i in range(len(series["base"]))]
    steps = [number(x) for x in texts[1:-1]]
    assert sum(steps) == pytest.approx(round(100 * change.total.change, 2), abs=1e-9)
    better, worse = sum(series["better"]), sum(series["worse"])
    assert better - worse == pytest.approx(100 * change.total.change)
    # The interval stands below the number.
    assert any(
        len(labels[i].data_label.text_frame.paragraphs) > 1 for i in range(1, len(texts) - 1)
    )


def test_everything_drawn_has_words_and_the_notes_hold_the_numbers(deck, change):
    for slide in deck.slides:
        assert slide.notes_slide.notes_text_frame.text
        for shape in slide.shapes:
            if shape.has_chart or shape.has_table:
                assert shape._element._nvXxPr.cNvPr.get("descr")
    notes = deck.slides[0].notes_slide.notes_text_frame.text
    bridge = change.bridge()
    for bar, text in zip(bridge.bars, bridge.texts(), strict=True):
        assert f"{bar.label}: {text} pp" in notes
    assert "accounting" in notes


def test_nothing_overlaps_and_nothing_falls_off(deck):
    for slide in deck.slides:
        boxes = [(s.name, s.left, s.top, s.left + s.width, s.top + s.height) for s in slide.shapes]
        for name, left, top, right, bottom in boxes:
            assert left >= 0, name
            assert top >= 0, name
            assert right <= deck.slide_width, name
            assert bottom <= deck.slide_height, name
        for a, b in itertools.combinations(boxes, 2):
            apart = a[3] <= b[1] or b[3] <= a[1] or a[4] <= b[2] or b[4] <= a[2]
            assert apart, (a[0], b[0])


def template(path, size=(13.333, 7.5)):
    """A company's deck: a layout of its own name, and a sample slide."""
    deck = Presentation()
    deck.slide_width, deck.slide_height = Inches(size[0]), Inches(size[1])
    layout = next(x for x in deck.slide_layouts if x.name == "Title Only")
    layout.name = "ACME chart"
    sample = deck.slides.add_slide(layout)
    sample.shapes.title.text_frame.text = "A sample of the template"
    deck.save(str(path))
    return path


def test_a_template_is_honored_and_its_samples_left_out(change, tmp_path):
    company = template(tmp_path / "company.pptx", size=(10, 7.5))
    made = change.to_pptx(tmp_path / "a.pptx", template=company, layout="ACME chart")
    deck = Presentation(str(made))
    assert {slide.slide_layout.name for slide in deck.slides} == {"ACME chart"}
    assert deck.slide_width == Inches(10)
    titles = [slide.shapes.title.text_frame.text for slide in deck.slides]
    assert "A sample of the template" not in titles
    assert not [p for p in deck.part.package.iter_parts() if "slide99" in str(p.partname)]


def test_slides_are_appended_to_a_deck(change, tmp_path):
    old = template(tmp_path / "old.pptx")
    deck = Presentation(str(change.to_pptx(old, append_to=old, layout="ACME chart")))
    titles = [slide.shapes.title.text_frame.text for slide in deck.slides]
    assert titles[:2] == ["A sample of the template", change.bridge().message]


def test_errors_list_what_there_is(change, tmp_path):
    company = template(tmp_path / "company.pptx")
    with pytest.raises(
        OptionError, match=r"no layout 'ACME chrat'\. Did you mean 'ACME chart'\?.*'Title Slide'"
    ):
        change.to_pptx(tmp_path / "a.pptx", template=company, layout="ACME chrat")
    with pytest.raises(OptionError, match=r"layout: 'Blank' has no title"):
        change.to_pptx(tmp_path / "a.pptx", layout="Blank")
    with pytest.raises(OptionError, match=r"template: '.*none\.pptx' is not there"):
        change.to_pptx(tmp_path / "a.pptx", template=tmp_path / "none.pptx")
    (tmp_path / "text.pptx").write_text("no deck")
    with pytest.raises(OptionError, match="is not a PowerPoint file"):
        change.to_pptx(tmp_path / "a.pptx", append_to=tmp_path / "text.pptx")
    with pytest.raises(OptionError, match="leave template out"):
        change.to_pptx(tmp_path / "a.pptx", template=company, append_to=company)
    with pytest.raises(OptionError, match="trend: 3 is not what"):
        change.to_pptx(tmp_path / "a.pptx", trend=3)


def test_same_input_gives_the_same_bytes(path, change, tmp_path):
    assert change.to_pptx(tmp_path / "again.pptx").read_bytes() == path.read_bytes()


def test_a_trend_gets_a_slide(table, change, tmp_path):
    more = table.assign(month=table["month"].str.replace("2026-0", "2025-0"))
    import pandas as pd

    months = pd.concat([more, table], ignore_index=True)
    trend = at.trend(months, "correct / reviewed", by=["queue"], period="month", gaps="bridge")
    deck = Presentation(str(change.to_pptx(tmp_path / "a.pptx", trend=trend)))
    values = [list(c.plots[0].series[0].values) for s in deck.slides for c in charts(s)
              if c.plots[0].series[0].name == "KPI"]  # fmt: skip
    assert values == [pytest.approx([100 * x for x in trend.frame["value"]])]


def test_long_labels_and_no_dimension(table, tmp_path):
    odd = table.replace({"queue": {"id": "x" * 500, "<30": "قائمة الانتظار"}})
    for by in ([], ["queue"]):
        change = at.explain(odd, "correct / reviewed", by=by, **ASK)
        deck = Presentation(str(change.to_pptx(tmp_path / "a.pptx")))
        test_nothing_overlaps_and_nothing_falls_off(deck)


def test_the_slide_of_no_named_cause_has_no_empty_columns(demo, caused, tmp_path):
    def heads(change, name):
        deck = Presentation(str(change.to_pptx(tmp_path / name)))
        tables = [s.table for slide in deck.slides for s in slide.shapes if s.has_table]
        (made,) = [t for t in tables if t.cell(0, 0).text == "segment"]
        return [cell.text for cell in made.rows[0].cells]

    assert len(heads(caused, "a.pptx")) == 7
    assert len(heads(demo, "b.pptx")) == 3
