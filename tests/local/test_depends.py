"""`depends` and `dependencies`: which tasks, and when they let the next one start."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local import depends


def results(**phases: str) -> dict[str, dict[str, bool]]:
    return {name.replace("_", "-"): {result: result == phase for result in depends.RESULTS} for name, phase in phases.items()}


@pytest.mark.parametrize(
    ("text", "phases", "expected"),
    [
        ("a", {"a": "Succeeded"}, True),
        ("a", {"a": "Skipped"}, True),
        ("a", {"a": "Daemoned"}, True),
        ("a", {"a": "Omitted"}, False),
        ("a", {"a": "Failed"}, False),
        ("a.Failed", {"a": "Failed"}, True),
        ("!a.Succeeded", {"a": "Errored"}, True),
        ("a && !b", {"a": "Succeeded", "b": "Failed"}, True),
        ("a.Succeeded || b.Succeeded && b.Failed", {"a": "Succeeded", "b": "Skipped"}, True),
        ("(a.Succeeded || b.Succeeded) && b.Failed", {"a": "Succeeded", "b": "Skipped"}, False),
        ("!(a.Succeeded && b.Failed)", {"a": "Succeeded", "b": "Failed"}, False),
        ("!a.Succeeded && b.Failed || a.Succeeded", {"a": "Succeeded", "b": "Skipped"}, True),
        ("a-b-2.AnySucceeded", {"a_b_2": "AnySucceeded"}, True),
        ("l.AllFailed || l.AnySucceeded", {"l": "Skipped"}, False),
        ("", {}, True),
    ],
)
def test_a_condition_holds_as_on_a_cluster(text: str, phases: dict[str, str], expected: bool) -> None:
    assert depends.parse(text).holds(results(**phases)) is expected


def test_the_tasks_are_known_in_order_and_the_loops_among_them() -> None:
    parsed = depends.parse("(b-1.AnySucceeded || a) && !c.Skipped && a")
    assert parsed.names == ("b-1", "a", "c")
    assert parsed.tasks == {"b-1", "a", "c"}
    assert parsed.loops == {"b-1"}


def test_an_underscore_is_no_part_of_a_name() -> None:
    assert depends.parse("my_task").names == ("my", "task")


def test_dependencies_are_joined_by_and() -> None:
    both = depends.from_dependencies(["a-b", "c"])
    assert both.tasks == {"a-b", "c"}
    assert both.holds(results(a_b="Succeeded", c="Skipped"))
    assert not both.holds(results(a_b="Succeeded", c="Omitted"))


def test_continue_on_forgives_a_dependency() -> None:
    forgiving = depends.from_dependencies(["a"], {"a": ("Failed",)})
    assert forgiving.holds(results(a="Failed"))
    assert not forgiving.holds(results(a="Errored"))


def test_an_unknown_result_is_refused_at_once() -> None:
    with pytest.raises(depends.DependsError, match="task result 'Done' for task 'a' is invalid"):
        depends.parse("a.Done")


def test_bad_syntax_is_found_when_it_is_evaluated() -> None:
    broken = depends.parse("a &&")
    with pytest.raises(depends.DependsError) as raised:
        broken.holds(results(a="Succeeded"))
    logic = "(a.Succeeded || a.Skipped || a.Daemoned) &&"
    expected = f"unable to evaluate expression '{logic}': unexpected token EOF (1:43)\n | {logic}\n | {'.' * 42}^"
    assert str(raised.value) == expected


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab.-_ &|!()Succeeded") | st.text())
def test_any_text_gives_an_answer_or_an_error_of_ours(text: str) -> None:
    try:
        parsed = depends.parse(text)
        assert parsed.holds({name: dict.fromkeys(depends.RESULTS, True) for name in parsed.names}) in (True, False)
    except depends.DependsError:
        pass
