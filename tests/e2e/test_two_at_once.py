"""Two runs at the same time."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PROJECT, Machine

pytestmark = pytest.mark.slow


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=900)
    assert out, err
    summary: dict[str, Any] = json.loads(out)
    return summary


def test_two_runs_with_the_same_inputs_train_once(machine: Machine) -> None:
    runs = [machine.start("run", "finetune", "--name", name, "--json") for name in ("left", "right")]
    summaries = [ended(run) for run in runs]
    assert [summary["phase"] for summary in summaries] == ["Succeeded", "Succeeded"]
    assert summaries[0]["model"]["digest"] == summaries[1]["model"]["digest"]
    created = [machine.phase(name, "create") for name in ("left", "right")]
    assert sorted(created) == ["Omitted", "Succeeded"]
    assert machine.stages() == {1: "Production"}
    assert machine.commits() == 1


def test_two_runs_of_one_model_with_other_inputs_end_with_one_version_in_production(machine: Machine, tmp_path: Path) -> None:
    """Both train the same model from other seeds. Whoever comes second to its promotion was never compared with the first."""
    repository = tmp_path / "configs"
    shutil.copytree(PROJECT / "configs" / "demo", repository / "configs" / "demo")
    shutil.copy(repository / "configs/demo/run.yaml", repository / "configs/demo/other.yaml")
    other = repository / "configs/demo/other.yaml"
    other.write_text(other.read_text().replace("seed: 42", "seed: 7", 1))
    arguments = ("-p", f"config-repo={repository}", "--json")
    runs = [
        machine.start("run", "finetune", "--name", "left", *arguments),
        machine.start("run", "finetune", "--name", "right", "-p", "config=configs/demo/other.yaml", *arguments),
    ]
    summaries = [ended(run) for run in runs]
    phases = sorted(summary["phase"] for summary in summaries)
    assert phases in (["Failed", "Succeeded"], ["Succeeded", "Succeeded"])
    assert summaries[0]["model"]["digest"] != summaries[1]["model"]["digest"]
    for summary in summaries:
        assert summary["phase"] == "Succeeded" or any(one["name"].startswith("promote") for one in summary["failed"])
    assert list(machine.stages().values()).count("Production") == 1
