"""Tables with everything that files trip over, and spreadsheets recalculated by another program."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at

# Conditions, wildcards and formulas to a spreadsheet; markup to a browser; equal but for case.
QUEUES = ["=cmd|' /C calc'!A0", "<30", "@left", "id", "ID"]
MARKETS = ["*", "JP", "+1", "<b>x</b>"]
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--window-size=1200,1600"]  # fmt: skip
ASK = {"period": "month", "baseline": "2026-08", "current": "2026-09"}


def moderation(rows: tuple[int, int] = (50, 300), seed: int = 0) -> pd.DataFrame:
    """A level that left (@left), one that entered (JP), nested regions."""
    rng = np.random.default_rng(seed)
    found = []
    for month in ("2026-08", "2026-09"):
        for queue in QUEUES:
            for market in MARKETS:
                if (month, market) == ("2026-08", "JP") or (month, queue) == ("2026-09", "@left"):
                    continue
                n = int(rng.integers(*rows))
                correct = int(rng.binomial(n, 0.9))
                region = "r1" if market in ("*", "JP") else "r2"
                found.append((month, queue, market, region, n, correct))
    columns = ["month", "queue", "market", "region", "reviewed", "correct"]
    return pd.DataFrame(found, columns=columns)


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return moderation()


@pytest.fixture(scope="session")
def change(table) -> at.Attribution:
    metric = at.Rate("correct", "reviewed", name="Accuracy")
    return at.explain(table, metric, by=["queue", "market"], **ASK)


@pytest.fixture(scope="session")
def caused() -> at.Attribution:
    """Thirty moderators, all of whom got worse at one policy."""
    rows = [
        (month, f"m{g}", queue, policy, 40, 36 - (month == 2 and policy == "minors") * (2 + g % 3))
        for month in (1, 2)
        for g in range(30)
        for queue in "AB"
        for policy in ("minors", "spam", "hate", "fraud")
    ]
    names = ["month", "moderator", "queue", "policy", "reviewed", "correct"]
    return at.explain(
        pd.DataFrame(rows, columns=names),
        at.Rate("correct", "reviewed", name="Accuracy"),
        by=["queue", "policy"],
        period="month",
        baseline=1,
        current=2,
        cluster="moderator",
    )


@pytest.fixture(scope="session")
def demo() -> at.Attribution:
    """A real change of four dimensions: the wave of new hires in the simulated operation."""
    reviews = at.datasets.simulate_moderation("small", months=4).qa_reviews
    return at.explain(
        reviews,
        at.Rate("correct", "reviewed", name="Accuracy"),
        by=["queue", "policy", "market", "tenure"],
        period="month",
        baseline="2025-03",
        current="2025-04",
        cluster="moderator_id",
        weight="weight",
        where="design != 'targeted'",
    )


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    driver = shutil.which("chromedriver")
    binary = shutil.which("chromium")
    if not driver or not binary:
        pytest.skip("chromium and chromium-driver are not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="session")
def office() -> str:
    """LibreOffice; tests that need another program to open a file skip where it is absent."""
    found = shutil.which("soffice") or shutil.which("libreoffice")
    if not found:
        pytest.skip("LibreOffice is not installed")
    return found


def recalculated(office: str, books: list[Path], folder: Path) -> list[Path]:
    """Take all values of formulas out of the workbooks and let LibreOffice work them out anew."""
    bare = folder / "bare"
    bare.mkdir()
    for book in books:
        with zipfile.ZipFile(book) as old, zipfile.ZipFile(bare / book.name, "w") as new:
            for name in old.namelist():
                part = old.read(name)
                if name.startswith("xl/worksheets/sheet"):
                    part = re.sub(rb"(</f>)<v>[^<]*</v>", rb"\1", part)
                new.writestr(name, part)
    profile = f"-env:UserInstallation=file://{folder}/profile"
    made = folder / "recalculated"
    command = [office, profile, "--headless", "--convert-to", "xlsx", "--outdir", str(made)]
    subprocess.run([*command, *(str(bare / b.name) for b in books)], check=True, timeout=240,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    return [made / book.name for book in books]
