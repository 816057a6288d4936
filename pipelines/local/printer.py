"""What `argo get` and `argo list` print, from Workflow objects. argo-workflows v4.1.2 `cmd/argo/commands/common/get.go`, `util/printer`.

One difference: nodes that began in the same second stand in the order in which they were made, not by name; here most do begin so.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pipelines.local import clock, durations, humanize, workflow
from pipelines.local.control import is_waiting
from pipelines.local.nodes import DONE, Node, pod_name
from pipelines.local.show import COLOURS, MARKS

Workflow = dict[str, Any]
Row = tuple[str, ...]

_ANSI = {"green": 32, "red": 31, "cyan": 36, "yellow": 33}
_CONDITION_MARKS = {"SpecWarning": "⚠", "MetricsError": "✖"}
_UNITS = {"memory": "100Mi", "storage": "10Gi", "ephemeral-storage": "10Gi"}
_GROUPS = ("StepGroup", "Retry")
_HEADS = {
    "": ("STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE"),
    "short": ("STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE", "NODENAME"),
    "wide": ("STEP", "TEMPLATE", "PODNAME", "DURATION", "ARTIFACTS", "MESSAGE", "RESOURCESDURATION", "NODENAME"),
}
_LONGEST_VALUE = 50  # characters of a parameter in `argo list -o wide`


def status(found: Workflow) -> str:
    """The phase, with what a person would ask next."""
    phase = str(found["status"]["phase"])
    suspended = found["spec"].get("suspend") or any(is_waiting(n) for n in found["status"]["nodes"].values())
    if phase == "Running" and suspended:
        return "Running (Suspended)"
    return "Failed (Terminated)" if phase == "Failed" and found["spec"].get("shutdown") else phase


# --- get


def details(found: Workflow, words: str, shape: str, shown: Callable[[Node], bool], now: float, colour: bool) -> str:
    """What `argo get` prints; `words` is the status, `shape` "", "short" or "wide", `shown` says which nodes are in the tree."""
    tree = _tree(found, shape, shown, now, colour) if found["metadata"]["name"] in found["status"]["nodes"] else ""
    return tree if shape == "short" else "".join(_head(found, words, now)) + (f"\n{tree}" if tree else "")


def _head(found: Workflow, words: str, now: float) -> Iterable[str]:
    meta, state, spec = found["metadata"], found["status"], workflow.effective(found)
    account = "unset" if "workflowTemplateRef" in found["spec"] else "unset (will run with the default ServiceAccount)"
    yield _line("Name:", meta["name"])
    yield _line("Namespace:", meta["namespace"])
    yield _line("ServiceAccount:", spec.get("serviceAccountName") or account)
    yield _line("Status:", words)
    if state.get("message"):
        yield _line("Message:", state["message"])
    if state.get("conditions"):
        yield _line("Conditions:", "")
    for condition in state.get("conditions") or []:
        yield _line(f"{_CONDITION_MARKS.get(condition['type'], '')} {condition['type']}", condition.get("message") or condition["status"])
    yield from _times(found, now)
    yield _line("Progress:", state.get("progress", ""))
    if state.get("resourcesDuration"):
        yield _line("ResourcesDuration:", ",".join(_used(kind, took) for kind, took in sorted(state["resourcesDuration"].items())))
    yield from _values("Parameters:", [p for p in (spec.get("arguments") or {}).get("parameters") or [] if p.get("value") is not None])
    outputs = state.get("outputs") or {}
    yield from _values("Output Parameters:", outputs.get("parameters") or [])
    yield from _values("Output Artifacts:", [{"name": a["name"], "value": _place(a)} for a in outputs.get("artifacts") or []])


def _times(found: Workflow, now: float) -> Iterable[str]:
    state = found["status"]
    for title, time in (
        ("Created:", found["metadata"]["creationTimestamp"]),
        ("Started:", state.get("startedAt")),
        ("Finished:", state.get("finishedAt")),
    ):
        if time:
            yield _line(title, humanize.moment(clock.seconds(time), now))
    if state.get("startedAt"):
        yield _line("Duration:", humanize.long(_seconds(state, now)))
    if state.get("estimatedDuration") and state["phase"] == "Running":
        yield _line("EstimatedDuration:", humanize.long(state["estimatedDuration"]))


def _used(kind: str, seconds: float) -> str:
    """`12s*(1 cpu)`: the unit in which Argo counts a resource."""
    return f"{durations.go(seconds)}*({_UNITS.get(kind, '1')} {kind})"


def _values(title: str, parameters: list[dict[str, Any]]) -> Iterable[str]:
    if parameters:
        yield _line(title, "")
    for parameter in parameters:
        yield _line(f"  {parameter['name']}:", parameter.get("value", ""))


def _place(artifact: dict[str, Any]) -> str:
    for kind in ("s3", "gcs"):
        if kind in artifact:
            return str(artifact[kind].get("key", ""))
    return "raw" if "raw" in artifact else ""


def _line(name: str, value: object) -> str:
    return f"{name:<20} {value}".rstrip() + "\n"


def _seconds(state: dict[str, Any], now: float) -> float:
    """How long a workflow or node took, or has taken up to now."""
    if not state.get("startedAt"):
        return 0.0
    return (clock.seconds(state["finishedAt"]) if state.get("finishedAt") else now) - clock.seconds(state["startedAt"])


# --- the tree of get


def _tree(found: Workflow, shape: str, shown: Callable[[Node], bool], now: float, colour: bool) -> str:
    within, name = inside(found["status"]["nodes"]), found["metadata"]["name"]
    rows: list[tuple[Node | None, Row]] = []

    def grow(node: Node, own: str, below: str) -> None:
        group = node["type"] == "StepGroup"
        hidden = group or not shown(node) or _alone(node) or (node["type"] == "Skipped" and node["phase"] == "Omitted")
        if not hidden:
            rows.append((node, _row(node, own, name, shape, now)))
        members = within.get(node["id"], [])
        for at, member in enumerate(members):
            part, further = _branch(at, len(members) - 1, hidden, group)
            grow(member, (own if hidden and at == 0 else below) + part, below + further)

    nodes = found["status"]["nodes"]
    grow(nodes[name], " ", " ")
    handler = next((n for n in nodes.values() if n["name"] == f"{name}.onExit"), None)
    if handler is not None:
        rows.append((None, ("",) * len(_HEADS[shape])))
        grow(handler, " ", " ")
    return _columns([(None, _HEADS[shape]), *rows], colour)


def _alone(node: Node) -> bool:
    return node["type"] == "Retry" and len(node.get("children", ())) == 1


def inside(nodes: dict[str, Node]) -> dict[str, list[Node]]:
    """What is drawn below each node: the children of groups and of Retry nodes, the members of dags and steps, earliest first."""
    group = {child: node["id"] for node in nodes.values() if node["type"] in _GROUPS for child in node.get("children", ())}
    found: dict[str, list[Node]] = {}
    for node in nodes.values():
        around = group.get(node["id"]) or node.get("boundaryID", "")
        if around and node["type"] != "TaskGroup":
            found.setdefault(around, []).append(node)
    return {around: sorted(members, key=lambda n: str(n.get("startedAt"))) for around, members in found.items()}


def _branch(at: int, last: int, hidden: bool, group: bool) -> tuple[str, str]:
    """The lines before a child and before what lies below it. Members of a step group stand side by side; a hidden node adds nothing."""
    if hidden and not group:
        return "", ""
    if hidden and last == 0:
        return "──", "  "
    if hidden and at == 0:
        return "┬─", "│ "
    return ("└─", "  ") if at == last else ("├─", "│ ")


def _row(node: Node, prefix: str, name: str, shape: str, now: float) -> Row:
    mark = "ǁ" if is_waiting(node) else MARKS.get(node["phase"], "")
    reference = node.get("templateRef")
    template = f"{reference['name']}/{reference['template']}" if reference else node.get("templateName", "")
    pod, took = (pod_name(name, node), humanize.short(_seconds(node, now))) if node["type"] == "Pod" else ("", "")
    row = (f"{prefix}{mark} {node['displayName']}", template, pod, took)
    message = " ".join(node.get("message", "").splitlines())
    artifacts = ",".join(a["name"] for a in (node.get("outputs") or {}).get("artifacts") or [])
    return (*row, artifacts, message, "", "") if shape == "wide" else (*row, message, "") if shape == "short" else (*row, message)


def _columns(rows: list[tuple[Node | None, Row]], colour: bool, gap: int = 2) -> str:
    widths = [max(map(len, column)) + gap for column in zip(*(row for _, row in rows), strict=True)]
    lines = []
    for node, row in rows:
        line = "".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        lines.append(_coloured(line, node) if colour and node is not None else line)
    return "\n".join(lines) + "\n"


def _coloured(line: str, node: Node) -> str:
    code = 36 if is_waiting(node) else _ANSI.get(COLOURS.get(node["phase"], ""), 39)
    mark = "ǁ" if is_waiting(node) else MARKS.get(node["phase"], "")
    return line.replace(mark, f"\x1b[{code}m{mark}\x1b[0m", 1)


# --- list


def table(found: list[tuple[Workflow, str]], wide: bool, headers: bool, now: float) -> str:
    """What `argo list` prints of workflows, each with its status in words."""
    head: Row = ("NAME", "STATUS", "AGE", "DURATION", "PRIORITY", "MESSAGE", *(("P/R/C", "PARAMETERS") if wide else ()))
    rows = [_listed(one, words, wide, now) for one, words in found]
    return _columns([(None, row) for row in ([head] if headers else []) + rows], colour=False, gap=3)


def _listed(found: Workflow, words: str, wide: bool, now: float) -> Row:
    meta, state, spec = found["metadata"], found["status"], found["spec"]
    age = humanize.short(now - clock.seconds(meta["creationTimestamp"]))
    message = " ".join(state.get("message", "").splitlines())
    row = (meta["name"], words, age, humanize.short(_seconds(state, now)), str(spec.get("priority") or 0), message)
    if not wide:
        return row
    pods = [n["phase"] for n in state["nodes"].values() if n["type"] == "Pod"]
    done, running = sum(p in DONE for p in pods), pods.count("Running")
    parameters = [p for p in (spec.get("arguments") or {}).get("parameters") or [] if p.get("value") is not None]
    return (*row, f"{len(pods) - done - running}/{running}/{done}", ",".join(f"{p['name']}={_short(str(p['value']))}" for p in parameters))


def _short(value: str) -> str:
    """The beginning and the last 15 characters of a long value."""
    return value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 18]}...{value[-15:]}"
