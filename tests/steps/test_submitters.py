"""On a cluster nobody's word counts about who submitted a run but the cluster's own: the run's Workflow."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from steps import store, submitters
from steps.approve import approve
from steps.contracts import ApproveIn
from steps.faults import NotAllowed, Unavailable
from steps.release_request import ReleaseRequest
from steps.submitters import Workflow
from tests.steps.governed import ALICE, BOB, World

Change = Callable[[Workflow], Any]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch)
    world.on_cluster("bob", "carol", "alice")
    yield world
    world.close()


def asked(world: World, labels: dict[str, str] = ALICE) -> tuple[str, ReleaseRequest, Workflow]:
    """A request, its URI, and the Workflow that wrote it."""
    assert world.api
    where = world.requested(world.gated(risk="HIGH_RISK"), labels).request
    request = world.read(where)
    return where, request, world.api.workflows[request.tenant, request.workflow]


@pytest.mark.parametrize("labels", [ALICE, {}], ids=["a person", "a schedule"])
def test_a_request_that_its_workflow_bears_out_passes(world: World, labels: dict[str, str]) -> None:
    where, request, _ = asked(world, labels)
    submitters.check(where, request)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run["metadata"].update(uid="another"), "finetune-uid-1 of this request is gone, so nobody can see"),
        (lambda run: run["metadata"].update(labels=BOB), "says that alice submitted it, but bob submitted default/finetune-uid-1"),
        (lambda run: run["metadata"].pop("labels"), "says that alice submitted it, but a schedule submitted"),
        (lambda run: run["status"].update(nodes={}), "did not write file://"),
        (lambda run: run.pop("status"), "did not write file://"),
        (lambda run: the_node(run).update(phase="Failed"), "did not write file://"),
        (lambda run: the_node(run).update(templateName="evaluate"), "did not write file://"),
        (lambda run: the_node(run).pop("outputs"), "did not write file://"),
    ],
)
def test_a_workflow_that_says_otherwise(world: World, change: Change, said: str) -> None:
    where, request, run = asked(world)
    change(run)
    with pytest.raises(NotAllowed, match=said):
        submitters.check(where, request)


def the_node(run: Workflow) -> dict[str, Any]:
    return next(iter(run["status"]["nodes"].values()))


@pytest.mark.parametrize("name", ["", ".", "../../namespaces/other/workflows/x", "finetune-uid-2"])
def test_a_workflow_that_is_not_there(world: World, name: str) -> None:
    where, request, _ = asked(world)
    with pytest.raises(NotAllowed, match=r"is gone.*; submit the run again"):
        submitters.check(where, request.model_copy(update={"workflow": name}))


def test_a_request_that_names_the_run_of_somebody_else(world: World) -> None:
    """mallory's request with alice's Workflow in it, so that mallory could approve it."""
    where, request, _ = asked(world)
    forged = f"{request.run}/request/forged/request.json"
    store.create_json(forged, store.read_json(where))
    with pytest.raises(NotAllowed, match=r"did not write .*forged"):
        submitters.check(forged, request)


@pytest.mark.parametrize(
    ("status", "fault", "said"),
    [
        (403, NotAllowed, "may not read the Workflows of default"),
        (401, NotAllowed, "may not read the Workflows of default"),
        (503, Unavailable, "answered 503"),
    ],
)
def test_an_api_that_does_not_tell(world: World, status: int, fault: type[Exception], said: str) -> None:
    where, request, _ = asked(world)
    assert world.api
    world.api.status = status
    with pytest.raises(fault, match=said):
        submitters.check(where, request)


def test_a_lie_about_the_submitter_is_no_way_around_four_eyes(world: World) -> None:
    where, request, _ = asked(world, BOB)
    world.rewrite(where, submitter=request.submitter and request.submitter.model_copy(update={"sub": "alice"}).model_dump())
    labels = store.to_json(BOB).decode().replace("\n", "")
    with pytest.raises(NotAllowed, match="says that alice submitted it, but bob submitted"):
        approve(ApproveIn(request=where, digest=request.digest, decision="approve", reason="I looked at it", labels=labels, uid="u1"))
    assert [event["data"]["actor"]["sub"] for event in world.events("access.denied")] == ["bob"]
    assert not store.backend(request.run).names(f"{request.run}/approvals")


def test_on_one_machine_there_is_no_workflow_to_ask(world: World) -> None:
    where, request, run = asked(world)
    run["metadata"]["uid"] = "another"
    world.settings.delenv("KUBERNETES_SERVICE_HOST")
    submitters.check(where, request)
