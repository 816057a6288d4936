"""What Argo refuses in the calls of a template: steps, tasks, their order, loops and arguments.

https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/validate/validate.go
"""

import re
from collections.abc import Iterator
from typing import Any

from pipelines.local import bodies, depends, graph, naming, workflow
from pipelines.local.faults import Fault, Path

Template = dict[str, Any]
Arguments = dict[str, Any]

LOCATIONS = ("s3", "git", "http", "artifactory", "hdfs", "raw", "oss", "gcs", "azure", "plugin")
_LOOPS = ("withItems", "withParam", "withSequence")
_NOT_FOR_ARGUMENTS = ("path", "jsonPath", "parameter", "expression")


def hooks(owner: dict[str, Any], what: str, at: Path) -> Iterator[Fault]:
    for name, hook in (owner.get("hooks") or {}).items():
        if name != "exit" and not (hook or {}).get("expression"):
            yield Fault("hook-expression", (*at, "hooks", name), f"{what}.{name} Expression required")


# --- arguments -----------------------------------------------------------------------------------------------------------------


def arguments(given: Arguments, what: str, at: Path, later: bool = False) -> Iterator[Fault]:
    """The arguments of a workflow, step or task. `later`: their values may come when the workflow is submitted."""
    for kind in ("parameters", "artifacts"):
        yield from naming.fields(given.get(kind) or [], f"{what}{kind}", (*at, kind), values=True)
    for index, parameter in enumerate(given.get("parameters") or []):
        yield from _parameter(parameter, f"{what}{parameter.get('name')}", (*at, "parameters", index), later)
    for index, artifact in enumerate(given.get("artifacts") or []):
        name, path = f"{what}{artifact.get('name')}", (*at, "artifacts", index)
        if not artifact.get("from") and not located(artifact):
            yield Fault("argument-source", path, f"{name}.from, artifact location, or key is required")
        if artifact.get("from") and artifact.get("fromExpression"):
            yield Fault("argument-source", path, f"{name} shouldn't have both `from` and `fromExpression` in Artifact")


def _parameter(parameter: dict[str, Any], what: str, at: Path, later: bool) -> Iterator[Fault]:
    value, source, words = parameter.get("value"), parameter.get("valueFrom"), parameter.get("enum")
    if value is None and source is None and not later:
        yield Fault("argument-source", at, f"{what}.value or {what}.valueFrom is required")
    if source is not None:
        known = any(source.get(key) is not None for key in ("configMapKeyRef", "event", "supplied"))
        if not known or any(source.get(key) for key in _NOT_FOR_ARGUMENTS):
            message = f"{what}.valueFrom only allows: default, configMapKeyRef and supplied"
            yield Fault("argument-source", (*at, "valueFrom"), message)
    if words is None:
        return
    if not words:
        yield Fault("enum", (*at, "enum"), f"{what}.enum should contain at least one value")
    elif value is None and not later:
        yield Fault("enum", at, f"{what}.value is required")
    elif value is not None and value not in [workflow.text(word) for word in words]:
        yield Fault("enum", at, f"{what}.value should be present in {what}.enum list")


def located(artifact: dict[str, Any]) -> bool:
    return any(artifact.get(kind) is not None for kind in LOCATIONS)


def supplied(given: Arguments, called: Template | None, at: Path, empty: bool = True) -> Iterator[Fault]:
    """Inputs that a call leaves out and that have nothing to fall back on. `empty`: an argument that says nothing counts as given."""
    what = f"templates.{(called or {}).get('name', '')} inputs"
    passed = {p.get("name"): p for p in given.get("parameters") or []}
    wanted = (called or {}).get("inputs") or {}
    for parameter in wanted.get("parameters") or []:
        argument = passed.get(parameter.get("name"))
        if not _has_value(parameter if argument is None else argument) and not (empty and argument and _says_nothing(argument)):
            yield Fault("missing-argument", at, f"{what}.parameters.{parameter.get('name')} was not supplied")
    artifacts = {a.get("name") for a in given.get("artifacts") or []}
    for artifact in wanted.get("artifacts") or []:
        if artifact.get("name") not in artifacts and not artifact.get("optional") and not located(artifact):
            yield Fault("missing-argument", at, f"{what}.artifacts.{artifact.get('name')} was not supplied")


def _says_nothing(argument: dict[str, Any]) -> bool:
    return argument.get("value") is None and argument.get("valueFrom") is None


def _has_value(parameter: dict[str, Any]) -> bool:
    """An argument's own source takes the place of the input's value and default, and of sources only a ConfigMap is asked."""
    source = parameter.get("valueFrom") or {}
    return source.get("configMapKeyRef") is not None or any(parameter.get(key) is not None for key in ("value", "default"))


# --- steps and tasks -----------------------------------------------------------------------------------------------------------


def loop(call: dict[str, Any], what: str, at: Path) -> Iterator[Fault]:
    loops = [key for key in _LOOPS if call.get(key) is not None and not (key != "withSequence" and not call[key])]
    if len(loops) > 1:
        yield Fault("two-loops", (*at, loops[1]), f"{what} only one of withItems, withParam, withSequence can be specified")
    sequence = call.get("withSequence") or {}
    if sequence.get("count") is not None and sequence.get("end") is not None:
        yield Fault("two-loops", (*at, "withSequence"), f"{what} only one of count or end can be defined in withSequence")


