"""What people may do to a run that goes on: stop, terminate, suspend, resume, and set a suspend node.

Works on the Workflow object alone, whether a runner holds it or it lies in the store. Follows argo-workflows v4.1.2
`workflow/util/util.go`; messages are Argo's.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from pipelines.local import fieldselectors, suspension
from pipelines.local.faults import Refused
from pipelines.local.nodes import COMPLETED, Node, Nodes

Workflow = dict[str, Any]

SETTABLE = ("Succeeded", "Failed", "Error")


@dataclass(frozen=True)
class Command:
    """A verb and its options. `by`: who resumes, as it stands in the node's message."""

    verb: str
    selector: str = ""
    message: str = ""
    phase: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    by: str = ""

    def text(self) -> str:
        return json.dumps(asdict(self))


def command(text: str) -> Command:
    """The inverse of `Command.text`. ValueError for anything else."""
    try:
        return Command(**json.loads(text))
    except TypeError as error:
        raise ValueError(str(error)) from None


def apply(found: Workflow, nodes: Nodes, what: Command) -> None:
    """Carry a command out. Refused, with nothing changed, when it cannot be."""
    verbs: dict[str, Callable[[Workflow, Nodes, Command], None]] = {
        "stop": stop, "terminate": terminate, "suspend": suspend, "resume": resume, "set": set_nodes,
    }  # fmt: skip
    verbs[what.verb](found, nodes, what)


def ended(found: Workflow) -> bool:
    return found["status"]["phase"] in COMPLETED


def stop(found: Workflow, nodes: Nodes, what: Command) -> None:
    """End the run, exit handlers aside; with a selector, fail only the suspend nodes that it chooses (argo-control-flow 166, 227)."""
    if what.selector:
        set_nodes(found, nodes, Command("set", what.selector, what.message, "Failed"))
    else:
        _shut_down(found, "Stop")


def terminate(found: Workflow, nodes: Nodes, what: Command) -> None:
    """End the run at once; no exit handler runs (argo-control-flow 137)."""
    _shut_down(found, "Terminate")


def _shut_down(found: Workflow, strategy: str) -> None:
    meta = found["metadata"]
    if ended(found):
        raise Refused(f'cannot shutdown a completed workflow: workflow: "{meta["name"]}", namespace: "{meta["namespace"]}"')
    found["spec"]["shutdown"] = strategy


def suspend(found: Workflow, nodes: Nodes, what: Command) -> None:
    """What runs goes on, nothing new is started."""
    if ended(found):
        raise Refused("cannot suspend completed workflows")
    found["spec"]["suspend"] = True


def resume(found: Workflow, nodes: Nodes, what: Command) -> None:
    """Go on after a suspend, and past every suspend node; with a selector, only past those that it chooses."""
    by = f"Resumed by: map[User:{what.by}]"
    if what.selector:
        set_nodes(found, nodes, Command("set", what.selector, by, "Succeeded"))
        return
    waiting = [node for node in nodes if is_waiting(node)]
    try:
        for node in copy.deepcopy(waiting):
            suspension.fill(node)  # all or none
    except suspension.NoValue as error:
        raise Refused(f"{error}; set it with `fleece node set`") from None
    found["spec"].pop("suspend", None)
    for node in waiting:
        suspension.fill(node)
        nodes.phase(node, "Succeeded", f"{node['message']}; {by}" if node.get("message") else by)


def is_waiting(node: Node) -> bool:
    """Is this a suspend node at work?"""
    return bool(node["type"] == "Suspend" and node["phase"] == "Running")


def set_nodes(found: Workflow, nodes: Nodes, what: Command) -> None:
    """Give the chosen suspend nodes outputs, a message or an end."""
    if not what.selector:
        raise Refused("'set' currently only targets suspend nodes, use a node field selector to target them")
    if what.phase not in ("", *SETTABLE):
        raise Refused(f"{what.phase} is an invalid phase to set to")
    selector = fieldselectors.parse(what.selector)
    chosen = [node for node in nodes if is_waiting(node) and fieldselectors.matches(selector, node)]
    if not chosen or not (what.phase or what.message or what.outputs):
        raise Refused(f"currently, set only targets suspend nodes: no suspend nodes matching nodeFieldSelector: {what.selector}")
    outputs = [_supply(node, what.outputs) for node in chosen]
    for node, parameters in zip(chosen, outputs, strict=True):
        if what.outputs:
            node["outputs"] = node["outputs"] | {"parameters": parameters}
            _publish(found, [p for p in parameters if p["name"] in what.outputs])
        nodes.phase(node, what.phase or node["phase"], what.message or None)


def _supply(node: Node, values: dict[str, str]) -> list[dict[str, Any]]:
    """The node's output parameters with these values. Refused for one that it does not wait for (argo-control-flow 165)."""
    parameters = list((node.get("outputs") or {}).get("parameters") or [])
    if values and "outputs" not in node:
        raise Refused("cannot set output parameters because node is not expecting any raw parameters")
    places = {p["name"]: index for index, p in enumerate(parameters)}
    for name, value in values.items():
        if name not in places:
            raise Refused(f"node is not expecting output parameter '{name}'")
        if not suspension.awaited(parameters[places[name]]):
            raise Refused(f"cannot set output parameter '{name}' because it does not use valueFrom.raw or it was already set")
        parameters[places[name]] = suspension.given(parameters[places[name]], value)
    return parameters


def _publish(found: Workflow, parameters: list[dict[str, Any]]) -> None:
    """Values with a globalName become outputs of the workflow."""
    for parameter in parameters:
        if name := parameter.get("globalName"):
            known = found["status"].setdefault("outputs", {}).setdefault("parameters", [])
            known[:] = [p for p in known if p["name"] != name] + [{"name": name, "value": parameter["value"]}]
