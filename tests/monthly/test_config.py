"""The configuration of a review: what it takes, and errors that name file, line, key and the nearest."""

import json
import tomllib

import pytest

import attribution as at
from attribution.config import (
    Comparison,
    ConfigError,
    Kpi,
    config_schema,
    example_config,
    load_config,
    resolved,
)
from attribution.errors import MissingFileError, SourceError
from attribution.monthly.scans import metric_of, scans
from attribution.source import open_warehouse

GOOD = """
[review]
title = "Quality"

[sources.qa]
data = "reviews.parquet"
period = "month"

[[kpis]]
name = "Accuracy"
metric = "correct / reviewed"
by = ["queue", "market"]

[kpis.breach]
below = 0.92

[[kpis]]
name = "AHT"
metric = "ratio(seconds / decisions)"
better = "lower"
by = ["queue"]
compare = ["previous", "rolling 3"]
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "review.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_good_file_is_read_with_its_defaults(written):
    config = load_config(written(GOOD))
    assert [kpi.name for kpi in config.kpis] == ["Accuracy", "AHT"]
    assert config.kpis[0].compare == ["previous"]
    assert config.kpis[0].breach.below == 0.92
    assert config.source_of(config.kpis[1]) == "qa"
    assert load_config(tomllib.loads(GOOD)) == config


BAD = {
    "unknown key": ('title = "Quality"', 'titel = "Quality"', 3,
                    ["review.titel: unknown key", "Did you mean 'title'?"]),
    "unknown key of a list": ("below = 0.92", "belw = 0.92", 15,
                              ["kpis[0].breach.belw: unknown key", "Did you mean 'below'?"]),
    "unknown section": ("[review]", "[revew]", 2,
                        ["revew: unknown key", "Did you mean 'review'?"]),
    "missing key": ('period = "month"\n', "", 5, ["sources.qa.period: missing."]),
    "wrong type": ("below = 0.92", 'below = "low"', 15, ["kpis[0].breach.below: 'low'"]),
    "a value that is not allowed": ('better = "lower"', 'better = "less"', 20,
                                    ["kpis[1].better: 'less'", "'higher' or 'lower'"]),
    "an unknown comparison": ('"rolling 3"', '"roling 3"', 22,
                              ["kpis[1].compare", "'roling 3'", "Did you mean 'rolling 3'?"]),
    "a metric that is none": ('"correct / reviewed"', '"correct, reviewed"', 11,
                              ["kpis[0].metric: 'correct, reviewed' is not"]),
    "no dimension": ('by = ["queue"]', "by = []", 21, ["kpis[1].by: [] is not allowed"]),
    "a name twice": ('name = "AHT"', 'name = "Accuracy"', 18,
                     ["kpis[1].name: 'Accuracy' is the name of an earlier KPI."]),
    "no such source": ('name = "AHT"', 'name = "AHT"\nsource = "qq"', 19,
                       ["kpis[1].source: no source 'qq'", "'qa'"]),
    "plan without a plan": ('"rolling 3"', '"plan"', 17, ["needs plan (a table) or target"]),
    "two places": ('data = "reviews.parquet"', 'data = "a.parquet"\ndatabase = "b"', 5,
                   ["exactly one of data, database and warehouse", "data and database are given"]),
    "no place": ('data = "reviews.parquet"\n', "", 5, ["none is given"]),
    "database without a query": ('data = "reviews.parquet"', 'database = "b.duckdb"', 5,
                                 ["database needs query"]),
    "unknown key of a source": ('period = "month"', 'period = "month"\nclster = "x"', 8,
                                ["sources.qa.clster: unknown key", "'cluster'?"]),
    "unknown key of a KPI": ('by = ["queue"]', 'by = ["queue"]\ntargt = 3', 22,
                             ["kpis[1].targt: unknown key", "'target'?"]),
    "unknown key of the file": ("[review]", 'acions = "a.csv"\n[review]', 2,
                                ["acions: unknown key", "'actions'?"]),
    **{f"unknown key of {table}": ("[[kpis]]", f"[{table}]\n{key} = 3\n[[kpis]]", 10,
                                   [f"{table}.{key}: unknown key", f"'{meant}'?"])
       for table, key, meant in [("output", "htlm", "html"), ("privacy", "minn", "min_n"),
                                 ("quality", "few_row", "few_rows"), ("theme", "god", "good"),
                                 ("dimensions.queue", "lable", "label")]},
    "a number for text": ('title = "Quality"', "title = 3", 3, ["review.title: 3"]),
    "a date for text": ('title = "Quality"', "title = 2026-09-01", 3, ["review.title: datetime.date"]),
    "text for a list": ('by = ["queue"]', 'by = "queue"', 21, ["kpis[1].by: 'queue'", "It is a list"]),
    "a number for a table": ("[review]", "output = 3\n[review]", 2, ["output: 3", "It is a table."]),
    "an element of a long list": ('by = ["queue"]', 'by = [  # all ]\n  "queue",\n  3,\n]', 23,
                                  ["kpis[1].by[1]: 3"]),
    "beyond its bounds": ('title = "Quality"', "conf_level = 95", 3, ["review.conf_level: 95"]),
    "a KPI without a name": ('name = "AHT"\n', "", 17, ["kpis[1].name: missing."]),
    "a KPI without a metric": ('metric = "ratio(seconds / decisions)"\n', "", 17,
                               ["metric, factors and types is needed; none is given"]),
    "an unknown KPI": ('"correct / reviewed"', '"acuracy"', 11, ["Did you mean 'accuracy'?"]),
    "a factor that is no metric": ('metric = "ratio(seconds / decisions)"',
                                   'factors = { volume = "total(1)", AHT = "mean(" }', 19,
                                   ["kpis[1].factors.AHT: 'mean('"]),
    "an inline table": ("[kpis.breach]\nbelow = 0.92", "breach = { below = 0.92, abve = 1 }", 14,
                        ["kpis[0].breach.abve: unknown key"]),
    "a dotted key": ("[kpis.breach]\nbelow = 0.92", 'breach.below = 0.92\nbreach."abve" = 1', 15,
                     ["kpis[0].breach.abve: unknown key"]),
    "what looks like keys in a text before it": (
        '"reviews.parquet"\nperiod = "month"',
        '"""\nSELECT *\n[[kpis]]\ntitle = 3\n"""\nperiod = 3', 11, ["sources.qa.period: 3"]),
    "a DuckDB file through Ibis": ('data = "reviews.parquet"',
                                   'table = "x"\nwarehouse = "duckdb://qa.duckdb"', 7,
                                   ['database = "FILE" and query =']),
    "a password": ('data = "reviews.parquet"',
                   'table = "x"\nwarehouse = "postgresql://ops:hunter2@db/qa"', 7,
                   ["sources.qa.warehouse: a password is written here"]),
    "a condition that is none": ('period = "month"', 'period = "month"\nwhere = "design !== 3"', 8,
                                 ["sources.qa.where: 'design !== 3'"]),
    "an unknown mix": ('compare = ["previous", "rolling 3"]', 'mix = "shaply"', 22,
                       ["kpis[1].mix: 'shaply'", "'shapley'"]),
    "an order without its mix": ('compare = ["previous", "rolling 3"]', 'order = ["queue"]', 22,
                                 ["kpis[1].order: it is used with mix='ordered' only"]),
    "an order of others": ('compare = ["previous", "rolling 3"]',
                           'mix = "ordered"\norder = ["quue"]', 23,
                           ["kpis[1].order: ['quue'] does not name each of ['queue'] once.",
                            "Did you mean 'queue'?"]),
    "a mix without its order": ('compare = ["previous", "rolling 3"]', 'mix = "ordered"', 17,
                                ["kpis[1].order: None is not a list of all dimensions"]),
    "a mix that is not drawn": ('compare = ["previous", "rolling 3"]',
                                'inference = "bootstrap"\nmix = "shapley"', 23,
                                ["kpis[1].mix: 'shapley' needs inference='analytic'."]),
    "pairs without their rates": ('compare = ["previous", "rolling 3"]',
                                  'pairs = [["queue", "market"]]', 22,
                                  ["kpis[1].pairs: they are used with rates='pairs' only"]),
    "a pair of others": ('by = ["queue"]',
                         'by = ["queue", "market"]\nrates = "pairs"\npairs = [["queue", "markt"]]', 23,
                         ["kpis[1].pairs[0]: no dimension 'markt'. Did you mean 'market'?"]),
    "a pair of one": ('by = ["queue"]',
                      'by = ["queue", "market"]\nrates = "pairs"\npairs = [["queue"]]', 23,
                      ["kpis[1].pairs: ['queue'] is not a pair"]),
    "a drill-down": ('compare = ["previous", "rolling 3"]', 'drill = ["tp 3"]', 22,
                     ["kpis[1].drill: 'tp 3'"]),
    "a time that is none": ('period = "month"', 'period = "month"\ntimeout = -3', 8,
                            ["sources.qa.timeout: -3"]),
    "a date that is none": ('title = "Quality"', "title = 2026-13-01", 3, ["not TOML"]),
    "a text without an end": ('title = "Quality"', 'title = "Quality', 3, ["not TOML"]),
    "a key twice": ('title = "Quality"', 'title = "Q"\ntitle = "R"', 4, ["not TOML", "overwrite"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_errors_name_the_line_the_key_and_what_is_allowed(written, case):
    old, new, line, words = BAD[case]
    assert old in GOOD
    path = written(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    text = str(caught.value)
    assert f"{path}, line {line}: " in text
    for word in words:
        assert word in text


def test_all_findings_are_listed_at_once(written):
    text = GOOD.replace("title", "titel").replace("below", "belw")
    with pytest.raises(ConfigError) as caught:
        load_config(written(text))
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_is_no_toml_says_where(written):
    with pytest.raises(ConfigError, match=r"review\.toml, line 2: not TOML\. .*column 9"):
        load_config(written("[review]\ntitle = oops\n"))


def test_a_missing_file_names_the_nearest(written):
    path = written(GOOD)
    with pytest.raises(MissingFileError, match=r"Did you mean 'review\.toml'\?"):
        load_config(path.with_name("reviw.toml"))


def test_a_dimension_must_be_one_of_a_kpi(written):
    with pytest.raises(ConfigError, match=r"dimensions\.qeue: no KPI has it.*Did you mean 'queue'"):
        load_config(written(GOOD + '\n[dimensions.qeue]\nlabel = "Queue"\n'))


def test_secrets_come_from_the_environment_and_errors_never_show_them(monkeypatch):
    monkeypatch.setenv("REVIEW_SECRET", "hush")
    assert resolved("a/${REVIEW_SECRET}/b", "data") == "a/hush/b"
    with pytest.raises(ConfigError) as caught:
        resolved("${REVIEW_SECRET} ${REVIEW_ABSENT}", "data")
    assert "REVIEW_ABSENT" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_example_is_valid_and_commented():
    text = example_config()
    assert load_config(tomllib.loads(text)).kpis[0].name == "Accuracy"
    assert sum(line.lstrip().startswith("#") for line in text.splitlines()) > 10


def test_the_schema_knows_every_key():
    schema = json.loads(config_schema())
    assert schema["additionalProperties"] is False
    assert {"below", "above", "worse_by", "only_real"} == set(
        schema["$defs"]["Breach"]["properties"]
    )


@pytest.mark.parametrize(("text", "periods"), [("previous", 1), ("rolling 12", 12), ("year", 1)])
def test_a_comparison_has_words(text, periods):
    assert Comparison.of(text).periods == periods
    assert Comparison.of(text).words


def test_the_orientation_is_the_metrics_own_unless_it_is_given():
    def better(**of_kpi):
        return metric_of(Kpi(name="K", by=["queue"], **of_kpi), {}).better

    assert better(metric="aht") == "lower"
    assert better(metric="aht", better="higher") == "higher"
    assert better(metric="correct / reviewed") == "higher"


def test_columns_bind_the_dictionary_for_one_review_only(written):
    bound = GOOD.replace("[[kpis]]", '[columns]\nhandle_seconds = "aht_ms / 1000"\n\n[[kpis]]', 1)
    config = load_config(written(bound.replace('"correct / reviewed"', '"aht"')))
    (scan,) = scans(config, only=["Accuracy"])
    assert [metric.numerator for metric in scan.metrics] == ["(aht_ms / 1000)"]
    assert at.kpis.named("aht").value == "handle_seconds"
    with pytest.raises(ConfigError, match=r"line 10: columns\.handle_secs: no KPI reads .*seconds"):
        load_config(written(bound.replace("handle_seconds", "handle_secs")))


def test_an_address_of_duckdb_in_the_environment_is_refused_too():
    with (
        pytest.raises(SourceError, match="read without Ibis"),
        open_warehouse("duckdb:///tmp/qa.duckdb", "reviews", None),
    ):
        pass


def test_a_drill_down_by_what_a_level_lies_in_is_refused(written):
    """Within a market there is one region: nothing to divide by. Labels are names, too."""
    text = GOOD.replace('"market"]', '"market", "region"]\ndrill = ["{}"]')
    text += '[dimensions.market]\nlabel = "Country"\nwithin = "region"\n'
    for right in ("market=BR by queue", "Country=BR by queue", "region=LATAM by Country", "top 2"):
        load_config(written(text.format(right)))
    for wrong, said in {
        "Country=BR by region": "no dimension 'region' here. Dimensions: 'queue'.",
        "Contry=BR": "no dimension 'Contry' here. Did you mean 'Country'?",
    }.items():
        with pytest.raises(ConfigError) as raised:
            load_config(written(text.format(wrong)))
        assert f"line 13: kpis[0].drill[0]: {said}" in str(raised.value)