def steps(template: Template, what: str, at: Path) -> Iterator[Fault]:
    """The names of the steps, over all groups."""
    seen = set[str]()
    for i, group in enumerate(template["steps"]):
        for j, step in enumerate(group):
            name, path = str(step.get("name") or ""), (*at, "steps", i, j)
            problem = naming.of_template(re.sub(r"\{\{.*?\}\}", "x", name))
            if not name:
                yield Fault("name-missing", path, f"{what}.steps[{i}].name is required")
            elif name in seen:
                yield Fault("name-twice", (*path, "name"), f"{what}.steps[{i}].name '{name}' is not unique")
            elif problem:
                yield Fault("name-invalid", (*path, "name"), f"{what}.steps[{i}].name '{name}' is invalid: {problem}")
            seen.add(name)


def dag(template: Template, what: str, at: Path) -> Iterator[Fault]:
    """The tasks of a dag: their order, their names, their targets."""
    tasks, here = template["dag"].get("tasks") or [], (*at, "dag", "tasks")
    if not tasks:
        yield Fault("dag-empty", (*at, "dag"), f"{what} must have at least one task")
    known = {str(task.get("name") or ""): task for task in tasks}
    yield from _order(tasks, known, what, here)
    for fault in naming.fields(tasks, f"{what}.tasks", here):
        if fault.rule != "name-twice":  # the order has said so
            yield fault
    for index, task in enumerate(tasks):
        yield from _style(task, any(t.get("depends") for t in tasks), what, (*here, index))
        yield from _results(task, known, what, (*here, index))
    for target in (template["dag"].get("target") or "").split():
        if target not in known and not naming.TAG.search(target):
            yield Fault("undefined-dependency", (*at, "dag", "target"), f"{what}.targets: target '{target}' is not defined")


def needed(task: dict[str, Any]) -> list[str]:
    """The tasks that a task names; what cannot be read names as much as could be."""
    if task.get("depends"):
        return depends.names(task["depends"])
    return graph.dependencies(task)


def ancestors(task: dict[str, Any], known: dict[str, Any]) -> set[str]:
    """Every task that comes before one, by name."""
    found, todo = set[str](), needed(task)
    while todo:
        name = todo.pop()
        if name in known and name not in found:
            found.add(name)
            todo += needed(known[name])
    return found - {str(task.get("name"))}


def _order(tasks: list[dict[str, Any]], known: dict[str, Any], what: str, at: Path) -> Iterator[Fault]:
    """https://github.com/argoproj/argo-workflows/blob/v4.1.2/util/sorting/topological_sorting.go"""
    names = [str(task.get("name") or "") for task in tasks]
    for index, task in enumerate(tasks):
        if names[index] in names[:index]:
            yield Fault("name-twice", (*at, index, "name"), f"{what} sorting failed: duplicated nodeName {names[index]}")
        for other in needed(task):
            if other not in known:
                message = f"{what} sorting failed: invalid dependency {other}{naming.close_to(other, known)}"
                yield Fault("undefined-dependency", (*at, index, "depends" if task.get("depends") else "dependencies"), message)
    ring = bodies.cycle({name: needed(task) for name, task in known.items()})
    if ring:
        yield Fault("cycle", (*at, names.index(ring[0])), f"{what} sorting failed: graph with cycle: {' -> '.join(reversed(ring))}")


def _style(task: dict[str, Any], uses_depends: bool, what: str, at: Path) -> Iterator[Fault]:
    name, listed = str(task.get("name") or ""), bool(task.get("dependencies"))
    if (uses_depends or listed) and name[:1].isdigit():
        rule = "name cannot begin with a digit when using either 'depends' or 'dependencies'"
        yield Fault("name-invalid", (*at, "name"), f"{what}.tasks.{name} {rule}")
    if uses_depends and listed:
        message = f"{what} cannot use both 'depends' and 'dependencies' in the same DAG template"
        yield Fault("depends-style", (*at, "dependencies"), message)
    if uses_depends and task.get("continueOn") is not None:
        hint = "Instead use 'dep-task.Failed'/'dep-task.Errored'"
        yield Fault("depends-style", (*at, "continueOn"), f"{what} cannot use 'continueOn' when using 'depends'. {hint}")


def _results(task: dict[str, Any], known: dict[str, Any], what: str, at: Path) -> Iterator[Fault]:
    """The results that `depends` asks for."""
    try:
        logic = depends.parse(task.get("depends") or "")
    except depends.DependsError as error:
        yield Fault("depends-result", (*at, "depends"), f"{what}.tasks.{task.get('name')} {error}")
        return
    for other in sorted(logic.loops):
        if other in known and not any(known[other].get(key) for key in _LOOPS):
            rule = "uses an items-based condition such as .AnySucceeded or .AllFailed but does not contain any items"
            yield Fault("depends-result", (*at, "depends"), f"{what}.tasks.{other} dependency '{other}' {rule}")
