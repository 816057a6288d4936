"""The Workflow object: made from a template and arguments, brought to its end."""

import getpass
import re
from typing import Any

from pipelines.local import clock, gojson, identity, merge
from pipelines.local.nodes import Template

Workflow = dict[str, Any]
Spec = dict[str, Any]
Argument = dict[str, Any]

TEMPLATE_LABEL = "workflows.argoproj.io/workflow-template"
CLUSTER_TEMPLATE_LABEL = "workflows.argoproj.io/cluster-workflow-template"
CRON_LABEL = "workflows.argoproj.io/cron-workflow"
SCHEDULED_ANNOTATION = "workflows.argoproj.io/scheduled-time"
CREATOR_LABEL = "workflows.argoproj.io/creator"
ACTOR_LABEL = "workflows.argoproj.io/actor"
ACTION_LABEL = "workflows.argoproj.io/action"
PHASE_LABEL = "workflows.argoproj.io/phase"
COMPLETED_LABEL = "workflows.argoproj.io/completed"


def generated(prefix: str) -> str:
    """A name as Kubernetes generates it: the prefix and five characters."""
    return prefix[:58] + identity.suffix()


def label_safe(text: str) -> str:
    """As Argo makes a caller's name a label value: its last 63 characters. argo-workflows v4.1.2 `workflow/creator/creator.go`"""
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", re.sub(r"[^-A-Za-z0-9_.]", "-", text)[-63:])


def creator() -> str:
    try:
        return label_safe(getpass.getuser())
    except (KeyError, OSError):
        return "unknown"


def make(
    source: dict[str, Any], parameters: dict[str, str], namespace: str, labels: dict[str, str], name: str | None, now: float
) -> Workflow:
    """The object that `argo submit` would create of what `load` found."""
    given = source["metadata"]
    spec = with_parameters(source["spec"], parameters)
    meta = {
        "name": name or given.get("name") or generated(given["generateName"]),
        "namespace": namespace,
        "uid": identity.uid(),
        "creationTimestamp": clock.rfc3339(now),
        "labels": (given.get("labels") or {}) | _labels(spec) | labels,
    }
    kept = ("annotations", "ownerReferences") + (() if name or given.get("name") else ("generateName",))
    meta |= {key: given[key] for key in kept if given.get(key)}
    status: dict[str, Any] = {"phase": "Pending", "startedAt": clock.rfc3339(now), "finishedAt": None, "progress": "0/0", "nodes": {}}
    if source.get("stored"):
        status["storedTemplates"] = source["stored"]
    if "template" in source:
        runs = status["storedWorkflowTemplateSpec"] = merged(source | {"spec": spec})
        spec |= {"suspend": True} if runs.get("suspend") else {}  # where a resume takes it away
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": spec, "status": status}


def _labels(spec: Spec) -> dict[str, str]:
    fixed = {COMPLETED_LABEL: "false", PHASE_LABEL: "Running", CREATOR_LABEL: creator()}
    reference = spec.get("workflowTemplateRef")
    if reference:
        fixed[CLUSTER_TEMPLATE_LABEL if reference.get("clusterScope") else TEMPLATE_LABEL] = reference["name"]
    return fixed


def with_parameters(spec: Spec, parameters: dict[str, str]) -> Spec:
    """The spec with the parameters of the command line, which stand first (argo-data-flow 002)."""
    arguments = dict(spec.get("arguments") or {})
    new = [{"name": key, "value": value} for key, value in parameters.items()]
    arguments["parameters"] = new + [p for p in arguments.get("parameters") or [] if p["name"] not in parameters]
    return spec | {"arguments": {k: v for k, v in arguments.items() if v}}


def merged(source: dict[str, Any]) -> Spec:
    """The spec that runs, of what `load` found."""
    spec: Spec = source["spec"]
    return refer(spec, source["template"]) if "template" in source else spec


