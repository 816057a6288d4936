"""argocd/platform/fleece has what the templates name; nobody has more rights than the table says; a tenant's names go where they belong."""

import base64
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import machine
from pipelines.cluster import installation, platform
from pipelines.compile import TEMPLATES
from pipelines.local import documents
from steps.jobset_manifest import Gang, jobset
from steps.presets import MACHINES

PROJECT = Path(__file__).parents[2]
ROOMS = ("tenant", "release")
NAMESPACE = {"tenant": "tenant", "release": "tenant-release"}

UNNAMED = {  # what no template names, and why it is there all the same
    "ServiceAccount/default": "a pod that names no account gets no token",
    "ConfigMap/artifact-repositories": "a log that Argo archives lies in the tenant's store",
}
GIVEN = {
    "ConfigMap/kube-root-ca.crt": "Kubernetes puts it into every namespace",
    "Secret/fleece-git": "optional; the repository's password",
}
TENANT = platform.Tenant(
    name="steps",  # also the name of an account and of an executor's binding: a name in text would be replaced there too
    settings={"FLEECE_STORE": "gs://bucket/team/a", "FLEECE_TENANT": "steps"},
    policies={"risk.yaml": "a: 1\n"},
    environments={"prod.yaml": "b: 2\n"},
    registry="registry.example.org/team",
    gangs=3,
)
KEYS = platform.Keys("private", "public")


@cache
def made() -> list[dict[str, Any]]:
    return platform.tenant(TENANT, KEYS)


@cache
def compiled(room: str) -> list[dict[str, Any]]:
    return [document for name in platform.ROOMS[room] for document in documents.read(platform.TEMPLATES / f"{name}.yaml")]


