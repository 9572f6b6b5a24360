"""Statements that end: on Ctrl-C, and after a time limit, also on the engine that runs them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from attribution.errors import StatementTimeoutError

__all__ = ["stoppable"]

# How long an engine is asked to stop before the caller goes on without its answer.
_PATIENCE = 30.0
_AGAIN = 0.1


def stoppable(run: Callable[[], Any], stop: Callable[[], object], timeout: float | None) -> Any:
    """Run a statement in a thread of its own, and stop it after a time or on Ctrl-C.

    An engine does not see a signal while it works; the thread that waits for it does.

    Parameters
    ----------
    run : callable
    stop : callable
        Tells the engine, from another thread, to stop what it runs.
    timeout : float or None
        Seconds.

    Raises
    ------
    StatementTimeoutError
        It was not done in time.
    """
    outcome: Future[Any] = Future()
    threading.Thread(target=_carried_out, args=(run, outcome), daemon=True).start()
    try:
        done = wait([outcome], timeout).done
    except KeyboardInterrupt:
        _stopped(outcome, stop)
        raise
    if done:
        return outcome.result()
    ended = "was stopped" if _stopped(outcome, stop) else "does not stop"
    raise StatementTimeoutError(
        f"timeout: a statement took longer than {timeout:g} s and {ended}. Allow more, or ask for "
        "fewer periods, dimensions or rows (where=...)."
    )


def _carried_out(run: Callable[[], Any], outcome: Future[Any]) -> None:
    try:
        outcome.set_result(run())
    except BaseException as error:  # whatever it is, it belongs to the thread that waits
        outcome.set_exception(error)


def _stopped(outcome: Future[Any], stop: Callable[[], object]) -> bool:
    """Ask the engine to stop, again and again: what has not begun yet does not hear it."""
    for _ in range(round(_PATIENCE / _AGAIN)):
        with contextlib.suppress(Exception):  # of a connection that is gone; there is no answer
            stop()
        if wait([outcome], _AGAIN).done:
            return True
    return False
