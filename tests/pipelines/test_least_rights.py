"""Nobody has more rights than tests/pipelines/rights.py says, and a token only where a step calls the API."""

from typing import Any

import pytest
import yaml

from pipelines.cluster import platform
from pipelines.local import documents
from tests.pipelines.rights import NO_TOKEN, RIGHTS

ROOMS = ("tenant", "release")
NAMESPACE = {"tenant": "tenant", "release": "tenant-release"}


def everything() -> list[tuple[str, dict[str, Any]]]:
    return [(room, one) for room in ROOMS for one in platform.manifests(room)]


def containers(room: str) -> list[dict[str, Any]]:
    compiled = [document for name in platform.ROOMS[room] for document in documents.read(platform.TEMPLATES / f"{name}.yaml")]
    return [template for document in compiled for template in document["spec"].get("templates", []) if "container" in template]


def rights() -> dict[str, set[str]]:
    """Subject → `resource: verbs`, as roles and bindings add up."""
    roles = {(room, one["metadata"]["name"]): one["rules"] for room, one in everything() if one["kind"] == "Role"}
    homes = {namespace: room for room, namespace in NAMESPACE.items()}
    verbs: dict[tuple[str, str], set[str]] = {}
    for room, one in everything():
        if one["kind"] != "RoleBinding":
            continue
        for subject in one["subjects"]:
            home = (
                homes[subject["namespace"]]
                if subject["kind"] == "ServiceAccount"
                else "release"
                if "approvers" in subject["name"]
                else "tenant"
            )
            for rule in roles[room, one["roleRef"]["name"]]:
                for resource in rule["resources"]:
                    what = resource if room == home else f"{room}: {resource}"
                    verbs.setdefault((f"{home}/{subject['name']}", what), set()).update(rule["verbs"])
    found: dict[str, set[str]] = {
        f"{room}/{one['metadata']['name']}": set() for room, one in everything() if one["kind"] == "ServiceAccount"
    }
    for (subject, what), allowed in verbs.items():
        found.setdefault(subject, set()).add(f"{what}: {' '.join(sorted(allowed))}")
    return found


@pytest.mark.parametrize("subject", RIGHTS)
def test_who_may_what(subject: str) -> None:
    assert rights()[subject] == RIGHTS[subject]


def test_the_table_has_everybody() -> None:
    assert set(rights()) == set(RIGHTS)


def test_no_role_opens_a_way_around() -> None:
    for _, role in everything():
        for rule in role.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"secrets", "pods/exec", "pods/attach", "pods/ephemeralcontainers", "serviceaccounts/token", "configmaps"} & set(
                rule["resources"]
            )
            assert not {"bind", "escalate", "impersonate", "deletecollection"} & set(rule["verbs"])
            if {"pods", "workflowtemplates", "cronworkflows"} & set(rule["resources"]):
                assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_every_role_is_bound_to_somebody_who_exists() -> None:
    accounts = {(one["metadata"]["namespace"], one["metadata"]["name"]) for _, one in everything() if one["kind"] == "ServiceAccount"}
    for room in ROOMS:
        bindings = [one for one in platform.manifests(room) if one["kind"] == "RoleBinding"]
        roles = {one["metadata"]["name"] for one in platform.manifests(room) if one["kind"] == "Role"}
        assert {one["roleRef"]["name"] for one in bindings} == roles
        for subject in [subject for one in bindings for subject in one["subjects"]]:
            if subject["kind"] == "ServiceAccount":
                assert (subject["namespace"], subject["name"]) in accounts
            else:
                assert subject["name"] in ("tenant-engineers", "tenant-approvers")


def test_an_account_has_a_token_only_where_its_steps_call_the_api() -> None:
    accounts = {f"{room}/{one['metadata']['name']}": one for room, one in everything() if one["kind"] == "ServiceAccount"}
    assert {name for name, one in accounts.items() if one.get("automountServiceAccountToken") is False} == NO_TOKEN
    for room in ROOMS:
        for template in containers(room):
            account, patch = f"{room}/{template['serviceAccountName']}", yaml.safe_load(template["podSpecPatch"])
            mounts = {one["name"]: one.get("volumeMounts") for one in patch["initContainers"] + patch["containers"]}
            assert set(mounts) == {"init", "wait"}
            assert all(mounts.values()) == (account in NO_TOKEN), f"{template['name']} as {account}"
