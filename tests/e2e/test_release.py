"""What follows a finished run: a person's decision, a schedule without news, other environments, and the way back."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PROJECT, Machine

pytestmark = pytest.mark.slow
Finished = tuple[Machine, dict[str, Any]]
RELEASES = ("-n", "default-release", "-p", "model-id=default.support-triage.v1")


def states(machine: Machine, name: str) -> dict[str, str]:
    return {node["displayName"]: node["phase"] for node in machine.workflow(name)["status"]["nodes"].values()}


def test_a_request_without_a_decision_waits_and_holds_nothing(finished: Finished) -> None:
    machine, _ = finished
    waiting = machine.run("run", "finetune", "--name", "waiting", "-p", "promote=ask")
    assert waiting["phase"] == "Succeeded"
    assert waiting["release"]["state"] == "ask"
    assert states(machine, "waiting")["release"] == "Skipped"


def test_an_approval_lets_it_out(finished: Finished) -> None:
    machine, first = finished
    approved = machine.run("run", "finetune", "--name", "approved", "-p", "promote=ask", "--approve", "the numbers look right to me")
    assert approved["phase"] == "Succeeded"
    assert approved["release"]["state"] == "live"
    assert approved["release"]["endpoint"] == first["release"]["endpoint"]
    records = list((machine.home / "store" / "runs").glob("*/approvals/*.json"))
    assert len(records) == 1


def test_a_run_that_waited_is_approved_later_with_what_it_asks_for_before_ones_eyes(finished: Finished) -> None:
    machine, first = finished
    decided = machine.fleece("approve", "waiting", "--reason", "the numbers look right to me")
    assert decided.returncode == 0, decided.stderr
    assert "the run was submitted with promote=ask" in decided.stdout
    assert first["model"]["digest"] in decided.stdout
    assert "live at http://127.0.0.1:" in decided.stdout


def test_a_run_that_waits_for_nobody_cannot_be_approved(finished: Finished) -> None:
    refused = finished[0].fleece("approve", "@latest", "--reason", "the numbers look right to me")
    assert refused.returncode == 64
    assert "it is a run of approve, and only finetune asks for a release" in refused.stderr


def test_a_reason_that_says_nothing_is_no_approval(finished: Finished) -> None:
    ended = finished[0].fleece("run", "finetune", "-p", "promote=ask", "--approve", "ok")
    assert ended.returncode == 64
    assert "at least 10 characters" in ended.stderr


def test_a_schedule_without_news_ends_at_once_with_the_reason(finished: Finished) -> None:
    machine, _ = finished
    ended = machine.run("run", "retrain", "--name", "scheduled")
    assert ended["phase"] == "Succeeded"
    assert "same data" in ended["plan"]["reason"]
    assert states(machine, "scheduled")["validate"] == "Skipped"
    assert {step["name"] for step in ended["steps"]} <= {"plan", "state", "delete"}


def test_any_model_can_be_measured(finished: Finished) -> None:
    machine, _ = finished
    base = f"file://{machine.home}/store/bases/demo-llama"
    ended = machine.run("run", "evaluate", "--name", "measured", "-p", f"model={base}")
    assert ended["phase"] == "Succeeded"
    assert "evaluate" in {step["name"] for step in ended["steps"]}


def test_the_version_in_production_goes_to_another_environment_as_a_commit(finished: Finished) -> None:
    machine, _ = finished
    before = machine.commits()
    ended = machine.run("run", "deploy", "--name", "elsewhere", *RELEASES, "-p", "environment=commit-only")
    assert ended["release"]["state"] == "committed"
    assert machine.commits() == before + 1


def test_a_better_version_takes_over_and_a_rollback_brings_the_first_one_back(finished: Finished, tmp_path: Path) -> None:
    machine, first = finished
    shutil.copytree(PROJECT / "configs" / "demo", tmp_path / "configs" / "demo")
    run_file = tmp_path / "configs/demo/run.yaml"
    run_file.write_text(run_file.read_text().replace("seed: 42", "seed: 7", 1))
    second = machine.run("run", "finetune", "--name", "other-seed", "-p", f"config-repo={tmp_path}")
    assert second["model"]["version"] == 2
    assert second["model"]["digest"] != first["model"]["digest"]
    assert machine.stages() == {1: "Archived", 2: "Production"}
    back = machine.run("run", "rollback", "--name", "back", *RELEASES, "-p", "environment=local", "-p", "reason=the second one is slower")
    assert back["release"]["state"] == "live"
    assert machine.stages()[1] == "Production"
    assert list(machine.stages().values()).count("Production") == 1
