"""Runners that are killed, stopped, and go on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.local import keeper, run, state
from pipelines.local.clock import Clock
from pipelines.local.faults import Refused
from tests.local.gangs import jobset
from tests.local.play import given, manifest, nodes, phases, play, sh, write

pytestmark = pytest.mark.slow

Start = Callable[..., subprocess.Popen[bytes]]
RUNNER = """
import sys
from pathlib import Path
from pipelines.local import run
home, what, *rest = sys.argv[1:]
if what == "resume":
    end = run.resume(rest[0], home=Path(home), templates=Path("none"))
else:
    end = run.run(what, {}, home=Path(home), templates=Path("none"))
sys.exit(run.exit_code(end))
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps see the current folder, wherever it lies."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a runner in a process of its own."""

    def go(*arguments: str) -> subprocess.Popen[bytes]:
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.Popen([sys.executable, "-c", RUNNER, str(tmp_path / "home"), *arguments], cwd=tmp_path, env=env)

    return go


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def six(folder: Path) -> dict[str, Any]:
    """Six nodes, a loop and a retry; each that succeeds says so in a file."""
    said = folder / "said"
    one = sh("one", f"sleep 0.05; echo {{{{inputs.parameters.name}}}} >> {said}", "name")
    flaky = sh("flaky", f"sleep 0.05; [ {{{{retries}}}} = 1 ] || exit 3; echo flaky >> {said}", retryStrategy={"limit": 3})
    tasks = [
        {"name": "first", "template": "one", "arguments": given(name="first")},
        {"name": "each", "template": "one", "depends": "first", "withItems": [1, 2, 3], "arguments": given(name="each-{{item}}")},
        {"name": "retried", "template": "flaky", "depends": "first"},
        {"name": "last", "template": "one", "depends": "each && retried", "arguments": given(name="last")},
    ]
    return manifest({"name": "main", "dag": {"tasks": tasks}}, one, flaky)


SAID = ["each-1", "each-2", "each-3", "first", "flaky", "last"]


@pytest.mark.parametrize("seed", [pytest.param(s, marks=pytest.mark.slow) if s else s for s in range(6)])
def test_a_killed_runner_loses_nothing_and_repeats_nothing(seed: int, tmp_path: Path, start: Start) -> None:
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    file = write(tmp_path, six(tmp_path))
    record = tmp_path / "home/runs/w/workflow.json"
    runner = start(file)
    until(record.exists)
    for _ in range(2):
        time.sleep(chance.uniform(0, 0.25))
        runner.kill()
        runner.wait()
        if state.read(tmp_path / "home", "w")["status"]["phase"] == "Succeeded":
            break
        runner = start("resume", "w")
        time.sleep(0.2)
    runner.wait(30)
    workflow = state.read(tmp_path / "home", "w")
    assert workflow["status"]["phase"] == "Succeeded"
    assert sorted((tmp_path / "said").read_text().split()) == SAID


def test_what_had_ended_while_the_runner_was_dead_counts(tmp_path: Path, start: Start) -> None:
    file = write(tmp_path, manifest(sh("main", f"echo once >> {tmp_path}/said")))
    assert start(file).wait(20) == 0
    record = json.loads((tmp_path / "home/runs/w/workflow.json").read_text())
    record["status"] |= {"phase": "Running", "finishedAt": None}
    record["status"]["nodes"]["w"] |= {"phase": "Running"}
    for field in ("finishedAt", "outputs"):
        record["status"]["nodes"]["w"].pop(field)
    (tmp_path / "home/runs/w/workflow.json").write_text(json.dumps(record))
    assert start("resume", "w").wait(20) == 0
    assert (tmp_path / "said").read_text() == "once\n"


