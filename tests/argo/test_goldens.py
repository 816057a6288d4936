"""What the runner makes of small workflows, against what Argo 4.1.2 made of them on a real cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import documents, run
from pipelines.local.clock import SkippingClock
from pipelines.local.faults import Refused
from pipelines.local.objects import Objects
from tests.argo import compare

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
GOLDENS = sorted(path.relative_to(HERE).with_suffix("").as_posix() for area in ("control", "data") for path in (HERE / area).glob("*.yaml"))
WAITING = {  # their containers sleep for seconds
    *("control/009-dag-failfast-true", "control/010-dag-failfast-false", "control/082-loop-fail-no-continueon"),
    *("control/126-timeout-retry", "control/129-timeout-from-param", "control/190-mutex-template"),
    *("data/100-int-or-string", "data/264-expr-no-dep"),
}


def marked(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow) if name in WAITING else name


def parameters(text: str) -> dict[str, str]:
    """The `-p` of a recording: lines that begin with `#! `."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("#! "):
            found |= json.loads(line[3:]).get("parameters", {})
    return found


def with_logs(home: Path, workflow: dict[str, Any]) -> dict[str, Any]:
    shaped: dict[str, Any] = compare.simplify(workflow)
    for node in shaped["nodes"].values():
        log = home / "runs" / workflow["metadata"]["name"] / "nodes" / node["id"] / "main.log"
        if node["type"] == "Pod" and log.exists():
            node["log"] = log.read_text(errors="replace")
    return shaped


@pytest.mark.parametrize("name", [marked(name) for name in GOLDENS])
def test_a_workflow_ends_as_on_the_real_controller(name: str, tmp_path: Path) -> None:
    file, golden = HERE / f"{name}.yaml", json.loads((HERE / f"{name}.json").read_text())
    for document in documents.read(file):
        if document["kind"] in ("ConfigMap", "Secret"):
            Objects(tmp_path, "default").apply(document)
    options: dict[str, Any] = {"home": tmp_path, "templates": tmp_path / "none", "clock": SkippingClock()}
    if "refused" in golden:
        with pytest.raises(Refused):
            run.run(str(file), parameters(file.read_text()), **options)
        return
    workflow = run.run(str(file), parameters(file.read_text()), **options)
    if golden.get("never_ends"):
        assert workflow["status"]["phase"] == "Error"
        assert "this never ends on a cluster" in workflow["status"]["message"]
        return
    assert list(compare.differences(golden, with_logs(tmp_path, workflow))) == []
