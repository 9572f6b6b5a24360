"""A table of full counts beside a sample: which of its columns is the count."""

from __future__ import annotations

from collections.abc import Sequence

from attribution.errors import ColumnNotFoundError, OptionError, listing, nearest
from attribution.source.dates import period_column
from attribution.source.delimited import Reading
from attribution.source.tables import open_table
from attribution.source.types import is_number

__all__ = ["count_column"]


def count_column(volume: object, period: str | None, dimensions: Sequence[str]) -> str:
    """Return the column of a table of counts that holds the counts: the only other number.

    Parameters
    ----------
    volume : table
        Anything `open_table` opens.
    period : str or None
        The period column, or a granularity of one.
    dimensions : sequence of str

    Returns
    -------
    str

    Raises
    ------
    ColumnNotFoundError
        A key is missing, or there is no number besides them.
    OptionError
        There are several numbers.
    """

    keys: list[str] = []

    def every(names: list[str]) -> Reading:
        keys.extend([] if period is None else [column_of(period, names)])
        keys.extend(dimensions)
        for key in keys:
            if key not in names:
                raise ColumnNotFoundError(
                    f"volume: no column {key!r}.{nearest(key, names)} The table of counts holds "
                    f"the period, every dimension and one count. Columns: {listing(names)}."
                )
        return Reading(tuple(names), frozenset(keys))

    def column_of(period: str, names: list[str]) -> str:
        """The column that a granularity is of; a missing one is reported below."""
        try:
            return period_column(period, names).column or period
        except ColumnNotFoundError:
            return period

    table = open_table(volume, every)
    numbers = [c for c, kind in table.types.items() if c not in keys and is_number(kind)]
    if len(numbers) == 1:
        return numbers[0]
    if not numbers:
        raise ColumnNotFoundError(
            f"volume: no column of counts beside {listing(list(keys))}. "
            f"Columns: {listing(list(table.types))}."
        )
    raise OptionError(
        f"volume: {listing(numbers)} are numbers; say which one holds the counts, as in "
        f"volume=(table, {numbers[0]!r})."
    )