def test_a_stop_ends_the_children_and_can_be_taken_back(tmp_path: Path, start: Start) -> None:
    script = f"echo $$$$ > {tmp_path}/pid; [ -e {tmp_path}/again ] || exec sleep 60"
    first = {"name": "a", "template": "quick"}
    tasks = [first, {"name": "b", "template": "slow", "depends": "a"}, {"name": "c", "template": "quick", "depends": "b"}]
    quick = sh("quick", f"echo quick >> {tmp_path}/said")
    runner = start(write(tmp_path, manifest({"name": "main", "dag": {"tasks": tasks}}, quick, sh("slow", script))))
    until((tmp_path / "pid").exists)
    until(lambda: (tmp_path / "pid").read_text().strip() != "")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(20) == 143
    assert not keeper.born(int((tmp_path / "pid").read_text()))
    stopped = state.read(tmp_path / "home", "w")
    assert nodes(stopped)["b"]["message"] == "workflow shutdown with strategy:  Terminate"
    assert (stopped["status"]["phase"], stopped["status"]["message"]) == ("Failed", "Stopped with strategy 'Terminate'")
    (tmp_path / "again").touch()
    assert start("resume", "w").wait(20) == 0
    assert phases(state.read(tmp_path / "home", "w")) == {"w": "Succeeded", "a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}
    assert (tmp_path / "said").read_text() == "quick\nquick\n"


def test_a_failed_run_goes_on_from_what_failed(tmp_path: Path) -> None:
    tasks = [
        {"name": "a", "template": "ok"},
        {"name": "b", "template": "bad", "depends": "a"},
        {"name": "c", "template": "ok", "depends": "b"},
    ]
    bye = sh("bye", f"echo bye >> {tmp_path}/said")
    ok, bad = sh("ok", f"echo ok >> {tmp_path}/said"), sh("bad", f"test -e {tmp_path}/mended")
    workflow = play(tmp_path, manifest({"name": "main", "dag": {"tasks": tasks}}, ok, bad, bye, onExit="bye"))
    assert phases(workflow) == {"w": "Failed", "a": "Succeeded", "b": "Failed", "c": "Omitted", "w.onExit": "Succeeded"}
    (tmp_path / "mended").touch()
    workflow = run.resume("w", home=tmp_path / "home", templates=tmp_path)
    assert set(phases(workflow).values()) == {"Succeeded"}
    assert (tmp_path / "said").read_text() == "ok\nbye\nok\nbye\n"
    with pytest.raises(Refused, match="has succeeded; there is nothing to resume"):
        run.resume("w", home=tmp_path / "home", templates=tmp_path)


def test_a_failed_step_of_a_loop_in_steps_runs_again_alone(tmp_path: Path) -> None:
    script = f"echo {{{{inputs.parameters.i}}}} >> {tmp_path}/said; [ {{{{inputs.parameters.i}}}} != 2 ] || test -e {tmp_path}/mended"
    loop = {"name": "l", "template": "one", "withItems": [1, 2, 3], "arguments": given(i="{{item}}")}
    groups = [[loop], [{"name": "z", "template": "one", "arguments": given(i="4")}]]
    assert play(tmp_path, manifest({"name": "main", "steps": groups}, sh("one", script, "i")))["status"]["phase"] == "Failed"
    (tmp_path / "mended").touch()
    assert run.resume("w", home=tmp_path / "home", templates=tmp_path)["status"]["phase"] == "Succeeded"
    assert sorted((tmp_path / "said").read_text().split()) == ["1", "2", "2", "3", "4"]


def test_a_failed_child_run_goes_on_with_its_parent(tmp_path: Path) -> None:
    child = json.dumps(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": "child"},
            "spec": {"workflowTemplateRef": {"name": "t"}},
        }
    )
    body = {"action": "apply", "manifest": f"# kind: Workflow\n{child}".replace("}}", "} }").replace("}}", "} }")}
    start_it = {"name": "begin", "resource": body | {"successCondition": "status.phase in (Succeeded,Failed,Error)"}}
    start_it["outputs"] = {"parameters": [{"name": "phase", "valueFrom": {"jsonPath": "{.status.phase}"}}]}
    judge = {"name": "judge", "template": "judge", "depends": "begin", "arguments": given(p="{{tasks.begin.outputs.parameters.phase}}")}
    main = {"name": "main", "dag": {"tasks": [{"name": "begin", "template": "begin"}, judge]}}
    template = manifest(sh("m", f"test -e {tmp_path}/mended"), kind="WorkflowTemplate", name="t")
    (tmp_path / "templates").mkdir()
    write(tmp_path / "templates", template)
    workflow = play(tmp_path, manifest(main, start_it, sh("judge", "[ {{inputs.parameters.p}} = Succeeded ]", "p")), clock=Clock())
    assert phases(workflow) == {"w": "Failed", "begin": "Succeeded", "judge": "Failed"}
    (tmp_path / "mended").touch()
    workflow = run.resume("w", home=tmp_path / "home", templates=tmp_path / "templates")
    assert set(phases(workflow).values()) == {"Succeeded"}
    assert state.read(tmp_path / "home", "child")["status"]["phase"] == "Succeeded"


