"""What follows what in a dag, and what a loop becomes: pure functions over tasks and steps."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from pipelines.local import depends, gojson, golang, tags

Task = dict[str, Any]


class LoopError(Exception):
    """A loop that cannot be made, in Argo's words."""


@lru_cache(maxsize=1024)
def _parsed(text: str) -> depends.Depends:
    return depends.parse(text)


def logic(task: Task, tolerated: Mapping[str, Collection[str]]) -> depends.Depends | None:
    """When a task may run, `tolerated` being what the tasks before it are forgiven; None when it waits for nobody."""
    if task.get("depends"):
        return _parsed(task["depends"])
    if task.get("dependencies"):
        return depends.from_dependencies(task["dependencies"], tolerated)
    return None


def dependencies(task: Task) -> list[str]:
    """The names a task waits for, in the order in which they are written."""
    if task.get("dependencies"):
        return list(task["dependencies"])
    return list(_parsed(task["depends"]).names) if task.get("depends") else []


def leaves(tasks: Iterable[Task]) -> list[str]:
    """Tasks on which nobody waits, by name."""
    waited_for = {name for task in tasks for name in dependencies(task)}
    return sorted(task["name"] for task in tasks if task["name"] not in waited_for)


def ancestors(name: str, tasks: dict[str, Task]) -> list[str]:
    """Everything a task waits for, at any distance."""
    found: dict[str, None] = {}
    queue = dependencies(tasks[name])
    while queue:
        current = queue.pop(0)
        if current not in found and current in tasks:
            found[current] = None
            queue += dependencies(tasks[current])
    return list(found)


def loops(task: Task) -> bool:
    return bool(task.get("withItems")) or bool(task.get("withParam")) or task.get("withSequence") is not None


def items(task: Task) -> list[str]:
    """The items of a loop, each as JSON text. LoopError when there is no making them."""
    if task.get("withItems"):
        return [gojson.dumps(item, html=False) for item in task["withItems"]]
    if task.get("withParam"):
        try:
            return gojson.elements(task["withParam"])
        except ValueError as error:
            raise LoopError(f"withParam value could not be parsed as a JSON list: {task['withParam']}: {error}") from None
    return [gojson.dumps(text) for text in sequence(task["withSequence"])]


def sequence(spec: dict[str, Any]) -> list[str]:
    """The numbers of a withSequence as text; descending when the end lies below the start."""
    start = _atoi(spec.get("start", "0"))
    if spec.get("end") not in (None, ""):
        end = _atoi(spec["end"])
    elif spec.get("count") not in (None, ""):
        count = _atoi(spec["count"])
        if count == 0:
            return []
        end = start + count - 1
    else:
        raise LoopError("neither end nor count was specified in withSequence")
    step = 1 if start <= end else -1
    return [_format(spec.get("format") or "%d", n) for n in range(start, end + step, step)]


def _atoi(value: Any) -> int:
    text = str(value)
    if not re.fullmatch(r"[-+]?\d+", text):
        raise LoopError(f"strconv.Atoi: parsing {json.dumps(text)}: invalid syntax")
    return int(text)


def _format(pattern: str, number: int) -> str:
    """One item; Argo puts it between quotes and reads that as JSON."""
    text = f'"{golang.sprintf(pattern, number)}"'
    try:
        return str(json.loads(text))
    except ValueError:
        raise LoopError(gojson.error(text)) from None


def expand(task: Task, index: int, item: str, values: Mapping[str, object], unresolved: bool = False) -> Task:
    """One member of a loop: its own name, the item filled in. tags.UnresolvedTag for a tag that has no value, whatever its name.

    unresolved: the member will not run, so tags may stay as they are.
    """
    scope, description = _item(item)
    body = {k: v for k, v in task.items() if k not in ("withItems", "withParam", "withSequence")}
    strict = () if unresolved else ("",)
    member: Task = tags.substitute_json(body, {**values, **scope}, strict=strict, tolerant=False)
    member["name"] = f"{task['name']}({index}:{description.replace('(', '').replace(')', '')})"
    return member


def item_values(raw: str) -> dict[str, str]:
    """What `item` and `item.KEY` stand for."""
    return _item(raw)[0]


def _item(raw: str) -> tuple[dict[str, str], str]:
    """What `item` stands for, and how the item shows in the member's name."""
    if raw.startswith("{"):
        inner = gojson.members(raw)
        shown = {key: _shown(value) for key, value in inner.items()}
        whole = ",".join(f"{gojson.dumps(key)}:{gojson.compact(inner[key])}" for key in sorted(inner))
        values = {"item": f"{{{whole}}}"} | {f"item.{key}": value for key, value in shown.items()}
        return values, ",".join(sorted(f"{key}:{value}" for key, value in shown.items()))
    if raw.startswith("["):
        return {"item": gojson.compact(raw)}, f"[{' '.join(_shown(inner) for inner in gojson.elements(raw))}]"
    if raw == "null":
        return {"item": "null"}, "[]"
    return {"item": json.loads(raw) if raw.startswith('"') else raw}, _shown(raw)


def _shown(raw: str) -> str:
    """As Go prints an item: text without its quotes but with its escapes, the rest as JSON."""
    return raw[1:-1] if raw.startswith('"') else raw
