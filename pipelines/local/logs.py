"""The logs of a run's steps, line by line with the step's name before it; of one that goes on, as they are written."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import show, state
from pipelines.local.faults import Refused
from pipelines.local.nodes import COMPLETED, Node, pod_name

Workflow = dict[str, Any]
Line = tuple[str, str]  # the step's name in words, the line

LOOK = 0.2  # seconds between looks at a run that is followed


@dataclass
class _Reader:
    """The log of one node, read as far as it went. A node that is run again begins a new one."""

    name: str
    file: Path
    at: int = 0
    rest: bytes = b""

    def read(self, whole: bool) -> Iterator[Line]:
        """The lines that were added; `whole`: the last one too, though no newline ends it."""
        try:
            with self.file.open("rb") as log:
                if self.file.stat().st_size < self.at:
                    self.at, self.rest = 0, b""
                log.seek(self.at)
                added = log.read()
        except OSError:
            return
        self.at += len(added)
        *lines, self.rest = (self.rest + added).split(b"\n")
        if whole and self.rest:
            lines, self.rest = [*lines, self.rest], b""
        yield from ((self.name, line.decode("utf-8", "replace")) for line in lines)


def recorded(home: Path, run: Workflow, step: str = "", tail: int | None = None) -> Iterator[Line]:
    """What the steps have written, earliest step first; of each the last `tail` lines. Refused when the step named is not there."""
    for reader in _readers(home, run, step).values():
        yield from _last(list(reader.read(whole=True)), tail)


def followed(home: Path, name: str, step: str = "", tail: int | None = None) -> Iterator[Line]:
    """The same, and then what is written until the run, or the step named, ends, or nobody drives the run any more."""
    readers: dict[str, _Reader] = {}
    while True:
        left = not state.driver(home, name)  # asked before the look: then nothing that was written is missed
        run = state.read(home, name)
        over = left or run["status"]["phase"] in COMPLETED
        found = _readers(home, run, step) if over or not step or chosen(run, step) else {}
        over = over or bool(step and found and all(run["status"]["nodes"][i].get("finishedAt") for i in found))
        for node_id, reader in found.items():
            known = readers.setdefault(node_id, reader)
            yield from _last(list(known.read(whole=over)), tail)
        if over:
            return
        tail = None
        time.sleep(LOOK)


def _last(lines: list[Line], tail: int | None) -> list[Line]:
    return lines if tail is None else lines[max(len(lines) - tail, 0) :]


def _readers(home: Path, run: Workflow, step: str) -> dict[str, _Reader]:
    folder, nodes = home / "runs" / run["metadata"]["name"] / "nodes", run["status"]["nodes"]
    found = chosen(run, step)
    if step and not found:
        raise unknown(run, step)
    return {n["id"]: _Reader(show.path(nodes, n), folder / n["id"] / "main.log") for n in found}


def unknown(run: Workflow, step: str, more: Iterable[str] = ()) -> Refused:
    """There is no such step; these there are, and `more` that have logs."""
    names = dict.fromkeys([*(show.path(run["status"]["nodes"], n) for n in pods(run)[:10]), *more])
    return Refused(f"run {run['metadata']['name']!r} has no step {step!r}; there are: {', '.join(names) or 'none'}")


def pods(run: Workflow) -> list[Node]:
    return sorted((n for n in run["status"]["nodes"].values() if n["type"] == "Pod"), key=lambda n: str(n.get("startedAt")))


def chosen(run: Workflow, step: str) -> list[Node]:
    """The pods that are called so: by the name people see, by id, by pod name. The name of a group stands for what is inside."""
    name, nodes = run["metadata"]["name"], run["status"]["nodes"]

    def called(node: Node) -> bool:
        path = show.path(nodes, node)
        return within(path, step) or step in (node["id"], node["name"], node["displayName"], pod_name(name, node))

    return [node for node in pods(run) if not step or called(node)]


def within(path: str, step: str) -> bool:
    """Is this the step, an attempt of it, or inside it?"""
    return path == step or path.startswith((f"{step}.", f"{step}("))
