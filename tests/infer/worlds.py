"""Worlds whose change is known: expected shares and rates, people who do the work, draws of a cube.

In expectation, period t has n rows of which a share p_tc falls into segment c, correct at rate
r_tc. The rows are done by people drawn independently of each other, so they are clusters:

    rows of person g in c ~ Poisson(n p_tc A(h_g, c) / (G pi(h_g)))     pi(h) = sum_c p_c A(h, c)
    correct of them       ~ Binomial(expit(eta_tc + u_g))               u_g ~ Normal(0, sd)

A(h, c) is the part of a segment's work that home h does, p_c the mean of the two periods, so the
expected shares are p_tc whatever the homes. eta_tc is solved so that the rate is r_tc on average
over u: the truth of a world does not depend on how much people differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import special

import attribution as at
from attribution.cube import ClusterSums
from attribution.decompose import Decomposition, decompose

__all__ = ["NAMES", "PERIODS", "World", "draw", "holders", "make_world", "truth", "without"]

NAMES = ("queue", "policy", "market", "tenure")
PERIODS = ("before", "after")
# How far the best and worst level of a dimension lie from the mean rate.
_SPREAD = {"queue": 0.03, "policy": 0.025, "market": 0.02, "tenure": 0.03}
_NODES, _MASSES = np.polynomial.hermite_e.hermegauss(30)


@dataclass(frozen=True, eq=False)
class World:
    """What is true of two periods, and who does the work.

    Attributes
    ----------
    names : tuple of str
        The D dimensions.
    sizes : tuple of int
        Their levels.
    codes : ndarray of int32, shape (S, D)
    shares, rates, logits : ndarray, shape (2, S)
        Expected p_tc and r_tc, and the logits of a person with u = 0.
    homes : ndarray, shape (H, S)
        A(h, c); columns add up to 1.
    rows : float
        Expected rows per period.
    people : int
        Clusters at work in each period.
    sd : float
        Of a person's effect on the logit.
    persistent : bool
        Whether the same people work in both periods.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    codes: np.ndarray
    shares: np.ndarray
    rates: np.ndarray
    logits: np.ndarray
    homes: np.ndarray
    rows: float
    people: int
    sd: float
    persistent: bool


def make_world(
    *,
    rows_per_cell: float = 10,
    people: int = 80,
    sd: float = 0.25,
    persistent: bool = True,
    nested: bool = False,
    interaction: float = 0.0,
    moved: bool = True,
    names: tuple[str, ...] = NAMES,
    sizes: tuple[int, ...] = (5, 6, 4, 3),
) -> World:
    """Make a world in which every margin shifts towards worse levels and rates fall.

    Parameters
    ----------
    rows_per_cell : float
        Expected rows per segment and period, on average.
    people : int
        Clusters per period.
    sd : float
        Of the people's effects on the logit.
    persistent : bool
        Whether the same people work in both periods.
    nested : bool
        Each person works in one market, one tenure band and two queues; else in all segments.
    interaction : float
        The largest departure of a rate from additive ones, which an additive fit cannot see.
    moved : bool
        False: nothing happens, the second period has the shares and rates of the first.
    names, sizes : tuple
        Dimensions, of `NAMES`, and their levels.

    Returns
    -------
    World
    """
    codes = np.indices(sizes).reshape(len(sizes), -1).T.astype(np.int32)
    # The same for every world of this shape, so that only what is asked for varies.
    rng = np.random.default_rng(len(codes))
    tilt, shift = np.zeros(len(codes)), np.zeros(len(codes))
    rate, fall = np.full(len(codes), 0.83), np.full(len(codes), -0.025)
    waves = []
    for d, (name, size) in enumerate(zip(names, sizes, strict=True)):
        quality = rng.permutation(np.linspace(-1, 1, size))
        tilt += rng.uniform(-0.3, 0.3, size)[codes[:, d]]
        shift += (-0.3 * quality + rng.uniform(-0.15, 0.15, size))[codes[:, d]]
        rate += (_SPREAD[name] * quality)[codes[:, d]]
        fall += rng.uniform(-0.015, 0.015, size)[codes[:, d]]
        waves.append(np.cos(2 * np.pi * codes[:, d] / size + d))
    # Queues differ in their policies and markets, and these pairings shift too.
    pairing = waves[0] * waves[1] + waves[0] * waves[-1]
    base = np.exp(tilt + 0.2 * pairing)
    after = base * np.exp(shift + 0.2 * pairing)
    shares = np.stack([base / base.sum(), after / after.sum()])
    rate = rate + interaction * waves[0] * waves[1]
    rates = np.stack([rate, rate + fall + interaction / 2 * waves[0] * waves[-1]])
    if not moved:
        shares, rates = shares[[0, 0]], rates[[0, 0]]
    return World(
        names=names,
        sizes=sizes,
        codes=codes,
        shares=shares,
        rates=rates,
        logits=_logits(rates, sd),
        homes=_homes(names, sizes, codes) if nested else np.ones((1, len(codes))),
        rows=rows_per_cell * len(codes),
        people=people,
        sd=sd,
        persistent=persistent,
    )


