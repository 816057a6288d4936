"""Intervals and tests for paired results, against published values, other implementations and simulation."""

import math
from functools import cache

import numpy
import pytest

from steps import paired


@pytest.mark.parametrize(
    ("p", "freedom", "value"),  # https://www.itl.nist.gov/div898/handbook/eda/section3/eda3672.htm
    [(0.95, 1, 6.314), (0.95, 2, 2.920), (0.975, 3, 3.182), (0.95, 4, 2.132), (0.975, 10, 2.228), (0.9, 29, 1.311), (0.95, 100, 1.660)],
)
def test_t_quantiles_are_those_of_the_printed_table(p: float, freedom: int, value: float) -> None:
    assert paired.t_quantile(p, freedom) == pytest.approx(value, abs=5e-4)


@pytest.mark.slow
def test_t_quantiles_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 6, 7, 44, 199, 2000, 14041):
        for p in (0.8, 0.95, 0.975):
            assert paired.t_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), abs=1e-8)


def test_tango_and_mcnemar_give_the_published_values_for_the_airway_study() -> None:
    """Bentur et al.: 21 children, 1 against 7 discordant; Fagerland, Lydersen & Laake 2014, https://doi.org/10.1002/sim.6148"""
    interval = paired.tango(1, 7, 21, 0.025)
    assert (interval.low, interval.high) == (pytest.approx(-0.517, abs=5e-4), pytest.approx(-0.026, abs=5e-4))
    assert paired.mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)


@pytest.mark.parametrize("n", [1, 20, 200, 14_042])
def test_tango_without_discordant_items_is_z_squared_over_n_plus_z_squared(n: int) -> None:
    interval = paired.tango(0, 0, n, 0.05)
    half = 1.6448536**2 / (n + 1.6448536**2)
    assert (interval.low, interval.high) == (pytest.approx(-half, abs=1e-6), pytest.approx(half, abs=1e-6))


@pytest.mark.parametrize(("wins", "losses", "n"), [(30, 0, 30), (0, 30, 30), (3, 1, 50), (15, 15, 30), (100, 100, 1000)])
def test_tango_mirrors_when_the_models_change_places(wins: int, losses: int, n: int) -> None:
    one, other = paired.tango(wins, losses, n, 0.05), paired.tango(losses, wins, n, 0.05)
    assert (one.low, one.high) == (pytest.approx(-other.high, abs=1e-9), pytest.approx(-other.low, abs=1e-9))
    assert -1 <= one.low <= one.estimate <= one.high <= 1


@pytest.mark.parametrize(("n", "bound"), [(100, 0.0295), (300, 0.0099), (1000, 0.0030)])
def test_no_harm_in_n_items_bounds_its_share_by_three_over_n(n: int, bound: float) -> None:
    assert paired.clopper_pearson(0, n, 0.05).high == pytest.approx(bound, abs=5e-5)
    assert paired.clopper_pearson(n, n, 0.05).low == pytest.approx(1 - bound, abs=5e-5)


@pytest.mark.slow
def test_clopper_pearson_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for successes, n in [(1, 10), (3, 20), (190, 200), (7000, 14042)]:
        there = stats.binomtest(successes, n).proportion_ci(0.9)
        here = paired.clopper_pearson(successes, n, 0.05)
        assert (here.low, here.high) == (pytest.approx(there.low, abs=1e-8), pytest.approx(there.high, abs=1e-8))


def test_the_t_interval_is_the_one_worked_out_by_hand() -> None:
    interval = paired.student([1, 2, 3, 4], 0.05)  # mean 2.5, s^2 = 5/3, t(3) = 2.3534
    assert (interval.estimate, interval.variance) == (2.5, pytest.approx(5 / 3))
    assert interval.high == pytest.approx(2.5 + 2.3534 * math.sqrt(5 / 12), abs=1e-4)


