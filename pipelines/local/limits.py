"""What keeps a node from running, or ends it: deadlines, stops, parallelism, failFast, mutexes."""

from typing import TYPE_CHECKING

from pipelines.local import clock, durations, locks
from pipelines.local.nodes import BAD, Node, Template, fulfilled, template_type

if TYPE_CHECKING:
    from pipelines.local.engine import Around, Call, Engine


class Waiting(Exception):
    """Not now: parallelism leaves no room."""


def deadline(engine: "Engine") -> float | None:
    """When the workflow's activeDeadlineSeconds are over."""
    limit = engine.spec.get("activeDeadlineSeconds")
    return None if limit is None else clock.seconds(engine.status["startedAt"]) + float(limit)


def interrupt(engine: "Engine") -> None:
    """A stop or the workflow's deadline ends what is running."""
    end = deadline(engine)
    late = end is not None and engine.clock.now() >= end
    if end is not None and not late:
        engine.look_at(end)
    if not engine.shutdown and not late:
        return
    for node in list(engine.nodes):
        if fulfilled(node) or node["type"] not in ("Pod", "Suspend") or _may_go_on(engine, node):
            continue
        engine.leaves.stop(node["id"], _why(engine, node))
        if node["id"] not in engine.leaves:
            engine.nodes.phase(node, "Failed", _why(engine, node))


def _may_go_on(engine: "Engine", node: Node) -> bool:
    """Exit handlers run after a stop and a deadline, but not after terminate."""
    return engine.shutdown != "Terminate" and ".onExit" in node["name"]


def _why(engine: "Engine", node: Node) -> str:
    if not engine.shutdown:
        return "Step exceeded its deadline"
    if node["type"] == "Suspend":
        return f"Stopped with strategy '{engine.shutdown}'"
    return f"workflow shutdown with strategy:  {engine.shutdown}"


def timed_out(engine: "Engine", node: Node, template: Template) -> bool:
    """`timeout` while the node is still Pending (argo-control-flow 216)."""
    if node["phase"] != "Pending" or not template.get("timeout"):
        return False
    end = clock.seconds(node["startedAt"]) + durations.parse(str(template["timeout"]))
    engine.wake_at(end)
    return engine.clock.now() >= end


def make_room(engine: "Engine", template: Template, node: Node | None, around: "Around") -> None:
    """Waiting when parallelism, of the workflow or of the template around, leaves no room."""
    kind = template_type(template)
    if node is not None:
        if kind in ("DAG", "Steps") and template.get("failFast"):
            _fail_fast(engine, node)
        return
    if kind == "Pod" and len(engine.leaves) >= int(engine.spec.get("parallelism") or len(engine.leaves) + 1):
        raise Waiting
    limit = (engine.boundaries.get(around.boundary) or {}).get("parallelism")
    if limit is not None and _active_inside(engine, around.boundary) >= int(limit):
        raise Waiting


def _active_inside(engine: "Engine", boundary: str) -> int:
    kinds = ("Pod", "Steps", "DAG", "Suspend")
    return sum(n.get("boundaryID") == boundary and n["type"] in kinds and not fulfilled(n) for n in engine.nodes)


def _fail_fast(engine: "Engine", node: Node) -> None:
    """`failFast` of the template, which, unlike that of the dag, does cut off what has not begun (argo-control-flow 055, 085)."""
    inside = [n for n in engine.nodes if n.get("boundaryID") == node["id"]]
    if not any(n["phase"] in BAD for n in inside):
        return
    if any(n["type"] == "Pod" and not fulfilled(n) for n in inside):
        raise Waiting
    message = "template has failed or errored children and failFast enabled"
    for group in inside:
        if group["type"] == "StepGroup" and not fulfilled(group):
            engine.nodes.phase(group, "Failed", message)
    engine.nodes.phase(node, "Failed", message)


def hold_workflow(engine: "Engine") -> bool:
    """The workflow's own mutexes; until they are held nothing runs."""
    missing = engine.locks.acquire("", locks.wanted(engine.spec, engine.namespace, engine.globals))
    if missing and engine.shutdown:
        engine.finish("Failed", f"Stopped with strategy '{engine.shutdown}'")
    elif missing:
        engine.status["message"] = _waiting_for(missing)
        engine.wake_at(engine.clock.now() + locks.POLL)
    elif engine.status["phase"] == "Pending":
        engine.status["phase"] = "Running"
        engine.status.pop("message", None)
    return not missing


def lock(engine: "Engine", name: str, call: "Call", template: Template, around: "Around") -> Node | None:
    """The template's mutexes. The waiting node when one is missing, None when the template may run."""
    missing = engine.locks.acquire(name, locks.wanted(template, engine.namespace, {}))
    node = engine.nodes.get(name)
    if not missing:
        if node is not None and node.pop("synchronizationStatus", None):
            engine.nodes.phase(node, node["phase"], "")
        return None
    if node is None:
        node = engine.begin(name, template_type(template), call, template, around, "Pending")
    node["synchronizationStatus"] = {"waiting": missing}
    if engine.shutdown:
        return engine.nodes.phase(node, "Failed", _why(engine, node))
    if timed_out(engine, node, template):
        return engine.nodes.phase(node, "Failed", "timeout")
    if engine.locks.holds("", missing):
        engine.stuck[name] = f"the mutex {missing}, which its own workflow holds"
    else:
        engine.wake_at(engine.clock.now() + locks.POLL)
    message = _waiting_for(missing)
    return node if node.get("message") == message else engine.nodes.phase(node, "Pending", message)


def _waiting_for(mutex: str) -> str:
    return f"Waiting for {mutex} lock. Lock status: 0/1"


def release(engine: "Engine") -> None:
    """Give back the mutexes of nodes that have ended."""
    for holder in [h for h in engine.locks.held if h and fulfilled(engine.nodes.get(h))]:
        engine.locks.release(holder)
