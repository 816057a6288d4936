"""`when`: outputs of govaluate itself (tests/argo/vectors/when.json), recorded messages, and texts of any kind."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local.when import WhenError, holds

VECTORS = json.loads((Path(__file__).parents[1] / "argo/vectors/when.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["when"])
def test_the_result_is_govaluates(vector: dict[str, str]) -> None:
    if vector["result"] != "error":
        assert holds(vector["when"]) is (vector["result"] == "true")
        return
    with pytest.raises(WhenError) as raised:
        holds(vector["when"])
    assert vector["err"].split(". Got ")[-1].strip() in str(raised.value)


INVALID, PARSE, EVALUATE = "Invalid 'when' expression", "Failed to parse 'when' expression", "Failed to evaluate 'when' expresion"


@pytest.mark.parametrize(
    ("when", "step", "reason"),
    [
        ("us-east == us-east", EVALUATE, "Value 'us' cannot be used with the modifier '-', it is not a number"),
        (" ", INVALID, "Unexpected end of expression"),
        ("/a/b == /a/b", INVALID, "Cannot transition token types from UNKNOWN [<nil>] to MODIFIER [/]"),
        ("a = a", INVALID, "Invalid token: '=' (hint: try wrapping the affected expression in quotes (\"))"),
        ("a in ()", EVALUATE, "Value '<nil>' cannot be used with the comparator 'in', it is not a number"),
        ("a in (a)", EVALUATE, "Value 'a' cannot be used with the comparator 'in', it is not a number"),
        ("'x' =~ '['", INVALID, "error parsing regexp: missing closing ]: `[`"),
        ("v1.2.3 == v1.2.3", EVALUATE, "No parameter 'v1' found."),
        ("(1 == 1", INVALID, "Unbalanced parenthesis"),
        ("'it's' == 'it's'", INVALID, "Cannot transition token types from STRING [it] to VARIABLE [s]"),
        ("-a == b", PARSE, "Cannot transition token types from PREFIX [-] to STRING [a]"),
    ],
)
def test_an_error_is_worded_as_on_a_cluster(when: str, step: str, reason: str) -> None:
    with pytest.raises(WhenError) as raised:
        holds(when)
    assert str(raised.value) == f"{step} '{when}': {reason}"


@pytest.mark.parametrize(("when", "got"), [("1 + 1", "2"), ("'true'", "true"), ("a:b == a:b", "a")])
def test_what_is_no_boolean_is_shown(when: str, got: str) -> None:
    with pytest.raises(WhenError) as raised:
        holds(when)
    assert str(raised.value) == f"Expected boolean evaluation for '{when}'. Got {got}"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("10 - 4 - 3 == 3", True),  # equal precedence goes from the left
        ("2 ** 3 ** 2 == 64", True),
        ("'2026-11-21' == '2026-11-21T00:00:00Z'", True),  # quoted dates are numbers of seconds
        ("'3:04PM' < '3:05PM'", True),
        ("0x10 == 16", True),
        ("007 == 7", True),
        ("'9' < '10'", False),
        ("'2' in (1, 2, 3)", False),
        ("True == true", False),
        ("(true)(false)", True),  # what follows a complete expression is ignored
        ("'ab\n' =~ 'b$'", False),  # Go's $ is the end of the text
        ("'Ab' =~ '(?i)^ab$'", True),
        ("1 > 0 ? true : false", True),
        ("(a ?? b) == a", True),
    ],
)
def test_more_of_govaluates_ways(when: str, expected: bool) -> None:
    assert holds(when) is expected


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab1 .'\"()[]=!<>&|?:,-+*/%^~\\_{}x0é\n") | st.text())
def test_any_text_gives_a_boolean_or_an_error_of_ours(text: str) -> None:
    with suppress(WhenError):
        assert holds(text) in (True, False)
