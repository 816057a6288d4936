"""Every pod of a run and of its release is deleted the first time it runs: the run ends all the same, and nothing was done twice."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from kubernetes import client, watch

from tests.cluster import tenant, under_way
from tests.cluster.world import Object, World, nodes, outputs

NODE = "workflows.argoproj.io/node-name"


@dataclass
class Lost:
    """What was deleted, by the name of its node, and the uid of every JobSet that the run ever had."""

    nodes: list[str] = field(default_factory=list)
    jobsets: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def lost() -> Lost:
    return Lost()


@pytest.fixture(scope="module")
def run(world: World, lost: Lost) -> Object:
    """A run with promote=auto, under fire from beginning to end."""
    commit = tenant.configure(world, under_way.trains(int(time.time()) % 100_000), "lost")
    name = world.submit("finetune", {"promote": "auto", "config-ref": commit})
    with fire(world, name, lost):
        return world.succeeded(name, 2400)


@contextmanager
def fire(world: World, name: str, lost: Lost) -> Iterator[None]:
    """Delete each pod of the run's and its release's steps the first time it runs; note every JobSet that the run owns."""
    uid, over = world.workflow(name)["metadata"]["uid"], threading.Event()
    work = [
        partial(_shoot, world, world.tenant, name, lost, over),
        partial(_shoot, world, world.release, f"release-{uid}", lost, over),
        partial(_note, world, uid, lost, over),
    ]
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _shoot(world: World, room: str, name: str, lost: Lost, over: threading.Event) -> None:
    api = client.CoreV1Api(client.ApiClient(world.api.configuration))
    selector = f"workflows.argoproj.io/workflow={name}"
    while not over.is_set():
        for event in watch.Watch().stream(api.list_namespaced_pod, room, label_selector=selector, timeout_seconds=5):
            pod = event["object"]
            node = node_of((pod.metadata.annotations or {}).get("workflows.argoproj.io/node-name", ""))
            if node and node not in lost.nodes and pod.status.phase == "Running" and not pod.metadata.deletion_timestamp:
                lost.nodes.append(node)
                api.delete_namespaced_pod(pod.metadata.name, room)


def _note(world: World, uid: str, lost: Lost, over: threading.Event) -> None:
    api = client.CustomObjectsApi(client.ApiClient(world.api.configuration))
    where = (*under_way.JOBSET, world.tenant, "jobsets")
    while not over.is_set():
        for event in watch.Watch().stream(api.list_namespaced_custom_object, *where, timeout_seconds=5):
            metadata = event["object"]["metadata"]
            if uid in [owner["uid"] for owner in metadata.get("ownerReferences", [])]:
                lost.jobsets.add(metadata["uid"])


def node_of(name: str) -> str:
    """A node's name without the number of its attempt. Trainer pods have none: they are test_preemption's."""
    return re.sub(r"\(\d+\)$", "", name)


def versions_of(world: World, run: Object) -> list[str]:
    """Registered versions that this run made."""
    found = world.mlflow("model-versions/search", filter=f"name='{world.tenant}.support-triage.v1'", max_results="1000")
    tags = {one["version"]: {tag["key"]: tag["value"] for tag in one.get("tags", [])} for one in found["model_versions"]}
    return [version for version, of in tags.items() if of["run"] == outputs(nodes(run)["plan"])["run"]]


def test_every_pod_of_the_run_and_its_release_was_deleted_once(world: World, run: Object, lost: Lost) -> None:
    release = world.workflow(f"release-{run['metadata']['uid']}", world.release)
    both = [node for one in (run, release) for node in one["status"]["nodes"].values()]
    unseen = {node_of(node["name"]) for node in both if node["type"] == "Pod" and node["phase"] == "Succeeded"} - set(lost.nodes)
    print(f"{len(lost.nodes)} pods deleted; ended before they were seen running: {', '.join(sorted(unseen)) or 'none'}")
    assert len(lost.nodes) == len(set(lost.nodes)) >= 20
    assert len(unseen) <= 3


def test_one_jobset_was_ever_created(run: Object, lost: Lost) -> None:
    assert len(lost.jobsets) == 1
    assert outputs(nodes(run)["wait"])["restarts"] == "0"


def test_the_model_was_registered_once(world: World, run: Object) -> None:
    assert versions_of(world, run) == [outputs(nodes(run)["register"])["version"]]


def test_one_release_was_committed(world: World, run: Object) -> None:
    version = outputs(nodes(run)["register"])["version"]
    mine = [line for line in world.commits() if f".support-triage.v1:{version} " in line]
    assert len(mine) == 1, world.commits()
    assert outputs(nodes(run)["conclude"])["outcome"] == "released"
