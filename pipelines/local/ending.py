"""How a workflow ends: exit handler, final phase, and what never would end on a cluster."""

from typing import TYPE_CHECKING

from pipelines.local import clock, expressions, gojson, hooks, library, tags
from pipelines.local.caller import Around, NodeError
from pipelines.local.limits import Waiting
from pipelines.local.nodes import BAD, Node, fulfilled, pod_name

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


def exit_handler(engine: "Engine", entry: Node) -> Node | None:
    """Run `onExit` of the workflow; None when there is none, or none is to run. NodeError when it cannot be begun."""
    hook = hooks.on_exit(engine.spec, engine.spec.get("arguments"))
    if hook is None or (engine.shutdown == "Terminate" and engine.nodes.get(f"{engine.name}.onExit") is None):
        return None
    tell(engine, entry)
    around = Around(flag={"hooked": True}, exit=True)
    try:
        given = tags.substitute_json(hook.get("arguments") or {}, engine.globals, tolerant=False)
        return engine.execute(f"{engine.name}.onExit", {key: hook[key] for key in library.CALLED if key in hook}, given, around)
    except (NodeError, tags.TagError, expressions.ExpressionError) as error:
        raise NodeError(f"error in exit template execution : {error}") from None
    except Waiting:
        return {"phase": "Pending"}


def tell(engine: "Engine", entry: Node) -> None:
    """What hooks and the exit handler may know of the workflow; an omitted or skipped entrypoint counts as a success."""
    duration = engine.clock.now() - clock.seconds(engine.status["startedAt"])
    # Argo renders the list as a quoted JSON string (argo-data-flow 085); an empty one is null.
    shown = gojson.dumps(gojson.dumps(failures(engine) or None, sort=False))
    status = entry["phase"] if entry["phase"] not in ("Skipped", "Omitted") else "Succeeded"
    engine.globals |= {"workflow.status": status, "workflow.failures": shown, "workflow.duration": f"{duration:.6f}"}


def hooks_over(engine: "Engine", entry: Node) -> bool:
    """Run the workflow's hooks; are they over? One that is no good makes the entry node an Error."""
    if not hooks.has_events(engine.spec):
        return True
    tell(engine, entry)
    try:
        return hooks.run(hooks.Owner(engine, engine.spec, entry))
    except hooks.HookError as error:
        engine.nodes.phase(entry, "Error", str(error))
        engine.wake_at(engine.clock.now())
        return True


def failures(engine: "Engine") -> list[dict[str, str]]:
    """`workflow.failures`: every node that went wrong, dags and groups included (argo-control-flow 131)."""
    return [
        {
            "displayName": node["displayName"],
            "message": node.get("message", ""),
            "templateName": node.get("templateName", ""),
            "phase": node["phase"],
            "podName": pod_name(engine.name, node),
            "finishedAt": node.get("finishedAt", ""),
        }
        for node in engine.nodes
        if node["phase"] in BAD
    ]


def conclude(engine: "Engine", entry: Node, handler: Node | None) -> None:
    """The workflow's phase and message: the entry node's, or the handler's where only that failed."""
    phase, message = entry["phase"], entry.get("message", "")
    if phase in BAD and engine.shutdown:
        message = f"Stopped with strategy '{engine.shutdown}'"
    if phase not in BAD:
        phase, message = "Succeeded", ""
        if handler is not None and handler["phase"] in BAD:
            phase, message = handler["phase"], handler.get("message", "")
    engine.finish(phase, message)


def mark_entry(engine: "Engine") -> None:
    """The controller fell over at work on the entry node. argo-workflows operator.go markWorkflowPhase"""
    entry = engine.nodes.get(engine.name)
    if entry is not None and entry["phase"] == "Running":
        engine.nodes.phase(entry, "Error", "Workflow operation error")


def give_up(engine: "Engine") -> None:
    """Nothing runs and nothing is to come: Argo would wait for ever. Name what is missing."""
    missing = "; ".join(f"{name} waits for {what}" for name, what in engine.stuck.items())
    message = f"this never ends on a cluster: {missing or 'nothing runs and nothing can start'}"
    for node in engine.nodes:
        if not fulfilled(node):
            engine.nodes.phase(node, "Error", message)
    engine.finish("Error", message)
