"""What the policies let through: how people and schedules really start, stop and repeat runs, by API, `argo`, `kubectl` and `fleece`.

The runs name a run file that is not there, so each that starts ends in its first step.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes import client

from pipelines.cluster.api import Api, path
from tests.cluster.attacking import ARGO, CREATOR, Object, create, honest, patch, person
from tests.cluster.world import World, nodes, phase

Submit = Callable[[World, dict[str, str]], str]
Again = Callable[[dict[str, str], str], str]
NOTHING = "config=configs/not-there.yaml"


@pytest.fixture(scope="module")
def alice(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Her environment: a kubeconfig with her token, as her cluster gave it to her."""
    folder = tmp_path_factory.mktemp("alice")
    programs = ":".join(map(str, {Path(sys.executable).parent, *_paths()}))
    return {"KUBECONFIG": str(world.kubeconfig("alice", folder)), "HOME": str(folder), "PATH": programs}


def _paths() -> list[Path]:
    return [Path(found).parent for name in ("argo", "kubectl", "git") if (found := shutil.which(name))]


def run(environment: dict[str, str], *command: str, given: str = "") -> str:
    if not shutil.which(command[0], path=environment["PATH"]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fleece(environment: dict[str, str], *words: str) -> str:
    return run(environment | {"FLEECE_CLUSTER": "1"}, sys.executable, "-m", "pipelines.cli", *words)


def by_api(world: World, alice: dict[str, str]) -> str:
    return str(create(person(world, "alice"), world.tenant, {**honest(world, "alice"), **ended()})["metadata"]["name"])


def by_kubectl(world: World, alice: dict[str, str]) -> str:
    return run(
        alice, "kubectl", "create", "-f", "-", "-o", "jsonpath={.metadata.name}", given=json.dumps({**honest(world, "alice"), **ended()})
    )


def by_argo(world: World, alice: dict[str, str]) -> str:
    return run(alice, "argo", "submit", "--from", "workflowtemplate/finetune", "-p", NOTHING, "-l", "team=blue", "-o", "name").strip()


def by_fleece(world: World, alice: dict[str, str]) -> str:
    return fleece(alice, "submit", "finetune", "-p", NOTHING, "-o", "name").strip()


def ended() -> Object:
    name, value = NOTHING.split("=")
    return {"spec": {"workflowTemplateRef": {"name": "finetune"}, "arguments": {"parameters": [{"name": name, "value": value}]}}}


@pytest.mark.parametrize("submitted", [by_api, by_kubectl, by_argo, by_fleece])
def test_a_run_is_submitted_under_the_name_of_who_asks(world: World, alice: dict[str, str], submitted: Submit) -> None:
    name = submitted(world, alice).rpartition("/")[2]
    run = world.wait(name, until=lambda now: bool(now.get("status", {}).get("nodes")), seconds=60)
    assert run["metadata"]["labels"][CREATOR] == world.creator("alice")
    assert "plan" in nodes(run)
    patch(person(world, "mallory"), world.tenant, name, {"spec": {"shutdown": "Terminate"}})
    assert phase(world.wait(name, seconds=90)) in ("Failed", "Error")


def test_a_schedule_submits_without_a_creator(world: World) -> None:
    every = {
        "metadata": {"name": "every-minute"},
        "spec": {"schedules": ["* * * * *"], "workflowSpec": ended()["spec"]},
    }
    admin = Api(world.api)
    admin.call("POST", path(ARGO, "cronworkflows", world.tenant), {"apiVersion": ARGO, "kind": "CronWorkflow", **every})
    try:
        deadline = time.monotonic() + 90
        while not (found := _of_schedule(world)):
            assert time.monotonic() < deadline, "the schedule did not fire"
            time.sleep(1)
        made = found[0]
        assert CREATOR not in made["metadata"]["labels"]
        assert made["metadata"]["labels"]["workflows.argoproj.io/cron-workflow"] == "every-minute"
    finally:
        admin.call("DELETE", path(ARGO, "cronworkflows", world.tenant, "every-minute"))  # and its runs with it


def _of_schedule(world: World) -> list[Object]:
    found = client.CustomObjectsApi(world.api).list_namespaced_custom_object(
        "argoproj.io", "v1alpha1", world.tenant, "workflows", label_selector="workflows.argoproj.io/cron-workflow=every-minute"
    )
    return list(found["items"])


@pytest.fixture
def suspended(world: World) -> str:
    made = create(person(world, "alice"), world.tenant, honest(world, "alice"))
    return str(world.wait(made["metadata"]["name"], until=lambda now: "startedAt" in now.get("status", {}), seconds=60)["metadata"]["name"])


def test_fleece_resumes_suspends_and_stops(world: World, alice: dict[str, str], suspended: str) -> None:
    for command in ("resume", "suspend", "resume", "stop"):
        fleece(alice, command, suspended)
    assert phase(world.wait(suspended, seconds=90)) == "Failed"


def test_argo_resumes_suspends_and_terminates(world: World, alice: dict[str, str], suspended: str) -> None:
    for command in ("resume", "suspend", "resume", "terminate"):
        run(alice, "argo", command, suspended)
    assert phase(world.wait(suspended, seconds=90)) == "Failed"


def again_by_argo(alice: dict[str, str], name: str) -> str:
    return run(alice, "argo", "resubmit", name, "-o", "name")


def again_by_fleece(alice: dict[str, str], name: str) -> str:
    return fleece(alice, "resubmit", name, "-o", "name")


@pytest.mark.parametrize("again", [again_by_argo, again_by_fleece])
def test_a_stopped_run_is_submitted_again(world: World, alice: dict[str, str], suspended: str, again: Again) -> None:
    patch(person(world, "mallory"), world.tenant, suspended, {"spec": {"shutdown": "Terminate", "suspend": None}})
    world.wait(suspended, seconds=90)
    made = world.workflow(again(alice, suspended).strip().rpartition("/")[2])
    assert made["metadata"]["labels"][CREATOR] == world.creator("alice")
    assert made["metadata"]["labels"]["workflows.argoproj.io/resubmitted-from-workflow"] == suspended
    patch(person(world, "alice"), world.tenant, made["metadata"]["name"], {"spec": {"shutdown": "Terminate"}})


def test_labels_and_annotations_of_ones_own_come_and_go(world: World, suspended: str) -> None:
    mallory = person(world, "mallory")
    mine = {"labels": {"team": "blue"}, "annotations": {"example.org/why": "a test"}}
    assert patch(mallory, world.tenant, suspended, {"metadata": mine})["metadata"]["labels"]["team"] == "blue"
    patch(mallory, world.tenant, suspended, {"metadata": {"labels": {"team": None}}, "spec": {"shutdown": "Stop"}})
