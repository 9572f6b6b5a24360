"""The simulated operation on a quiet day: dimensions, volumes, accuracies, clocks and speeds.

Nothing here changes over time; `events` says what happens to this world, `expected` what that
means for the KPIs. Every probability of a correct decision is a logit,

    logit p = INTERCEPT + queue + policy + market + tenure + moderator (sd MODERATOR_SD),

with effects relative to a moderator of more than a year on short videos.
"""

from __future__ import annotations

import numpy as np

YEAR_START = np.datetime64("2025-01-01")
MONTHS = tuple(f"2025-{m:02d}" for m in range(1, 13))
# Day numbers count from YEAR_START; month t covers days MONTH_STARTS[t] to MONTH_STARTS[t+1] - 1.
_FIRST_DAYS = np.arange("2025-01", "2026-02", dtype="datetime64[M]").astype("datetime64[D]")
MONTH_STARTS = (_FIRST_DAYS - YEAR_START).astype(int)

# name, share of volume, logit effect, SLA hours, handle seconds
_QUEUES = (
    ("video", 0.24, 0.00, 24, 240),
    ("live", 0.09, -0.42, 4, 420),
    ("live_reports", 0.06, -0.36, 8, 450),
    ("video_reports", 0.16, -0.12, 24, 300),
    ("comments", 0.14, 0.14, 12, 120),
    ("comment_reports", 0.07, 0.04, 24, 150),
    ("profiles", 0.06, 0.10, 48, 210),
    ("photos", 0.05, 0.12, 24, 150),
    ("messages", 0.05, -0.16, 12, 270),
    ("sounds", 0.03, 0.22, 48, 240),
    ("ads", 0.03, -0.06, 24, 330),
    ("search", 0.02, 0.08, 48, 180),
)
# name, share of volume, logit effect, severity, prevalence of true violations,
# (over-enforcement, under-enforcement, wrong policy, technical) shares of the errors
_POLICIES = (
    ("minors", 0.14, -0.18, 5, 0.34, (0.36, 0.42, 0.16, 0.06)),
    ("adult_content", 0.16, 0.30, 3, 0.42, (0.46, 0.30, 0.18, 0.06)),
    ("violence", 0.12, 0.12, 4, 0.36, (0.40, 0.36, 0.18, 0.06)),
    ("harassment", 0.14, -0.20, 3, 0.30, (0.34, 0.40, 0.20, 0.06)),
    ("hate_speech", 0.10, -0.42, 4, 0.28, (0.38, 0.34, 0.22, 0.06)),
    ("self_harm", 0.07, -0.10, 5, 0.32, (0.34, 0.42, 0.18, 0.06)),
    ("fraud_spam", 0.17, 0.44, 2, 0.48, (0.36, 0.42, 0.14, 0.08)),
    ("misinformation", 0.10, -0.48, 2, 0.24, (0.40, 0.34, 0.20, 0.06)),
)
# name, region, share of volume, logit effect; a market of share 0 opens with the launch
_MARKETS = (
    ("US", "Americas", 0.16, 0.16),
    ("BR", "Americas", 0.12, -0.04),
    ("MX", "Americas", 0.08, 0.04),
    ("ID", "APAC", 0.12, -0.14),
    ("JP", "APAC", 0.06, 0.02),
    ("PH", "APAC", 0.05, 0.12),
    ("TH", "APAC", 0.05, -0.10),
    ("VN", "APAC", 0.06, -0.12),
    ("DE", "EMEA", 0.06, 0.06),
    ("ES", "EMEA", 0.04, 0.06),
    ("FR", "EMEA", 0.05, 0.02),
    ("GB", "EMEA", 0.06, 0.18),
    ("SA", "EMEA", 0.04, -0.22),
    ("TR", "EMEA", 0.05, -0.24),
    ("NG", "EMEA", 0.00, -0.95),
)
# label, first day of tenure, logit effect, decisions per hour relative to a settled moderator
_TENURES = (
    ("0-30", 0, -1.00, 0.70),
    ("31-90", 31, -0.47, 0.85),
    ("91-180", 91, -0.20, 0.95),
    ("181-365", 181, -0.08, 1.00),
    ("365+", 366, 0.00, 1.00),
)
# site, vendor, share of moderators; on request SUCCESSOR takes the sites of REPLACED_VENDOR over
_SITES = (
    ("Site A", "Vendor 1", 0.25),
    ("Site B", "Vendor 1", 0.20),
    ("Site C", "Vendor 2", 0.17),
    ("Site D", "Vendor 2", 0.13),
    ("Site E", "Vendor 3", 0.15),
    ("Site F", "Vendor 3", 0.10),
)
# What a queue, and what a market, sees more (or less) of than its share of the policies.
_QUEUE_TILT = {
    ("live", "minors"): 1.6,
    ("live", "violence"): 1.5,
    ("live_reports", "minors"): 1.4,
    ("live_reports", "harassment"): 1.6,
    ("comments", "harassment"): 1.7,
    ("comments", "hate_speech"): 1.4,
    ("comment_reports", "harassment"): 1.9,
    ("comment_reports", "hate_speech"): 1.5,
    ("messages", "minors"): 1.5,
    ("messages", "fraud_spam"): 1.6,
    ("profiles", "fraud_spam"): 1.6,
    ("photos", "adult_content"): 1.6,
    ("sounds", "minors"): 0.4,
    ("ads", "fraud_spam"): 2.4,
    ("ads", "minors"): 0.4,
    ("search", "misinformation"): 1.8,
}
_MARKET_TILT = {
    ("US", "misinformation"): 1.3,
    ("BR", "harassment"): 1.3,
    ("ID", "fraud_spam"): 1.3,
    ("JP", "hate_speech"): 0.6,
    ("DE", "hate_speech"): 1.5,
    ("PH", "fraud_spam"): 1.4,
    ("SA", "adult_content"): 1.4,
    ("TR", "hate_speech"): 1.3,
}

