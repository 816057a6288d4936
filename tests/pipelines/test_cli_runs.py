"""`fleece get | list | logs | delete` on recorded runs: argo's verbs, flags and shapes."""

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pipelines.cli import main
from pipelines.local.clock import rfc3339
from pipelines.local.nodes import fnv1a

Fleece = Callable[..., Result]
START = 1_700_000_000


@pytest.fixture
def fleece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleece:
    monkeypatch.setenv("FLEECE_HOME", str(tmp_path))
    monkeypatch.setattr("time.time", lambda: START + 3600.0)
    return lambda *words: CliRunner().invoke(main, words)


def node(run: str, name: str, kind: str = "Pod", phase: str = "Succeeded", **more: Any) -> dict[str, Any]:
    full = f"{run}.{name}" if name else run
    made = {"id": f"{run}-{fnv1a(full)}" if name else run, "name": full, "displayName": name or run, "type": kind, "phase": phase}
    times = {"startedAt": rfc3339(START), "finishedAt": rfc3339(START + 5) if phase not in ("Running", "Pending") else None}
    return made | times | ({"boundaryID": run} if name else {}) | {"templateName": "t" if name else "main"} | more


def run(home: Path, name: str, phase: str = "Succeeded", made: int = 0, labels: dict[str, str] | None = None, **nodes: Any) -> None:
    """A run on disk: a DAG of these nodes, each with a log of two lines."""
    members = [node(name, key, **value) for key, value in nodes.items()]
    entry = node(name, "", "DAG", phase, children=[one["id"] for one in members])
    meta = {"name": name, "namespace": "default", "uid": name, "creationTimestamp": rfc3339(START + made), "labels": labels or {}}
    ended = phase in ("Succeeded", "Failed", "Error")
    status = {"phase": phase, "startedAt": rfc3339(START + made), "progress": "1/1"}
    status |= {"finishedAt": rfc3339(START + made + 65) if ended else None, "nodes": {one["id"]: one for one in [entry, *members]}}
    arguments = {"parameters": [{"name": "who", "value": "world"}, {"name": "long", "value": "x" * 60 + "the end of it all"}]}
    spec = {"entrypoint": "main", "arguments": arguments, "templates": [{"name": "main", "dag": {"tasks": []}}]}
    for one in members:
        folder = home / "runs" / name / "nodes" / one["id"]
        folder.mkdir(parents=True)
        (folder / "main.log").write_text(f"hello from {one['displayName']}\nbye\n")
    (home / "runs" / name).mkdir(parents=True, exist_ok=True)
    document = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": spec, "status": status}
    (home / "runs" / name / "workflow.json").write_text(json.dumps(document))


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line.rstrip() for line in result.output.splitlines()]


def test_get_prints_what_argo_get_prints(fleece: Fleece, tmp_path: Path) -> None:
    run(tmp_path, "w", a={}, b={"phase": "Failed", "message": "main: Error (exit code 1)"}, c={"kind": "Skipped", "phase": "Omitted"})
    shown = lines(fleece("get", "w"))
    assert [line.split(":")[0] for line in shown[:11]] == [
        *("Name", "Namespace", "ServiceAccount", "Status", "Created", "Started", "Finished", "Duration", "Progress", "Parameters", "  who")
    ]
    assert shown[0] == "Name:                w"
    assert shown[7] == "Duration:            1 minute 5 seconds"
    assert shown[4].endswith("(1 hour ago)")
    a, b = f"w-t-{fnv1a('w.a')}", f"w-t-{fnv1a('w.b')}"
    assert [line.split() for line in shown[-4:]] == [
        ["STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE"],
        ["✔", "w", "main"],
        ["├─✔", "a", "t", a, "5s"],
        ["├─✖", "b", "t", b, "5s", "main:", "Error", "(exit", "code", "1)"],  # an omitted node is not shown, but counts as the last
    ]
    assert len({line.find("t  ") for line in shown[-2:]} | {shown[-4].find("TEMPLATE")}) == 1


