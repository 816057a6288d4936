"""Every way that was found to make a Workflow run, say or be something that its template and its caller do not: refused, in one line.

The people are service accounts with tokens of their own: alice and mallory may submit, bob may submit and approve. There is no Argo server
here; what its clients may send is what the API lets them.
"""

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.cluster.api import Api, path
from tests.cluster.attacking import (
    ACTOR,
    ARGO,
    CREATOR,
    DRY,
    EVIL,
    PATCH_LIST,
    Object,
    apply,
    changed,
    create,
    honest,
    patch,
    person,
    refusal,
)
from tests.cluster.world import World

SCHEDULED = {"metadata": {"annotations": {"workflows.argoproj.io/scheduled-time": "2026-01-01T00:00:00Z"}}}
OWNED = {"metadata": {"ownerReferences": [{"apiVersion": ARGO, "kind": "CronWorkflow", "name": "retrain", "uid": "1"}]}}
NODE = {"id": "n", "name": "n", "displayName": "n", "type": "Pod", "phase": "Succeeded", "startedAt": None, "finishedAt": None}
STATUS = "a new Workflow may not bring a status"
FIELDS = "submitted from a WorkflowTemplate with arguments only; not allowed here"
LABELS = "may carry no workflows.argoproj.io/ label"
COPY = "status.storedTemplates m"
VALUE = "a parameter holds no {{"
Change = Callable[[World], Object]


@pytest.fixture(scope="module")
def mallory(world: World) -> Api:
    return person(world, "mallory")


def spec(**fields: Any) -> Object:
    return {"spec": fields}


def labelled(**labels: str) -> Object:
    return {"metadata": {"labels": {f"workflows.argoproj.io/{key}": value for key, value in labels.items()}}}


def stored(copies: Any) -> Object:
    return {"status": {"storedTemplates": copies}}


def given(*parameters: Any) -> Object:
    return spec(arguments={"parameters": list(parameters)})


def value(text: str) -> Object:
    return given({"name": "config", "value": text})


def inline(step: Object) -> Object:
    return spec(workflowTemplateRef=None, entrypoint="main", templates=[{"name": "main", "steps": [[step]]}])


