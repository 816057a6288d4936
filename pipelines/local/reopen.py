"""Opens a run again that ended badly or was stopped: what failed is forgotten and runs again, what succeeded stays.

Like `retryWorkflow` of argo-workflows v4.1.2, with one difference: a failure that the workflow dealt with (something ran after it) stays.
"""

from typing import Any

from pipelines.local import library
from pipelines.local.nodes import BAD, Node
from pipelines.local.workflow import COMPLETED_LABEL, PHASE_LABEL

Nodes = dict[str, Node]

STARTED_BY = "fleece.dev/started-by"
STOPPED_BY = "fleece.dev/stopped-by"
_AROUND = ("StepGroup", "TaskGroup", "Retry")


def workflow(found: dict[str, Any], again: frozenset[str] = frozenset()) -> None:
    """Make the object one that is still running. `again`: templates whose nodes run again although they succeeded."""
    running(found)
    nodes(found["status"]["nodes"], found["metadata"]["name"], again)


def running(found: dict[str, Any]) -> None:
    """Take away what says that the run is over, or is to end."""
    status, stored = found["status"], found["status"].get("storedWorkflowTemplateSpec")
    for spec in (found["spec"], stored or {}):
        spec.pop("shutdown", None)
    (found["metadata"].get("annotations") or {}).pop(STOPPED_BY, None)
    found["metadata"]["labels"] |= {PHASE_LABEL: "Running", COMPLETED_LABEL: "false"}
    for field in ("message", "conditions"):
        status.pop(field, None)
    status |= {"phase": "Running", "finishedAt": None}


def nodes(all_: Nodes, name: str, again: frozenset[str]) -> None:
    """Take out what failed and all that hangs below it; what is around it runs on."""
    parents = _parents(all_)
    cut = {i for i, n in all_.items() if _failed(n, all_, parents) or (library.key(n, n["templateScope"]) in again and n["type"] == "Pod")}
    cut |= {i for i, n in all_.items() if n["name"].endswith(".onExit") and "boundaryID" not in n}
    gone = _with_below(all_, cut)
    opened = _around(all_, gone, parents) - gone
    for node_id in gone:
        del all_[node_id]
    for node_id in opened:
        all_[node_id]["phase"] = "Running"
        for field in ("finishedAt", "message", "outboundNodes", "outputs"):
            all_[node_id].pop(field, None)
    for node in all_.values():
        if "children" in node:
            node["children"] = [c for c in node["children"] if c not in gone]


def _parents(all_: Nodes) -> dict[str, list[Node]]:
    """The groups and Retry nodes that hold a node."""
    found: dict[str, list[Node]] = {}
    for node in all_.values():
        if node["type"] in _AROUND:
            for child in node.get("children", ()):
                found.setdefault(child, []).append(node)
    return found


def _failed(node: Node, all_: Nodes, parents: dict[str, list[Node]]) -> bool:
    if node["type"] not in ("Pod", "Suspend", "Skipped") or node["phase"] not in BAD:
        return False
    dealt_with = any(all_[c]["phase"] == "Succeeded" for c in node.get("children", ()) if c in all_)
    return not dealt_with and not any(p["phase"] == "Succeeded" for p in parents.get(node["id"], ()))


def _with_below(all_: Nodes, cut: set[str]) -> set[str]:
    """Everything that hangs below these nodes or lies inside them; and all attempts where one is gone."""
    gone, queue = set(cut), list(cut)
    retried = {c: n for n in all_.values() if n["type"] == "Retry" for c in n.get("children", ())}
    while queue:
        node_id = queue.pop()
        below = list(all_[node_id].get("children", ()))
        below += [i for i, n in all_.items() if n.get("boundaryID") == node_id]
        below += retried[node_id].get("children", []) if node_id in retried else []
        fresh = [i for i in below if i in all_ and i not in gone]
        gone.update(fresh)
        queue += fresh
    return gone


def _around(all_: Nodes, gone: set[str], parents: dict[str, list[Node]]) -> set[str]:
    """The templates, groups and Retry nodes that these nodes lie in, up to the top."""
    found: set[str] = set()
    queue = list(gone)
    while queue:
        node = all_[queue.pop()]
        outer = [n["id"] for n in parents.get(node["id"], ())] + [node.get("boundaryID", "")]
        fresh = [i for i in outer if i in all_ and i not in found]
        found.update(fresh)
        queue += fresh
    return found
