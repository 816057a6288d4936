"""How a run looks to people: a live tree on a terminal, one line an event elsewhere."""

import sys
import time
from pathlib import Path
from typing import Any, TextIO

from pipelines.local import clock, durations, spec_warnings
from pipelines.local.nodes import BAD, DONE, Node

Workflow = dict[str, Any]

MARKS = {"Succeeded": "✔", "Failed": "✖", "Error": "⚠", "Running": "●", "Pending": "◷", "Skipped": "○", "Omitted": "○"}
COLOURS = {"Succeeded": "green", "Failed": "red", "Error": "red", "Running": "cyan", "Pending": "yellow"}
_LEAVES = ("Pod", "Suspend", "Skipped")
TAIL = 15  # log lines shown of a step that failed


def make(stream: TextIO, here: bool = True) -> "Plain":
    """What fits the stream. Not `here`: the run goes on elsewhere, and is seen now and then."""
    if stream.isatty():
        from pipelines.local.tree import Tree

        return Tree(stream, here)
    return Plain(stream, here)


def path(nodes: dict[str, Node], node: Node) -> str:
    """`train.create`: a node's place in words, step groups left out."""
    parts: list[str] = [node["displayName"]]
    boundary = node.get("boundaryID")
    while boundary and boundary in nodes and "boundaryID" in nodes[boundary]:
        parts.append(nodes[boundary]["displayName"])
        boundary = nodes[boundary].get("boundaryID")
    return ".".join(reversed(parts))


def seconds(node: Node, now: float) -> float:
    end = clock.seconds(node["finishedAt"]) if node.get("finishedAt") else now
    return max(end - clock.seconds(node["startedAt"]), 0.0)


def tail(folder: Path, node: Node) -> list[str]:
    """The last lines of a node's log."""
    try:
        text: str = (folder / "nodes" / node["id"] / "main.log").read_bytes()[-65536:].decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-TAIL:]


def failed(workflow: Workflow) -> list[Node]:
    """The leaves that went wrong and were not forgiven by a later attempt, first one first."""
    nodes = workflow["status"]["nodes"]
    retried = {c for n in nodes.values() if n["type"] == "Retry" for c in n.get("children", ())[:-1]}
    bad = [n for n in nodes.values() if n["phase"] in BAD and n["type"] in _LEAVES and n["id"] not in retried]
    return sorted(bad, key=lambda n: str(n.get("finishedAt")))


def reused(node: Node) -> bool:
    """Did an earlier result stand in for this step? By memoization, or because the step itself says so."""
    outputs = (node.get("outputs") or {}).get("parameters") or []
    said = any(p["name"] == "reused" and p.get("value") == "yes" for p in outputs)
    return said or bool((node.get("memoizationStatus") or {}).get("hit"))


class Plain:
    """`12:00:01 train.create  Succeeded  0.2s`, a line for every leaf that begins or ends."""

    def __init__(self, stream: TextIO = sys.stdout, here: bool = True) -> None:
        self.stream, self.here = stream, here
        self.folder = Path()
        self.seen: dict[str, str] = {}
        self.times: dict[str, tuple[float, float]] = {}
        self.phases: dict[str, str] = {}

    def begin(self, workflow: Workflow, folder: Path) -> None:
        self.folder = folder
        self.line(workflow["metadata"]["name"], workflow["status"]["phase"])
        self.seen = {i: n["phase"] for i, n in workflow["status"]["nodes"].items()}

    def update(self, workflow: Workflow, changed: list[Node]) -> None:
        self.note(changed)
        nodes = workflow["status"]["nodes"]
        for node in changed:
            phase = node["phase"]
            if self.seen.get(node["id"]) == phase or node["type"] not in _LEAVES or phase == "Pending":
                continue
            self.seen[node["id"]] = phase
            took = durations.human(self.seconds(node)) if phase in DONE and node["type"] != "Skipped" else ""
            self.line(path(nodes, node), phase, took, node.get("message", "") if phase != "Succeeded" else "")

    def note(self, changed: list[Node]) -> None:
        """Times finer than the whole seconds of the nodes, and without the time in which a node only waited for room."""
        for node in changed if self.here else ():
            begun, ended = self.times.get(node["id"], (time.monotonic(), 0.0))
            if self.phases.get(node["id"]) == "Pending" != node["phase"]:
                begun = time.monotonic()
            self.phases[node["id"]] = node["phase"]
            self.times[node["id"]] = (begun, ended or (time.monotonic() if node["phase"] in DONE else 0.0))

    def seconds(self, node: Node) -> float:
        begun, ended = self.times.get(node["id"], (0.0, 0.0))
        if not begun or (ended and ended == begun):
            return seconds(node, time.time())
        return (ended or time.monotonic()) - begun

    def end(self, workflow: Workflow) -> None:
        status = workflow["status"]
        if status["phase"] in BAD:
            for node in failed(workflow)[:1]:
                self.stream.write(f"--- log of {path(status['nodes'], node)}\n")
                self.stream.writelines(f"{line}\n" for line in tail(self.folder, node))
                self.stream.write("---\n")
        for warning in spec_warnings.of(status):
            self.line("warning:", warning)
        took = clock.seconds(status["finishedAt"]) - clock.seconds(status["startedAt"])
        self.line(workflow["metadata"]["name"], status["phase"], durations.human(took), status.get("message", ""))

    def close(self) -> None:
        """Nobody looks any more, whether the run has ended or not."""

    def line(self, name: str, phase: str, *more: str) -> None:
        rest = "  ".join(m for m in more if m)
        self.stream.write(f"{time.strftime('%H:%M:%S')} {name}  {phase}{'  ' + rest if rest else ''}\n")
        self.stream.flush()
