"""Every example of the documentation runs and prints what its page shows."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
_spec = importlib.util.spec_from_file_location("docs_outputs", DOCS / "outputs.py")
outputs = importlib.util.module_from_spec(_spec)
sys.modules["docs_outputs"] = outputs
_spec.loader.exec_module(outputs)


# The two that take longest.
LONG = ("how-to/scorecards.md", "explanation/peers.md")


def shown(page: Path):
    name = page.relative_to(DOCS).as_posix()
    return pytest.param(page, id=name, marks=pytest.mark.slow if name in LONG else ())


@pytest.mark.parametrize("page", [shown(page) for page in outputs.pages()])
def test_examples_run_and_print_what_the_page_shows(page):
    blocks = outputs.run(page)
    for block in blocks:
        assert block.printed == block.shown, f"{page}:{block.line}"


def test_a_wrong_output_would_be_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```output\n3\n```\n")
    (block,) = outputs.run(page)
    assert (block.printed, block.shown) == ("2\n", "3\n")
    assert "```output\n2\n```" in outputs.written(page, [block])
