"""What `fleece` sends to a cluster, and what it makes of the Workflows that come back."""

import base64
import gzip
import json
from typing import Any

import pytest

from pipelines.cluster import objects
from pipelines.local.control import Command
from pipelines.local.faults import Refused
from pipelines.local.workflow import label_safe

TEMPLATE = {
    "kind": "WorkflowTemplate",
    "metadata": {"name": "finetune"},
    "spec": {
        "arguments": {
            "parameters": [
                {"name": "config", "description": "run file"},
                {"name": "promote", "value": "ask", "enum": ["auto", "ask", "never"]},
                {"name": "rows", "value": 5},
            ]
        }
    },
}
REFERENCE = {"workflowTemplateRef": {"name": "finetune"}}


def old(phase: str = "Failed", **status: Any) -> dict[str, Any]:
    """A run as the API gives it."""
    labels = {
        "team": "a",
        "workflows.argoproj.io/creator": "alice",
        "workflows.argoproj.io/actor": "bob",
        "workflows.argoproj.io/action": "Stop",
        "workflows.argoproj.io/phase": phase,
        "workflows.argoproj.io/completed": "true",
        "workflows.argoproj.io/cron-workflow": "retrain",
        "workflows.argoproj.io/workflow-template": "finetune",
    }
    meta = {"name": "finetune-x7k2p", "generateName": "finetune-", "namespace": "team-a", "labels": labels, "managedFields": [{}]}
    meta |= {"annotations": {"note": "n", "workflows.argoproj.io/scheduled-time": "…"}, "ownerReferences": [{"name": "retrain"}]}
    arguments = {"parameters": [{"name": "config", "value": "a.yaml"}, {"name": "promote", "value": "never"}]}
    spec = REFERENCE | {"arguments": arguments, "shutdown": "Stop"}
    return {"apiVersion": objects.GROUP, "kind": "Workflow", "metadata": meta, "spec": spec, "status": {"phase": phase, **status}}


@pytest.mark.parametrize(
    ("user", "label"),
    [
        ("admin", "admin"),
        ("alice@acme.com", "alice-acme.com"),
        ("system:serviceaccount:team-a:alice", "system-serviceaccount-team-a-alice"),
        ("https://id.acme.com/realms/ml#Zoë", "https---id.acme.com-realms-ml-Zo"),
        ("u" * 10 + "-" + "v" * 62, "v" * 62),  # the last 63 characters, then what may not begin a label
        ("_.x._", "x"),
        ("@@@", ""),
    ],
)
def test_a_callers_name_becomes_the_label_that_argo_makes_of_it(user: str, label: str) -> None:
    assert label_safe(user) == label


def test_a_submit_is_a_reference_with_literal_parameters_under_the_callers_name() -> None:
    assert objects.submitted(TEMPLATE, TEMPLATE, {"config": "a.yaml"}, None, "alice@acme.com") == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "generateName": "finetune-",
            "labels": {
                "workflows.argoproj.io/creator": "alice-acme.com",
                "workflows.argoproj.io/workflow-template": "finetune",
            },
        },
        "spec": REFERENCE | {"arguments": {"parameters": [{"name": "config", "value": "a.yaml"}]}},
    }
    assert objects.submitted(TEMPLATE, TEMPLATE, {"config": "a"}, "mine", "a")["metadata"]["name"] == "mine"


@pytest.mark.parametrize(
    ("parameters", "name", "said"),
    [
        ({}, None, "spec.arguments.config.value or spec.arguments.config.valueFrom is required; give it with -p config=…"),
        ({"config": "a", "promot": "x"}, None, "parameter 'promot' is unknown; did you mean 'promote'?"),
        ({"config": "a", "promote": "yes"}, None, "'yes' is none of auto, ask, never"),
        ({"config": "{{workflow.uid}}"}, None, "contains '{{'"),
        ({"config": "a}}"}, None, "contains '}}'"),
        ({"config": "$(HOME)"}, None, r"contains '\$\('"),
        ({"config": "a\nb"}, None, r"contains '\\n'"),
        ({"config": "x" * 65_537}, None, "65537 bytes long"),
        ({"config": "a"}, "Mine", "'Mine' is no name for a run"),
    ],
)
def test_what_argo_would_let_through_is_refused_before_anything_is_sent(parameters: dict[str, str], name: str | None, said: str) -> None:
    with pytest.raises(Refused, match=said) as refused:
        objects.submitted(TEMPLATE, TEMPLATE, parameters, name, "alice")
    assert "\n" not in str(refused.value)


def test_a_cron_workflow_is_started_now_by_its_template_with_its_own_arguments() -> None:
    given = [{"name": "config", "value": "weekly.yaml", "description": "…"}, {"name": "rows", "value": 7}]
    cron = {
        "kind": "CronWorkflow",
        "metadata": {"name": "retrain"},
        "spec": {"workflowSpec": REFERENCE | {"arguments": {"parameters": given}}},
    }
    assert objects.reference(cron) == "finetune"
    made = objects.submitted(cron, TEMPLATE, {"promote": "never"}, None, "alice")
    assert made["metadata"]["generateName"] == "retrain-"
    assert made["spec"]["arguments"]["parameters"] == [
        {"name": "promote", "value": "never"},
        {"name": "config", "value": "weekly.yaml"},
        {"name": "rows", "value": "7"},
    ]


