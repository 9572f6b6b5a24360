"""A bar where somebody looks, on one display, and nothing of it anywhere else."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

BAR = "━"
SOON = "import sys, attribution.progress as p; p._SECONDS = 0.05; "
COMMAND = SOON + "from attribution.cli import main; main(sys.argv[1:])"


def run(code: str, *arguments: str, out: bool = False, terminal: bool = True) -> tuple[str, str]:
    """What Python prints to stdout and to stderr: the second a terminal, or both, or neither."""
    main, side = pty.openpty()
    command = [sys.executable, "-c", code, *arguments]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=side if out else subprocess.PIPE,
            stderr=side if terminal else subprocess.PIPE,
            env=env,
        ) as process:
            os.close(side)
            seen = _until_closed(main)
            written, errors = process.communicate()
    finally:
        os.close(main)
    assert process.returncode == 0, seen + (errors or b"").decode()
    return (written or b"").decode(), seen if terminal else errors.decode()


def _until_closed(terminal: int) -> str:
    seen = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # what a closed terminal answers on Linux
            read = b""
        if not read:
            return seen.decode()
        seen += read


def screen(text: str) -> list[str]:
    """The lines that a terminal shows at the end: carriage returns, erased lines, cursor up."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b["):
            if part.endswith("A"):
                row -= int(part[2:-1] or 1)
            elif part.endswith("K"):
                lines[row] = "" if part[2:-1] == "2" else lines[row][:column]
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("progress") / "reviews.csv"
    rows = [
        (month, queue, reviewer, int((i + 3 * reviewer + (month == "2026-02")) % 5 > 0))
        for month in ("2026-01", "2026-02")
        for queue in ("live", "video")
        for reviewer in range(12)
        for i in range(6)
    ]
    frame = pd.DataFrame(rows, columns=["month", "queue", "moderator_id", "correct"])
    frame.assign(reviewed=1).to_csv(path, index=False)
    return path


def explaining(reviews: Path, out: Path) -> list[str]:
    return [
        "explain", str(reviews), "--metric", "correct / reviewed", "--by", "queue", "--period",
        "month", "--baseline", "2026-01", "--current", "2026-02", "--out", str(out),
    ]  # fmt: skip


def reviewing(reviews: Path, out: Path, *more: str) -> list[str]:
    config = out.parent / "review.toml"
    config.write_text(
        f'[sources.qa]\ndata = "{reviews}"\nperiod = "month"\n\n[[kpis]]\nname = "Accuracy"\n'
        'metric = "correct / reviewed"\nby = ["queue"]\n'
    )
    return ["review", str(config), "--period", "2026-02", "--out", str(out), *more]


def test_one_long_step_shows_a_bar_that_is_gone_at_the_end():
    code = SOON + "import time; list(p.progress(map(time.sleep, [0.4]), 1, 'work'))"
    _, seen = run(code)
    assert BAR in seen
    assert "work" in seen
    assert screen(seen) == []


def test_work_within_work_has_a_line_on_the_same_display():
    code = SOON + (
        "import time\n"
        "def inner(_):\n"
        "    return list(p.progress(map(time.sleep, [0.2, 0.2]), 2, 'inner'))\n"
        "list(p.progress(map(inner, range(2)), 2, 'outer'))"
    )
    _, seen = run(code)
    frames = seen.split("outer")
    assert any("\n" in frame and "inner" in frame for frame in frames[1:])
    assert screen(seen) == []


def test_an_error_takes_the_bar_away():
    code = SOON + (
        "import time\n"
        "def fail():\n"
        "    yield 1\n"
        "    time.sleep(0.3)\n"
        "    raise ValueError('no')\n"
        "try:\n"
        "    list(p.progress(fail(), 2, 'work'))\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    seen = run(code, out=True)[1]
    assert BAR in seen
    assert screen(seen) == ["no"]


def test_results_in_a_pipe_are_not_drawn_on_the_terminal():
    code = SOON + (
        "import time\n"
        "for x in p.progress(map(lambda x: time.sleep(0.2) or x, range(3)), 3, 'work'):\n"
        "    print('result', x)\n"
    )
    results = ["result 0", "result 1", "result 2"]
    written, seen = run(code)
    assert written.splitlines() == results
    assert "result" not in seen
    assert screen(run(code, out=True)[1]) == results


def test_other_processes_draw_nothing():
    code = SOON + (
        "import time, multiprocessing as m\n"
        "if __name__ == '__main__':\n"
        "    context = m.get_context('fork')\n"
        "    work = lambda: list(p.progress(map(time.sleep, [0.3]), 1, 'work'))\n"
        "    one = context.Process(target=work); one.start(); one.join()\n"
    )
    assert run(code)[1] == ""


@pytest.mark.parametrize(("asked", "word"), [(explaining, "files"), (reviewing, "review")])
def test_commands_draw_a_bar_on_a_terminal_only(asked, word: str, reviews: Path, tmp_path: Path):
    arguments = asked(reviews, tmp_path / "out")
    written, seen = run(COMMAND, *arguments)
    assert BAR in seen
    assert word in seen
    left = screen(seen)
    assert left[-1].startswith("Wrote ")
    assert not any(BAR in line for line in left)

    again, errors = run(COMMAND, *arguments, terminal=False)
    assert again == written
    assert [line[:5] for line in errors.splitlines()] == ["Wrote"] * len(errors.splitlines())


def test_the_bar_of_a_review_ends_full(reviews: Path, tmp_path: Path):
    # One source; two of the KPI, the deck and the whole; a KPI without an answer has no files.
    arguments = reviewing(reviews, tmp_path / "out")
    with (tmp_path / "review.toml").open("a") as config:
        config.write('\n[[kpis]]\nname = "Gone"\nmetric = "absent / reviewed"\nby = ["queue"]\n')
    code = COMMAND.replace(
        "main(sys.argv[1:])",
        "p._Line.remove = lambda self: print(self._done, self._total)\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass",
    )
    written, _ = run(code, *arguments)
    counted = [line.split() for line in written.splitlines() if line.replace(" ", "").isdigit()]
    assert ["7", "7"] in counted


def test_log_lines_are_for_who_asks(reviews: Path, tmp_path: Path):
    _, errors = run(COMMAND, *explaining(reviews, tmp_path / "a"), "-v", terminal=False)
    assert "report.html: written" in errors
    _, errors = run(COMMAND, *reviewing(reviews, tmp_path / "b", "-v"), terminal=False)
    assert "Accuracy: files written" in errors
    assert BAR not in errors
