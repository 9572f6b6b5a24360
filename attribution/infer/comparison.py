"""The noise of (O - E) / volume: an entity's own, and that of the others it is compared with.

Rows that are independent need sums of squares only. Clusters (moderators within a site) are taken
whole, also where one works for two entities and stands on both sides of the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, sparse, special

if TYPE_CHECKING:
    from attribution.decompose.indirect import Indirect

__all__ = ["Noise", "cluster_noise", "difference_interval", "effective_trials", "row_noise"]

# Up to this many cells the Gram of all clusters is a dense product.
_DENSE_CELLS = 500


@dataclass(frozen=True, eq=False)
class Noise:
    """Variances in (KPI units)^2, each of shape (K,); 0 for an entity without others.

    Attributes
    ----------
    own : ndarray
        Of the entity's part as observed.
    reference : ndarray
        Of the expectation, from the others.
    null : ndarray
        Of the entity's part if it were like the others: smooth where `own` is 0 or rough.
    binomial : ndarray
        Of the entity's part if it were like the others and all rows independent.
    rate : ndarray
        What the others' rates make of its work; of trials with half a success and half a failure
        more in each cell, as in `null` and `binomial`, so that it is never 0 or 1.
    units : ndarray
        Clusters, or rows, of the entity.
    degrees_of_freedom : ndarray
        Of own + reference; infinite for trials.
    borrowed : ndarray of bool
        Whether `null` stands in for the entity's own units, which cannot show their noise.
    """

    own: np.ndarray
    reference: np.ndarray
    null: np.ndarray
    binomial: np.ndarray
    rate: np.ndarray
    units: np.ndarray
    degrees_of_freedom: np.ndarray
    borrowed: np.ndarray

    @property
    def expected(self) -> np.ndarray:
        """Variance of the difference of an entity that is like the others."""
        return self.null + self.reference

    @property
    def observed(self) -> np.ndarray:
        """Variance of the difference as observed."""
        return self.own + self.reference


def row_noise(
    found: Indirect,
    DD: np.ndarray,
    DN: np.ndarray,
    NN: np.ndarray,
    count: np.ndarray,
    trials: bool,
) -> Noise:
    """Return the noise of rows that are independent.

    Parameters
    ----------
    found : Indirect
    DD, DN, NN : ndarray, shape (m,)
        Sums over the rows of an entry of their squares and products.
    count : ndarray, shape (m,)
        Rows, or trials, of an entry.
    trials : bool
        Whether rows are successes out of trials (binomial).

    Returns
    -------
    Noise
    """
    per_row, of_reference = _reference_noise(found, DD, DN, NN, count, trials)
    V = np.where(found.volume > 0, found.volume, 1.0)
    null = found.sum_entities(per_row * DD) / V**2
    reference = _of_reference(found, of_reference) / V**2
    n = found.sum_entities(count)
    if trials:
        never = np.zeros(len(V), dtype=bool)
        usual = (
            found.sum_entities(_smooth(found.reference, found.rest_of_cell(count)) * found.D) / V
        )
        known = Noise(null, reference, null, null, usual, n, np.full(len(V), np.inf), never)
        # Few trials, none of them wrong, are no measure of their own noise: as Wilson has it.
        z = _normal(0.95)
        low, high = _wilson(_rate(found), effective_trials(found, known)[0], z)
        return replace(known, own=((high - low) / (2 * z)) ** 2)
    rate = found.reference + found.difference[found.entity]
    residual = NN - 2 * rate * DN + rate**2 * DD
    own = found.sum_entities(residual) / V**2 * n / np.maximum(n - 1, 1)
    rounding = 1e-12 * (found.observed / V) ** 2 / np.maximum(n, 1)
    borrowed = (n < 2) | ~(own > rounding)
    own = np.where(borrowed, null, own)
    dof = _satterthwaite(own, reference, n - 1, n.sum() - n - 1)
    return Noise(own, reference, null, null, found.expected / V, n, dof, borrowed)


def cluster_noise(
    found: Indirect,
    codes: np.ndarray,
    entry: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    binomial: bool,
) -> Noise:
    """Return the noise of whole clusters; of two cluster columns as in `covariance.std_errors`.

    ``psi_ge = sum_c (N_gec - p_{c,-e} D_gec) - delta_e D_ge`` for an entity's own clusters, and
    ``- sum_c D_ec / (D_c - D_ec) (N_gc - p_{c,-e} D_gc)`` for clusters among the others.

    Parameters
    ----------
    found : Indirect
    codes : ndarray of int, shape (k, q)
        The code of each cluster column; k is 1 or 2.
    entry : ndarray of int, shape (q,)
        The entry (entity and cell) that each of the q sums belongs to.
    D, N : ndarray, shape (q,)
        Denominator and numerator by cluster and entry.
    binomial : bool
        Whether the sums are unweighted trials, whose noise within a cluster is known.

    Returns
    -------
    Noise
    """
    kept = found.compared[entry] & (D > 0)
    codes, entry, D, N = codes[:, kept], entry[kept], D[kept], N[kept]
    ways = [_one_way(found, column, entry, D, N, binomial) for column in codes]
    if len(ways) == 1:
        return ways[0]
    crossed = codes[0].astype(np.int64) * (int(codes[1].max(initial=0)) + 1) + codes[1]
    both = _one_way(found, crossed, entry, D, N, binomial)

    def joined(name: str) -> np.ndarray:
        a, b, ab = (getattr(x, name) for x in (*ways, both))
        return np.maximum.reduce([a + b - ab, a, b])

    first, second = ways
    fewer = first.units <= second.units
    return Noise(
        own=joined("own"),
        reference=joined("reference"),
        null=joined("null"),
        binomial=both.binomial,
        rate=both.rate,
        units=np.minimum(first.units, second.units),
        degrees_of_freedom=np.where(fewer, first.degrees_of_freedom, second.degrees_of_freedom),
        borrowed=first.borrowed | second.borrowed,
    )


def difference_interval(
    found: Indirect, noise: Noise, conf_level: float, trials: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return an interval of (O - E) / volume.

    For trials, the score interval of O combined with the noise of E (Newcombe), which does not
    collapse at 0 or 100 %; else ``t SE`` on either side. Trials in clusters count as
    ``r (1 - r) / own`` independent ones (Kish's design effect), with t for the normal quantile;
    where all are right or all are wrong, their own clusters show no noise, and they count as
    those of an entity like the others.

    Parameters
    ----------
    found : Indirect
    noise : Noise
    conf_level : float
    trials : bool
        Whether rows are successes out of trials.

    Returns
    -------
    low, high : ndarray, shape (K,)

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent
    proportions. Statistics in Medicine 17:873-890 (method 10).
    Kish, L. (1965). Survey Sampling, ch. 8. Wiley. Dean, N. and Pagano, M. (2015). Evaluating
    confidence interval methods for binomial proportions in clustered surveys. Journal of Survey
    Statistics and Methodology 3:484-503 (the score interval with the effective sample size).
    """
    difference = found.difference
    independent = np.isinf(noise.degrees_of_freedom)
    dof = np.where(independent, 1.0, np.maximum(noise.degrees_of_freedom, 1))
    t = special.stdtrit(dof, (1 + conf_level) / 2)
    t = np.where(independent, _normal(conf_level), t)
    if not trials:
        half = t * np.sqrt(noise.observed)
        return difference - half, difference + half
    rate = _rate(found)
    usual = noise.rate * (1 - noise.rate)
    n = np.divide(usual, noise.null, out=np.ones_like(usual), where=noise.null > 0)
    shown = ~independent & ~noise.borrowed & (rate > 0) & (rate < 1) & (noise.own > 0)
    n = np.divide(rate * (1 - rate), noise.own, out=n, where=shown)
    low, high = _wilson(rate, n, t)
    # What the entity's own clusters do among the others is noise of the expectation, too.
    crossing = np.where(shown | independent, 0.0, np.maximum(noise.own - noise.null, 0.0))
    other = t**2 * (noise.reference + crossing)
    return (
        difference - np.sqrt((rate - low) ** 2 + other),
        difference + np.sqrt((high - rate) ** 2 + other),
    )


