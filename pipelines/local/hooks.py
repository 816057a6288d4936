"""Hooks of tasks, steps and workflows. Follows argo-workflows v4.1.2 `workflow/controller/hooks.go` and `exit_handler.go`.

A hook runs a template beside its owner when its expression comes true, and its node hangs below the owner's. The hook called `exit`, or the
field `onExit`, runs when the owner has ended.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.local import expressions, graph, library, references, scope, tags
from pipelines.local.caller import Around, NodeError
from pipelines.local.nodes import COMPLETED, Node, fulfilled

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

Hook = dict[str, Any]
Arguments = dict[str, Any]

EXIT = "exit"
_FULL = "Max parallelism reached"


class HookError(Exception):
    """A hook whose expression or arguments are no good, or which cannot be begun; Argo's words."""


@dataclass
class Owner:
    """A task, a step or the workflow with hooks: what is written about it (`spec`), its node, and what its hooks may name.

    `prefix` is how tags name it (`tasks.a`). `found` gets its outputs as they are asked for.
    """

    engine: "Engine"
    spec: dict[str, Any]
    node: Node
    boundary: str = ""
    prefix: str = ""
    found: scope.Scope = field(default_factory=scope.Scope)
    depth: int = 0


def has_events(spec: dict[str, Any]) -> bool:
    """Are there hooks besides the one at the end?"""
    return any(name != EXIT for name in spec.get("hooks") or {})


def watches(spec: dict[str, Any]) -> bool:
    """Do its hooks see what only runs? The exit hook of a loop in a dag does: it runs for the group too when what follows has begun
    (`executeDAGTask`)."""
    return has_events(spec) or (graph.loops(spec) and on_exit(spec, None) is not None)


def on_exit(spec: dict[str, Any], arguments: Arguments | None) -> Hook | None:
    """The hook at the end of a task, a step or a workflow; without arguments it gets the workflow's (argo-control-flow 147, 151)."""
    if spec.get("onExit"):
        return {"template": spec["onExit"], "arguments": arguments or {}}
    hook: Hook | None = (spec.get("hooks") or {}).get(EXIT)
    if hook is None or any((hook.get("arguments") or {}).values()):
        return hook
    return hook | {"arguments": arguments or {}}


def run(owner: Owner) -> bool:
    """Begin the hooks whose expression has come true, go on with those that have begun; are all of them over? Raises HookError."""
    done = [_run(owner, name, hook) for name, hook in (owner.spec.get("hooks") or {}).items() if name != EXIT]
    return all(done)


def _run(owner: Owner, name: str, hook: Hook) -> bool:
    full, given = f"{owner.node['name']}.hooks.{name}", hook.get("arguments") or {}
    if not _holds(owner, hook["expression"]) and owner.engine.nodes.get(full) is None:
        return True
    if owner.prefix and owner.node.get("outputs"):  # until there are outputs, Argo fills in nothing
        given = _filled(owner, given)
    handler = _begin(owner, hook, full, given, leaving=False)
    owner.engine.nodes.link(owner.node, full)
    return fulfilled(handler)


def exited(owner: Owner) -> bool:
    """Run the exit hook of what has ended; True when there is none to run, or it is over. Raises HookError."""
    hook = on_exit(owner.spec, owner.engine.spec.get("arguments"))
    if hook is None or owner.node["phase"] not in COMPLETED or owner.engine.shutdown == "Terminate":
        return True
    if hook.get("expression") and not _holds(owner, hook["expression"]):
        return True
    full, given = f"{owner.node['name']}.onExit", hook.get("arguments") or {}
    if any(given.values()):
        given = _filled(owner, given)
    try:
        return fulfilled(_begin(owner, hook, full, given, leaving=True))
    finally:
        owner.engine.nodes.link(owner.node, full)


def _holds(owner: Owner, expression: str) -> bool:
    try:
        return expressions.holds(expression, expressions.expand(owner.found.over(owner.engine.globals)))
    except expressions.ExpressionError as error:
        raise HookError(str(error)) from None


def _filled(owner: Owner, given: Arguments) -> Arguments:
    """A hook's arguments. Of its own task's outputs it may name parameters and artifacts only (argo-control-flow 139, 149, 240)."""
    references.add_outputs(owner.found, owner.prefix, owner.node.get("outputs") or {})
    try:
        return references.arguments(given, owner.found, owner.engine.globals)
    except references.Unresolvable as error:
        raise HookError(f"unable to resolve references: {error}") from None
    except (tags.TagError, scope.OutputError, expressions.ExpressionError) as error:
        raise HookError(str(error)) from None


def _begin(owner: Owner, hook: Hook, name: str, given: Arguments, leaving: bool) -> Node:
    from pipelines.local.limits import Waiting

    call = {key: hook[key] for key in library.CALLED if key in hook} | {"kind": "steps", "name": ""}
    around = Around(owner.boundary, {"hooked": True}, exit=leaving, depth=owner.depth + 1)
    try:
        return owner.engine.execute(name, call, given, around)
    except NodeError as error:
        raise HookError(str(error)) from None
    except Waiting:
        raise HookError(_FULL) from None
