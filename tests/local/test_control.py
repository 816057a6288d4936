"""Stop, terminate, suspend, resume, node set, retry and resubmit."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import control, inbox, run, state
from pipelines.local.clock import SkippingClock
from pipelines.local.control import Command
from pipelines.local.faults import Refused
from pipelines.local.nodes import Nodes
from tests.argo.recording import Script
from tests.local.play import Workflow, given, manifest, nodes, phases, play, sh, write


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps see the current folder, wherever it lies."""
    monkeypatch.chdir(tmp_path)


SUPPLIED: dict[str, Any] = {"name": "answer", "valueFrom": {"supplied": {}}}


def suspended(*parameters: dict[str, Any], **more: Any) -> Workflow:
    """A workflow that waits at its node `ask`."""
    ask = {"id": "w-1", "name": "w.ask", "displayName": "ask", "templateName": "wait", "type": "Suspend", "phase": "Running"} | more
    if parameters:
        ask["outputs"] = {"parameters": list(parameters)}
    spec: dict[str, Any] = {}
    status = {"phase": "Running", "nodes": {"w-1": ask}}
    return {"metadata": {"name": "w", "namespace": "ns"}, "spec": spec, "status": status}


def do(found: Workflow, command: Command) -> dict[str, Any]:
    """The node `ask` after a command."""
    control.apply(found, Nodes("w", found["status"]["nodes"], SkippingClock()), command)
    node: dict[str, Any] = found["status"]["nodes"]["w-1"]
    return node


def test_a_resume_goes_past_every_suspend_node_and_says_who_did_it() -> None:
    found = suspended(SUPPLIED | {"valueFrom": {"supplied": {}, "default": "no"}}, message="asked twice")
    found["spec"]["suspend"] = True
    node = do(found, Command("resume", by="ann"))
    assert (node["phase"], node["message"]) == ("Succeeded", "asked twice; Resumed by: map[User:ann]")
    assert node["outputs"] == {"parameters": [{"name": "answer", "value": "no"}]}
    assert "suspend" not in found["spec"]
    assert "finishedAt" in node


SET = Command("set", "displayName=ask", outputs={"answer": "yes"})


def test_a_supplied_output_is_set_once_and_becomes_one_of_the_workflow() -> None:
    found = suspended(SUPPLIED | {"globalName": "said"})
    node = do(found, SET)
    assert node["outputs"]["parameters"] == [{"name": "answer", "globalName": "said", "value": "yes"}]
    assert node["phase"] == "Running"
    assert found["status"]["outputs"] == {"parameters": [{"name": "said", "value": "yes"}]}
    with pytest.raises(Refused, match=r"cannot set output parameter 'answer' because it does not use valueFrom\.raw or it was already set"):
        do(found, SET)
    assert do(found, Command("resume", by="ann"))["outputs"]["parameters"][0]["value"] == "yes"


def test_a_selector_fails_one_node_with_its_message_and_a_plain_stop_has_none() -> None:
    found = suspended()
    node = do(found, Command("stop", "templateName=wait,phase!=Failed", "not today"))
    assert (node["phase"], node["message"], found["spec"]) == ("Failed", "not today", {})
    found = suspended()
    assert "message" not in do(found, Command("stop", message="lost"))
    assert found["spec"] == {"shutdown": "Stop"}


NO_NODE = "currently, set only targets suspend nodes: no suspend nodes matching nodeFieldSelector: displayName=a"


@pytest.mark.parametrize(
    ("command", "phase", "message"),
    [
        (Command("stop"), "Failed", 'cannot shutdown a completed workflow: workflow: "w", namespace: "ns"'),
        (Command("terminate"), "Succeeded", 'cannot shutdown a completed workflow: workflow: "w", namespace: "ns"'),
        (Command("suspend"), "Error", "cannot suspend completed workflows"),
        (Command("stop", "displayName=a"), "Running", NO_NODE),
        (Command("set", "displayName=a", phase="Failed"), "Running", NO_NODE),
        (Command("set", phase="Failed"), "Running", "'set' currently only targets suspend nodes, use a node field selector to target them"),
        (Command("set", "displayName=ask", phase="Skipped"), "Running", "Skipped is an invalid phase to set to"),
        (Command("set", "displayName=ask", outputs={"x": ""}), "Running", "node is not expecting output parameter 'x'"),
        (Command("resume", by="ann"), "Running", "raw output parameter 'answer' has not been set and does not have a default value"),
        (Command("resume", "ask"), "Running", "can't understand 'ask'"),
    ],
)
def test_what_argo_refuses_changes_nothing(command: Command, phase: str, message: str) -> None:
    found = suspended(SUPPLIED)
    found["status"]["phase"] = phase
    before = str(found)
    with pytest.raises(Refused) as refused:
        do(found, command)
    assert message in str(refused.value)
    assert str(found) == before


