"""The mix methods beside `adjusted`: their properties, what they share, and where they cannot go."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from attribution.decompose import Design, decompose
from attribution.decompose.coalitions import coalitions
from attribution.decompose.dimensions import adjusted
from attribution.decompose.kitagawa import METHODS, mix
from attribution.decompose.mixing import compared, divided
from attribution.decompose.pathways import pathways
from attribution.decompose.raking import rake
from attribution.errors import IdentificationError, OptionError
from attribution.testing import PROPERTIES, Case, check_decomposition, random_case

MIDPOINT = METHODS["midpoint"]

# What a method cannot have (METHODS.md 2 and 7). The factors of the published Das Gupta form are no
# shares, so it knows the level of the rates; a chain of conditionals has a direction.
WITHOUT = {
    "shapley": (),
    "das_gupta": ("complement", "constant_shift", "unmoved_margin", "no_own_effect"),
    "ordered": ("time_reversal", "relabelling", "unmoved_margin", "no_own_effect"),
}
# For the published form 0/0 counts as 1 where halves of a level would make it 1/2.
ONLY_IN_FULL_TABLES = {"das_gupta": ("splitting",)}

FULL = [random_case(1), random_case(3, sizes=(5,))]
SPARSE = [random_case(2, empty=0.3), random_case(2, sizes=(3, 3, 2, 2), empty=0.3, rows=20)]


def by_mix(method: str, rates: str = "saturated", order=None):
    """Decompose, the mix effect by dimension done by another method."""

    def run(D, N, codes, sizes):
        parts = decompose(D, N, D, codes, sizes, rates=rates)
        p, r, within = parts.stages.shares.p, parts.stages.rates.r, parts._by_level.design
        found = divided(method, p, r, within, MIDPOINT, order or range(len(sizes)))
        lines = [*(within.dimension_totals @ found.levels), found.joint]
        in_mix = [i for i, line in enumerate(parts.lines) if line.effect in ("mix", "joint")]
        estimate = parts.estimate.copy()
        estimate[in_mix] = lines[: len(in_mix)]
        return replace(parts, _by_level=found, estimate=estimate)

    return run


def shares_and_rates(case: Case, rates: str = "saturated") -> tuple:
    parts = decompose(case.D, case.N, case.D, case.codes, case.sizes, rates=rates)
    return parts.stages.shares.p, parts.stages.rates.r, parts._by_level.design


def nested_case(seed: int) -> Case:
    """Dimensions 2 (a region) and 3 (a language) are functions of dimension 0 (a market)."""
    case = random_case(seed, sizes=(6, 3))
    region = np.array([0, 0, 0, 1, 1, 1])[case.codes[:, 0]]
    language = np.array([0, 0, 1, 0, 1, 1])[case.codes[:, 0]]
    codes = np.column_stack([case.codes, region, language])
    return Case(case.D, case.N, codes, (6, 3, 2, 2))


def aliased_case(seed: int) -> Case:
    """The last level of dimension 0 occurs with the last of dimension 1 only, and vice versa."""
    case = random_case(seed, sizes=(3, 4, 2))
    together = (case.codes[:, 0] == 2) == (case.codes[:, 1] == 3)
    return Case(case.D[:, together], case.N[:, together], case.codes[together], case.sizes)


# -- properties ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", WITHOUT)
def test_every_method_has_the_properties_it_can_have(method):
    run, without = by_mix(method), WITHOUT[method]
    check_decomposition(run, without=without, cases=FULL)
    without = (*without, *ONLY_IN_FULL_TABLES.get(method, ()))
    check_decomposition(run, without=without, cases=SPARSE)
    check_decomposition(by_mix(method, "additive"), without=without, cases=SPARSE[:1])


@pytest.mark.parametrize(
    ("method", "name"), [(method, name) for method in WITHOUT for name in WITHOUT[method]]
)
def test_the_properties_left_out_are_not_had(method, name):
    with pytest.raises(AssertionError):
        PROPERTIES[name](by_mix(method), FULL[0])


@pytest.mark.parametrize("method", WITHOUT)
def test_nested_dimensions_keep_the_properties(method):
    # A child's rates make its parent's; splitting a region would leave a market in two regions.
    without = {*WITHOUT[method], "no_own_effect", "splitting"}
    check_decomposition(by_mix(method), cases=[nested_case(1)], without=without)


@pytest.mark.parametrize("method", WITHOUT)
def test_lines_of_levels_have_the_gradient_of_finite_differences(method):
    p, r, design = shares_and_rates(random_case(8, empty=0.2))
    rows = np.random.default_rng(0).normal(size=(5, design.width))
    order = [2, 0, 1]
    exact = divided(method, p, r, design, MIDPOINT, order).gradient(rows).toarray()
    # Many lines are kept as factors; few are not.
    many = divided(method, p, r, design, MIDPOINT, order).gradient(np.tile(rows, (20, 1)))
    np.testing.assert_allclose(many.toarray(), np.tile(exact, (20, 1)), atol=1e-13)
    point, step = np.concatenate([p.ravel(), r.ravel()]), 1e-6
    n = p.size

    def lines(x: np.ndarray) -> np.ndarray:
        shares = x[:n].reshape(p.shape)
        moved = divided(method, shares, x[n:].reshape(r.shape), design, MIDPOINT, order)
        return rows @ moved.levels

    # Shares move along directions in which they keep their sum.
    rng = np.random.default_rng(1)
    for _ in range(6):
        direction = np.concatenate([(p * rng.normal(size=p.shape)).ravel(), rng.normal(size=n)])
        for t in (0, 1):
            own = slice(t * n // 2, (t + 1) * n // 2)
            direction[own] -= p[t] * direction[own].sum()
        sides = [lines(point + sign * step * direction) for sign in (1, -1)]
        difference = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(exact @ direction, difference, atol=1e-7 * np.abs(exact).max())


# -- what the methods share ------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_shapley_is_adjusted_where_the_mean_rate_is_additive(seed):
    p, _, design = shares_and_rates(random_case(seed, sizes=(3, 4, 2)))
    rng = np.random.default_rng(seed)
    mean = design.matrix @ rng.uniform(0, 0.3, design.width)
    change = rng.normal(0, 0.1, len(mean))
    r = np.stack([mean - change, mean + change])
    one, other = divided("shapley", p, r, design, MIDPOINT), adjusted(p, r, design, MIDPOINT)
    totals = design.dimension_totals
    np.testing.assert_allclose(totals @ one.levels, totals @ other.levels, atol=1e-14)
    assert one.joint == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("method", WITHOUT)
def test_levels_of_a_single_dimension_are_its_segments(method):
    p, r, design = shares_and_rates(random_case(3, sizes=(5,)))
    found = divided(method, p, r, design, MIDPOINT, [0])
    np.testing.assert_allclose(found.levels, mix(p, r, MIDPOINT), atol=1e-15)
    assert found.joint == pytest.approx(0, abs=1e-15)


def test_compared_lines_of_every_method_add_up_to_the_same_mix_effect():
    p, r, design = shares_and_rates(random_case(4, sizes=(3, 3, 2), empty=0.2))
    found = compared(p, r, design, order=[1, 0, 2])
    assert list(found) == ["adjusted", "shapley", "das_gupta", "ordered"]
    whole = mix(p, r, MIDPOINT).sum()
    for lines in found.values():
        assert sum(lines) == pytest.approx(whole, abs=1e-14)
    assert list(compared(p, r, design)) == ["adjusted", "shapley", "das_gupta"]


def test_coalitions_give_the_shapley_value():
    member, coefficient = coalitions(4)
    value = dict(zip(map(tuple, member), np.random.default_rng(0).normal(size=16), strict=True))
    wanted = np.zeros(4)
    for order in itertools.permutations(range(4)):
        here = [False] * 4
        for i in order:
            before = value[tuple(here)]
            here[i] = True
            wanted[i] += (value[tuple(here)] - before) / 24
    np.testing.assert_allclose(coefficient.T @ list(value.values()), wanted, atol=1e-15)


# -- raking ----------------------------------------------------------------------------------


def test_raked_tables_have_the_margins_and_the_odds_ratios_of_the_seed():
    p, _, design = shares_and_rates(random_case(5, sizes=(3, 4)))
    margins = np.concatenate([[0.2, 0.5, 0.3], [0.1, 0.1, 0.2, 0.6]])
    raked = rake(p.T, design, np.column_stack([margins, margins])).tables
    np.testing.assert_allclose(design.matrix.T @ raked, np.column_stack([margins] * 2), rtol=1e-12)
    for b in (0, 1):
        q, s = raked[:, b].reshape(3, 4), p[b].reshape(3, 4)
        odds = [x[:-1, :-1] * x[1:, 1:] / (x[1:, :-1] * x[:-1, 1:]) for x in (q, s)]
        np.testing.assert_allclose(odds[0], odds[1], rtol=1e-11)


def test_raking_converges_where_two_dimensions_nearly_coincide():
    design = Design(np.array(list(itertools.product(range(6), range(6)))), (6, 6))
    near = np.where(design.codes[:, 0] == design.codes[:, 1], 1.0, 1e-5)
    seed, margins = near / near.sum(), np.full(12, 1 / 6)
    margins[:6] += [0.002, -0.002, 0, 0.001, -0.001, 0]
    raked = rake(seed[:, None], design, margins[:, None]).tables[:, 0]
    np.testing.assert_allclose(design.matrix.T @ raked, margins, rtol=1e-12)


def test_raking_says_where_empty_cells_leave_no_table():
    design = Design(np.array([[0, 0], [0, 1], [1, 1]]), (2, 2))
    # Level 0 of dimension 1 occurs in level 0 of dimension 0 only, and would exceed it.
    with pytest.raises(IdentificationError, match="raking does not converge"):
        rake(np.full((3, 1), 1 / 3), design, np.array([[0.2], [0.8], [0.5], [0.5]]))


def test_shapley_over_margins_and_association_is_raking_by_hand():
    p, r, design = shares_and_rates(random_case(9, sizes=(3, 2)))
    mean = r.mean(axis=0)

    def value(here: list[bool]) -> float:
        q = p[int(here[2])].reshape(3, 2).copy()
        rows, columns = (p.reshape(2, 3, 2)[int(here[d])].sum(axis=1 - d) for d in (0, 1))
        for _ in range(2000):
            q *= (rows / q.sum(axis=1))[:, None]
            q *= columns / q.sum(axis=0)
        return float(mean @ q.ravel())

    wanted = np.zeros(3)
    for order in itertools.permutations(range(3)):
        here = [False] * 3
        for i in order:
            before = value(here)
            here[i] = True
            wanted[i] += (value(here) - before) / 6
    found = divided("shapley", p, r, design, MIDPOINT)
    lines = [*(design.dimension_totals @ found.levels), found.joint]
    np.testing.assert_allclose(lines, wanted, atol=1e-14)


def test_a_nested_parent_moves_volume_between_its_children_and_the_child_within():
    rng = np.random.default_rng(0)
    region = np.array([0, 0, 1, 1])
    codes = np.column_stack([np.arange(4), region])
    p = rng.dirichlet(np.full(4, 5.0), size=2)
    r = np.stack([rng.uniform(0.5, 1, 4)] * 2)
    found = divided("shapley", p, r, Design(codes, (4, 2)), MIDPOINT)
    # By hand: regions' shares and the shares within them are the two factors of a product.
    between = np.stack([np.bincount(region, p[t]) for t in (0, 1)])
    within = p / between[:, region]
    rate_of = [np.bincount(region, within[t] * r[0]) for t in (0, 1)]
    parent = (between[1] - between[0]) @ (rate_of[0] + rate_of[1]) / 2
    child = (between[0] + between[1]) / 2 @ (rate_of[1] - rate_of[0])
    assert found.levels[4:].sum() == pytest.approx(parent, abs=1e-15)
    assert found.levels[:4].sum() == pytest.approx(child, abs=1e-15)


def test_nested_dimensions_together_have_the_adjusted_effect_where_rates_are_additive():
    case = nested_case(2)
    p, _, design = shares_and_rates(case)
    effect = np.random.default_rng(0).uniform(0, 0.3, design.width)
    r = np.stack([design.matrix @ effect] * 2)
    one, other = (
        design.dimension_totals @ found.levels
        for found in (divided("shapley", p, r, design, MIDPOINT), adjusted(p, r, design, MIDPOINT))
    )
    assert one[[0, 2, 3]].sum() == pytest.approx(other[[0, 2, 3]].sum(), abs=1e-14)
    assert one[1] == pytest.approx(other[1], abs=1e-14)


def test_shapley_says_that_levels_which_occur_only_together_cannot_move_apart():
    p, r, design = shares_and_rates(aliased_case(1))
    with pytest.raises(IdentificationError, match=r"'shapley'.*only together.*mix='adjusted'"):
        divided("shapley", p, r, design, MIDPOINT)
    found = compared(p, r, design)
    assert "only together" in found["shapley"]
    assert sum(found["das_gupta"]) == pytest.approx(mix(p, r, MIDPOINT).sum(), abs=1e-14)


# -- ordered ---------------------------------------------------------------------------------


def test_ordered_is_a_chain_of_conditional_shares():
    case = random_case(6, sizes=(3, 2, 2))
    p, r, design = shares_and_rates(case)
    p0, p1 = p.reshape(2, 3, 2, 2)
    mean = r.mean(axis=0).reshape(3, 2, 2)
    # Dimension 1 first, then 2, then 0.
    first = p1.sum(axis=(0, 2), keepdims=True) / p0.sum(axis=(0, 2), keepdims=True) * p0
    second = p1.sum(axis=0, keepdims=True) / p0.sum(axis=0, keepdims=True) * p0
    steps = [float((mean * q).sum()) for q in (p0, first, second, p1)]
    found = divided("ordered", p, r, design, MIDPOINT, [1, 2, 0])
    lines = design.dimension_totals @ found.levels
    np.testing.assert_allclose(lines[[1, 2, 0]], np.diff(steps), atol=1e-15)


def test_ordered_takes_the_current_conditional_where_the_baseline_has_none():
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    p = np.array([[0.5, 0.5, 0, 0], [0.2, 0.2, 0.5, 0.1]])
    r = np.array([[0.9, 0.8, 0.5, 0.4]] * 2)
    found = divided("ordered", p, r, Design(codes, (2, 2)), MIDPOINT, [0, 1])
    # After the first step level 1 is split 5 to 1, which nothing in the baseline says.
    chained = 0.2 * 0.9 + 0.2 * 0.8 + 0.5 * 0.5 + 0.1 * 0.4
    assert found.levels[:2].sum() == pytest.approx(chained - 0.85, abs=1e-15)
    assert found.levels[2:].sum() == pytest.approx(0, abs=1e-15)


def test_an_order_moves_with_the_dimensions():
    case = random_case(1)
    one = case.run(by_mix("ordered", order=[2, 0, 1]))
    turned = Case(case.D, case.N, case.codes[:, [2, 0, 1]], (2, 3, 4))
    other = turned.run(by_mix("ordered", order=[0, 1, 2]))
    np.testing.assert_allclose(one.estimate[[2, 0, 1]], other.estimate[:3], atol=1e-15)


def test_the_first_dimension_of_an_order_has_its_margin_only():
    case = random_case(1)
    held = case.D.copy()
    for level in range(3):
        own = case.codes[:, 0] == level
        share = case.D[0][own].sum() / case.D[0].sum()
        held[1][own] *= share / case.D[1][own].sum() * case.D[1].sum()
    p, r, design = shares_and_rates(replace(case, D=held, N=held * 0.9 * (case.N / case.D)))
    lines = design.dimension_totals @ divided("ordered", p, r, design, MIDPOINT, [0, 1, 2]).levels
    assert lines[0] == pytest.approx(0, abs=1e-15)
    assert np.abs(lines[1:]).max() > 1e-6


# -- pathways --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [random_case(1), random_case(2, empty=0.3), nested_case(1), aliased_case(1), FULL[1]],
    ids=["full", "sparse", "nested", "aliased", "one dimension"],
)
@pytest.mark.parametrize("method", METHODS)
def test_columns_of_the_pathway_matrix_are_the_adjusted_lines(case, method):
    p, r, design = shares_and_rates(case)
    weights = METHODS[method]
    found = pathways(p, r, design, weights)
    lines = design.dimension_totals @ adjusted(p, r, design, weights).levels
    joint = mix(p, r, weights).sum() - lines.sum()
    np.testing.assert_allclose(found.sum(axis=0), [*lines, joint], atol=1e-13)
    assert (found[-1, :-1] == 0).all()


def test_a_pathway_leads_from_who_moved_to_whose_rates_it_met():
    # Queue volumes moved and tenure within a queue did not; rates differ by tenure only.
    rng = np.random.default_rng(0)
    design = Design(np.array(list(itertools.product(range(4), range(3)))), (4, 3))
    tenure = rng.dirichlet(np.ones(3), size=4)
    p = np.stack([(queue[:, None] * tenure).ravel() for queue in rng.dirichlet(np.ones(4), 2)])
    r = np.stack([np.array([0.9, 0.8, 0.6])[design.codes[:, 1]]] * 2)
    found = pathways(p, r, design, MIDPOINT)
    assert abs(found[0, 1]) > 1e-3
    rest = found.copy()
    rest[0, 1] = 0
    np.testing.assert_allclose(rest, 0, atol=1e-14)


def test_there_is_no_pathway_matrix_where_raking_does_not_converge():
    design = Design(np.array([[0, 0], [0, 1], [1, 1], [1, 0]]), (2, 2))
    p = np.array([[0.4, 0.3, 0.3, 0.0], [0.1, 0.1, 0.3, 0.5]])
    r = np.array([[0.9, 0.8, 0.7, 0.6]] * 2)
    with pytest.raises(IdentificationError, match=r"pathways: there is no matrix.*raking"):
        pathways(p, r, design, MIDPOINT)


# -- bad input -------------------------------------------------------------------------------


def test_what_a_method_does_not_take_is_refused():
    p, r, design = shares_and_rates(random_case(1))
    with pytest.raises(OptionError, match=r"mix: 'shapely'.*Did you mean 'shapley'"):
        divided("shapely", p, r, design, MIDPOINT)
    for method in ("threefold", "baseline", "current"):
        with pytest.raises(OptionError, match=r"mix: 'das_gupta'.*method='midpoint'"):
            divided("das_gupta", p, r, design, METHODS[method])
    for order in ([], [0, 1], [0, 1, 1], [0, 1, 2, 3]):
        with pytest.raises(OptionError, match="order: .* each of 3 dimensions once"):
            divided("ordered", p, r, design, MIDPOINT, order)
    many = Design(np.zeros((2, 11), dtype=int), (1,) * 11)
    shares = np.full((2, 2), 0.5)
    for method in ("shapley", "das_gupta"):
        with pytest.raises(OptionError, match="mix: .*2,048|mix: .*4,096"):
            divided(method, shares, shares, many, MIDPOINT)
