"""Nothing leaks: people on request only, small groups never, not even by subtraction."""

from __future__ import annotations

import contextlib
import itertools
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text
from openpyxl import load_workbook
from pptx import Presentation

import attribution as at
from attribution.cli import main
from attribution.errors import ColumnNotFoundError, OptionError
from attribution.labels import natural_key
from attribution.privacy import HIDDEN, protect
from attribution.privacy.suppression import suppressed
from attribution.reports.folder import write_results

ASK = {"period": "month", "baseline": "2026-08", "current": "2026-09"}
PEOPLE = [f"m-{i:03d}" for i in range(12)]
# Named in the condition on rows only.
ABSENT = "m-999"


@pytest.fixture(scope="module")
def by_person():
    """Moderators as a dimension, one of whom left and one of whom is new."""
    rng = np.random.default_rng(0)
    rows = [
        (month, person, queue, 60, int(rng.binomial(60, 0.9)))
        for month in ("2026-08", "2026-09")
        for person in PEOPLE
        for queue in ("Live", "Video")
        if (month, person) not in {("2026-09", "m-003"), ("2026-08", "m-007")}
    ]
    frame = pd.DataFrame(rows, columns=["month", "moderator_id", "queue", "reviewed", "correct"])
    by = ["queue", "moderator_id"]
    return at.explain(
        frame, "correct / reviewed", by=by, where=f"moderator_id != '{ABSENT}'", **ASK
    )


def written(change, folder, privacy=None):
    """All text of everything that can be written."""
    texts = []
    book = load_workbook(change.to_excel(folder / "a.xlsx", privacy=privacy))
    for sheet in book:
        texts += [str(c.value) for row in sheet.iter_rows() for c in row if c.value is not None]
    for file in sorted(change.to_tidy(folder / "star", privacy=privacy).glob("*.csv")):
        texts.append(file.read_text())
    page = change.to_html(folder / "a.html", privacy=privacy).read_text(encoding="utf-8")
    deck = Presentation(str(change.to_pptx(folder / "a.pptx", privacy=privacy)))
    for slide in deck.slides:
        texts += [x.text for x in slide._element.iter("{*}t") if x.text]
        texts.append(slide.notes_slide.notes_text_frame.text)
        texts += [str(list(s.chart.plots[0].categories)) for s in slide.shapes if s.has_chart]
    (folder / "all").mkdir(exist_ok=True)
    write_results(change, folder / "all", privacy=privacy)
    for name in ("summary.txt", "effects.csv", "levels.csv", "findings.csv", "effects.json"):
        texts.append((folder / "all" / name).read_text(encoding="utf-8"))
    texts += [page, (folder / "all" / "waterfall.svg").read_text(encoding="utf-8")]
    return "\n".join(texts)


def test_people_are_hidden_unless_asked_for(by_person, tmp_path):
    text = written(by_person, tmp_path)
    assert not [p for p in [*PEOPLE, ABSENT] if p in text]
    assert "moderator_id != '…'" in text
    assert "The levels of moderator_id are people and are not shown." in text
    bars = protect(by_person, None).bridge.bars
    assert [bar.label for bar in bars if bar.label.startswith("New")] == ["New and gone: people"]
    total = sum(bar.value for bar in bars)
    assert total == pytest.approx(by_person.total.change, abs=1e-12)


def test_names_on_request(by_person, tmp_path):
    text = written(by_person, tmp_path, at.Privacy(people="names"))
    assert all(p in text for p in [*PEOPLE, ABSENT])


def test_pseudonyms_are_stable_and_in_no_order_of_the_names(by_person, tmp_path):
    privacy = at.Privacy(people="pseudonyms", key="correct horse")
    text = written(by_person, tmp_path, privacy)
    assert not [p for p in PEOPLE if p in text]
    first, second = (protect(by_person, privacy).levels["moderator_id"] for _ in range(2))
    assert (
        list(first["segment"])
        == list(second["segment"])
        == sorted(first["segment"], key=natural_key)
    )
    other = protect(by_person, at.Privacy(people="pseudonyms", key="another key"))
    assert set(other.levels["moderator_id"]["segment"]).isdisjoint(first["segment"])
    totals = np.sort(first["total"]), np.sort(by_person.levels("moderator_id")["total"])
    np.testing.assert_allclose(*totals, atol=1e-12)
    assert "correct horse" not in repr(privacy)


def test_renames_of_people_do_not_travel(by_person):
    merged = by_person.cube.merge_levels("moderator_id", {"m-001": "m-000"})
    change = merged.explain(baseline="2026-08", current="2026-09")
    for privacy in (None, at.Privacy(people="pseudonyms", key="correct horse")):
        assert "m-001" not in str(protect(change, privacy).provenance)