def test_a_cron_workflow_with_templates_of_its_own_cannot_be_submitted() -> None:
    with pytest.raises(Refused, match="starts by schedule only"):
        objects.reference({"metadata": {"name": "own"}, "spec": {"workflowSpec": {"entrypoint": "main", "templates": []}}})


def test_a_resubmit_keeps_the_arguments_and_whose_the_run_is_but_not_who_did_what_to_the_old_one() -> None:
    made = objects.resubmitted(objects.read(old()), TEMPLATE, {"promote": "auto"}, "carol")
    assert made["metadata"] == {
        "generateName": "finetune-",
        "labels": {
            "team": "a",
            "workflows.argoproj.io/creator": "carol",
            "workflows.argoproj.io/workflow-template": "finetune",
            "workflows.argoproj.io/resubmitted-from-workflow": "finetune-x7k2p",
        },
        "annotations": {"note": "n"},
    }
    parameters = [{"name": "promote", "value": "auto"}, {"name": "config", "value": "a.yaml"}]
    assert made["spec"] == REFERENCE | {"arguments": {"parameters": parameters}}


def test_a_run_that_was_named_gives_its_name_to_the_one_that_is_resubmitted() -> None:
    named = old()
    del named["metadata"]["generateName"]
    assert objects.resubmitted(objects.read(named), TEMPLATE, {}, "carol")["metadata"]["generateName"] == "finetune-x7k2p-"


def running(**spec: Any) -> dict[str, Any]:
    found = objects.read(old("Running"))
    return found | {"spec": REFERENCE | spec}


@pytest.mark.parametrize(
    ("verb", "spec", "sent"),
    [
        ("stop", {}, {"shutdown": "Stop"}),
        ("terminate", {"shutdown": "Stop"}, {"shutdown": "Terminate"}),
        ("suspend", {}, {"suspend": True}),
        ("resume", {"suspend": True}, {"suspend": None}),
        ("stop", {"shutdown": "Stop"}, None),
        ("suspend", {"suspend": True}, None),
        ("resume", {}, None),
    ],
)
def test_a_command_is_a_patch_of_one_field_and_of_who_gave_it(verb: str, spec: dict[str, Any], sent: dict[str, Any] | None) -> None:
    labels = {"workflows.argoproj.io/actor": "carol", "workflows.argoproj.io/action": verb.capitalize()}
    assert objects.patch(running(**spec), Command(verb), "carol") == (sent and {"metadata": {"labels": labels}, "spec": sent})


WAITS = {"w": {"id": "w", "name": "w", "displayName": "w", "type": "Suspend", "phase": "Running"}}


@pytest.mark.parametrize(
    ("run", "what", "said"),
    [
        (old("Failed"), Command("stop"), "cannot shutdown a completed workflow"),
        (old("Failed"), Command("suspend"), "cannot suspend completed workflows"),
        (old("Failed"), Command("resume"), r"is over \(Failed\); `fleece resubmit finetune-x7k2p` runs it again"),
        (old("Running", nodes=WAITS), Command("resume"), "let go by its controller only"),
        (old("Running", nodes=WAITS), Command("stop", selector="displayName=w"), "let go by its controller only"),
    ],
)
def test_what_admission_would_refuse_is_refused_here_with_the_reason(run: dict[str, Any], what: Command, said: str) -> None:
    with pytest.raises(Refused, match=said):
        objects.patch(objects.read(run), what, "carol")


def test_a_run_that_no_controller_has_seen_is_pending_and_has_no_steps() -> None:
    fresh = objects.read({"metadata": {"name": "w", "managedFields": []}, "spec": {}})
    assert fresh == {"metadata": {"name": "w", "labels": {}}, "spec": {}, "status": {"phase": "Pending", "nodes": {}}}


def test_packed_steps_are_unpacked() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps(WAITS).encode())).decode()
    read = objects.read(old("Running", compressedNodes=packed))
    assert read["status"]["nodes"] == WAITS
    assert "compressedNodes" not in read["status"]
    assert objects.out_of_sight(read) == ""


@pytest.mark.parametrize(
    ("status", "hidden"),
    [
        ({"offloadNodeStatusVersion": "v1:123", "progress": "2/5"}, True),
        ({"compressedNodes": base64.b64encode(b"(\xb5/\xfdzstd").decode(), "progress": "2/5"}, True),
        ({"compressedNodes": "not base64", "progress": "2/5"}, True),
        ({"compressedNodes": base64.b64encode(gzip.compress(b"{}")[:10]).decode(), "progress": "2/5"}, True),
        ({"progress": "0/0"}, False),
        ({}, False),
    ],
)
def test_steps_that_lie_elsewhere_are_said_to(status: dict[str, Any], hidden: bool) -> None:
    read = objects.read(old("Running", **status))
    assert read["status"]["nodes"] == {}
    assert bool(objects.out_of_sight(read)) is hidden