def _homes(names: tuple[str, ...], sizes: tuple[int, ...], codes: np.ndarray) -> np.ndarray:
    """One home per market, tenure band and pair of neighboring queues; a queue lies in two."""
    level = dict(zip(names, codes.T, strict=True))
    queues = dict(zip(names, sizes, strict=True))["queue"]
    place = np.zeros(len(codes), dtype=int)
    for name in ("market", "tenure"):
        if name in level:
            place = place * (level[name].max() + 1) + level[name]
    homes = [
        0.5 * (place == where) * np.isin(level["queue"], [first, (first + 1) % queues])
        for where in range(place.max() + 1)
        for first in range(queues)
    ]
    return np.array(homes)


def _logits(rates: np.ndarray, sd: float) -> np.ndarray:
    """Solve E expit(eta + sd Z) = rate for eta by Newton's method."""
    mass = _MASSES / _MASSES.sum()
    eta = special.logit(rates)
    for _ in range(50):
        p = special.expit(eta[..., None] + sd * _NODES)
        step = (p @ mass - rates) / ((p * (1 - p)) @ mass)
        eta = eta - step
        if np.abs(step).max() < 1e-13:
            break
    return eta


def truth(world: World, rates: str) -> Decomposition:
    """Decompose the expected sums: what an estimate with unlimited rows and people tends to.

    Parameters
    ----------
    world : World
    rates : {"saturated", "additive"}
        The form of the rates in use; with an interaction the two have different answers.

    Returns
    -------
    Decomposition
    """
    D = world.rows * world.shares
    return decompose(D, D * world.rates, D, world.codes, world.sizes, rates=rates)


def draw(world: World, rng: np.random.Generator) -> at.Cube:
    """Draw people, rows and outcomes.

    Parameters
    ----------
    world : World
    rng : Generator

    Returns
    -------
    Cube
        Metric "correct / reviewed", periods `PERIODS`, one cluster column.
    """
    G, S = world.people, len(world.codes)
    home = _chosen_homes(world, rng)
    effect = rng.normal(0, world.sd, home.shape) if world.sd > 0 else np.zeros(home.shape)
    if world.persistent:
        home[1], effect[1] = home[0], effect[0]
    period, person, segment, count = [], [], [], []
    for t in (0, 1):
        mean = world.rows * world.shares[t] * world.homes / (G * _weights(world)[:, None])
        rows = rng.poisson(mean[home[t]])
        g, c = np.nonzero(rows)
        period.append(np.full(len(g), t))
        person.append(g if world.persistent else g + t * G)
        segment.append(c)
        count.append(rows[g, c])
    t, g, c, n = (np.concatenate(x) for x in (period, person, segment, count))
    own = effect[t, g if world.persistent else g - t * G]
    correct = rng.binomial(n, special.expit(world.logits[t, c] + own)).astype(float)
    moments = {"reviewed": n.astype(float), "correct": correct}
    return at.Cube(
        metrics=(at.Rate("correct", "reviewed"),),
        dimensions=world.names,
        levels=_labels(world.sizes),
        periods=PERIODS,
        codes=world.codes,
        sums={k: np.bincount(t * S + c, x, 2 * S).reshape(2, S) for k, x in moments.items()},
        clusters=ClusterSums(
            names=("person",),
            codes=g[None].astype(np.int32),
            period=t.astype(np.int32),
            segment=c.astype(np.int32),
            sums=moments,
        ),
    )


def _weights(world: World) -> np.ndarray:
    """pi(h), the part of the work of both periods that each home does."""
    return world.homes @ world.shares.mean(axis=0)


def _chosen_homes(world: World, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(len(world.homes), (2, world.people), p=_weights(world))


@cache
def _labels(sizes: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(i) for i in range(size)) for size in sizes)


def holders(cube: at.Cube, dimension: str) -> np.ndarray:
    """Return how many clusters hold each level in the period where they are fewer.

    Parameters
    ----------
    cube : Cube
        Of two periods.
    dimension : str

    Returns
    -------
    ndarray of int, shape (levels,)
    """
    clusters = cube.clusters
    if clusters is None:
        raise ValueError("the cube has no clusters")
    d = cube.dimension_index(dimension)
    held = np.zeros((2, int(clusters.codes[0].max()) + 1, len(cube.levels[d])), dtype=bool)
    held[clusters.period, clusters.codes[0], cube.codes[clusters.segment, d]] = True
    return held.sum(axis=1).min(axis=0)


def without(cube: at.Cube, cluster: int) -> at.Cube:
    """Leave one cluster out.

    Parameters
    ----------
    cube : Cube
        Of two periods.
    cluster : int
        Its code in the first cluster column.

    Returns
    -------
    Cube
    """
    clusters = cube.clusters
    if clusters is None:
        raise ValueError("the cube has no clusters")
    kept = clusters.take(clusters.codes[0] != cluster)
    S = len(cube.codes)
    cell = kept.period * S + kept.segment
    sums = {k: np.bincount(cell, x, 2 * S).reshape(2, S) for k, x in kept.sums.items()}
    return replace(cube, clusters=kept, sums=sums)
