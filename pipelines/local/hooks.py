"""Exit hooks of tasks and steps."""

from typing import TYPE_CHECKING, Any

from pipelines.local import expressions, references, scope, tags
from pipelines.local.nodes import COMPLETED, Node, fulfilled

if TYPE_CHECKING:
    from pipelines.local.engine import Engine


def exit_done(engine: "Engine", task: dict[str, Any], node: Node, boundary: str, prefix: str, found: scope.Scope, depth: int) -> bool:
    """Run the exit hook of a finished task; True when there is none, or it has ended too."""
    hook = (task.get("hooks") or {}).get("exit") or ({"template": task["onExit"]} if task.get("onExit") else None)
    if hook is None or node["phase"] not in COMPLETED or engine.shutdown == "Terminate":
        return True
    if node["type"] == "TaskGroup":
        return True
    found = references.with_outputs(found, prefix, node.get("outputs") or {})
    found.values[f"{prefix}.status"] = node["phase"]
    values = found.over(engine.globals)
    if hook.get("expression") and expressions.evaluate(hook["expression"], expressions.expand(values)) is not True:
        return True
    handler = start(engine, hook, node, boundary, values, depth)
    return fulfilled(handler)


def start(engine: "Engine", hook: dict[str, Any], node: Node, boundary: str, values: scope.Values, depth: int) -> Node | None:
    from pipelines.local.engine import Around, NodeError
    from pipelines.local.limits import Waiting

    name = f"{node['name']}.onExit"
    given = tags.substitute_json(hook.get("arguments") or {}, values, tolerant=True)
    call = {"template": hook["template"], "kind": "steps", "name": ""}
    handler: Node | None
    try:
        handler = engine.execute(name, call, given, Around(boundary, {"hooked": True}, exit=True, depth=depth + 1))
    except NodeError:
        handler = engine.nodes.get(name)
    except Waiting:
        handler = None
    if engine.nodes.get(name) is not None:
        engine.nodes.link(node, name)
    return handler
