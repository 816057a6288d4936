"""The whole pipeline on one machine: the compiled `finetune`, real parts, from data to a probed endpoint."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Machine

pytestmark = pytest.mark.slow
Finished = tuple[Machine, dict[str, Any]]


def test_the_run_succeeds_and_the_tuned_model_is_in_production(finished: Finished) -> None:
    machine, summary = finished
    assert summary["phase"] == "Succeeded"
    assert summary["failed"] == []
    assert summary["model"]["status"] == "VALIDATED"
    assert machine.stages() == {1: "Production"}


def test_the_base_model_fails_the_task_and_the_tuned_one_has_learnt_it(finished: Finished) -> None:
    findings = {finding["rule"]: finding for finding in finished[1]["gate"]["findings"]}
    assert findings["learnt"]["reference"] <= 0.05
    assert findings["learnt"]["candidate"] >= 0.95
    assert findings["learnt"]["low"] > 0.5
    assert finished[1]["gate"]["verdict"] == "promote"


def test_training_was_a_gang_of_two_and_its_loss_fell(finished: Finished) -> None:
    machine, summary = finished
    curve = summary["training"]["curve"]
    assert len(curve) > 10
    assert curve[-1] < curve[0] / 2
    trained = next((machine.home / "store" / "runs").glob("*/trained/manifest.json"))
    assert json.loads(trained.read_text())["about"]["world_size"] == 2


def test_the_endpoint_still_answers_after_the_run(finished: Finished) -> None:
    endpoint = finished[1]["release"]["endpoint"]
    prompt = finished[1]["release"]["probe"]["prompt"]
    body = json.dumps({"model": "x", "messages": [{"role": "user", "content": prompt}], "max_tokens": 16, "temperature": 0}).encode()
    url = f"{endpoint.rstrip('/')}/chat/completions"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - a loopback address
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - a loopback address
        assert json.load(answer)["choices"][0]["message"]["content"].strip() == finished[1]["release"]["probe"]["answer"].strip()


def test_every_step_that_the_runner_reports_done_left_its_record(finished: Finished) -> None:
    for path in finished[1]["workflows"]:
        for node in json.loads(Path(path).read_text())["status"]["nodes"].values():
            outputs = {one["name"]: one["value"] for one in node.get("outputs", {}).get("parameters", [])}
            if node["type"] == "Pod" and "result" in outputs:
                assert Path(outputs["result"].removeprefix("file://")).is_file(), node["displayName"]


def test_cards_and_reports_lie_where_the_summary_says(finished: Finished) -> None:
    _, summary = finished
    for place in (summary["data"]["report"], summary["gate"]["report"], summary["model"]["card"]):
        assert Path(place).stat().st_size > 500, place


def test_no_training_text_and_no_prompt_is_in_any_log(finished: Finished) -> None:
    machine, summary = finished
    prompt = summary["release"]["probe"]["prompt"]
    sentence = max(prompt.replace("\n", ".").split("."), key=len).strip()
    for log in [*machine.home.glob("runs/*/nodes/*/main.log"), *machine.home.glob("gangs/**/*.log")]:
        assert sentence not in log.read_text(errors="replace"), log


def test_the_audit_chain_of_the_run_is_whole(finished: Finished) -> None:
    from steps import audit

    machine, _ = finished
    assert audit.verify(f"file://{machine.home}/store") == []


def test_a_second_run_trains_nothing_and_says_what_it_reused(finished: Finished) -> None:
    machine, first = finished
    commits = machine.commits()
    second = machine.run("run", "finetune", "--name", "second")
    assert second["phase"] == "Succeeded"
    assert second["model"]["digest"] == first["model"]["digest"]
    reused = {step["name"] for step in second["steps"] if step["reused"]}
    assert {"validate", "prepare", "collect", "merge", "evaluate-baseline", "evaluate-candidate"} <= reused
    assert machine.workflow("second")["status"]["phase"] == "Succeeded"
    assert machine.phase("second", "create") == "Omitted"
    assert machine.stages() == {1: "Production"}
    assert machine.commits() == commits
