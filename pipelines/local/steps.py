"""Steps templates. Follows argo-workflows v4.1.2 `workflow/controller/steps.go`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.local import graph, hooks, memoize, references, scope, tags, when
from pipelines.local.caller import Around, Call, NodeError
from pipelines.local.library import CALLED
from pipelines.local.limits import Waiting
from pipelines.local.loops import Expanded
from pipelines.local.nodes import BAD, Node, Template, fulfilled

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

Step = dict[str, Any]


@dataclass
class Steps:
    """One steps template at work, during one pass."""

    engine: "Engine"
    node: Node
    template: Template
    around: Around
    found: scope.Scope


class Unresolved(Exception):
    """A reference of a step cannot be filled in; the group is at an end."""


def run(engine: "Engine", name: str, call: Call, template: Template, around: Around) -> Node:
    """Bring a steps template one step further; its node, or that of the group which an exit hook broke."""
    node = engine.nodes.get(name) or engine.begin(name, "Steps", call, template, around, "Running")
    engine.enclose(node, template)
    found = scope.Scope(scope.of_inputs(template.get("inputs") or {}) | {"steps.name": ""})  # argo-data-flow 270
    for artifact in (template.get("inputs") or {}).get("artifacts") or []:
        found.artifacts[f"inputs.artifacts.{artifact['name']}"] = artifact
    this = Steps(engine, node, template, around, found)
    group = node
    for index, members in enumerate(template["steps"]):
        group = _begin_group(this, index, group)
        try:
            if not _group(this, group, members):
                return node
        except hooks.HookError as error:  # Argo hands up the group in place of the template's own node, which stays Running
            engine.wake_at(engine.clock.now())
            return engine.nodes.phase(group, "Error", str(error))
        if group["phase"] in BAD:
            _set_outbound(this, index)
            return engine.nodes.phase(node, "Failed", group.get("message", ""))
        for member in members:
            _add(this, f"{group['name']}.{member['name']}", member)
    return _succeed(this)


def _succeed(this: Steps) -> Node:
    _set_outbound(this, len(this.template["steps"]) - 1)
    outputs = scope.outputs_of(this.template, this.found, this.engine.globals)
    if outputs:
        this.node["outputs"] = outputs
        this.engine.add_global(outputs)
    memoize.save_outputs(this.engine, this.node)
    return this.engine.nodes.phase(this.node, "Succeeded")


def _set_outbound(this: Steps, last: int) -> None:
    nodes = this.engine.nodes
    for index in range(last, -1, -1):
        group = nodes.get(f"{this.node['name']}[{index}]")
        children = nodes.children(group) if group is not None else []
        if group is not None and children:
            nodes.set_outbound(this.node, children)
            return


def _begin_group(this: Steps, index: int, before: Node) -> Node:
    nodes, name = this.engine.nodes, f"{this.node['name']}[{index}]"
    group = nodes.get(name)
    if group is not None:
        return group
    group = nodes.add(name, "StepGroup", phase="Running", boundary=this.node["id"], flag={})
    if index == 0 or not before.get("children"):
        nodes.link(before, name)
        return group
    for child in nodes.children(before):
        for last in nodes.outbound(child):
            nodes.link(last, name)
    return group


def _group(this: Steps, group: Node, members: list[Step]) -> bool:
    """Start and watch the steps of one group; is it at its end? Raises hooks.HookError for a bad exit hook."""
    nodes = this.engine.nodes
    if fulfilled(group) and all(fulfilled(child) for child in nodes.children(group)):
        return True
    try:
        groups = _expanded(this, group, members)
        if groups is None:
            return False
        done = [_look(this, group, expanded) for expanded in groups]
    except Unresolved as error:
        nodes.phase(group, "Error", str(error))
        return True
    if any(step.get("hooks") or step.get("onExit") for step in members):
        done.append(_hooked(this, group, groups))
    if all(done):
        _close(this, group, groups)
    return all(done)


def _close(this: Steps, group: Node, groups: list[Expanded]) -> None:
    """All steps of a group have ended: so has the group."""
    for expanded in groups:
        for step in expanded.members:
            node = this.engine.nodes.get(f"{group['name']}.{step['name']}")
            if node is not None and node["phase"] in BAD and not _continues(step, node["phase"]):
                this.engine.nodes.phase(group, "Failed", f"child '{node['id']}' failed")
                return
    this.engine.nodes.phase(group, "Succeeded", "")


def _hooked(this: Steps, group: Node, groups: list[Expanded]) -> bool:
    """Run the hooks of a group's steps, one step after the other; are they over? Raises hooks.HookError for a bad exit hook."""
    made = {f"{group['name']}.{step['name']}": step for expanded in groups for step in expanded.members}
    over = True
    for child in this.engine.nodes.children(group):
        step = made[child["name"]] if child["type"] != "Skipped" else {"name": ""}
        this.found.values[f"steps.{child['displayName']}.status"] = child["phase"]
        owner = hooks.Owner(this.engine, step, child, this.node["id"], f"steps.{step['name']}", this.found, this.around.depth)
        try:
            if not hooks.run(owner):
                return False
        except hooks.HookError as error:
            this.engine.nodes.phase(group, "Error", str(error))
            this.engine.wake_at(this.engine.clock.now())
            return False
        over = over and (not fulfilled(child) or hooks.exited(owner))
    return over


