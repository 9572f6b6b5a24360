"""A small operation of seven months for the monthly review: quiet, then one queue falls."""

import json

import numpy as np
import pandas as pd
import pytest

MONTHS = [f"2026-{m:02d}" for m in range(1, 8)]


def reviews(months=MONTHS, fallen=("2026-06", "2026-07")):
    """Rows with a rate that falls in queue Live in the months of `fallen`."""
    rng = np.random.default_rng(5)
    parts = []
    for month in months:
        n = 2_000
        queue = rng.choice(["Ads", "Feed", "Live"], n, p=[0.3, 0.4, 0.3])
        rate = np.where((queue == "Live") & (month in fallen), 0.75, 0.93)
        parts.append(
            pd.DataFrame(
                {
                    "month": month,
                    "queue": queue,
                    "market": rng.choice(["BR", "ID"], n),
                    "moderator_id": rng.integers(0, 40, n).astype(str),
                    "correct": (rng.random(n) < rate).astype(int),
                    "reviewed": 1,
                    "seconds": rng.gamma(4, 60, n),
                }
            )
        )
    return pd.concat(parts, ignore_index=True).assign(row=lambda d: range(len(d)))


@pytest.fixture(scope="session")
def make_reviews():
    """The function that makes rows, for months of one's own."""
    return reviews


@pytest.fixture(scope="session")
def table():
    return reviews()


@pytest.fixture
def config(tmp_path, table):
    """A configuration over a Parquet file, as a mapping; files that take long are left out."""
    table.to_parquet(tmp_path / "reviews.parquet")
    return {
        "review": {"title": "Quality", "folder": str(tmp_path / "out")},
        "sources": {
            "qa": {
                "data": str(tmp_path / "reviews.parquet"),
                "period": "month",
                "cluster": "moderator_id",
            }
        },
        "kpis": [
            {
                "name": "Accuracy",
                "metric": "correct / reviewed",
                "by": ["queue", "market"],
                "breach": {"below": 0.9, "worse_by": 0.02},
            },
            {
                "name": "AHT",
                "metric": "ratio(seconds / reviewed)",
                "better": "lower",
                "unit": "s",
                "by": ["queue"],
                "compare": ["previous", "rolling 3", "year"],
            },
        ],
        "output": {"charts": False, "html": False, "pptx": False, "xlsx": False, "tidy": False},
    }


@pytest.fixture(scope="session")
def as_toml():
    """The function that writes a configuration as TOML."""
    return _toml


def _toml(config):
    """A configuration as TOML: JSON's values are TOML's."""
    lines = []
    for section in ("review", "output"):
        lines.append(f"[{section}]")
        lines += [f"{k} = {json.dumps(v)}" for k, v in config[section].items()]
    lines.append("[sources.qa]")
    lines += [f"{k} = {json.dumps(v)}" for k, v in config["sources"]["qa"].items()]
    for kpi in config["kpis"]:
        lines.append("[[kpis]]")
        lines += [f"{k} = {json.dumps(v)}" for k, v in kpi.items() if k != "breach"]
        if "breach" in kpi:
            lines.append("[kpis.breach]")
            lines += [f"{k} = {json.dumps(v)}" for k, v in kpi["breach"].items()]
    return "\n".join(lines) + "\n"
