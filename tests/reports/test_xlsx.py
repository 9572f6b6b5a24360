"""The audit workbook, opened again: live formulas that another program works out to the same."""

from __future__ import annotations

import math
import zipfile

import numpy as np
import pytest
from openpyxl import load_workbook

import attribution as at
from attribution.errors import OptionError

from .conftest import ASK, MARKETS, QUEUES, moderation, recalculated


@pytest.fixture(scope="module")
def book(change, tmp_path_factory):
    return change.to_excel(tmp_path_factory.mktemp("xlsx") / "audit.xlsx")


def column(sheet, title, head):
    """The cells below a title of the header row."""
    j = next(c.column for c in sheet[head] if c.value == title)
    return [sheet.cell(r, j) for r in range(head + 1, sheet.max_row + 1)]


def found_row(sheet, text):
    return next(row for row in sheet.iter_rows() if row[0].value == text)


def test_the_bridge_is_read_back_and_adds_up(book, change):
    sheet = load_workbook(book, data_only=True)["Bridge"]
    labels = [c.value for c in column(sheet, "bar", 8)]
    estimates = [c.value for c in column(sheet, "in KPI units", 8)]
    shown = [c.value for c in column(sheet, "shown (pp)", 8)]
    bars = change.bridge().bars
    assert labels[1 : 1 + len(bars)] == [bar.label for bar in bars]
    assert estimates[1 : 1 + len(bars)] == pytest.approx([bar.value for bar in bars], abs=1e-12)
    assert estimates[0] == pytest.approx(change.total.baseline)
    assert sum(shown[1 : 1 + len(bars)]) == pytest.approx(round(100 * change.total.change, 2))
    assert found_row(sheet, "Reconciliation: what the bars leave over")[4].value == "adds up"
    assert sheet["A1"].value == change.bridge().message


def test_every_effect_is_a_formula_that_leads_to_the_cells(book):
    sheets = load_workbook(book)
    effects = [c for c in column(sheets["Bridge"], "in KPI units", 8) if c.value is not None]
    assert effects
    assert all(c.data_type == "f" for c in effects)
    rates = column(sheets["Cells"], "rate effect", 12)
    assert {c.data_type for c in rates} == {"f"}


def test_numbers_have_a_true_minus_and_a_gap_to_the_words_beside_them(book):
    formats = {
        cell.number_format
        for sheet in load_workbook(book)
        for row in sheet.iter_rows()
        for cell in row
        if cell.number_format != "General"
    }
    assert len(formats) > 5
    for number in formats:
        places = number.split(";")
        assert len(places) > 1, number
        assert places[1].startswith("−"), number
        assert all(place.endswith("_)") or "E+" in place for place in places), number


def test_text_of_the_data_stays_text_and_nothing_is_a_link(book):
    sheets = load_workbook(book)
    texts = set()
    for sheet in sheets:
        assert not sheet._hyperlinks
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f" or "HYPERLINK" not in str(cell.value).upper()
                if cell.data_type == "s":
                    texts.add(cell.value)
    assert set(QUEUES) | set(MARKETS) <= texts


def test_a_native_chart_with_words_for_those_who_do_not_see_it(book):
    with zipfile.ZipFile(book) as parts:
        chart = parts.read("xl/charts/chart1.xml").decode()
        drawing = parts.read("xl/drawings/drawing1.xml").decode()
    assert chart.count("<c:barChart>") == 1
    assert '<c:grouping val="stacked"/>' in chart
    assert 'descr="Waterfall. Accuracy' in drawing


def test_level_tables_have_filters_and_add_up_to_the_bridge(book, change):
    sheet = load_workbook(book, data_only=True)["Levels queue"]
    assert sheet.auto_filter.ref
    levels = change.levels("queue")
    mixes = [c.value for c in column(sheet, "mix effect", 6)][: len(levels)]
    expected = change.levels("queue")["mix"].sum()
    assert sum(x or 0 for x in mixes) == pytest.approx(expected, abs=1e-12)
    assert [c.value for c in column(sheet, "level", 6)][: len(levels)] == list(levels["segment"])


def test_provenance_travels_with_it(book, change):
    sheet = load_workbook(book)["Provenance"]
    held = {row[0].value: row[1].value for row in sheet.iter_rows(min_row=2)}
    assert held["sha256"] == change.provenance["sha256"]
    assert held["effects in this workbook"] == "live formulas over the cells"


