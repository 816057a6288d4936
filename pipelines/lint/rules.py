"""All rules: what runs on each document, and what each rule is."""

from collections.abc import Callable, Iterator
from types import ModuleType

from pipelines.lint import (
    callers,
    cron,
    documents,
    durations,
    expressions,
    flow,
    foreign,
    injection,
    labels,
    loops,
    manifests,
    pods,
    programs,
    schema,
    skipped,
    sources,
    structure,
    tags,
    values,
    vocabulary,
    waits,
    when,
)
from pipelines.lint.findings import Finding, Rule
from pipelines.lint.subject import Subject

Check = Callable[[Subject], Iterator[Finding]]

_BEFORE = (sources, documents, schema, vocabulary)
"""Rules that hold before there is a Subject."""
_MODULES: tuple[ModuleType, ...] = (
    *(structure, labels, callers, loops, cron, pods, manifests, values),
    *(tags, foreign, expressions, when, waits, skipped, durations, flow, programs, injection),
)

CHECKS: tuple[Check, ...] = tuple(check for module in _MODULES for check in module.CHECKS)


def by_module() -> list[tuple[str, list[Rule]]]:
    """Each rule once, under the first line of its module."""
    seen, groups = set[str](), list[tuple[str, list[Rule]]]()
    for module in (*_BEFORE, *_MODULES):
        own = [
            rule for value in vars(module).values() for rule in (value if isinstance(value, tuple) else (value,)) if isinstance(rule, Rule)
        ]
        new = list({rule.id: rule for rule in own if rule.id not in seen}.values())
        seen |= {rule.id for rule in new}
        if new:
            groups.append(((module.__doc__ or "").splitlines()[0].partition(":")[0].rstrip("."), new))
    return groups


def every_rule() -> list[Rule]:
    return [rule for _, found in by_module() for rule in found]
