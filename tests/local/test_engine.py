"""Dags, steps, loops, conditions, exit handlers and locks, through real processes."""

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.local import run
from pipelines.local.clock import Clock
from tests.local.gangs import jobset
from tests.local.play import given, log, manifest, nodes, phases, play, sh, write

Task = dict[str, Any]


def dag(*tasks: Task, name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "dag": {"tasks": list(tasks)}, **more}


def steps(*groups: list[Task], name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "steps": list(groups), **more}


def output(name: str, **source: Any) -> dict[str, Any]:
    return {"parameters": [{"name": name, "valueFrom": source}]}


def test_values_pass_from_task_to_task_through_files(tmp_path: Path) -> None:
    make = sh(
        "make", "printf %s {{inputs.parameters.v}}-made > {{outputs.parameters.out.path}}", "v", outputs=output("out", path="/out/value")
    )
    show = sh("show", "echo got {{inputs.parameters.v}}", "v")
    first = {"name": "first", "template": "make", "arguments": given(v="{{workflow.parameters.word}}")}
    second = {"name": "second", "template": "show", "depends": "first", "arguments": given(v="{{tasks.first.outputs.parameters.out}}")}
    workflow = play(tmp_path, manifest(dag(first, second), make, show, arguments=given(word="thing")))
    assert phases(workflow) == {"w": "Succeeded", "first": "Succeeded", "second": "Succeeded"}
    assert log(tmp_path, workflow, "second") == "got thing-made\n"
    assert nodes(workflow)["second"]["inputs"] == {"parameters": [{"name": "v", "value": "thing-made"}]}


def test_a_failure_keeps_what_depends_on_it_from_running(tmp_path: Path) -> None:
    tasks = [
        {"name": "a", "template": "bad"},
        {"name": "b", "template": "ok", "depends": "a"},
        {"name": "c", "template": "ok", "depends": "a.Failed"},
    ]
    workflow = play(tmp_path, manifest(dag(*tasks), sh("bad", "exit 3"), sh("ok", "true")))
    assert phases(workflow) == {"w": "Failed", "a": "Failed", "b": "Omitted", "c": "Succeeded"}
    assert nodes(workflow)["a"]["message"] == "main: Error (exit code 3)"
    assert log(tmp_path, workflow, "a") == "Error: exit status 3\n"


@pytest.mark.slow
def test_the_exit_code_tells_whose_fault_it_was(tmp_path: Path) -> None:
    for code, expected in (("0", 0), ("3", 1), ("65", 65), ("70", 70)):
        assert run.exit_code(play(tmp_path, manifest(sh("main", f"exit {code}"), name=f"w{code}"))) == expected


def test_a_loop_runs_its_members_and_gathers_their_outputs_in_order(tmp_path: Path) -> None:
    member = sh("member", "printf %s {{inputs.parameters.i}} > {{outputs.parameters.o.path}}", "i", outputs=output("o", path="/o"))
    loop = {"name": "each", "template": "member", "withParam": '["c", "a", "b"]', "arguments": given(i="{{item}}")}
    after = {"name": "after", "template": "show", "depends": "each", "arguments": given(all="{{tasks.each.outputs.parameters.o}}")}
    workflow = play(tmp_path, manifest(dag(loop, after), member, sh("show", "echo '{{inputs.parameters.all}}'", "all")))
    assert json.loads(log(tmp_path, workflow, "after")) == ["c", "a", "b"]
    assert [n for n in phases(workflow) if n.startswith("each(")] == ["each(0:c)", "each(1:a)", "each(2:b)"]


def test_when_decides_and_a_skipped_output_has_its_default(tmp_path: Path) -> None:
    make = sh("make", "true", outputs=output("o", path="/o", default="none"))
    group = [{"name": "no", "template": "make", "when": "'{{workflow.parameters.x}}' == 'b'"}]
    show = [{"name": "show", "template": "show", "arguments": given(v="{{steps.no.outputs.parameters.o}}")}]
    workflow = play(tmp_path, manifest(steps(group, show), make, sh("show", "echo {{inputs.parameters.v}}", "v"), arguments=given(x="a")))
    assert nodes(workflow)["no"]["message"] == "when ''a' == 'b'' evaluated false"
    assert log(tmp_path, workflow, "show") == "none\n"


def test_an_artifact_is_a_file_or_a_folder_for_the_next_step(tmp_path: Path) -> None:
    make = sh("make", "mkdir {{outputs.artifacts.d.path}}; echo hi > {{outputs.artifacts.d.path}}/f")
    make["outputs"] = {"artifacts": [{"name": "d", "path": "/data/d"}]}
    read = sh("read", "cat {{inputs.artifacts.d.path}}/f {{inputs.artifacts.raw.path}}")
    read["inputs"] = {"artifacts": [{"name": "d", "path": "/in/d"}, {"name": "raw", "path": "/in/raw", "raw": {"data": "raw\n"}}]}
    passed = {"artifacts": [{"name": "d", "from": "{{steps.make.outputs.artifacts.d}}"}]}
    groups = [[{"name": "make", "template": "make"}], [{"name": "read", "template": "read", "arguments": passed}]]
    workflow = play(tmp_path, manifest(steps(*groups), make, read))
    assert log(tmp_path, workflow, "read") == "hi\nraw\n"


