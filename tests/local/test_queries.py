"""jsonpath and jq outputs. Expected texts come from kubectl's and gojq's own libraries."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local.queries import QueryError, jq, jsonpath

REASON = '[.status.conditions[]|select((.type=="Completed" or .type=="Failed") and .status=="True")|.reason]|first'
CAUSE = '[.status.conditions[]?|select(.type=="Failed" or .type=="FailureTarget")|.message]|first // ""'
VERDICT = (
    '([.status.conditions[]?|select(.type=="Failed" or .type=="FailureTarget")|.message]|first // "")'
    '|(capture("exit code (?<c>[0-9]+)").c // "")'
)
OBJECT: dict[str, object] = {
    "kind": "X",
    "metadata": {"name": "n", "labels": {"a.b/c": "d", "z": "q"}, "ownerReferences": [{"kind": "Workflow", "name": "w"}]},
    "data": {"k": "v\n", "b": "w"},
    "status": {
        "restarts": 2,
        "n": 1.5,
        "nul": None,
        "terminalState": "Failed",
        "conditions": [
            {"type": "FailureTarget", "message": "Container main failed with exit code 65 matching"},
            {"type": "Failed", "status": "True", "reason": "R", "n": 1.5},
            {"type": "Other", "n": 2.5},
        ],
        "l": ["c", "a", "b"],
    },
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.metadata.name}", "n"),
        (".metadata.name", ".metadata.name"),
        ("{.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}", "Workflow/w"),
        ("{.status.terminalState}", "Failed"),
        ("{.data.k}", "v\n"),
        ("{.data.none}", ""),
        ("{.data.none.deeper}", ""),
        ("{.metadata.labels}", '{"a.b/c":"d","z":"q"}'),
        ("{.metadata.labels.a\\.b/c}", "d"),
        ("{.metadata['name']}", "n"),
        ("{.status.conditions[*].type}", "FailureTarget Failed Other"),
        ("{.status.conditions[-1].type}", "Other"),
        ("{.status.conditions[0:2].type}", "FailureTarget Failed"),
        ('{.status.conditions[?(@.type=="Failed")].reason}', "R"),
        ("{.status.conditions[?(@.n>2.0)].type}", "Other"),
        ("{.status.conditions[?(@.reason)].type}", "Failed"),
        ('{.status.conditions[?(@.type=="Nope")].status}', ""),
        ('{range .status.conditions[*]}{.type}={.n}{"\\n"}{end}', "FailureTarget=\nFailed=1.5\nOther=2.5\n"),
        ("{range .status.nope[*]}x{end}y", "y"),
        ("{.status.l[0,2]}", "c b"),
        ("{.status.nul}", "null"),
        ("{.status.n}{.status.restarts}", "1.52"),
        ("{..name}", "n w"),
        ("a{.kind}b{ .kind }", "aXbX"),
        ("", ""),
    ],
)
def test_a_jsonpath_prints_what_kubectl_prints(template: str, text: str) -> None:
    assert jsonpath(template, OBJECT) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{.data[", "error parsing jsonpath {.data[, unterminated array"),
        ("{.kind", "error parsing jsonpath {.kind, unclosed action"),
        ("{.status.conditions[9]}", "array index out of bounds: index 9, length 3"),
        ("{.kind[0]}", "string is not array or slice"),
        ("{end}", "not in range, nothing to end"),
        ("{foo}", "unrecognized identifier foo"),
        ("{.status.l[x]}", "error parsing jsonpath {.status.l[x]}, invalid array index x"),
    ],
)
def test_a_bad_jsonpath_is_named(template: str, message: str) -> None:
    with pytest.raises(QueryError) as raised:
        jsonpath(template, OBJECT)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (".status.restarts // 0", "2"),
        (".status.restartsCountTowardsMax // 0", "0"),
        (REASON, "R"),
        (VERDICT, "65"),
        (CAUSE, "Container main failed with exit code 65 matching"),
        (".data", '{"b":"w","k":"v\\n"}'),
        (".data.k", "v"),
        (".data.none", "null"),
        (".data | keys[]", "b\nk"),
        (".metadata.labels | length", "2"),
        (".status.conditions | map(.type) | join(\",\")", "FailureTarget,Failed,Other"),
        ("[.status.conditions[] | select(.n > 2)] | length", "1"),
        (".status.l | sort | .[0]", "a"),
        (".status.l[1:]", '["a","b"]'),
        (".x.y.z", "null"),
        (".kind.x?", ""),
        ('"a\\(.kind)-\\(.status.restarts + 1)"', "aX-3"),
        ("{kind, n: .status.n}", '{"kind":"X","n":1.5}'),
        ("if .status.restarts > 1 then \"many\" elif .kind then \"few\" else \"none\" end", "many"),
        (".status.conditions[0] as $c | $c.type", "FailureTarget"),
        ('reduce .status.l[] as $x (""; . + $x)', "cab"),
        ('.status.conditions[0].message | test("exit code \\\\d+")', "true"),
        (".status | has(\"restarts\") and (has(\"x\") | not)", "true"),
        (".data | to_entries | map(.key) | join(\"-\")", "b-k"),
        ("[.status.conditions[].n] | add", "4"),
        ("10 / 4, 7 % 3, -1", "2.5\n1\n-1"),
        (".status.n | tostring | type", "string"),
        ("[.. | numbers]", "[1.5,2.5,1.5,2]"),
    ],
)  # fmt: skip
def test_a_jq_filter_gives_what_gojq_gives(expression: str, text: str) -> None:
    assert jq(expression, OBJECT) == text


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        (".data[", "unexpected EOF"),
        (".kind.x", 'expected an object but got: string ("X")'),
        (".kind[]", "cannot iterate over"),
        ("foo", "jq function foo/0"),
        ('.data | .k = "z"', "jq operator = is not supported locally"),
        ("def f: 1; f", "jq's def is not supported locally"),
        ("try error(1)", "jq's try is not supported locally"),
        ("$x", "variable not defined: $x"),
        ('error("no")', "error: no"),
        ('"a" | test("a"; "x")', 'unsupported regular expression flag: "x"'),
        ('1 | test("a")', 'test("a"; null) cannot be applied to: number (1)'),
        ('"a\\(', "unterminated"),
    ],
)
def test_what_jq_cannot_do_here_is_named(expression: str, part: str) -> None:
    with pytest.raises(QueryError, match=r".") as raised:
        jq(expression, OBJECT)
    assert part in str(raised.value)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ('"ab" | [match("(?<x>a)|(b)"; "g").captures[0].offset] | tojson', "[0,-1]"),
        ('"a1b22" | [splits("[0-9]+")] | join("-")', "a-b-"),
        ('"aB\\n" | gsub("(?<c>[a-z])."; "<\\(.c)>"; "im")', "<a>"),
        ('"ab" | sub("(?<c>z)?b"; .c)', "a"),
        ('"ab" | [scan("(a)|(b)")] | tojson', '[["a",null],[null,"b"]]'),
    ],
)
def test_patterns_of_jq_are_those_of_go(expression: str, text: str) -> None:
    assert jq(expression, OBJECT).strip() == text


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=".[]|,(){}\"'?*:@=<>/ab01 \\") | st.text())
def test_any_text_gives_a_text_or_an_error_of_ours(text: str) -> None:
    for query in (jsonpath, jq):
        with suppress(QueryError):
            assert isinstance(query(text, OBJECT), str)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        *[("error(empty)", ""), ("limit(empty; .)", ""), ('"aXb" | gsub(empty; "y")', ""), ('"a" | [match("a"; empty)] | length', "0")],
        *[('"ab" | sub("a", "b"; "c")', "cb\nac"), ('[limit(1, 2; 5, 6)] | join("")', "556")],
    ],
)
def test_an_argument_of_jq_may_have_no_value_or_several(expression: str, text: str) -> None:
    assert jq(expression, OBJECT) == text
