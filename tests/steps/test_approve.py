"""An approval is a person's own, about one request and one digest, and it is written once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steps import approvals, store
from steps.approve import approve
from steps.contracts import ApproveIn
from steps.faults import BadInput, NotAllowed
from tests.steps.governed import ALICE, BOB, CAROL, Gated, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch)
    world.on_cluster("bob", "carol", "alice")
    yield world
    world.close()


def decides(world: World, made: Gated, request: str, labels: dict[str, str], **flags: Any) -> ApproveIn:
    known: dict[str, Any] = {
        "request": request,
        "digest": made.digest,
        "decision": "approve",
        "reason": "I looked at the report",
        "uid": "u1",
    }
    return ApproveIn(**{**known, "labels": store.to_json(labels).decode().replace("\n", ""), **flags})


def asked(world: World, risk: str = "HIGH_RISK", labels: dict[str, str] = ALICE) -> tuple[Gated, str]:
    made = world.gated(risk=risk)
    return made, world.requested(made, labels).request


def test_an_approval_is_signed_and_bound(world: World) -> None:
    made, request = asked(world)
    signed = approvals.signed(approve(decides(world, made, request, BOB)).approval)
    assert (signed.request, signed.digest, signed.approver.sub, signed.decision) == (request, made.digest, "bob", "approve")
    assert (signed.expires - signed.at).days == 7
    assert [event["data"]["actor"]["sub"] for event in world.events("approval.granted")] == ["bob"]


def test_a_reject_is_recorded_once(world: World) -> None:
    made, request = asked(world)
    for _ in range(2):
        assert approve(decides(world, made, request, BOB, decision="reject")).approval == f"{made.run}/approvals/u1.json"
    assert len(world.events("approval.denied")) == 1
    assert approvals.signed(f"{made.run}/approvals/u1.json").decision == "reject"


@pytest.mark.parametrize(
    ("labels", "flags", "fault", "said"),
    [
        (BOB, {"digest": f"sha256:{'0' * 64}"}, BadInput, "give the digest it shows"),
        ({}, {}, NotAllowed, "no creator label"),
        ({"workflows.argoproj.io/creator": "mallory"}, {}, NotAllowed, "mallory is no approver"),
        (ALICE, {}, NotAllowed, "four eyes: alice submitted"),
        (BOB, {"uid": "../../x"}, BadInput, "no name of an object"),
    ],
)
def test_who_may_not_decide_leaves_no_record(world: World, labels: dict[str, str], flags: Any, fault: type[Exception], said: str) -> None:
    made, request = asked(world)
    with pytest.raises(fault, match=said):
        approve(decides(world, made, request, labels, **flags))
    assert not store.backend(made.run).names(f"{made.run}/approvals")


def test_a_refused_approver_is_in_the_audit_log(world: World) -> None:
    made, request = asked(world)
    with pytest.raises(NotAllowed):
        approve(decides(world, made, request, ALICE))
    assert world.events("access.denied")[0]["data"]["actor"]["sub"] == "alice"


def test_a_repeated_step_finds_its_own_record_and_no_other(world: World) -> None:
    made, request = asked(world)
    first = approve(decides(world, made, request, BOB))
    assert approve(decides(world, made, request, BOB)) == first
    with pytest.raises(NotAllowed, match="records another decision"):
        approve(decides(world, made, request, CAROL))
    assert len(world.events("approval.granted")) == 1


def test_on_this_machine_one_person_decides_for_the_classes_that_need_one(world: World) -> None:
    world.settings.delenv("KUBERNETES_SERVICE_HOST")
    made, request = asked(world, "GENERAL_PURPOSE")
    assert approvals.signed(approve(decides(world, made, request, ALICE)).approval).approver.how == "cli-local"


def test_on_this_machine_nobody_decides_about_high_risk(world: World) -> None:
    world.settings.delenv("KUBERNETES_SERVICE_HOST")
    made, request = asked(world, "HIGH_RISK")
    with pytest.raises(NotAllowed, match="authenticates nobody"):
        approve(decides(world, made, request, ALICE))