def test_members_of_a_step_group_stand_side_by_side_and_a_single_attempt_is_not_shown_twice(fleece: Fleece, tmp_path: Path) -> None:
    run(tmp_path, "w", **{"[0]": {"kind": "StepGroup"}, "a": {}, "b": {"kind": "Retry"}, "b(0)": {}})
    file = tmp_path / "runs/w/workflow.json"
    document = json.loads(file.read_text())
    nodes = {one["displayName"]: one for one in document["status"]["nodes"].values()}
    nodes["w"]["type"] = "Steps"
    nodes["[0]"]["children"] = [nodes["a"]["id"], nodes["b"]["id"]]
    nodes["b"]["children"] = [nodes["b(0)"]["id"]]
    file.write_text(json.dumps(document))
    tree = [line[:12].rstrip() for line in lines(fleece("get", "w", "-o", "short"))]
    assert tree == ["STEP", " ✔ w", " └─┬─✔ a", "   └─✔ b(0)"]


@pytest.mark.parametrize(("shape", "reads"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_get_prints_the_object_for_programs(fleece: Fleece, tmp_path: Path, shape: str, reads: Callable[[str], Any]) -> None:
    run(tmp_path, "w", a={})
    assert reads(fleece("get", "w", "-o", shape).output) == json.loads((tmp_path / "runs/w/workflow.json").read_text())


def test_get_of_the_latest_is_the_run_made_last(fleece: Fleece, tmp_path: Path) -> None:
    for name, made in (("b", 1), ("c", 3), ("a", 2)):
        run(tmp_path, name, made=made)
    assert fleece("get", "@latest", "-o", "name").output == "c\n"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], {"w", "a", "b"}),
        (["--status", "Failed"], {"b"}),
        (["--node-field-selector", "phase!=Failed,displayName=a"], {"a"}),
        (["--node-field-selector", "inputs.parameters.x.value=1"], {"b"}),
    ],
)
def test_get_shows_the_nodes_that_a_selector_chooses(fleece: Fleece, tmp_path: Path, options: list[str], shown: set[str]) -> None:
    run(tmp_path, "w", a={}, b={"phase": "Failed", "inputs": {"parameters": [{"name": "x", "value": "1"}]}})
    tree = lines(fleece("get", "w", "-o", "short", *options))[1:]
    assert {line.split("✔ ")[-1].split("✖ ")[-1].split()[0] for line in tree} == shown


def test_a_run_that_nobody_drives_is_interrupted_and_one_that_waits_is_suspended(fleece: Fleece, tmp_path: Path) -> None:
    run(tmp_path, "w", phase="Running", a={"kind": "Suspend", "phase": "Running"})
    assert "Status:              Running (Interrupted)" in lines(fleece("get", "w"))
    with driven(tmp_path, "w"):
        assert "Status:              Running (Suspended)" in lines(fleece("get", "w"))
        assert " └─ǁ a" in "\n".join(lines(fleece("get", "w")))


def test_list_shows_what_goes_on_first_then_what_ended_last(fleece: Fleece, tmp_path: Path) -> None:
    run(tmp_path, "old", made=0)
    run(tmp_path, "new", made=100, phase="Failed")
    run(tmp_path, "live", made=50, phase="Running", a={"phase": "Running"})
    shown = lines(fleece("list", "-o", "wide"))
    assert shown[0].split() == ["NAME", "STATUS", "AGE", "DURATION", "PRIORITY", "MESSAGE", "P/R/C", "PARAMETERS"]
    assert [line.split()[0] for line in shown[1:]] == ["live", "new", "old"]
    assert shown[3].split()[:6] == ["old", "Succeeded", "1h", "1m", "0", "0/0/0"]
    assert shown[3].endswith(f"who=world,long={'x' * 32}...e end of it all")
    assert "0/1/0" in shown[1]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--running"], ["live"]),
        (["--completed"], ["new", "old"]),
        (["--status", "Failed,Running"], ["live", "new"]),
        (["--prefix", "o"], ["old"]),
        (["-l", "team=a"], ["old"]),
        (["-l", "team!=a,!gone"], ["live", "new"]),
        (["--since", "59m"], ["new"]),
        (["--older", "58m"], ["old"]),
        (["--resubmitted"], []),
    ],
)
def test_list_filters_as_argo_does(fleece: Fleece, tmp_path: Path, options: list[str], names: list[str]) -> None:
    run(tmp_path, "old", made=0, labels={"team": "a"})
    run(tmp_path, "new", made=100, phase="Failed")
    run(tmp_path, "live", made=50, phase="Running")
    shown = fleece("list", "-o", "name", *options).output.split("\n")[:-1]
    assert shown == (names or ["No workflows found"])


