"""`status.nodes` of a Workflow, in Argo's own shape: names, ids, phases, children."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pipelines.local import library
from pipelines.local.clock import Clock, rfc3339

Node = dict[str, Any]
Template = dict[str, Any]

DONE = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})
BAD = frozenset({"Failed", "Error"})
COMPLETED = frozenset({"Succeeded", "Failed", "Error"})

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def fnv1a(text: str) -> int:
    """32-bit FNV-1a, which Argo puts into node ids. https://datatracker.ietf.org/doc/html/draft-eastlake-fnv"""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def display_name(name: str, boundary: str | None) -> str:
    """The name as people see it: without that of the template around it."""
    if boundary is None:
        return name
    rest = name.removeprefix(boundary)
    if rest.startswith("["):
        group, dot, step = rest.partition(".")
        return step if dot else group
    return rest.removeprefix(".")


def fulfilled(node: Node | None) -> bool:
    return node is not None and node["phase"] in DONE


def template_type(template: Template) -> str:
    """The type of the node that runs a template."""
    for field, kind in (("dag", "DAG"), ("steps", "Steps"), ("suspend", "Suspend")):
        if field in template:
            return kind
    return "Pod"


def node_type(template: Template) -> str:
    """The type of the node that stands for a template, its attempts included."""
    return "Retry" if template.get("retryStrategy") is not None else template_type(template)


def pod_name(workflow_name: str, node: Node) -> str:
    """Argo's pod name, version 2: workflow, template, hash of the node's name."""
    if node["name"] == workflow_name:
        return workflow_name
    suffix = node["id"].rpartition("-")[2]
    template = (node.get("templateRef") or {}).get("template") or node.get("templateName", "")
    prefix = f"{workflow_name}-{template}"[: 253 - len(suffix) - 1]
    return f"{prefix}-{suffix}"


class Nodes:
    """The nodes of one Workflow; remembers which changed since the last save."""

    def __init__(self, workflow: str, nodes: dict[str, Node], clock: Clock) -> None:
        self.workflow, self.all, self.clock = workflow, nodes, clock
        self.scope = f"local/{workflow}"
        self.changed: dict[str, None] = {}
        self.exact: dict[str, tuple[float, float]] = {}
        self._ids = {workflow: workflow}
        self._linked: set[tuple[str, str]] = set()

    def __iter__(self) -> Iterator[Node]:
        return iter(self.all.values())

    def id(self, name: str) -> str:
        if name not in self._ids:
            self._ids[name] = f"{self.workflow}-{fnv1a(name)}"
        return self._ids[name]

    def get(self, name: str) -> Node | None:
        return self.all.get(self.id(name))

    def add(
        self,
        name: str,
        kind: str,
        *,
        phase: str,
        boundary: str = "",
        call: Mapping[str, Any] = _NOTHING,
        message: str = "",
        flag: dict[str, bool] | None = None,
        inputs: dict[str, Any] | None = None,
    ) -> Node:
        """A new node. Argo leaves empty fields out, and so do we."""
        around = self.all[boundary]["name"] if boundary else None
        now = self.clock.now()
        node: Node = {"id": self.id(name), "name": name, "displayName": display_name(name, around), "type": kind}
        if call.get("template"):
            node["templateName"] = call["template"]
        if call.get("templateRef"):
            node["templateRef"] = call["templateRef"]
        node |= {"templateScope": self.scope_in(boundary), "phase": phase}
        if boundary:
            node["boundaryID"] = boundary
        if message:
            node["message"] = message
        node["startedAt"] = rfc3339(now)
        self.exact[node["id"]] = (now, 0.0)
        if flag is not None:
            node["nodeFlag"] = flag
        if inputs:
            node["inputs"] = inputs
        self.all[node["id"]] = node
        self.phase(node, phase)
        return node

    def scope_in(self, boundary: str) -> str:
        """Where the names in the template that a node runs are looked up: `local/WORKFLOW`, `namespaced/NAME` or `cluster/NAME`."""
        if boundary not in self.all:
            return self.scope
        node = self.all[boundary]
        reference = node.get("templateRef")
        return library.scope(reference) if reference else str(node["templateScope"])

    def phase(self, node: Node, phase: str, message: str | None = None) -> Node:
        """Move a node to a phase; a message replaces the old one, None keeps it."""
        if node["phase"] == phase and message is None and not (phase in DONE and "finishedAt" not in node):
            self.changed[node["id"]] = None
            return node
        node["phase"] = phase
        if message:
            node["message"] = message
        elif message == "":
            node.pop("message", None)
        if phase in DONE and "finishedAt" not in node:
            now = self.clock.now()
            node["finishedAt"] = rfc3339(now)
            self.exact[node["id"]] = (self.exact.get(node["id"], (now, 0.0))[0], now)
        self.changed[node["id"]] = None
        return node

    def touch(self, node: Node) -> None:
        self.changed[node["id"]] = None

    def link(self, parent: Node, child_name: str) -> None:
        """Make one node the child of another, once."""
        child = self.id(child_name)
        if (parent["id"], child) in self._linked:
            return
        self._linked.add((parent["id"], child))
        children = parent.setdefault("children", [])
        if child not in children:
            children.append(child)
            self.changed[parent["id"]] = None

    def children(self, node: Node) -> list[Node]:
        return [self.all[i] for i in node.get("children", ()) if i in self.all]

    def attempts(self, retry: Node) -> list[Node]:
        """The attempts below a Retry node, without its hooks."""
        return [n for n in self.children(retry) if n["name"].startswith(f"{retry['name']}(")]

    def hooks_over(self, node: Node) -> bool:
        """Are the hooks over that this node has begun?"""
        return all(fulfilled(n) for n in self.children(node) if (n.get("nodeFlag") or {}).get("hooked"))

    def below_retry(self, retry: Node) -> list[str]:
        """What hangs below a Retry node that is over: its hooks, and what follows its attempts."""
        found: list[str] = []
        for child in reversed(self.children(retry)):
            found += [child["id"]] if (child.get("nodeFlag") or {}).get("hooked") else child.get("children", [])
        return found

    def outbound(self, node: Node) -> list[Node]:
        """The last nodes inside a node: what a following step hangs below."""
        match node["type"]:
            case "Pod" | "Skipped" | "Suspend":
                return [node]
            case "Retry":
                return self.children(node)[-1:]  # with its hooks
            case "TaskGroup":
                return self._through(self.children(node)) or [node]
        if (node.get("memoizationStatus") or {}).get("hit"):
            return [node]
        return self._through(self.all[i] for i in node.get("outboundNodes", ()) if i in self.all)

    def _through(self, nodes: Iterable[Node]) -> list[Node]:
        return list({out["id"]: out for node in nodes for out in self.outbound(node)}.values())

    def set_outbound(self, node: Node, lasts: Iterable[Node]) -> None:
        found = self._through(lasts)
        if found:
            node["outboundNodes"] = [n["id"] for n in found]
            self.changed[node["id"]] = None

    def seconds(self, node: Node) -> float:
        """How long a node has been or was running."""
        start, end = self.exact.get(node["id"], (0.0, 0.0))
        return (end or self.clock.now()) - start if start else 0.0