def _rate(found: Indirect) -> np.ndarray:
    V = found.volume
    return np.divide(found.observed, V, out=np.zeros_like(V), where=V > 0)


def _normal(conf_level: float) -> float:
    return float(special.ndtri((1 + conf_level) / 2))


def effective_trials(found: Indirect, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
    """Return n and p of the binomial that has the expectation and the noise of an entity like the
    others: n is below the trials where they are weighted, above where its cells differ in rate.
    """
    V = np.where(found.volume > 0, found.volume, 1.0)
    # Without others there is no p, and nothing is made of it.
    p, usual = found.expected / V, np.where(found.volume > 0, noise.rate, 0.5)
    p = np.where((p > 0) & (p < 1), p, usual)
    variance, of_all = usual * (1 - usual), noise.binomial
    return np.divide(variance, of_all, out=np.ones_like(p), where=of_all > 0), p


def _wilson(r: np.ndarray, n: np.ndarray, z: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    center = (r + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(r * (1 - r) / n + z**2 / (4 * n**2))
    return center - half, center + half


def _reference_noise(
    found: Indirect,
    DD: np.ndarray,
    DN: np.ndarray,
    NN: np.ndarray,
    count: np.ndarray,
    trials: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Variance per unit of DD of an entry's rows if they are like the others; of the others."""
    p, rest = found.reference, found.rest_of_cell(count)
    # A trial is its own square: then they are the same sums.
    DD_rest = rest if DD is count else found.rest_of_cell(DD)
    if trials:
        per_row = _trial_variance(p, rest)
        return per_row, per_row * np.maximum(DD_rest, 0.0)
    squares = NN - 2 * p * DN + p**2 * DD
    # The others' residuals are about their own rate, so the entry's are not among them.
    NN_rest, DN_rest = found.rest_of_cell(NN), found.rest_of_cell(DN)
    residual = np.maximum(NN_rest - 2 * p * DN_rest + p**2 * DD_rest, 0.0)
    residual *= np.divide(rest, rest - 1, out=np.ones_like(rest), where=rest > 1)
    # One row among the others shows no variance: then that of all cells stands in.
    used = found.compared
    pooled = max(float(squares[used].sum() / DD[used].sum()), 0.0) if used.any() else 0.0
    known = used & (rest > 1) & (residual > 1e-12 * p**2 * DD_rest)
    per_row = np.divide(residual, DD_rest, out=np.full_like(p, pooled), where=known)
    return per_row, per_row * np.maximum(DD_rest, 0.0)


def _trial_variance(p: np.ndarray, n: np.ndarray) -> np.ndarray:
    smooth = _smooth(p, n)
    return smooth * (1 - smooth)


def _smooth(p: np.ndarray, n: np.ndarray) -> np.ndarray:
    """A rate with half a success and half a failure more, so that it is never 0 or 1."""
    smooth = p * n
    smooth += 0.5
    smooth /= n + 1
    return smooth


def _of_reference(found: Indirect, variance: np.ndarray) -> np.ndarray:
    """Sum what the others' noise in each cell does to E_e, in counts squared."""
    pull = np.divide(found.D, found.others, out=np.zeros_like(found.D), where=found.compared)
    pull *= pull
    pull *= variance
    return found.sum_entities(pull)


def _satterthwaite(
    own: np.ndarray, reference: np.ndarray, dof_own: np.ndarray, dof_reference: np.ndarray
) -> np.ndarray:
    """Degrees of freedom of the sum of two estimated variances."""
    split = own**2 / np.maximum(dof_own, 1) + reference**2 / np.maximum(dof_reference, 1)
    whole = (own + reference) ** 2
    return np.divide(whole, split, out=np.ones_like(whole), where=split > 0)


def _one_way(
    found: Indirect,
    cluster: np.ndarray,
    entry: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    binomial: bool,
) -> Noise:
    K = len(found.volume)
    labels, g = np.unique(cluster, return_inverse=True)
    G = len(labels)
    entity, cell, p = found.entity[entry], found.cell[entry], found.reference[entry]
    residual = N - p * D
    pull = np.divide(found.D, found.others, out=np.zeros_like(found.D), where=found.compared)

    pairs, pair = np.unique(g.astype(np.int64) * K + entity, return_inverse=True)
    of, who = pairs % K, pairs // K
    size = np.bincount(pair, D, len(pairs))
    own = np.bincount(pair, residual, len(pairs)) - found.difference[of] * size
    inside = np.bincount(pair, -pull[entry] * residual, len(pairs))

    total, among = _reference_rows(found, g, cell, D, N, G, pull, of, who, inside)
    units = np.bincount(of, minlength=K).astype(float)
    more = np.divide(units, units - 1, out=np.ones(K), where=units > 1)
    squares = np.bincount(of, own**2, K)
    # Nothing crosses where every cluster works for one entity.
    crossing = np.bincount(of, (own + among - inside) ** 2 - own**2, K)
    V = np.where(found.volume > 0, found.volume, 1.0)
    reference = np.maximum(total - np.bincount(of, among**2, K), 0.0) * G / max(G - 1, 1)
    observed = np.maximum(more * squares + crossing, 0.0)

    usual = _smooth(p, found.rest_of_cell(found.D)[entry])
    within = usual * (1 - usual) * D
    v = np.bincount(pair, within, len(pairs))
    null, plain = _null(of, size, own, v, units, K, binomial)
    borrowed = (units < 2) | ~(squares > 1e-12 * np.maximum(null, 1e-300))
    # Clusters that work for others as well move the expectation, whatever their own part is.
    observed = np.where(borrowed, null + np.maximum(crossing, 0.0), observed) / V**2
    reference = reference / V**2
    dof = _satterthwaite(observed, reference, units - 1, G - units - 1)
    rate = np.bincount(entity, usual * D, K) / V
    return Noise(observed, reference, null / V**2, plain / V**2, rate, units, dof, borrowed)


def _reference_rows(
    found: Indirect,
    g: np.ndarray,
    cell: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    G: int,
    pull: np.ndarray,
    of: np.ndarray,
    who: np.ndarray,
    inside: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """What all clusters would do to each E_e: sum of squares (K,), and the entry of each pair."""
    K, C = len(found.volume), int(found.cell.max()) + 1
    Y = sparse.csr_array(
        (np.concatenate([N, D]), (np.concatenate([g, g]), np.concatenate([cell, cell + C]))),
        shape=(G, 2 * C),
    )
    Y.sum_duplicates()
    used = found.compared
    a, e, c = pull[used], found.entity[used], found.cell[used]
    A = sparse.csr_array(
        (
            np.concatenate([-a, a * found.reference[used]]),
            (np.concatenate([e, e]), np.concatenate([c, c + C])),
        ),
        shape=(K, 2 * C),
    )
    if C <= _DENSE_CELLS:
        dense = Y.toarray()
        through = A @ (dense.T @ dense)
        total = np.asarray(A.multiply(through).sum(axis=1)).ravel()
    else:
        total = np.asarray(A.multiply(A @ (Y.T @ Y)).sum(axis=1)).ravel()
    if len(of) == G:
        return total, inside
    among = np.empty(len(of))
    for start in range(0, len(of), 100_000):
        some = slice(start, start + 100_000)
        among[some] = np.asarray(Y[who[some]].multiply(A[of[some]]).sum(axis=1)).ravel()
    return total, among


def _null(
    of: np.ndarray,
    size: np.ndarray,
    own: np.ndarray,
    v: np.ndarray,
    units: np.ndarray,
    K: int,
    binomial: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Variance of an entity's sum under cluster random effects, and without them, shape (K,).

    ``v_e = sum_g v_g + sigma^2 sum_g D_g^2``: sigma^2 is the variance between the clusters of an
    entity, the same for all entities, from the moments of their residuals.
    """
    total = np.maximum(np.bincount(of, size, K), 1e-300)
    part = size / total[of]
    if binomial:
        chance = np.bincount(of, v, K)
        spread = np.bincount(of, part**2, K)
        expected = np.bincount(of, v * (1 - 2 * part), K) + chance * spread
        squared = np.bincount(of, size**2, K)
        slope = np.bincount(of, size**2 * (1 - 2 * part), K) + spread * squared
        excess = (np.bincount(of, own**2, K) - expected) / total
        down = float((slope / total).sum())
        sigma2 = max(float(excess.sum()) / down, 0.0) if down > 0 else 0.0
        return chance + sigma2 * squared, chance
    # Neither variance is known: own^2 = s^2 D + sigma^2 D^2, both at least 0.
    seen = units[of] > 1
    if not seen.any():
        return np.bincount(of, own**2, K), np.bincount(of, own**2, K)
    more = (units / np.maximum(units - 1, 1))[of][seen]
    scaled = own[seen] ** 2 * more / size[seen]
    design = np.column_stack([np.ones(seen.sum()), size[seen]])
    (s2, sigma2), _ = optimize.nnls(design, scaled)
    chance = s2 * np.bincount(of, size, K)
    return chance + sigma2 * np.bincount(of, size**2, K), chance