def test_a_part_of_one_person_does_not_name_it(by_person, tmp_path):
    part = by_person.within(moderator_id="m-001")
    assert "m-001" not in written(part, tmp_path)


def test_options_that_are_wrong():
    with pytest.raises(OptionError, match="people: 'initials'"):
        at.Privacy(people="initials")
    with pytest.raises(OptionError, match="key: it is used with people='pseudonyms' only"):
        at.Privacy(key="correct horse")
    with pytest.raises(OptionError, match="min_n: -1"):
        at.Privacy(min_n=-1)


def test_columns_say_who_is_a_person(by_person, change, tmp_path):
    privacy = at.Privacy(columns=["queue"])
    assert protect(by_person, privacy).hidden == ("queue",)
    with pytest.raises(ColumnNotFoundError, match="columns: no dimension 'quue'. Did you mean"):
        protect(change, at.Privacy(columns=["quue"]))
    with pytest.raises(OptionError, match="privacy: 30 is not"):
        change.to_excel(tmp_path / "a.xlsx", privacy=30)


def small_table():
    """One queue and one market with a handful of rows."""
    rows = [
        (month, queue, market, n * (4 if month == "2026-09" else 3), n * 2)
        for month in ("2026-08", "2026-09")
        for (queue, market), n in zip(
            itertools.product("ABCD", ["X", "Y", "Z"]),
            [90, 80, 70, 60, 50, 9, 40, 30, 20, 1, 1, 1],
            strict=True,
        )
    ]
    return pd.DataFrame(rows, columns=["month", "queue", "market", "reviewed", "correct"])


@pytest.fixture(scope="module")
def small():
    return at.explain(small_table(), "correct / reviewed", by=["queue", "market"], **ASK)


def test_small_groups_are_suppressed_and_their_sum_is_not_small(small):
    shown = protect(small, at.Privacy(min_n=30))
    levels = shown.levels["queue"].set_index("segment")
    # D is small, C is the next smallest and hides it.
    assert (
        levels.loc[["C", "D"], ["n_baseline", "rate_current", "mix", "total"]].isna().all(axis=None)
    )
    assert levels.loc[HIDDEN, "n_baseline"] == pytest.approx(90 * 3 + 3 * 3)
    for part in ("mix", "rate", "n_baseline", "share_current"):
        assert levels[part].sum() == pytest.approx(small.levels("queue")[part].sum(), abs=1e-12)


def test_no_small_number_is_in_any_file(small, tmp_path):
    privacy = at.Privacy(min_n=30)
    small.to_tidy(tmp_path / "star", privacy=privacy)
    assert not (tmp_path / "star" / "fact_cell.csv").exists()
    levels = pd.read_parquet(tmp_path / "star" / "fact_level.parquet")
    assert (levels["n_baseline"].dropna() >= 30).all()
    book = load_workbook(small.to_excel(tmp_path / "a.xlsx", privacy=privacy), data_only=True)
    assert "Cells" not in book.sheetnames
    counts = [c.value for c in book["Levels queue"]["C"][6:] if isinstance(c.value, int | float)]
    assert counts
    assert min(counts) >= 30


def recoverable(tables, masks, n):
    """Which suppressed groups follow from what is shown, by exact rank."""
    S = n.shape[1]
    rows = [np.ones(S)]
    for codes, mask in zip(tables, masks, strict=True):
        rows += [(codes == g).astype(float) for g in np.flatnonzero(~mask)]
    A = np.array(rows)
    rank = np.linalg.matrix_rank(A)
    for codes, mask in zip(tables, masks, strict=True):
        for g in np.flatnonzero(mask):
            row = (codes == g).astype(float)
            if row.any() and np.linalg.matrix_rank(np.vstack([A, row])) == rank:
                yield codes, g


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_suppressed_cannot_be_worked_out(data):
    a, b = data.draw(st.integers(2, 4)), data.draw(st.integers(2, 4))
    cells = np.array(list(itertools.product(range(a), range(b))))
    counts = st.lists(st.integers(0, 60), min_size=len(cells), max_size=len(cells))
    n = np.array([data.draw(counts), data.draw(counts)], dtype=float)
    parent = cells[:, 0] // 2
    tables = [cells[:, 0], cells[:, 1], parent, cells[:, 0] * b + cells[:, 1]]
    masks = suppressed(tables, n, 10)
    for codes, mask in zip(tables, masks, strict=True):
        for g in range(len(mask)):
            of_group = n[:, codes == g].sum(axis=1)
            if ((of_group > 0) & (of_group < 10)).any():
                assert mask[g]
        together = n[:, mask[codes]].sum(axis=1)
        seen = np.unique(codes[n.sum(axis=0) > 0])
        assert ((together == 0) | (together >= 10)).all() or mask[seen].all()
    assert not list(recoverable(tables, masks, n))


