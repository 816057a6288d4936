"""Does a Workflow object match what Argo's controller recorded? One line a difference.

Compared: the workflow's phase, message and outputs; the set of nodes by name; of every node the fields in NODE; of a pod, its log.
Not compared: times, durations, progress, host, artifact keys, the order of children, fields that only say how Argo stored something.
The value "*" in a golden stands for one that differs from run to run.
"""

from collections.abc import Iterator
from typing import Any

Shape = dict[str, Any]

NODE = ("id", "displayName", "type", "templateName", "templateRef", "phase", "message", "boundary", "nodeFlag")


def outputs(o: Any) -> Any:
    """Outputs without where artifacts lie, which differs from store to store."""
    if o == "*":
        return o
    o = dict(o or {})
    if "artifacts" in o:
        o["artifacts"] = sorted(a["name"] for a in o["artifacts"])
    if "parameters" in o:
        o["parameters"] = {p["name"]: p.get("value") for p in o["parameters"]}
    return o


def simplify(workflow: Shape) -> Shape:
    """A Workflow object in the shape of a golden."""
    status = workflow["status"]
    nodes = status.get("nodes") or {}
    names = {i: n["name"] for i, n in nodes.items()}
    shaped = {}
    for node in nodes.values():
        n = dict(node)
        n["children"] = [names.get(c, c) for c in n.get("children", [])]
        n["boundary"] = names.get(n.pop("boundaryID", None))
        shaped[n["name"]] = n
    return {"phase": status.get("phase"), "message": status.get("message"), "outputs": status.get("outputs"), "nodes": shaped}


def fields(node: Shape) -> Shape:
    f = {k: node.get(k) or None for k in NODE}
    f["children"] = sorted(node.get("children") or [])
    f["outputs"] = outputs(node.get("outputs"))
    f["inputs"] = outputs(node.get("inputs"))
    if "log" in node:
        f["log"] = node["log"]
    return f


def same(golden: Any, got: Any) -> bool:
    if golden == "*":
        return True
    if isinstance(golden, dict) and isinstance(got, dict):
        return golden.keys() == got.keys() and all(same(v, got[k]) for k, v in golden.items())
    if isinstance(golden, list) and isinstance(got, list):
        return len(golden) == len(got) and all(map(same, golden, got))
    return bool(golden == got)


def differences(golden: Shape, got: Shape) -> Iterator[str]:
    for key in ("phase", "message"):
        if not same(golden.get(key) or None, got.get(key) or None):
            yield f"workflow.{key}: argo {golden.get(key)!r}, here {got.get(key)!r}"
    if not same(outputs(golden.get("outputs")), outputs(got.get("outputs"))):
        yield f"workflow.outputs: argo {golden.get('outputs')!r}, here {got.get('outputs')!r}"
    for name in sorted(golden["nodes"].keys() - got["nodes"].keys()):
        yield f"node {name}: missing here"
    for name in sorted(got["nodes"].keys() - golden["nodes"].keys()):
        yield f"node {name}: not in argo"
    for name in sorted(golden["nodes"].keys() & got["nodes"].keys()):
        a, b = fields(golden["nodes"][name]), fields(got["nodes"][name])
        for key in a:
            if key == "log" and "log" not in b:
                continue
            if not same(a[key], b.get(key)):
                yield f"node {name}.{key}: argo {a[key]!r}, here {b.get(key)!r}"
