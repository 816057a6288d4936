"""YAML and JSON as Go reads and writes them."""

import pytest

from pipelines.local import documents, durations, gojson
from pipelines.local.faults import Refused
from pipelines.local.nodes import fnv1a


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("2e-5", 2e-5),
        ("y", True),
        ("off", False),
        ("0o17", 15),
        ("017", 15),
        ("0x1F", 31),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
    ],
)
def test_plain_scalars_are_what_go_makes_of_them(text: str, value: object) -> None:
    assert documents.parse(f"kind: K\nv: {text}\n", "f")[0]["v"] == value


def test_keys_are_text_for_json_has_no_others() -> None:
    assert documents.parse("{kind: K, y: 1, off: 2, 7: 3, 1e3: 4, 1.5: 5}", "f") == [
        {"kind": "K", "true": 1, "false": 2, "7": 3, "1000": 4, "1.5": 5}
    ]
    with pytest.raises(Refused, match="f:1: not YAML: a key that is null"):
        documents.parse("{kind: K, ~: 1}", "f")


@pytest.mark.parametrize(
    ("value", "text"), [(1.5, "1.5"), (1e3, "1000"), (12345678901234567890, "12345678901234567000"), (-0.0, "-0"), (1e-7, "0.0000001")]
)
def test_numbers_become_text_through_float64(value: float, text: str) -> None:
    assert gojson.number(value) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("red", "invalid character 'r' looking for beginning of value"),
        ("two", "invalid character 'w' in literal true (expecting 'r')"),
        ("[broken", "invalid character 'b' looking for beginning of value"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ("1 2", "invalid character '2' after top-level value"),
        ("[1,", "unexpected end of JSON input"),
        ("", "unexpected end of JSON input"),
        ('{"a": [1, 2.50, "x"]}', ""),
    ],
)
def test_json_errors_are_worded_as_go_words_them(text: str, problem: str) -> None:
    assert gojson.error(text) == problem


def test_elements_and_members_keep_their_spelling() -> None:
    assert gojson.elements('[1.50, {"b":1} ,"\\u00e9"]') == ["1.50", '{"b":1}', '"\\u00e9"']
    assert gojson.members('{"a": 1e3, "b" : [ 1 ]}') == {"a": "1e3", "b": "[ 1 ]"}
    assert gojson.compact('[ "a < b", 1.50 ]') == '["a \\u003c b",1.50]'


@pytest.mark.parametrize(("text", "seconds"), [("1h30m", 5400), ("500ms", 0.5), ("1.5s", 1.5), ("0", 0), ("-2m", -120)])
def test_go_durations_are_read(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(("text", "problem"), [("3d", "unknown unit"), ("soon", "invalid"), ("10", "missing unit"), ("", "invalid")])
def test_what_is_no_duration_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        durations.parse(text)


def test_node_ids_end_in_a_hash_of_the_name() -> None:
    assert fnv1a("001-dag-diamond.a") == 721824409


def test_the_line_of_a_field_is_found_in_the_right_document() -> None:
    text = "kind: A\n---\nkind: B\nspec:\n  templates:\n  - name: x\n    daemon: true\n"
    assert documents.line(text, 1, ("spec", "templates", 0, "daemon")) == 7
    assert documents.line(text, 1, ("spec", "nowhere")) == 4
