"""Makes a new run of an old one, as `argo resubmit` does. Follows `FormulateResubmitWorkflow` of argo-workflows v4.1.2."""

import copy
from pathlib import Path
from typing import Any

from pipelines.local import clock, load, workflow
from pipelines.local.faults import Refused
from pipelines.local.images import Images
from pipelines.local.library import Library
from pipelines.local.nodes import BAD, Node, Nodes
from pipelines.local.reopen import STARTED_BY, STOPPED_BY

Workflow = dict[str, Any]

PREVIOUS_LABEL = "workflows.argoproj.io/resubmitted-from-workflow"
_OWN_LABELS = (workflow.CREATOR_LABEL, workflow.PHASE_LABEL, workflow.COMPLETED_LABEL)


def make(old: Workflow, parameters: dict[str, str], memoized: bool, templates: Path, time: clock.Clock, images: Images) -> Workflow:
    """The new Workflow object. memoized: what succeeded is not run again. Refused when the old run or a parameter does not allow it."""
    if memoized and old["status"]["phase"] not in BAD:
        raise Refused("workflow must be Failed/Error to resubmit in memoized mode")
    meta = old["metadata"]
    labels = {k: v for k, v in meta["labels"].items() if k not in _OWN_LABELS} | {PREVIOUS_LABEL: meta["name"]}
    source = _source(old, templates, images)
    load.given(source, parameters)
    new = workflow.make(source, parameters, meta["namespace"], labels, None, time.now())
    if memoized:
        new["status"]["nodes"] = _reused(old, new["metadata"]["name"], time)
    return new


def _source(old: Workflow, templates: Path, images: Images) -> dict[str, Any]:
    """What `load` finds for the old run. A WorkflowTemplate that is not there any more is taken as it was."""
    meta, spec = old["metadata"], {k: v for k, v in old["spec"].items() if k != "shutdown"}
    again = {"generateName": meta.get("generateName") or f"{meta['name']}-"}
    again["annotations"] = {k: v for k, v in (meta.get("annotations") or {}).items() if k not in (STARTED_BY, STOPPED_BY)}
    again |= {"ownerReferences": meta["ownerReferences"]} if "ownerReferences" in meta else {}
    document = {"apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": again, "spec": copy.deepcopy(spec)}
    reference = spec.get("workflowTemplateRef")
    try:
        if reference is not None:
            Library((), [templates]).find(reference["name"], bool(reference.get("clusterScope")))
    except Refused:
        stored = old["status"]
        return document | {"template": stored["storedWorkflowTemplateSpec"], "stored": stored.get("storedTemplates") or {}}
    return load.document(document, [templates], images)


def _reused(old: Workflow, name: str, time: clock.Clock) -> dict[str, Node]:
    """The old nodes under the new run's name: pods that succeeded count as skipped, with their outputs; the rest is to run."""
    nodes, before = old["status"]["nodes"], old["metadata"]["name"]
    ids = Nodes(name, {}, time)
    named = {i: name + n["name"].removeprefix(before) for i, n in nodes.items()}
    kept = {i: n for i, n in nodes.items() if not n["name"].startswith(f"{before}.onExit") and not _is_idle(n, nodes)}
    return {ids.id(named[i]): _again(n, named, ids) for i, n in kept.items()}


def _is_idle(node: Node, nodes: dict[str, Node]) -> bool:
    """A node that ran nothing and after which nothing succeeded."""
    return node["type"] == "Skipped" and not _led_to_success(node, nodes)


def _led_to_success(node: Node, nodes: dict[str, Node]) -> bool:
    seen: set[str] = set()
    queue = list(node.get("children", ()))
    while queue:
        child = queue.pop()
        if child not in seen and child in nodes:
            seen.add(child)
            queue += nodes[child].get("children", ())
    return any(nodes[i]["phase"] == "Succeeded" for i in seen)


def _again(node: Node, named: dict[str, str], ids: Nodes) -> Node:
    """One node of the old run as one of the new."""
    new = copy.deepcopy(node)
    new |= {"name": named[node["id"]], "id": ids.id(named[node["id"]])}
    for field in ("children", "outboundNodes"):
        if field in node:
            new[field] = [ids.id(named[i]) for i in node[field] if i in named]
    if node.get("boundaryID"):
        new["boundaryID"] = ids.id(named[node["boundaryID"]])
    failed = node["type"] == "Pod" and node["phase"] in BAD
    new = {k: v for k, v in new.items() if k not in ("startedAt", "finishedAt", "message")} | {"phase": "Pending"}
    if failed:
        return new
    new["startedAt"] = clock.rfc3339(ids.clock.now())
    if node["type"] != "Pod":
        return new
    return new | {"type": "Skipped", "phase": "Skipped", "message": f"original pod: {node['id']}", "finishedAt": new["startedAt"]}
