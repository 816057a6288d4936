"""Dag templates. Follows argo-workflows v4.1.2 `workflow/controller/dag.go`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.local import assessment, depends, graph, hooks, memoize, references, scope, tags, when
from pipelines.local.caller import Around, Call, NodeError
from pipelines.local.library import CALLED
from pipelines.local.limits import Waiting
from pipelines.local.loops import Expanded
from pipelines.local.nodes import BAD, COMPLETED, Node, Template, fulfilled

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

Task = dict[str, Any]


@dataclass
class Dag:
    """One dag template at work, during one pass."""

    engine: "Engine"
    node: Node
    template: Template
    around: Around
    tasks: dict[str, Task]
    visited: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)

    def name(self, task: str) -> str:
        return f"{self.node['name']}.{task}"

    def task_node(self, task: str) -> Node | None:
        return self.engine.nodes.get(self.name(task))


def run(engine: "Engine", name: str, call: Call, template: Template, around: Around) -> Node:
    """Bring a dag one step further."""
    node = engine.nodes.get(name) or engine.begin(name, "DAG", call, template, around, "Running")
    engine.enclose(node, template)
    this = Dag(engine, node, template, around, {t["name"]: t for t in template["dag"]["tasks"]})
    wanted = assessment.targets(template)
    for task in wanted:
        _target(this, task)
    phase = "Failed" if assessment.cut_off(this, wanted) else assessment.assess(this, wanted)
    if phase == "Running":
        return node
    if phase == "Succeeded":
        everything = scope.Scope(scope.of_inputs(template.get("inputs") or {}))
        for task in this.tasks:
            _add(this, everything, task)
        outputs = scope.outputs_of(template, everything, engine.globals)
        if outputs:
            node["outputs"] = outputs
            engine.add_global(outputs)
        memoize.save_outputs(engine, node)
    ends = [this.task_node(task) for task in wanted]
    engine.nodes.set_outbound(node, [n for n in ends if n is not None])
    return engine.nodes.phase(node, phase)


def _target(this: Dag, task: str) -> None:
    """Run a target. Its hooks are looked at once more, as it may have begun or ended in this pass; what is wrong with them ends the dag."""
    step(this, task)
    node = this.task_node(task)
    if node is not None:
        _hooked(this, task, node)
    if task in this.faults:
        raise NodeError(this.faults[task])


def _owner(this: Dag, task: str, node: Node) -> hooks.Owner:
    found = _scope(this, task)
    found.values[f"tasks.{task}.status"] = node["phase"]
    return hooks.Owner(this.engine, this.tasks[task], node, this.node["id"], f"tasks.{task}", found, this.around.depth)


def _hooked(this: Dag, task: str, node: Node) -> bool:
    """Run the hooks of a task; True when none is still running."""
    if not hooks.has_events(this.tasks[task]):
        return True
    try:
        return hooks.run(_owner(this, task, node))
    except hooks.HookError as error:
        this.engine.nodes.phase(node, "Error", str(error))
        this.faults[task] = str(error)
        return False


def _exited(this: Dag, task: str, node: Node) -> bool:
    """Run the exit hook of a task, or of a member of its loop; True when it is over. One that cannot run is passed over without a word."""
    if not hooks.on_exit(this.tasks[task], None):
        return True
    try:
        return hooks.exited(_owner(this, task, node))
    except hooks.HookError:
        return False


def step(this: Dag, name: str) -> None:
    """Start a task if those it depends on allow it."""
    if name in this.visited:
        return
    this.visited.add(name)
    node = this.task_node(name)
    if node is not None and (fulfilled(node) or node["phase"] == "Running") and not _hooked(this, name, node):
        return
    if node is not None and fulfilled(node):
        _exited(this, name, node)
        return
    for dependency in graph.dependencies(this.tasks[name]):
        step(this, dependency)
    if node is None and not _released(this, name):
        return
    expanded = _expanded(this, name)
    if expanded is None:
        return
    expanded.advance(lambda member: _member(this, name, member))
    _close_group(this, name, expanded)


def _released(this: Dag, name: str) -> bool:
    """Have all dependencies ended, with the hooks that they began, and in the way that `depends` asks for?"""
    needed = graph.dependencies(this.tasks[name])
    ends = [this.task_node(d) for d in needed]
    if not all(fulfilled(node) and node is not None and this.engine.nodes.hooks_over(node) for node in ends):
        return False
    try:
        logic = graph.logic(this.tasks[name], assessment.tolerated(this.tasks))
        if logic is None or logic.holds({d: assessment.results(this, d) for d in needed}):
            return True
    except depends.DependsError as error:
        _skip(this, name, "Error", str(error))
        return False
    _skip(this, name, "Omitted", "omitted: depends condition not met")
    return False


def _expanded(this: Dag, name: str) -> Expanded | None:
    """The task with its references filled in, its loop unrolled; None when it ends here. Made once."""
    full = this.name(name)
    known: Expanded | None = this.engine.expanded.get(full)
    if known is not None:
        return known
    task = this.tasks[name]
    try:
        found = _scope(this, name)
        resolved = references.resolve(task, found, this.engine.globals, "tasks")
        expanded = references.expand(resolved, found.over(this.engine.globals))
    except tags.UnresolvedTag as missing:
        if not missing.tag.startswith(("tasks", "steps")):
            _skip(this, name, "Error", str(missing))
        else:
            this.engine.stuck[full] = f"{{{{{missing.tag}}}}}, which never gets a value"
        return None
    except references.FAULTS as error:
        _skip(this, name, "Error", str(error))
        return None
    except ValueError as error:  # a loop's result that is no JSON ends the whole workflow (argo-control-flow 076)
        _skip(this, name, "Error", str(error))
        raise
    if expanded.loop and not expanded.members:
        _skip(this, name, "Skipped", "Skipped, empty params")
        return None
    if expanded.loop and this.task_node(name) is None:
        _connect(this, name, full)
        _new(this, name, full, "TaskGroup", "Running", {})
    this.engine.expanded[full] = expanded
    return expanded


def _member(this: Dag, name: str, task: Task) -> str:
    """Bring one task, or one member of its loop, one step further; how that went, for `Expanded.advance`."""
    full = this.name(task["name"])
    node = this.engine.nodes.get(full)
    if node is None:
        _connect(this, name, full)
        reason = _why_not(task)
        if reason is not None:
            _new(this, name, full, "Skipped", *reason)
            return "ended"
    elif node["id"] in this.engine.leaves:
        return "open"
    call = {k: task[k] for k in CALLED if k in task} | {"kind": "tasks", "name": task["name"]}
    around = Around(this.node["id"], exit=this.around.exit, depth=this.around.depth + 1)
    try:
        node = this.engine.execute(full, call, task.get("arguments") or {}, around)
    except Waiting:
        node = this.engine.nodes.get(full)
        if node is None:
            return "full"
    except NodeError as error:
        node = this.engine.nodes.get(full)
        if node is not None:
            this.engine.nodes.phase(node, "Error", f"task '{full}' errored: {error}")
        return "full"  # those behind it do not begin in this pass, and in no other if all before them have ended
    node = this.engine.nodes.get(full)
    if node is None:
        return "open"
    if node["phase"] in COMPLETED and not _exited(this, name, node):
        return "full"  # those behind it wait for its exit hook
    return "ended" if fulfilled(node) else "open"


def _why_not(task: Task) -> tuple[str, dict[str, bool], str] | None:
    """Phase, flag and message of a task that is not to run; None when it is."""
    try:
        if when.holds(task.get("when", "")):
            return None
    except when.WhenError as error:
        return "Error", {}, str(error)
    return "Skipped", {}, f"when '{task['when']}' evaluated false"


def _close_group(this: Dag, name: str, expanded: Expanded) -> None:
    """The group of a loop ends when all its members have."""
    group = this.task_node(name)
    if not expanded.loop or expanded.open or group is None or fulfilled(group):
        return
    phases = [n["phase"] for m in expanded.members if (n := this.task_node(m["name"])) is not None]
    bad = [p for p in phases if p in BAD]
    this.engine.nodes.phase(group, bad[-1] if bad else "Succeeded")


def _skip(this: Dag, name: str, phase: str, message: str) -> None:
    full = this.name(name)
    if this.engine.nodes.get(full) is None:
        _new(this, name, full, "Skipped", phase, {}, message)
        _connect(this, name, full)


def _new(this: Dag, name: str, full: str, kind: str, phase: str, flag: dict[str, bool], message: str = "") -> Node:
    return this.engine.nodes.add(full, kind, phase=phase, boundary=this.node["id"], call=this.tasks[name], message=message, flag=flag)


def _connect(this: Dag, name: str, full: str) -> None:
    """Hang a node below what it follows: its group, the last nodes of its dependencies, or the dag."""
    nodes, group = this.engine.nodes, this.task_node(name)
    if group is not None and group["type"] == "TaskGroup" and group["name"] != full:
        nodes.link(group, full)
        return
    needed = graph.dependencies(this.tasks[name])
    if not needed:
        nodes.link(this.node, full)
    for dependency in needed:
        ended = this.task_node(dependency)
        for last in nodes.outbound(ended) if ended is not None else ():
            nodes.link(last, full)


def _scope(this: Dag, name: str) -> scope.Scope:
    """What a task may refer to: its ancestors and the dag's inputs."""
    found = scope.Scope(scope.of_inputs(this.template.get("inputs") or {}))
    _add_input_artifacts(found, this.template)
    for ancestor in graph.ancestors(name, this.tasks):
        _add(this, found, ancestor)
    return found


def _add_input_artifacts(found: scope.Scope, template: Template) -> None:
    for artifact in (template.get("inputs") or {}).get("artifacts") or []:
        found.artifacts[f"inputs.artifacts.{artifact['name']}"] = artifact


def _add(this: Dag, found: scope.Scope, name: str) -> None:
    node, prefix = this.task_node(name), f"tasks.{name}"
    if node is None:
        return
    called = this.engine.called(this.tasks[name], this.node["id"])
    if node["type"] == "TaskGroup":
        members = [m for m in this.engine.nodes.children(node) if m["name"].startswith(f"{node['name']}(")]
        scope.add_node(found, prefix, node, this.engine.nodes, called)
        if fulfilled(node):
            scope.add_loop(found, prefix, members, this.engine.nodes)
        return
    scope.add_node(found, prefix, node, this.engine.nodes, called)