def test_clusters_of_one_item_give_the_plain_t_interval() -> None:
    values = [0.1, 0.9, -0.3, 0.4, 0.0, 0.7]
    one, plain = paired.clustered(values, [str(place) for place in range(6)], 0.05), paired.student(values, 0.05)
    assert (one.low, one.high) == (pytest.approx(plain.low), pytest.approx(plain.high))


def test_items_that_repeat_within_their_cluster_count_once() -> None:
    values = [0.2, -0.1, 0.5, 0.3, 0.0] * 4
    fivefold = paired.clustered(values * 5, [str(place) for place in range(20)] * 5, 0.05)
    assert fivefold.high == pytest.approx(paired.clustered(values, [str(place) for place in range(20)], 0.05).high)


def test_the_bootstrap_repeats_itself_and_comes_near_the_t_interval() -> None:
    draw = numpy.random.default_rng(1)
    ours, theirs = draw.normal(0.6, 0.2, 400).tolist(), draw.normal(0.5, 0.2, 400).tolist()
    interval = paired.bootstrap(ours, theirs, lambda a, b: a - b, 0.05)
    assert interval == paired.bootstrap(ours, theirs, lambda a, b: a - b, 0.05)
    t = paired.student([a - b for a, b in zip(ours, theirs, strict=True)], 0.05)
    assert (interval.low, interval.high) == (pytest.approx(t.low, abs=0.003), pytest.approx(t.high, abs=0.003))


def test_the_bootstrap_of_equal_data_in_clusters_is_as_wide_as_that_of_the_clusters() -> None:
    draw = numpy.random.default_rng(2)
    values = draw.normal(1.0, 0.3, 40).tolist()
    ones = [1.0] * 40
    alone = paired.bootstrap(values, ones, lambda a, b: a / b, 0.05)
    tenfold = paired.bootstrap(values * 10, ones * 10, lambda a, b: a / b, 0.05, clusters=[f"{place:02}" for place in range(40)] * 10)
    assert (tenfold.low, tenfold.high) == (pytest.approx(alone.low, abs=1e-9), pytest.approx(alone.high, abs=1e-9))


@pytest.mark.parametrize(("power", "factor"), [(0.8, 6.18), (0.9, 8.56), (0.95, 10.8)])
def test_the_planner_follows_the_known_formula(power: float, factor: float) -> None:
    assert paired.items_needed(0.1, 0.02, 0.05, power) == pytest.approx(factor * 0.1 / 0.02**2, rel=0.005)


@pytest.mark.parametrize(("n", "psi", "delta"), [(50, 0.05, 0.02), (100, 0.05, 0.05), (200, 0.10, 0.02), (1000, 0.10, 0.02)])
def test_a_candidate_just_as_much_worse_as_the_margin_passes_in_at_most_one_of_twenty(n: int, psi: float, delta: float) -> None:
    """Non-inferiority at its boundary: 4,000 repeats, so 0.05 is seen as 0.050 +- 0.0034; three of these are allowed."""
    draw = numpy.random.default_rng(5)
    drawn = draw.multinomial(n, [(psi - delta) / 2, (psi + delta) / 2, 1 - psi], size=4000)
    low = cache(lambda wins, losses: paired.tango(wins, losses, n, 0.05).low)
    passed = sum(low(int(wins), int(losses)) > -delta for wins, losses, _ in drawn) / 4000
    assert 0.005 < passed <= 0.05 + 3 * 0.0034


def test_ignoring_clusters_is_wrong_far_too_often_and_cr1_is_not() -> None:
    """57 groups of 50 items with an intra-cluster correlation of 0.05, no true difference; one-sided 5 %."""
    draw, labels = numpy.random.default_rng(6), [str(item % 57) for item in range(57 * 50)]
    plain = robust = 0
    for _ in range(300):
        values = (numpy.tile(draw.normal(0, math.sqrt(0.05), 57), 50) + draw.normal(0, math.sqrt(0.95), 57 * 50)).tolist()
        plain += paired.student(values, 0.05).low > 0
        robust += paired.clustered(values, labels, 0.05).low > 0
    assert plain / 300 > 0.12
    assert robust / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