def test_without_min_n_nothing_is_suppressed(change):
    assert not any(mask.any() for mask in protect(change, None).masks.values())


# -- every way out ------------------------------------------------------------------------------


def every_text(change, privacy=None):
    """What can be read without writing a file."""
    pictures = change.plot if privacy is None else change.plot(privacy=privacy)
    drawn = [pictures.waterfall(), pictures.levels("queue")]
    return "\n".join(
        [
            change.summary(privacy=privacy),
            *(change.narrative(x, privacy=privacy) for x in ("headline", "paragraph", "page")),
            change.to_prompt(privacy=privacy),
            change.to_json(privacy=privacy),
            *(text.get_text() for ax in drawn for text in ax.figure.findobj(Text)),
        ]
    )


def test_words_and_pictures_obey_as_files_do(by_person):
    assert not [p for p in [*PEOPLE, ABSENT] if p in every_text(by_person)]
    shown_at_once = f"{by_person}\n{by_person._repr_html_()}"
    assert not [p for p in PEOPLE if p in shown_at_once]
    assert "moderator_id are people and are not shown" in shown_at_once
    named = every_text(by_person, at.Privacy(people="names"))
    assert all(p in named for p in PEOPLE)
    secret = every_text(by_person, at.Privacy(people="pseudonyms", key="correct horse"))
    assert not [p for p in [*PEOPLE, ABSENT] if p in secret]
    assert "p-" in secret
    with pytest.raises(OptionError, match="'moderator_id' are people and are not shown"):
        by_person.plot.levels("moderator_id")


def test_a_saved_attribution_holds_no_key(by_person):
    by_person.summary(privacy=at.Privacy(people="pseudonyms", key="correct horse"))
    assert b"correct horse" not in pickle.dumps(by_person)


def test_the_command_hides_people_and_small_groups(tmp_path, monkeypatch, capsys):
    table = small_table().rename(columns={"queue": "reviewer"})
    table.to_csv(tmp_path / "small.csv", index=False)
    ask = ["explain", str(tmp_path / "small.csv"), "--metric", "correct / reviewed", "--period",
           "month", "--baseline", "2026-08", "--current", "2026-09", "--json"]  # fmt: skip

    def answer(*options):
        with contextlib.suppress(SystemExit):  # how a command ends
            main([*ask, *options])
        return capsys.readouterr()

    told = json.loads(answer("--by", "reviewer,market", "--min-n", "30").out)
    assert list(told["levels"]) == ["market"]
    assert told["provenance"]["min_n"] == 30
    named = json.loads(answer("--by", "reviewer,market", "--people", "names").out)
    assert {row["segment"] for row in named["levels"]["reviewer"]} == set("ABCD")
    monkeypatch.delenv("ATTRIBUTION_KEY", raising=False)
    assert "ATTRIBUTION_KEY" in answer("--by", "reviewer", "--people", "pseudonyms").err
    monkeypatch.setenv("ATTRIBUTION_KEY", "correct horse")
    secret = json.loads(answer("--by", "reviewer", "--people", "pseudonyms").out)
    assert all(row["segment"].startswith("p-") for row in secret["levels"]["reviewer"])


def shown_groups(change, folder, privacy):
    """The groups with a number in any file, each as {dimension: level}, by the file they are in."""
    found = {name: [] for name in ("page", "book", "star", "folder", "json")}
    page = pd.read_html(change.to_html(folder / "a.html", privacy=privacy), flavor="lxml")
    for table in page:
        head = str(table.columns[0])
        if head not in change.cube.dimensions:
            continue
        rows = table.set_index(table.columns[0])
        if "n before" in rows:
            known = rows[rows["n before"].astype(str).str.fullmatch(r"[\d,.]+")]
            found["page"] += [{head: str(level)} for level in known.index]
            continue
        other = next(d for d in change.cube.dimensions if d != head)
        for level, row in rows.iterrows():
            pairs = row[row.notna() & (row != "×")]
            found["page"] += [{head: str(level), other: str(across)} for across in pairs.index]
    book = load_workbook(change.to_excel(folder / "a.xlsx", privacy=privacy), data_only=True)
    for d in change.cube.dimensions:
        rows = [[c.value for c in row] for row in book[f"Levels {d}"].iter_rows()]
        named = {*change.cube.levels[change.cube.dimension_index(d)], HIDDEN}
        known = [r for r in rows if r[1] in named and isinstance(r[2], int | float)]
        found["book"] += [{d: r[1]} for r in known]
    star = change.to_tidy(folder / "star", privacy=privacy)
    levels = pd.read_parquet(star / "fact_level.parquet").merge(
        pd.read_parquet(star / "dim_level.parquet"), on="level_key"
    )
    known = levels[levels["n_baseline"].notna() | levels["total"].notna()]
    found["star"] += [{row.dimension: row.level} for row in known.itertuples()]
    (folder / "all").mkdir()
    write_results(change, folder / "all", privacy=privacy)
    known = pd.read_csv(folder / "all" / "levels.csv").dropna(subset=["n_baseline"])
    found["folder"] += [{row.dimension: row.segment} for row in known.itertuples()]
    told = json.loads((folder / "all" / "effects.json").read_text(encoding="utf-8"))
    for d, rows in told["levels"].items():
        found["json"] += [{d: row["segment"]} for row in rows if row["total"] is not None]
    return found