def test_a_command_survives_its_way_through_a_file() -> None:
    command = Command("set", "displayName=ä,b", "m", "Failed", {"a": "1\n"}, "ann")
    assert control.command(command.text()) == command
    for text in ("", "[]", '{"verb": "stop", "force": true}'):
        with pytest.raises(ValueError, match=r".*"):
            control.command(text)


# --- in a run ------------------------------------------------------------------------------------------------------------------------


def at(name: str, *argv: str, phase: str = "Running") -> dict[str, Any]:
    return {"when": {"displayName": name, "phase": phase}, "argo": list(argv)}


def driven(folder: Path, found: Workflow, *commands: dict[str, Any], **options: Any) -> Workflow:
    """Run a workflow to which something is done meanwhile."""
    clock = SkippingClock()
    return play(folder, found, clock=clock, inbox=Script(list(commands), clock), **options)


WAIT: dict[str, Any] = {"name": "wait", "suspend": {}}
NOW: dict[str, Any] = {"name": "now", "suspend": {"duration": "0"}}


def chain(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": "main", "dag": {"tasks": list(tasks)}}


def test_a_stop_leaves_the_exit_hook_of_an_inner_task_pending(tmp_path: Path) -> None:  # argo-control-flow 179
    hold = {"name": "hold", "template": "wait", "hooks": {"exit": {"template": "bye"}}}
    found = manifest(chain(hold, {"name": "next", "template": "wait", "depends": "hold"}), WAIT, sh("bye", "true"))
    ended = driven(tmp_path, found, at("hold", "stop", "w"))
    assert phases(ended) == {"w": "Failed", "hold": "Failed", "hold.onExit": "Pending"}
    assert ended["status"]["message"] == "Stopped with strategy 'Stop'"


def test_a_stop_lets_the_exit_hook_of_a_last_task_run(tmp_path: Path) -> None:  # argo-control-flow 231
    tell = sh("tell", "exit {{inputs.parameters.s}}", "s")
    hook = {"template": "now2", "arguments": given(s="{{tasks.hold.status}}")}
    now2 = NOW | {"name": "now2", "inputs": {"parameters": [{"name": "s"}]}}
    found = manifest(chain({"name": "hold", "template": "wait", "hooks": {"exit": hook}}), WAIT, now2, tell)
    ended = driven(tmp_path, found, at("hold", "stop", "w"))
    assert phases(ended) == {"w": "Failed", "hold": "Failed", "hold.onExit": "Succeeded"}
    assert nodes(ended)["hold.onExit"]["inputs"]["parameters"][0]["value"] == "Failed"


def test_a_crash_of_the_controller_ends_the_workflow(tmp_path: Path) -> None:  # argo-control-flow 224
    ask = WAIT | {"outputs": {"parameters": [{"name": "p", "value": "x"}]}}
    ended = play(tmp_path, manifest({"name": "main", "steps": [[{"name": "a", "template": "wait"}]]}, ask))
    assert ended["status"]["message"] == "runtime error: invalid memory address or nil pointer dereference"
    assert (nodes(ended)["w"]["message"], nodes(ended)["a"]["phase"]) == ("Workflow operation error", "Pending")


def test_a_suspended_workflow_can_be_stopped(tmp_path: Path) -> None:
    ended = driven(tmp_path, manifest(WAIT, suspend=True), {"after": 5, "argo": ["stop", "w"]})
    assert (ended["status"]["phase"], ended["status"]["message"]) == ("Failed", "Stopped with strategy 'Stop'")


def test_a_value_outside_of_the_enum_can_be_supplied_and_is_read_by_others(tmp_path: Path) -> None:  # argo-control-flow 165
    ask = WAIT | {
        "inputs": {"parameters": [{"name": "answer", "default": "no", "enum": ["no", "yes"]}]},
        "outputs": {"parameters": [SUPPLIED]},
    }
    tell = NOW | {"inputs": {"parameters": [{"name": "v"}]}}
    says = {"name": "say", "template": "now", "depends": "ask", "arguments": given(v="{{tasks.ask.outputs.parameters.answer}}")}
    found = manifest(chain({"name": "ask", "template": "wait"}, says), ask, tell)
    set_it = at("ask", "node", "set", "w", "--node-field-selector", "displayName=ask", "--output-parameter", "answer=maybe")
    ended = driven(tmp_path, found, set_it, {"after": 3, "argo": ["resume", "w"]})
    assert nodes(ended)["say"]["inputs"]["parameters"][0]["value"] == "maybe"


# --- retry and resubmit --------------------------------------------------------------------------------------------------------------


def failing(folder: Path) -> Workflow:
    """a, then b for each item, of which the second fails until `rc` is 0, then c."""
    each = {"name": "b", "template": "one", "depends": "a", "withItems": [0, 1], "arguments": given(c="{{item}}")}
    tasks: list[dict[str, Any]] = [{"name": "a", "template": "one", "arguments": given(c="0")}, each]
    tasks.append({"name": "c", "template": "one", "depends": "b", "arguments": given(c="0")})
    body = f"echo x >> {folder}/ran; exit $(({{{{inputs.parameters.c}}}} * {{{{workflow.parameters.rc}}}}))"
    spec = given(rc="1")
    return manifest(chain(*tasks), sh("one", body, "c"), arguments=spec)


def ran(folder: Path) -> int:
    return len((folder / "ran").read_text().split())


@pytest.fixture
def failed(tmp_path: Path) -> Workflow:
    ended = play(tmp_path, failing(tmp_path))
    assert phases(ended) == {"w": "Failed", "a": "Succeeded", "b": "Failed", "b(0:0)": "Succeeded", "b(1:1)": "Failed", "c": "Omitted"}
    assert ran(tmp_path) == 3
    return ended


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "again"), [({"rc": "0"}, 3), ({}, 1)])
def test_a_retry_runs_what_failed_and_with_new_parameters_the_whole_loop(
    failed: Workflow, parameters: dict[str, str], again: int, tmp_path: Path
) -> None:
    ended = run.retry("w", parameters, home=tmp_path / "home", templates=tmp_path)
    assert (ended["status"]["phase"] == "Succeeded") is bool(parameters)
    assert ran(tmp_path) == 3 + again
    assert {n["id"] for n in nodes(ended).values()} == {n["id"] for n in nodes(failed).values()}  # argo-control-flow 171
    assert nodes(ended)["a"]["finishedAt"] == nodes(failed)["a"]["finishedAt"]


