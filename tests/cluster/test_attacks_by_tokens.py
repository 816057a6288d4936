"""What the tenant's tokens are good for, and nothing else: those of people, and those of the accounts that its steps run as.

A step's result decides what comes next, so it needs the token of the very pod whose result it is.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipelines.cluster.api import APPLY, MERGE, Api, path
from tests.cluster.attacking import ARGO, CREATOR, DRY, EVIL, Object, account, apply, changed, create, honest, patch, person, refusal
from tests.cluster.world import World

RBAC = "rbac.authorization.k8s.io/v1"
JOBSET = "jobset.x-k8s.io/v1alpha2"
ADMISSION = "admissionregistration.k8s.io/v1"


def named(name: str, **fields: Any) -> Object:
    return {"metadata": {"name": name}, **fields}


SECURED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
USER = {"runAsNonRoot": True, "runAsUser": 8737, "seccompProfile": {"type": "RuntimeDefault"}}
POD = named("p", spec={"containers": [{"name": "main", "image": "fleece/core:0.1.0"}]})
# verb, API, kind of object and perhaps its name; {t}: the tenant's namespace, {r}: its release namespace
FORBIDDEN_TO_ENGINEERS: dict[str, tuple[str, str, str, str, Object | None]] = {
    "read Secrets": ("GET", "v1", "{r}", "secrets/fleece-signing", None),
    "list Secrets": ("GET", "v1", "{t}", "secrets", None),
    "write Secrets": ("PATCH", "v1", "{r}", "secrets/fleece-signing", {"data": {}}),
    "read settings": ("GET", "v1", "{t}", "configmaps/fleece", None),
    "raise a limit": ("PATCH", "v1", "{t}", "configmaps/fleece-limits", {"data": {"gangs": "99"}}),
    "change a policy": ("PATCH", "v1", "{r}", "configmaps/fleece-policies", {"data": {"approvers.yaml": ""}}),
    "write what a step may remember": ("POST", "v1", "{t}", "configmaps", named("memo")),
    "create pods": ("POST", "v1", "{t}", "pods", POD),
    "run commands in pods": ("POST", "v1", "{t}", "pods/p/exec?command=id", None),
    "attach to pods": ("POST", "v1", "{t}", "pods/p/attach", None),
    "add a container to a pod": ("PATCH", "v1", "{t}", "pods/p/ephemeralcontainers", {}),
    "delete pods": ("DELETE", "v1", "{t}", "pods/p", None),
    "reach into pods": ("GET", "v1", "{t}", "pods/p/proxy/", None),
    "write events": ("POST", "v1", "{t}", "events", named("e", involvedObject={"namespace": "{t}"})),
    "take a step's token": ("POST", "v1", "{t}", "serviceaccounts/steps/token", {"spec": {}}),
    "make accounts": ("POST", "v1", "{t}", "serviceaccounts", named("a")),
    "give rights": ("POST", RBAC, "{t}", "rolebindings", named("b", roleRef={"apiGroup": RBAC[:-3], "kind": "Role", "name": "launcher"})),
    "change rights": ("PATCH", RBAC, "{t}", "roles/engineer", {"rules": []}),
    "take the policies off a namespace": ("PATCH", "v1", "", "namespaces/{t}", {"metadata": {"labels": {"fleece.dev/tenant": None}}}),
    "delete a policy": ("DELETE", ADMISSION, "", "validatingadmissionpolicies/fleece-workflows", None),
    "unbind a policy": ("DELETE", ADMISSION, "", "validatingadmissionpolicybindings/fleece-workflows", None),
    "name another controller": ("PATCH", "v1", "argo", "configmaps/fleece-admission", {"data": {"controllers": "mallory"}}),
    "write templates": ("POST", ARGO, "{t}", "workflowtemplates", named("evil", spec={"templates": [EVIL]})),
    "change templates": ("PATCH", ARGO, "{t}", "workflowtemplates/finetune", {"spec": {"serviceAccountName": "launcher"}}),
    "delete templates": ("DELETE", ARGO, "{t}", "workflowtemplates/finetune", None),
    "write templates for all": ("POST", ARGO, "", "clusterworkflowtemplates", named("evil", spec={"templates": [EVIL]})),
    "write schedules": ("POST", ARGO, "{t}", "cronworkflows", named("c", spec={"schedules": ["* * * * *"], "workflowSpec": {}})),
    "change schedules": ("PATCH", ARGO, "{t}", "cronworkflows/reaper", {"spec": {"suspend": True}}),
    "delete Workflows": ("DELETE", ARGO, "{t}", "workflows/w", None),
    "delete all Workflows": ("DELETE", ARGO, "{t}", "workflows", None),
    "read task results": ("GET", ARGO, "{t}", "workflowtaskresults", None),
    "write task results": ("POST", ARGO, "{t}", "workflowtaskresults", named("w-1", phase="Succeeded")),
    "give an agent tasks": ("POST", ARGO, "{t}", "workflowtasksets", named("w", spec={"tasks": {}})),
    "bind events": ("POST", ARGO, "{t}", "workfloweventbindings", named("w", spec={"event": {"selector": "true"}})),
    "create JobSets": ("POST", JOBSET, "{t}", "jobsets", named("ft-1", spec={"replicatedJobs": []})),
    "delete JobSets": ("DELETE", JOBSET, "{t}", "jobsets/ft-1", None),
    "create Jobs": ("POST", "batch/v1", "{t}", "jobs", named("j", spec={})),
    "change what was released": ("PATCH", ARGO, "{r}", "workflows/release-1", {"spec": {"shutdown": "Stop"}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def mallory(world: World) -> Api:
    return person(world, "mallory")


@pytest.mark.parametrize("what", FORBIDDEN_TO_ENGINEERS)
def test_an_engineer_may_not(world: World, mallory: Api, what: str) -> None:
    verb, group, namespace, resource, body = FORBIDDEN_TO_ENGINEERS[what]
    rooms = {"t": world.tenant, "r": world.release}
    where = path(group, "", namespace.format(**rooms)).rstrip("/") + "/" + resource.format(**rooms)
    said = refusal(mallory.call, verb, where, body, None, MERGE if verb == "PATCH" else "")
    assert "mallory may not " in said, said


def test_nobody_speaks_for_another(world: World) -> None:
    mine = world.person("mallory")
    mine.set_default_header("Impersonate-User", "system:serviceaccount:argo:argo")
    assert "may not impersonate" in refusal(create, Api(mine), world.tenant, honest(world))


@pytest.fixture(scope="module")
def pods(world: World) -> Iterator[dict[str, Any]]:
    """Two pods as those of two steps, of the account `steps`: the victim's and the attacker's."""
    made = {}
    for name in ("victim-gate-111", "attack-evaluate-222"):
        main = {"name": "main", "image": "fleece/core:0.1.0", "command": ["sleep", "600"], "securityContext": SECURED}
        spec = {"serviceAccountName": "steps", "restartPolicy": "Never", "securityContext": USER, "containers": [main]}
        made[name] = world.core.create_namespaced_pod(world.tenant, {"metadata": {"name": name}, "spec": spec})
    yield made
    for name in made:
        world.core.delete_namespaced_pod(name, world.tenant, grace_period_seconds=0)


def result(name: str, run: str, verdict: str) -> Object:
    outputs = {"parameters": [{"name": "verdict", "value": verdict}]}
    return {
        "apiVersion": ARGO, "kind": "WorkflowTaskResult", "phase": "Succeeded", "outputs": outputs,
        "metadata": {"name": name, "labels": {"workflows.argoproj.io/workflow": run}},
    }  # fmt: skip


def test_a_step_writes_its_own_result_and_no_other(world: World, pods: dict[str, Any]) -> None:
    results = path(ARGO, "workflowtaskresults", world.tenant)
    own = account(world, world.tenant, "steps", pods["victim-gate-111"])
    other = account(world, world.tenant, "steps", pods["attack-evaluate-222"])
    loose = account(world, world.tenant, "steps")
    try:
        assert "needs the token bound to its pod" in refusal(loose.call, "POST", results, result("victim-111", "victim", "promote"))
        for run in ("victim", "attack", "victim-gate"):
            said = refusal(other.call, "POST", results, result("victim-111", run, "promote"))
            assert "pod attack-evaluate-222 may not write the result of node victim-111" in said
        own.call("POST", results, result("victim-111", "victim", "hold"))
        for thief in (other, loose):
            forged = result("victim-111", "victim", "promote")
            assert "result" in refusal(thief.call, "PATCH", f"{results}/victim-111", forged, None, MERGE)
            forged_labels = {"metadata": {"labels": {"workflows.argoproj.io/workflow": "attack"}}}
            assert "result" in refusal(thief.call, "PATCH", f"{results}/victim-111", forged_labels, None, MERGE)
        kept = Api(world.api).call("GET", f"{results}/victim-111")
        assert kept["outputs"]["parameters"][0]["value"] == "hold"
    finally:
        Api(world.api).call("DELETE", results, None, {"labelSelector": "workflows.argoproj.io/workflow=victim"})


def test_a_token_of_a_step_is_good_for_nothing_else(world: World, pods: dict[str, Any]) -> None:
    own = account(world, world.tenant, "steps", pods["victim-gate-111"])
    for verb, group, resource in (
        ("GET", "v1", "secrets"), ("GET", "v1", "configmaps/fleece"), ("GET", "v1", "pods"), ("GET", ARGO, "workflows"),
        ("GET", ARGO, "workflowtaskresults"), ("POST", ARGO, "workflows"), ("GET", JOBSET, "jobsets"),
    ):  # fmt: skip
        where = path(group, "", world.tenant).rstrip("/") + f"/{resource}"
        assert "steps may not " in refusal(own.call, verb, where, named("x") if verb == "POST" else None)


def release(world: World, change: Object) -> Object:
    made = changed(honest(world, "alice", "release", request="gs://a/runs/0/request/0/request.json"), {"metadata": {"labels": None}})
    return changed(made, changed({"metadata": {"generateName": None, "name": "release-0"}}, change))


STARTS = "the launcher starts release-… from the template release"
BACK = [{"name": name, "value": "as it was before"} for name in ("model-id", "environment", "reason")]
BY_THE_LAUNCHER: dict[str, tuple[Object, str]] = {
    "another name": ({"metadata": {"name": "by-hand"}}, STARTS),
    "another template": ({"spec": {"workflowTemplateRef": {"name": "rollback"}, "arguments": {"parameters": BACK}}}, STARTS),
    "a creator": ({"metadata": {"labels": {CREATOR: "bob"}}}, STARTS),
    "an inline template": ({"spec": {"templates": [EVIL]}}, "not allowed here: templates"),
    "a step's account": ({"spec": {"serviceAccountName": "recorder"}}, "not allowed here: serviceAccountName"),
    "a status": ({"status": {"phase": "Succeeded"}}, "may not bring a status"),
    "a parameter of its own": ({"spec": {"arguments": {"parameters": [{"name": "need", "value": "0"}]}}}, "takes no parameter need"),
}  # fmt: skip


@pytest.mark.parametrize("what", BY_THE_LAUNCHER)
def test_the_launcher_starts_a_release_and_nothing_else(world: World, what: str) -> None:
    change, said = BY_THE_LAUNCHER[what]
    launcher = account(world, world.tenant, "launcher")
    assert said in refusal(create, launcher, world.release, release(world, change))


def test_the_launcher_starts_a_release_once_and_changes_nothing(world: World) -> None:
    """As the resource step does it, by server-side apply, also after a lost pod. The Workflow is suspended, so nothing runs."""
    launcher = account(world, world.tenant, "launcher")
    made = {"apiVersion": ARGO, "kind": "Workflow", **release(world, {"metadata": {"name": "release-of-a-test"}})}
    try:
        first, again = (apply(launcher, world.release, made, "argo") for _ in range(2))
        assert first["metadata"]["uid"] == again["metadata"]["uid"]
        assert CREATOR not in first["metadata"].get("labels", {})
        for change in ({"spec": {"shutdown": "Stop"}}, {"spec": {"suspend": None}}, {"metadata": {"labels": {CREATOR: "bob"}}}):
            assert STARTS in refusal(patch, launcher, world.release, "release-of-a-test", change)
    finally:
        Api(world.api).call("DELETE", path(ARGO, "workflows", world.release, "release-of-a-test"))


def test_the_launcher_submits_no_run(world: World) -> None:
    said = refusal(create, account(world, world.tenant, "launcher"), world.tenant, honest(world))
    assert "launcher may not create workflows" in said


def gang(change: Callable[[Object], Any] = lambda pod: None) -> Object:
    """A JobSet of one sleeping pod as `render` would write it, with its pod changed."""
    pod: Object = {
        "serviceAccountName": "trainer", "automountServiceAccountToken": False, "restartPolicy": "Never",
        "securityContext": USER, "containers": [{"name": "main", "image": "fleece/train:0.1.0", "securityContext": SECURED}],
    }  # fmt: skip
    change(pod)
    node = {"name": "node", "template": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}}
    return {"apiVersion": JOBSET, "kind": "JobSet", **named("ft-attack", spec={"replicatedJobs": [node]})}


def mounts(**volume: Any) -> Callable[[Object], Any]:
    return lambda pod: pod.update(volumes=[{"name": "v", **volume}])


TOKEN = {"sources": [{"serviceAccountToken": {"path": "token"}}]}
IMAGES = "the image of a training begins with"
JOBSETS: dict[str, tuple[Callable[[Object], Any], str]] = {
    "a step's account": (lambda pod: pod.update(serviceAccountName="launcher"), "run as the account trainer"),
    "a token": (lambda pod: pod.update(automountServiceAccountToken=True), "without a token"),
    "a token by the way": (mounts(projected=TOKEN), "no projected volume"),
    "a Secret": (mounts(secret={"secretName": "fleece-git"}), "no projected volume and no Secret"),
    "a Secret in its environment": (
        lambda pod: pod["containers"][0].update(envFrom=[{"secretRef": {"name": "fleece-git"}}]),
        "read no Secret",
    ),
    "a folder of the node": (mounts(hostPath={"path": "/"}), "no hostPath"),
    "the node's network": (lambda pod: pod.update(hostNetwork=True), "share nothing with their node"),
    "root": (lambda pod: pod.pop("securityContext"), "not root"),
    "another image": (lambda pod: pod["containers"][0].update(image="evil/train:1"), IMAGES),
    "another image before it": (lambda pod: pod.update(initContainers=[{"name": "i", "image": "evil/train:1"}]), IMAGES),
}  # fmt: skip


@pytest.mark.parametrize("what", JOBSETS)
def test_a_training_is_user_code_without_rights(world: World, what: str) -> None:
    change, said = JOBSETS[what]
    launcher = account(world, world.tenant, "launcher")
    where = path(JOBSET, "jobsets", world.tenant)
    line = refusal(launcher.call, "POST", where, gang(change), DRY)
    assert said in line
    assert launcher.call("POST", where, gang(), DRY)["metadata"]["name"] == "ft-attack"
    applied = f"{where}/ft-attack"
    assert refusal(launcher.call, "PATCH", applied, gang(change), {"fieldManager": "argo", "force": "true", **DRY}, APPLY)


def test_the_launcher_makes_jobs_in_a_dry_run_only(world: World) -> None:
    launcher = account(world, world.tenant, "launcher")
    jobs = path("batch/v1", "jobs", world.tenant)
    job = {"metadata": {"name": "attack"}, "spec": gang()["spec"]["replicatedJobs"][0]["template"]["spec"]}
    assert "in a dry run only" in refusal(launcher.call, "POST", jobs, job)
    assert launcher.call("POST", jobs, job, DRY)["metadata"]["name"] == "attack"


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("tenant", "trainer"), ("tenant", "steps"), ("tenant", "observer"), ("tenant", "cleaner"),
        ("release", "releaser"), ("release", "recorder"), ("release", "watcher"),
    ],
)  # fmt: skip
def test_no_account_of_a_step_reads_a_secret_or_starts_anything(world: World, room: str, name: str) -> None:
    namespace = getattr(world, room)
    own = account(world, namespace, name)
    for verb, group, resource, within in (
        ("GET", "v1", "secrets/fleece-signing", world.release), ("GET", "v1", "secrets", world.tenant), ("GET", "v1", "pods", namespace),
        ("POST", ARGO, "workflows", world.tenant), ("POST", ARGO, "workflows", world.release), ("GET", ARGO, "workflows", world.release),
        ("POST", "v1", "pods", namespace), ("POST", "batch/v1", "jobs", namespace),
        ("POST", JOBSET, "jobsets", world.tenant),
    ):  # fmt: skip
        where = path(group, "", within).rstrip("/") + f"/{resource}"
        assert f"{name} may not " in refusal(own.call, verb, where, named("x") if verb == "POST" else None)


REFERENCE = {"workflowTemplateRef": {"name": "finetune"}}
LABELS = {"labels": {CREATOR: "bob"}}
FROM = {"labelsFrom": {CREATOR: {"expression": "'bob'"}}}
STEP = {"name": "s", "templateRef": {"name": "finetune", "template": "plan"}}
MISTAKES: dict[str, tuple[str, Object]] = {
    "a schedule that names a creator": ("cronworkflows", {"workflowMetadata": LABELS, "workflowSpec": REFERENCE}),
    "a schedule whose runs do": ("cronworkflows", {"workflowSpec": {**REFERENCE, "workflowMetadata": LABELS}}),
    "a schedule of an inline Workflow": ("cronworkflows", {"workflowSpec": {"entrypoint": "main", "templates": [EVIL]}}),
    "a template that names a creator": ("workflowtemplates", {"workflowMetadata": LABELS, "templates": [EVIL]}),
    "a template that computes one": ("workflowtemplates", {"workflowMetadata": FROM, "templates": [EVIL]}),
    "a template that refers to another": ("workflowtemplates", {"templates": [{"name": "main", "steps": [[STEP]]}]}),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_not_even_an_administrator_opens_a_way_by_mistake(world: World, what: str) -> None:
    kind, spec = MISTAKES[what]
    spec = {"schedules": ["* * * * *"], **spec} if kind == "cronworkflows" else spec
    made = {"apiVersion": ARGO, "kind": {"cronworkflows": "CronWorkflow"}.get(kind, "WorkflowTemplate"), **named("mistake", spec=spec)}
    assert "fleece-templates refuses this" in refusal(Api(world.api).call, "POST", path(ARGO, kind, world.tenant), made, DRY)
