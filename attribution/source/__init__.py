"""Any table -> one GROUP BY: the only package that touches user data.

tables.py opens what the user has as one SQL view; contract.py says what the data must satisfy and
names what breaks it; grouping.py runs the GROUP BY and codes its result as small integers;
counts.py finds the counts in a table of volumes; records.py reads a small table as it is; stored.py
knows files and databases that a scheduled run comes back to.
"""

from attribution.source.counts import count_column
from attribution.source.grouping import Grouped, Request, group
from attribution.source.planned import PlanTable, read_plan
from attribution.source.records import read_records
from attribution.source.stored import files_of, open_database, repeated_rows

__all__ = [
    "PlanTable",
    "read_plan",
    "Grouped",
    "Request",
    "count_column",
    "files_of",
    "group",
    "open_database",
    "read_records",
    "repeated_rows",
]