def gang() -> dict[str, Any]:
    made: dict[str, Any] = jobset(Gang("ft-x", MACHINES["2x1-l4"], "fleece/train:1", ["python"], {}))
    return made


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every map in a document, those inside of podSpecPatch and of resource manifests too."""
    if isinstance(value, dict):
        yield value
        for key, part in value.items():
            if key == "podSpecPatch":
                yield from parts(yaml.safe_load(part))
            else:
                yield from parts(part)
    elif isinstance(value, list):
        for part in value:
            yield from parts(part)


def named(document: dict[str, Any]) -> set[str]:
    """What it names in its namespace: `Kind/name`, for a key `Kind/name:key`."""
    found = set()
    for one in parts(document):
        if account := one.get("serviceAccountName"):
            found.add(f"ServiceAccount/{account}")
        for field, kind in (("configMap", "ConfigMap"), ("configMapRef", "ConfigMap"), ("configMapKeyRef", "ConfigMap")):
            if reference := one.get(field):
                found.add(f"{kind}/{reference['name']}" + (f":{reference['key']}" if "key" in reference else ""))
        if reference := one.get("secret"):
            found.add(f"Secret/{reference.get('secretName') or reference['name']}")
        for field in ("secretRef", "secretKeyRef"):
            if reference := one.get(field):
                found.add(f"Secret/{reference['name']}")
        if reference := one.get("workflowTemplateRef"):
            found.add(f"WorkflowTemplate/{reference['name']}")
    return found


def there(room: str) -> dict[str, dict[str, Any]]:
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in [*platform.manifests(room), *compiled(room)]}


def everything() -> list[tuple[str, dict[str, Any]]]:
    return [(room, one) for room in ROOMS for one in platform.manifests(room)]


def test_every_template_belongs_to_one_room() -> None:
    assert sorted(name for names in platform.ROOMS.values() for name in names) == sorted(TEMPLATES)


@pytest.mark.parametrize("room", ROOMS)
def test_what_the_templates_name_is_there(room: str) -> None:
    known = there(room)
    for document in compiled(room) + ([gang()] if room == "tenant" else []):
        for name in named(document) - GIVEN.keys():
            place, _, key = name.partition(":")
            assert place in known, f"{document['metadata']['name']} names {place}"
            assert not key or key in known[place]["data"], f"{document['metadata']['name']} names key {key} of {place}"


def test_what_a_resource_step_starts_in_the_other_room_is_there() -> None:
    texts = [
        part["manifest"] for document in compiled("tenant") for part in parts(document) if "kind: Workflow\n" in part.get("manifest", "")
    ]
    started = [yaml.safe_load(re.sub(r"\{\{(.*?)\}\}", r"\1", text)) for text in texts]
    assert {one["spec"]["workflowTemplateRef"]["name"] for one in started} == {"release"} <= set(platform.ROOMS["release"])
    assert {one["metadata"]["namespace"] for one in started} == {"workflow.namespace-release"}


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_there_is_named_or_has_a_reason(room: str) -> None:
    used = {name.partition(":")[0] for document in [*compiled(room), gang()] for name in named(document)}
    for name in there(room):
        kind = name.partition("/")[0]
        if kind in ("ServiceAccount", "ConfigMap", "Secret"):
            assert name in used or name in UNNAMED, f"nothing names {name} of {room}"
    assert all(reason for reason in UNNAMED.values())


def test_only_the_release_room_holds_the_key() -> None:
    assert not any(one["kind"] == "Secret" for one in platform.manifests("tenant"))
    assert not any("fleece-signing" in json.dumps(document) for document in compiled("tenant"))
    templates = [template for document in compiled("release") for template in document["spec"]["templates"]]
    assert {one["name"] for one in templates if "fleece-signing" in json.dumps(one)} == {"approve", "verify"}


@pytest.mark.parametrize("room", ["cluster", *ROOMS])
def test_manifests_are_complete_and_said_once(room: str) -> None:
    found = platform.manifests(room)
    places = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in found]
    assert len(places) == len(set(places))
    for one in found:
        assert one["apiVersion"]
        if room != "cluster" and one["kind"] != "Namespace":
            assert one["metadata"]["namespace"] == NAMESPACE[room]


def policies() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in platform.manifests("cluster") if one["kind"] == "ValidatingAdmissionPolicy"}


def test_every_policy_denies_in_the_namespaces_of_tenants_and_fails_closed() -> None:
    bindings = [one["spec"] for one in platform.manifests("cluster") if one["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert sorted(one["policyName"] for one in bindings) == sorted(policies())
    for one in bindings:
        assert one["validationActions"] == ["Deny"]
        assert one["matchResources"] == {"namespaceSelector": {"matchExpressions": [{"key": "fleece.dev/tenant", "operator": "Exists"}]}}
        assert one.get("paramRef", {}).get("parameterNotFoundAction", "Deny") == "Deny"
    assert all(one["spec"]["failurePolicy"] == "Fail" for one in policies().values())
    for room in ROOMS:
        namespace = next(one for one in platform.manifests(room) if one["kind"] == "Namespace")
        assert namespace["metadata"]["labels"]["fleece.dev/room"] == room
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert "fleece.dev/tenant" in namespace["metadata"]["labels"]


def test_the_policies_know_the_names_of_accounts_templates_and_marks() -> None:
    said = json.dumps(list(policies().values()))
    accounts = {one["metadata"]["name"] for _, one in everything() if one["kind"] == "ServiceAccount"}
    assert set(re.findall(r"serviceAccountName\.orValue\(''\) == '(\w+)'", said)) == {gang_account()} <= accounts
    assert set(re.findall(r"':([a-z]+)'", said)) == {"launcher"} <= accounts
    marks = {mark for room in ROOMS for one in platform.manifests(room) for field in ("labels", "annotations") if one["kind"] == "Namespace"
             for mark in one["metadata"].get(field, {})}  # fmt: skip
    assert set(re.findall(r"fleece\.dev/[a-z]+", said)) <= marks


def gang_account() -> str:
    account: str = gang()["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["serviceAccountName"]
    return account


def test_a_tenants_names_go_where_names_belong_and_nowhere_else() -> None:
    assert {one["metadata"].get("namespace") for one in made() if one["kind"] != "Namespace"} == {"steps", "steps-release"}
    assert [one["metadata"]["name"] for one in made() if one["kind"] == "Namespace"] == ["steps", "steps-release"]
    assert [one["kind"] for one in made()][:2] == ["Namespace", "Namespace"]
    subjects = [subject for one in made() for subject in one.get("subjects", [])]
    assert {one["namespace"] for one in subjects if one["kind"] == "ServiceAccount"} == {"steps", "steps-release"}
    assert {one["name"] for one in subjects if one["kind"] == "Group"} == {"steps-engineers", "steps-approvers"}
    assert {one["name"] for one in subjects if one["kind"] == "ServiceAccount"} < {
        one["metadata"]["name"] for one in made() if one["kind"] == "ServiceAccount"
    }
    assert {one["metadata"]["labels"]["fleece.dev/tenant"] for one in made() if one["kind"] == "Namespace"} == {"steps"}
    assert all(one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "fleece" for one in made())


def test_the_tenants_values_are_in_its_objects() -> None:
    there = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one for one in made()}
    for namespace in ("steps", "steps-release"):
        assert there["ConfigMap", namespace, "fleece"]["data"] == TENANT.settings
        assert there["ConfigMap", namespace, "fleece-policies"]["data"] == {"risk.yaml": "a: 1\n", "key.pub.pem": "public"}
        repository = yaml.safe_load(there["ConfigMap", namespace, "artifact-repositories"]["data"]["store"])
        assert repository == {"gcs": {"bucket": "bucket", "keyFormat": "team/a/logs/{{workflow.name}}/{{pod.name}}"}}
    assert there["ConfigMap", "steps", "fleece-limits"]["data"] == {"gangs": "3"}
    assert base64.b64decode(there["Secret", "steps-release", "fleece-signing"]["data"]["key.pem"]) == b"private"
    assert there["Namespace", None, "steps"]["metadata"]["annotations"]["fleece.dev/images"] == "registry.example.org/team/"
    images = {part["image"] for one in there.values() if one["kind"] == "WorkflowTemplate" for part in parts(one) if "image" in part}
    assert {image.rpartition("/")[0] for image in images} == {"registry.example.org/team"}


def test_another_controller_is_named_in_its_own_namespace() -> None:
    made = {
        (one["kind"], one["metadata"]["name"]): one for one in platform.cluster("system:serviceaccount:wf:one,system:serviceaccount:wf:two")
    }
    assert made["ConfigMap", "fleece-admission"]["data"]["controllers"] == "system:serviceaccount:wf:one,system:serviceaccount:wf:two"
    assert {one["metadata"]["namespace"] for one in made.values() if one["kind"] == "ConfigMap"} == {"wf"}
    places = {one["spec"]["paramRef"].get("namespace") for one in made.values() if "paramRef" in one.get("spec", {})}
    assert places == {"wf", None}, "a policy with WorkflowTemplates for parameters looks into the namespace that is asked about"


def test_the_installation_sets_what_the_steps_read() -> None:
    sources = [path.read_text() for path in (PROJECT / "steps").rglob("*.py")]
    read = {
        name for text in sources for name in re.findall(r"""(?:setting\(|environ(?:\.get\(|\[))["'](FLEECE_\w+|MLFLOW_\w+)["']""", text)
    }
    known = installation.REQUIRED.keys() | installation.OPTIONAL.keys() | installation.own("t", "fleece").keys()
    assert read - known == {"FLEECE_OBJECTS", "FLEECE_SERVING", "FLEECE_SIGNING_KEY", "FLEECE_WORK", "FLEECE_ASK_FIRST"} & read
    assert machine.libraries(Path("/tmp")).items() <= installation.own("t", "fleece").items()


def test_the_page_for_who_installs_it_names_every_account_policy_and_setting() -> None:
    page = (PROJECT / "docs" / "cluster.md").read_text()
    accounts = {one["metadata"]["name"] for _, one in everything() if one["kind"] == "ServiceAccount"} - {"default"}
    for name in accounts | policies().keys() | installation.REQUIRED.keys() | installation.OPTIONAL.keys():
        assert f"`{name}`" in page, f"docs/cluster.md does not name {name}"
