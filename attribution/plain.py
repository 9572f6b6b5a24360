"""Plain values: what JSON knows, floats to 12 significant digits, and the schema they follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.formatting import significant

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA", "plain", "records"]

SCHEMA = "kpi-attribution/1"


def plain(value: Any) -> Any:
    """Reduce a value to what JSON knows, floats to 12 significant digits."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return significant(float(value))
    return str(value)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as plain values."""
    return [plain(row) for row in frame.to_dict(orient="records")]
