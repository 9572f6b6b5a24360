"""What is left of a review that dies or finds no room: the previous output and the history, whole."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

import attribution as at
from attribution.errors import LockedError, OptionError
from attribution.reports import folder as folders
from attribution.reports.folder import clear_leftovers, replace_folder


def run(config):
    return at.review(config, period="2026-06")


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


def leftovers(folder):
    return [p.name for p in folder.parent.iterdir() if p.name.startswith(f".{folder.name}-")]


# Where a run is stopped: what is patched, and the call of it that says so and then waits.
POINTS = {
    "while scanning": ("attribution.monthly.job.cube_of", 1),
    "while the cube is kept": ("attribution.storage._write", 2),
    "while the history is written": ("attribution.monthly.history.History._query", 12),
    "while the folder is written": ("attribution.monthly.output.write_actions", 1),
    "before the folders change places": ("attribution.reports.folder.swapped", 1),
    "after the folders have changed places": ("attribution.reports.folder.shutil.rmtree", 1),
    "while the feed is written": ("attribution.monthly.output.write_tables", 2),
}

_STOPPED = """
import sys, time
from importlib import import_module
from attribution.monthly.job import review
path, number = sys.argv[2], int(sys.argv[3])
parts = path.split(".")
for cut in range(len(parts) - 1, 0, -1):
    try:
        holder = import_module(".".join(parts[:cut]))
        break
    except ModuleNotFoundError:
        pass
for name in parts[cut:-1]:
    holder = getattr(holder, name)
original, calls = getattr(holder, parts[-1]), 0
def stopped(*arguments, **options):
    global calls
    calls += 1
    if calls == number:
        print("here", flush=True)
        time.sleep(60)
    return original(*arguments, **options)
setattr(holder, parts[-1], stopped)
review(sys.argv[1], period="2026-06")
"""


@contextmanager
def stopped(config, as_toml, tmp_path, point):
    """A run in a process of its own that waits at a point, and is killed there."""
    path = tmp_path / "review.toml"
    path.write_text(as_toml(config))
    patched, number = POINTS[point]
    command = [sys.executable, "-c", _STOPPED, str(path), patched, str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "here\n"
        yield
        process.send_signal(signal.SIGKILL)
        process.wait()


def again(config):
    """Run when the system has let go of the dead process's lock."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return run(config)
        except LockedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_two_runs_on_one_folder_exclude_each_other(config, as_toml, tmp_path):
    before = digests(run(config).folder)
    with (
        stopped(config, as_toml, tmp_path, "while the folder is written"),
        pytest.raises(LockedError, match="another review is writing"),
    ):
        run(config)
    assert digests(again(config).folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_leaves_the_previous_output_whole(config, as_toml, tmp_path, point):
    config["output"]["tidy"] = True
    done = run(config)
    before, feed = digests(done.folder), digests(done.folder.parent / "feed")
    shutil.rmtree(done.folder.parent / ".cache")
    with stopped(config, as_toml, tmp_path, point):
        pass
    assert digests(done.folder) == before
    with duckdb.connect(str(done.folder.parent / "history.duckdb")) as history:
        periods = history.execute("SELECT DISTINCT period FROM changes").fetchall()
    assert periods == [("2026-06",)]
    assert digests(again(config).folder) == before
    assert digests(done.folder.parent / "feed") == feed
    assert leftovers(done.folder) == leftovers(done.folder.parent / "feed") == []


@pytest.mark.parametrize("exchanged", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path, monkeypatch, exchanged):
    if not exchanged:
        monkeypatch.setattr(folders, "swapped", lambda *_: False)
    target = tmp_path / "2026-06"
    for text in ("first", "second"):
        replace_folder(target, lambda fresh, text=text: (fresh / "a").write_text(text))
    assert (target / "a").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["2026-06"]


def test_what_died_between_two_renames_is_put_back(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "swapped", lambda *_: False)
    target = tmp_path / "2026-06"
    replace_folder(target, lambda fresh: (fresh / "a").write_text("first"))
    rename = Path.rename

    def dies(self, to):
        if to == target:
            raise KeyboardInterrupt
        return rename(self, to)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", dies)
        replace_folder(target, lambda fresh: (fresh / "a").write_text("second"))
    assert not target.exists()
    (tmp_path / ".2026-06-partial_").mkdir()
    (tmp_path / ".2026-06-of-another").mkdir()
    clear_leftovers(target)
    assert (target / "a").read_text() == "first"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".2026-06-of-another", "2026-06"]


def test_a_failure_of_the_second_rename_undoes_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "swapped", lambda *_: False)
    target = tmp_path / "2026-06"
    replace_folder(target, lambda fresh: (fresh / "a").write_text("first"))
    rename = Path.rename

    def fails(self, to):
        if to == target and not self.name.endswith("-previous"):
            raise OSError(5, "Input/output error")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OptionError, match="Input/output error"):
        replace_folder(target, lambda fresh: (fresh / "a").write_text("second"))
    assert (target / "a").read_text() == "first"


# -- a full disk ------------------------------------------------------------------------------


def test_a_failure_while_writing_leaves_the_previous_output_whole(config, monkeypatch):
    done = run(config)
    before = digests(done.folder)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attribution.monthly.output.write_actions", full)
    with pytest.raises(OptionError, match="No space left on device"):
        run(config)
    assert digests(done.folder) == before
    assert leftovers(done.folder) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB, where the system lets us make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 24, 300])
def test_a_full_disk_is_said_and_the_previous_output_stays(config, small_disk, left):
    config["review"]["folder"] = str(small_disk / "out")
    config["output"] |= {"html": True, "xlsx": True, "tidy": True}
    done = run(config)
    before = digests(done.folder)
    filler = small_disk / "filler"
    state = os.statvfs(small_disk)
    filler.write_bytes(bytes(state.f_bavail * state.f_frsize - 1024 * left))
    with pytest.raises(OptionError, match=r"out: .* cannot be written.*No space left on device"):
        run(config)
    assert digests(done.folder) == before
    filler.unlink()
    assert digests(run(config).folder) == before
    assert leftovers(done.folder) == []
