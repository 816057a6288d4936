"""Expressions: outputs of expr-lang itself (tests/argo/vectors/expr.json), what a controller printed, and texts of any kind."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local import expressions, golang

VECTORS = json.loads((Path(__file__).parents[1] / "argo/vectors/expr.json").read_text())
SCOPE: dict[str, object] = {
    "inputs": {
        "parameters": {
            **{"n": "3", "my-param": "hy", "score": "0.912", "flag": "true", "empty": "", "list": "[1,2,3]"},
            **{"obj": '{"a":{"b":"x"},"n":1}'},
        }
    },
    "workflow": {"parameters": {"env": "prod", "threshold": "0.9"}, "status": "Succeeded"},
    "tasks": {
        "skip": {"outputs": {"parameters": {"x": None}}},
        "train": {"outputs": {"parameters": {"acc": "0.91"}}},
        "my-task": {"status": "Failed"},
    },
    "item": "foo",
    "lastRetry": {"exitCode": "137", "status": "Failed", "duration": "12.5", "message": "oops"},
}


def plain(value: object) -> object:
    """What a process sees in the place of a tag."""
    return json.loads(f'"{expressions.render(value)}"')


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["expr"])
def test_the_result_is_expr_langs(vector: dict[str, str]) -> None:
    if "err" not in vector:
        assert expressions.render(expressions.evaluate(vector["expr"], SCOPE)) == vector["out"]
    elif vector["err"] == "nil result":
        assert expressions.evaluate(vector["expr"], SCOPE) is None
    else:
        with pytest.raises(expressions.ExpressionError) as raised:
            expressions.evaluate(vector["expr"], SCOPE)
        assert str(raised.value) == vector["err"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("split(trim(' Alpha,Beta '), ',')", '["Alpha","Beta"]'),
        ("' Alpha,Beta '[1:4]", "Alp"),
        ("len('漢字')", "2"),
        ("lastIndexOf('aXbX', 'X')", "3"),
        ("toBase64('hi') + fromBase64('aGk=')", "aGk=hi"),
        ('fromJSON(\'{"b":[1,2.5,"x\\\\"y"]}\')', '{"b":[1,2.5,"x\\"y"]}'),
        ("toJSON({'b': [1], 'n': nil})", '{\n  "b": [\n    1\n  ],\n  "n": null\n}'),
        ("map([1,2,3], # * 2)", "[2,4,6]"),
        ("reduce([1,2,3], #acc + #)", "6"),
        ("sort([3,1,2])", "[1,2,3]"),
        ("reverse(['a','b'])", '["b","a"]'),
        ("uniq([1,1])", "[1]"),
        ("flatten([[1],[2]])", "[1,2]"),
        ("count([1,2], # > 1)", "1"),
        ("sortBy([{'a': 2}, {'a': 1}], .a)", '[{"a":1},{"a":2}]'),
        ("filter(1..9, # % 4 == 0 or # == 9)", "[4,8,9]"),
        ("let x = 2; let y = 3; x * y", "6"),
        ("if item == 'foo' { 1 } else { 2 }", "1"),
        ("item | upper() | trimPrefix('F')", "OO"),
        ("1000000 * 1000000", "1000000000000"),
        ("round(2.5) + ceil(2.1) + int(3.9)", "9"),
        ("asInt('-5') + asFloat('1e3')", "995"),
        ("string(4.0)", "4"),
        ("string([1, true, nil])", "[1 true <nil>]"),
        ("{'k': 20} | string()", "map[k:20]"),
        ("not ('x' in ['a'])", "true"),
        ("'x' not in ['a']", "true"),
        ("1 < 2 < 3", "true"),
        ("inputs.parameters[item] ?? 'none'", "none"),
        ("$env['item']", "foo"),
        ("`raw \\n`", "raw \\n"),
        ("'\\u00e9\\x41'", "éA"),
        ("date('2026-11-21').Format('02 Jan 2006')", "21 Nov 2026"),
        ("date('2026-11-21') + duration('36h')", "2026-11-22T12:00:00Z"),
        ("(date('2026-11-21') - date('2026-11-20')).Hours()", "24"),
        ("string(duration('90m'))", "1h30m0s"),
        ("date('2026-11-21').Month()", "11"),
        ('jsonpath(\'{"a":[{"n":1},{"n":2}]}\', \'$.a[*].n\')', "[1,2]"),
        ("jsonpath('{\"a\":{\"b\":[1,2]}}', '$.a.b[-1]') + 1", "3"),
        ("sprig.fromJson(inputs.parameters.obj).a.b | len()", "1"),
        ("sprig.default('d', '') + sprig.trunc(3, 'abcdef')", "dabc"),
        ("sprig.sha256sum('')[0:8]", "e3b0c442"),
        ("sprig.b64dec(sprig.b64enc('hi'))", "hi"),
        ("sprig.add(1, '2', 3.9)", "6"),
        ("sprig.div(7, -2)", "-3"),
        ("sprig.join('-', ['a', 1])", "a-1"),
        ("sprig.ternary('y', 'n', true)", "y"),
        ("sprig.dict('a', 1, 'b', 2)", '{"a":1,"b":2}'),
        ("sprig.regexReplaceAll('a(x*)b', '-ab-axxb-', '${1}W')", "-W-xxW-"),
        ("sprig.regexMatch('^[a-z]+$', 'abc\\n')", "false"),
        ("sprig.regexMatch('(', 'abc')", "false"),
        ("sprig.regexFindAll('x', 'abc', -1)", "null"),
        ("sprig.join('|', sprig.regexSplit('a*', 'baac', -1))", "b|c"),
        ("repeat('a', 100) + 'b' matches '^(a+)+$'", "false"),
        ("sprig.coalesce('', nil, 'c')", "c"),
        ("sprig.nindent(2, 'a\\nb')", "\n  a\n  b"),
        ("sprig.sortAlpha(['b', 'a'])", '["a","b"]'),
        ("sprig.quote('a', 1)", '"a" "1"'),
        ("sprig.date('2006-01-02', date('2026-11-21'))", "2026-11-21"),
    ],
)
def test_functions_and_operators(source: str, text: str) -> None:
    assert plain(expressions.evaluate(source, SCOPE)) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("item + 1", "invalid operation: + (mismatched types string and int) (1:6)\n | item + 1\n | .....^"),
        ("1 +", "unexpected token EOF (1:3)\n | 1 +\n | ..^"),
        ("workflow.parameters.", "unexpected end of expression (1:20)\n | workflow.parameters.\n | ...................^"),
        ("lastRetry.exitCode < 5", "invalid operation: string < int (1:20)\n | lastRetry.exitCode < 5\n | ...................^"),
        ("map([1], {'k': #})", "unexpected token Operator(\":\") (1:14)\n | map([1], {'k': #})\n | .............^"),
        ("tasks.nope.a", "cannot fetch a from <nil> (1:12)\n | tasks.nope.a\n | ...........^"),
        ("'abc'[9]", "type string[int] is undefined (1:6)\n | 'abc'[9]\n | .....^"),
        ("[1][9]", "index out of range: 9 (array length is 1) (1:4)\n | [1][9]\n | ...^"),
        ("a\n@ b", "unrecognized character: U+0040 '@' (2:1)\n | @ b\n | ^"),
        ("'open", "literal not terminated (1:6)\n | 'open\n | .....^"),
        ("1 ?? 2 + 3", "Operator (+) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses. (1:8)"),
        ("len(5)", "invalid argument for len (type int) (1:1)"),
        ("upper()", "not enough arguments to call upper (1:1)"),
        ("true ? 1", "unexpected token EOF (1:8)"),
        ("'a' matches '['", "error parsing regexp: missing closing ]: `[` (1:5)"),
        ("sprig.mustRegexFind('(', 'a')", "error parsing regexp: missing closing ): `(` (1:7)"),
        ("sprig.regexFind('(', 'a')", "regexp: Compile(`(`): error parsing regexp: missing closing ): `(` (1:7)"),
        ("repeat('x', 2000000)", "memory budget exceeded (1:1)"),
        ("any(1..2000000, true)", "memory budget exceeded (1:6)"),
        ("sprig.fail('stop')", "stop (1:7)"),
        ("asInt('0.9')", "invalid operation: int(0.9) (1:1)"),
    ],
)
def test_an_error_is_worded_and_placed_as_on_a_cluster(source: str, message: str) -> None:
    with pytest.raises(expressions.ExpressionError) as raised:
        expressions.evaluate(source, SCOPE)
    assert str(raised.value).startswith(message)


def test_a_function_that_only_a_cluster_has_says_so() -> None:
    with pytest.raises(expressions.UnsupportedFunction, match=r"sprig\.uuidv4 is not supported locally"):
        expressions.evaluate("sprig.uuidv4()", {})


def test_environment_variables_are_out_of_reach() -> None:
    assert not expressions.has({}, "sprig.env")
    assert expressions.has({}, "sprig.trim")


def test_the_less_specific_name_is_dropped() -> None:
    flat = {"a": "1", "a.b": "2", "a.c.d": "3", "a-b": "4", "w.parameters": "[]", "w.parameters.json": "[]"}
    assert expressions.expand(flat) == {"a": {"b": "2", "c": {"d": "3"}}, "a-b": "4", "w": {"parameters": {"json": "[]"}}}


@pytest.mark.parametrize(
    ("source", "mentioned"),
    [
        ("asInt(inputs.parameters.n) + 1", {"asInt", "inputs.parameters.n"}),
        ("tasks['my-task'].outputs?.result ?? item", {"tasks.my-task.outputs", "item"}),
        ("inputs.parameters[item]", {"inputs.parameters", "item"}),
        ("1 + 2", set()),
    ],
)
def test_the_names_of_an_expression(source: str, mentioned: set[str]) -> None:
    assert expressions.names(source) == mentioned


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("tasks.p.outputs.result", ["tasks", "tasks.p", "tasks.p.outputs", "tasks.p.outputs.result"]),
        ("tasks.p.outputs?.result ?? 'x'", ["tasks"]),
        ("tasks.p.outputs?.result", ["tasks", "tasks.p"]),
        ("tasks.a-b.status", ["tasks", "tasks.a", "b"]),
    ],
)
def test_guarded_names_need_not_exist(source: str, needed: list[str]) -> None:
    assert expressions.required(source)[: len(needed)] == needed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(1e21, "1e+21"), (100000000000000000000.0, "100000000000000000000"), (1e-7, "1e-7")],
        *[(0.1 + 0.2, "0.30000000000000004"), (-0.0, "-0"), (5.0, "5")],
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert golang.marshal(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1e6, "1e+06"), (123456.5, "123456.5"), (1e-5, "1e-05"), (float("nan"), "NaN"), (None, "<nil>")]
)
def test_numbers_in_messages_are_written_as_go_prints_them(value: object, text: str) -> None:
    assert golang.sprint(value) == text


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab1 .'\"()[]{}#!=<>&|?:,;-+*/%^~\\_@é\n") | st.text())
def test_any_text_gives_a_value_or_an_error_of_ours(source: str) -> None:
    with suppress(expressions.ExpressionError):
        expressions.render(expressions.evaluate(source, {"a": "x", "b": {"c": None}}))
        assert isinstance(expressions.names(source), set)


OPERANDS = st.sampled_from(["a", "b.c", "1", "2.5", "'x'", "nil", "true", "[1,'y']", "{'k': 1}", "1..3", "date('2026-11-21')"])
OPERATORS = st.sampled_from(["+", "-", "*", "/", "%", "**", "==", "<", "in", "..", "??", "and", "contains"])
CALLS = st.sampled_from(
    ["len", "string", "sort", "map", "filter", "join", "keys", "sprig.trim", "sprig.first", "asInt", "toJson", "max", "reduce"]
)


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operations = st.builds("({} {} {})".format, inner, OPERATORS, inner)
    calls = st.builds("{}({})".format, CALLS, inner) | st.builds("{}({}, #)".format, CALLS, inner)
    return operations | calls | st.builds("{}[{}]".format, inner, inner)


@settings(max_examples=100, deadline=None)
@given(st.recursive(OPERANDS, compound, max_leaves=6))
def test_any_expression_gives_a_value_or_an_error_of_ours(source: str) -> None:
    with suppress(expressions.ExpressionError):
        expressions.render(expressions.evaluate(source, {"a": "x", "b": {"c": None}}))


@pytest.mark.parametrize(
    ("places", "of", "text"), [("0", "2.5", "3"), ("0", "-2.4", "-3"), ("1", "'0.25'", "0.3"), ("-2", "1250", "1300"), ("2", "1.005", "1")]
)
def test_sprig_rounds_up_from_a_half_and_down_below_it(places: str, of: str, text: str) -> None:
    assert plain(expressions.evaluate(f"sprig.round({of}, {places})", {})) == text


@pytest.mark.parametrize(
    "source", ["sprig.round(1, 9223372036854775807)", "sprig.indent(9223372036854775807, 'x')", "sprig.until(1 << 62)"]
)
def test_a_number_that_is_too_large_is_an_error_and_no_hang(source: str) -> None:
    with pytest.raises(expressions.ExpressionError):
        expressions.render(expressions.evaluate(source, {}))