def test_a_gang_goes_on_with_its_run(tmp_path: Path, start: Start) -> None:
    program = f"""
open({str(tmp_path / "ranks")!r}, "a").write(f"{{rank}} ")
while not os.path.exists({str(tmp_path / "again")!r}):
    time.sleep(0.02)
"""
    create = {"action": "apply", "setOwnerReference": True, "manifest": yaml.safe_dump(jobset("gang", program))}
    look = "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata: {name: gang}\n"
    wait = {"action": "get", "manifest": look, "successCondition": "status.terminalState in (Completed,Failed)"}
    tasks = [{"name": "create", "template": "create"}, {"name": "wait", "template": "wait", "depends": "create"}]
    main = {"name": "main", "dag": {"tasks": tasks}}
    runner = start(write(tmp_path, manifest(main, {"name": "create", "resource": create}, {"name": "wait", "resource": wait})))
    until(lambda: (tmp_path / "ranks").exists() and len((tmp_path / "ranks").read_text().split()) == 2)
    runner.kill()
    runner.wait()
    (tmp_path / "again").touch()
    assert start("resume", "w").wait(30) == 0
    assert phases(state.read(tmp_path / "home", "w")) == {"w": "Succeeded", "create": "Succeeded", "wait": "Succeeded"}


def test_a_run_that_is_being_driven_cannot_be_resumed(tmp_path: Path, start: Start) -> None:
    runner = start(write(tmp_path, manifest(sh("main", f"touch {tmp_path}/on; sleep 30"))))
    until((tmp_path / "on").exists)
    with pytest.raises(Refused, match=rf"run 'w' is being driven by process {runner.pid}"):
        run.resume("w", home=tmp_path / "home", templates=tmp_path)
    runner.send_signal(signal.SIGINT)
    assert runner.wait(20) == 130


def test_an_unknown_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no run 'x' in .*; there are: none"):
        run.resume("x", home=tmp_path, templates=tmp_path)


def test_the_keeper_may_be_killed_too(tmp_path: Path, start: Start) -> None:
    runner = start(write(tmp_path, manifest(sh("main", f"echo x >> {tmp_path}/begun; sleep 0.5; echo done >> {tmp_path}/said"))))
    until((tmp_path / "begun").exists)
    os.kill(int((tmp_path / "home/runs/w/lock").read_text().split()[1]), signal.SIGKILL)
    assert runner.wait(20) == 0
    assert (tmp_path / "said").read_text() == "done\n"


def test_journal_lines_older_than_the_object_are_ignored(tmp_path: Path) -> None:
    workflow = play(tmp_path, manifest(sh("main", "true")))
    older = {"version": int(workflow["metadata"]["resourceVersion"]), "status": {"phase": "Running"}, "labels": {}, "nodes": {}}
    newer = older | {"version": older["version"] + 1, "status": {"phase": "Failed"}}
    journal = tmp_path / "home/runs/w/journal.jsonl"
    journal.write_text(f"{json.dumps(older)}\n")
    assert state.read(tmp_path / "home", "w")["status"]["phase"] == "Succeeded"
    journal.write_text(f"{json.dumps(older)}\n{json.dumps(newer)}\n")
    assert state.read(tmp_path / "home", "w")["status"]["phase"] == "Failed"


def test_a_torn_journal_line_is_ignored(tmp_path: Path) -> None:
    play(tmp_path, manifest(sh("main", "true")))
    (tmp_path / "home/runs/w/journal.jsonl").write_text('{"status": {"ph')
    assert state.read(tmp_path / "home", "w")["status"]["phase"] == "Succeeded"
