"""Is one model better than another on the same items? Intervals and tests for paired results.

Every interval is two one-sided bounds: each side is wrong with probability at most `alpha` (0.05 by default elsewhere), so one bound
alone decides a one-sided question at that level. numpy and the standard library only, so the gate's image stays small.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean
from typing import Any

FEWEST_CLUSTERS = 20  # below it CR1 intervals are too narrow: https://doi.org/10.1162/rest.90.3.414
_TIGHT = 60  # bisections: an interval of length 2 shrinks below 1e-17


@dataclass(frozen=True)
class Interval:
    """An estimate between its two one-sided bounds, and the variance of one item's contribution, for planning."""

    estimate: float
    low: float
    high: float
    method: str
    variance: float


def tango(wins: int, losses: int, n: int, alpha: float) -> Interval:
    """Score interval of the difference of two paired proportions, `(wins - losses) / n`.

    `wins`: items the candidate alone has right; `losses`: items the reference alone has right; `n`: all items. It keeps its level
    at a few discordant items, where Wald and paired t do not. Tango 1998,
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B
    """
    z = NormalDist().inv_cdf(1 - alpha)
    estimate = (wins - losses) / n
    low = _falling(lambda delta: _tango_z(wins, losses, n, delta) - z, -1.0, estimate)
    high = _falling(lambda delta: _tango_z(wins, losses, n, delta) + z, estimate, 1.0)
    return Interval(estimate, low, high, "Tango score interval", (wins + losses) / n - estimate**2)


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided p of "as many wins as losses". McNemar 1947, https://doi.org/10.1007/BF02295996"""
    return min(1.0, 2 * _binomial_tail(max(wins, losses), wins + losses, 0.5))


def clopper_pearson(successes: int, n: int, alpha: float) -> Interval:
    """Exact bounds of a proportion; 0 of 100 gives at most 2.95 %. https://doi.org/10.1093/biomet/26.4.404"""
    share = successes / n
    low = 0.0 if successes == 0 else _falling(lambda p: alpha - _binomial_tail(successes, n, p), 0.0, share)
    high = 1.0 if successes == n else 1 - _falling(lambda p: alpha - _binomial_tail(n - successes, n, p), 0.0, 1 - share)
    return Interval(share, low, high, "Clopper-Pearson interval", share * (1 - share))


def student(values: Sequence[float], alpha: float) -> Interval:
    """t interval of a mean; for paired data the values are differences. Needs two values or more.

    https://www.itl.nist.gov/div898/handbook/eda/section3/eda352.htm
    """
    n, mean = len(values), fmean(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = t_quantile(1 - alpha, n - 1) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half, "paired t interval", variance)


def clustered(values: Sequence[float], clusters: Sequence[str], alpha: float) -> Interval:
    """t interval of a mean whose items come in clusters (one conversation, one subject): CR1 variance, G - 1 degrees of freedom.

    Needs two clusters or more; below FEWEST_CLUSTERS it is too narrow. Cameron & Miller 2015, https://doi.org/10.3368/jhr.50.2.317;
    for evaluations, Miller 2024, https://arxiv.org/abs/2411.00640
    """
    n, mean = len(values), fmean(values)
    sums: dict[str, float] = defaultdict(float)
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value - mean
    groups = len(sums)
    of_mean = groups / (groups - 1) * math.fsum(total**2 for total in sums.values()) / n**2
    half = t_quantile(1 - alpha, groups - 1) * math.sqrt(of_mean)
    return Interval(mean, mean - half, mean + half, f"cluster-robust t interval, {groups} clusters", of_mean * n)