def against_target(table, **asked):
    """One number as the plan: the bridge leads from it over the stretch."""
    by = ["queue", "market"]
    return at.compare_to_plan(table, 0.95, "correct / reviewed", by=by, **ASK, **asked)


def test_of_a_single_target_the_stretch_is_a_formula_and_the_target_an_input(table, tmp_path):
    path = against_target(table).to_excel(tmp_path / "a.xlsx")
    formulas, values = (load_workbook(path, data_only=x)["Bridge"] for x in (False, True))
    (row,) = [i for i, c in enumerate(column(formulas, "effect", 8), 9) if c.value == "stretch"]
    observed = table[table["month"] == ASK["baseline"]]
    R_0 = observed["correct"].sum() / observed["reviewed"].sum()
    assert values.cell(row, 4).value == pytest.approx(R_0 - 0.95, abs=1e-12)
    assert str(formulas.cell(row, 4).value).startswith("='Cells'!")
    assert values.cell(9, 4).value == pytest.approx(0.95)
    assert formulas.cell(9, 4).value.startswith("='Cells'!")
    target = load_workbook(path)["Cells"][formulas.cell(9, 4).value.split("!")[1].replace("$", "")]
    assert target.value == pytest.approx(0.95)
    assert found_row(values, "Reconciliation: what the bars leave over")[4].value == "adds up"


def variants(table):
    """Every form of decomposition that has formulas of its own."""
    thin, by = moderation(rows=(2, 9), seed=3), ["queue", "market"]
    full = table.rename(columns={"reviewed": "count"})[["month", "queue", "market", "count"]]
    metric = "correct / reviewed"
    plan = full.groupby(["queue", "market"], as_index=False).agg(planned_volume=("count", "sum"))
    plan["target"] = 0.9
    return {
        "plan": at.compare_to_plan(table, plan, metric, by=by, period="month", current=ASK["current"]),
        "threefold": at.explain(table, metric, by=by, method="threefold", **ASK),
        "current": at.explain(table, metric, by=by, method="current", rates="additive", **ASK),
        "thin": at.explain(thin, metric, by=by, rates="saturated", **ASK),
        "pairs": at.explain(thin, metric, by=["region", "queue", "market"], rates="pairs",
                            pairs=[("queue", "market")], **ASK),
        "nested": at.explain(table, metric, by=["region", "queue", "market"], **ASK),
        "das_gupta": at.explain(table, metric, by=by, mix="das_gupta", **ASK),
        "shapley": at.explain(table, metric, by=["region", *by], mix="shapley", **ASK),
        "ordered": at.explain(table, metric, by=by, mix="ordered", order=by[::-1], **ASK),
        "counts": at.explain(table, metric, by=by, volume=full, **ASK),
        "alone": at.explain(table, metric, by=[], **ASK),
        "hidden": at.explain(table, metric, by=by, **ASK),
    }  # fmt: skip


def test_libreoffice_works_out_the_same_values(table, change, office, tmp_path):
    by = ["queue", "market"]
    by_shapley = at.explain(table, "correct / reviewed", by=by, mix="shapley", **ASK)
    books = [change.to_excel(tmp_path / "default.xlsx")]
    books += [by_shapley.to_excel(tmp_path / "shapley.xlsx")]
    books += [against_target(table).to_excel(tmp_path / "target.xlsx")]
    assert_worked_out(books, recalculated(office, books, tmp_path))


@pytest.mark.slow
def test_libreoffice_works_out_every_form_of_decomposition(table, office, tmp_path):
    books = []
    for name, variant in variants(table).items():
        privacy = at.Privacy(min_n=150) if name == "hidden" else None
        books.append(variant.to_excel(tmp_path / f"{name}.xlsx", privacy=privacy))
    assert_worked_out(books, recalculated(office, books, tmp_path))