def _continues(step: Step, phase: str) -> bool:
    allowed = step.get("continueOn") or {}
    return bool(allowed.get("failed") if phase == "Failed" else allowed.get("error"))


def _expanded(this: Steps, group: Node, members: list[Step]) -> list[Expanded] | None:
    """The steps of a group, references filled in, loops unrolled; None while a reference has no value. Made once."""
    known: list[Expanded] | None = this.engine.expanded.get(group["name"])
    if known is not None:
        return known
    try:
        resolved = [references.resolve(step, this.found, this.engine.globals, "steps") for step in members]
    except tags.UnresolvedTag as missing:
        if not missing.tag.startswith(("tasks", "steps")):
            raise Unresolved(f"failed to resolve references: {missing}") from None
        this.engine.stuck[group["name"]] = f"{{{{{missing.tag}}}}}, which never gets a value"
        return None
    except references.Unresolvable as error:
        raise Unresolved(f"failed to resolve references: unable to resolve references: {error}") from None
    except references.FAULTS as error:
        raise Unresolved(f"failed to resolve references: {error}") from None
    try:
        groups = [references.expand(step, this.found.over(this.engine.globals)) for step in resolved]
    except references.FAULTS as error:
        raise Unresolved(str(error)) from None
    for step, expanded in zip(members, groups, strict=True):
        if expanded.loop and not expanded.members:
            _skip(this, group, step, step["name"], "Skipped", "Skipped, empty params")
    this.engine.expanded[group["name"]] = groups
    return groups


def _look(this: Steps, group: Node, expanded: Expanded) -> bool:
    """Bring the steps that came from one entry further; True when all have ended."""
    expanded.advance(lambda step: _member(this, group, step))
    return not expanded.open


def _member(this: Steps, group: Node, step: Step) -> str:
    """Bring one step, or one member of its loop, one step further; how that went, for `Expanded.advance`."""
    engine, full = this.engine, f"{group['name']}.{step['name']}"
    node = engine.nodes.get(full)
    if node is None and not _wanted(this, group, step, full):
        return "ended"
    if node is not None and node["id"] in engine.leaves:
        return "open"
    call = {k: step[k] for k in CALLED if k in step} | {"kind": "steps", "name": step["name"]}
    around = Around(this.node["id"], exit=this.around.exit, depth=this.around.depth + 1)
    try:
        engine.execute(full, call, step.get("arguments") or {}, around)
    except Waiting:
        pass
    except NodeError as error:
        if engine.nodes.get(full) is not None:
            engine.nodes.link(group, full)
        raise Unresolved(f"step group deemed errored due to child {full} error: {error}") from None
    node = engine.nodes.get(full)
    if node is None:
        return "full"
    engine.nodes.link(group, full)
    return "ended" if fulfilled(node) else "open"


def _wanted(this: Steps, group: Node, step: Step, full: str) -> bool:
    """Does `when` let a step run? A bad one ends the group."""
    try:
        if when.holds(step.get("when", "")):
            return True
    except when.WhenError as error:
        _skip(this, group, step, step["name"], "Error", str(error))
        raise Unresolved(str(error)) from None
    _skip(this, group, step, step["name"], "Skipped", f"when '{step['when']}' evaluated false")
    return False


def _skip(this: Steps, group: Node, step: Step, name: str, phase: str, message: str) -> None:
    full = f"{group['name']}.{name}"
    nodes = this.engine.nodes
    if nodes.get(full) is None:
        nodes.add(full, "Skipped", phase=phase, boundary=this.node["id"], call=step, message=message, flag={})
        nodes.link(group, full)


def _add(this: Steps, full: str, step: Step) -> None:
    """What later steps may refer to."""
    nodes, prefix = this.engine.nodes, f"steps.{step['name']}"
    node, called = nodes.get(full), this.engine.called(step, this.node["id"])
    if node is not None:
        scope.add_node(this.found, prefix, node, nodes, called)
        if graph.loops(step) and node["phase"] == "Skipped" and called is not None:
            scope.absent_loop(this.found, prefix, called)
        return
    group = nodes.get(full.rpartition(f".{step['name']}")[0])
    if group is None:
        return
    members = [n for n in nodes.children(group) if n["name"].startswith(f"{full}(")]
    this.found.values[f"{prefix}.status"] = group["phase"]
    if members:
        if "inline" in step and any(m["type"] != "Skipped" for m in members):
            raise NodeError("failed to get a template")  # Argo looks it up by the name that a member's node says, and this one has none
        scope.add_loop(this.found, prefix, members, nodes)