def test_a_missing_output_is_an_error_that_names_it(tmp_path: Path) -> None:
    workflow = play(tmp_path, manifest(sh("main", "true", outputs=output("o", path="/none"))))
    assert workflow["status"]["phase"] == "Error"
    assert "/none: no such file or directory" in workflow["status"]["message"]


def test_the_exit_handler_sees_how_it_ended(tmp_path: Path) -> None:
    bye = sh("bye", "echo {{workflow.status}} {{workflow.failures}}")
    workflow = play(tmp_path, manifest(sh("main", "exit 4"), bye, onExit="bye"))
    assert workflow["status"]["phase"] == "Failed"
    assert log(tmp_path, workflow, "w.onExit").startswith('Failed [{"displayName":"w","message":"main: Error (exit code 4)"')


def test_a_failing_exit_handler_fails_a_good_run(tmp_path: Path) -> None:
    workflow = play(tmp_path, manifest(sh("main", "true"), sh("bye", "exit 5"), onExit="bye"))
    assert (workflow["status"]["phase"], workflow["status"]["message"]) == ("Failed", "main: Error (exit code 5)")


def test_an_exit_hook_of_a_task_runs_and_changes_nothing(tmp_path: Path) -> None:
    task = {"name": "a", "template": "ok", "hooks": {"exit": {"template": "bad"}}}
    workflow = play(tmp_path, manifest(dag(task), sh("ok", "true"), sh("bad", "exit 1")))
    assert phases(workflow) == {"w": "Succeeded", "a": "Succeeded", "a.onExit": "Failed"}


def test_what_never_ends_on_a_cluster_ends_here_and_names_the_reference(tmp_path: Path) -> None:
    skipped = {"name": "s", "template": "ok", "when": "false"}
    reader = {"name": "r", "template": "show", "depends": "s", "arguments": given(v="{{tasks.s.outputs.result}}")}
    workflow = play(tmp_path, manifest(dag(skipped, reader), sh("ok", "true"), sh("show", "true", "v")))
    assert workflow["status"]["phase"] == "Error"
    assert "w.r waits for {{tasks.s.outputs.result}}" in workflow["status"]["message"]


def test_parallelism_limits_what_runs_at_once(tmp_path: Path) -> None:
    count = f"ls {tmp_path} | grep -c on-; touch {tmp_path}/on-$$$$; sleep 0.05; rm {tmp_path}/on-$$$$"
    loop = {"name": "l", "template": "one", "withSequence": {"count": 5}}
    workflow = play(tmp_path, manifest(dag(loop), sh("one", count)), parallelism=2)
    logs = [log(tmp_path, workflow, n) for n in phases(workflow) if n.startswith("l(")]
    assert len(logs) == 5
    assert all(int(text.split()[0]) < 2 for text in logs)


