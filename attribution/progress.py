"""A progress bar for work of more than two seconds, on a terminal only.

There is one display: what runs within other work gets a line of its own below it.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["progress", "steps"]

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
    with steps(total, text) as step:
        for item in items:
            step(1)
            yield item


@contextmanager
def steps(total: int, text: str) -> Iterator[Callable[[int], None]]:
    """Show a bar as `progress` does, for work whose steps lie in several places.

    Parameters
    ----------
    total : int
        How many steps there will be.
    text : str
        What is going on.

    Yields
    ------
    callable
        Takes how many more steps are done.

    Examples
    --------
    >>> with steps(3, "files") as step:
    ...     step(2)
    ...     step(1)
    """
    if not _watched():
        yield lambda done: None
        return
    line = _Line(total, text)
    # By a clock and not at a step: the first may be the one that takes long.
    begun = threading.Timer(_SECONDS, line.show)
    begun.daemon = True
    begun.start()
    try:
        yield line.step
    finally:
        begun.cancel()
        begun.join()
        line.remove()


def _watched() -> bool:
    """Whether somebody looks: a terminal, and no other process that draws on it."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return terminal and multiprocessing.parent_process() is None


class _Line:
    """One bar of the display, which the first line opens and the last one closes."""

    _screen: Progress | None = None
    _lock = threading.RLock()

    def __init__(self, total: int, text: str) -> None:
        self._total, self._text, self._done = total, text, 0
        self._task: TaskID | None = None

    def show(self) -> None:
        with _Line._lock:
            screen = _Line._screen
            if screen is None:
                screen = _Line._screen = _display()
                screen.start()
            self._task = screen.add_task(self._text, total=self._total, completed=self._done)

    def step(self, done: int) -> None:
        with _Line._lock:
            self._done += done
            if self._task is not None and _Line._screen is not None:
                _Line._screen.update(self._task, completed=self._done)

    def remove(self) -> None:
        with _Line._lock:
            screen = _Line._screen
            if self._task is None or screen is None:
                return
            screen.remove_task(self._task)
            if not screen.task_ids:
                screen.stop()
                _Line._screen = None


def _display() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        # Results in a pipe go where they are sent; on the same terminal they stand above the bar.
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )
