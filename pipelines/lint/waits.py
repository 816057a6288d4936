"""`depends`: its syntax, which nobody looks at before the task is reached, and conditions that are never true."""

from collections.abc import Iterator
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.reach import Reach
from pipelines.lint.subject import Subject
from pipelines.local import depends

SYNTAX = Rule(
    "depends-syntax",
    Severity.ERROR,
    "It passes Argo's lint; when the task is reached it ends in Error: `unable to evaluate expression`.",
    "Join names and results with &&, ||, ! and brackets: (a.Succeeded || b.Failed) && !c.Skipped.",
)
NEVER = Rule(
    "depends-never",
    Severity.WARNING,
    "The condition is false however the other tasks end: this task is always omitted.",
    "Ask for results that can come together.",
)


def check_depends(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        tasks = (template.get("dag") or {}).get("tasks") or []
        reach = Reach({str(task.get("name")): task for task in tasks})
        for index, task in enumerate(tasks):
            if task.get("depends") and "{{" not in task["depends"]:
                yield from _condition(task, reach, (*path, "dag", "tasks", index, "depends"))


def _condition(task: dict[str, Any], reach: Reach, path: Path) -> Iterator[Finding]:
    text = task["depends"]
    try:
        condition = depends.parse(text)
    except depends.DependsError:
        return  # a result that does not exist: structure says so
    for verdict in (True, False):
        try:
            condition.holds({name: dict.fromkeys(depends.RESULTS, verdict) for name in condition.names})
        except depends.DependsError as error:
            yield Finding(SYNTAX, path, f"`{text}`: {str(error).partition(chr(10))[0].partition(': ')[2]}")
            return
    name = str(task.get("name"))
    if condition.tasks <= reach.tasks.keys() - {name} and name not in reach.above(name) and not reach.ever(name):
        yield Finding(NEVER, path, f"`{text}`")


CHECKS = (check_depends,)
