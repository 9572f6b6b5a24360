"""Nothing leaks: what may be shown of an attribution, to whom.

Text, pictures and files are made from what `protect` leaves. Two rules:

* a dimension of people (moderator_id) is not shown unless asked for, by name or by pseudonym;
* with `min_n`, a group of fewer rows in a period is suppressed, and with it as many others as it
  takes that no sum or difference of what is shown gives it away.

    rules        the rules, and pseudonyms
    suppression  the groups that must go with a small one
    shown        an attribution under the rules: what every text, picture and file quotes
    bars         bars of a bridge that may not be shown alone
    named        its named causes
    entities     the entities of scorecards and targets
    over_time    a trend under the rules
"""

from attribution.privacy.named import ShownCauses
from attribution.privacy.over_time import ShownTrend, protect_trend
from attribution.privacy.rules import Privacy
from attribution.privacy.shown import HIDDEN, OTHER, Shown, protect

__all__ = [
    "HIDDEN",
    "OTHER",
    "Privacy",
    "Shown",
    "ShownCauses",
    "ShownTrend",
    "protect",
    "protect_trend",
]
