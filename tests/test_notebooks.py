"""Notebooks and their text halves say the same, and were executed without errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"


@pytest.mark.parametrize("text", sorted(FOLDER.glob("*.py")), ids=lambda p: p.stem)
def test_pair_is_the_same_and_executed(text):
    book = json.loads(text.with_suffix(".ipynb").read_text(encoding="utf-8"))
    code = [c for c in book["cells"] if c["cell_type"] == "code"]
    parts = re.split(r"^# %%(.*)\n", text.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    written = [source.strip() for kind, source in pairs if "markdown" not in kind]
    assert ["".join(c["source"]).strip() for c in code] == written
    assert all(c["execution_count"] for c in code)
    assert not [o for c in code for o in c["outputs"] if o["output_type"] == "error"]
    for cell in code:
        if "picture = " in "".join(cell["source"]):
            assert any("image/png" in o.get("data", {}) for o in cell["outputs"])