def functions(table):
    """Every kind of KPI that is no plain ratio, in every form of rates and mix."""
    rng = np.random.default_rng(5)
    table = table.assign(
        hours=table["reviewed"] * rng.uniform(0.5, 2.0, len(table)),
        agree=table["correct"],
        first=rng.binomial(table["reviewed"], 0.3),
        second=rng.binomial(table["reviewed"], 0.3),
    )
    # A rise of one queue's volume, so that the line of the volume is not 0.
    busy = (table["month"] == ASK["current"]) & (table["queue"] == QUEUES[0])
    table.loc[busy, ["reviewed", "hours", "correct"]] *= 2
    asked = {"by": ["queue", "market"], **ASK}
    kappa = at.FunctionOfSums(
        "(po - pe) / (1 - pe)",
        {"agree": "agree", "a": "first", "b": "second", "n": "reviewed"},
        define={"po": "agree / n", "pe": "(a * b + (n - a) * (n - b)) / (n * n)"},
        volume="reviewed",
        name="kappa",
    )
    total = at.Total("hours", volume="reviewed")
    ratio = at.Ratio("correct", "hours", volume="reviewed")
    return {
        "total": at.explain(table, total, rates="saturated", **asked),
        "total fitted": at.explain(table, total, rates="additive", **asked),
        "total shapley": at.explain(table, total, mix="shapley", **asked),
        "volume ratio": at.explain(table, ratio, rates="saturated", **asked),
        "volume ratio fitted": at.explain(table, ratio, rates="additive", **asked),
        "volume ratio ordered": at.explain(
            table, ratio, mix="ordered", order=["market", "queue"], **asked
        ),
        "kappa": at.explain(table, kappa, rates="saturated", **asked),
        "kappa fitted": at.explain(table, kappa, rates="additive", **asked),
        "kappa pairs": at.explain(
            table, kappa, rates="pairs", pairs=[("queue", "market")], **asked
        ),
    }


@pytest.mark.slow
def test_libreoffice_works_out_totals_and_functions_of_sums(table, office, tmp_path):
    books = [x.to_excel(tmp_path / f"{name}.xlsx") for name, x in functions(table).items()]
    assert_worked_out(books, recalculated(office, books, tmp_path))
    for book in books:
        bridge = load_workbook(book)["Bridge"]
        effects = [c for c in column(bridge, "in KPI units", 8) if c.value is not None]
        assert {c.data_type for c in effects} == {"f"}, book


@pytest.mark.parametrize("kind", ["total", "volume ratio fitted", "kappa"])
def test_numbers_of_a_function_of_sums_are_formulas(table, tmp_path, kind):
    change = functions(table)[kind]
    sheets = load_workbook(change.to_excel(tmp_path / "a.xlsx"))
    effects = [c for c in column(sheets["Bridge"], "in KPI units", 8) if c.value is not None]
    assert {c.data_type for c in effects} == {"f"}
    said = sheets["Bridge"]["A3"].value
    assert said.startswith("Effects are live formulas over the cells")
    assert ("mean slopes" in said) == (kind == "kappa")


def assert_worked_out(books, again):
    """Check that another program finds what was written as the value of each formula."""
    for book, other_book in zip(books, again, strict=True):
        formulas, cached = load_workbook(book), load_workbook(book, data_only=True)
        worked_out, count = load_workbook(other_book, data_only=True), 0
        assert worked_out.sheetnames == cached.sheetnames
        for sheet in cached:
            for row in sheet.iter_rows():
                for cell in row:
                    where = (book.name, sheet.title, cell.coordinate)
                    count += formulas[sheet.title][cell.coordinate].data_type == "f"
                    other = worked_out[sheet.title][cell.coordinate].value
                    if isinstance(cell.value, int | float):
                        assert other == pytest.approx(cell.value, rel=1e-9, abs=1e-10), where
                    else:
                        assert (other or "") == (cell.value or ""), where
        assert count > 20, book.name


def test_same_input_gives_the_same_bytes(change, tmp_path):
    first, second = (change.to_excel(tmp_path / name) for name in ("a.xlsx", "b.xlsx"))
    assert first.read_bytes() == second.read_bytes()


def test_an_unwritable_path_is_an_error_that_names_it(change, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OptionError, match=r"path: .*file/a\.xlsx' cannot be written"):
        change.to_excel(tmp_path / "file" / "a.xlsx")
    with pytest.raises(OptionError, match="it is a folder"):
        change.to_excel(tmp_path)


