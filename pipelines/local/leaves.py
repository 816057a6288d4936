"""The leaf nodes at work: processes and resource steps. The engine puts them in line; they begin once the state is on disk."""

import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.local import artifacts, containers, durations, outputs, resources, spec_warnings
from pipelines.local.clock import Clock
from pipelines.local.containers import CannotStart, Machine, NeverStarts, Pod
from pipelines.local.keeper import Job, Keeper, how_it_ended
from pipelines.local.nodes import Node, Nodes, Template, pod_name
from pipelines.local.resources import Resource, ResourceError

GRACE = 30.0  # seconds from SIGTERM to SIGKILL; https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination


@dataclass
class LeafNodes:
    """Everything of one run that is queued or running."""

    machine: Machine
    nodes: Nodes
    clock: Clock
    folder: Callable[[str], Path]
    owner: dict[str, Any]
    resumed: bool = False
    watched: bool = False
    over: bool = False
    room: Callable[[], bool] = lambda: True
    publish: Callable[[dict[str, Any]], None] = lambda outputs: None
    warn: Callable[[str], None] = lambda message: None
    queue: dict[str, tuple[Node, Template, bool]] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    """What the nodes wait for that can never start."""

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.queue or node_id in self.pods or node_id in self.resources

    def __len__(self) -> int:
        return len(self.queue) + len(self.pods) + len(self.resources)

    def start(self, node: Node, template: Template, capture: bool) -> None:
        self.queue[node["id"]] = (node, template, capture)

    def launch(self) -> bool:
        """Begin what is queued and what there is room for; the rest stays Pending. True when that calls for another look: something ended
        at once, or began and is watched."""
        ended = False
        for node_id, (node, template, capture) in list(self.queue.items()):
            if "resource" not in template and not self.room():
                continue
            del self.queue[node_id]
            try:
                if "resource" in template:
                    ended |= self._begin_resource(node, template)
                else:
                    ended |= self._begin_pod(node, template, capture) or self.watched
            except NeverStarts as error:
                self._block(node, template, str(error))
                ended = True
            except CannotStart as error:
                self.nodes.phase(node, "Error", str(error))
                ended = True
        return ended

    def _block(self, node: Node, template: Template, missing: str) -> None:
        """Only its deadline ends such a pod; nobody needs to wait for that here."""
        if containers.deadline(template, 0) is None:
            self.blocked[node["id"]] = missing
        else:
            self.warn(f"node {node['name']} waits for {missing}, until its deadline")
            self.nodes.phase(node, "Failed", containers.DEADLINE)

    def _begin_pod(self, node: Node, template: Template, capture: bool) -> bool:
        folder = self.folder(node["id"])
        end = how_it_ended(folder) if node.get("startedAt") and self._begun_before(node) else None
        if end is not None:
            self.pods[node["id"]] = containers.located(self.machine, node, template, folder, capture)
            self.end(end)
            return True
        pod = containers.prepare(self.machine, node, template, folder, capture)
        self.look_for_literals(pod.template)
        containers.launch(self.machine, pod, pod_name(self.machine.workflow, node), self.clock.now())
        self.pods[node["id"]] = pod
        self.nodes.phase(node, "Running", "")
        return False

    def look_for_literals(self, template: Template) -> None:
        for warning in spec_warnings.literals(template):
            self.warn(warning)

    def _begun_before(self, node: Node) -> bool:
        return self.resumed and node["id"] not in self.nodes.exact

    def _begin_resource(self, node: Node, template: Template) -> bool:
        folder, resource = self.folder(node["id"]), Resource(node, template)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.nodes.phase(node, "Running", "")
        limit = template.get("activeDeadlineSeconds")
        resource.ends = None if limit is None else self.clock.now() + float(limit)
        if template.get("timeout"):
            resource.ends = min(resource.ends or float("inf"), self.clock.now() + durations.parse(str(template["timeout"])))
        try:
            for artifact in (template.get("inputs") or {}).get("artifacts") or []:
                artifacts.load(self.machine.home, artifact, folder / "inputs" / artifact["name"])
        except artifacts.ArtifactError as error:
            raise CannotStart(str(error)) from None
        self.look_for_literals(template)
        try:
            resources.act(resource, self.machine.objects, self.owner, folder)
            self.resources[node["id"]] = resource
            return self._look(resource, first=True)
        except ResourceError as error:
            self._fail_resource(resource, str(error))
            return True

    def _look(self, resource: Resource, first: bool) -> bool:
        try:
            if not resources.look(resource, self.machine.objects, first):
                resource.next_look = self.clock.now() + resources.POLL
                return False
            found: dict[str, Any] = {"exitCode": "0"}
            parameters = resources.outputs(resource)
            if parameters:
                found["parameters"] = parameters
        except ResourceError as error:
            self._fail_resource(resource, str(error))
            return True
        self.resources.pop(resource.node["id"], None)
        resource.node["outputs"] = found
        self.publish(found)
        self.nodes.phase(resource.node, "Succeeded", "")
        return True

    def _fail_resource(self, resource: Resource, message: str, code: str = "64") -> None:
        self.resources.pop(resource.node["id"], None)
        found: dict[str, Any] = {"exitCode": code}
        resource.node["outputs"] = found
        with contextlib.suppress(OSError):
            (self.folder(resource.node["id"]) / "main.log").write_text(f"Error: {message}\n{message}\nError: exit status {code}\n")
        self.nodes.phase(resource.node, "Failed", f"main: Error (exit code {code}): {message}")

    def poll(self) -> bool:
        """Look at objects whose time has come, and stop what is late. True when something ended."""
        now, ended = self.clock.now(), False
        for resource in list(self.resources.values()):
            if resource.ends is not None and now >= resource.ends:
                self.resources.pop(resource.node["id"])
                self.nodes.phase(resource.node, "Failed", containers.DEADLINE)
                ended = True
            elif now >= resource.next_look:
                ended |= self._look(resource, first=False)
        for pod in self.pods.values():
            if pod.ends is not None and now >= pod.ends:
                self.stop(pod.node["id"], containers.DEADLINE)
            if pod.killed_at is not None and now >= pod.killed_at:
                self.machine.keeper.signal(pod.node["id"], signal.SIGKILL)
                pod.killed_at = now + GRACE
        return ended

    def next_time(self) -> float | None:
        """When `poll` should be called next."""
        times = [r.next_look for r in self.resources.values()] + [r.ends for r in self.resources.values() if r.ends is not None]
        for pod in self.pods.values():
            times += [t for t in (pod.ends if not pod.stopped else None, pod.killed_at) if t is not None]
        return min(times, default=None)

    def stop(self, node_id: str, message: str) -> None:
        """End a leaf: SIGTERM to its process group, SIGKILL after the grace."""
        self.queue.pop(node_id, None)
        self.resources.pop(node_id, None)
        pod = self.pods.get(node_id)
        if pod is not None and not pod.stopped:
            pod.stopped, pod.killed_at = message, self.clock.now() + GRACE
            self.machine.keeper.signal(node_id, signal.SIGTERM)

    @property
    def stopping(self) -> bool:
        """Is something that was told to stop still there?"""
        return any(pod.stopped for pod in self.pods.values())

    def forget(self) -> None:
        """The workflow is over: nothing more is begun or waited for, and of a process that still runs only the outputs will be recorded
        (argo-control-flow 056)."""
        self.over = True
        self.queue.clear()
        self.resources.clear()

    def kill(self) -> None:
        """No more grace."""
        for node_id in self.pods:
            self.machine.keeper.signal(node_id, signal.SIGKILL)

    def vanished(self, keeper: Keeper) -> None:
        """All processes are gone. What had come to its end is on disk; the rest is begun again in the same attempt."""
        self.machine.keeper = keeper
        for node_id, pod in list(self.pods.items()):
            end = how_it_ended(pod.folder)
            if end is not None:
                self.end(end)
            else:
                del self.pods[node_id]
                self.queue[node_id] = (pod.node, pod.given, pod.capture)

    def end(self, end: Job) -> None:
        """A process is over."""
        pod = self.pods.pop(end["job"])
        phase, message, found = outputs.ended(self.machine, pod, pod_name(self.machine.workflow, pod.node), end)
        if found:
            pod.node["outputs"] = found
        self.publish(found)
        if self.over and not pod.stopped:
            self.nodes.touch(pod.node)
        else:
            self.nodes.phase(pod.node, phase, message)
