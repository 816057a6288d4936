"""SIGKILL of the runner, of a step, of one trainer process: `fleece resume` ends with the same model, and nothing happens twice."""

import os
import signal
import subprocess
from typing import Any

import pytest

from tests.e2e.conftest import Machine

pytestmark = pytest.mark.slow


def same_end(machine: Machine, first: dict[str, Any], ended: dict[str, Any]) -> None:
    assert ended["phase"] == "Succeeded"
    assert ended["model"]["digest"] == first["model"]["digest"]
    assert machine.stages() == {1: "Production"}
    assert machine.commits() == 1


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def killed(machine: Machine, process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
    assert machine.phase("cut", "plan") == "Succeeded"


@pytest.mark.parametrize("task", ["validate", "follow", "merge", "document"])
def test_the_runner_is_killed_and_the_run_goes_on(machine: Machine, finished: tuple[Machine, dict[str, Any]], task: str) -> None:
    process = machine.start("run", "finetune", "--name", "cut", "--json")
    machine.wait_for(lambda: machine.phase("cut", task) == "Running", process)
    killed(machine, process)
    same_end(machine, finished[1], machine.run("resume", "cut"))


def test_the_runner_is_killed_during_the_release(machine: Machine, finished: tuple[Machine, dict[str, Any]]) -> None:
    process = machine.start("run", "finetune", "--name", "cut", "--json")

    def promoting() -> bool:
        uid = machine.workflow("cut").get("metadata", {}).get("uid", "")
        return machine.phase(f"release-{uid}", "promote") == "Running"

    machine.wait_for(promoting, process)
    killed(machine, process)
    same_end(machine, finished[1], machine.run("resume", "cut"))


def test_a_trainer_process_is_killed_and_the_gang_starts_again(machine: Machine, finished: tuple[Machine, dict[str, Any]]) -> None:
    process = machine.start("run", "finetune", "--name", "cut", "--json")
    machine.wait_for(lambda: any((machine.home / "store" / "runs").glob("*/train/checkpoints/*/manifest.json")), process)
    workers = machine.processes("steps.train.worker")
    assert workers
    kill(workers[0])
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err + out
    same_end(machine, finished[1], machine.run("show", "cut"))


def test_a_step_is_killed_and_tried_again_or_resumed(machine: Machine, finished: tuple[Machine, dict[str, Any]]) -> None:
    process = machine.start("run", "finetune", "--name", "cut", "--json")
    machine.wait_for(lambda: bool(machine.processes("-m steps.merge")), process)
    for pid in machine.processes("-m steps.merge"):
        kill(pid)
    process.communicate(timeout=600)
    again = machine.run("resume", "cut") if process.returncode else machine.run("show", "cut")
    same_end(machine, finished[1], again)
