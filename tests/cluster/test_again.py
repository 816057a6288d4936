"""A run that failed at `evaluate` is continued by a resubmission: nothing that was done is done again."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cluster import tenant
from tests.cluster.world import Object, World, nodes, outputs, phase, reused

DONE_BEFORE = {"validate", "prepare", "collect", "merge", "evaluate-baseline"}


class Broken(NamedTuple):
    """A run whose held-out items were deleted from the store before its candidate was measured, and that has them again."""

    workflow: Object
    run: str


@pytest.fixture(scope="module")
def broken(world: World) -> Broken:
    commit = tenant.configure(world, tenant.reseeded(int(time.time()) % 100_000), "again")
    name = world.submit("finetune", {"promote": "never", "config-ref": commit})
    now = world.wait(name, lambda now: phase(now) in ("Failed", "Error") or succeeded(now, "evaluate-baseline", "train"))
    run, prepared = outputs(nodes(now)["plan"])["run"], outputs(nodes(now)["prepare"])["prepared"]
    items = next(path for path in world.names(f"runs/{run.rpartition('/')[2]}/prepared/test-"))
    content = world.read(items)
    world.delete(items)
    ended = world.wait(name)
    world.write(items, content)
    assert prepared in f"{run}/prepared"
    return Broken(ended, run)


def test_it_fails_at_evaluate_and_says_why(world: World, broken: Broken) -> None:
    assert phase(broken.workflow) == "Failed"
    candidate = nodes(broken.workflow)["evaluate-candidate"]
    assert candidate["phase"] == "Failed"
    assert "evaluate-candidate(1)" not in nodes(broken.workflow)  # nothing to be gained by trying again
    assert "test-" in world.logs(broken.workflow["metadata"]["name"], "evaluate-candidate")


def test_fleece_resubmit_goes_on_from_there(world: World, broken: Broken, tmp_path: Path) -> None:
    given = [sys.executable, "-m", "pipelines.cli", "resubmit", "--cluster", broken.workflow["metadata"]["name"]]
    goes_on(world, broken, resubmitted(world, given, world.kubeconfig("alice", tmp_path)))


@pytest.mark.skipif(not shutil.which("argo"), reason="the argo program is not on PATH")
def test_argo_resubmit_goes_on_from_there(world: World, broken: Broken, tmp_path: Path) -> None:
    given = ["argo", "resubmit", "-n", world.tenant, broken.workflow["metadata"]["name"]]
    goes_on(world, broken, resubmitted(world, given, world.kubeconfig("alice", tmp_path)))


def goes_on(world: World, broken: Broken, name: str) -> None:
    ended = world.succeeded(name)
    assert outputs(nodes(ended)["plan"])["run"] == broken.run
    assert reused(ended) >= DONE_BEFORE
    assert outputs(nodes(ended)["render"])["needed"] == "no"
    assert nodes(ended)["create"]["phase"] == "Omitted"
    made = world.custom.list_namespaced_custom_object("jobset.x-k8s.io", "v1alpha2", world.tenant, "jobsets")["items"]
    assert f"ft-{ended['metadata']['uid']}" not in {jobset["metadata"]["name"] for jobset in made}


def resubmitted(world: World, command: list[str], kubeconfig: Path) -> str:
    before = set(world.workflows())
    done = subprocess.run(
        command, env=os.environ | {"KUBECONFIG": str(kubeconfig)}, cwd=tenant.PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (name,) = set(world.workflows()) - before
    return name


def succeeded(workflow: Object, *tasks: str) -> bool:
    return all(nodes(workflow).get(task, {}).get("phase") == "Succeeded" for task in tasks)