def refer(caller: Spec, template: Spec) -> Spec:
    """A Workflow's own spec over that of the WorkflowTemplate it refers to: a strategic merge, but parameters and hooks are never mixed.

    argo-workflows v4.1.2 `workflow/util/merge.go`: of a parameter that both give, the one with a value is taken whole, the caller's first.
    """
    both: Spec = merge.strategic(template, {k: v for k, v in caller.items() if k != "workflowTemplateRef"})
    for kind in ("parameters", "artifacts"):
        mine, theirs = ({a.get("name"): a for a in (s.get("arguments") or {}).get(kind) or []} for s in (caller, template))
        if mine or theirs:
            both["arguments"] = both["arguments"] | {kind: [_whole(a, mine, theirs) for a in both["arguments"][kind]]}
    if caller.get("hooks") and template.get("hooks"):
        both["hooks"] = template["hooks"] | caller["hooks"]
    return both


def _whole(argument: Argument, mine: dict[str | None, Argument], theirs: dict[str | None, Argument]) -> Argument:
    """An argument whose value, default and source are of one hand; only a key in a bucket is completed from the other one."""
    for one in (mine.get(argument.get("name"), {}), theirs.get(argument.get("name"), {})):
        if any(key not in _DESCRIBES for key in one):
            return one | {key: argument[key] for key in ("s3", "gcs") if key in one}
    return argument


_DESCRIBES = ("name", "description", "enum", "globalName")
"""What an argument may say without giving a value."""


def effective(workflow: Workflow) -> Spec:
    """The spec that runs: templates with the defaults for all templates merged in."""
    spec: Spec = workflow["status"].get("storedWorkflowTemplateSpec") or workflow["spec"]
    return spec | {"templates": [with_defaults(t, spec) for t in spec.get("templates") or []]}


def templates(workflow: Workflow, spec: Spec) -> dict[str, Template]:
    """Every template of a run by its `library.key`; those stored from elsewhere get the defaults of the spec that runs, as in Argo."""
    stored = workflow["status"].get("storedTemplates") or {}
    return {t["name"]: t for t in spec["templates"]} | {key: with_defaults(t, spec) for key, t in stored.items()}


def with_defaults(template: Template, spec: Spec) -> Template:
    """templateDefaults and the workflow's own retryStrategy reach every template, dags too (argo-control-flow 121, 122)."""
    found: Template = merge.strategic(spec.get("templateDefaults") or {}, template)
    if "retryStrategy" not in found and "retryStrategy" in spec:
        found["retryStrategy"] = spec["retryStrategy"]
    if "retryStrategy" in found and found["retryStrategy"] is None:
        del found["retryStrategy"]
    kinds = ("container", "script", "dag", "steps", "suspend", "resource")
    own = [k for k in kinds if k in template]
    return {k: v for k, v in found.items() if k not in kinds or k in own or (k == "container" and not own)}


def end(workflow: Workflow, phase: str, message: str, now: float) -> None:
    """Phase, message, time, labels and progress of a workflow that is over."""
    status, labels = workflow["status"], workflow["metadata"]["labels"]
    status["phase"] = phase
    if message:
        status["message"] = message
    else:
        status.pop("message", None)
    status["finishedAt"] = clock.rfc3339(now)
    labels |= {PHASE_LABEL: phase, COMPLETED_LABEL: "true"}
    warnings = [c for c in status.get("conditions") or [] if c["type"] == "SpecWarning"]
    status["conditions"] = [*warnings, {"type": "Completed", "status": "True"}]


def progress(workflow: Workflow) -> str:
    """Finished pods of all pods."""
    pods = [n for n in workflow["status"]["nodes"].values() if n["type"] == "Pod"]
    return f"{sum(n['phase'] == 'Succeeded' for n in pods)}/{len(pods)}"


def text(value: Any) -> str | None:
    """A parameter's value as Argo reads it from YAML: numbers through float64, lists and maps are lost (argo-data-flow 003, 246)."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return gojson.number(value) if isinstance(value, int | float) else ""
