"""The Workflow object: made from a template and arguments, brought to its end."""

import getpass
import re
import secrets
import uuid
from typing import Any

from pipelines.local import clock, gojson
from pipelines.local.nodes import Template

Workflow = dict[str, Any]
Spec = dict[str, Any]

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # https://pkg.go.dev/k8s.io/apimachinery/pkg/util/rand: no vowels, so no words
TEMPLATE_LABEL = "workflows.argoproj.io/workflow-template"
CREATOR_LABEL = "workflows.argoproj.io/creator"
PHASE_LABEL = "workflows.argoproj.io/phase"
COMPLETED_LABEL = "workflows.argoproj.io/completed"


def generated(prefix: str) -> str:
    """A name as Kubernetes generates it: the prefix and five characters."""
    return prefix[:58] + "".join(secrets.choice(_LETTERS) for _ in range(5))


def label_safe(text: str) -> str:
    """As Argo makes the creator's name a label value."""
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", re.sub(r"[^-A-Za-z0-9_.]", "-", text)[:63])


def creator() -> str:
    try:
        return label_safe(getpass.getuser())
    except (KeyError, OSError):
        return "unknown"


def make(
    source: dict[str, Any], parameters: dict[str, str], namespace: str, labels: dict[str, str], name: str | None, now: float
) -> Workflow:
    """The object that `argo submit` would create. `source` is a Workflow, or a WorkflowTemplate to be run."""
    given = source["metadata"]
    caller = source.get("reference")
    own_spec = None if caller is None else _merged(caller, parameters)
    spec = _merged(source["spec"], parameters) if own_spec is None else refer(own_spec, source["template"])
    template = source["kind"] == "WorkflowTemplate"
    meta = {
        "name": name or given.get("name" if not template else "-") or generated(given.get("generateName") or f"{given['name']}-"),
        "namespace": namespace,
        "uid": str(uuid.uuid4()),
        "creationTimestamp": clock.rfc3339(now),
        "labels": _labels(source, labels),
    }
    annotations = ({} if template else given.get("annotations") or {}) | ((spec.get("workflowMetadata") or {}).get("annotations") or {})
    if annotations:
        meta["annotations"] = annotations
    if not template and given.get("ownerReferences"):
        meta["ownerReferences"] = given["ownerReferences"]
    own = {"workflowTemplateRef": {"name": given["name"]}, "arguments": {"parameters": _own(parameters)}} if template else own_spec or spec
    status: dict[str, Any] = {"phase": "Pending", "startedAt": clock.rfc3339(now), "finishedAt": None, "progress": "0/0", "nodes": {}}
    made = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": own, "status": status}
    status["storedWorkflowTemplateSpec"] = spec
    return made


def _labels(source: dict[str, Any], labels: dict[str, str]) -> dict[str, str]:
    fixed = {COMPLETED_LABEL: "false", PHASE_LABEL: "Running", CREATOR_LABEL: creator()}
    if source["kind"] == "WorkflowTemplate":
        fixed[TEMPLATE_LABEL] = source["metadata"]["name"]
        own: dict[str, str] = {}
    else:
        own = source["metadata"].get("labels") or {}
    meta = (source["spec"].get("workflowMetadata") or {}).get("labels") or {}
    return {**meta, **own, **fixed, **labels}


def _own(parameters: dict[str, str]) -> list[dict[str, Any]]:
    return [{"name": key, "value": value} for key, value in parameters.items()]


def _merged(spec: Spec, parameters: dict[str, str]) -> Spec:
    """The spec with the parameters of the command line, which stand first (argo-data-flow 002)."""
    arguments = dict(spec.get("arguments") or {})
    declared = arguments.get("parameters") or []
    new = [next((p for p in declared if p["name"] == key), {"name": key}) | {"value": value} for key, value in parameters.items()]
    arguments["parameters"] = new + [p for p in declared if p["name"] not in parameters]
    return spec | {"arguments": {k: v for k, v in arguments.items() if v}}


def refer(caller: Spec, template: Spec) -> Spec:
    """A Workflow's own spec over that of the WorkflowTemplate it refers to; arguments by name, what was not overridden first."""
    own = {k: v for k, v in caller.items() if k not in ("workflowTemplateRef", "arguments")}
    arguments: dict[str, Any] = {}
    for kind in ("parameters", "artifacts"):
        mine = (caller.get("arguments") or {}).get(kind) or []
        theirs = (template.get("arguments") or {}).get(kind) or []
        named = {a["name"]: a for a in theirs}
        both = [a for a in theirs if a["name"] not in {m["name"] for m in mine}] + [named.get(m["name"], {}) | m for m in mine]
        if both:
            arguments[kind] = both
    return template | own | {"arguments": arguments}


def effective(workflow: Workflow) -> Spec:
    """The spec that runs: templates with the defaults for all templates merged in."""
    spec: Spec = workflow["status"].get("storedWorkflowTemplateSpec") or workflow["spec"]
    return spec | {"templates": [with_defaults(t, spec) for t in spec.get("templates") or []]}


def with_defaults(template: Template, spec: Spec) -> Template:
    """templateDefaults and the workflow's own retryStrategy reach every template, dags too (argo-control-flow 121, 122)."""
    merged = _merge(spec.get("templateDefaults") or {}, template)
    if "retryStrategy" not in merged and "retryStrategy" in spec:
        merged["retryStrategy"] = spec["retryStrategy"]
    if "retryStrategy" in merged and merged["retryStrategy"] is None:
        del merged["retryStrategy"]
    kinds = ("container", "script", "dag", "steps", "suspend", "resource")
    own = [k for k in kinds if k in template]
    return {k: v for k, v in merged.items() if k not in kinds or k in own or (k == "container" and not own)}


def _merge(default: Any, own: Any) -> Any:
    """A strategic merge: maps by key, lists of named things by name, everything else is the template's own."""
    if isinstance(default, dict) and isinstance(own, dict):
        return default | {k: _merge(default[k], v) if k in default else v for k, v in own.items()}
    if isinstance(default, list) and isinstance(own, list) and all(isinstance(x, dict) and "name" in x for x in default + own):
        names = {x["name"] for x in own}
        return own + [x for x in default if x["name"] not in names]
    return own


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
    status["conditions"] = [{"type": "Completed", "status": "True"}]


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