def test_subtraction_over_all_files_recovers_no_small_group(small, tmp_path):
    cube, least = small.cube, 30
    labels = pd.DataFrame(
        {d: np.array(cube.levels[k])[cube.codes[:, k]] for k, d in enumerate(cube.dimensions)}
    )
    n = cube.metric_sums(small.metric, "count")

    def cells(group):
        inside = np.ones(len(labels), bool)
        for d, level in group.items():
            inside &= (labels[d] == level).to_numpy()
        return inside.astype(float)

    found = shown_groups(small, tmp_path, at.Privacy(min_n=least))
    rows, sums = [np.ones(len(labels))], []
    for groups in found.values():
        assert len([g for g in groups if set(g.values()) != {HIDDEN}]) >= 3
        for group in groups:
            if HIDDEN in group.values():
                # The row of sums is all that the rows above it leave.
                sums += list(group)
            elif "Sum" not in group.values():
                assert cells(group).any()
                rows.append(cells(group))
    for d in set(sums):
        alone = [cells(g) for groups in found.values() for g in groups if list(g) == [d]]
        rows.append(1 - np.minimum(np.sum(alone, axis=0), 1))
    A = np.array(rows)
    rank = np.linalg.matrix_rank(A)
    secret = [{d: x} for d in labels for x in labels[d].unique()]
    secret += [dict(row) for row in labels.to_dict("records")]
    small_ones = [g for g in secret if ((n @ cells(g) > 0) & (n @ cells(g) < least)).any()]
    assert len(small_ones) >= 3
    for group in small_ones:
        assert np.linalg.matrix_rank(np.vstack([A, cells(group)])) > rank, group


def test_the_digest_of_suppressed_sums_is_withheld(small):
    # Two unknown queues of known sum are a few thousand guesses, which a digest would confirm.
    told = small.to_dict(privacy=at.Privacy(min_n=30))["provenance"]["sha256"]
    assert told == "withheld: groups are suppressed"
    assert small.to_dict()["provenance"]["sha256"] == small.cube.digest()


def test_one_person_who_is_new_is_not_named_in_the_rows():
    rows = [
        (month, person, 60, 55)
        for month, people in (("2026-08", "ab"), ("2026-09", "abc"))
        for person in people
    ]
    frame = pd.DataFrame(rows, columns=["month", "moderator_id", "reviewed", "correct"])
    change = at.explain(frame, "correct / reviewed", by="moderator_id", **ASK)
    told = change.to_dict()
    assert [x["segment"] for x in told["effects"]] == [None, None, "New and gone: people"]
    assert sum(x["estimate"] for x in told["effects"]) == pytest.approx(change.total.change)


@pytest.mark.parametrize("people", ["hidden", "pseudonyms", "names"])
@pytest.mark.parametrize(("column", "told"), [("moderator_id", None), ("desk", ["desk"])])
def test_one_person_who_left_and_one_who_came_are_no_change_of_coding(column, told, people):
    """A mapping that merges two people is never proposed, whatever their column is called."""
    rows = [
        (month, who, n, round(n * rate))
        for month, last in (("2026-08", "m-7"), ("2026-09", "m-9"))
        for who, n, rate in (("m-1", 4000, 0.95), ("m-2", 3000, 0.9), (last, 2000, 0.7))
    ]
    frame = pd.DataFrame(rows, columns=["month", column, "reviewed", "correct"])
    asked = {"metric": "correct / reviewed", "by": [column], "period": "month"}
    change = at.explain(frame, **asked, baseline="2026-08", current="2026-09")
    trend = at.trend(frame, **asked)
    key = "correct horse battery" if people == "pseudonyms" else None
    privacy = at.Privacy(people, key, columns=told)
    texts = [change.to_json(privacy=privacy), trend.to_json(privacy=privacy)]
    texts += [trend.summary(privacy=privacy), change.narrative("page", privacy=privacy)]
    for text in texts:
        assert "mapping=" not in text
        assert "probable_" not in text
    # Of what is no person it is the first thing to say.
    other = frame.rename(columns={column: "policy"})
    said = at.explain(other, **asked | {"by": ["policy"]}, baseline="2026-08", current="2026-09")
    assert "probable_rename" in set(said.check()["code"])
    assert ("probable_rename" in set(change.check()["code"])) == (column == "desk")
