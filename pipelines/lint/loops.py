"""Loops: what makes no list, or another one than it looks like."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.subject import Subject

WITH_PARAM = Rule(
    "with-param",
    Severity.ERROR,
    "The step ends in failure: `withParam value could not be parsed as a JSON list`.",
    'Give a JSON list, as in ["a", "b"].',
)
SEQUENCE = Rule(
    "sequence-without-end",
    Severity.ERROR,
    "The step ends in failure: `neither end nor count was specified in withSequence`.",
    "Add count or end.",
)
FORMAT = Rule(
    "sequence-format",
    Severity.ERROR,
    "The number is formatted as Go does it: a verb that takes no whole number leaves text such as box%!s(int=0), one too few drops it.",
    "Use one of %d, %02d, %x, %o.",
)
MIXED_ITEMS = Rule(
    "mixed-items",
    Severity.WARNING,
    "`{{item}}` is the word, the number or the JSON text of a map or list; a step that expects one of them gets the others too.",
    "Make all items of one kind.",
)
EMPTY_ITEMS = Rule(
    "empty-items",
    Severity.WARNING,
    "In a steps template an empty withItems is no loop: the step runs once, with `{{item}}` as text.",
    "Add an item, or use withParam, whose empty list skips the step.",
)
RULES = (WITH_PARAM, SEQUENCE, FORMAT, MIXED_ITEMS, EMPTY_ITEMS)

_VERB = re.compile(r"%%|%[-+ #0]*\d*(?:\.\d+)?([a-zA-Z])")


def check_loops(subject: Subject) -> Iterator[Finding]:
    for call in subject.calls:
        given, sequence, items = call.call.get("withParam") or "", call.call.get("withSequence"), call.call.get("withItems")
        if given and "{{" not in given and not _is_list(given):
            yield Finding(WITH_PARAM, (*call.path, "withParam"), f"withParam {given[:60]!r} is no JSON list")
        if sequence is not None:
            yield from _sequence(sequence, (*call.path, "withSequence"))
        if items is not None:
            yield from _items(items, call.kind, (*call.path, "withItems"))


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _sequence(sequence: dict[str, Any], at: Path) -> Iterator[Finding]:
    if all(sequence.get(key) in (None, "") for key in ("count", "end")):
        yield Finding(SEQUENCE, at, "withSequence has neither count nor end")
    pattern = sequence.get("format") or "%d"
    verbs = [found[1] for found in _VERB.finditer(pattern) if found[0] != "%%"]
    if "{{" not in pattern and (len(verbs) != 1 or verbs[0] not in "bcdoOqxXUv" or "%" in _VERB.sub("", pattern)):
        yield Finding(FORMAT, (*at, "format"), f"format {pattern!r} is none for a whole number")


def _items(items: list[Any], kind: str, at: Path) -> Iterator[Finding]:
    kinds = {"a map" if isinstance(i, dict) else "a list" if isinstance(i, list) else "one value" for i in items}
    if len(kinds) > 1:
        yield Finding(MIXED_ITEMS, at, f"the items are of several kinds: {', '.join(sorted(kinds))}")
    if not items and kind == "step":
        yield Finding(EMPTY_ITEMS, at, "withItems is empty")


CHECKS = (check_loops,)