def bootstrap(
    candidate: Sequence[float],
    reference: Sequence[float],
    statistic: Callable[[Any, Any], Any],
    alpha: float,
    clusters: Sequence[str] | None = None,
    repeats: int = 2000,
    seed: int = 20_240,
) -> Interval:
    """Percentile interval of a statistic of the two means (`statistic(candidate, reference)`, on arrays), the pairs drawn together.

    With `clusters`, whole clusters are drawn. The same data in the same order give the same bounds.
    Efron & Tibshirani 1993, chapter 13, https://doi.org/10.1201/9780429246593
    """
    import numpy

    names = [f"{row:09}" for row in range(len(candidate))] if clusters is None else list(clusters)
    rows = numpy.unique(numpy.asarray(names), return_inverse=True)[1]
    table = numpy.stack([numpy.bincount(rows, weights) for weights in (candidate, reference, [1.0] * len(names))], axis=1)
    draw = numpy.random.default_rng(seed)
    groups = len(table)
    sums = numpy.concatenate(  # 100 at a time: 14,000 items x 2,000 draws would be 224 MB
        [draw.multinomial(groups, [1 / groups] * groups, size=100) @ table for _ in range(-(-repeats // 100))]
    )
    with numpy.errstate(divide="ignore", invalid="ignore"):  # a ratio to a drawn mean of zero: the bound is then no finite number
        drawn = statistic(sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2])
        low, high = numpy.quantile(drawn, [alpha, 1 - alpha])
        variance = float(numpy.var(drawn)) * len(names)
    estimate = float(statistic(numpy.mean(candidate), numpy.mean(reference)))
    return Interval(estimate, float(low), float(high), "paired bootstrap", variance)


def items_needed(variance: float, distance: float, alpha: float, power: float) -> int:
    """Items that show, with this power, that a mean lies `distance` beyond a line; `variance` is that of one item's difference.

    For two models that differ on a share psi of the items, 80 % power needs 6.18 psi / distance^2, 90 % 8.56.
    Miller 2024, section 5, https://arxiv.org/abs/2411.00640
    """
    quantile = NormalDist().inv_cdf
    return math.ceil((quantile(1 - alpha) + quantile(power)) ** 2 * variance / distance**2)


@lru_cache(maxsize=256)
def t_quantile(p: float, freedom: int) -> float:
    """Quantile of Student's t for a whole number of degrees of freedom, p in 0.5..1, exact to about 1e-9."""
    top = 1.0
    while _t_cdf(top, freedom) < p:
        top *= 2
    return _falling(lambda t: p - _t_cdf(t, freedom), 0.0, top)


def _t_cdf(t: float, freedom: int) -> float:
    """Finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4, https://personal.math.ubc.ca/~cbm/aands/page_948.htm"""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, term = math.cos(angle) ** 2, 1.0
    total = 1.0 if freedom > 1 else 0.0
    for k in range(3 if freedom % 2 else 2, freedom - 1, 2):
        term *= cosine * (k - 1) / k
        total += term
    if freedom % 2:
        return 0.5 + (angle + math.sin(angle) * math.cos(angle) * total) / math.pi
    return 0.5 + math.sin(angle) * total / 2


def _tango_z(wins: int, losses: int, n: int, delta: float) -> float:
    """Score statistic for a true difference `delta`, with the restricted estimate of the reference's share in closed form."""
    b = (2 * n - wins + losses) * delta - wins - losses
    root = math.sqrt(max(0.0, b * b + 8 * n * losses * delta * (1 - delta)))
    share = (root - b) / (4 * n)
    variance = n * (2 * share + delta * (1 - delta))
    distance = wins - losses - n * delta
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _binomial_tail(k: int, n: int, p: float) -> float:
    """P(X >= k), by logarithms, so that thousands of items neither overflow nor vanish."""
    if k <= 0 or p >= 1:
        return 1.0
    if p <= 0:
        return 0.0
    ways, yes, no = _log_ways(n), math.log(p), math.log1p(-p)
    return math.fsum(math.exp(ways[i] + i * yes + (n - i) * no) for i in range(k, n + 1))


@lru_cache(maxsize=8)
def _log_ways(n: int) -> list[float]:
    """Logarithms of the ways to choose 0..n of n; a bisection asks for the same n sixty times."""
    return [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(n + 1)]


def _falling(value: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero, by bisection."""
    for _ in range(_TIGHT):
        middle = (low + high) / 2
        if value(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
