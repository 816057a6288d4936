"""Hooks and exit handlers: when they run, what they may name, and what their failures change. More of it in tests/argo/control."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.local import golang, hooks
from tests.local.play import given, log, manifest, nodes, phases, play, sh

NOTHING = {"name": "nothing", "suspend": {"duration": "0"}}
SHOW = {"name": "show", "inputs": {"parameters": [{"name": "s"}]}, "suspend": {"duration": "0"}}


def dag(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": "main", "dag": {"tasks": list(tasks)}}


def steps(*groups: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": "main", "steps": list(groups)}


def hooked(**hooks: dict[str, Any]) -> dict[str, Any]:
    return {"name": "a", "template": "nothing", "hooks": hooks}


def when(expression: str, template: str = "nothing") -> dict[str, str]:
    return {"expression": expression, "template": template}


def shown(workflow: dict[str, Any], name: str) -> str:
    """What a hook got for its parameter `s`."""
    value: str = nodes(workflow)[name]["inputs"]["parameters"][0]["value"]
    return value


def test_a_hook_runs_when_its_expression_comes_true(tmp_path: Path) -> None:
    task = hooked(good=when("tasks.a.status == 'Succeeded'"), bad=when("tasks.a.status == 'Failed'"))
    workflow = play(tmp_path, manifest(dag(task), NOTHING))
    assert phases(workflow) == {"w": "Succeeded", "a": "Succeeded", "a.hooks.good": "Succeeded"}
    assert nodes(workflow)["a.hooks.good"]["nodeFlag"] == {"hooked": True}
    assert nodes(workflow)["a"]["children"] == [nodes(workflow)["a.hooks.good"]["id"]]


@pytest.mark.slow
def test_what_follows_a_process_waits_for_its_hooks(tmp_path: Path) -> None:
    task = hooked(good=when("tasks.a.status == 'Succeeded'", "slow")) | {"template": "ok"}
    after = {"name": "b", "template": "nothing", "depends": "a"}
    workflow = play(tmp_path, manifest(dag(task, after), NOTHING, {"name": "slow", "suspend": {"duration": "30"}}, sh("ok", "true")))
    assert nodes(workflow)["b"]["startedAt"] >= nodes(workflow)["a.hooks.good"]["finishedAt"]


@pytest.mark.slow
def test_a_hook_sees_a_process_that_runs(tmp_path: Path) -> None:
    tasks = [{"name": "a", "template": "ok", "hooks": {"on": when("tasks.a.status == 'Running'")}}]
    workflow = play(tmp_path, manifest(dag(*tasks), NOTHING, sh("ok", "true")))
    assert phases(workflow)["a.hooks.on"] == "Succeeded"


@pytest.mark.parametrize("make", [dag, lambda task: steps([task])], ids=["dag", "steps"])
def test_an_expression_that_cannot_be_judged_is_an_error_that_says_so(make: Any, tmp_path: Path) -> None:
    workflow = play(tmp_path, manifest(make(hooked(odd=when("workflow.b.x == 1"))), NOTHING))
    assert workflow["status"]["phase"] in ("Error", "Failed")
    assert "cannot fetch" in workflow["status"]["message"]


def test_a_bad_exit_hook_is_passed_over_in_a_dag_and_breaks_steps(tmp_path: Path) -> None:
    for make, phase in ((dag, "Succeeded"), (lambda task: steps([task]), "Error")):
        (tmp_path / phase).mkdir()
        workflow = play(tmp_path / phase, manifest(make(hooked(exit=when("nope.x.y == 1"))), NOTHING))
        assert workflow["status"]["phase"] == phase


def test_an_exit_hook_without_arguments_gets_those_of_the_workflow(tmp_path: Path) -> None:
    task = hooked(exit={"template": "show"})
    assert shown(play(tmp_path, manifest(dag(task), NOTHING, SHOW, arguments=given(s="all"))), "a.onExit") == "all"


def test_in_a_dag_an_exit_hook_of_a_loop_runs_for_each_member_and_later_for_the_group(tmp_path: Path) -> None:
    loop = {"name": "l", "template": "nothing", "withItems": ["p", "q"], "onExit": "nothing"}
    after = {"name": "b", "template": "ok", "depends": "l"}
    workflow = play(tmp_path, manifest(dag(loop, after), NOTHING, sh("ok", "true")))
    assert {n for n in phases(workflow) if n.endswith(".onExit")} == {"l(0:p).onExit", "l(1:q).onExit", "l.onExit"}


@pytest.mark.parametrize(("value", "got"), [("{{item}}", "p"), ("{{workflow.name}}", "w")])
def test_in_steps_a_hook_of_a_loop_may_name_the_item(value: str, got: str, tmp_path: Path) -> None:
    loop = {"name": "l", "template": "nothing", "withItems": ["p"], "hooks": {"exit": {"template": "show", "arguments": given(s=value)}}}
    assert shown(play(tmp_path, manifest(steps([loop]), NOTHING, SHOW)), "l(0:p).onExit") == got


def test_a_hook_of_a_loop_may_not_name_its_own_task(tmp_path: Path) -> None:
    hook = {"template": "show", "arguments": given(s="{{steps.l.status}}")}
    workflow = play(
        tmp_path, manifest(steps([{"name": "l", "template": "nothing", "withItems": ["p"], "hooks": {"exit": hook}}]), NOTHING, SHOW)
    )
    assert workflow["status"]["message"] == "failed to resolve {{steps.l.status}}"


def test_hooks_of_the_workflow_run_before_its_exit_handler(tmp_path: Path) -> None:
    ends = {"done": when("workflow.status == 'Succeeded'", "slow"), "exit": {"template": "nothing"}}
    workflow = play(tmp_path, manifest(dag(hooked()), NOTHING, {"name": "slow", "suspend": {"duration": "9"}}, hooks=ends))
    assert nodes(workflow)["w.onExit"]["startedAt"] >= nodes(workflow)["w.hooks.done"]["finishedAt"]


def test_a_hook_that_finds_no_room_is_an_error_as_on_argo(tmp_path: Path) -> None:
    task = hooked(on=when("tasks.a.status == 'Running'")) | {"template": "group"}
    group = {"name": "group", "steps": [[{"name": "x", "template": "slow"}]]}
    slow = {"name": "slow", "suspend": {"duration": "9"}}
    workflow = play(tmp_path, manifest(dag(task) | {"parallelism": 1}, group, slow, NOTHING))
    assert workflow["status"]["message"] == "error in entry template execution: Max parallelism reached"


@pytest.mark.slow
def test_a_retried_exit_hook_has_attempts(tmp_path: Path) -> None:
    flaky = sh("flaky", "[ {{retries}} = 1 ]", retryStrategy={"limit": 2})
    workflow = play(tmp_path, manifest(dag(hooked(exit={"template": "flaky"})), NOTHING, flaky))
    assert {n: p for n, p in phases(workflow).items() if "onExit" in n} == {
        "a.onExit": "Succeeded", "a.onExit(0)": "Failed", "a.onExit(1)": "Succeeded",
    }  # fmt: skip


@pytest.mark.slow
def test_a_process_that_outlives_its_workflow_is_waited_for_and_only_its_outputs_are_recorded(tmp_path: Path) -> None:
    group = {"name": "group", "steps": [[{"name": "p", "template": "nap"}]]}
    first = {**steps([{"name": "quick", "template": "bad"}, {"name": "long", "template": "group"}]), "failFast": True}
    workflow = play(tmp_path, manifest(first, group, sh("bad", "exit 1"), sh("nap", "sleep 1; echo slept")))
    node = nodes(workflow)["p"]
    assert (workflow["status"]["phase"], node["phase"], node["outputs"]) == ("Failed", "Running", {"exitCode": "0"})
    assert log(tmp_path, workflow, "p") == "slept\n"


@pytest.mark.parametrize(
    ("spec", "hook"),
    [
        ({}, None),
        ({"onExit": "a", "hooks": {"exit": {"template": "b"}}}, {"template": "a", "arguments": given(x="1")}),
        ({"hooks": {"exit": {"template": "b"}}}, {"template": "b", "arguments": given(x="1")}),
        ({"hooks": {"exit": {"template": "b", "arguments": given(y="2")}}}, {"template": "b", "arguments": given(y="2")}),
    ],
)
def test_which_hook_comes_at_the_end(spec: dict[str, Any], hook: dict[str, Any] | None) -> None:
    assert hooks.on_exit(spec, given(x="1")) == hook


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%d", "65"), ("run-%03d", "run-065"), ("%+d", "+65"), ("%-4d|", "65  |"), ("%.3d", "065"), ("%x", "41"), ("%#X", "0X41"),
        ("%c", "A"), ("%U", "U+0041"), ("%s", "%!s(int=65)"), ("100%%-%d", "100%-65"),
        ("x", "x%!(EXTRA int=65)"), ("%d-%d", "65-%!d(MISSING)"),
        ("%v%", "65%!(NOVERB)"),
    ],
)  # fmt: skip
def test_the_format_of_a_sequence_is_gos(pattern: str, text: str) -> None:
    assert golang.sprintf(pattern, 65) == text
