"""What a task takes: CPU and wall seconds and peak memory, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["in_a_process", "report"]


def report(task: Callable[[str], Any], path: str, small: str) -> str:
    """Run a task after one on a small file, which pays for imports; JSON of what it took."""
    task(small)
    cpu, wall = time.process_time(), time.perf_counter()
    task(path)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return json.dumps({"cpu": cpu, "wall": wall, "mib": peak})


def in_a_process(command: Sequence[str]) -> dict[str, float] | str:
    """Run a command whose last line is a `report`; the last line of its error where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:120]
    return json.loads(done.stdout.splitlines()[-1])
