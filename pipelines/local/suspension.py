"""Suspend templates: they wait for a time, or for a person. Follows `executeSuspend` of argo-workflows v4.1.2."""

from typing import TYPE_CHECKING, Any

from pipelines.local import clock, durations
from pipelines.local.nodes import Node, Template

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

Parameter = dict[str, Any]


class Crash(Exception):
    """What makes the controller itself fall over."""


class NoValue(ValueError):
    """Nobody gave an output its value."""


def run(engine: "Engine", node: Node, template: Template) -> Node:
    """Wait until the duration is over, where there is one, or a command sets the node's phase."""
    fresh = node["phase"] == "Pending"
    if fresh and (expected := expectations(template)):
        node.setdefault("outputs", {"parameters": expected})
    if duration := (template["suspend"] or {}).get("duration"):
        end = _began(engine, node) + durations.seconds_or_duration(str(duration))
        if engine.clock.now() >= end:
            fill(node)
            return engine.nodes.phase(node, "Succeeded")
        engine.wake_at(end)
    engine.waits = True
    if fresh and engine.cut_short:
        engine.look_at(engine.clock.now())  # a stop or deadline ends it only at the next look (argo-control-flow 228, 229)
    return engine.nodes.phase(node, "Running") if fresh else node


def _began(engine: "Engine", node: Node) -> float:
    return engine.nodes.exact.get(node["id"], (clock.seconds(node["startedAt"]), 0.0))[0]


def expectations(template: Template) -> list[Parameter]:
    """The outputs that somebody is to supply; one without a default takes that of the input of its name.

    Crash where the controller finds no valueFrom (argo-control-flow 224).
    """
    inputs = {p["name"]: p for p in (template.get("inputs") or {}).get("parameters") or []}
    found = []
    for declared in (template.get("outputs") or {}).get("parameters") or []:
        if declared.get("valueFrom") is None:
            raise Crash("runtime error: invalid memory address or nil pointer dereference")
        source = dict(declared["valueFrom"])
        if "supplied" not in source:
            continue
        default = inputs.get(declared["name"], {}).get("default")
        if source.get("default") is None and default is not None:
            source["default"] = default
        found.append(declared | {"valueFrom": source})
    return found


def fill(node: Node) -> None:
    """Outputs that nobody supplied take their default (argo-control-flow 236).

    NoValue, with nothing changed, when one has none (argo-control-flow 164, 237).
    """
    parameters: list[Parameter] = (node.get("outputs") or {}).get("parameters") or []
    filled = [_with_default(p) if awaited(p) else p for p in parameters]
    parameters[:] = filled


def awaited(parameter: Parameter) -> bool:
    """Is the value still to be supplied?"""
    return (parameter.get("valueFrom") or {}).get("supplied") is not None


def _with_default(parameter: Parameter) -> Parameter:
    if parameter["valueFrom"].get("default") is None:
        raise NoValue(f"raw output parameter '{parameter['name']}' has not been set and does not have a default value")
    return given(parameter, parameter["valueFrom"]["default"])


def awaiting(parameters: list[Parameter]) -> list[Parameter]:
    """The same outputs, of which nothing is known yet."""
    return [{"name": p["name"], "valueFrom": {"supplied": {}}} for p in parameters]


def given(parameter: Parameter, value: str) -> Parameter:
    """The output with a value."""
    return {k: v for k, v in parameter.items() if k != "valueFrom"} | {"value": value}
