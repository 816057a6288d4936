"""How a workflow ends: exit handler, final phase, and what never would end on a cluster."""

from typing import TYPE_CHECKING

from pipelines.local import clock, expressions, gojson, tags
from pipelines.local.limits import Waiting
from pipelines.local.nodes import BAD, Node, fulfilled, pod_name

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


def exit_handler(engine: "Engine", entry: Node) -> Node | None:
    """Run `onExit` of the workflow; None when there is none, or none is to run. NodeError when it cannot be begun."""
    from pipelines.local.engine import Around, NodeError

    hook = (engine.spec.get("hooks") or {}).get("exit") or {}
    template = engine.spec.get("onExit") or hook.get("template")
    if not template or engine.shutdown == "Terminate":
        return None
    duration = engine.clock.now() - clock.seconds(engine.status["startedAt"])
    # Argo renders the list as a quoted JSON string (argo-data-flow 085).
    shown = gojson.dumps(gojson.dumps(failures(engine), sort=False))
    engine.globals |= {"workflow.status": entry["phase"], "workflow.failures": shown, "workflow.duration": f"{duration:.6f}"}
    own = {} if engine.spec.get("onExit") else hook.get("arguments")
    around = Around(flag={"hooked": True}, exit=True)
    try:
        given = tags.substitute_json(own or engine.spec.get("arguments") or {}, engine.globals, tolerant=False)
        return engine.execute(f"{engine.name}.onExit", {"template": template}, given, around)
    except (NodeError, tags.TagError, expressions.ExpressionError) as error:
        raise NodeError(f"error in exit template execution : {error}") from None
    except Waiting:
        return {"phase": "Pending"}


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
            phase, message = "Failed", handler.get("message", "")
    engine.finish(phase, message)


def give_up(engine: "Engine") -> None:
    """Nothing runs and nothing is to come: Argo would wait for ever. Name what is missing."""
    missing = "; ".join(f"{name} waits for {what}" for name, what in engine.stuck.items())
    message = f"this never ends on a cluster: {missing or 'nothing runs and nothing can start'}"
    for node in engine.nodes:
        if not fulfilled(node):
            engine.nodes.phase(node, "Error", message)
    engine.finish("Error", message)
