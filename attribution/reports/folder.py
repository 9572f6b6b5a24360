"""An output folder: summary, tables and pictures, written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attribution.errors import OptionError

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["replace_folder", "write_results"]

_DIGITS = "%.12g"


def replace_folder(folder: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary sibling, then put it in the place of `folder`.

    A failure leaves the previous folder as it was.

    Parameters
    ----------
    folder : path
        Made or replaced as a whole.
    write : callable
        Gets the temporary folder.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The folder cannot be written, or holds files that are no earlier output.
    """
    target = Path(folder)
    marker = ".kpi-attribution"
    if target.exists() and not (target / marker).exists() and any(target.iterdir()):
        raise OptionError(
            f"out: {str(target)!r} holds files that this command did not write; name an empty or "
            "new folder."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise OptionError(f"out: {str(target)!r} cannot be written ({error.strerror}).") from error
    try:
        write(fresh)
        (fresh / marker).write_text("An output folder: it is replaced as a whole.\n")
        fresh.chmod(0o755)
        if target.exists():
            previous = fresh.with_name(fresh.name + "-previous")
            target.rename(previous)
            fresh.rename(target)
            shutil.rmtree(previous)
        else:
            fresh.rename(target)
    except OSError as error:
        raise OptionError(f"out: {str(target)!r} cannot be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def write_results(change: Attribution, folder: Path) -> None:
    """Write one attribution into an existing folder.

    summary.txt, effects.csv (the bridge), levels.csv (all dimensions below each other),
    findings.csv, effects.json (everything), waterfall.png, waterfall.svg.

    Parameters
    ----------
    change : Attribution
    folder : Path
    """
    import pandas as pd

    from attribution.plots import save

    (folder / "summary.txt").write_text(change.summary() + "\n", encoding="utf-8")
    change.to_frame().to_csv(folder / "effects.csv", index=False, float_format=_DIGITS)
    levels = [change.levels(d) for d in change.cube.dimensions]
    if levels:
        pd.concat(levels).to_csv(folder / "levels.csv", index=False, float_format=_DIGITS)
    change.check().to_csv(folder / "findings.csv", index=False)
    change.to_json(folder / "effects.json")
    for name in ("waterfall.png", "waterfall.svg"):
        save(change.plot.waterfall(), folder / name)
