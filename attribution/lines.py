"""Standard errors, intervals and tests of the lines of a bridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attribution.errors import OptionError, check_level, check_option
from attribution.hypotheses import line_name, linear_test
from attribution.infer import PermutationTest, permutation_test_of
from attribution.infer import permutation_test as permuted
from attribution.infer.hypotheses import LinearTest, wald
from attribution.kinds import value_of
from attribution.metrics import Quantile, is_ratio
from attribution.seeds import seed_of
from attribution.tables import line_keys

if TYPE_CHECKING:
    import pandas as pd

    from attribution.result import Attribution

__all__ = [
    "combined",
    "conf_int",
    "cov",
    "lack_of_fit",
    "permutation_test",
    "wald_test",
]

EFFECTS = ("volume", "mix", "joint", "rate", "interaction", "sampling", "entry", "exit")


def cov(self: Attribution) -> pd.DataFrame:
    """The joint covariance of the rows of `effects`, named as in `test`: "mix[queue]"."""
    import pandas as pd

    names = _line_names(self)
    return pd.DataFrame(self._evidence.covariance, index=names, columns=names)


def conf_int(
    self: Attribution, level: float | None = None, *, simultaneous: bool = False
) -> pd.DataFrame:
    """Return intervals of the rows of `effects`, and of the total.

    Parameters
    ----------
    level : float, optional
        The confidence level; that of the attribution by default.
    simultaneous : bool
        Intervals that hold for all rows at once: a row's excludes 0 where its max-T adjusted
        p-value is below 1 - level. The total is a family of its own.

    Returns
    -------
    DataFrame
        `conf_low, conf_high`, indexed by the names of the rows and "total".

    Raises
    ------
    OptionError
        A level that is not between 0 and 1.
    """
    import pandas as pd

    level = self.options.conf_level if level is None else check_level("level", level)
    found = self._evidence.intervals(level, simultaneous)
    total = self._evidence.total_interval(level)
    bounds = np.vstack([found, total])
    index = pd.Index([*_line_names(self), "total"])
    return pd.DataFrame(bounds, index=index, columns=["conf_low", "conf_high"])


def wald_test(self: Attribution, hypotheses: str | Sequence[str]) -> LinearTest:
    """Test linear hypotheses about the rows of `effects`.

    Parameters
    ----------
    hypotheses : str or sequence of str
        ``"mix[tenure] = 0"``, ``"mix[queue] + mix[tenure] = rate"``; several, separated by
        commas or in a list, are tested jointly. A bare ``mix`` is the sum of its rows.

    Returns
    -------
    LinearTest
        With `statistic`, `p_value` and its null in words.

    Raises
    ------
    OptionError
        The text names no row, or what is tested cannot vary.
    """
    R, q = linear_test(line_keys(self), hypotheses)
    text = hypotheses if isinstance(hypotheses, str) else ", ".join(hypotheses)
    used, evidence = R.any(axis=0), self._evidence
    if np.isnan(evidence.lines.found.std_error[used]).any():
        raise OptionError(
            f"hypothesis: {text!r} is about a line that rests on a single unit in a period; "
            "nothing is known of its noise."
        )
    dof = int(evidence.degrees_of_freedom[used].min())
    V = evidence.covariance[np.ix_(used, used)]
    return wald(self._parts.estimate[used], V, R[:, used], q, dof, text)


def combined(self: Attribution, parts: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return sums of rows of `effects`, each with its interval.

    Parameters
    ----------
    parts : dict of str to sequence of str
        Name -> the effects that it sums: ``{"mix": ["mix", "joint"], "rate": ["rate"]}``.

    Returns
    -------
    DataFrame
        `part, estimate, std_error, conf_low, conf_high, p_value`. A part without any row is
        exactly 0.
    """
    import pandas as pd

    effects = [line.effect for line in self._parts.lines]
    for effect in (e for named in parts.values() for e in named):
        check_option("parts", effect, EFFECTS)
    weights = np.array([[float(e in named) for e in effects] for named in parts.values()])
    found = self._evidence.combined(weights).found
    names = ["estimate", "std_error", "conf_low", "conf_high", "p_value"]
    frame = pd.DataFrame({"part": list(parts)} | {x: getattr(found, x) for x in names})
    frame.loc[~weights.any(axis=1), names[:-1]] = 0.0
    return frame


def lack_of_fit(self: Attribution) -> pd.DataFrame:
    """Test for each pair of dimensions whether the rates in use miss a two-way term.

    Residuals summed over the crossing of two dimensions, against what they are when every
    cluster's part has a chance sign.

    Returns
    -------
    DataFrame
        `first, second, p_adjusted` (Holm), the worst fit first. `rates="pairs"` adds the
        two-way terms of pairs below 1 - conf_level.
    """
    import pandas as pd

    names, p = self.cube.dimensions, self._evidence.lack_of_fit()
    rows = [(names[a], names[b], value) for (a, b), value in p.items()]
    frame = pd.DataFrame(rows, columns=["first", "second", "p_adjusted"])
    return frame.sort_values("p_adjusted", kind="stable", ignore_index=True)


def permutation_test(
    self: Attribution, permutations: int = 9_999, *, rng: object = None
) -> PermutationTest:
    """Test the sharp null that nothing changed, by permuting period labels among clusters.

    A cluster seen in both periods swaps its two with probability 1/2; those seen in one are
    dealt anew. It assumes no distribution and is exact where all permutations can be tried.
    Who works in one period only is part of the null: where nearly all of them are in the same
    period, as in a wave of new hires, there is little to deal and the test has little power.

    Parameters
    ----------
    permutations : int
        How many are drawn, where there are more.
    rng : int, Generator or SeedSequence, optional
        None takes that of the attribution.

    Returns
    -------
    PermutationTest
        With `statistic` (studentized change), `p_value` and `permutations`.

    Raises
    ------
    OptionError
        Rows are independent, or there are two cluster columns: no unit to permute. A quantile,
        which is no function of what clusters add up to, or a plan, which has no rows:
        `total.p_value` is the test.

    Notes
    -----
    For any KPI of sums: a total, a product of KPIs, a function of sums are studentized by their
    own slopes. Volume that changed is a change too, where the KPI has volume in it.
    """
    if isinstance(self.metric, Quantile):
        raise OptionError(
            "permutation_test: a quantile is no function of what each cluster adds up to, which is "
            "all that a cube holds; total.p_value is the test of its change."
        )
    if self.cube.provenance.get("plan") is not None:
        raise OptionError(
            "permutation_test: the change is one from a plan, which has no rows to permute; "
            "total.p_value is its test. It is for the change between two periods."
        )
    units = self._units
    if not units.clustered or units.overlap is not None:
        raise OptionError("cluster: a permutation test needs one cluster column.")
    sums, S = units.ways[0].sums, len(self.cube.codes)
    blocks = range(sums.shape[1] // S)
    found = [np.asarray(sums[:, k * S : (k + 1) * S].sum(axis=1)) for k in blocks]
    seed = self.options.seed if rng is None else seed_of(rng)
    # One sum after the other, each in baseline and current.
    x = np.stack(found, axis=1).reshape(len(found[0]), -1, 2)
    if is_ratio(self.metric):
        return permuted(x[:, 0], x[:, 1], permutations, seed)
    return permutation_test_of(
        lambda s: value_of(self.metric, s), x.swapaxes(1, 2), permutations, seed
    )


def _line_names(self: Attribution) -> list[str]:
    """The rows of `effects` as names: "mix[queue]", "rate", "entry[market: NG]"."""
    return [line_name(key) for key in line_keys(self)]
