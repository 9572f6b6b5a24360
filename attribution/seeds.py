"""One whole number for whatever was given as a random generator: results compare and travel."""

from __future__ import annotations

import numpy as np

from attribution.errors import OptionError

__all__ = ["seed_of"]


def seed_of(rng: object) -> int:
    """Return the seed that a `rng` argument stands for; None is 0.

    Parameters
    ----------
    rng : int, Generator, BitGenerator, SeedSequence or None

    Returns
    -------
    int

    Raises
    ------
    OptionError

    Examples
    --------
    >>> seed_of(None), seed_of(7)
    (0, 7)
    """
    if rng is None:
        return 0
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return int(rng)
    if isinstance(rng, np.random.Generator | np.random.SeedSequence | np.random.BitGenerator):
        return int(np.random.default_rng(rng).integers(2**62))
    raise OptionError(
        f"rng: {rng!r} is not a whole number of 0 or more, a numpy Generator or a SeedSequence."
    )
