"""Known volumes: gradients, and standard errors against the spread of simulated samples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import attribution as at
from attribution.cube import VOLUME, ClusterSums, Cube
from attribution.decompose import Decomposition, decompose
from attribution.testing import Case, random_case


def with_turnover() -> tuple[Case, np.ndarray]:
    """A level that enters and one that leaves, with counted segments that were never sampled."""
    case = random_case(5, empty=0.2)
    D, N = case.D.copy(), case.N.copy()
    entering, leaving = case.codes[:, 1] == 3, case.codes[:, 0] == 2
    D[0, entering], N[0, entering], D[1, leaving], N[1, leaving] = 0, 0, 0, 0
    seen = D.sum(axis=0) > 0
    case = Case(D[:, seen], N[:, seen], case.codes[seen], case.sizes)
    entering, leaving = case.codes[:, 1] == 3, case.codes[:, 0] == 2
    volume = 4 * case.D
    volume[1, entering & (case.D[1] == 0) & ~leaving] = 20
    volume[0, leaving & (case.D[0] == 0) & ~entering] = 20
    return case, volume


def counted_cases() -> dict[str, tuple[Case, np.ndarray]]:
    rng = np.random.default_rng(0)
    found = {"turnover": with_turnover()}
    for name, empty in (("full", 0.0), ("sparse", 0.3)):
        case = random_case(1, empty=empty)
        found[name] = case, np.where(case.D > 0, 3 * case.D, rng.integers(0, 2, case.D.shape) * 10)
    return found


CASES = counted_cases()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rates", ["saturated", "additive", "pairs"])
def test_the_gradient_with_known_volumes_is_that_of_finite_differences(name, rates):
    case, volume = CASES[name]
    S = len(case.codes)

    def at_sums(x: np.ndarray) -> Decomposition:
        D, N = x[: 2 * S].reshape(2, S), x[2 * S :].reshape(2, S)
        pairs = [(0, 1)] if rates == "pairs" else ()
        return decompose(
            D, N, D, case.codes, case.sizes, rates=rates, pairs=pairs, volume=volume.astype(float)
        )

    x = np.concatenate([case.D.ravel(), case.N.ravel()])
    change = at_sums(x)
    assert "sampling" in {line.effect for line in change.lines}
    assert change.estimate.sum() == pytest.approx(change.R[1] - change.R[0], abs=1e-14)
    exact = change.gradient.toarray()
    for j in np.flatnonzero(np.tile(case.D.ravel() > 0, 2))[::5]:
        step = 1e-5 * x[j % (2 * S)]
        up, down = x.copy(), x.copy()
        up[j] += step
        down[j] -= step
        difference = (at_sums(up).estimate - at_sums(down).estimate) / (2 * step)
        np.testing.assert_allclose(exact[:, j], difference, rtol=0, atol=1e-6 * np.abs(exact).max())


class Operation:
    """Decisions of persistent moderators, from which samples are drawn."""

    sizes = (5, 6, 4, 3)
    moderators = 40

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        grid = itertools.product(*map(range, self.sizes))
        self.codes = np.array(list(grid), dtype=np.int32)
        cells = len(self.codes)
        shares = [rng.dirichlet(np.full(s, 5.0)) for s in self.sizes]
        worth = [rng.normal(0, 0.4, s) for s in self.sizes]
        of_cell = np.prod([p[self.codes[:, d]] for d, p in enumerate(shares)], axis=0)
        self.logit = 2.5 + sum(w[self.codes[:, d]] for d, w in enumerate(worth))
        work = rng.dirichlet(np.full(cells, 0.3), self.moderators) * of_cell
        later = work * np.exp(0.4 * self.codes[:, 0] / 4)
        shape = (self.moderators, cells)
        self.decisions = np.stack(
            [rng.multinomial(20_000, (w / w.sum()).ravel()).reshape(shape) for w in (work, later)]
        )

    def sample(self, seed: int, n: int = 900) -> Cube:
        """n decisions of each period, reviewed; accuracy falls by 0.2 logits."""
        rng = np.random.default_rng(seed)
        skill = rng.normal(0, 0.25, self.moderators)[:, None]
        shape = (self.moderators, len(self.codes))
        D = np.stack(
            [rng.multivariate_hypergeometric(x.ravel(), n).reshape(shape) for x in self.decisions]
        )
        change = np.array([0, -0.2])[:, None, None]
        N = rng.binomial(D, 1 / (1 + np.exp(-(self.logit + skill + change))))
        t, g, c = np.nonzero(D)
        by_cluster = {"good": N[t, g, c].astype(float), "seen": D[t, g, c].astype(float)}
        volume = self.decisions.sum(axis=1).astype(float)
        cube = Cube(
            metrics=(at.Rate("good", "seen"),),
            dimensions=("queue", "policy", "market", "tenure"),
            levels=tuple(tuple(map(str, range(s))) for s in self.sizes),
            periods=("before", "after"),
            codes=self.codes,
            sums={"good": N.sum(1) * 1.0, "seen": D.sum(1) * 1.0, VOLUME: volume},
            clusters=ClusterSums(
                ("moderator",), g[None].astype(np.int32), t.astype(np.int32), c.astype(np.int32),
                by_cluster,
            ),
        )  # fmt: skip
        return cube.keep_segments((volume > 0).any(axis=0))


@pytest.mark.slow
def test_errors_with_known_volumes_are_the_spread_between_samples():
    operation, found = Operation(), []
    for seed in range(200):
        change = operation.sample(seed).explain(baseline="before", current="after")
        assert change._parts.form == "additive"
        found.append(change.effects[["estimate", "std_error"]].to_numpy())
    estimates, errors = np.moveaxis(np.array(found), 2, 0)
    spread = estimates.std(axis=0)
    varies = spread > 1e-9
    ratio = np.sqrt((errors**2).mean(axis=0))[varies] / spread[varies]
    # The spread of 200 samples is known to 5 %.
    assert ratio.min() > 0.87
    assert ratio.max() < 1.15