@pytest.mark.slow
def test_a_mutex_keeps_two_runs_apart(tmp_path: Path) -> None:
    one = sh("main", f"mkdir {tmp_path}/alone || exit 9; sleep 0.2; rmdir {tmp_path}/alone", synchronization={"mutexes": [{"name": "m"}]})
    ends: dict[str, str] = {}

    def go(name: str) -> None:
        (tmp_path / name).mkdir()
        file = write(tmp_path / name, manifest(one, name=name))
        ends[name] = run.run(file, {}, home=tmp_path / "home", templates=tmp_path, isolated=False)["status"]["phase"]

    threads = [threading.Thread(target=go, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == {"one": "Succeeded", "two": "Succeeded"}


def test_a_mutex_is_given_back_when_its_step_has_ended(tmp_path: Path) -> None:
    tasks = [{"name": "a", "template": "one"}, {"name": "b", "template": "one", "depends": "a"}]
    workflow = play(tmp_path, manifest(dag(*tasks), sh("one", "true", synchronization={"mutexes": [{"name": "m"}]})), clock=Clock())
    assert set(phases(workflow).values()) == {"Succeeded"}


@pytest.mark.slow
def test_a_jobset_is_a_gang_of_processes(tmp_path: Path) -> None:
    made = jobset("gang", "print('rank', rank)")
    create = {"action": "apply", "flags": ["--server-side", "--force-conflicts"], "setOwnerReference": True}
    create["manifest"] = yaml.safe_dump(made)
    look = "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata: {name: gang}\n"
    wait = {"action": "get", "manifest": look, "successCondition": "status.terminalState in (Completed,Failed)"}
    tasks = [{"name": "create", "template": "create"}, {"name": "wait", "template": "wait", "depends": "create"}]
    templates = [{"name": "create", "resource": create}, {"name": "wait", "resource": wait}]
    templates[1]["outputs"] = output("state", jsonPath="{.status.terminalState}")
    workflow = play(tmp_path, manifest(dag(*tasks), *templates), clock=Clock())
    assert nodes(workflow)["wait"]["outputs"]["parameters"][0]["value"] == "Completed"


def test_a_step_sees_its_own_environment_and_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    container = {
        "image": "x",
        "command": ["sh", "-c"],
        "args": ["env; echo dir=$PWD"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}],
    }
    text = log(tmp_path, play(tmp_path, manifest({"name": "main", "container": container}), isolated=False), "w")
    assert "\nB=12\n" in f"\n{text}"
    assert "SECRET_TOKEN" not in text
    assert f"dir={tmp_path}" in text
    assert "TMPDIR=" + str(tmp_path) in text


def test_an_image_stands_for_an_environment(tmp_path: Path) -> None:
    table = tmp_path / "images.yaml"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").write_text("#!/bin/sh\necho tool $WHO\n")
    (tmp_path / "bin" / "tool").chmod(0o755)
    table.write_text("registry.example/acme/*: {bin: bin, env: {WHO: me}}\n")
    container = {"image": "registry.example/acme/train:1.2@sha256:0", "command": ["tool"]}
    workflow = play(tmp_path, manifest({"name": "main", "container": container}), images=table)
    assert log(tmp_path, workflow, "w") == "tool me\n"


def test_a_mounted_path_is_a_folder_of_the_node(tmp_path: Path) -> None:
    container = {
        "image": "x",
        "command": ["sh", "-c"],
        "args": ["echo hi > /scratch/f; cat $WHERE"],
        "env": [{"name": "WHERE", "value": "/scratch/f"}],
    }
    container["volumeMounts"] = [{"name": "work", "mountPath": "/scratch"}]
    workflow = play(tmp_path, manifest({"name": "main", "container": container, "volumes": [{"name": "work", "emptyDir": {}}]}))
    assert log(tmp_path, workflow, "w") == "hi\n"


def test_what_a_step_leaves_running_ends_with_it(tmp_path: Path) -> None:
    workflow = play(tmp_path, manifest(sh("main", f"(sleep 2; touch {tmp_path}/late) & echo started")))
    assert workflow["status"]["phase"] == "Succeeded"
    group = (tmp_path / "home/runs/w/nodes/w/pid").read_text().split()[0]
    assert not Path(f"/proc/{group}").exists()
    assert group not in _groups()


def _groups() -> set[str]:
    """The process groups that exist now."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found.add(path.read_text().rpartition(")")[2].split()[2])
    return found


def test_a_resource_step_waits_for_its_condition_and_reads_outputs(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n"
    make = {"name": "main", "resource": {"action": "apply", "manifest": text, "successCondition": "data.k == v", "setOwnerReference": True}}
    make["outputs"] = {
        "parameters": [
            {"name": "k", "valueFrom": {"jsonPath": "{.data.k}"}},
            {"name": "o", "valueFrom": {"jqFilter": ".metadata.ownerReferences[0].name"}},
        ]
    }
    workflow = play(tmp_path, manifest(make))
    assert {p["name"]: p["value"] for p in nodes(workflow)["w"]["outputs"]["parameters"]} == {"k": "v", "o": "w"}


def child(name: str, template: str) -> str:
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}}
    return json.dumps(head | {"spec": {"workflowTemplateRef": {"name": template}, "arguments": given(v="x")}}).replace("}}", "} }")


@pytest.mark.parametrize(("script", "phase"), [("echo {{inputs.parameters.v}}", "Succeeded"), ("exit 1", "Failed")])
def test_an_applied_workflow_runs_beside_and_its_phase_is_read(script: str, phase: str, tmp_path: Path) -> None:
    body = {"action": "apply", "flags": ["--server-side", "--force-conflicts"], "manifest": child("release-w", "release")}
    start = {"name": "main", "resource": body | {"successCondition": "status.phase in (Succeeded,Failed,Error)"}}
    start["outputs"] = output("phase", jsonPath="{.status.phase}")
    template = manifest(sh("m", script, "v"), kind="WorkflowTemplate", name="release", arguments={"parameters": [{"name": "v"}]})
    (tmp_path / "templates").mkdir()
    write(tmp_path / "templates", template)
    workflow = play(tmp_path, manifest(start), clock=Clock())
    assert workflow["status"]["phase"] == "Succeeded"
    assert nodes(workflow)["w"]["outputs"]["parameters"][0]["value"] == phase
    assert json.loads((tmp_path / "home/runs/release-w/workflow.json").read_text())["status"]["phase"] == phase


@pytest.mark.slow
def test_a_thousand_items_run(tmp_path: Path) -> None:
    loop = {"name": "l", "template": "z", "withSequence": {"count": 1000}}
    workflow = play(tmp_path, manifest(dag(loop), {"name": "z", "suspend": {"duration": "0"}}))
    assert sum(n["phase"] == "Succeeded" for n in workflow["status"]["nodes"].values()) == 1002
