"""Workflow objects as they are sent and as they come: what is submitted, what is patched, what is read. Pure.

What may be sent is what the admission policies let through (argocd/platform/fleece/cluster): a reference to a WorkflowTemplate, literal
parameters, the caller's own name as creator; of a run only `spec.suspend` and `spec.shutdown`.
"""

import base64
import binascii
import copy
import gzip
import json
from typing import Any

from pipelines.local import control, load
from pipelines.local.clock import Clock
from pipelines.local.control import Command
from pipelines.local.faults import Refused
from pipelines.local.history import RESUBMITTED
from pipelines.local.nodes import COMPLETED, Nodes
from pipelines.local.workflow import ACTION_LABEL, ACTOR_LABEL, CREATOR_LABEL, TEMPLATE_LABEL, label_safe, with_parameters

Workflow = dict[str, Any]
Object = dict[str, Any]

GROUP = "argoproj.io/v1alpha1"
_ARGO = "workflows.argoproj.io/"


# --- read


def read(found: Object) -> Workflow:
    """A Workflow as the printers take one: steps unpacked, and there, even if its controller has not seen it yet."""
    meta = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    status = {key: value for key, value in (found.get("status") or {}).items() if value is not None}
    status |= {"phase": status.get("phase") or "Pending", "nodes": status.get("nodes") or unpacked(status.pop("compressedNodes", ""))}
    return found | {"metadata": {"labels": {}, **meta}, "status": status}


def unpacked(text: str) -> dict[str, Any]:
    """`status.compressedNodes`, which Argo writes when the object grows large: base64 of gzip of JSON; nothing when it is another kind."""
    try:
        found = json.loads(gzip.decompress(base64.b64decode(text))) if text else {}
    except (binascii.Error, OSError, EOFError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def out_of_sight(run: Workflow) -> str:
    """Why no step is shown of a run that has some; else empty. Nodes may lie in Argo's database, or be packed as zstd or brotli."""
    packed = (run["status"].get("offloadNodeStatusVersion") or run["status"].get("progress", "0/0") != "0/0") and not run["status"]["nodes"]
    return "its steps lie in Argo's database; `argo get` reads them there, through Argo's server" if packed else ""


# --- sent


def submitted(document: Object, template: Object, parameters: dict[str, str], name: str | None, user: str) -> Object:
    """The Workflow that starts a document, a WorkflowTemplate, or a CronWorkflow with the `template` that it refers to.

    Refused for a parameter that is unknown, missing, outside its enum, or would be acted upon: Argo checks none of this.
    """
    spec = {"workflowTemplateRef": {"name": template["metadata"]["name"]}}
    if document["kind"] == "CronWorkflow" and (arguments := document["spec"]["workflowSpec"].get("arguments")):
        spec["arguments"] = arguments
    return _made(document["metadata"]["name"], spec, template, parameters, name, user)


def reference(document: Object) -> str:
    """The WorkflowTemplate that a CronWorkflow starts. Refused when it brings templates of its own."""
    found = document["spec"]["workflowSpec"].get("workflowTemplateRef") or {}
    if not found.get("name") or found.get("clusterScope"):
        raise Refused(
            f"CronWorkflow {document['metadata']['name']!r} starts no WorkflowTemplate of its namespace, so it starts by schedule only"
        )
    return str(found["name"])


def resubmitted(old: Workflow, template: Object, parameters: dict[str, str], user: str) -> Object:
    """A new Workflow of an old run, as `argo resubmit` makes it: same reference, arguments and labels, but those that tell who did what to
    the old one, and no owner: the new run has a creator, and no schedule deletes it.
    """
    meta = old["metadata"]
    prefix = (meta.get("generateName") or f"{meta['name']}-").removesuffix("-")
    spec = {key: value for key, value in old["spec"].items() if key != "shutdown"}
    made = _made(prefix, spec, template, parameters, None, user)
    kept = {key: value for key, value in meta["labels"].items() if not key.startswith(_ARGO)}
    made["metadata"]["labels"] = kept | made["metadata"]["labels"] | {RESUBMITTED: meta["name"]}
    if notes := {key: value for key, value in (meta.get("annotations") or {}).items() if not key.startswith(_ARGO)}:
        made["metadata"]["annotations"] = notes
    return made


def _made(prefix: str, spec: Object, template: Object, parameters: dict[str, str], name: str | None, user: str) -> Object:
    load.name(name)
    plain = load.texts(spec)
    load.given({"spec": plain, "template": load.texts(template["spec"])}, parameters)
    named = {"name": name} if name else {"generateName": f"{prefix}-"}
    labels = {CREATOR_LABEL: label_safe(user), TEMPLATE_LABEL: template["metadata"]["name"]}
    return {
        "apiVersion": GROUP,
        "kind": "Workflow",
        "metadata": named | {"labels": labels},
        "spec": _literal(with_parameters(plain, parameters)),
    }


def _literal(spec: Object) -> Object:
    """A spec whose parameters are names and values and no more: what describes them stands in the template."""
    given = (spec.get("arguments") or {}).get("parameters") or []
    named = [{"name": one["name"], "value": one["value"]} if one.get("value") is not None else one for one in given]
    return spec | ({"arguments": spec["arguments"] | {"parameters": named}} if named else {})


def patch(run: Workflow, what: Command, user: str) -> Object | None:
    """The merge patch that carries a command out; None when the run is so already. Refused as on one machine, and for a suspend node."""
    verb, name = what.verb, run["metadata"]["name"]
    if what.selector or verb == "set" or (verb == "resume" and any(map(control.is_waiting, run["status"]["nodes"].values()))):
        raise Refused(f"suspend nodes of run {name!r} are let go by its controller only: whoever could would forge what they give")
    if verb == "resume" and run["status"]["phase"] in COMPLETED:
        raise Refused(
            f"run {name!r} is over ({run['status']['phase']}); `fleece resubmit {name}` runs it again, and repeats nothing that is finished"
        )
    after = copy.deepcopy(run)
    control.apply(after, Nodes(name, after["status"]["nodes"], Clock()), what)
    spec = {key: after["spec"].get(key) for key in ("shutdown", "suspend") if after["spec"].get(key) != run["spec"].get(key)}
    labels = {ACTOR_LABEL: label_safe(user), ACTION_LABEL: verb.capitalize()}
    return {"metadata": {"labels": labels}, "spec": spec} if spec else None
