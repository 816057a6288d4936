"""Patterns mean what they mean to Go, and no pattern takes more time than its length times the text's."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from pipelines.local import re2
from pipelines.local.re2 import machine
from tests.local import inputs

# Made by Go 1.26's regexp: [pattern, error], or [pattern, text, spans of every match and its groups, template, replaced, most, split].
GO = json.loads((Path(__file__).parent / "regex.json").read_text(encoding="utf-8"))
NASTY = [
    ("^(a+)+$", "a" * 100 + "b"),
    ("(a|aa)*b", "a" * 100),
    ("(a|a)*$", "a" * 100 + "b"),
    ("(.*)*(.*)*(.*)*x", "a" * 60),
    ("(x+x+)+y", "x" * 100),
    ("((a*)*)*b", "a" * 100),
    ("(?i)(ß|ẞ|s)+k", "sS" * 50),
    ("a?" * 30 + "a" * 30, "a" * 30),
    ("a{0,200}b", "a" * 100),
    ("(.{1,20}){1,20}!", "a" * 60),
    (r"(\w+\s?)*$", "word " * 20 + "!"),
]


def answer(case: list[object]) -> list[object]:
    pattern, *rest = case
    try:
        regexp = re2.compile(str(pattern))
    except re2.PatternError as error:
        return [pattern, str(error)]
    text, _, template, _, most, _ = rest
    spans = [[*match.slots] for match in regexp.find_all(text)]
    assert regexp.search(text) == bool(spans)
    return [pattern, text, spans, template, regexp.replace(text, lambda match: match.expand(template)), most, regexp.split(text, most)]


def test_answers_and_errors_are_those_of_go() -> None:
    assert [answer(case) for case in GO] == GO


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("(" * 999 + "a" + ")" * 999, None),
        ("(" * 1000 + "a" + ")" * 1000, "expression nests too deeply"),
        ("(?:" * 5000 + "a" + ")" * 5000, None),
        ("(a{10}){100}", None),
        ("(a{10}){101}", "invalid repeat count"),
        ("(abcdefghij){1000}" * 300, "expression too large"),
        ("((a{1000}){0}){1000}", None),
        (r"\p{Greek}", "scripts are not supported locally; write a range, as in [\\x{370}-\\x{3FF}]"),
        (r"\p{Old_Italic}", "invalid character class range"),
        (r"\p{Uppercase_Letter}\p{^lu}", None),
    ],
)
def test_the_limits_of_a_pattern_are_those_of_go(pattern: str, code: str | None) -> None:
    """Go also knows scripts, which Python does not, and has room for larger programs."""
    try:
        re2.compile(pattern)
        said = None
    except re2.PatternError as error:
        said = str(error).removeprefix("error parsing regexp: ").partition(": `")[0]
    assert said == code


class Counted(list[int]):
    """Instructions that know how often they were looked at."""

    looks = 0

    def __getitem__(self, index: int) -> int:
        self.looks += 1
        return super().__getitem__(index)


def looks(pattern: str, text: str) -> tuple[int, int]:
    """How often the machine looks at an instruction, and how often it may: on arrival, and when its turn comes, at each place."""
    program = re2.compile(pattern).program
    ops = Counted(program.ops)
    machine.run(replace(program, ops=ops), text)
    return ops.looks, 2 * len(ops) * (len(text) + 1) + 2


@pytest.mark.parametrize(("pattern", "text"), NASTY)
def test_no_pattern_makes_the_machine_go_back(pattern: str, text: str) -> None:
    taken, allowed = looks(pattern, text)
    assert len(text) < taken <= allowed


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(inputs.PATTERNS, inputs.texts("ab1 \n"))
def test_steps_are_bounded_by_the_pattern_times_the_text(pattern: str, text: str) -> None:
    with suppress(re2.PatternError):
        taken, allowed = looks(pattern, text)
        assert taken <= allowed
