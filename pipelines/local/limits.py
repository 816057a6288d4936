"""What keeps a node from running, or ends it: deadlines, stops, parallelism, failFast."""

from typing import TYPE_CHECKING

from pipelines.local import clock, control, durations
from pipelines.local.caller import Around
from pipelines.local.nodes import BAD, Node, Template, fulfilled, template_type

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


class Waiting(Exception):
    """Not now: parallelism leaves no room."""


def deadline(engine: "Engine") -> float | None:
    """When the workflow's activeDeadlineSeconds are over."""
    limit = engine.spec.get("activeDeadlineSeconds")
    return None if limit is None else clock.seconds(engine.status["startedAt"]) + float(limit)


def interrupt(engine: "Engine") -> None:
    """A stop or the workflow's deadline ends what is running."""
    if not engine.cut_short:
        if (end := deadline(engine)) is not None:
            engine.look_at(end)
        return
    for node in list(engine.nodes):
        if fulfilled(node) or may_go_on(engine, node) or not _is_cut(engine, node):
            continue
        engine.leaves.stop(node["id"], why(engine, node))
        if node["id"] not in engine.leaves:
            engine.nodes.phase(node, "Failed", why(engine, node))


def interrupt_processes(engine: "Engine") -> None:
    """Of a workflow that is over but for its processes, only those are ended; no node is touched any more (argo-control-flow 228)."""
    for node in [n for n in engine.nodes if n["id"] in engine.leaves]:
        engine.leaves.stop(node["id"], why(engine, node))


def _is_cut(engine: "Engine", node: Node) -> bool:
    """Does a stop, or the deadline, end this unfinished node? Those that hold others end by what becomes of these."""
    if node["type"] == "Pod" or control.is_waiting(node):
        return True
    if not engine.shutdown:
        return bool(node["phase"] == "Pending")
    if node["type"] == "Retry":
        return all(map(fulfilled, engine.nodes.children(node)))
    return _waits_for_lock(node)


def _waits_for_lock(node: Node) -> bool:
    return bool((node.get("synchronizationStatus") or {}).get("waiting"))


def may_go_on(engine: "Engine", node: Node) -> bool:
    """Exit handlers run after a stop and a deadline, but not after terminate."""
    return engine.shutdown != "Terminate" and ".onExit" in node["name"]


def why(engine: "Engine", node: Node) -> str:
    if not engine.shutdown:
        return "Step exceeded its deadline"
    if node["type"] != "Pod" or _waits_for_lock(node):
        return f"Stopped with strategy '{engine.shutdown}'"
    return f"workflow shutdown with strategy:  {engine.shutdown}"


def timed_out(engine: "Engine", node: Node, template: Template) -> bool:
    """`timeout` or `pendingTimeout` while the node is still Pending (argo-control-flow 216)."""
    given = [str(template[field]) for field in ("timeout", "pendingTimeout") if template.get(field)]
    if node["phase"] != "Pending" or not given:
        return False
    end = clock.seconds(node["startedAt"]) + min(map(durations.seconds_or_duration, given))
    engine.wake_at(end)
    return engine.clock.now() >= end


def make_room(engine: "Engine", template: Template, node: Node | None, around: Around) -> None:
    """Waiting when parallelism, of the workflow or of the template around, leaves no room, or failFast cuts off what has not begun."""
    kind = template_type(template)
    if node is not None:
        if kind in ("DAG", "Steps"):
            _fail_fast(engine, node, template)
        return
    if kind == "Pod" and len(engine.leaves) >= int(engine.spec.get("parallelism") or len(engine.leaves) + 1):
        raise Waiting
    outer = engine.boundaries.get(around.boundary)
    if outer is None:
        return
    boundary = engine.nodes.all[around.boundary]
    _fail_fast(engine, boundary, outer)
    limit = outer.get("parallelism")
    if fulfilled(boundary) or (limit is not None and len([n for n in _inside(engine, boundary) if not fulfilled(n)]) >= int(limit)):
        raise Waiting


def _inside(engine: "Engine", node: Node) -> list[Node]:
    """What counts for the parallelism and failFast of a template: its own pods, steps and dags, no suspends."""
    return [n for n in engine.nodes if n.get("boundaryID") == node["id"] and n["type"] in ("Pod", "Steps", "DAG")]


def _fail_fast(engine: "Engine", node: Node, template: Template) -> None:
    """`failFast` of the template, which, unlike that of the dag, cuts off what has not begun (argo-control-flow 055, 085). Waiting while
    a pod of its own still runs. The innermost group gets the message, wherever it is, and steps inside run on (056)."""
    inside = _inside(engine, node) if template.get("failFast") else []
    if fulfilled(node) or not any(n["phase"] in BAD for n in inside):
        return
    if any(n["type"] == "Pod" and not fulfilled(n) and "synchronizationStatus" not in n for n in inside):
        raise Waiting
    message = "template has failed or errored children and failFast enabled"
    if "steps" in template and (group := _last_group(engine, node)) is not None:
        engine.nodes.phase(group, "Failed", message)
    engine.nodes.phase(node, "Failed", message)


def _last_group(engine: "Engine", node: Node) -> Node | None:
    """The last StepGroup on a walk downwards, depth first."""
    found, stack, seen = None, [node], set[str]()
    while stack:
        current = stack.pop()
        if current["id"] in seen:
            continue
        seen.add(current["id"])
        found = current if current["type"] == "StepGroup" else found
        stack += reversed(engine.nodes.children(current))
    return found
