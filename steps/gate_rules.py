"""One rule of the gate's policy against the measured items: pass, fail, inconclusive or invalid, with the numbers and the words.

A *gain* is counted so that more is better, whatever the metric's direction. A rule passes when the whole interval lies beyond its line,
fails when the estimate itself does not, and is inconclusive between. What cannot be judged is invalid, never zero.
"""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from steps import paired
from steps.evaluation import Measured
from steps.gate_policy import Absolute, Comparison, NonInferiority, Policy, Ratio, Reference, Rule, Superiority
from steps.paired import Interval

Outcome = Literal["pass", "fail", "inconclusive", "invalid"]
NAMES: dict[Reference, str] = {"anchor": "the base model", "champion": "the model in production"}


class Finding(BaseModel):
    """What became of one rule against one reference. `line` is where the interval must lie beyond; None where nothing was computed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rule: str
    task: str
    metric: str
    test: Literal["superiority", "non_inferiority", "absolute", "ratio"]
    against: Reference | None
    outcome: Outcome
    words: str
    percent: bool = False
    n: int = 0
    candidate: float | None = None
    reference: float | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    line: float | None = None
    method: str | None = None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None
    mcnemar: float | None = None
    needed: int | None = None


@dataclass(frozen=True)
class _Pairs:
    """The same items measured on both models, sorted by id."""

    candidate: list[float]
    reference: list[float]
    clusters: list[str] | None

    @property
    def binary(self) -> bool:
        return all(value in (0, 1) for value in [*self.candidate, *self.reference])

    @property
    def few(self) -> bool:
        return self.clusters is not None and len(set(self.clusters)) < paired.FEWEST_CLUSTERS


class _Invalid(Exception):
    """Why a rule cannot be judged."""


def judge(rule: Rule, policy: Policy, candidate: Measured, references: dict[Reference, Measured]) -> list[Finding]:
    """The rule's findings, one a reference. Where there is no champion yet, the anchor stands in for it."""
    if isinstance(rule, Absolute):
        return [_absolute(rule, policy, candidate)]
    wanted: list[Reference] = [name if name in references else "anchor" for name in rule.vs or policy.compare_to]
    return [_compare(rule, policy, candidate, name, references[name]) for name in dict.fromkeys(wanted)]


def without_numbers(rule: Rule, against: Reference | None, outcome: Outcome, why: str) -> Finding:
    return Finding(
        rule=rule.id, task=rule.task, metric=metric_key(rule), test=rule.test, against=against, outcome=outcome, words=f"{rule.id}: {why}"
    )


def metric_key(rule: Rule) -> str:
    """lm-eval's name of the metric behind its filter."""
    return rule.metric if rule.filter == "none" else f"{rule.metric},{rule.filter}"


def _compare(rule: Comparison, policy: Policy, candidate: Measured, against: Reference, reference: Measured) -> Finding:
    if candidate.record.digest == reference.record.digest and against == "champion":
        return without_numbers(rule, against, "pass", "this very model is in production already")
    try:
        pairs = _paired(rule, policy, candidate, reference)
        interval, line = _interval(rule, pairs, policy.alpha), _line(rule)
        outcome = _outcome(interval, line, "down" if isinstance(rule, Ratio) and rule.max is not None else "up")
    except _Invalid as why:
        return without_numbers(rule, against, "invalid", str(why))
    if outcome == "pass" and pairs.few:
        words = f"its items come in {len(set(pairs.clusters or []))} groups of {rule.cluster}; {paired.FEWEST_CLUSTERS} are needed"
        return without_numbers(rule, against, "inconclusive", words)
    n, (wins, losses) = len(pairs.candidate), _wins(rule, pairs)
    counted = not isinstance(rule, Ratio)
    finding = Finding(
        rule=rule.id, task=rule.task, metric=metric_key(rule), test=rule.test, against=against, outcome=outcome, words="",
        percent=pairs.binary and counted, n=n, candidate=_mean(pairs.candidate), reference=_mean(pairs.reference),
        estimate=interval.estimate, low=interval.low, high=interval.high, line=line, method=interval.method,
        wins=wins if counted else None, losses=losses if counted else None, ties=n - wins - losses if counted else None,
        mcnemar=paired.mcnemar(wins, losses) if pairs.binary and counted else None,
        needed=_needed(policy, interval, line, n) if outcome == "inconclusive" else None,
    )  # fmt: skip
    return finding.model_copy(update={"words": _words(finding)})


def _absolute(rule: Absolute, policy: Policy, candidate: Measured) -> Finding:
    try:
        scored = [value for _, value in sorted(_values(rule, policy, candidate).items())]
    except _Invalid as why:
        return without_numbers(rule, None, "invalid", str(why))
    binary = all(value in (0, 1) for value in scored)
    ones = int(sum(scored)) if binary else 0
    interval = paired.clopper_pearson(ones, len(scored), policy.alpha) if binary else paired.student(scored, policy.alpha)
    line = rule.bound.min if rule.bound.min is not None else rule.bound.max or 0.0
    outcome = _bounded(interval, line, rule.direction)
    if rule.bound.by == "point":
        outcome = "fail" if outcome == "fail" else "pass"
    finding = Finding(
        rule=rule.id, task=rule.task, metric=metric_key(rule), test=rule.test, against=None, outcome=outcome, words="",
        percent=binary, n=len(scored), candidate=interval.estimate, estimate=interval.estimate, low=interval.low, high=interval.high,
        line=line, method=interval.method, needed=_needed(policy, interval, line, len(scored)) if outcome == "inconclusive" else None,
    )  # fmt: skip
    return finding.model_copy(update={"words": _words(finding, "at least" if rule.direction == "up" else "at most")})


