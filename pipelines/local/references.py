"""Fills in what a task or step refers to: arguments, `when`, loops, artifacts, and those of its hooks."""

import json
from typing import Any

from pipelines.local import expressions, graph, scope, tags, when
from pipelines.local.arguments import located
from pipelines.local.loops import Expanded

Task = dict[str, Any]

_NOT_YET = ("hooks", "onExit")


class Unresolvable(Exception):
    """An artifact that nobody made."""


FAULTS = (tags.TagError, when.WhenError, Unresolvable, scope.OutputError, graph.LoopError, expressions.ExpressionError)
"""What may be wrong with a reference, a condition or a loop; the messages are Argo's."""


def resolve(task: Task, found: scope.Scope, globals_: scope.Values, prefix: str) -> Task:
    """The task with its references filled in; a task whose `when` is false keeps the rest as it is.

    Raises tags.UnresolvedTag when a name has no value yet, when.WhenError, tags.AbsentOutput, expressions.ExpressionError, Unresolvable.
    """
    values = found.over(globals_)
    late = {key: task[key] for key in _NOT_YET if key in task}
    body = {key: value for key, value in task.items() if key not in _NOT_YET}
    body["when"] = tags.substitute(body.get("when", ""), values, strict=(prefix,))
    if not may_run(body["when"], graph.loops(task)):
        return body | late
    body = _without_absent(body, values)
    body = tags.substitute_json(body, values, strict=(prefix,), tolerant=False)
    return _with_artifacts(body, found, globals_) | late


def may_run(condition: str, loop: bool) -> bool:
    """`when`, before a loop is unrolled: one that asks for the item is judged later."""
    try:
        return when.holds(condition)
    except when.WhenError:
        if loop:
            return True
        raise


def _without_absent(task: Task, values: scope.Values) -> Task:
    """An argument that is nothing but an absent output counts as not given (argo-data-flow 133)."""
    given = (task.get("arguments") or {}).get("parameters") or []
    if not any(_absent(p, values) for p in given):
        return task
    kept = [{"name": p["name"], "absent": True} if _absent(p, values) else p for p in given]
    return task | {"arguments": task["arguments"] | {"parameters": kept}}


def _absent(parameter: dict[str, Any], values: scope.Values) -> bool:
    text = str(parameter.get("value", "")).strip()
    if not (text.startswith("{{") and text.endswith("}}")) or text.startswith("{{="):
        return False
    return values.get(text[2:-2].strip(), "") is tags.ABSENT


def _with_artifacts(task: Task, found: scope.Scope, globals_: scope.Values) -> Task:
    given = (task.get("arguments") or {}).get("artifacts") or []
    if not given:
        return task
    return task | {"arguments": task["arguments"] | {"artifacts": [_artifact(a, found, globals_) for a in given]}}


def _artifact(given: scope.Artifact, found: scope.Scope, globals_: scope.Values) -> scope.Artifact:
    if given.get("fromExpression"):
        return scope.by_expression(given, found, globals_)
    if located(given) or not given.get("from"):
        return given
    name = given["from"].removeprefix("{{").removesuffix("}}").strip()
    source = found.artifacts.get(name, globals_.get(name))
    if isinstance(source, dict):
        kept = {k: given[k] for k in ("name", "subPath", "archive", "optional") if k in given}
        return {k: v for k, v in source.items() if k not in ("name", "globalName", "path")} | kept
    if given.get("optional"):
        return {k: v for k, v in given.items() if k != "from"}
    raise Unresolvable(f'Unable to resolve: "{name}"')


def expand(task: Task, values: scope.Values) -> Expanded:
    """The members of a loop, or the task itself. LoopError, TagError, ExpressionError: in a loop every tag must have its value by now."""
    if not graph.loops(task):
        return Expanded([task], loop=False)
    condition = task.get("when", "")
    skipped = "{{" not in condition and not when.holds(condition)
    try:
        items = graph.items(task)
    except graph.LoopError:
        if skipped:
            return Expanded([], loop=True)
        raise
    late = {key: task[key] for key in _NOT_YET if key in task}
    body = {key: value for key, value in task.items() if key not in _NOT_YET}
    known = {name: value for name, value in values.items() if value is not tags.ABSENT} if skipped else values
    try:
        members = [graph.expand(body, i, item, known, unresolved=skipped) | late for i, item in enumerate(items)]
    except tags.UnresolvedTag as missing:
        raise graph.LoopError(str(missing)) from None
    if task.get("hooks"):
        members = [m | {"hooks": _hooks(task["hooks"], item, values, skipped)} for m, item in zip(members, items, strict=True)]
    return Expanded(members, loop=True)


def _hooks(hooks: dict[str, Any], item: str, values: scope.Values, skipped: bool) -> dict[str, Any]:
    """The hooks of a loop's member. They may name only what there is before the loop begins, nothing of their own task (`processItem`)."""
    filled = tags.substitute_json(hooks, values | graph.item_values(item), tolerant=False)
    unknown = [tag for tag in tags.find(json.dumps(filled)) if not tag.startswith("=") and ".outputs.artifacts." not in tag]
    if unknown and not skipped:
        raise graph.LoopError(f"failed to resolve {{{{{unknown[0]}}}}}")
    return filled


def arguments(given: dict[str, Any], found: scope.Scope, globals_: scope.Values) -> dict[str, Any]:
    """The arguments of a hook, filled in like those of a task; but a name that has no value stays as it is.

    Raises tags.TagError, scope.OutputError, expressions.ExpressionError, Unresolvable.
    """
    values = found.over(globals_)
    body = _without_absent({"arguments": given}, values)
    filled: dict[str, Any] = _with_artifacts(tags.substitute_json(body, values, tolerant=False), found, globals_)["arguments"]
    return filled


def add_outputs(found: scope.Scope, prefix: str, outputs: dict[str, Any]) -> None:
    """What a hook may name of its own task's outputs: parameters and artifacts."""
    for parameter in outputs.get("parameters") or []:
        found.values[f"{prefix}.outputs.parameters.{parameter['name']}"] = parameter.get("value", "")
    for artifact in outputs.get("artifacts") or []:
        found.artifacts[f"{prefix}.outputs.artifacts.{artifact['name']}"] = artifact
