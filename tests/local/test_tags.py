"""Tags: what is replaced, what stays, what is an error. The cases are behaviours recorded on a controller (Argo 4.1.2)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local import expressions, tags

LEAVES = st.none() | st.booleans() | st.integers() | st.text()
FAST = settings(max_examples=100, deadline=None)
SCOPE: dict[str, object] = {
    "workflow.name": "w",
    "inputs.parameters.x": "7",
    "inputs.parameters.which": "x",
    "inputs.parameters.quote": 'a"b\\c\nd',
    "item": "k",
    "tasks.p.outputs.parameters.o": tags.ABSENT,
    "tasks.p.status": "Skipped",
    "workflow.parameters": '[{"name":"x","value":"7"}]',
    "workflow.parameters.x": "7",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("no tag", []),
        ("a {{b}} c {{ d }}{{=1 + 1}}", ["b", " d ", "=1 + 1"]),
        ("{{=toJson({'a': {'b': 1}})}}", ["=toJson({'a': {'b': 1"]),
        ("{{{x}}}", ["{x"]),
        ("{{a.{{b}}}}", ["a.{{b"]),
    ],
)
def test_the_first_closing_braces_end_a_tag(text: str, found: list[str]) -> None:
    assert tags.find(text) == found


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("{{workflow.name}}", "w"),
        ("{{ workflow.name }}{{  item}}", "wk"),
        ("{{inputs.parameters.{{inputs.parameters.which}}}}", "{{inputs.parameters.x}}"),
        ("{{inputs.parameters.quote}}", 'a"b\\c\nd'),
        ("{{{item}}}", "{{{item}}}"),
        ("{{ =item }}", "{{ =item }}"),
        ("{{foo.bar}} {{ .Values.x }} {{=foo.bar}}", "{{foo.bar}} {{ .Values.x }} {{=foo.bar}}"),
        ("{{=1 + 1}}{{= item }}", "2k"),
        ("{{='<&>'}}{{=toJson([1,'x'])}}", '<&>[1,"x"]'),
        ("{{='pre' + item + \"post\"}}", "prekpost"),
        ("{{=tasks.p.outputs.parameters.o ?? 'alt'}}", "alt"),
        ("{{=tasks.p.outputs?.result ?? 'none'}}", "none"),
        ("{{=inputs.parameters.a-b}}", "{{=inputs.parameters.a-b}}"),
        ("{{=sprig.env('HOME')}}", "{{=sprig.env('HOME')}}"),
        ("{{workflow.parameters}} {{=workflow.parameters.x}}", '[{"name":"x","value":"7"}] 7'),
        ("{{=lastRetry.exitCode == '1'}}", "{{=lastRetry.exitCode == '1'}}"),
    ],
)
def test_known_tags_are_replaced_and_unknown_ones_stay(text: str, replaced: str) -> None:
    assert tags.substitute(text, SCOPE) == replaced


def test_a_tag_inside_a_tag_needs_a_second_pass() -> None:
    once = tags.substitute("{{inputs.parameters.{{inputs.parameters.which}}}}", SCOPE)
    assert tags.substitute(once, SCOPE) == "7"


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("{{tasks.q.outputs.result}}", "tasks.q.outputs.result"),
        ("{{=tasks.q.outputs.result}}", "tasks.q"),
        ("{{=tasks.p.status == 'Succeeded' ? tasks.p.outputs.result : 'none'}}", "tasks.p.outputs"),
        ("{{=tasks.a-b.outputs.result}}", "tasks.a"),
    ],
)
def test_a_strict_name_without_a_value_is_unresolved(text: str, tag: str) -> None:
    with pytest.raises(tags.UnresolvedTag) as raised:
        tags.substitute(text, SCOPE, strict=("tasks.", "steps"))
    assert raised.value.tag.startswith(tag)


def test_strict_means_a_whole_segment_and_never_artifacts() -> None:
    text = "{{tasksX.a}} {{tasks.a.outputs.artifacts.m}}"
    assert tags.substitute(text, SCOPE, strict=("tasks",)) == text


def test_an_absent_output_in_a_text_is_an_error() -> None:
    with pytest.raises(tags.AbsentOutput) as raised:
        tags.substitute("[{{tasks.p.outputs.parameters.o}}]", SCOPE)
    expected = "unable to substitute {{tasks.p.outputs.parameters.o}}: output is an absent optional (skipped/omitted node with no default)"
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{=tasks.p.outputs.parameters.o}}", 'failed to evaluate expression "tasks.p.outputs.parameters.o"'),
        ("{{=asInt('seven')}}", "failed to evaluate expression: invalid operation: int(seven) (1:1)"),
        ("{{=item + 1}}", "failed to evaluate expression: invalid operation: + (mismatched types string and int) (1:6)"),
        ("{{=toJson({'a': {'b': 1}})}}", "failed to evaluate expression: unexpected token EOF (1:20)"),
        ("{{=tasks.q.outputs?.result ?? 'x'}}", "failed to evaluate expression: cannot fetch outputs from <nil> (1:9)"),
        ("{{=1 +}}", "failed to evaluate expression: unexpected token EOF (1:3)"),
        ("{{=sprig.genCA('a', 1)}}", "sprig.genCA is not supported locally"),
    ],
)
def test_an_expression_that_fails_in_an_argument_is_an_error(text: str, message: str) -> None:
    with pytest.raises(expressions.ExpressionError) as raised:
        tags.substitute_json({"value": text}, SCOPE, tolerant=False)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("text", ["{{=asInt('seven')}}", "{{=groupBy([1,2,3], # % 2)}}", "{{=jsonpath('{\"a\":1}', '$.zz')}}", "{{=nil}}"])
def test_a_pod_template_keeps_an_expression_that_fails(text: str) -> None:
    assert tags.substitute_json([text], SCOPE, tolerant=True) == [text]


@pytest.mark.parametrize("text", ["{{=1 +}}", "{{=sprig.genCA('a', 1)}}"])
def test_a_pod_template_tolerates_neither_bad_syntax_nor_what_only_a_cluster_knows(text: str) -> None:
    with pytest.raises(expressions.ExpressionError):
        tags.substitute_json([text], SCOPE, tolerant=True)


def test_keys_and_nested_values_are_replaced_and_others_keep_their_type() -> None:
    body = {"{{item}}": [{"v": "{{item}}", "n": 1, "b": True, "z": None, "f": 1.5}]}
    assert tags.substitute_json(body, SCOPE, tolerant=True) == {"k": [{"v": "k", "n": 1, "b": True, "z": None, "f": 1.5}]}


def test_braces_of_two_texts_pair_up_because_the_whole_json_is_one_text() -> None:
    body = {"args": ["{{inputs", "a }} b", "{{workflow.name}}"]}
    assert tags.substitute_json(body, SCOPE, tolerant=True)["args"] == ["{{inputs", "a }} b", "w"]
    assert tags.find('["{{inputs","a }} b"]') == ['inputs","a ']


@pytest.mark.parametrize("value", ["\a", "\x1b[31m", "\x7f"])
def test_a_control_character_in_a_value_breaks_the_json(value: str) -> None:
    with pytest.raises(tags.TagError, match="cannot finish template replacement because the result was invalid JSON"):
        tags.substitute_json({"v": "{{x}}"}, {"x": value}, tolerant=True)


def test_an_opening_without_an_end_is_named() -> None:
    with pytest.raises(tags.TagError, match="Cannot find end tag"):
        tags.substitute("a {{b", SCOPE)


@FAST
@given(st.text(), st.dictionaries(st.sampled_from(["a", "item", "tasks.x", "b c"]), st.text() | st.none(), max_size=3))
def test_any_text_gives_a_text_or_an_error_of_ours(text: str, scope: dict[str, object]) -> None:
    for tolerant in (True, False):
        try:
            tags.find(text)
            assert isinstance(tags.substitute(text, scope, strict=("tasks",), tolerant=tolerant), str)
        except (tags.TagError, expressions.ExpressionError):
            pass


@FAST
@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]) | st.just(" ")))
def test_a_printable_value_arrives_unchanged(value: str) -> None:
    assert tags.substitute("<{{v}}>", {"v": value}) == f"<{value}>"


@FAST
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
)
def test_json_without_tags_is_returned_as_it_is(value: object) -> None:
    if "{{" not in json.dumps(value, ensure_ascii=False, separators=(",", ":")):
        assert tags.substitute_json(value, SCOPE, tolerant=False) is value
