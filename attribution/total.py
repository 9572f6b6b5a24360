"""The change of a KPI with its interval: what every kind of answer adds up to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Total"]


@dataclass(frozen=True)
class Total:
    """The change itself, in KPI units.

    Attributes
    ----------
    baseline, current, change : float
    std_error, conf_low, conf_high, p_value : float
        Of the change.
    """

    baseline: float
    current: float
    change: float
    std_error: float
    conf_low: float
    conf_high: float
    p_value: float

    @property
    def detectable(self) -> float:
        """The smallest change the data could show with 80 % power.

        Half the interval and 0.84 standard errors: 2.8 of them at 95 % and many clusters.
        """
        return (self.conf_high - self.conf_low) / 2 + 0.8416 * self.std_error
