"""Policy decides who and what lets a model out; anything it does not name stays in."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from steps import identity, policy
from steps.faults import BadInput
from steps.identity import Person
from steps.policy import Case, read_policy, route

ALICE, BOB = (Person(sub=name, how="sso") for name in ("alice", "bob"))
LOCAL = Person(sub="me", how="cli-local")


def case(**fields: Any) -> Case:
    known = {"tenant": "default", "risk_class": "MINIMAL", "verdict": "promote", "promote": "auto", "submitter": ALICE, "dirty": False}
    return Case(**{**known, **fields})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")


@pytest.mark.parametrize(
    ("fields", "expected", "why"),
    [
        ({}, "auto", "policy lets a MINIMAL model out"),
        ({"risk_class": "LIMITED"}, "auto", "LIMITED"),
        ({"risk_class": "GENERAL_PURPOSE"}, "ask", "approval of a person"),
        ({"risk_class": "HIGH_RISK"}, "ask", "approvals of 2 people other than the submitter"),
        ({"risk_class": "UNCLASSIFIED"}, "none", "state its risk class"),
        ({"risk_class": "PROHIBITED"}, "none", "lets no PROHIBITED model out"),
        ({"submitter": None}, "ask", "a schedule started"),
        ({"submitter": None, "risk_class": "LIMITED"}, "ask", "a schedule started"),
        ({"promote": "ask"}, "ask", "promote=ask"),
        ({"promote": "never"}, "none", "promote=never"),
        ({"verdict": "hold"}, "none", "verdict is hold"),
        ({"verdict": "undecided"}, "none", "verdict is undecided"),
        ({"dirty": True}, "auto", "MINIMAL"),
        ({"dirty": True, "risk_class": "GENERAL_PURPOSE"}, "none", "committed run file"),
    ],
)
def test_the_route_of_a_request(cluster: None, fields: dict[str, Any], expected: str, why: str) -> None:
    found, reason = route(read_policy(), case(**fields))
    assert found == expected
    assert why in reason


def test_this_machine_cannot_let_out_what_needs_two_people() -> None:
    found, reason = route(read_policy(), case(risk_class="HIGH_RISK"))
    assert found == "none"
    assert "authenticates nobody" in reason
    assert "authenticates nobody" in policy.objection(read_policy(), case(risk_class="HIGH_RISK"), LOCAL)


def test_one_person_is_enough_on_this_machine() -> None:
    assert policy.objection(read_policy(), case(risk_class="GENERAL_PURPOSE", submitter=LOCAL), LOCAL) == ""


@pytest.mark.parametrize(
    ("fields", "approver", "why"),
    [
        ({}, BOB, ""),
        ({}, Person(sub="mallory", how="sso"), "mallory is no approver of tenant default"),
        ({"tenant": "other"}, BOB, "bob is no approver of tenant other"),
        ({}, LOCAL, "not authenticated"),
        ({"risk_class": "HIGH_RISK", "submitter": BOB}, BOB, "four eyes"),
        ({"risk_class": "HIGH_RISK", "submitter": ALICE}, BOB, ""),
        ({"submitter": BOB}, BOB, ""),
        ({"verdict": "hold"}, BOB, "verdict is hold"),
    ],
)
def test_who_may_decide(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: Any, approver: Person, why: str) -> None:
    (tmp_path / "risk.yaml").write_bytes((policy.FOLDER / "risk.yaml").read_bytes())
    (tmp_path / "approvers.yaml").write_text("apiVersion: approvers/v1\nvalid_days: 7\ntenants: {default: [alice, bob]}\n")
    monkeypatch.setenv("FLEECE_POLICIES", str(tmp_path))
    found = policy.objection(read_policy(), case(**fields), approver)
    assert found == "" if why == "" else why in found


@pytest.mark.parametrize(
    ("fields", "people"),
    [({}, 0), ({"promote": "ask"}, 1), ({"submitter": None}, 1), ({"risk_class": "GENERAL_PURPOSE"}, 1), ({"risk_class": "HIGH_RISK"}, 2)],
)
def test_how_many_must_approve(cluster: None, fields: dict[str, Any], people: int) -> None:
    assert policy.needed(read_policy(), case(**fields)) == people


def test_a_class_that_the_file_leaves_out_lets_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load((policy.FOLDER / "risk.yaml").read_text())
    del content["classes"]["MINIMAL"]
    use(tmp_path, monkeypatch, risk=content)
    assert route(read_policy(), case())[0] == "none"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"apiVersion": "risk-policy/v2"}, "apiVersion"),
        ({"extra": 1}, "extra"),
        ({"classes": {"MINIMAL": {"release": "yes"}}}, "classes.MINIMAL.release"),
        ({"classes": {"MINIMAL": {"release": True, "approvals": -1}}}, "approvals"),
        ({"classes": {"HARMLESS": {"release": True}}}, "HARMLESS"),
        ({"classes": None}, "classes"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], named: str
) -> None:
    use(tmp_path, monkeypatch, risk=yaml.safe_load((policy.FOLDER / "risk.yaml").read_text()) | change)
    with pytest.raises(BadInput, match=rf"risk\.yaml is no policy.*{named}"):
        read_policy()


def test_a_missing_policy_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEECE_POLICIES", str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="FLEECE_POLICIES"):
        read_policy()


def use(folder: Path, monkeypatch: pytest.MonkeyPatch, risk: Any) -> None:
    (folder / "risk.yaml").write_text(yaml.safe_dump(risk))
    (folder / "approvers.yaml").write_bytes((policy.FOLDER / "approvers.yaml").read_bytes())
    monkeypatch.setenv("FLEECE_POLICIES", str(folder))


@pytest.mark.parametrize(
    ("labels", "person"),
    [
        ("", None),
        ("{}", None),
        ('{"workflows.argoproj.io/cron-workflow": "retrain"}', None),
        ('{"workflows.argoproj.io/creator": ""}', None),
        ('{"workflows.argoproj.io/creator": "alice"}', Person(sub="alice", how="cli-local")),
    ],
)
def test_the_creator_label_is_the_person(labels: str, person: Person | None) -> None:
    assert identity.of(labels) == person


def test_no_label_makes_a_cluster_pass_for_a_laptop(cluster: None) -> None:
    found = identity.of('{"workflows.argoproj.io/creator": "system-serviceaccount-x-bob", "how": "cli-local"}')
    assert found == Person(sub="system-serviceaccount-x-bob", how="service-account")


@pytest.mark.parametrize("labels", ["no json", "[]", '"x"', '{"workflows.argoproj.io/creator": 1}'])
def test_labels_that_are_none_are_refused(labels: str) -> None:
    with pytest.raises(BadInput, match="labels"):
        identity.of(labels)
