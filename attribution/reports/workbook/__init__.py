"""The parts of the audit workbook that `xlsx.py` puts together.

    sheets    cells, addresses and names of sheets
    cells     one row a segment: its sums, shares, rates and effects
    columns   the formulas of those rows
    numbers   totals and weights above them
    rates     coefficients of the fitted rates
    levels    one sheet a dimension
    bridge    the first sheet, its reconciliation and its chart

Levels are looked up by number, never by label: to a spreadsheet "<30" is a condition, "*" stands
for anything and "id" equals "ID".
"""