def test_logs_have_the_step_before_every_line(fleece: Fleece, tmp_path: Path) -> None:
    run(tmp_path, "w", a={}, b={})
    assert lines(fleece("logs", "w")) == ["a: hello from a", "a: bye", "b: hello from b", "b: bye"]
    assert lines(fleece("logs", "@latest", "--tail", "1")) == ["a: bye", "b: bye"]
    assert lines(fleece("logs", "w", "b", "--grep", "^hel+o")) == ["b: hello from b"]
    assert lines(fleece("logs", "w", "b", "-f")) == ["b: hello from b", "b: bye"]


def test_delete_removes_a_run_and_what_it_owns(fleece: Fleece, tmp_path: Path) -> None:
    run(tmp_path, "w", a={})
    run(tmp_path, "other")
    folder = tmp_path / "objects/default/ConfigMap"
    folder.mkdir(parents=True)
    for owner in ("w", "other"):
        meta = {"name": f"of-{owner}", "namespace": "default", "uid": f"c-{owner}", "ownerReferences": [{"uid": owner}]}
        (folder / f"of-{owner}.json").write_text(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}))
    assert lines(fleece("delete", "w", "--dry-run")) == ["Workflow 'w' deleted (dry-run)"]
    assert lines(fleece("delete", "w")) == ["Workflow 'w' deleted"]
    assert not (tmp_path / "runs/w").exists()
    assert [file.name for file in folder.glob("*.json")] == ["of-other.json"]
    assert lines(fleece("delete", "--completed", "--older", "30m")) == ["Workflow 'other' deleted"]
    assert lines(fleece("delete", "--all")) == ["No resources found"]


def test_a_run_that_is_driven_is_not_deleted(fleece: Fleece, tmp_path: Path) -> None:
    run(tmp_path, "w", phase="Running")
    with driven(tmp_path, "w"):
        refused = fleece("delete", "--all")
    assert refused.exit_code == 64
    assert "`fleece stop w` first" in refused.output
    assert (tmp_path / "runs/w/workflow.json").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["get", "none"], "no run 'none'"),
        (["get", "w", "--node-field-selector", "phase"], "can't understand 'phase'"),
        (["get", "w", "--node-field-selector", "phase=a=b"], "'a=b' holds"),
        (["get", "w", "--status", "Failed", "--node-field-selector", "id=w"], "cannot use both"),
        (["list", "--since", "soon"], "--since 'soon' is no age"),
        (["list", "--running", "--completed"], "cannot be used together"),
        (["list", "-l", "a=("], "--selector 'a=('"),
        (["logs", "w", "none"], "no step 'none'; there are: a"),
        (["logs", "w", "--grep", "("], "--grep '('"),
        (["delete"], "say which"),
        (["get"], "Missing argument"),
    ],
)
def test_a_wrong_word_is_one_line_and_64(fleece: Fleece, tmp_path: Path, words: list[str], complaint: str) -> None:
    run(tmp_path, "w", a={})
    result = fleece(*words)
    assert result.exit_code == 64
    assert complaint in result.output
    assert len(result.output.splitlines()) == 1


class driven:
    """Somebody drives the run."""

    def __init__(self, home: Path, name: str) -> None:
        self.path = home / "runs" / name / "lock"

    def __enter__(self) -> None:
        self.lock = self.path.open("w")
        self.lock.write(str(os.getpid()))
        self.lock.flush()
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def __exit__(self, *error: object) -> None:
        self.lock.close()