FORGED: dict[str, tuple[Object, str]] = {
    "nodes that have succeeded already": ({"status": {"phase": "Running", "nodes": {"n": NODE}}}, f"{STATUS}: "),
    "a phase": ({"status": {"phase": "Succeeded"}}, f"{STATUS}: phase"),
    "a start": ({"status": {"startedAt": "2026-01-01T00:00:00Z"}}, f"{STATUS}: startedAt"),
    "nodes in compressed form": ({"status": {"compressedNodes": "H4sIAAAAAAAA"}}, f"{STATUS}: compressedNodes"),
    "another spec for its template": ({"status": {"storedWorkflowTemplateSpec": {"entrypoint": "main", "templates": [EVIL]}}}, STATUS),
    "outputs": ({"status": {"outputs": {"parameters": [{"name": "request", "value": "gs://x"}]}}}, f"{STATUS}: outputs"),
    "another copy of a template": (stored({"namespaced/finetune/plan": EVIL | {"name": "plan"}}), COPY),
    "a copy of a template of another file": (stored({"namespaced/evaluate/evaluate": EVIL}), COPY),
    "a copy of a cluster's template": (stored({"cluster/finetune/plan": EVIL}), COPY),
    "a creator": (labelled(creator="bob"), "label workflows.argoproj.io/creator must be"),
    "no creator": ({"metadata": {"labels": None}}, "(you); it is absent"),
    "an empty creator, as a schedule has": (labelled(creator=""), "(you); it is absent"),
    "a creator's address": (labelled(**{"creator-email": "bob.at.example.org"}), LABELS),
    "the label of a schedule": (labelled(**{"cron-workflow": "retrain"}), LABELS),
    "the label of a finished run": (labelled(completed="true"), LABELS),
    "a phase as a label": (labelled(phase="Succeeded"), LABELS),
    "a schedule's time": (SCHEDULED, "annotation"),
    "an owner": (OWNED, "no owner and no finalizer"),
    "a finalizer, so that it never goes": ({"metadata": {"finalizers": ["example.org/keep"]}}, "no owner and no finalizer"),
    "a template of the whole cluster": (spec(workflowTemplateRef={"clusterScope": True}), "says nothing else"),
    "an inline template": (spec(workflowTemplateRef=None, entrypoint="main", templates=[EVIL]), FIELDS),
    "an inline template beside the reference": (spec(templates=[EVIL]), f"{FIELDS}: templates"),
    "a reference to a template's part": (
        inline({"name": "s", "templateRef": {"name": "finetune", "template": "plan"}}),
        FIELDS,
    ),
    "a template that is not there": (spec(workflowTemplateRef={"name": "nope"}), "here a person starts"),
    "a template for others to start": (spec(workflowTemplateRef={"name": "release"}), "here a person starts"),
    "a value from a ConfigMap": (
        given({"name": "config", "valueFrom": {"configMapKeyRef": {"name": "fleece", "key": "FLEECE_STORE"}}}),
        "literal parameters only",
    ),
    "an artifact": (spec(arguments={"artifacts": [{"name": "a", "raw": {"data": "x"}}]}), "literal parameters only"),
    "a parameter that nobody asked for": (given({"name": "approvers", "value": "me"}), "takes no parameter approvers; it takes config"),
    "fewer approvals": (given({"name": "need", "value": "0"}), "takes no parameter need"),
    "another risk class": (given({"name": "risk-class", "value": "MINIMAL"}), "takes no parameter risk-class"),
    "a value that is no choice": (given({"name": "promote", "value": "yes"}), "promote is one of auto, ask, never"),
    "a parameter twice": (given({"name": "promote", "value": "ask"}, {"name": "promote", "value": "auto"}), "given twice"),
    "a tag": (value("{{workflow.uid}}"), VALUE),
    "an expression": (value("a {{=1+1}}"), VALUE),
    "the end of a tag": (value("a}}b"), VALUE),
    "a variable of the container": (value("$(FLEECE_STORE)"), VALUE),
    "a line end": (value("a\nb"), VALUE),
    "a control character": (value("a\x01b"), VALUE),
    "a value of 70 kB": (value("x" * 70_000), "at most 65536 characters"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_new_workflow_may_not_bring(world: World, mallory: Api, what: str) -> None:
    change, said = FORGED[what]
    assert said in refusal(create, mallory, world.tenant, changed(honest(world), change))


SPEC_FIELDS: Object = {
    "entrypoint": "train", "serviceAccountName": "launcher", "automountServiceAccountToken": True, "podSpecPatch": "{}",
    "onExit": "main", "hooks": {"exit": {"template": "train"}}, "volumes": [{"name": "v", "secret": {"secretName": "fleece-git"}}],
    "volumeClaimTemplates": [],
    "templateDefaults": {"container": {"image": "x"}}, "podMetadata": {"labels": {"a": "b"}}, "securityContext": {"runAsUser": 0},
    "hostNetwork": True, "hostAliases": [], "dnsPolicy": "Default", "nodeSelector": {"a": "b"}, "tolerations": [], "affinity": {},
    "schedulerName": "x", "priority": 1000, "podPriorityClassName": "system-node-critical", "parallelism": 99,
    "executor": {"serviceAccountName": "launcher"}, "artifactGC": {"podSpecPatch": "{}"}, "artifactRepositoryRef": {"configMap": "x"},
    "synchronization": {"mutexes": [{"name": "train-0"}]},
    "workflowMetadata": {"labels": {CREATOR: "bob"}}, "retryStrategy": {"limit": 9}, "podGC": {"strategy": "OnPodCompletion"},
    "ttlStrategy": {"secondsAfterCompletion": 1}, "volumeClaimGC": {"strategy": "OnWorkflowCompletion"}, "archiveLogs": True,
    "activeDeadlineSeconds": 1, "shutdown": "Stop", "metrics": {"prometheus": []}, "imagePullSecrets": [{"name": "x"}],
    "podDisruptionBudget": {"minAvailable": 1},
}  # fmt: skip


@pytest.mark.parametrize("field", SPEC_FIELDS)
def test_nothing_of_a_template_is_changed_by_who_submits_it(world: World, mallory: Api, field: str) -> None:
    said = refusal(create, mallory, world.tenant, changed(honest(world), spec(**{field: SPEC_FIELDS[field]})))
    assert f"{FIELDS}: {field}" in said


CANNOT_BE_READ = {
    "withItems as a text": inline({"name": "s", "template": "m", "withItems": "ab"}),
    "a text in place of a copy": stored({"namespaced/finetune/plan": "text"}),
    "a list in place of a copy": stored({"namespaced/finetune/plan": []}),
    "a number in a copy": stored({"namespaced/finetune/plan": {"name": 5}}),
    "no list of steps in a copy": stored({"namespaced/finetune/cleanup": {"name": "cleanup", "steps": {}}}),
    "no step in a copy": stored({"namespaced/finetune/cleanup": {"name": "cleanup", "steps": [{}]}}),
    "a list for a step in a copy": stored({"namespaced/finetune/cleanup": {"name": "cleanup", "steps": [[[]]]}}),
    "no list of tasks in a copy": stored({"namespaced/finetune/main": {"name": "main", "dag": {"tasks": {}}}}),
    "a list for a task in a copy": stored({"namespaced/finetune/main": {"name": "main", "dag": {"tasks": [[]]}}}),
    "a list in place of a DAG": stored({"namespaced/finetune/main": {"name": "main", "dag": []}}),
    "a list in place of a container": stored({"namespaced/finetune/plan": {"name": "plan", "container": []}}),
    "names of fields in place of a copy": stored({"namespaced/finetune/reap": ["name", "container"]}),
    "an empty copy": stored({"namespaced/finetune/plan": {}}),
    "copies of a template that is not there": changed(stored({"namespaced/nope/x": "text"}), spec(workflowTemplateRef={"name": "nope"})),
    "a template's name as a number": spec(workflowTemplateRef={"name": 5}),
    "a value as a number": given({"name": "config", "value": 5}),
    "a parameter as a text": given("config"),
    "parameters as a map": spec(arguments={"parameters": {"config": "x"}}),
    "suspend as a text": spec(suspend="yes"),
    "annotations as numbers": {"metadata": {"annotations": {"a": 5}}},
}  # fmt: skip


@pytest.mark.parametrize("what", CANNOT_BE_READ)
def test_what_would_stop_the_controller_for_everybody_is_not_let_in(world: World, mallory: Api, what: str) -> None:
    assert refusal(create, mallory, world.tenant, changed(honest(world), CANNOT_BE_READ[what]), DRY)


@pytest.fixture(scope="module")
def victim(world: World) -> Object:
    """A suspended run of alice that the controller has seen."""
    made = create(person(world, "alice"), world.tenant, honest(world, "alice"))
    return world.wait(made["metadata"]["name"], until=lambda now: "startedAt" in now.get("status", {}), seconds=60)


CONTROLLER = "only the workflow controller writes a Workflow's status"
SYSTEM = "workflows.argoproj.io/ labels may not change (actor: only to yourself)"
ONLY = "of a submitted Workflow only spec.suspend and spec.shutdown may change"
LATER: dict[str, tuple[Object, str]] = {
    "a node that succeeded": ({"status": {"nodes": {"n": NODE | {"outputs": {"exitCode": "0"}}}}}, CONTROLLER),
    "a phase": ({"status": {"phase": "Succeeded"}}, CONTROLLER),
    "no status": ({"status": None}, CONTROLLER),
    "another template in the status": ({"status": {"storedWorkflowTemplateSpec": {"templates": [EVIL]}}}, CONTROLLER),
    "copies of templates": (stored({"namespaced/finetune/plan": "text"}), CONTROLLER),
    "its creator": (labelled(creator="mallory"), SYSTEM),
    "no creator": ({"metadata": {"labels": {CREATOR: None}}}, SYSTEM),
    "somebody else as actor": (labelled(actor="bob"), SYSTEM),
    "its end": (labelled(completed="true"), SYSTEM),
    "the schedule that started it": (labelled(**{"cron-workflow": "retrain"}), SYSTEM),
    "an annotation of Argo": (SCHEDULED, "annotations may not change"),
    "its arguments": (given({"name": "promote", "value": "auto"}), ONLY),
    "its template": (spec(workflowTemplateRef={"name": "evaluate"}), ONLY),
    "a pod's patch": (spec(podSpecPatch="{}"), ONLY),
    "its entrypoint": (spec(entrypoint="train"), ONLY),
    "an owner": (OWNED, "owners and finalizers"),
    "a finalizer": ({"metadata": {"finalizers": ["example.org/keep"]}}, "owners and finalizers"),
    "a shutdown of its own kind": (spec(shutdown="Now"), "spec.shutdown is Stop or Terminate"),
}  # fmt: skip


@pytest.mark.parametrize("what", LATER)
def test_a_submitted_workflow_is_not_given_by_others(world: World, mallory: Api, victim: Object, what: str) -> None:
    change, said = LATER[what]
    assert said in refusal(patch, mallory, world.tenant, victim["metadata"]["name"], change)


def test_neither_by_a_whole_object_nor_by_a_list_of_changes_nor_by_apply(world: World, mallory: Api, victim: Object) -> None:
    name = victim["metadata"]["name"]
    for _ in range(5):  # the controller may have written in between, which is another refusal
        now = changed(world.workflow(name), {"status": {"nodes": {"n": NODE}}})
        said = refusal(mallory.call, "PUT", path(ARGO, "workflows", world.tenant, name), now)
        if "object has been modified" not in said:
            break
    assert CONTROLLER in said
    add = [{"op": "add", "path": "/status/nodes", "value": {"n": NODE}}]
    assert CONTROLLER in refusal(patch, mallory, world.tenant, name, add, PATCH_LIST)
    mine = {"apiVersion": ARGO, "kind": "Workflow", "metadata": {"name": name}, "status": {"phase": "Succeeded"}}
    assert CONTROLLER in refusal(apply, mallory, world.tenant, mine, "workflow-controller")
    whole = path(ARGO, "workflows", world.tenant, name)
    assert "may not" in refusal(mallory.call, "PUT", f"{whole}/status", now)
    assert "not found" in refusal(Api(world.api).call, "PUT", f"{whole}/status", now)  # nobody has such a subresource


def test_the_name_of_a_manager_is_no_identity(world: World, mallory: Api) -> None:
    forged = changed(honest(world), {"metadata": {"generateName": None, "name": "as-the-controller"}, "status": {"phase": "Running"}})
    assert STATUS in refusal(apply, mallory, world.tenant, forged, "workflow-controller")


def test_an_honest_actor_may_say_so(world: World, mallory: Api, victim: Object) -> None:
    done = patch(mallory, world.tenant, victim["metadata"]["name"], labelled(actor=world.creator("mallory"), action="Suspend"))
    assert done["metadata"]["labels"][ACTOR] == world.creator("mallory")
    assert done["metadata"]["labels"][CREATOR] == world.creator("alice")


def test_labels_of_a_resubmitted_run_prove_nothing(world: World, mallory: Api) -> None:
    """argo resubmit carries the old run's actor over, so it is let in; who submitted stays pinned."""
    made = create(mallory, world.tenant, changed(honest(world), labelled(actor=world.creator("bob"), action="Resume")))
    assert made["metadata"]["labels"][CREATOR] == world.creator("mallory")


IN_RELEASE = {
    "mallory": ("approve", "mallory may not create workflows.argoproj.io in namespace"),
    "alice": ("release", "alice may not create workflows.argoproj.io in namespace"),
    "bob": ("release", "here a person starts approve, deploy, rollback, not release"),
}


@pytest.mark.parametrize("who", IN_RELEASE)
def test_nobody_starts_a_release_by_hand(world: World, who: str) -> None:
    template, said = IN_RELEASE[who]
    made = changed(honest(world, who, template, request=APPROVAL["request"]), {"metadata": {"generateName": "by-hand-"}})
    assert said in refusal(create, person(world, who), world.release, made)


def named(values: dict[str, str]) -> list[Object]:
    return [{"name": key, "value": text} for key, text in values.items()]


APPROVAL = {
    "request": "gs://a/runs/0/request/0/request.json",
    "digest": f"sha256:{'0' * 64}",
    "decision": "approve",
    "reason": "as good as it gets",
}
BY_AN_APPROVER = {
    "another template": (spec(workflowTemplateRef={"name": "finetune"}), "here a person starts approve, deploy, rollback, not finetune"),
    "somebody else's name": (labelled(creator="alice"), "label workflows.argoproj.io/creator must be"),
    "the name of a run's release": ({"metadata": {"generateName": None, "name": "release-0"}}, "names with release- are kept"),
    "a name made up to be one": ({"metadata": {"generateName": "release-"}}, "names with release- are kept"),
    "a decision that is none": (given(*named({**APPROVAL, "decision": "maybe"})), "decision is one of reject, approve"),
    "no digest": (given({"name": "request", "value": "gs://x"}, {"name": "reason", "value": "x"}), "approve needs the parameter digest"),
    "a step's account": (spec(serviceAccountName="recorder"), f"{FIELDS}: serviceAccountName"),
    "another entrypoint": (spec(entrypoint="let-out"), f"{FIELDS}: entrypoint"),
}  # fmt: skip


@pytest.mark.parametrize("what", BY_AN_APPROVER)
def test_an_approver_gives_a_decision_and_nothing_else(world: World, what: str) -> None:
    change, said = BY_AN_APPROVER[what]
    assert said in refusal(create, person(world, "bob"), world.release, changed(honest(world, "bob", "approve", **APPROVAL), change))


def test_an_approver_changes_no_started_approval(world: World) -> None:
    bob = person(world, "bob")
    made = create(bob, world.release, honest(world, "bob", "approve", **APPROVAL))
    assert "bob may not patch workflows" in refusal(patch, bob, world.release, made["metadata"]["name"], spec(shutdown="Stop"))
