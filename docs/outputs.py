"""Run the examples of documentation pages; compare the outputs shown below them, or write them.

``python docs/outputs.py PAGE ...`` runs the ```python and ```console blocks of each page in order,
in a temporary folder, and writes what they print into the ```output block below each of them, and
the pictures that the page shows from ``images/`` into docs/images. `tests/test_docs.py` compares.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
_BLOCK = re.compile(
    r"^```(?P<kind>python|console)\n(?P<code>.*?)^```\n(?:\n?```output\n(?P<shown>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
_PICTURE = re.compile(r"\]\((?:\.\./)*images/([\w.-]+)\)")


@dataclass(frozen=True)
class Block:
    """An example: where it starts, what it says, what the page shows below it, what it prints."""

    line: int
    code: str
    shown: str
    printed: str


def pages() -> list[Path]:
    """Return the pages whose examples are run, sorted: lessons, and all that show an output."""
    lessons = {*DOCS.glob("tutorial/*.md"), *DOCS.glob("how-to/*.md")}
    others = {*DOCS.glob("explanation/*.md"), *DOCS.glob("reference/*.md")}
    shown = {p for p in others if "\n```output\n" in p.read_text(encoding="utf-8")}
    return sorted(lessons | shown)


def run(page: Path, pictures: Path | None = None) -> list[Block]:
    """Run the examples of a page in one namespace and one temporary folder."""
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "__main__"}
    blocks = []
    with tempfile.TemporaryDirectory() as folder, _as_shown(folder):
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 2
            printed = _run(found["kind"], found["code"], names, f"{page}:{line}")
            blocks.append(Block(line, found["code"], found["shown"] or "", printed))
        for name in set(_PICTURE.findall(text)):
            if pictures and Path(name).exists():
                shutil.copy(name, pictures / name)
    return blocks


def written(page: Path, blocks: list[Block]) -> str:
    """Return the text of a page with the outputs of its examples."""
    results = iter(blocks)

    def with_output(found: re.Match[str]) -> str:
        printed = next(results).printed
        block = f"```{found['kind']}\n{found['code']}```\n"
        return block + (f"\n```output\n{printed}```\n" if printed else "")

    return _BLOCK.sub(with_output, page.read_text(encoding="utf-8"))


def _run(kind: str, code: str, names: dict[str, Any], where: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        if kind == "python":
            exec(compile(code, where, "exec"), names)
        else:
            _command(code)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _command(code: str) -> None:
    """Run `$ attribution ...` lines, with `> file`, in this process."""
    from attribution.cli import main

    for command in code.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(command.removeprefix("$ "))
        if program != "attribution":
            raise ValueError(f"only the command attribution is run, not {program!r}")
        into = arguments[-1] if ">" in arguments else None
        with open(into, "w") if into else contextlib.nullcontext() as file:
            redirected = contextlib.redirect_stdout(file) if file else contextlib.nullcontext()
            with redirected:
                try:
                    main(arguments[:-2] if into else arguments)
                except SystemExit as end:
                    if end.code:
                        print(f"exit code {end.code}")


@contextlib.contextmanager
def _as_shown(folder: str) -> Any:
    """Work in a folder, with tables as wide as a page."""
    import matplotlib as mpl
    import pandas as pd

    mpl.use("agg")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with pd.option_context("display.width", 96, "display.max_columns", 20):
            yield
    finally:
        os.chdir(before)


def main(arguments: list[str]) -> None:
    for page in [Path(a).resolve() for a in arguments] or pages():
        blocks = run(page, DOCS / "images")
        page.write_text(written(page, blocks), encoding="utf-8")
        print(f"{page.relative_to(DOCS)}: {len(blocks)} examples")


if __name__ == "__main__":
    main(sys.argv[1:])
