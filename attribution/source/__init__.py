"""Any table -> one GROUP BY: the only package that touches user data.

tables.py opens what the user has as one SQL view; request.py says what is asked of it, selection.py
which rows that is and contract.py what they must satisfy; grouping.py runs the GROUP BY, coding.py
writes its result as small integers, findings.py tells what was left out. counts.py finds the counts
in a table of volumes; records.py reads a small table as it is; stored.py knows files and databases
that a scheduled run comes back to.
"""

from attribution.source.coding import Grouped
from attribution.source.counts import count_column
from attribution.source.grouping import group
from attribution.source.planned import PlanTable, read_plan
from attribution.source.records import read_records
from attribution.source.request import Request
from attribution.source.stored import files_of, open_database, repeated_rows
from attribution.source.warehouse import DUCKDB_ITSELF, open_warehouse

__all__ = [
    "PlanTable",
    "read_plan",
    "Grouped",
    "Request",
    "count_column",
    "files_of",
    "group",
    "open_database",
    "open_warehouse",
    "DUCKDB_ITSELF",
    "read_records",
    "repeated_rows",
]
