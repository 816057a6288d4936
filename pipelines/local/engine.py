"""The controller of one Workflow: looks at all nodes again and again, starts what may start, until everything has its end.

Follows argo-workflows v4.1.2 `workflow/controller/operator.go`; its oddities are those of reference goldens in tests/argo.
"""

import functools
import json
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipelines.local import (
    arguments,
    beginning,
    clock,
    dag,
    ending,
    hooks,
    library,
    limits,
    locks,
    memoize,
    podspec,
    retries,
    scope,
    spec_warnings,
    steps,
    suspension,
    synchronization,
    workflow,
)
from pipelines.local.caller import EVALUATION, Around, Call, NodeError
from pipelines.local.limits import Waiting
from pipelines.local.nodes import Node, Nodes, Template, fulfilled, pod_name, template_type

DEEPEST = 100
_TOO_DEEP = "Maximum recursion depth exceeded. See https://argo-workflows.readthedocs.io/en/release-4.1/scaling/#maximum-recursion-depth"
_RESULT = re.compile(r"""(?:tasks|steps)(?:\.([-\w]+)|\[['"]([-\w]+)['"]\])\??\.outputs\??\.result\b""")


class Leaves(Protocol):
    """Who runs what is no dag, steps or suspend. `watched`: hooks want to see what begins. `blocked`: by node, what it lacks."""

    watched: bool
    blocked: dict[str, str]

    def start(self, node: Node, template: Template, capture: bool) -> None: ...
    def stop(self, node_id: str, message: str) -> None: ...
    def forget(self) -> None: ...
    @property
    def stopping(self) -> bool: ...
    def __contains__(self, node_id: object) -> bool: ...
    def __len__(self) -> int: ...


