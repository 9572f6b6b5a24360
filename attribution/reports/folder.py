"""An output folder: summary, tables and pictures, written whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attribution.errors import OptionError
from attribution.privacy import Privacy, Shown, protect
from attribution.progress import progress
from attribution.reports.files import as_csv_text
from attribution.reports.html import html_file
from attribution.reports.pptx import pptx_file
from attribution.reports.swap import swapped
from attribution.reports.xlsx import excel_file
from attribution.summary import summary

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["clear_leftovers", "replace_folder", "write_results"]

_DIGITS, _PREVIOUS = "%.12g", "-previous"


def replace_folder(
    folder: str | Path, write: Callable[[Path], None], parameter: str = "out"
) -> Path:
    """Let `write` fill a temporary sibling, then put it in the place of `folder`.

    A failure leaves the previous folder as it was, and so does the death of the process: the two
    exchange their names in one step. Where the system cannot do that there is a moment without
    `folder`, and the next call puts the previous one back first.

    Parameters
    ----------
    folder : path
        Made or replaced as a whole.
    write : callable
        Gets the temporary folder.
    parameter : str
        Named in the error.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The folder cannot be written, is a file, or holds files that are no earlier output.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise OptionError(
            f"{parameter}: {str(target)!r} is a file, not a folder; name an empty or new folder."
        )
    _put_back(target)
    marker = ".kpi-attribution"
    if target.exists() and not (target / marker).exists() and any(target.iterdir()):
        raise OptionError(
            f"{parameter}: {str(target)!r} holds files that this command did not write; "
            "name an empty or new folder."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise OptionError(
            f"{parameter}: {str(target)!r} cannot be written ({error.strerror})."
        ) from error
    try:
        write(fresh)
        (fresh / marker).write_text("An output folder: it is replaced as a whole.\n")
        fresh.chmod(0o755)
        if not target.exists():
            fresh.rename(target)
        elif not swapped(fresh, target):
            _replace(target, fresh)
    except OSError as error:
        raise OptionError(
            f"{parameter}: {str(target)!r} cannot be written ({error.strerror})."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def clear_leftovers(folder: Path) -> None:
    """Remove what killed runs left beside an output folder; only for who knows to be alone.

    Parameters
    ----------
    folder : Path
        As in `replace_folder`.
    """
    _put_back(folder)
    for left in _left(folder):
        shutil.rmtree(left, ignore_errors=True)


def _replace(target: Path, fresh: Path) -> None:
    """Put one folder in the place of another in two steps."""
    previous = fresh.with_name(fresh.name + _PREVIOUS)
    target.rename(previous)
    try:
        fresh.rename(target)
    except OSError:
        previous.rename(target)
        raise
    shutil.rmtree(previous)


def _put_back(target: Path) -> None:
    """Undo the first of the two steps, where a process died before the second."""
    if target.exists():
        return
    held = [left for left in _left(target) if left.name.endswith(_PREVIOUS)]
    if held:
        max(held, key=lambda left: left.stat().st_mtime).rename(target)


def _left(target: Path) -> list[Path]:
    """The temporary siblings of a folder: its name, and the eight characters of `mkdtemp`."""
    named = re.compile(rf"\.{re.escape(target.name)}-\w{{8}}({_PREVIOUS})?")
    if not target.parent.is_dir():
        return []
    return [path for path in target.parent.iterdir() if named.fullmatch(path.name)]


def write_results(
    change: Attribution,
    folder: Path,
    *,
    privacy: Privacy | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Write one attribution into an existing folder.

    summary.txt, effects.csv (the bridge), levels.csv (all dimensions below each other),
    findings.csv, effects.json (everything), waterfall.png, waterfall.svg, report.html, deck.pptx,
    workbook.xlsx.

    Parameters
    ----------
    change : Attribution
    folder : Path
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.
    say : callable, optional
        Gets a line of text per file that takes a while.
    """
    written = _files(protect(change, privacy), folder)
    for name in progress(written, total=4, text="files"):
        if say is not None:
            say(f"{name}: written")


def _files(shown: Shown, folder: Path) -> Iterator[str]:
    """Write everything; yields the name of each file that takes a while."""
    import pandas as pd

    from attribution.plots import save
    from attribution.plots.waterfall import waterfall

    text = summary(shown.change, shown.bridge, shown.findings, shown.withheld)
    (folder / "summary.txt").write_text(text + "\n", encoding="utf-8")
    as_csv_text(shown.frame).to_csv(folder / "effects.csv", index=False, float_format=_DIGITS)
    if levels := list(shown.levels.values()):
        frame = as_csv_text(pd.concat(levels))
        frame.to_csv(folder / "levels.csv", index=False, float_format=_DIGITS)
    columns = ["code", "severity", "message", "facts"]
    found = as_csv_text(pd.DataFrame(shown.findings, columns=columns))
    found.to_csv(folder / "findings.csv", index=False)
    held = json.dumps(shown.to_dict(), ensure_ascii=False, indent=1)
    (folder / "effects.json").write_text(held + "\n", encoding="utf-8")
    for name in ("waterfall.png", "waterfall.svg"):
        save(waterfall(shown.bridge), folder / name)
    yield "waterfall"
    for name, write in (
        ("report.html", html_file),
        ("deck.pptx", pptx_file),
        ("workbook.xlsx", excel_file),
    ):
        write(shown, folder / name)
        yield name
