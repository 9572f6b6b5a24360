"""A progress bar for work of more than two seconds, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["progress"]

_Item = TypeVar("_Item")

# Work that is done before a reader looks up needs no bar.
_SECONDS = 2.0


def progress(items: Iterable[_Item], total: int, text: str) -> Iterator[_Item]:
    """Yield the items, with a bar on stderr once they take more than two seconds.

    Silent where stderr is not a terminal. The bar is gone at the end and after an error or Ctrl-C
    in `items`: do the work there, in a generator, and not between the items.

    Parameters
    ----------
    items : iterable
    total : int
        How many there will be.
    text : str
        What is going on.

    Yields
    ------
    object
        Each item.

    Examples
    --------
    >>> list(progress((x * x for x in range(3)), total=3, text="squares"))
    [0, 1, 4]
    """
    if not sys.stderr.isatty():
        yield from items
        return
    started, bar, task = time.monotonic(), None, None
    try:
        for done, item in enumerate(items, start=1):
            if bar is None and time.monotonic() - started > _SECONDS:
                bar = _bar()
                task = bar.add_task(text, total=total)
                bar.start()
            if bar is not None and task is not None:
                bar.update(task, completed=done)
            yield item
    finally:
        if bar is not None:
            bar.stop()


def _bar():
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