def _values(rule: Rule, policy: Policy, measured: Measured) -> dict[str, float]:
    """The metric by item. Raises _Invalid when it is missing, or on too few items."""
    of_task = [item for item in measured.items if item.task == rule.task]
    name = metric_key(rule)
    if name == "output_chars":
        values = {item.id: float(item.output_chars) for item in of_task if item.output_chars is not None}
    else:
        values = {item.id: item.metrics[name] for item in of_task if name in item.metrics}
    if not values:
        known = sorted({metric for item in of_task for metric in item.metrics})
        raise _Invalid(f"{measured.record.model} has no {name} on {rule.task}" + (f"; it has {', '.join(known)}" if known else ""))
    if (missing := 1 - len(values) / len(of_task)) > policy.validity.max_unscored:
        raise _Invalid(f"{missing:.1%} of the items of {rule.task} have no {name}; the policy allows {policy.validity.max_unscored:.1%}")
    if len(values) < policy.validity.min_n:
        raise _Invalid(f"{rule.task} has {len(values)} items; the policy asks for {policy.validity.min_n}")
    return values


def _paired(rule: Comparison, policy: Policy, candidate: Measured, reference: Measured) -> _Pairs:
    ours, theirs = _values(rule, policy, candidate), _values(rule, policy, reference)
    ids = sorted(ours.keys() & theirs.keys())
    if len(ids) < policy.validity.min_n:
        raise _Invalid(f"{len(ids)} items of {rule.task} have a score of both models; the policy asks for {policy.validity.min_n}")
    clusters = None
    if rule.cluster is not None:
        labels = {item.id: item.cluster for item in candidate.items if item.task == rule.task}
        clusters = [label for name in ids if (label := labels[name]) is not None]
        if len(clusters) < len(ids) or len(set(clusters)) < 2:
            raise _Invalid(f"the items of {rule.task} have no two values of {rule.cluster}, by which the rule groups them")
    return _Pairs([ours[name] for name in ids], [theirs[name] for name in ids], clusters)


def _interval(rule: Comparison, pairs: _Pairs, alpha: float) -> Interval:
    if isinstance(rule, Ratio):
        if not all(value > 0 for value in (_mean(pairs.candidate), _mean(pairs.reference))):
            raise _Invalid("a ratio needs means above zero")
        interval = paired.bootstrap(pairs.candidate, pairs.reference, lambda ours, theirs: ours / theirs, alpha, pairs.clusters)
        if not math.isfinite(interval.low + interval.high):
            raise _Invalid("the reference's mean is too close to zero for a ratio")
        return interval
    gains = _gains(rule, pairs)
    if pairs.clusters is not None:
        return paired.clustered(gains, pairs.clusters, alpha)
    if pairs.binary:
        return paired.tango(*_wins(rule, pairs), len(gains), alpha)
    return paired.student(gains, alpha)


def _line(rule: Comparison) -> float:
    match rule:
        case Superiority():
            return rule.min_gain
        case NonInferiority():
            return -rule.margin
        case Ratio():
            return rule.max or rule.min or 1.0


def _outcome(interval: Interval, line: float, side: Literal["up", "down"]) -> Outcome:
    """Beyond the line, strictly: no gain is no superiority."""
    if interval.estimate == line:
        return "fail"
    return _bounded(interval, line, side)


def _bounded(interval: Interval, line: float, side: Literal["up", "down"]) -> Outcome:
    estimate, worst = (interval.estimate, interval.low) if side == "up" else (-interval.estimate, -interval.high)
    line = line if side == "up" else -line
    if estimate < line:
        return "fail"
    return "pass" if worst >= line else "inconclusive"


def _gains(rule: Comparison, pairs: _Pairs) -> list[float]:
    sign = 1 if rule.direction == "up" else -1
    return [sign * (ours - theirs) for ours, theirs in zip(pairs.candidate, pairs.reference, strict=True)]


def _wins(rule: Comparison, pairs: _Pairs) -> tuple[int, int]:
    gains = _gains(rule, pairs)
    return sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)


def _needed(policy: Policy, interval: Interval, line: float, n: int) -> int | None:
    """Items that would decide, were the estimate the truth. A variance of zero is not believed: one item more may differ."""
    distance = abs(interval.estimate - line)
    return paired.items_needed(max(interval.variance, 1 / n), distance, policy.alpha, policy.power_target) if distance else None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def number(value: float, percent: bool, *, sign: bool = False) -> str:
    """A score or a gain for a person: shares in percent."""
    text = (f"{100 * value:.1f}" if percent else f"{value:.4g}").replace("-", "\N{MINUS SIGN}")
    return f"+{text}" if sign and value > 0 else text


def _words(finding: Finding, bound: str = "") -> str:
    def show(value: float | None, sign: bool = False) -> str:
        return number(value or 0.0, finding.percent, sign=sign)

    unit, points = (" %", " points") if finding.percent else ("", "")
    ours = f"{finding.metric} on {finding.task} is {show(finding.candidate)}{unit}"
    needed = f"; {finding.needed:,} items would decide" if finding.needed else ""
    span = f"between {show(finding.low)} and {show(finding.high)}"
    if finding.against is None:
        return f"{finding.rule}: {ours}, surely {span}{unit}; asked {bound} {show(finding.line)}{unit}{needed}"
    theirs = f"against {show(finding.reference)}{unit} of {NAMES[finding.against]}"
    if finding.test == "ratio":
        return f"{finding.rule}: {ours} {theirs}, {show(finding.estimate)} times as much, {span}; the line is {show(finding.line)}{needed}"
    gain = f"a gain between {show(finding.low, True)} and {show(finding.high, True)}{points}"
    return f"{finding.rule}: {ours} {theirs}, {gain}; asked more than {show(finding.line, True)}{points}{needed}"
