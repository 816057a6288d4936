"""A person's decision about a release, on the real cluster: who may make it, what it must be about, and that one record comes of it.

One run asks (submitted by mallory, promote=ask). For its time MINIMAL models need the approvals of two people, as HIGH_RISK ones do; alice,
bob and mallory are on the policy's list, carol may start `approve` and is not on it.
"""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from kubernetes import client

from pipelines.cluster.api import Api, path
from steps import signing, store
from tests.cluster.attacking import ARGO, account, create
from tests.cluster.deciding import (
    REASON,
    Asked,
    by_argo,
    by_fleece,
    decide,
    decided,
    fault,
    here,
    named,
    on_a_terminal,
    records,
    run_of,
    said,
    statement,
)  # fmt: skip
from tests.cluster.world import Object, World, nodes, outputs, phase, workflow
from tests.e2e.conftest import Machine

ELSE = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def strict(world: World, finished: Object) -> Iterator[World]:
    """The tenant with a policy of two approvals and four eyes, once its first run is out; afterwards it is as it was."""
    people = ["alice", "bob", "mallory"]
    before = {room: world.core.read_namespaced_config_map("fleece-policies", room).data for room in (world.tenant, world.release)}
    risk = yaml.safe_load(before[world.release]["risk.yaml"])
    risk["classes"]["MINIMAL"] |= {"approvals": 2, "four_eyes": True}
    approvers = {"apiVersion": "approvers/v1", "valid_days": 7, "tenants": {world.tenant: [world.creator(name) for name in people]}}
    policies = {"risk.yaml": yaml.safe_dump(risk), "approvers.yaml": yaml.safe_dump(approvers)}
    for room in before:
        world.core.patch_namespaced_config_map("fleece-policies", room, {"data": policies})
    world.core.create_namespaced_service_account(world.services, {"metadata": {"name": "carol"}})
    rights = client.RbacAuthorizationV1Api(world.api)
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": world.services} for name in (*people, "carol")]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "approver"}
    rights.create_namespaced_role_binding(world.release, {"metadata": {"name": "test-deciding"}, "roleRef": role, "subjects": subjects})
    yield world
    rights.delete_namespaced_role_binding("test-deciding", world.release)
    world.core.delete_namespaced_service_account("carol", world.services)
    for room, policy in before.items():
        world.core.patch_namespaced_config_map("fleece-policies", room, {"data": policy})


def asks(world: World, promote: str) -> Asked:
    run = world.succeeded(world.submit("finetune", {"promote": promote}, as_="mallory"))
    requested = nodes(run)["request"]
    return Asked(run, outputs(requested)["request"], next(p["value"] for p in requested["inputs"]["parameters"] if p["name"] == "digest"))


@pytest.fixture(scope="module")
def asked(strict: World) -> Asked:
    """Everything of it but the request is found as the first run left it."""
    return asks(strict, "ask")


def test_the_run_does_not_wait(strict: World, asked: Asked) -> None:
    assert phase(asked.run) == "Succeeded"
    assert outputs(nodes(asked.run)["conclude"])["outcome"] == "waiting for approval"
    assert nodes(asked.run)["release"]["phase"] == "Skipped"
    pods = strict.pods(f"workflows.argoproj.io/workflow={asked.run['metadata']['name']}")
    assert not [pod.metadata.name for pod in pods if pod.status.phase in ("Running", "Pending")]


def elsewhere(world: World, asked: Asked) -> str:
    """The request at another place of the store, where anybody could have put it."""
    copy = f"{asked.request.rpartition('/runs/')[0]}/runs/0123456789abcdef/request/0/request.json"
    world.write(copy, world.read(asked.request))
    return copy


def forged(world: World, asked: Asked) -> str:
    """In the same run's folder, and alice is said to have submitted it, so that mallory could approve."""
    copy, content = f"{asked.request.rpartition('/request/')[0]}/request/forged/request.json", world.read_json(asked.request)
    content["submitter"]["sub"] = world.creator("alice")
    world.write(copy, json.dumps(content).encode())
    return copy


