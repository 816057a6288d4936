"""Which tasks of a dag can run when one of them was skipped, omitted or failed."""

import itertools
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pipelines.lint.when import constant
from pipelines.local import depends, graph
from pipelines.local.depends import RESULTS, DependsError

Task = dict[str, Any]

_MOST = 512
"""Combinations of states that are tried; beyond that one task at a time."""


def conditional(call: Task) -> bool:
    """Whether a step or task may be skipped: by its `when`, or because its loop is surely empty."""
    judged = bool(call.get("when")) and constant(call["when"]) is not True
    return (judged and not (graph.loops(call) and "item" in call["when"])) or empty(call)


def never(call: Task) -> bool:
    """Whether it is always skipped."""
    return (bool(call.get("when")) and constant(call["when"]) is False) or empty(call)


def empty(call: Task) -> bool:
    """Whether the loop is written as one over nothing."""
    sequence = call.get("withSequence") or {}
    return str(call.get("withParam") or "").strip().replace(" ", "") == "[]" or str(sequence.get("count", "")) == "0"


class Reach:
    """The tasks of one dag, and how they may end."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self.tasks = tasks
        self._logic: dict[str, depends.Depends | None] = {}
        self._above: dict[str, frozenset[str]] = {}
        self._ends: dict[tuple[str, str, str], frozenset[str]] = {}

    def together(self, consumer: str, producer: str, state: str) -> bool:
        """Whether one task can run although another, on which it depends, ended in this state."""
        try:
            if producer not in self.above(consumer) or state not in self.ends(producer):
                return False
            return bool(self.ends(consumer, producer, state) & {"Succeeded", "Failed"})
        except (DependsError, RecursionError):
            return False

    def ever(self, name: str) -> bool:
        """Whether the task's `depends` can be true at all."""
        try:
            return self.verdicts(name, "", "")[0]
        except (DependsError, RecursionError):
            return True

    def logic(self, name: str) -> depends.Depends | None:
        if name not in self._logic:
            task = self.tasks[name]
            forgiven = {one: _forgiven(self.tasks[one]) for one in task.get("dependencies") or [] if one in self.tasks}
            self._logic[name] = graph.logic(task, forgiven)
        return self._logic[name]

    def above(self, name: str) -> frozenset[str]:
        """Everything a task waits for, at any distance."""
        if name not in self._above:
            self._above[name] = frozenset()  # for a cycle, which is reported elsewhere
            logic = self.logic(name)
            direct = [one for one in logic.names if one in self.tasks] if logic else []
            self._above[name] = frozenset(direct).union(*(self.above(one) for one in direct))
        return self._above[name]

    def ends(self, name: str, producer: str = "", state: str = "") -> frozenset[str]:
        """How a task may end; `producer`, if it is one of those it waits for, having ended in `state`."""
        if name == producer:
            return frozenset({state})
        if producer not in self.above(name):
            producer = state = ""
        key = (name, producer, state)
        if key not in self._ends:
            self._ends[key] = frozenset({"Succeeded"})
            self._ends[key] = self._found(name, producer, state)
        return self._ends[key]

    def _found(self, name: str, producer: str, state: str) -> frozenset[str]:
        task = self.tasks[name]
        runs, omitted = self.verdicts(name, producer, state)
        found = {"Omitted"} if omitted else set()
        if runs:
            found |= set() if never(task) else {"Succeeded", "Failed", "Errored"}
            found |= {"Skipped"} if conditional(task) else set()
        return frozenset(found)

    def verdicts(self, name: str, producer: str, state: str) -> tuple[bool, bool]:
        """Whether the task's condition can be true, and whether it can be false."""
        logic = self.logic(name)
        if logic is None:
            return True, False
        names = [one for one in logic.names if one in self.tasks]
        choices = [sorted(self.ends(one, producer, state)) for one in names]
        few = math.prod(map(len, choices)) <= _MOST
        seen: set[bool] = set()
        for states in itertools.product(*choices) if few else _one_by_one(choices):
            seen.add(logic.holds(dict(zip(names, map(_results, states), strict=True))))
            if len(seen) == 2:
                break
        return True in seen, False in seen


def _one_by_one(choices: list[list[str]]) -> Iterator[tuple[str, ...]]:
    """Of too many combinations those in which one task ends in its own way and all others succeed if they can."""
    usual = ["Succeeded" if "Succeeded" in states else states[0] for states in choices]
    for index, states in enumerate(choices):
        for one in states:
            yield (*usual[:index], one, *usual[index + 1 :])


def _forgiven(task: Task) -> list[str]:
    """The results that its continueOn forgives."""
    goes_on = task.get("continueOn") or {}
    return [result for key, result in (("failed", "Failed"), ("error", "Errored")) if goes_on.get(key)]


@lru_cache(maxsize=16)
def _results(state: str) -> dict[str, bool]:
    extra = {"Succeeded": "AnySucceeded", "Failed": "AllFailed", "Errored": "AllFailed"}.get(state)
    return {result: result in (state, extra) for result in RESULTS}