@pytest.mark.slow
def test_a_retry_of_what_succeeded_has_to_say_which_node(tmp_path: Path) -> None:
    options: dict[str, Any] = {"home": tmp_path / "home", "templates": tmp_path}
    play(tmp_path, failing(tmp_path), parameters={"rc": "0"})
    with pytest.raises(Refused, match="To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector"):
        run.retry("w", {}, **options)
    with pytest.raises(Refused, match="parameter 'x' is unknown"):
        run.retry("w", {"x": "1"}, restart_successful=True, selector="displayName=c", **options)
    ended = run.retry("w", {}, restart_successful=True, selector="displayName=c", **options)
    assert (ended["status"]["phase"], ran(tmp_path)) == ("Succeeded", 5)


@pytest.mark.slow
def test_a_resubmitted_run_is_a_new_one_and_a_memoized_one_takes_over_what_succeeded(failed: Workflow, tmp_path: Path) -> None:
    options: dict[str, Any] = {"home": tmp_path / "home", "templates": tmp_path}
    ended = run.resubmit("w", {"rc": "0"}, **options)
    assert (ended["status"]["phase"], ran(tmp_path)) == ("Succeeded", 7)
    assert ended["metadata"]["name"].startswith("w-")
    assert ended["metadata"]["labels"]["workflows.argoproj.io/resubmitted-from-workflow"] == "w"
    with pytest.raises(Refused, match="workflow must be Failed/Error to resubmit in memoized mode"):
        run.resubmit(ended["metadata"]["name"], {}, memoized=True, **options)
    ended = run.resubmit("w", {"rc": "0"}, memoized=True, **options)
    assert (ended["status"]["phase"], ran(tmp_path)) == ("Succeeded", 9)
    assert nodes(ended)["a"]["message"] == f"original pod: {nodes(failed)['a']['id']}"
    assert nodes(ended)["b(0:0)"]["phase"] == "Skipped"


# --- a runner in another process -----------------------------------------------------------------------------------------------------

RUNNER = """
import sys
from pathlib import Path
from pipelines.local import run
file, home = sys.argv[1:]
sys.exit(run.exit_code(run.run(file, {}, home=Path(home), templates=Path("none"))))
"""


class Runner:
    """A run that another process drives."""

    def __init__(self, folder: Path, found: Workflow) -> None:
        self.home = folder / "home"
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        argv = [sys.executable, "-c", RUNNER, write(folder, found), str(self.home)]
        self.process = subprocess.Popen(argv, cwd=folder, env=env)

    def read(self) -> Workflow:
        return state.read(self.home, "w")

    def until(self, condition: Callable[[Workflow], object]) -> None:
        end = time.monotonic() + 30
        while not (self.home / "runs/w/workflow.json").exists() or not condition(self.read()):
            assert time.monotonic() < end
            time.sleep(0.01)

    def order(self, verb: str, *options: Any) -> bool:
        return run.order("w", Command(verb, *options), home=self.home, templates=self.home)

    def ended(self) -> Workflow:
        self.process.wait(30)
        return self.read()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Workflow], Runner]]:
    begun: list[Runner] = []

    def go(found: Workflow) -> Runner:
        begun.append(Runner(tmp_path, found))
        return begun[-1]

    yield go
    for runner in begun:
        runner.process.kill()
        runner.process.wait()


