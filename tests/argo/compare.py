"""compare GOLDEN WORKFLOW: does a Workflow object (JSON, as `argo get -o json` prints it) match what Argo's controller recorded?

Prints one line per difference and exits 1; prints nothing and exits 0 when they match. WORKFLOW may be '-'.
Compared: the workflow's phase, message and outputs; the set of nodes by name; of every node the fields in NODE below; of a pod, its log.
Not compared: times, durations, progress, host, artifact keys, the order of children, fields that only say how Argo stored something.
The value "*" in a golden stands for one that differs from run to run. A golden with "refused" has no nodes: the right behaviour is to refuse
the file before anything runs. One with "never_ends" is a workflow that Argo leaves Running for ever: the right behaviour is an error that says so.
"""
import json
import pathlib
import sys

NODE = ("id", "displayName", "type", "templateName", "templateRef", "phase", "message", "boundary", "nodeFlag")


def outputs(o):
    """Outputs without where artifacts lie, which differs from store to store."""
    if o == "*":
        return o
    o = dict(o or {})
    if "artifacts" in o:
        o["artifacts"] = sorted(a["name"] for a in o["artifacts"])
    if "parameters" in o:
        o["parameters"] = {p["name"]: p.get("value") for p in o["parameters"]}
    return o


def simplify(workflow):
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


def fields(node):
    f = {k: node.get(k) or None for k in NODE}
    f["children"] = sorted(node.get("children") or [])
    f["outputs"] = outputs(node.get("outputs"))
    f["inputs"] = outputs(node.get("inputs"))
    if "log" in node:
        f["log"] = node["log"]
    return f


def same(golden, got):
    if golden == "*":
        return True
    if isinstance(golden, dict) and isinstance(got, dict):
        return golden.keys() == got.keys() and all(same(v, got[k]) for k, v in golden.items())
    if isinstance(golden, list) and isinstance(got, list):
        return len(golden) == len(got) and all(map(same, golden, got))
    return golden == got


def differences(golden, got):
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


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    golden = json.loads(pathlib.Path(sys.argv[1]).read_text())
    if "refused" in golden:
        sys.exit(f"argo refused this file: {golden['refused']}")
    if "never_ends" in golden:
        sys.exit("argo never ends this workflow: refuse it, or end it with an error that says so")
    workflow = json.load(sys.stdin if sys.argv[2] == "-" else open(sys.argv[2]))
    found = list(differences(golden, simplify(workflow)))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
