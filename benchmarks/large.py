"""Memory and time of a grouped result that does not fit: 100 million rows, 1 million clusters.

    uv run python benchmarks/large.py [--rows 100000000] [--clusters 1000000] [--file PATH]

The table is written to a temporary folder (17 bytes a row), or kept at PATH and used again. DuckDB
may take 2 GB; the peak is that of the whole process.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from speed import explained, write_reviews


def main() -> None:
    """Write the table, ask by four dimensions with clusters, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--clusters", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path)
    asked = parser.parse_args()
    from attribution.source.engine import connect

    connect().execute("SET memory_limit = '2GB'")
    with tempfile.TemporaryDirectory() as folder:
        path = asked.file or Path(folder) / "reviews.parquet"
        if not path.exists():
            write_reviews(path, asked.rows, asked.clusters)
        start = time.process_time()
        change = explained(str(path))
        scanned = time.process_time() - start
        print(change.cube)
        print(change.effects.to_string())
        held = change.cube.clusters
        parts, entries = (len(held.parts), len(held.period)) if held else (0, 0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{entries:,} groups in {parts} partitions; CPU: scan {scanned:.0f} s, with the bridge "
            f"{time.process_time() - start:.0f} s; peak {peak:.2f} GiB"
        )


if __name__ == "__main__":
    main()