QUEUES, QUEUE_SHARE, QUEUE_EFFECT, SLA_HOURS, HANDLE_SECONDS = (
    np.array(c) for c in zip(*_QUEUES, strict=True)
)
POLICIES, _POLICY_SHARE, POLICY_EFFECT, SEVERITY, PREVALENCE, ERROR_SHARES = (
    np.array(c) for c in zip(*_POLICIES, strict=True)
)
MARKETS, REGION, MARKET_SHARE, MARKET_EFFECT = (np.array(c) for c in zip(*_MARKETS, strict=True))
TENURES, TENURE_START, TENURE_EFFECT, TENURE_SPEED = (
    np.array(c) for c in zip(*_TENURES, strict=True)
)
SITES, SITE_VENDOR, SITE_SHARE = (np.array(c) for c in zip(*_SITES, strict=True))
VENDORS = ("Vendor 1", "Vendor 2", "Vendor 3", "Vendor 4")
REPLACED_VENDOR, SUCCESSOR = "Vendor 2", "Vendor 4"
ERRORS = ("over_enforcement", "under_enforcement", "wrong_policy", "technical")

INTERCEPT = 2.84
MODERATOR_SD = 0.25

# Sizes: expected decisions in a quiet month, and the seats that decide them.
VOLUME = {"small": 6_000, "standard": 60_000, "large": 400_000}
SEATS = {"small": 24, "standard": 216, "large": 1_440}

# A seat's holder leaves on any day with this probability and is replaced the next morning, so
# tenure has a geometric distribution that does not change until an event changes it.
LEAVING = 1 / 500
# Decisions per day by weekday, Monday first, relative to the mean.
_WEEKDAYS = np.array([1.12, 1.10, 1.08, 1.06, 1.04, 0.82, 0.78])
DAY_WEIGHT = _WEEKDAYS[(np.arange(366) + 2) % 7]  # 1 January 2025 is a Wednesday

# Turnaround is lognormal around a fraction of the queue's SLA; handle time around its mean.
TURNAROUND_SHARE, TURNAROUND_SD = 0.38, 0.60
HANDLE_SD = 0.45
# Handle time of a band: the reciprocal of its speed.
TENURE_HANDLE = 1 / TENURE_SPEED


def week_of(days: np.ndarray) -> np.ndarray:
    """Return the calendar week (0 = the one of 1 January, Monday to Sunday) of day numbers.

    Examples
    --------
    >>> week_of(np.array([0, 4, 5, 243])).tolist()
    [0, 0, 1, 35]
    """
    return (days + 2) // 7


def band_of(days: np.ndarray) -> np.ndarray:
    """Return the tenure band (a code) of a tenure in days.

    Examples
    --------
    >>> TENURES[band_of(np.array([0, 30, 31, 90, 91, 365, 366]))].tolist()
    ['0-30', '0-30', '31-90', '31-90', '91-180', '181-365', '365+']
    """
    return np.searchsorted(TENURE_START, days, side="right") - 1


def level(names: np.ndarray, name: str) -> int:
    """Return the code of a name."""
    return names.tolist().index(name)


def _policy_share() -> np.ndarray:
    """Share of each policy given queue and market, shape (queue, market, policy)."""
    share = np.tile(_POLICY_SHARE, (len(QUEUES), len(MARKETS), 1))
    for (queue, policy), tilt in _QUEUE_TILT.items():
        share[level(QUEUES, queue), :, level(POLICIES, policy)] *= tilt
    for (market, policy), tilt in _MARKET_TILT.items():
        share[:, level(MARKETS, market), level(POLICIES, policy)] *= tilt
    return share / share.sum(axis=-1, keepdims=True)


POLICY_SHARE = _policy_share()
# Logit of each segment before events, shape (queue, policy, market, tenure).
BASE_LOGIT = (
    INTERCEPT
    + QUEUE_EFFECT[:, None, None, None]
    + POLICY_EFFECT[:, None, None]
    + MARKET_EFFECT[:, None]
    + TENURE_EFFECT
)
# Risk tier of the work, known to the operation: a segment is high risk if the logit of its queue,
# policy and market lies below this level.
HIGH_RISK_BELOW = 2.15
HIGH_RISK = BASE_LOGIT[..., -1] < HIGH_RISK_BELOW
