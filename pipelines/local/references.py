"""Fills in what a task or step refers to: arguments, `when`, loops, artifacts."""

from typing import Any

from pipelines.local import expressions, graph, scope, tags, when
from pipelines.local.arguments import located
from pipelines.local.loops import Expanded

Task = dict[str, Any]

_NOT_YET = ("hooks", "onExit", "inline")


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


def expand(task: Task) -> Expanded:
    """The members of a loop, or the task itself. graph.LoopError, tags.UnresolvedTag."""
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
    return Expanded([graph.expand(body, i, item, unresolved=skipped) | late for i, item in enumerate(items)], loop=True)


def with_outputs(found: scope.Scope, prefix: str, outputs: dict[str, Any]) -> scope.Scope:
    """What an exit hook may use of its own task: its output parameters and artifacts (argo-control-flow 139)."""
    values = {f"{prefix}.outputs.parameters.{p['name']}": p["value"] for p in outputs.get("parameters") or [] if "value" in p}
    artifacts = {f"{prefix}.outputs.artifacts.{a['name']}": a for a in outputs.get("artifacts") or []}
    return scope.Scope(found.values | values, found.artifacts | artifacts)
