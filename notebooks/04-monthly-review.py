# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. The monthly review as code, and its outputs
#
# What an analyst does on the third of every month, by hand: the same queries, the same sheet, the same deck, and from memory
# whether this was a problem last month too. Here it is one file and one command. The file is read by people and kept in
# version control; the command is run by a scheduler.

# %%
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import duckdb
from IPython.display import Image, Markdown, display

import attribution as at

folder = Path(tempfile.mkdtemp())
os.chdir(folder)

ops = at.datasets.simulate_moderation("small", months=4)
ops.qa_reviews.to_parquet("reviews.parquet")
ops.decisions.to_parquet("decisions.parquet")


def attribution(arguments: str) -> None:
    """Run the command as a shell would, and show what it prints and its exit code."""
    done = subprocess.run(f"attribution {arguments}", shell=True, capture_output=True, text=True)
    print(done.stdout.strip() or done.stderr.strip())
    if done.returncode:
        print(f"(exit code {done.returncode})")


# %% [markdown]
# ## The file
#
# Two sources, two KPIs, a threshold, and what to write. Every key is in the reference;
# `attribution review --init` prints all of them with comments.

# %%
Path("actions.csv").write_text(
    "cause,kpi,owner,priority,due,status\ntenure: 0-30,Accuracy,training,P1,2025-05-31,open\n"
)
Path("review.toml").write_text("""\
actions = "actions.csv"

[review]
title = "Moderation quality"
folder = "out"

[sources.reviews]
data = "reviews.parquet"
period = "month"
where = "design != 'targeted'"
cluster = "moderator_id"
weight = "weight"

[sources.decisions]
data = "decisions.parquet"
period = "month"
cluster = "moderator_id"

[[kpis]]
name = "Accuracy"
source = "reviews"
metric = "correct / reviewed"
by = ["queue", "policy", "tenure"]
compare = ["previous", "rolling 2"]
drill = ["top 1"]
[kpis.breach]
below = 0.92
worse_by = 0.01

[[kpis]]
name = "Handling time"
source = "decisions"
metric = "aht"
by = ["queue", "tenure"]
compare = ["previous"]

[output]
charts = false
""")

# %% [markdown]
# A typing error is refused, with its line and what was meant:

# %%
good = Path("review.toml").read_text()
Path("typo.toml").write_text(good.replace("compare", "compair", 1))
attribution("review typo.toml --period 2025-04")

# %% [markdown]
# ## A dry run
#
# Reads and checks everything, writes nothing. (Also printed, not shown here: the SQL of each scan.)

# %%
plan = subprocess.run(
    "attribution review review.toml --period 2025-04 --dry-run",
    shell=True, capture_output=True, text=True, check=True,
).stdout  # fmt: skip
print("\n".join(line for line in plan.splitlines() if "SELECT" not in line))

# %% [markdown]
# ## The run
#
# A month of the past, so that there is a history (`--period` may be repeated); then this month, as the scheduler would.

# %%
attribution("review review.toml --period 2025-03")

# %%
attribution("review review.toml --period 2025-04 --fail-on breach")

# %% [markdown]
# The exit code tells the scheduler whom to call: 0 nobody, 1 the owner of a KPI, 2 the owner of the file, 3 the owner of the data, 4 us.
#
# ## What it wrote

# %%
for path in sorted(Path("out").rglob("*")):
    if path.is_file() and "tidy" not in path.parts and ".cache" not in path.parts:
        print(f"{path.stat().st_size / 1000:8.1f} kB  {path.relative_to('out')}")

# %% [markdown]
# The summary, for a chat or an e-mail:

# %%
display(Markdown(Path("out/2025-04/summary.md").read_text()))

# %% [markdown]
# The page that opens from it, with all KPIs; a report for each is one click away. (Drawn by Chromium where it is installed.)

# %%
browser = shutil.which("chromium") or shutil.which("google-chrome")
if browser:
    page = Path("out/2025-04/index.html").resolve().as_uri()
    options = "--headless=new --no-sandbox --disable-gpu --no-first-run --window-size=1000,1100"
    options += f" --user-data-dir={folder / 'browser'} --screenshot={folder / 'index.png'}"
    subprocess.run([browser, *options.split(), page], check=True, capture_output=True)
    display(Image(str(folder / "index.png")))
else:
    print("Chromium is not installed: open out/2025-04/index.html")

# %% [markdown]
# The actions that somebody has promised, beside what their cause does now:

# %%
print(Path("out/2025-04/actions.csv").read_text())

# %% [markdown]
# ## What it remembers
#
# The history is a DuckDB file that answers SQL, for a dashboard or a question:

# %%
with duckdb.connect("out/history.duckdb", read_only=True) as history:
    changes = history.sql("""
        SELECT kpi, period, comparison, round(value, 4) AS value, round(change, 4) AS change, verdict, status
        FROM changes ORDER BY ALL
    """).df()
changes

# %% [markdown]
# `at.review("review.toml", period="2025-04")` is the same in Python: its result has every change as an object to ask further.
#
# To schedule it: cron, a CI system, any orchestrator that runs a command. The how-to "Schedule a monthly review" has the lines.
