"""How the tasks of a dag ended, and what that makes of the dag. Follows argo-workflows v4.1.2 `assessDAGPhase`, `evaluateDependsLogic`."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipelines.local import graph
from pipelines.local.nodes import BAD, COMPLETED, Node, Template, fulfilled

if TYPE_CHECKING:
    from pipelines.local.dag import Dag

Task = dict[str, Any]


def targets(template: Template) -> list[str]:
    target = template["dag"].get("target")
    return target.split() if target else graph.leaves(template["dag"]["tasks"])


def cut_off(this: "Dag", wanted: Iterable[str]) -> bool:
    """A stop ends a dag at once, except for the exit hooks of its targets, and except in an exit handler (argo-control-flow 138, 179).

    What is still being ended is waited for by the workflow.
    """
    engine = this.engine
    if not engine.shutdown or this.around.exit:
        return False
    handlers = [engine.nodes.get(f"{this.name(task)}.onExit") for task in wanted]
    return all(handler is None or fulfilled(handler) for handler in handlers)


def tolerated(tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """The results that the `continueOn` of each task forgives."""
    names = {"failed": "Failed", "error": "Errored"}
    return {
        name: [result for key, result in names.items() if task["continueOn"].get(key)]
        for name, task in tasks.items()
        if task.get("continueOn")
    }


def results(this: "Dag", name: str) -> dict[str, bool]:
    """What may be said about a finished task in `depends`."""
    node = this.task_node(name)
    assert node is not None  # noqa: S101 - only asked once it has ended
    phase = node["phase"]
    found = {
        "Succeeded": phase == "Succeeded",
        "Failed": phase == "Failed",
        "Errored": phase == "Error",
        "Skipped": phase == "Skipped",
        "Omitted": phase == "Omitted",
        "Daemoned": False,
        "AnySucceeded": False,
        "AllFailed": False,
    }
    if node["type"] == "TaskGroup":
        members = [n["phase"] for n in this.engine.nodes.children(node)]
        found["AnySucceeded"] = "Succeeded" in members
        found["AllFailed"] = bool(members) and all(p == "Failed" for p in members)
    return found


def assess(this: "Dag", wanted: Iterable[str]) -> str:
    """The phase of the dag: Running while any node below is; otherwise what its targets came to, through omitted ones too."""
    ids = {this.engine.nodes.id(this.name(task)): "" for task in wanted}
    queue = [(child, "Succeeded") for child in this.node.get("children", ())]
    seen = set(queue)
    while queue:
        node_id, branch = queue.pop()
        node = this.engine.nodes.all.get(node_id)
        if node is None or not (fulfilled(node) or _ends_group(this, node)):
            return "Running"
        if node["phase"] in COMPLETED:
            branch = node["phase"]
        if ids.get(node_id) in ("", "Succeeded"):
            ids[node_id] = branch
        below = this.engine.nodes.below_retry(node) if node["type"] == "Retry" else node.get("children", ())
        fresh = [(child, branch) for child in below if (child, branch) not in seen]
        seen.update(fresh)
        queue += fresh
    return _verdict(this, wanted, ids)


def _ends_group(this: "Dag", node: Node) -> bool:
    """End a loop whose members have ended, all that were begun: an error in one keeps those behind it from beginning.

    argo-workflows v4.1.2 `completableTaskGroupPhase`.
    """
    members = [this.engine.nodes.all.get(i) for i in node.get("children", ())] if node["type"] == "TaskGroup" else []
    if not members or not all(map(fulfilled, members)):
        return False
    bad = [m["phase"] for m in members if m is not None and m["phase"] in BAD]
    this.engine.nodes.phase(node, bad[-1] if bad else "Succeeded")
    this.engine.wake_at(this.engine.clock.now())
    return True


def _verdict(this: "Dag", wanted: Iterable[str], ids: dict[str, str]) -> str:
    """With failFast the first failed target by name decides, without it the last (argo-control-flow 057)."""
    fail_fast, phase = this.template["dag"].get("failFast", True), "Succeeded"
    for name in wanted:
        branch = ids[this.engine.nodes.id(this.name(name))]
        allowed = this.tasks[name].get("continueOn") or {}
        forgiven = (branch == "Failed" and allowed.get("failed")) or (branch == "Error" and allowed.get("error"))
        if not branch:
            phase = "Running"
            if fulfilled(this.task_node(name)):
                what = "it comes after a Retry node that ended with a retried hook, or came from a cache"
                this.engine.stuck[this.node["name"]] = f"its task {name}, which has ended but is found nowhere: {what}"
            if not fail_fast:
                break
        elif branch in BAD and not forgiven:
            phase = branch
            if fail_fast:
                break
    return phase
