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
from attribution.errors import MissingFileError
from attribution.monthly.scans import metric_of, scans

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
    with pytest.raises(ConfigError, match=r"not TOML\. .*line 2"):
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
