"""Least rights, as the API server itself says them: what every account and group may do, who gets a token, what a pod may be.

What each token is good for when somebody tries is in test_attacks_by_tokens.py.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kubernetes import client

from pipelines.cli import main
from pipelines.cluster import apply, platform
from pipelines.cluster.api import Api
from tests.cluster.attacking import refusal
from tests.cluster.world import World, pod_name
from tests.pipelines.rights import NO_TOKEN, RIGHTS

EVERYBODY = {"authorization.k8s.io", "authentication.k8s.io"}  # every cluster lets everybody ask what they may do, and who they are
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
CONFINED |= {"runAsNonRoot": True, "runAsUser": 8737}
# Spot checks by the name that `kubectl auth can-i` has for it: all of these are no. {t}: the tenant's namespace, {r}: its release namespace
CANNOT = {
    "{t}:steps": ["create pods -n {t}", "get secrets -n {t}", "get workflows.argoproj.io -n {t}"],
    "{t}:launcher": [
        "create pods -n {t}",
        "create workflows.argoproj.io -n {t}",
        "delete jobsets.jobset.x-k8s.io -n {t}",
        "get secrets -n {r}",
    ],
    "{t}:reaper": ["delete workflows.argoproj.io -n {t}", "create jobsets.jobset.x-k8s.io -n {t}", "list workflows.argoproj.io -n {r}"],
    "{r}:recorder": ["get secrets -n {r}", "create workflows.argoproj.io -n {r}", "list workflows.argoproj.io -n {t}"],
}


def as_(world: World, user: str, group: str = "") -> client.ApiClient:
    """The administrator in the shoes of somebody else, as `kubectl --as … --as-group …`."""
    shoes = client.ApiClient(world.api.configuration)
    shoes.set_default_header("Impersonate-User", user)
    if group:
        shoes.set_default_header("Impersonate-Group", group)
    return shoes


def room(world: World, name: str) -> str:
    return {"tenant": world.tenant, "release": world.release}[name]


def may(world: World, subject: str) -> set[str]:
    """`resource: verbs` in its own room, `other: resource: verbs` in the other, as the API server adds up its roles."""
    home, name = subject.split("/")
    own = name not in ("tenant-engineers", "tenant-approvers")
    shoes = (
        as_(world, f"system:serviceaccount:{room(world, home)}:{name}")
        if own
        else as_(world, "somebody", name.replace("tenant", world.tenant))
    )
    verbs: dict[str, set[str]] = {}
    for where in ("tenant", "release"):
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": room(world, where)}}
        status = Api(shoes).call("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)["status"]
        assert not status["incomplete"]
        for rule in status["resourceRules"]:
            if not set(rule["apiGroups"]) <= EVERYBODY:
                assert not rule.get("resourceNames")
                for resource in rule["resources"]:
                    verbs.setdefault(resource if where == home else f"{where}: {resource}", set()).update(rule["verbs"])
    return {f"{resource}: {' '.join(sorted(allowed))}" for resource, allowed in verbs.items()}


@pytest.mark.parametrize("subject", RIGHTS)
def test_who_may_what_is_the_table_and_nothing_else(world: World, subject: str) -> None:
    assert may(world, subject) == RIGHTS[subject]


@pytest.mark.parametrize("account", CANNOT)
def test_can_i_says_no(world: World, account: str) -> None:
    rooms = {"t": world.tenant, "r": world.release}
    for sentence in CANNOT[account]:
        verb, what, _, namespace = sentence.format(**rooms).split()
        resource, _, group = what.partition(".")
        asked = {"namespace": namespace, "verb": verb, "resource": resource, "group": group}
        spec = {"user": f"system:serviceaccount:{account.format(**rooms)}", "resourceAttributes": asked}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = Api(world.api).call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        assert answer["status"]["allowed"] is False, f"{account} may {sentence}"


def pod(account: str, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "fleece/core:0.1.0", "imagePullPolicy": "IfNotPresent", "securityContext": CONFINED, **container}
    spec = {"serviceAccountName": account, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [main]}
    return {"metadata": {"generateName": f"rights-{account}-"}, "spec": spec}


def test_a_pod_of_these_accounts_finds_no_token_unless_it_asks_for_one(world: World) -> None:
    look = ["python", "-c", f"import os; print(os.path.exists({TOKEN!r}))"]
    seen = {}
    for subject in ("tenant/steps", "tenant/trainer", "release/releaser", "tenant/observer"):
        where, account = room(world, subject.split("/")[0]), subject.split("/")[1]
        name = world.core.create_namespaced_pod(where, pod(account, command=look)).metadata.name
        try:
            ended(world, where, name)
            log = Api(world.api).stream("GET", f"/api/v1/namespaces/{where}/pods/{name}/log")
            seen[subject] = log.data.decode().strip()
        finally:
            world.core.delete_namespaced_pod(name, where, grace_period_seconds=0)
    assert seen == {subject: str(subject not in NO_TOKEN) for subject in seen}


def ended(world: World, namespace: str, name: str) -> None:
    until = time.monotonic() + 120
    while world.core.read_namespaced_pod(name, namespace).status.phase not in ("Succeeded", "Failed"):
        assert time.monotonic() < until, f"pod {name} does not end"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def step(world: World) -> Any:
    """The pod of a real step: `plan` of a run whose run file is not there."""
    name = world.submit("finetune", {"config": "configs/nowhere/run.yaml"})
    run = world.wait(name, seconds=300)
    node = next(node for node in run["status"]["nodes"].values() if node["type"] == "Pod" and node["templateName"] == "plan")
    assert "64" in node["message"]
    return world.core.read_namespaced_pod(pod_name(name, node), world.tenant)


def test_user_code_of_a_real_step_has_no_token_and_argos_containers_have_one_of_this_pod(step: Any) -> None:
    spec = step.spec
    assert spec.service_account_name == "steps"
    assert spec.automount_service_account_token is False or not any(volume.name.startswith("kube-api-access") for volume in spec.volumes)
    mounts = {one.name: {mount.mount_path for mount in one.volume_mounts} for one in spec.containers + spec.init_containers}
    assert {name for name, paths in mounts.items() if TOKEN in paths} == {"init", "wait"}
    projected = next(volume.projected for volume in spec.volumes if volume.name == "executor-token")
    assert projected.sources[0].service_account_token.expiration_seconds == 3600


def test_a_real_step_runs_confined(step: Any) -> None:
    for one in step.spec.containers + step.spec.init_containers:
        assert one.security_context.allow_privilege_escalation is False
        assert one.security_context.capabilities.drop == ["ALL"]
    main = next(one for one in step.spec.containers if one.name == "main")
    assert main.security_context.read_only_root_filesystem
    assert step.spec.security_context.run_as_non_root
    assert not {
        volume.name for volume in step.spec.volumes if volume.host_path or (volume.secret and "signing" in volume.secret.secret_name)
    }


def test_the_signing_key_and_the_right_to_push_are_in_the_release_namespace_only(world: World) -> None:
    def secrets(namespace: str) -> set[str]:
        return {one.metadata.name for one in world.core.list_namespaced_secret(namespace).items}

    assert secrets(world.release) >= {"fleece-signing", "fleece-git"}
    assert secrets(world.tenant) == set()
    public = {
        where: world.core.read_namespaced_config_map("fleece-policies", where).data["key.pub.pem"]
        for where in (world.tenant, world.release)
    }
    assert public[world.tenant] == public[world.release]


UNCONFINED: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {  # what is changed in the container, and in the pod
    "privileged": ({"securityContext": {**CONFINED, "privileged": True, "allowPrivilegeEscalation": True}}, {}),
    "allowPrivilegeEscalation": ({"securityContext": {**CONFINED, "allowPrivilegeEscalation": True}}, {}),
    "capabilities": ({"securityContext": {**CONFINED, "capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]}}}, {}),
    "runAsUser=0": ({"securityContext": {**CONFINED, "runAsUser": 0}}, {}),
    "seccompProfile": ({"securityContext": {**CONFINED, "seccompProfile": {"type": "Unconfined"}}}, {}),
    "hostPath": ({}, {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}),
    "host namespaces": ({}, {"hostNetwork": True}),
    "hostPort": ({"ports": [{"containerPort": 80, "hostPort": 80}]}, {}),
}


@pytest.mark.parametrize("what", UNCONFINED)
@pytest.mark.parametrize("where", ["tenant", "release"])
def test_pod_security_refuses(world: World, where: str, what: str) -> None:
    container, spec = UNCONFINED[what]
    made = pod("default", **container)
    made["spec"] |= spec
    with pytest.raises(client.ApiException) as refused:
        world.core.create_namespaced_pod(room(world, where), made, dry_run="All")
    said = json.loads(refused.value.body)["message"]
    assert 'violates PodSecurity "restricted' in said
    assert what.partition("=")[0] in said


def test_what_is_confined_is_let_in(world: World) -> None:
    world.core.create_namespaced_pod(world.tenant, pod("default"), dry_run="All")


PART = {"name": "main", "container": {"image": "fleece/core:0.1.0"}}
REFERRING = {"name": "t", "templateRef": {"name": "finetune", "template": "plan"}}
BOB = {"labels": {"workflows.argoproj.io/creator": "bob"}}
MISTAKES = {  # of an administrator, which would open what the policies close
    "a creator in a template": ("WorkflowTemplate", {"workflowMetadata": BOB, "templates": [PART]}, "may not set workflows.argoproj.io/"),
    "a creator in a schedule": ("CronWorkflow", {"workflowMetadata": BOB}, "may not set workflows.argoproj.io/"),
    "a reference in a DAG": ("WorkflowTemplate", {"templates": [{"name": "main", "dag": {"tasks": [REFERRING]}}]}, "no templateRef"),
    "a reference in steps": ("WorkflowTemplate", {"templates": [{"name": "main", "steps": [[REFERRING]]}]}, "no templateRef"),
    "a schedule with a spec of its own": ("CronWorkflow", {"workflowSpec": {"templates": [PART]}}, "and nothing else"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_template_that_would_open_a_way_around_is_refused(world: World, what: str) -> None:
    kind, change, expected = MISTAKES[what]
    spec = (
        {"schedules": ["0 0 1 1 *"], "workflowSpec": {"workflowTemplateRef": {"name": "reap"}}}
        if kind == "CronWorkflow"
        else {"entrypoint": "main"}
    )
    made = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "mistake", "namespace": world.tenant},
        "spec": spec | change,
    }
    assert expected in refusal(apply.put, Api(world.api), made, dry_run=True)


def test_a_tenant_takes_no_namespace_of_others(world: World, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    required = ("FLEECE_STORE", "MLFLOW_TRACKING_URI", "FLEECE_CONFIG_REPO", "FLEECE_GITOPS")
    settings = world.core.read_namespaced_config_map("fleece", world.tenant).data
    file.write_text(json.dumps({key: settings[key] for key in required}))
    done = CliRunner().invoke(main, ["install", "--tenant", world.services, "--settings", str(file), "--tenant-only", "--dry-run"])
    assert done.exit_code == 64
    assert f"a namespace {world.services} that is not of tenant {world.services}" in done.stderr


def test_installing_the_policies_again_changes_nothing(world: World) -> None:
    told = list(apply.apply(Api(world.api), platform.cluster(platform.CONTROLLER), dry_run=True))
    assert [line for line in told if not line.startswith("unchanged")] == []


def test_whoever_may_not_install_is_told_which_right_is_missing(world: World) -> None:
    role = next(one for one in platform.manifests("tenant") if one["kind"] == "Role")
    role["metadata"]["namespace"] = world.tenant
    said = refusal(apply.put, Api(world.person("mallory")), role)
    assert f"mallory may not get roles.rbac.authorization.k8s.io in namespace {world.tenant}" in said
