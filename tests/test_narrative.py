"""The narrative: numbers that can be traced, verdict rules, words of impact, markup kept out."""

from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import OptionError
from attribution.isolated import isolated
from attribution.privacy import protect
from attribution.reports.narrative import sections
from attribution.reports.sentences import Section, sentence, written

LENGTHS = ["headline", "paragraph", "page"]


def explained(
    drop=0.06, wave=0.3, better="higher", policies=("minors", "<b>spam_*</b>"), **options
):
    """Sums of two months: new hires grow, and the rate falls in one policy."""
    rng = np.random.default_rng(0)
    rows = []
    for month in ("2026-08", "2026-09"):
        late = month == "2026-09"
        for policy in policies:
            for tenure in ("0-30", "31+"):
                for moderator in range(20):
                    n = int(
                        rng.integers(150, 250) * ((1 + 3 * wave * late) if tenure == "0-30" else 1)
                    )
                    p = 0.93 - 0.06 * (tenure == "0-30") - drop * (late and policy == "minors")
                    p += rng.normal(0, 0.004)
                    rows.append((month, policy, tenure, f"{tenure}{moderator}", round(n * p), n))
    names = ["month", "policy", "tenure", "moderator", "correct", "reviewed"]
    metric = at.Rate("correct", "reviewed", name="Accuracy", better=better)
    return at.explain(
        pd.DataFrame(rows, columns=names), metric, by=["policy", "tenure"], period="month",
        baseline="2026-08", current="2026-09", cluster="moderator", **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def changes():
    return {
        "real": explained(),
        "noise": explained(drop=0.0, wave=0.0),
        "offset": explained(drop=-0.025, wave=0.5),
        "lower": explained(better="lower"),
        "material": explained(drop=0.0, wave=0.0, material=0.0001),
    }


def untraced(text, cells, labels):
    """What is left of the digits once labels and traced numbers are taken out."""
    for shown in sorted((c.shown for c in cells), key=len, reverse=True):
        text = text.replace(shown, "").replace(shown.lstrip("+−"), "")
    for label in sorted(labels, key=len, reverse=True):
        text = text.replace(label, "")
    return re.findall(r"\d[\d.,]*", text.replace("It may be 0", ""))


# -- numbers -----------------------------------------------------------------------------------


def test_every_number_is_traced_to_a_row(changes):
    for change in changes.values():
        labels = [*change.cube.periods, *(x for levels in change.cube.levels for x in levels)]
        for length in LENGTHS:
            for s in change.narrative(length).sentences:
                assert not untraced(s.text, s.cells, labels), s


def test_traced_numbers_are_those_of_their_rows(changes):
    for change in changes.values():
        tables = {"effects": change.effects, "levels:policy": change.levels("policy"),
                  "levels:tenure": change.levels("tenure")}  # fmt: skip
        f = change.format
        for s in change.narrative("page").sentences:
            for cell in (c for c in s.cells if c.table in tables and not np.isnan(c.value)):
                rows = tables[cell.table].iloc[list(cell.rows)]
                assert rows[cell.column].sum() == pytest.approx(cell.value)
                if cell.column in ("estimate", "mix", "rate", "total"):
                    shown = float(re.sub(r"[^\d.]", "", cell.shown.replace("−", "")))
                    off = abs(abs(cell.value) * f.factor - shown)
                    assert off < 1.01 * len(cell.rows) * 10.0**-f.decimals


def test_displayed_parts_add_up_to_the_displayed_change(changes):
    change = changes["real"]
    (made,) = [s for s in change.narrative("page").sentences if "made up of" in s.text]
    parts = [float(c.shown.replace("−", "-").split()[0]) for c in made.cells]
    change_shown = re.search(r"\((.\d+\.\d+) pp\)", change.narrative("headline"))[1]
    assert sum(parts) == pytest.approx(float(change_shown.replace("−", "-")))


def test_shares_of_the_change_appear_only_where_they_are_given(changes):
    for change in changes.values():
        given = change.effects["share_of_change"].notna().any()
        for length in LENGTHS:
            assert given or "of the change" not in str(change.narrative(length)).replace(
                "in percent of the change", ""
            )
    assert "% of the change" in changes["real"].narrative("page")


def test_the_same_change_gives_the_same_words(changes):
    assert explained().narrative("page") == changes["real"].narrative("page")
    assert explained().to_prompt() == changes["real"].to_prompt()


# -- rules -------------------------------------------------------------------------------------


def test_lengths_grow_from_the_headline(changes):
    for change in changes.values():
        headline, paragraph, page = (str(change.narrative(length)) for length in LENGTHS)
        assert paragraph.startswith(headline)
        assert page.startswith(headline)
        assert len(headline) < len(paragraph) < len(page)
        assert "\n" not in paragraph


def test_noise_comes_first_and_names_no_line(changes):
    change = changes["noise"]
    assert change.verdict == "noise"
    text = change.narrative("page")
    assert "not distinguishable from noise" in text.splitlines()[0]
    assert "No line of the bridge stands out from noise." in text
    assert not re.search(r"(improved|worsened|made up of)", text)


def test_offsetting_movements_are_named_as_such(changes):
    change = changes["offset"]
    assert change.verdict != "real"
    text = change.narrative("page")
    assert "offset others" in text
    assert "Mix: tenure" in text
    assert "% of the change (" not in text


def test_lines_that_are_named_are_significant(changes):
    for change in changes.values():
        sure = change.effects["p_adjusted"] < 0.05
        for s in change.narrative("page").sentences:
            if re.search(r"^The mix of|offset others", s.text):
                for cell in s.cells:
                    assert sure.iloc[list(cell.rows)].all()


@pytest.mark.parametrize(("name", "word"), [("real", "worsened"), ("lower", "improved")])
def test_impact_goes_by_what_is_better(changes, name, word):
    text = changes[name].narrative("page")
    assert f"The mix of tenure {word} Accuracy by" in text
    assert f"rates within segments {word} Accuracy by" in text


def test_words_are_of_accounting(changes):
    for change in changes.values():
        text = change.narrative("page").replace("not what caused it", "")
        assert not re.search(r"caus|because|due to|driv|led to", text, re.IGNORECASE)


def test_the_checklist_keeps_the_order_of_the_trade(changes):
    text = changes["real"].narrative("page")
    heads = ["Sampling or definition:", "Parts reconcile", "Noise:", "New-hire wave", "Routing",
             "Policy refresh", "New or retired", "Volume:", "Site:"]  # fmt: skip
    at_ = [text.index(head) for head in heads]
    assert at_ == sorted(at_)
    assert "by policy, minors" in text
    assert "Routing (queue mix): not asked" in text


# -- forms -------------------------------------------------------------------------------------


def test_labels_are_shown_as_they_are(changes):
    change = explained(drop=0.0, wave=0.0, policies=("<b>spam_*</b>", "minors"))
    made = (Section("A <i>title</i>", (sentence("# <b>spam_*</b> & _x_ [a](b)"),)),)
    assert written(made, "text") == "A <i>title</i>\n# <b>spam_*</b> & _x_ [a](b)"
    assert "&lt;b&gt;spam_*&lt;/b&gt; &amp;" in written(made, "html")
    assert r"\# \<b\>spam\_\*\</b\> &amp; \_x\_ \[a\](b)" in written(made, "markdown")
    assert "<b>" not in change.narrative("page", "html")
    assert "<b>" not in change.narrative("page")._repr_html_()


def test_formats_have_the_same_sentences(changes):
    made = [changes["real"].narrative("page", f) for f in ("text", "markdown", "html")]
    assert made[0].sentences == made[1].sentences == made[2].sentences
    assert made[1].count("\n## ") == len(made[1].sections) - 1
    assert made[2].count("<h3>") == len(made[2].sections) - 1


def test_a_narrative_is_a_text_that_pickles(changes):
    made = changes["real"].narrative()
    again = pickle.loads(pickle.dumps(made))
    assert isinstance(made, str)
    assert (again, again.sections) == (made, made.sections)


def test_wrong_options_are_named(changes):
    with pytest.raises(OptionError, match="length: 'pages'"):
        changes["real"].narrative("pages")
    with pytest.raises(OptionError, match="format: 'rtf'"):
        changes["real"].narrative(format="rtf")


def test_the_prompt_holds_everything_in_a_versioned_form(changes):
    for change in changes.values():
        made = json.loads(change.to_prompt())
        assert made["schema"] == "kpi-attribution/prompt/1"
        assert made["verdict"] == change.verdict
        assert [x["line"] for x in made["bridge"]] == [b.label for b in change.bridge().bars]
        assert set(made["levels"]) == {"policy", "tenure"}
        assert len(change.to_prompt()) < 12_000


def test_sections_do_without_a_change_of_mix_or_a_dimension():
    rows = pd.DataFrame({"month": ["a", "b"], "correct": [90, 91], "reviewed": [100, 100]})
    ask = {"period": "month", "baseline": "a", "current": "b"}
    change = at.explain(rows, "correct / reviewed", by=[], **ask)
    assert sections(protect(change, None), "page")
    assert change.narrative("page")


# -- named segments and notebooks ----------------------------------------------------------------


def test_named_segments_are_told_with_the_rest_and_add_up(changes):
    change = changes["real"]
    found = change.causes()
    assert not found.none
    told = [s for s in change.narrative("page", causes=found).sentences if "counted once" in s.text]
    cells = [c for c in told[0].cells if c.column == "contribution"]
    assert [c.value for c in cells][:-2] == found.frame["contribution"].tolist()
    shown = sum(float(c.shown.replace("−", "-").split()[0]) for c in cells)
    bridge = change.bridge()
    rate = dict(zip((b.label for b in bridge.bars), bridge.shown(), strict=True))["Rate"]
    assert shown == pytest.approx(rate)
    assert "policy = minors" in told[0].text
    assert told[0] in change.narrative(causes=found).sentences
    assert told[0] not in change.narrative().sentences


def test_without_clusters_no_segment_is_searched_for():
    rows = pd.DataFrame(
        {"month": ["a", "b"] * 2, "queue": ["x", "x", "y", "y"], "correct": [90, 80, 70, 75],
         "reviewed": 100}
    )  # fmt: skip
    ask = {"period": "month", "baseline": "a", "current": "b"}
    change = at.explain(rows, "correct / reviewed", by=["queue"], **ask)
    assert "without a cluster column" in change.narrative("page")


def test_the_notebook_shows_the_bridge_in_any_viewer(changes):
    change = explained(policies=("minors", "<script>alert(1)</script>"))
    shown = change._repr_html_()
    assert "<script" not in shown
    assert "<style" not in shown
    assert len(shown) < 10_000
    bridge = change.bridge()
    for text, bar in zip(bridge.texts(), bridge.bars, strict=True):
        assert f">{text} pp<" in shown
        assert f">{isolated(bar.label)}<" in shown
    wide = [float(x) for x in re.findall(r"width:([\d.]+)%", shown)]
    left = [float(x) for x in re.findall(r"margin-left:([\d.]+)%", shown)]
    assert all(a + b <= 100.01 for a, b in zip(left, wide, strict=True))
