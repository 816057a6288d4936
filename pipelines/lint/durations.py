"""Durations, and what retryStrategy and memoize make of their texts: all of it is read only when it is needed."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pipelines.lint import literals
from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.subject import Subject, Template
from pipelines.lint.texts import filled
from pipelines.local import durations

_E, _W = Severity.ERROR, Severity.WARNING

DURATION = Rule(
    "duration",
    _E,
    "It passes Argo's lint; the node, or the workflow, ends in Error once the value is needed: for a retry after the first failure.",
    "Write a Go duration with units: 90s, 1h30m, 500ms (no d for days).",
)
BACKOFF = Rule(
    "backoff-without-duration",
    _E,
    "After the first failure the workflow ends in Error: `no base duration specified for retryStrategy`.",
    "Add backoff.duration.",
)
FACTOR = Rule("backoff-factor", _E, "After the first failure the workflow ends in Error.", "Write a whole number above 0.")
BOUNDLESS = Rule(
    "retry-without-limit", _W, "A step that always fails is retried without end.", "Add limit, an expression, or backoff.maxDuration."
)
CACHE_KEY = Rule(
    "memoize-key", _E, "The node ends in Error: `invalid cache key`.", "Use letters, digits and dashes only, a letter or digit first."
)


def check_durations(subject: Subject) -> Iterator[Finding]:
    yield from _retry(subject.spec, subject.at, {})
    yield from _podgc(subject.spec.get("podGC") or {}, (*subject.at, "podGC"))
    for path, template in subject.templates:
        known = literals.values(subject, template)
        yield from _retry(template, path, known)
        for key in ("timeout", "pendingTimeout"):
            yield from _one(template, key, path, known, durations.seconds_or_duration)
        yield from _one(template.get("suspend") or {}, "duration", (*path, "suspend"), known, durations.seconds_or_duration)
        yield from _one(template.get("memoize") or {}, "maxAge", (*path, "memoize"), known, durations.parse)
        strategy = (template.get("containerSet") or {}).get("retryStrategy") or {}
        yield from _one(strategy, "duration", (*path, "containerSet", "retryStrategy"), known, durations.parse)


def _podgc(given: dict[str, Any], path: Path) -> Iterator[Finding]:
    yield from _one(given, "deleteDelayDuration", path, {}, durations.parse)


def _one(given: dict[str, Any], key: str, path: Path, known: dict[str, list[str]], read: Callable[[str], float]) -> Iterator[Finding]:
    """A field that holds a duration; one with tags as far as their values are written somewhere."""
    if given.get(key) in (None, ""):
        return
    text = str(given[key])
    for value in literals.becomes(text, known) if "{{" in text else [text]:
        try:
            read(value)
        except ValueError as error:
            yield Finding(DURATION, (*path, key), f"{key} {text!r}: {error}")
            return


def _retry(owner: dict[str, Any], path: Path, known: dict[str, list[str]]) -> Iterator[Finding]:
    strategy = owner.get("retryStrategy")
    if strategy is None:
        return
    at, backoff = (*path, "retryStrategy"), strategy.get("backoff")
    if strategy.get("limit") is None and not strategy.get("expression") and not (backoff or {}).get("maxDuration"):
        yield Finding(BOUNDLESS, at, "retryStrategy has no limit")
    if backoff is None:
        return
    if not backoff.get("duration"):
        yield Finding(BACKOFF, (*at, "backoff"), "backoff has no duration")
    for key in ("duration", "cap", "maxDuration"):
        yield from _one(backoff, key, (*at, "backoff"), known, durations.seconds_or_duration)
    factor = str(backoff.get("factor", "1"))
    if "{{" not in factor and not re.fullmatch(r"[1-9]\d*", factor):
        yield Finding(FACTOR, (*at, "backoff", "factor"), f"factor is {factor!r}")


def check_memoize(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        key = str((template.get("memoize") or {}).get("key") or "")
        for value in _keys(subject, template, key):
            if not re.fullmatch(r"[a-zA-Z0-9][-a-zA-Z0-9]*", value):
                shown = f"{key!r}" if value == key else f"{key!r} becomes {value!r}"
                yield Finding(CACHE_KEY, (*path, "memoize", "key"), shown)
                break


def _keys(subject: Subject, template: Template, key: str) -> Iterator[str]:
    """What a cache key may become: with the values that are written, or with a plain word."""
    if key:
        yield filled(key, "a")
        yield from literals.becomes(key, literals.values(subject, template))


CHECKS = (check_durations, check_memoize)
