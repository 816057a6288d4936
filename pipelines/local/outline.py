"""A run as people think of it: attempts are part of their step, members of a loop stand together, step groups are not shown.

Pure: from `status.nodes` to lines. How many there are depends on the room: what is done is folded first, then what has not begun.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from pipelines.local import printer
from pipelines.local.nodes import BAD, DONE, Node

_MEMBER = re.compile(r"(.+)\(\d+:.*\)", re.DOTALL)
QUIET = ("Succeeded", "Skipped", "Omitted")
MANY = 8  # members of a loop shown one by one
FOLDS = 4  # degrees of folding: 0 shows all, each further one takes away more


@dataclass
class Entry:
    """A node with what lies inside it; a loop has no node of its own but members; `count` stands for so many more that are folded."""

    name: str
    phase: str
    node: Node | None = None
    inside: list["Entry"] = field(default_factory=list)
    attempts: int = 0
    members: tuple[int, int] | None = None  # ended, all
    count: int = 0


def entries(nodes: dict[str, Node], name: str) -> list[Entry]:
    """What lies inside the run, and the handlers that stand beside it."""
    inside = printer.inside(nodes)
    below = {child for node in nodes.values() for child in node.get("children", ())}
    beside = [n for n in nodes.values() if n["id"] != name and "boundaryID" not in n and n["id"] not in below]
    entry = nodes.get(name)
    return ([] if entry is None else _members(entry, inside) or [_entry(entry, inside)]) + [_entry(n, inside) for n in beside]


def _members(node: Node, inside: dict[str, list[Node]]) -> list[Entry]:
    """The entries inside a dag or steps node, members of a loop under one."""
    if node["type"] == "Retry":
        last = inside.get(node["id"], [])[-1:]
        return _members(last[0], inside) if last else []
    found: list[Entry] = []
    for member in inside.get(node["id"], []):
        found += _members(member, inside) if member["type"] == "StepGroup" else [_entry(member, inside)]
    return _loops(found)


def _entry(node: Node, inside: dict[str, list[Node]]) -> Entry:
    """A step that is tried again looks like its last attempt."""
    attempts = [n for n in inside.get(node["id"], []) if not (n.get("nodeFlag") or {}).get("hooked")] if node["type"] == "Retry" else []
    last = attempts[-1] if attempts else node
    phase = node["phase"] if node["phase"] in DONE else last["phase"]
    return Entry(node["displayName"], phase, last, _members(node, inside), len(attempts))


def _loops(found: list[Entry]) -> list[Entry]:
    loops: dict[str, Entry] = {}
    out: list[Entry] = []
    for entry in found:
        member = _MEMBER.fullmatch(entry.name)
        if member is None:
            out.append(entry)
            continue
        if member[1] not in loops:
            loops[member[1]] = Entry(member[1], "Pending")
            out.append(loops[member[1]])
        loops[member[1]].inside.append(entry)
    for loop in loops.values():
        phases = [entry.phase for entry in loop.inside]
        loop.phase, loop.members = _together(phases), (sum(p in DONE for p in phases), len(phases))
    return out


def _together(phases: list[str]) -> str:
    for phase in ("Error", "Failed", "Running"):
        if phase in phases:
            return phase
    if any(phase in DONE for phase in phases):
        return "Succeeded" if all(phase in DONE for phase in phases) else "Running"
    return "Pending"


def folded(found: list[Entry], degree: int) -> list[Entry]:
    """The same with less: 1 closes what has succeeded, 2 counts what is quiet, 3 counts what waits too. Long loops show what is at work."""
    out = []
    for entry in found:
        inside = [] if degree and entry.phase in QUIET else folded(entry.inside, degree)
        if entry.members is not None and entry.members[1] > MANY:
            inside = [member for member in inside if member.phase not in (*QUIET, "Pending")][:MANY]
        out.append(replace(entry, inside=inside))
    return _counted(out, {*QUIET, *(("Pending",) if degree > 2 else ())}) if degree > 1 else out


def _counted(found: list[Entry], phases: set[str]) -> list[Entry]:
    """Neighbours in the same of these phases as one number."""
    out: list[Entry] = []
    for phase, group in groupby(found, key=lambda entry: entry.phase):
        same = list(group)
        out += [Entry("", phase, count=len(same))] if phase in phases and len(same) > 1 else same
    return out


def size(found: list[Entry]) -> int:
    return sum(1 + size(entry.inside) for entry in found)


def fitting(found: list[Entry], room: int) -> list[Entry]:
    """Folded as little as `room` lines allow."""
    for degree in range(FOLDS):
        less = folded(found, degree)
        if size(less) <= room:
            break
    return less


def lines(found: list[Entry], before: str = "") -> Iterator[tuple[str, str, Entry]]:
    """Every entry with the guides before its name and before what is written below it."""
    for at, entry in enumerate(found):
        last = at == len(found) - 1
        below = before + ("   " if last else "│  ")
        yield before + ("└─ " if last else "├─ "), below, entry
        yield from lines(entry.inside, below)


def bad(entry: Entry) -> bool:
    """A step that went wrong for good."""
    return entry.phase in BAD and entry.node is not None and entry.node["type"] == "Pod"