@pytest.mark.parametrize(
    ("method", "name", "meant"),
    [
        ("to_excel", "c.xls", "c.xlsx"),
        ("to_html", "c.txt", "c.html"),
        ("to_pptx", "c.ppt", "c.pptx"),
    ],
)
def test_a_name_of_another_kind_of_file_is_refused(change, tmp_path, method, name, meant):
    with pytest.raises(OptionError, match=f"path: .*{name}' ends in .* Did you mean '{meant}'"):
        getattr(change, method)(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_name_may_end_in_nothing(change, tmp_path):
    assert change.to_excel(tmp_path / "audit").is_file()
    assert change.to_html(tmp_path / "PAGE.HTM").is_file()


def test_a_failure_leaves_the_previous_file(change, tmp_path, monkeypatch):
    path = change.to_excel(tmp_path / "a.xlsx")
    before = path.read_bytes()
    monkeypatch.setattr("attribution.reports.xlsx._provenance", lambda book: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        change.to_excel(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_names_of_dimensions_that_no_sheet_may_have(table, tmp_path):
    names = {"queue": "a/b's [x]: " + "long " * 10, "market": "a b's  x  " + "long " * 10}
    odd = at.explain(
        table.rename(columns=names), "correct / reviewed", by=list(names.values()), **ASK
    )
    sheets = load_workbook(odd.to_excel(tmp_path / "a.xlsx")).sheetnames
    assert len({name.casefold() for name in sheets}) == len(sheets)
    assert all(len(name) <= 31 for name in sheets)


@pytest.mark.slow
def test_thousands_of_levels_and_a_long_label(tmp_path):
    import pandas as pd

    labels = ["x" * 500, *(f"level {i}" for i in range(1, 1500))]
    rows = [(m, x, 20, 18 - (m == "2026-09")) for m in ("2026-08", "2026-09") for x in labels[:-1]]
    rows += [("2026-09", labels[-1], 20, 1)]
    frame = pd.DataFrame(rows, columns=["month", "queue", "reviewed", "correct"])
    many = at.explain(frame, "correct / reviewed", by=["queue"], **ASK)
    sheets = load_workbook(many.to_excel(tmp_path / "a.xlsx"), data_only=True)
    assert sheets["Levels queue"].max_row >= 1500
    mixes = [c.value for c in column(sheets["Levels queue"], "rate effect", 6)]
    rate = float(many.effects.set_index("effect")["estimate"]["rate"])
    assert math.isclose(sum(x or 0 for x in mixes), rate, rel_tol=1e-9)


def test_a_total_reconciles(table, tmp_path):
    change = at.explain(table, at.Total("correct"), by=["queue", "market"], **ASK)
    sheet = load_workbook(change.to_excel(tmp_path / "a.xlsx"), data_only=True)["Bridge"]
    assert found_row(sheet, "Reconciliation: what the bars leave over")[4].value == "adds up"
    estimates = [c.value for c in column(sheet, "in KPI units", 8)]
    count = len(change.bridge().bars)
    assert sum(estimates[1 : 1 + count]) == pytest.approx(change.total.change)
    page = change.to_html(tmp_path / "a.html").read_text(encoding="utf-8")
    assert change.bridge().message in page


def composed(table):
    """Products of KPIs and error types, with turnover, fitted rates and another division of mix."""
    rng = np.random.default_rng(5)
    table = table.assign(
        hours=table["reviewed"] * rng.uniform(0.5, 2.0, len(table)),
        over=rng.binomial(table["reviewed"] - table["correct"], 0.5),
    )
    table["under"] = table["reviewed"] - table["correct"] - table["over"]
    factors = {
        "volume": at.Total("reviewed", volume="reviewed"),
        "AHT": "ratio(hours / reviewed)",
        "*<1": "correct / reviewed",
    }
    product, asked = at.Product(factors, name="Good hours"), {"by": ["queue", "market"], **ASK}
    types = {"Over": "over / reviewed", "Under": "under / reviewed"}
    return {
        "product": at.explain(table, product, rates="saturated", **asked),
        "product fitted": at.explain(table, product, rates="additive", **asked),
        "product shapley": at.explain(table, product, mix="shapley", **asked),
        "types": at.error_types(table, types=types, **asked),
    }


@pytest.mark.parametrize("kind", ["product", "types"])
def test_lines_and_levels_of_kpis_made_of_kpis_are_formulas(table, tmp_path, kind):
    change = composed(table)[kind]
    path = change.to_excel(tmp_path / "a.xlsx")
    sheets, values = load_workbook(path), load_workbook(path, data_only=True)
    effects = [c for c in column(sheets["Bridge"], "in KPI units", 8) if c.value is not None]
    assert len(effects) > 10
    assert {c.data_type for c in effects} == {"f"}
    said = "Effects are live formulas over the cells of each factor, times what a change of the"
    assert sheets["Bridge"]["A3"].value.startswith(said)
    levels = change.levels("queue")
    for part in ("mix", "rate", "total"):
        cells = column(sheets["Levels queue"], f"{part} effect", 6)[: len(levels)]
        known = column(values["Levels queue"], f"{part} effect", 6)[: len(levels)]
        assert {c.data_type for c in cells if c.value is not None} == {"f"}
        assert [c.value for c in known if c.value is not None] == pytest.approx(
            levels[part].dropna().tolist()
        )
    found = change.factors
    factors = values["Factors"]
    rows = [[c.value for c in row] for row in factors.iter_rows(min_row=6, max_row=5 + len(found))]
    assert [row[0] for row in rows] == found["factor"].tolist()
    for j, name in enumerate(["baseline", "current"], start=1):
        assert [row[j] for row in rows] == pytest.approx(found[name].tolist())
    assert [row[5] for row in rows] == pytest.approx(found["estimate"].tolist())
    worth = [sheets["Factors"].cell(6 + j, 5).data_type for j in range(len(found))]
    assert set(worth) == ({"f"} if kind == "product" else {"n"})


def test_a_product_of_many_factors_is_worked_out_but_for_what_each_is_worth(table, tmp_path):
    factors = {f"f{j}": at.Ratio("correct", "reviewed") for j in range(8)}
    change = at.explain(table, at.Product(factors, name="eight"), by=["queue"], **ASK)
    sheets = load_workbook(change.to_excel(tmp_path / "a.xlsx"))
    effects = [c for c in column(sheets["Bridge"], "in KPI units", 8) if c.value is not None]
    assert {c.data_type for c in effects} == {"f"}
    assert {sheets["Factors"].cell(6 + j, 5).data_type for j in range(8)} == {"n"}


@pytest.mark.slow
def test_libreoffice_works_out_kpis_made_of_kpis(table, office, tmp_path):
    books = [x.to_excel(tmp_path / f"{name}.xlsx") for name, x in composed(table).items()]
    assert_worked_out(books, recalculated(office, books, tmp_path))


@pytest.mark.slow
def test_libreoffice_leaves_the_values_of_a_quantile(table, office, tmp_path):
    """Its effects come from whole distributions: formulas over sums gave other numbers."""
    rng = np.random.default_rng(3)
    rows = table.loc[table.index.repeat(30), ["month", "queue", "market"]]
    rows = rows.assign(minutes=rng.gamma(2, 10, len(rows)) * (1 + 0.3 * (rows["queue"] == "id")))
    change = at.explain(rows, at.Quantile("minutes", 0.9), by=["queue", "market"], **ASK)
    books = [change.to_excel(tmp_path / "quantile.xlsx")]
    assert "no formulas: the effects of a quantile" in load_workbook(books[0])["Bridge"]["A3"].value
    assert_worked_out(books, recalculated(office, books, tmp_path))


def test_a_workbook_without_formulas_says_why(table, change, tmp_path):
    product = at.Product({"n": at.Total("reviewed"), "b": "correct / reviewed"})
    product = at.explain(table, product, by=["queue", "market"], **ASK)
    for asked, privacy, reason in [
        (product, at.Privacy(columns=["queue"]), "the levels of queue apart, who are people"),
        (change, at.Privacy(min_n=150), "groups that are too small to be shown"),
        (change, at.Privacy(columns=["queue"]), "the levels of queue apart, who are people"),
    ]:
        sheets = load_workbook(asked.to_excel(tmp_path / "a.xlsx", privacy=privacy))
        assert reason in sheets["Bridge"]["A3"].value
        held = {row[0].value: row[1].value for row in sheets["Provenance"].iter_rows(min_row=2)}
        assert reason in held["effects in this workbook"]