def copied(world: World, asked: Asked) -> str:
    """As it is, in the same run's folder, but no step of the run wrote it there."""
    copy = f"{asked.request.rpartition('/request/')[0]}/request/copied/request.json"
    world.write(copy, world.read(asked.request))
    return copy


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "the submitter": ("mallory", {}, "77 approve: four eyes: "),
    "a person who is not on the list": ("carol", {}, "77 approve: .* is no approver of tenant"),
    "another digest": ("bob", {"digest": ELSE}, "64 approve: the request is about sha256:.*, not sha256:0"),
    "a reason that says nothing": ("bob", {"reason": "ok"}, "64 approve: --reason "),
    "a reason that would be somebody's labels": (
        "mallory",
        {"reason": '--labels={"workflows.argoproj.io/creator":"alice"}'},
        "77 approve: four eyes: .*mallory submitted",
    ),
    "a request at another place": ("bob", {"request": elsewhere}, "77 approve: .*whose requests lie elsewhere"),
    "a request that no step wrote": ("bob", {"request": copied}, "77 approve: .* did not write "),
    "a request that names another submitter": ("mallory", {"request": forged}, "77 approve: the request says that .*alice submitted it"),
}


@pytest.fixture(scope="module")
def refused(strict: World, asked: Asked) -> dict[str, str]:
    """All of them, started together."""
    given = {
        what: {key: value(strict, asked) if callable(value) else value for key, value in row[1].items()} for what, row in REFUSED.items()
    }
    return {what: decide(strict, REFUSED[what][0], asked, **fields) for what, fields in given.items()}


@pytest.mark.parametrize("what", REFUSED)
def test_no_decision_is_taken_from(strict: World, asked: Asked, refused: dict[str, str], what: str) -> None:
    ended = decided(strict, refused[what])
    assert re.match(REFUSED[what][2], fault(strict, ended, "approve"))
    assert nodes(ended)["verify"]["phase"] == "Omitted"
    assert not [name for name in records(strict, asked) if ended["metadata"]["uid"] in name]


def test_a_release_that_was_started_without_approvals_lets_nothing_out(strict: World, asked: Asked) -> None:
    """As the launcher could, whose token is in the pods of resource steps."""
    made = workflow("release", {"request": asked.request}, {}, f"release-{asked.run['metadata']['uid']}")
    create(account(strict, strict.tenant, "launcher"), strict.release, made)
    ended = decided(strict, made["metadata"]["name"])
    assert fault(strict, ended, "verify").startswith("77 verify: 0 of 2 approvals are there")
    assert nodes(ended)["let-out"]["phase"] == "Omitted"


class Taken(NamedTuple):
    """bob's approval, given by argo where it is installed."""

    ended: Object
    said: Object


