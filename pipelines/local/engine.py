"""The controller of one Workflow: looks at all nodes again and again, starts what may start, until everything has its end.

Follows argo-workflows v4.1.2 `workflow/controller/operator.go`; its oddities are those of reference goldens in tests/argo.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.local import arguments, clock, dag, durations, ending, expressions, limits, locks, retries, scope, steps, tags, workflow
from pipelines.local.limits import Waiting
from pipelines.local.nodes import Node, Nodes, Template, fulfilled, pod_name, template_type

Call = dict[str, Any]

DEEPEST = 100
_TOO_DEEP = "Maximum recursion depth exceeded. See https://argo-workflows.readthedocs.io/en/release-4.1/scaling/#maximum-recursion-depth"
_RESULT = re.compile(r"""(?:tasks|steps)(?:\.([-\w]+)|\[['"]([-\w]+)['"]\])\??\.outputs\??\.result\b""")
EVALUATION = (tags.TagError, expressions.ExpressionError)


class NodeError(Exception):
    """A node could not be made or went wrong in the controller; its node says so already."""


class Leaves(Protocol):
    """Who runs what is no dag, steps or suspend."""

    def start(self, node: Node, template: Template, capture: bool) -> None: ...
    def stop(self, node_id: str, message: str) -> None: ...
    def __contains__(self, node_id: object) -> bool: ...
    def __len__(self) -> int: ...


@dataclass
class Around:
    """Where a template is called from."""

    boundary: str = ""
    flag: dict[str, bool] | None = None
    exit: bool = False
    depth: int = 1


@dataclass
class Engine:
    """Everything that is known about one running Workflow."""

    object: dict[str, Any]
    nodes: Nodes
    leaves: Leaves
    locks: locks.Locks
    maps: arguments.ConfigMap
    clock: clock.Clock
    globals: scope.Values = field(default_factory=dict)
    boundaries: dict[str, Template] = field(default_factory=dict)
    expanded: dict[str, Any] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)
    results: dict[str, set[str]] = field(default_factory=dict)
    wake: float | None = None
    waits: bool = False
    dirty: bool = True
    shutdown: str = ""

    def __post_init__(self) -> None:
        self.spec = workflow.effective(self.object)
        self.templates: dict[str, Template] = {t["name"]: t for t in self.spec["templates"]}
        self.status: dict[str, Any] = self.object["status"]
        self.name: str = self.object["metadata"]["name"]
        self.namespace: str = self.object["metadata"]["namespace"]
        self.globals = scope.of_workflow(self.object, self.spec)
        self.add_global((self.status.get("outputs") or {}), saved=True)

    # --- one look at everything ------------------------------------------------------------------------------------------

    def operate(self) -> None:
        """One pass. Afterwards `wake` says when to look again though nothing has happened, and `stuck` what waits for ever."""
        self.wake, self.waits, self.stuck = None, False, {}
        try:
            self.set_parameters()
            limits.release(self)
            if limits.hold_workflow(self):
                limits.interrupt(self)
                self._operate()
        except arguments.ArgumentError as error:
            self.finish("Failed", str(error))
        except NodeError as error:
            self.finish("Error", str(error))
        except Waiting:
            pass

    def _operate(self) -> None:
        try:
            entry = self.execute(self.name, {"template": self.spec["entrypoint"]}, self.spec.get("arguments") or {}, Around())
        except NodeError as error:
            raise NodeError(f"error in entry template execution: {error}") from None
        if not fulfilled(entry):
            return
        handler = ending.exit_handler(self, entry)
        if handler is None or fulfilled(handler):
            ending.conclude(self, entry, handler)

    def finish(self, phase: str, message: str = "") -> None:
        """The workflow is over."""
        self.dirty = True
        workflow.end(self.object, phase, message, self.clock.now())
        self.locks.release_all()

    def begin_run(self) -> None:
        """The run's labels and phase before the first look."""
        if self.over:
            return
        self.status["phase"] = "Pending" if not self.nodes.all else "Running"

    def set_parameters(self) -> None:
        """Workflow parameters from ConfigMaps, once (argo-data-flow 016, 017)."""
        for parameter in (self.spec.get("arguments") or {}).get("parameters") or []:
            source = (parameter.get("valueFrom") or {}).get("configMapKeyRef")
            if source is None or "value" in parameter:
                continue
            try:
                parameter["value"] = arguments.from_config_map(source, self.maps)
            except arguments.NoValue as error:
                if "default" not in parameter["valueFrom"]:
                    what = f"global parameter {parameter['name']} from configmap with name {source['name']} and key {source['key']}"
                    raise arguments.ArgumentError(f"failed to set global parameters: failed to set {what}: {error}") from None
                parameter["value"] = parameter["valueFrom"]["default"]
            self.globals |= scope.of_workflow(self.object, self.spec)

    @property
    def over(self) -> bool:
        return self.status["phase"] in ("Succeeded", "Failed", "Error")

    def wake_at(self, when: float) -> None:
        """Something of its own accord comes later."""
        self.waits = True
        self.look_at(when)

    def look_at(self, when: float) -> None:
        """Look again then, though that alone brings nothing further."""
        self.wake = when if self.wake is None else min(self.wake, when)

    # --- templates -------------------------------------------------------------------------------------------------------

    def template_of(self, call: Call) -> Template:
        if "inline" in call:
            return workflow.with_defaults(call["inline"], self.spec)
        if call["template"] not in self.templates:
            raise NodeError(f"template {call['template']} not found")
        return self.templates[call["template"]]

    def execute(self, name: str, call: Call, given: dict[str, Any], around: Around) -> Node:
        """Bring the node of a called template one step further. NodeError when that cannot be done, Waiting when not yet."""
        node = self.nodes.get(name)
        if node is not None and (fulfilled(node) or node["id"] in self.leaves):
            return node
        if around.depth >= DEEPEST:
            return self.error(name, call, around, _TOO_DEEP)
        try:
            template = arguments.process(self.template_of(call), given, self.globals, self.local(call, name), self.maps)
        except (NodeError, arguments.ArgumentError, *EVALUATION) as error:
            self.error(name, call, around, str(error))
            raise NodeError(str(error)) from None
        if node is not None and limits.timed_out(self, node, template):
            return self.nodes.phase(node, "Failed", "timeout")
        limits.make_room(self, template, node, around)
        if node is not None and fulfilled(node):
            return node
        locked = limits.lock(self, name, call, template, around)
        if locked is not None:
            return locked
        if template.get("retryStrategy") is None:
            return self.run(name, call, template, around)
        return retries.run(self, name, call, template, around)

    def run(self, name: str, call: Call, template: Template, around: Around) -> Node:
        """Run a template under the name of its node, retries aside. NodeError when it went wrong in the controller."""
        try:
            if "dag" in template:
                return dag.run(self, name, call, template, around)
            if "steps" in template:
                return steps.run(self, name, call, template, around)
            return self.leaf(name, call, template, around)
        except (NodeError, scope.OutputError, ValueError, *EVALUATION) as error:
            node = self.nodes.get(name)
            if node is not None and not fulfilled(node):
                self.nodes.phase(node, "Error", str(error))
            raise NodeError(str(error)) from None

    def leaf(self, name: str, call: Call, template: Template, around: Around) -> Node:
        node = self.nodes.get(name) or self.begin(name, template_type(template), call, template, around, "Pending")
        if "suspend" in template:
            return self.suspend(node, template)
        if self.shutdown and not (around.exit and self.shutdown == "Stop"):
            return self.nodes.phase(node, "Failed", f"workflow shutdown with strategy: {self.shutdown}")
        if node["id"] not in self.leaves:
            self.leaves.start(node, template, self.result_wanted(name, around))
        return node

    def suspend(self, node: Node, template: Template) -> Node:
        """Wait for the template's duration."""
        length = durations.seconds_or_duration(str((template["suspend"] or {})["duration"]))
        self.nodes.phase(node, "Running") if node["phase"] == "Pending" else None
        end = self.nodes.exact.get(node["id"], (clock.seconds(node["startedAt"]), 0.0))[0] + length
        if self.clock.now() < end:
            self.wake_at(end)
            return node
        supplied = self.supplied(template)
        if supplied:
            node["outputs"] = {"parameters": supplied}
        return self.nodes.phase(node, "Succeeded")

    def supplied(self, template: Template) -> list[dict[str, Any]]:
        """Outputs that nobody supplied take their default (argo-control-flow 236, 237)."""
        inputs = {p["name"]: p["value"] for p in (template.get("inputs") or {}).get("parameters") or []}
        found = []
        for output in (template.get("outputs") or {}).get("parameters") or []:
            value = (output.get("valueFrom") or {}).get("default", inputs.get(output["name"]))
            if value is None:
                raise NodeError(f"raw output parameter '{output['name']}' has not been set and does not have a default value")
            found.append({"name": output["name"], "value": value})
        return found

    # --- helpers of the above --------------------------------------------------------------------------------------------

    def begin(self, name: str, kind: str, call: Call, template: Template, around: Around, phase: str, message: str = "") -> Node:
        return self.nodes.add(
            name,
            kind,
            phase=phase,
            boundary=around.boundary,
            template=call.get("template", ""),
            message=message,
            flag=around.flag,
            inputs=template.get("inputs"),
        )

    def error(self, name: str, call: Call, around: Around, message: str) -> Node:
        """Mark a node, made if need be, as gone wrong before it could run."""
        node = self.nodes.get(name)
        if node is not None:
            return self.nodes.phase(node, "Error", message)
        flag = around.flag
        boundary, template = around.boundary, call.get("template", "")
        return self.nodes.add(name, "Skipped", phase="Error", boundary=boundary, template=template, message=message, flag=flag)

    def local(self, call: Call, name: str) -> scope.Values:
        """What a called template may know about its call; the attempts of a retried one have names of their own."""
        values = {} if (self.called(call) or {}).get("retryStrategy") is not None else self.names(name, call)
        kind = call.get("kind")
        return values | {f"{kind}.name": call["name"]} if kind else values

    def names(self, name: str, call: Call) -> scope.Values:
        pod = {"name": name, "id": self.nodes.id(name), "templateName": call.get("template", "")}
        return {"node.name": name, "pod.name": pod_name(self.name, pod)}

    def result_wanted(self, name: str, around: Around) -> bool:
        """Does a tag around this node name its `outputs.result`? Otherwise it is not recorded (argo-data-flow 044)."""
        shown = str(self.nodes.all[self.nodes.id(name)]["displayName"]).split("(", 1)[0]
        return shown in self.results.get(around.boundary, ())

    def enclose(self, node: Node, template: Template) -> None:
        """Remember what a dag or steps node consists of."""
        if node["id"] not in self.boundaries:
            self.boundaries[node["id"]] = template
            self.results[node["id"]] = {a or b for a, b in _RESULT.findall(json.dumps(template))}

    def called(self, call: Call) -> Template | None:
        """The template of a task or step, if it can be told."""
        inline: Template | None = call.get("inline")
        return inline if inline is not None else self.templates.get(call.get("template", ""))

    # --- outputs for everybody -------------------------------------------------------------------------------------------

    def add_global(self, outputs: dict[str, Any], saved: bool = False) -> None:
        """Outputs with a globalName become `workflow.outputs.*`."""
        for parameter in outputs.get("parameters") or []:
            name = parameter["name"] if saved else parameter.get("globalName")
            if name and "value" in parameter:
                self.globals[f"workflow.outputs.parameters.{name}"] = parameter["value"]
                self._publish("parameters", {"name": name, "value": parameter["value"]}, saved)
        for artifact in outputs.get("artifacts") or []:
            name = artifact["name"] if saved else artifact.get("globalName")
            if name:
                self.globals[f"workflow.outputs.artifacts.{name}"] = artifact
                self._publish("artifacts", {k: v for k, v in artifact.items() if k != "globalName"} | {"name": name}, saved)

    def _publish(self, kind: str, value: dict[str, Any], saved: bool) -> None:
        if saved:
            return
        published = self.status.setdefault("outputs", {}).setdefault(kind, [])
        published[:] = [p for p in published if p["name"] != value["name"]] + [value]
