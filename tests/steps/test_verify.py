"""`verify` believes nothing it has not read again, and signs only what policy and people let out."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from steps import approvals, attestations, audit, policy, provenance, release_request, signing, store
from steps.approvals import Approval
from steps.contracts import VerifyIn
from steps.faults import BadData, Fault, NotAllowed
from steps.identity import Person
from steps.verify import verify
from tests.steps import gate_cases
from tests.steps.governed import ALICE, BOB, CAROL, Gated, World, now


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def approved(request: str, labels: dict[str, str], **fields: Any) -> str:
    """A record as `approve` signs it, with other content where `fields` say so."""
    read = release_request.read(request)
    asked, person = read.request, next(iter(labels.values()))
    known: dict[str, Any] = {
        "request": request, "request_sha256": read.sha256, "run": asked.run, "model_id": asked.model_id, "version": asked.version,
        "digest": asked.digest, "decision": "approve", "approver": Person(sub=person, how="sso"), "submitter": asked.submitter,
        "reason": "I looked at the report", "uid": f"u-{person}", "policy": policy.read_policy().risk.version, "at": now(),
        "expires": now() + timedelta(days=7),
    }  # fmt: skip
    approval = Approval(**{**known, **fields})
    uri = f"{asked.run}/approvals/{approval.uid}.json"
    store.backend(uri).replace(uri, approvals.sign(approval))
    return uri


def test_what_is_let_out_by_itself_is_attested_and_signed(world: World) -> None:
    made = world.gated()
    request = world.requested(made, ALICE).request
    out = verify(VerifyIn(request=request))
    word = attestations.verified(out.attestation)
    assert (word.run, word.request, word.model, word.digest, word.version) == (made.run, request, made.model, made.digest, 1)
    assert (word.model_id, word.environment, word.approvals, out.environment) == ("default.triage.v1", "local", [], "local")
    assert audit.verify(world.root, [audit.Head(**word.audit.model_dump())]) == []
    files = [*store.read_manifest(made.model).files, manifest_of(made.model)]
    signing.verify_model(store.read(word.signature), files, "model.sig")
    said = signing.opened(store.read(word.provenance), provenance.KIND, "provenance")
    assert said == store.read_json(f"{word.card}/provenance.json")


def manifest_of(model: str) -> store.File:
    raw = store.read(f"{model}/manifest.json")
    return store.File(path="manifest.json", size=len(raw), sha256=release_request.sha256(raw).removeprefix("sha256:"))


def test_verifying_twice_attests_again(world: World) -> None:
    request = world.requested(world.gated(), ALICE).request
    first, second = (verify(VerifyIn(request=request)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("right", "risk", "labels", "said"),
    [
        (3, "MINIMAL", ALICE, "verdict is hold"),
        (38, "UNCLASSIFIED", ALICE, "lets no UNCLASSIFIED"),
        (38, "HIGH_RISK", ALICE, "authenticates nobody"),
        (38, "GENERAL_PURPOSE", ALICE, "0 of 1 approvals"),
        (38, "MINIMAL", {}, "0 of 1 approvals"),
    ],
)
def test_what_policy_keeps_in_is_not_signed(world: World, right: int, risk: str, labels: dict[str, str], said: str) -> None:
    made = world.gated(right=right, risk=risk)
    request = world.requested(made, labels).request
    refused(made, request, said)
    assert world.events("access.denied")


def refused(made: Gated, request: str, said: str, approval: str = "none", fault: type[Fault] = NotAllowed) -> None:
    with pytest.raises(fault, match=said):
        verify(VerifyIn(request=request, approval=approval))
    assert not store.backend(made.run).names(f"{made.run}/attestations")


def claim(field: str, value: Any) -> Callable[[World, Gated, str], None]:
    return lambda world, made, request: world.rewrite(request, **{field: value})


def forged_verdict(world: World, made: Gated, request: str) -> None:
    """gate.json, request and evidence all say promote; the items do not."""
    gate = f"{made.decision}/gate.json"
    world.rewrite(gate, verdict="promote")
    evidence = release_request.evidence(made.run, made.model, made.decision, world.read(request).card)
    world.rewrite(request, verdict="promote", evidence=evidence)


def other_base(world: World, made: Gated, request: str) -> None:
    """The candidate compared with a weak model that is not its base."""
    plan = f"{made.run}/plan.json"
    world.rewrite(plan, base_digest=gate_cases.digest("another base"))
    evidence = release_request.evidence(made.run, made.model, made.decision, world.read(request).card)
    world.rewrite(request, evidence=evidence)


def changed_items(world: World, made: Gated, request: str) -> None:
    gate = json.loads(store.read(f"{made.decision}/gate.json"))
    items = store.local_path(f"{gate['candidate']['uri']}/items.jsonl")
    items.write_text(items.read_text().replace('"exact_match": 0.0', '"exact_match": 1.0'))


def changed_weights(world: World, made: Gated, request: str) -> None:
    store.local_path(f"{made.model}/model.safetensors").write_bytes(b"x" * 400)


def changed_manifest(world: World, made: Gated, request: str) -> None:
    changed_weights(world, made, request)
    folder = store.local_path(made.model)
    world.rewrite(f"{made.model}/manifest.json", files=[file.model_dump() for file in store.scan(folder)])


def consistent_swap(world: World, made: Gated, request: str) -> None:
    """Weights, manifest and request all fit each other, but not the digest that was gated."""
    changed_manifest(world, made, request)
    evidence = release_request.evidence(made.run, made.model, made.decision, world.read(request).card)
    world.rewrite(request, evidence=evidence)


def changed_plan(world: World, made: Gated, request: str) -> None:
    runfile = store.read_json(f"{made.run}/plan.json")["runfile"]
    runfile["risk"]["class"] = "LIMITED"
    world.rewrite(f"{made.run}/plan.json", runfile=runfile)


@pytest.mark.parametrize(
    ("right", "attack", "said"),
    [
        (38, claim("risk_class", "LIMITED"), "it says 'LIMITED', not 'MINIMAL'"),
        (38, claim("environment", "prod"), "it says 'prod', not 'local'"),
        (38, claim("model_id", "default.other.v1"), "it says 'default.other.v1'"),
        (38, claim("tenant", "other"), "it says 'other'"),
        (38, claim("dirty", True), "it says True"),
        (38, claim("submitter", None), "it says False, not True"),
        (38, claim("evidence", {}), "the evidence is not what was requested"),
        (38, claim("digest", gate_cases.digest("other")), "the records give hold|not what|another model"),
        (3, claim("verdict", "promote"), "the records give hold"),
        (3, forged_verdict, "the records give hold, the request says promote"),
        (38, other_base, "which is not the run's base model"),
        (38, changed_items, "not what its manifest says"),
        (38, changed_weights, "not what its manifest says"),
        (38, changed_manifest, "models/r1-tuned/manifest.json changed"),
        (38, consistent_swap, "holds the model sha256"),
        (38, changed_plan, "it says 'MINIMAL', not 'LIMITED'"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_forged_claim_is_found(world: World, right: int, attack: Callable[[World, Gated, str], None], said: str) -> None:
    made = world.gated(right=right)
    request = world.requested(made, ALICE).request
    attack(world, made, request)
    refused(made, request, said, fault=Fault)


def test_a_card_that_lost_its_words_is_refused(world: World) -> None:
    made = world.gated()
    request = world.requested(made, ALICE).request
    card = world.read(request).card
    store.local_path(f"{card}/model_card.json").write_text("{}")
    refused(made, request, "not what its manifest says", fault=BadData)


@pytest.fixture
def cluster(world: World) -> Iterator[World]:
    world.on_cluster("bob", "carol", "alice")
    yield world
    world.close()


def test_high_risk_needs_two_people(cluster: World) -> None:
    made = cluster.gated(risk="HIGH_RISK")
    request = cluster.requested(made, ALICE).request
    first = approved(request, BOB)
    refused(made, request, "1 of 2 approvals", first)
    second = approved(request, CAROL)
    word = attestations.verified(verify(VerifyIn(request=request, approval=second)).attestation)
    assert sorted(one.approver for one in word.approvals) == ["bob", "carol"]


def test_one_person_counts_once(cluster: World) -> None:
    made = cluster.gated(risk="HIGH_RISK")
    request = cluster.requested(made, ALICE).request
    approved(request, BOB)
    refused(made, request, "1 of 2 approvals", approved(request, BOB, uid="again", at=now() + timedelta(seconds=1)))


LATE = {"at": now() - timedelta(days=8), "expires": now() - timedelta(days=1)}


@pytest.mark.parametrize(
    ("labels", "fields", "said"),
    [
        (BOB, LATE, "it was valid until"),
        (BOB, {"expires": now() + timedelta(days=700)}, "it was valid until"),
        (BOB, {"digest": gate_cases.digest("other")}, "about another request"),
        (BOB, {"request_sha256": gate_cases.digest("other")}, "about another request"),
        (BOB, {"version": 2}, "about another request"),
        (ALICE, {}, "four eyes"),
        ({"creator": "mallory"}, {}, "mallory is no approver"),
        (BOB, {"approver": Person(sub="bob", how="cli-local")}, "not authenticated"),
        (BOB, {"decision": "reject"}, "bob rejected this release"),
    ],
)
def test_an_approval_that_does_not_count(cluster: World, labels: dict[str, str], fields: dict[str, Any], said: str) -> None:
    made = cluster.gated(risk="GENERAL_PURPOSE")
    request = cluster.requested(made, ALICE).request
    refused(made, request, said, approved(request, labels, **fields))


def test_an_approval_that_nobody_signed_does_not_count(cluster: World) -> None:
    made = cluster.gated(risk="GENERAL_PURPOSE")
    request = cluster.requested(made, ALICE).request
    uri = approved(request, BOB)
    envelope = store.read_json(uri)
    envelope["signatures"][0]["sig"] = "MEUCIQ=="
    store.replace_json(uri, envelope)
    refused(made, request, "no DSSE envelope|not signed by", uri)
    refused(made, request, "0 of 1 approvals")


def test_an_approval_is_not_used_for_a_second_request(cluster: World) -> None:
    made = cluster.gated(risk="GENERAL_PURPOSE")
    first = cluster.requested(made, ALICE).request
    second = cluster.requested(made, CAROL, uid="uid-2").request
    refused(made, second, "about another request", approved(first, BOB))


def test_a_request_that_changed_after_its_approval_is_refused(cluster: World) -> None:
    made = cluster.gated(risk="GENERAL_PURPOSE")
    request = cluster.requested(made, BOB).request
    approval = approved(request, CAROL)
    cluster.rewrite(request, created="2026-11-22T00:00:00Z")
    refused(made, request, "about another request", approval)


def test_a_submitter_that_the_cluster_does_not_know_is_refused(cluster: World) -> None:
    made = cluster.gated(risk="GENERAL_PURPOSE")
    request = cluster.requested(made, BOB).request
    cluster.rewrite(request, submitter=Person(sub="alice", how="sso").model_dump())
    refused(made, request, "says that alice submitted it, but bob submitted", approved(request, BOB))
    assert "says that alice" in cluster.events("access.denied")[0]["data"]["reason"]


def test_a_second_thought_counts(cluster: World) -> None:
    made = cluster.gated(risk="GENERAL_PURPOSE")
    request = cluster.requested(made, ALICE).request
    approved(request, BOB, decision="reject", uid="first", at=now() - timedelta(hours=1), expires=now() + timedelta(days=6))
    later = approved(request, BOB, uid="second")
    assert attestations.verified(verify(VerifyIn(request=request, approval=later)).attestation).approvals[0].record == later


def test_an_attestation_is_for_the_folder_that_was_verified(world: World) -> None:
    made = world.gated()
    uri = verify(VerifyIn(request=world.requested(made, ALICE).request)).attestation
    changed_manifest(world, made, "")
    with pytest.raises(NotAllowed, match="its manifest changed"):
        attestations.verified(uri)


def test_an_approval_is_no_attestation(cluster: World) -> None:
    request = cluster.requested(cluster.gated(risk="GENERAL_PURPOSE"), ALICE).request
    with pytest.raises(NotAllowed, match="says something else"):
        attestations.verified(approved(request, BOB))
