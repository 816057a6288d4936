"""Opens a run again as `argo retry` does: what failed, and all that followed from it, is taken out and runs anew.

Follows `FormulateRetryWorkflow` of argo-workflows v4.1.2 `workflow/util/util.go`, which knows of pods only: a suspend node that failed
stays (argo-control-flow 173). `reopen.py` is what `fleece resume` does with a run that failed.
"""

import copy
from collections.abc import Iterable
from typing import Any

from pipelines.local import clock, fieldselectors, workflow
from pipelines.local.faults import Refused
from pipelines.local.nodes import BAD, Node
from pipelines.local.reopen import running
from pipelines.local.suspension import awaiting

Workflow = dict[str, Any]
Nodes = dict[str, Node]

_GROUPS = ("DAG", "TaskGroup", "StepGroup", "Steps")


def reopen(found: Workflow, restart_successful: bool, selector: str, parameters: dict[str, str], now: float) -> None:
    """Make the object one that is to run on. Refused, with nothing changed, when its phase does not allow it."""
    phase = found["status"]["phase"]
    if phase == "Succeeded" and not (restart_successful and selector):
        raise Refused("To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector")
    if phase not in ("Succeeded", "Failed", "Error"):
        raise Refused(f"Cannot retry a workflow in phase {phase}")
    again = _chosen(found["status"]["nodes"], selector) if restart_successful and selector else set()
    nodes = _Tree(found["status"]["nodes"], found["metadata"]["name"]).again(again, bool(parameters), now)
    running(found)
    found["status"] |= {"startedAt": clock.rfc3339(now), "nodes": nodes}
    _override(found, parameters)


def _override(found: Workflow, parameters: dict[str, str]) -> None:
    found["spec"] = workflow.with_parameters(found["spec"], parameters)
    stored = found["status"].get("storedWorkflowTemplateSpec")
    if stored is not None:
        found["status"]["storedWorkflowTemplateSpec"] = workflow.with_parameters(stored, parameters)


def _chosen(nodes: Nodes, selector: str) -> set[str]:
    wanted = fieldselectors.parse(selector)
    return {node_id for node_id, node in nodes.items() if fieldselectors.matches(wanted, node)}


class _Tree:
    """The nodes of a run, each with the one parent by which it is reached."""

    def __init__(self, nodes: Nodes, name: str) -> None:
        self.nodes, self.root, self.handler = nodes, name, f"{name}.onExit"
        self.parents = {child: i for i in sorted(nodes) for child in nodes[i].get("children", ())}

    def again(self, chosen: set[str], overridden: bool, now: float) -> Nodes:
        """The nodes to go on with."""
        first = chosen | {i for i in self.nodes if self._has_failed(i, chosen)}
        opened, gone = set[str](), set[str]()
        for node_id in self._in_order():
            if node_id in first and node_id not in gone:
                opened |= self._around(node_id)
                gone |= {node_id} | self._below(node_id)
        if overridden:  # what the new parameters may expand anew
            for node_id in opened - gone:
                if self.nodes[node_id]["type"] in ("TaskGroup", "StepGroup"):
                    gone |= self._below(node_id)
        kept = {i: n for i, n in self.nodes.items() if i not in gone and (i in opened or not n["name"].startswith(self.handler))}
        return {i: _without(_opened(node, now) if i in opened else copy.deepcopy(node), gone) for i, node in kept.items()}

    def _has_failed(self, node_id: str, chosen: set[str]) -> bool:
        """A pod that failed, and whose failure nothing dealt with."""
        node = self.nodes[node_id]
        if node["type"] != "Pod" or node["phase"] not in BAD:
            return False
        if (node.get("nodeFlag") or {}).get("retried"):
            node_id = next((i for i, n in self.nodes.items() if n["type"] == "Retry" and node_id in n.get("children", ())), node_id)
        return all(self.nodes[i]["phase"] != "Succeeded" for i in self._below(node_id) - chosen)

    def _below(self, node_id: str) -> set[str]:
        found: set[str] = set()
        queue = [node_id]
        while queue:
            fresh = {c for c in self.nodes[queue.pop()].get("children", ()) if c in self.nodes and c not in found}
            found |= fresh
            queue += fresh
        return found

    def _in_order(self) -> Iterable[str]:
        """From the top, level by level; what cannot be reached from there is left alone."""
        found = dict.fromkeys([self.root] if self.root in self.nodes else [])
        level = list(found)
        while level:
            level = [c for i in level for c in self.nodes[i].get("children", ()) if c in self.nodes and c not in found]
            found |= dict.fromkeys(level)
        return found

    def _around(self, node_id: str) -> set[str]:
        """The groups, templates and Retry nodes that have to run on for a node to run anew."""
        found: set[str] = set()
        at = node_id if node_id != self.root else None
        while at is not None:
            node = self.nodes[at]
            if node["type"] in _GROUPS:
                found.add(at)
                at = self._out_of(at, found)
                continue
            if node["type"] == "Retry" and node["phase"] in BAD:
                found.add(at)
            at = self.parents.get(at)
        return found

    def _out_of(self, at: str, found: set[str]) -> str | None:
        """From a group outwards, through every template it lies in."""
        while True:
            above = self.parents.get(at)
            if above is not None and self.nodes[above]["type"] == "Retry":
                found.add(above)
                at, above = above, self.parents.get(above)
            if above is not None and self.nodes[above]["type"] in ("StepGroup", "TaskGroup"):
                found.add(above)
            boundary = self.nodes[at].get("boundaryID")
            if not boundary:
                return above
            step: str | None = at
            while step is not None and step != boundary:
                step = self.parents.get(step)
            if step is None:
                return None
            found.add(step)
            at = step


def _opened(node: Node, now: float) -> Node:
    """A node that runs on; what was supplied to a suspend node is asked for anew."""
    node = {k: v for k, v in copy.deepcopy(node).items() if k not in ("message", "finishedAt")} | {"startedAt": clock.rfc3339(now)}
    if node["phase"] != "Skipped":
        node["phase"] = "Running"
    if node["type"] == "Suspend" and "outputs" in node:
        node["outputs"]["parameters"] = awaiting(node["outputs"].get("parameters") or [])
    return node


def _without(node: Node, gone: set[str]) -> Node:
    for field in ("children", "outboundNodes"):
        if field in node:
            node[field] = [i for i in node[field] if i not in gone]
    return node