Start = Callable[[Workflow], Runner]


def waits(found: Workflow) -> bool:
    return any(control.is_waiting(node) for node in found["status"]["nodes"].values())


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "said"), [("stop", True), ("terminate", False)])
def test_a_run_is_stopped_from_another_process(verb: str, said: bool, tmp_path: Path, start: Start) -> None:
    tasks = [{"name": "pod", "template": "nap"}, {"name": "hold", "template": "wait"}]
    runner = start(manifest(chain(*tasks), sh("nap", "sleep 60"), WAIT, sh("bye", f"touch {tmp_path}/said"), onExit="bye"))
    runner.until(lambda found: waits(found) and nodes(found)["pod"]["phase"] == "Running")
    assert runner.order(verb)
    ended = runner.ended()
    assert (ended["status"]["phase"], ended["status"]["message"]) == ("Failed", f"Stopped with strategy '{verb.title()}'")
    assert nodes(ended)["pod"]["message"] == f"workflow shutdown with strategy:  {verb.title()}"
    assert (tmp_path / "said").exists() is said


@pytest.mark.slow
def test_a_run_is_suspended_and_resumed_from_another_process(start: Start, tmp_path: Path) -> None:
    ask = WAIT | {"outputs": {"parameters": [SUPPLIED]}}
    runner = start(manifest(chain({"name": "ask", "template": "wait"}, {"name": "next", "template": "wait", "depends": "ask"}), ask))
    runner.until(waits)
    assert runner.order("suspend")
    with pytest.raises(Refused, match="raw output parameter 'answer' has not been set"):
        runner.order("resume")
    together = [threading.Thread(target=runner.order, args=("set", "displayName=ask", text)) for text in "abc"]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert nodes(runner.read())["ask"]["message"] in ("a", "b", "c")
    assert runner.order("set", "displayName=ask", "", "Succeeded", {"answer": "yes"})
    assert set(nodes(runner.read())) == {"w", "ask"}
    assert runner.order("resume")
    runner.until(lambda found: "next" in nodes(found))
    assert runner.order("stop", "displayName=next", "no")
    assert phases(runner.ended()) == {"w": "Failed", "ask": "Succeeded", "next": "Failed"}
    assert not list((tmp_path / "home/runs/w/commands").glob("*.json"))


@pytest.mark.slow
def test_a_command_whose_runner_dies_first_has_its_effect_all_the_same(start: Start) -> None:
    runner = start(manifest(WAIT))
    runner.until(waits)
    os.kill(runner.process.pid, signal.SIGSTOP)
    taken: list[bool] = []
    giver = threading.Thread(target=lambda: taken.append(runner.order("stop")))
    giver.start()
    runner.until(lambda _: list((runner.home / "runs/w/commands").glob("*.json")))
    runner.process.kill()
    giver.join(30)
    assert taken == [False]
    assert runner.read()["status"]["message"] == "Stopped with strategy 'Stop'"


@pytest.mark.slow
def test_a_runner_that_does_not_answer_is_not_waited_for_for_ever(start: Start) -> None:
    runner = start(manifest(WAIT))
    runner.until(waits)
    os.kill(runner.process.pid, signal.SIGSTOP)
    with pytest.raises(inbox.Unanswered, match="does not answer; try again"):
        inbox.give(runner.home, "w", Command("terminate"), patience=0)
    os.kill(runner.process.pid, signal.SIGCONT)
    assert runner.order("resume", "", "", "", {}, "ann")
    assert nodes(runner.ended())["w"]["message"] == "Resumed by: map[User:ann]"


@pytest.mark.slow
def test_a_killed_run_that_waits_for_a_person_goes_on_when_it_is_resumed(start: Start) -> None:
    runner = start(manifest(chain({"name": "ask", "template": "wait"}, {"name": "b", "template": "now", "depends": "ask"}), WAIT, NOW))
    runner.until(waits)
    runner.process.kill()
    runner.process.wait()
    assert not runner.order("set", "displayName=ask", "thought about")
    (runner.home / "runs/w/commands/1.json").write_text(Command("set", "displayName=ask", "thought twice").text())
    ended = run.resume("w", home=runner.home, templates=runner.home, by="ann")
    assert phases(ended) == {"w": "Succeeded", "ask": "Succeeded", "b": "Succeeded"}
    assert nodes(ended)["ask"]["message"] == "thought about; Resumed by: map[User:ann]"


def test_nobody_is_asked_about_an_unknown_run(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no run 'x' in"):
        run.order("x", Command("stop"), home=tmp_path, templates=tmp_path)
    assert list(tmp_path.iterdir()) == []