@pytest.fixture(scope="module")
def first(strict: World, asked: Asked, refused: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Taken:
    ended = decided(strict, by_argo(strict, asked, tmp_path_factory.mktemp("bob")))
    return Taken(ended, said(strict, ended))


def test_one_of_two_is_not_enough(strict: World, first: Taken) -> None:
    assert nodes(first.ended)["approve"]["phase"] == "Succeeded"
    assert fault(strict, first.ended, "verify").startswith("77 verify: 1 of 2 approvals are there")
    assert first.said["predicate"]["approver"]["sub"] == strict.creator("bob")
    assert first.said["predicate"]["submitter"]["sub"] == strict.creator("mallory")


def test_records_that_do_not_count(strict: World, asked: Asked, first: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """alice's name on them: one is signed with the real key and expired, one is about another digest, one is signed with another key."""
    key = strict.core.read_namespaced_secret("fleece-signing", strict.release).data["key.pem"]
    (tmp_path / "key.pem").write_bytes(base64.b64decode(key))
    signing.keypair(tmp_path / "other")
    now = datetime.now(UTC).replace(microsecond=0)
    hers = first.said["predicate"] | {"approver": {"sub": strict.creator("alice"), "email": "", "how": "service-account"}}
    late = {"at": (now - timedelta(days=8)).isoformat(), "expires": (now - timedelta(days=1)).isoformat()}
    for name, change, signer in (("late", late, "key.pem"), ("other", {"digest": ELSE}, "key.pem"), ("made-up", {}, "other/key.pem")):
        monkeypatch.setenv("FLEECE_SIGNING_KEY", str(tmp_path / signer))
        predicate = hers | {"uid": name, **change}
        signed = signing.sign(signing.statement(predicate["model_id"], predicate["digest"], first.said["predicateType"], predicate))
        strict.write(store.join(asked.request.rpartition("/request/")[0], "approvals", f"{name}.json"), signed)
    ended = decided(strict, decide(strict, "bob", asked))
    assert fault(strict, ended, "verify").startswith("77 verify: 1 of 2 approvals are there")


def test_the_second_person_lets_it_out(strict: World, asked: Asked, first: Taken, tmp_path: Path) -> None:
    ended = by_fleece(strict, "alice", asked, tmp_path)
    assert phase(ended) == "Succeeded"
    assert [nodes(ended)[step]["phase"] for step in ("verify", "promote", "deploy", "rollout", "probe")] == ["Succeeded"] * 5
    attested = statement(strict.read(outputs(nodes(ended)["verify"])["attestation"]))["predicate"]
    assert sorted(one["approver"] for one in attested["approvals"]) == sorted(strict.creator(name) for name in ("alice", "bob"))


@pytest.fixture(scope="module")
def again(strict: World, asked: Asked) -> Asked:
    """The same run submitted a second time: it has the same folder, and a request of its own."""
    return asks(strict, "auto")


def test_a_parameter_lowers_no_bar(again: Asked) -> None:
    """It was submitted with promote=auto, and policy wants people."""
    assert outputs(nodes(again.run)["conclude"])["outcome"] == "waiting for approval"
    assert "need the approvals of 2 people" in outputs(nodes(again.run)["request"])["reason"]


def test_approvals_of_another_request_are_not_used_again(strict: World, asked: Asked, again: Asked, first: Taken) -> None:
    assert (run_of(again), again.digest) == (run_of(asked), asked.digest)
    assert again.request != asked.request
    ended = decided(strict, decide(strict, "bob", again))
    assert fault(strict, ended, "verify").startswith("77 verify: 1 of 2 approvals are there")


@pytest.fixture(scope="module")
def rejection(strict: World, again: Asked, tmp_path_factory: pytest.TempPathFactory) -> Object:
    return by_fleece(strict, "alice", again, tmp_path_factory.mktemp("alice"), "--reject")


def test_a_rejection_is_recorded_and_nothing_follows(strict: World, again: Asked, rejection: Object) -> None:
    assert phase(rejection) == "Succeeded"
    assert nodes(rejection)["verify"]["phase"] == "Skipped"
    ended = decided(strict, decide(strict, "bob", again))
    assert "alice rejected this release" in fault(strict, ended, "verify")


def test_the_terminal_of_one_machine_gives_the_same_records(
    strict: World, first: Taken, rejection: Object, local: tuple[Machine, Object]
) -> None:
    machine, run = local
    repository = next(p["value"] for p in run["spec"]["arguments"]["parameters"] if p["name"] == "config-repo")
    machine.run("run", "finetune", "--name", "asking", "-p", f"config-repo={repository}", "-p", "promote=ask")
    there = {"reject": said(strict, rejection), "approve": first.said}
    for decision, on_the_cluster in there.items():
        before = here(machine)
        on_a_terminal(machine, ["approve", "asking"], {"Decide": decision, "Reason": REASON})
        (record,) = (content for file, content in here(machine).items() if file not in before)
        on_this_machine = statement(record)
        assert named(on_this_machine, "default", f"file://{machine.home}/store") == named(
            on_the_cluster, strict.tenant, f"gs://fleece/{strict.tenant}"
        )


def test_a_run_that_is_gone_proves_nothing(strict: World, again: Asked, rejection: Object) -> None:
    name = again.run["metadata"]["name"]
    Api(strict.api).call("DELETE", path(ARGO, "workflows", strict.tenant, name))
    ended = decided(strict, decide(strict, "bob", again))
    assert re.match(r"77 approve: the Workflow .* is gone, .*; submit the run again", fault(strict, ended, "approve"))