@dataclass
class Engine:
    """Everything that is known about one running Workflow."""

    object: dict[str, Any]
    nodes: Nodes
    leaves: Leaves
    locks: locks.Locks
    maps: arguments.ConfigMap
    caches: memoize.Caches
    clock: clock.Clock
    globals: scope.Values = field(default_factory=dict)
    boundaries: dict[str, Template] = field(default_factory=dict)
    expanded: dict[str, Any] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)
    results: dict[str, set[str]] = field(default_factory=dict)
    wake: float | None = None
    waits: bool = False
    dirty: bool = True
    verdict: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        self.spec = workflow.effective(self.object)
        self.templates: dict[str, Template] = workflow.templates(self.object, self.spec)
        self.status: dict[str, Any] = self.object["status"]
        self.name: str = self.object["metadata"]["name"]
        self.namespace: str = self.object["metadata"]["namespace"]
        if "workflowTemplateRef" in self.object["spec"]:
            self.nodes.scope = "local/"  # the spec that runs is then nobody's own: argo-workflows operator.go, setExecWorkflow
        self.globals = scope.of_workflow(self.object, self.spec)
        self.add_global((self.status.get("outputs") or {}), saved=True)
        self.caches.watch(self.nodes)
        self.leaves.watched = any(map(hooks.watches, [self.spec, *(call for t in self.templates.values() for call in library.calls(t))]))

    # --- one look at everything ------------------------------------------------------------------------------------------

    def operate(self) -> None:
        """One pass. Afterwards `wake` says when to look again though nothing has happened, and `stuck` what waits for ever."""
        self.wake, self.waits, self.stuck = None, False, {}
        self.globals["workflow.status"] = "Running"  # to all but hooks and the exit handler
        if self.verdict is not None:
            self.finish(*self.verdict)
            return
        try:
            beginning.set_parameters(self)
            beginning.set_metadata(self)
            self.caches.keep(self.nodes)
            synchronization.release(self)
            if synchronization.hold_workflow(self):
                limits.interrupt(self)
                if self.suspended:
                    self.waits = True
                else:
                    self._operate()
        except arguments.ArgumentError as error:
            self.finish("Failed", str(error))
        except (NodeError, suspension.Crash) as error:
            self.finish("Error", str(error))
        except Waiting:
            pass

    def _operate(self) -> None:
        try:
            entry = self.execute(self.name, {"template": self.spec["entrypoint"]}, self.spec.get("arguments") or {}, Around())
        except NodeError as error:
            raise NodeError(f"error in entry template execution: {error}") from None
        reached = dict(entry)
        if not ending.hooks_over(self, entry) or not fulfilled(reached):
            return
        handler = ending.exit_handler(self, reached)
        if handler is None or fulfilled(handler):
            ending.conclude(self, reached, handler)

    def finish(self, phase: str, message: str = "") -> None:
        """The workflow is over; what still runs is waited for."""
        self.dirty, self.verdict = True, (phase, message)
        if phase == "Error":
            ending.mark_entry(self)
        self.leaves.forget()
        if self.shutdown == "Terminate":
            limits.interrupt_processes(self)
        if len(self.leaves):
            return
        for warning in spec_warnings.left_over(self.nodes):
            self.warn(warning)
        workflow.end(self.object, phase, message, self.clock.now())
        self.status.pop("synchronization", None)
        self.locks.release_all()

    def warn(self, message: str) -> None:
        self.dirty = spec_warnings.add(self.status, message) or self.dirty

    def begin_run(self) -> None:
        """The run's labels and phase before the first look."""
        if self.over:
            return
        self.status["phase"] = "Pending" if not self.nodes.all else "Running"

    @property
    def over(self) -> bool:
        return self.status["phase"] in ("Succeeded", "Failed", "Error")

    @property
    def shutdown(self) -> str:
        """How the run was told to end, `Stop` or `Terminate`; empty when it was not."""
        return str(self.object["spec"].get("shutdown") or "")

    @property
    def cut_short(self) -> bool:
        """Was the run told to end, or is its deadline over?"""
        end = limits.deadline(self)
        return bool(self.shutdown) or (end is not None and self.clock.now() >= end)

    @property
    def suspended(self) -> bool:
        """Nothing new is to be started. A stop goes before it, unlike on a cluster, where a suspended workflow would never end."""
        return bool(self.object["spec"].get("suspend")) and not self.shutdown

    def wake_at(self, when: float) -> None:
        """Something of its own accord comes later."""
        self.waits = True
        self.look_at(when)

    def look_at(self, when: float) -> None:
        """Look again then, though that alone brings nothing further."""
        self.wake = when if self.wake is None else min(self.wake, when)

    # --- templates -------------------------------------------------------------------------------------------------------

    def template_of(self, call: Call, boundary: str) -> Template:
        """The template of a call in the template that the node `boundary` runs."""
        if "inline" in call:
            return workflow.with_defaults(call["inline"], self.spec)
        found = self.called(call, boundary)
        if found is None:
            raise NodeError(library.missing(call, self.templates))
        return found

    def execute(self, name: str, call: Call, given: dict[str, Any], around: Around) -> Node:
        """Bring the node of a called template one step further. NodeError when that cannot be done, Waiting when not yet."""
        node = self.nodes.get(name)
        if node is not None and (fulfilled(node) or node["id"] in self.leaves):
            return node
        if around.depth >= DEEPEST:
            return self.error(name, call, around, _TOO_DEEP)
        try:
            template = arguments.process(
                self.template_of(call, around.boundary), given, self.globals, self.local(call, name, around), self.maps
            )
        except (NodeError, arguments.ArgumentError, *EVALUATION) as error:
            self.error(name, call, around, str(error))
            raise NodeError(str(error)) from None
        if node is not None and limits.timed_out(self, node, template):
            return self.nodes.phase(node, "Failed", "timeout")
        limits.make_room(self, template, node, around)
        if node is not None and fulfilled(node):
            return node
        ready = synchronization.hold(self, name, call, template, around) or memoize.recall(self, name, call, template, around)
        if ready is None:
            bring = self.run if template.get("retryStrategy") is None else functools.partial(retries.run, self)
            ready = bring(name, call, template, around)
        if fulfilled(ready) and ready["id"] in self.locks.held:
            synchronization.release(self)
        return ready

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
            return suspension.run(self, node, template)
        if node["id"] in self.leaves.blocked:
            self.stuck[name] = self.leaves.blocked[node["id"]]
        elif node["id"] in self.leaves:
            return node
        elif self.shutdown and not (around.exit and self.shutdown == "Stop"):
            return self.nodes.phase(node, "Failed", f"workflow shutdown with strategy: {self.shutdown}")
        else:
            try:
                template = podspec.complete(self, node, template, around)
            except podspec.PodError as error:
                raise NodeError(str(error)) from None
            self.leaves.start(node, template, self.result_wanted(name, around))
        return node

    # --- helpers of the above --------------------------------------------------------------------------------------------

    def begin(self, name: str, kind: str, call: Call, template: Template, around: Around, phase: str, message: str = "") -> Node:
        node = self.nodes.add(
            name,
            kind,
            phase=phase,
            boundary=around.boundary,
            call=call,
            message=message,
            flag=around.flag,
            inputs=template.get("inputs"),
        )
        memoize.mark(self.caches, node, template)
        return node

    def error(self, name: str, call: Call, around: Around, message: str) -> Node:
        """Mark a node, made if need be, as gone wrong before it could run."""
        node = self.nodes.get(name)
        if node is not None:
            return self.nodes.phase(node, "Error", message)
        return self.nodes.add(name, "Skipped", phase="Error", boundary=around.boundary, call=call, message=message, flag=around.flag)

    def local(self, call: Call, name: str, around: Around) -> scope.Values:
        """What a called template may know about its call; the attempts of a retried one have pods of their own."""
        retried = (self.called(call, around.boundary) or {}).get("retryStrategy") is not None
        values: scope.Values = {"node.name": name} if retried else self.names(name, call)
        kind = call.get("kind")
        return values | {f"{kind}.name": call["name"]} if kind else values

    def names(self, name: str, call: Call) -> scope.Values:
        pod = {"name": name, "id": self.nodes.id(name), "templateName": call.get("template", ""), "templateRef": call.get("templateRef")}
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

    def called(self, call: Call, boundary: str) -> Template | None:
        """The template of a task or step, if it can be told."""
        inline: Template | None = call.get("inline")
        return inline if inline is not None else self.templates.get(library.key(call, self.nodes.scope_in(boundary)))

    # --- outputs for everybody -------------------------------------------------------------------------------------------

    def add_global(self, outputs: dict[str, Any], saved: bool = False) -> None:
        """Outputs with a globalName become `workflow.outputs.*`."""
        for parameter in outputs.get("parameters") or []:
            name = parameter["name"] if saved else parameter.get("globalName")
            if name:  # one that was never written reads as nothing (argo-data-flow 291)
                self.globals[f"workflow.outputs.parameters.{name}"] = parameter.get("value", parameter.get("default", ""))
                self._publish("parameters", {"name": name} | {k: parameter[k] for k in ("value",) if k in parameter}, saved)
        for artifact in outputs.get("artifacts") or []:
            name = artifact["name"] if saved else artifact.get("globalName")
            if name:
                self.globals[f"workflow.outputs.artifacts.{name}"] = artifact
                self._publish("artifacts", {k: v for k, v in artifact.items() if k != "globalName"} | {"name": name}, saved)

    def _publish(self, kind: str, value: dict[str, Any], saved: bool) -> None:
        if saved:
            return
        published = self.status.setdefault("outputs", {}).setdefault(kind, [])
        before: dict[str, Any] = next((p for p in published if p["name"] == value["name"]), {})
        published[:] = [p for p in published if p["name"] != value["name"]] + [before | value]
