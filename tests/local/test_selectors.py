"""Conditions of resource steps, against what Kubernetes' own selector and gjson said (tests/argo/vectors/resource_conditions.txt)."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local import selectors

OBJECTS: dict[str, object] = {
    "done": {"status": {"terminalState": "Completed", "restarts": 0, "conditions": [{"type": "StartupPolicyInProgress"}]}},
    "running": {"status": {"restarts": 0}},
    "nostatus": {"metadata": {"name": "x"}},
    "failed": {"status": {"terminalState": "Failed", "restarts": 3}},
}
LINES = (Path(__file__).parents[1] / "argo/vectors/resource_conditions.txt").read_text().splitlines()
MATCHES = [
    found.groups() for line in LINES if (found := re.fullmatch(r"(.*?)\s+(done|running|nostatus|failed)\s+AND=(\w+) OR=(\w+)", line))
]
ERRORS = sorted({found.groups() for line in LINES if (found := re.fullmatch(r"(.*?)\s+PARSE-ERR (.*)", line))})


def test_every_line_of_the_vectors_is_used() -> None:
    assert len(MATCHES) + sum("PARSE-ERR" in line for line in LINES) == len(LINES) > 50


@pytest.mark.parametrize(("condition", "name", "every", "some"), MATCHES)
def test_a_condition_matches_as_in_kubernetes(condition: str, name: str, every: str, some: str) -> None:
    assert selectors.matches(condition, OBJECTS[name]) is (every == "true")
    assert (selectors.first_match(condition, OBJECTS[name]) is not None) is (some == "true")


@pytest.mark.parametrize(("condition", "message"), ERRORS)
def test_a_bad_condition_is_worded_as_in_kubernetes(condition: str, message: str) -> None:
    with pytest.raises(selectors.SelectorError) as raised:
        selectors.matches(condition, {})
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("when it is done", "unable to parse requirement: found 'it', expected: in, notin, =, ==, !=, gt, lt"),
        ("data.k === x", "unable to parse requirement: found '=', expected: identifier"),
        ("a in x", "unable to parse requirement: found 'x' expected: '('"),
        ("a,", "found '', expected: identifier after ','"),
        ("a > b", "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer"),
    ],
)
def test_more_bad_conditions(condition: str, message: str) -> None:
    with pytest.raises(selectors.SelectorError) as raised:
        selectors.matches(condition, {})
    assert str(raised.value) == message


def test_the_failing_part_is_shown_as_argo_prints_it() -> None:
    assert selectors.first_match("status.failed > 0", {"status": {"failed": 1}}) == "{status.failed gt [0]}"
    assert selectors.first_match("status.terminalState == Failed", OBJECTS["failed"]) == "{status.terminalState == [Failed]}"


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [("a = 1.5", 1.5, True), ("a = 3", 3.0, True), ("a = true", True, True), ("a", None, True), ("a = ", None, True), ("!a", None, False)],
)
def test_values_are_compared_as_text(condition: str, value: object, expected: bool) -> None:
    assert selectors.matches(condition, {"a": value}) is expected


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab.0/=!<>(), in#") | st.text(), st.sampled_from(list(OBJECTS)))
def test_any_text_gives_an_answer_or_an_error_of_ours(text: str, name: str) -> None:
    with suppress(selectors.SelectorError):
        assert selectors.matches(text, OBJECTS[name]) in (True, False)
