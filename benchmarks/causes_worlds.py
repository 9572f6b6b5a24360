"""Worlds with planted causes: who works where, how people and cells drift, what was planted.

Twelve queues, eight policies, fifteen markets (in five regions), four tenure bands; 600 moderators,
each at home in a market, a tenure band and a few queues, do 200,000 reviews a month. The log odds
of a correct review are additive in the levels, with a level per moderator; between the months every
moderator drifts, cells may drift together at a grain that is drawn too, and one to three segments
of order one to three get an effect of a drawn strength.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

__all__ = ["FORMS", "World", "make_world"]

SIZES = {"queue": 12, "policy": 8, "market": 15, "tenure": 4}
REGIONS = 5
MODERATORS = 600
REVIEWS = 200_000

# What differs from moderators' drift of 0.2 and causes of oracle z 6 to 25.
FORMS = {
    "moderator drift": {},
    "no drift": {"sd": 0.0},
    "mix shifts": {"mix": 0.5},
    "weak causes": {"strength": (4.5, 9.0)},
    "heavy-tailed drift": {"tails": 3.0},
    "cell drift": {"cells": 0.15},
    "nested hierarchy": {"nested": True},
}


@dataclass(frozen=True, eq=False)
class World:
    """One instance.

    Attributes
    ----------
    names : tuple of str
    codes : ndarray, shape (S, D)
    cell, unit : ndarray, shape (R,)
    n, k : ndarray, shape (2, R)
    causes : list of dict
        The fixed levels of each cause, by dimension.
    effects : ndarray
        Their log odds ratios.
    oracle : ndarray
        Their expected z where everything else is known.
    shown : ndarray
        That z in the rows that were drawn: the expected one and noise of standard deviation 1.
    parents : dict
        Child dimension -> parent dimension.
    truth : ndarray
        What each adds to the expected rate effect.
    """

    names: tuple[str, ...]
    codes: np.ndarray
    cell: np.ndarray
    unit: np.ndarray
    n: np.ndarray
    k: np.ndarray
    causes: list[dict[str, int]]
    effects: np.ndarray
    oracle: np.ndarray
    shown: np.ndarray
    parents: dict[str, str]
    truth: np.ndarray


def make_world(
    seed: int,
    *,
    sd: float = 0.2,
    tails: float = np.inf,
    cells: float = 0.0,
    mix: float = 0.0,
    nested: bool = False,
    strength: tuple[float, float] = (6.0, 25.0),
    null: bool = False,
) -> World:
    """Draw a world.

    Parameters
    ----------
    seed : int
    sd, tails : float
        Of the drift of moderators on the log odds: its standard deviation and the degrees of
        freedom of its t distribution.
    cells : float
        Standard deviation of the drift that cells share, at a grain of two, three or four
        dimensions that is drawn.
    mix : float
        Standard deviation of the log of what each level's volume is multiplied by.
    nested : bool
        Whether the region is a dimension beside the market.
    strength : (float, float)
        The oracle z of causes.
    null : bool
        Nothing is planted.
    """
    rng = np.random.default_rng(seed)
    unit, levels, n = _allocation(rng, mix)
    names = tuple(SIZES)
    region = np.arange(SIZES["market"]) % REGIONS
    if nested:
        names = ("queue", "policy", "region", "market", "tenure")
        levels["region"] = region[levels["market"]]
    parents = {"market": "region"} if nested else {}
    table = np.column_stack([levels[d] for d in names])
    codes, cell = np.unique(table, axis=0, return_inverse=True)
    cell = cell.ravel()

    base = np.full(len(unit), 2.4) + rng.normal(0, 0.3, MODERATORS)[unit]
    for name in SIZES:
        base += rng.normal(0, 0.3, SIZES[name])[levels[name]]
    drift = rng.standard_normal(MODERATORS)
    if np.isfinite(tails):
        drift /= np.sqrt(rng.chisquare(tails, MODERATORS) / tails) * np.sqrt(tails / (tails - 2))
    drift = sd * drift
    shared = np.zeros(len(codes))
    if cells:
        plain = [i for i, d in enumerate(names) if d != "region"]
        order = int(rng.integers(2, len(plain) + 1))
        grain = sorted(rng.choice(plain, order, replace=False))
        _, block = np.unique(codes[:, grain], axis=0, return_inverse=True)
        shared = rng.normal(0, cells, int(block.max()) + 1)[block.ravel()]
    moved = drift[unit] + shared[cell] + rng.normal(0, 0.05)

    causes, X, effects, oracle = [], np.zeros((len(codes), 0)), np.zeros(0), np.zeros(0)
    if not null:
        causes, X, effects, oracle = _planted(
            rng, names, codes, cell, unit, n, base, sd, cells, strength, parents
        )
    eta = base, base + moved + (X @ effects)[cell]
    p = [1 / (1 + np.exp(-e)) for e in eta]
    k = np.stack([rng.binomial(n[t].astype(int), p[t]) for t in (0, 1)]).astype(float)
    shown = _shown(X, effects, cell, unit, n, k, sd, cells)
    truth = _truth(X, effects, cell, n, p[0])
    return World(names, codes, cell, unit, n, k, causes, effects, oracle, shown, parents, truth)


def _allocation(rng, mix: float):
    """Who does how many reviews of what in which month, rows that are empty in both left out."""
    q, p, m, t = SIZES.values()
    market = rng.choice(m, MODERATORS, p=rng.dirichlet(np.full(m, 4.0)))
    tenure = rng.choice(t, MODERATORS, p=[0.15, 0.2, 0.25, 0.4])
    share_q, share_p = rng.dirichlet(np.full(q, 3.0)), rng.dirichlet(np.full(p, 3.0), q)
    size = rng.gamma(6.0, 1 / 6.0, MODERATORS)
    later = [np.exp(rng.normal(0, mix, s)) for s in (q, p, m, t)]
    owned, grown = [], []
    for g in range(MODERATORS):
        owned.append(rng.choice(q, int(rng.integers(2, 5)), replace=False, p=share_q))
        grown.append(later[2][market[g]] * later[3][tenure[g]] * np.exp(rng.normal(0, 0.15)))
    queue = np.concatenate(owned)
    mine = np.repeat(np.arange(MODERATORS), [len(own) for own in owned])
    w0 = share_q[queue, None] * share_p[queue]
    w1 = w0 * later[0][queue, None] * later[1][None, :]
    scale = size, size * np.array(grown)
    totals = (np.bincount(mine, x.sum(axis=1), MODERATORS) for x in (w0, w1))
    parts = zip((w0, w1), totals, scale, strict=True)
    w = np.stack([(x / t[mine, None] * s[mine, None]).ravel() for x, t, s in parts])
    n = rng.poisson(REVIEWS * w / w.sum(axis=1, keepdims=True)).astype(float)
    keep = n.any(axis=0)
    unit = np.repeat(mine, p)[keep]
    levels = {
        "queue": np.repeat(queue, p)[keep],
        "policy": np.tile(np.arange(p), len(queue))[keep],
        "market": market[unit],
        "tenure": tenure[unit],
    }
    return unit, levels, n[:, keep]


def _planted(rng, names, codes, cell, unit, n, base, sd, cells, strength, parents):
    """One to three segments that can have the strength, no two of them mostly the same cells."""
    wanted = int(rng.integers(1, 4))
    p = 1 / (1 + np.exp(-base))
    v = p * (1 - p) * n[0] * n[1] / np.maximum(n.sum(axis=0), 1)
    v_cell = np.bincount(cell, v, len(codes))
    v = v / (1 + cells**2 * v_cell[cell])
    total = np.bincount(unit, v, MODERATORS)
    g = sd**2 / (1 + sd**2 * total)
    causes, columns, effects, oracle = [], [], [], []
    for _ in range(400):
        if len(causes) == wanted:
            break
        order = int(rng.integers(1, 4))
        combos = [
            c
            for c in itertools.combinations(range(len(names)), order)
            if not any(
                names[a] in parents and parents[names[a]] in [names[i] for i in c] for a in c
            )
        ]
        dims = combos[int(rng.integers(len(combos)))]
        example = codes[int(rng.integers(len(codes)))]
        x = (codes[:, dims] == example[list(dims)]).all(axis=1).astype(float)
        own = x[cell] * v
        info = own.sum() - (g * np.bincount(unit, own, MODERATORS) ** 2).sum()
        whole = v.sum() - (g * total**2).sum()
        both = own.sum() - (g * np.bincount(unit, own, MODERATORS) * total).sum()
        info -= both**2 / whole
        if info < 5:
            continue
        z = rng.uniform(*strength)
        theta = z / np.sqrt(info) * (-1 if rng.random() < 0.7 else 1)
        if abs(theta) > 1.2 or abs(theta) < 0.05:
            continue
        if any((np.minimum(x, c) @ v_cell) > 0.5 * min(x @ v_cell, c @ v_cell) for c in columns):
            continue
        covered = np.max([x, *columns], axis=0) @ v_cell
        if x @ v_cell > 0.4 * v_cell.sum() or covered > 0.5 * v_cell.sum():
            continue
        causes.append({names[d]: int(example[d]) for d in dims})
        columns.append(x)
        effects.append(theta)
        oracle.append(z)
    X = np.column_stack(columns) if columns else np.zeros((len(codes), 0))
    return causes, X, np.array(effects), np.array(oracle)


def _shown(X, effects, cell, unit, n, k, sd, cells) -> np.ndarray:
    """The efficient score of each cause in rows with given margins, the other effects known.

    The mean of a row's table is Cornfield's; what people, cells and all drift is integrated out.
    """
    m, (n0, n1) = k.sum(axis=0), n
    z = []
    for j in range(X.shape[1]):
        others = np.delete(np.arange(X.shape[1]), j)
        ratio = np.exp((X[:, others] @ effects[others])[cell])
        # a (n0 - m + a) = ratio (m - a) (n1 - a)
        b = n0 - m + ratio * (m + n1)
        root = np.sqrt(np.maximum(b**2 + 4 * (1 - ratio) * ratio * m * n1, 0))
        mean = 2 * ratio * m * n1 / np.maximum(b + root, 1e-12)
        counts = np.stack([mean, m - mean, n1 - mean, n0 - m + mean])
        inside = (counts > 1e-9).all(axis=0)
        v = np.zeros(len(m))
        rows = (n0 + n1)[inside]
        v[inside] = rows / (rows - 1) / (1 / counts[:, inside]).sum(axis=0)
        known = 1 / (1 + cells**2 * np.bincount(cell, v, len(X))[cell])
        u, v = known * np.where(inside, k[1] - mean, 0.0), known * v
        x, every = X[cell, j], np.ones(len(m))
        g = sd**2 / (1 + sd**2 * np.bincount(unit, v, MODERATORS))

        def product(a, b, v=v, g=g):
            sums = (np.bincount(unit, y * v, MODERATORS) for y in (a, b))
            return (a * b) @ v - (g * np.prod(list(sums), axis=0)).sum()

        def score(a, u=u, v=v, g=g):
            both = np.bincount(unit, a * v, MODERATORS) * np.bincount(unit, u, MODERATORS)
            return a @ u - (g * both).sum()

        slope = product(x, every) / product(every, every)
        info = product(x, x) - slope * product(x, every)
        z.append((score(x) - slope * score(every)) / np.sqrt(info))
    return np.array(z)


def _truth(X, effects, cell, n, p) -> np.ndarray:
    """Contributions by the formula of the method, at the true effects and expected rates."""
    if not X.shape[1]:
        return np.zeros(0)
    from attribution.search import rate_contributions

    share = (n / n.sum(axis=1, keepdims=True)).mean(axis=0)
    weight = np.bincount(cell, share, len(X))
    logit = np.bincount(cell, share * np.log(p / (1 - p)), len(X)) / np.maximum(weight, 1e-12)
    before, after = (1 / (1 + np.exp(-e)) for e in (logit, logit + X @ effects))
    return rate_contributions(X, effects, weight, (before + after) / 2, "odds")
