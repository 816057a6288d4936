"""The words of `fleece stop | suspend | node set …`, on runs that nobody drives."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines import cli


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with two runs that wait at a suspend node."""
    monkeypatch.setenv("FLEECE_HOME", str(tmp_path))
    for name in ("one", "two"):
        output = {"name": "answer", "valueFrom": {"supplied": {}}}
        ask = {"id": name, "name": name, "displayName": name, "type": "Suspend", "phase": "Running", "outputs": {"parameters": [output]}}
        meta = {"name": name, "namespace": "default", "labels": {"team": name}, "creationTimestamp": "2026-01-01T00:00:00Z"}
        status = {"phase": "Running", "nodes": {name: ask}}
        found = {"metadata": meta, "spec": {"entrypoint": "a", "templates": [{"name": "a", "suspend": {}}]}, "status": status}
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "workflow.json").write_text(json.dumps(found))
    return tmp_path


def fleece(*words: str) -> Result:
    return CliRunner().invoke(cli.main, words)


def stored(home: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "runs" / name / "workflow.json").read_text())
    return found


def test_suspend_takes_several_runs(home: Path) -> None:
    assert fleece("suspend", "one", "two").output == "workflow one suspended\nworkflow two suspended\n"
    assert stored(home, "two")["spec"]["suspend"] is True


def test_node_set_reads_a_quoted_value_as_go_does(home: Path) -> None:
    done = fleece("node", "set", "one", "--node-field-selector", "displayName=one", "-p", 'answer="a\\nb"', "-m", "said")
    assert (done.output, done.exit_code) == ("workflow values set\n", 0)
    node = stored(home, "one")["status"]["nodes"]["one"]
    assert (node["outputs"]["parameters"], node["message"]) == ([{"name": "answer", "value": "a\nb"}], "said")


def test_a_dry_run_stops_nothing(home: Path) -> None:
    assert fleece("stop", "-l", "team!=one", "--dry-run").output == "workflow two stopped (dry-run)\n"
    assert "shutdown" not in stored(home, "two")["spec"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stop",), "requires either selector or workflow"),
        (("terminate", "three"), "no run 'three' in"),
        (("stop", "one", "--node-field-selector", "one"), "can't understand 'one'"),
        (("node", "set", "one", "-p", "answer"), "is no NAME=VALUE"),
        (("resume", "one", "two"), "nobody drives one, two; continue them one at a time"),
        (("retry", "one"), "Cannot retry a workflow in phase Running"),
        (("resubmit", "one", "--memoized"), "workflow must be Failed/Error to resubmit in memoized mode"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_64(words: tuple[str, ...], said: str, home: Path) -> None:
    done = fleece(*words)
    assert said in done.stderr
    assert (done.exit_code, done.stderr.count("\n")) == (64, 1)
