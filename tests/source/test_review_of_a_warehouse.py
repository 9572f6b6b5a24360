"""A review of a warehouse: PostgreSQL through Ibis, and nothing of its address shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import SourceError
from attribution.source import open_warehouse

pytestmark = [
    pytest.mark.services,
    # Of Ibis itself, with pandas 3.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*future.infer_string.*"),
]


@pytest.mark.parametrize("read", [{"table": "reviews"}, {"query": "SELECT * FROM reviews"}])
def test_a_warehouse_gives_what_the_file_gives(
    postgres: Any, postgres_address: str, tmp_path: Path, monkeypatch: Any, read: dict[str, str]
) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"month": np.repeat(["2026-05", "2026-06"], 300), "queue": rng.choice(["a", "b"], 600)}
    )
    rows["correct"], rows["reviewed"] = rng.integers(0, 2, 600), 1
    postgres.create_table("reviews", rows, overwrite=True)
    rows.to_parquet(tmp_path / "reviews.parquet")
    monkeypatch.setenv("WAREHOUSE", postgres_address)
    config = {
        "sources": {"qa": {"data": str(tmp_path / "reviews.parquet"), "period": "month"}},
        "kpis": [{"name": "Accuracy", "metric": "correct / reviewed", "by": ["queue"]}],
        "output": {"pptx": False, "xlsx": False, "charts": False, "tidy": False},
    }
    expected = at.review(config, period="2026-06", out=tmp_path / "file").kpis[0]
    config["sources"] = {
        "qa": {"warehouse": "${WAREHOUSE}", "period": "month", "timeout": 60, **read}
    }
    done = at.review(config, period="2026-06", out=tmp_path / "out")
    assert done.kpis[0].failures == []
    found, same = (k.main.effects["estimate"].tolist() for k in (done.kpis[0], expected))
    assert found == pytest.approx(same, abs=1e-12)
    password = postgres_address.split(":")[2].split("@")[0]
    texts = [
        p.read_text()
        for p in (tmp_path / "out").rglob("*")
        if p.suffix in (".json", ".html", ".log")
    ]
    assert not any(password in text for text in texts)
    assert any("${WAREHOUSE}" in text for text in texts)
    with (
        pytest.raises(SourceError, match="Did you mean 'reviews'") as caught,
        open_warehouse(postgres_address, "review", None),
    ):
        pass
    assert password not in str(caught.value)
    for query, said in (
        ("SELECT 1; DROP TABLE reviews", "exactly one SELECT"),
        ("WITH x AS (DELETE FROM reviews RETURNING *) SELECT * FROM x", "it must only read"),
    ):
        with pytest.raises(SourceError, match=said), open_warehouse(postgres_address, None, query):
            pass
    assert postgres.table("reviews").count().execute() == 600
