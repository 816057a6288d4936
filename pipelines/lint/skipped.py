"""Values of steps and tasks that may never have run, and what reads them without a way out.

argo-control-flow 045, 051, 226; argo-data-flow 045-056, 060, 062, 111, 131-133.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.lint.expressions import Expression, found
from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.names import Names, Ran
from pipelines.lint.places import Place, places
from pipelines.lint.reach import Reach, conditional, never
from pipelines.lint.subject import Subject, kind_of
from pipelines.lint.texts import only, tags, texts
from pipelines.local import expressions, graph
from pipelines.local.expressions.syntax import parse

_FIX = "Give the output a valueFrom.default, read it with `outputs?.result ?? 'none'`, or run the reader under the same condition."
_WHY = "A result or exit code of what never ran makes the reader wait for ever; an output parameter without default ends it in Error."

SURE = Rule("skipped-output", Severity.ERROR, _WHY, _FIX)
MAYBE = Rule("maybe-skipped-output", Severity.WARNING, _WHY, _FIX)
FAILED = Rule(
    "failed-output",
    Severity.WARNING,
    "A step that failed may not have written the file; then the reader waits for ever.",
    "Give the output a valueFrom.default.",
)
MEMOIZED = Rule(
    "memoized-result",
    Severity.WARNING,
    "A cache entry that another step filled may hold no result; the reader then waits for ever.",
    "Hand the value on as an output parameter.",
)
_ALWAYS = ("id", "startedAt", "finishedAt", "status")


@dataclass(frozen=True)
class Reading:
    """A place where the value of a step or task is read: the name, and how a way out would look."""

    path: Path
    place: Place
    name: str
    expression: Expression | None = None
    alone: bool = False
    """The argument is nothing but the tag: one that is absent counts as not given."""


def check_skipped(subject: Subject) -> Iterator[Finding]:
    reaches: dict[int, Reach] = {}
    for reading in _readings(subject):
        one, node, rest = reading.place.names.node(reading.name)
        if node is None or node.template is None or one not in reading.place.names.visible or rest in (*_ALWAYS, ""):
            continue
        if reading.place.role == "hook" and reading.place.call and reading.place.call.of and reading.place.call.of.name == one:
            continue
        nodes = reading.place.names.nodes
        reach = reaches.setdefault(id(nodes), Reach({name: ran.call for name, ran in nodes.items()}))
        yield from _judged(subject, reading, reach, one, node, rest)


def _judged(subject: Subject, reading: Reading, reach: Reach, one: str, node: Ran, rest: str) -> Iterator[Finding]:
    state = _missing(reading, reach, one, node)
    shown = f"`{reading.name}`"
    if state and not _way_out(subject, reading, one, node, rest):
        sure = never(node.call) and state == "Skipped"
        yield Finding(SURE if sure else MAYBE, reading.path, f"{shown}: `{one}` {'is' if sure else 'may be'} {state.lower()}")
    elif not state and _unwritten(node, rest) and _survives(reading, reach, one, node):
        yield Finding(FAILED, reading.path, f"{shown}: `{one}` may have failed")
    elif rest == "outputs.result" and (node.template or {}).get("memoize") is not None:
        yield Finding(MEMOIZED, reading.path, f"{shown}: `{one}` is memoized")


def _readings(subject: Subject) -> Iterator[Reading]:
    """Everything that reads a step's or task's value, once a name and place."""
    for place in places(subject):
        if place.names.prefix:
            for path, text in texts(place.value, place.path):
                tag = only(text)
                argument = place.role == "call" and len(path) >= 4 and path[-4:-2] == ("arguments", "parameters") and path[-1] == "value"
                for one in tags(text).found:
                    if one.expression is None:
                        yield Reading(path, place, one.name, None, tag is not None and argument)
    for expression in found(subject):
        if expression.place is not None and expression.place.names.prefix:
            for name in sorted(_mentioned(expression.source)):
                yield Reading(expression.path, expression.place, name, expression)


def _mentioned(source: str) -> set[str]:
    try:
        named = expressions.names(source) | set(expressions.required(source))
    except (expressions.ExpressionError, RecursionError):
        return set()
    parts = {tuple(name.split(".")) for name in named}
    return {".".join(p) for p in parts if not any(len(q) > len(p) and q[: len(p)] == p for q in parts)}


def _missing(reading: Reading, reach: Reach, one: str, node: Ran) -> str:
    """Skipped or Omitted, when the read one may have ended so and the reader runs nevertheless."""
    place, names = reading.place, reading.place.names
    reader = (place.call.of or place.call) if place.call else None
    if reader is not None and reading.path[-1] != "when" and _guarded(reader.call, node.call, f"{names.prefix}.{one}.status"):
        return ""
    if names.prefix == "steps":
        return "Skipped" if conditional(node.call) else ""
    if reader is None:
        return "Skipped" if conditional(node.call) else ""
    states = ("Skipped", "Omitted") if conditional(node.call) else ("Omitted",)
    return next((state for state in states if reach.together(reader.name, one, state)), "")


def _guarded(reader: dict[str, Any], read: dict[str, Any], status: str) -> bool:
    """A reader that asks for the status, or has the same condition, is skipped as well."""
    condition = str(reader.get("when") or "")
    return bool(condition) and (status in condition or condition == read.get("when"))


def _way_out(subject: Subject, reading: Reading, one: str, node: Ran, rest: str) -> bool:
    if reading.expression is not None:
        return _expression_copes(reading.expression, one)
    if ".artifacts." in f".{rest}":
        return bool(_at(subject, reading.path[:-1]).get("optional"))
    if not rest.startswith("outputs.parameters."):
        return False
    declared = _declared(node, rest)
    if "default" in (declared.get("valueFrom") or {}) and not graph.loops(node.call):
        return True
    if reading.place.role == "output":
        return "default" in _at(subject, reading.path[:-1])
    return reading.alone and _defaulted(subject, reading)


def _declared(node: Ran, rest: str) -> dict[str, Any]:
    """The output parameter of a template that `outputs.parameters.NAME` stands for."""
    outputs: list[dict[str, Any]] = ((node.template or {}).get("outputs") or {}).get("parameters") or []
    return next((o for o in outputs if o.get("name") == rest.removeprefix("outputs.parameters.")), {})


def _at(subject: Subject, path: Path) -> dict[str, Any]:
    """The object at a path of the document."""
    value: Any = subject.document
    for step in path:
        value = value[step]
    return value if isinstance(value, dict) else {}


def _defaulted(subject: Subject, reading: Reading) -> bool:
    """Whether the called template has a default for the argument."""
    template = subject.called(reading.place.value)
    if template is None:
        return True
    name = _at(subject, reading.path[:-1]).get("name")
    inputs = (template.get("inputs") or {}).get("parameters") or []
    return any(p.get("name") == name and ("default" in p or "value" in p) for p in inputs)


def _expression_copes(expression: Expression, one: str) -> bool:
    """Whether the expression has a value although one of the steps that it reads was skipped."""
    source, names = expression.source, expression.names
    try:
        mentioned = [*expressions.names(source), *expressions.required(source)]
        usual, lacking = _environment(names, mentioned, ()), _environment(names, mentioned, (one,))
        if expression.kind == "tag" and any(not expressions.has(lacking, name) for name in expressions.required(source)):
            return not all(expressions.has(usual, name) for name in expressions.required(source))
        if expression.kind == "value" and (_branches(source) or "default" in (expression.place or _NOWHERE).value):
            return True
    except (expressions.ExpressionError, RecursionError):
        return True
    return not _has_value(source, usual) or _has_value(source, lacking)


_NOWHERE = Place((), {}, Names(), "spec", {})


def _environment(names: Names, mentioned: list[str], absent: tuple[str, ...]) -> dict[str, object]:
    return expressions.expand(names.environment(mentioned, absent))


def _branches(source: str) -> bool:
    return any(node.kind == "if" for node in parse(source).walk())


def _has_value(source: str, env: dict[str, object]) -> bool:
    try:
        return expressions.evaluate(source, env) is not None
    except (expressions.ExpressionError, RecursionError):
        return False


def _unwritten(node: Ran, rest: str) -> bool:
    """Whether an output comes from a file that a failed pod may have left out."""
    if kind_of(node.template or {}) not in ("container", "script") or not rest.startswith("outputs.parameters.") or graph.loops(node.call):
        return False
    declared = _declared(node, rest)
    return "path" in (declared.get("valueFrom") or {}) and "default" not in declared["valueFrom"]


def _survives(reading: Reading, reach: Reach, one: str, node: Ran) -> bool:
    """Whether the reader also runs after the read one has failed."""
    place, names = reading.place, reading.place.names
    reader = (place.call.of or place.call) if place.call else None
    if reader is None or _guarded(reader.call, node.call, f"{names.prefix}.{one}.status"):
        return False
    goes_on = node.call.get("continueOn") or {}
    if names.prefix == "steps" or goes_on:
        return bool(goes_on.get("failed") or goes_on.get("error"))
    return reach.together(reader.name, one, "Failed")


CHECKS = (check_skipped,)
