"""Expressions: those of `{{=…}}` and those of conditions, hooks, retries, outputs and labels."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.global_names import of_workflow
from pipelines.lint.names import UNKNOWN, Names
from pipelines.lint.places import Place, places
from pipelines.lint.subject import Subject
from pipelines.lint.texts import filled, tags, texts
from pipelines.local import expressions
from pipelines.local.expressions.syntax import FUNCTIONS, PREDICATES, Node, parse

_E = Severity.ERROR
_LITERAL = "In a pod the whole `{{=…}}` stays as text; in a step's arguments the workflow ends in Error."

SYNTAX = Rule(
    "expression-syntax",
    _E,
    "It passes Argo's lint and ends the node, or the workflow, in Error.",
    "Write it in expr-lang; a `}}` inside must be `} }`.",
)
NAME = Rule(
    "expression-name",
    _E,
    "In a pod the whole `{{=…}}` stays as text; a step that asks for a step or task waits for ever.",
    "Name something that exists in this place; what may be missing needs `?.` before it and `??` behind it.",
)
DASH = Rule(
    "expression-dash",
    _E,
    f"A dash is a minus: the name is never found. {_LITERAL}",
    "Write the name in brackets: inputs.parameters['my-name'].",
)
FUNCTION = Rule("expression-function", _E, _LITERAL, "Use a function of expr-lang, asInt, asFloat, toJson, jsonpath, or sprig.NAME.")
TYPE = Rule(
    "expression-type",
    _E,
    f"Parameters, results, exit codes and items are text. {_LITERAL}",
    "Convert with asInt() or asFloat(), or compare with text.",
)
VALUE = Rule("expression-value", _E, _LITERAL, "Write an expression that has a value.")
BOOLEAN = Rule("expression-boolean", _E, "The condition is neither true nor false; the workflow ends in Error.", "Compare with something.")

_ADDED = ("asInt", "asFloat", "toJson", "jsonpath", "sprig")
_STRING = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`")
_LAST = {f"lastRetry.{name}": "1" for name in ("exitCode", "status", "duration", "message")} | {"retries": "1"}
_CRON = ("name", "namespace", "labels", "annotations", "lastScheduledTime", "failed", "succeeded")


@dataclass(frozen=True)
class Expression:
    """One expression. `kind`: tag, condition (must be a bool), text (of a label), or value."""

    path: Path
    source: str
    names: Names
    kind: str
    place: Place | None = None


def check_expressions(subject: Subject) -> Iterator[Finding]:
    for one in found(subject):
        if "{{" in one.source and one.kind != "tag":
            yield from _with_tags(one)
        else:
            yield from (Finding(rule, one.path, what) for rule, what in problems(one))


def found(subject: Subject) -> Iterator[Expression]:
    """Every expression of the document."""
    for place in places(subject):
        for path, text in texts(place.value, place.path):
            for tag in tags(text).found:
                if tag.expression is not None:
                    yield Expression(path, tag.expression, place.names, "tag", place)
        yield from _of_place(place)
    meta, at = subject.spec.get("workflowMetadata") or {}, (*subject.at, "workflowMetadata", "labelsFrom")
    for label, source in (meta.get("labelsFrom") or {}).items():
        yield Expression((*at, label, "expression"), str(source.get("expression", "")), of_workflow(subject), "text")
    yield from _of_cron(subject)


def _of_place(place: Place) -> Iterator[Expression]:
    key = place.path[-1]
    if place.role == "hook" and place.value.get("expression"):
        yield Expression((*place.path, "expression"), place.value["expression"], place.names, "condition", place)
    if key == "retryStrategy":
        yield from _of_retry(place.path, place.value)
    if key == "templateDefaults":
        yield from _of_retry((*place.path, "retryStrategy"), place.value.get("retryStrategy") or {})
    if place.role == "output":
        for index, output in enumerate(place.value.get("parameters") or []):
            source = (output.get("valueFrom") or {}).get("expression")
            if source:
                at = (*place.path, "parameters", index, "valueFrom", "expression")
                yield Expression(at, source, place.names, "value", place)
        yield from _of_artifacts(place, place.path, place.value)
    if place.role in ("call", "hook"):
        yield from _of_artifacts(place, (*place.path, "arguments"), place.value.get("arguments") or {})


def _of_artifacts(place: Place, path: Path, given: dict[str, Any]) -> Iterator[Expression]:
    for index, artifact in enumerate(given.get("artifacts") or []):
        if artifact.get("fromExpression"):
            yield Expression((*path, "artifacts", index, "fromExpression"), artifact["fromExpression"], place.names, "value", place)


def _of_retry(path: Path, strategy: dict[str, Any]) -> Iterator[Expression]:
    if strategy.get("expression"):
        yield Expression((*path, "expression"), strategy["expression"], Names(_LAST), "condition")


def _of_cron(subject: Subject) -> Iterator[Expression]:
    if subject.kind != "CronWorkflow":
        return
    spec = subject.document.get("spec") or {}
    known = Names({f"cronworkflow.{name}": UNKNOWN for name in _CRON}, open=("cronworkflow.",))
    for tag in tags(str(spec.get("when", ""))).found:
        if tag.expression is not None:
            yield Expression(("spec", "when"), tag.expression, known, "tag")
    stop = (spec.get("stopStrategy") or {}).get("expression")
    if stop:
        yield Expression(("spec", "stopStrategy", "expression"), stop, known, "condition")


def _with_tags(one: Expression) -> Iterator[Finding]:
    """The tags are replaced before the expression is read: only its syntax can be judged."""
    reasons = []
    for value in ("1", "x", "true"):
        try:
            parse(filled(one.source, value))
            return
        except expressions.ExpressionError as error:
            reasons.append(str(error).partition("\n")[0])
    yield Finding(SYNTAX, one.path, f"`{_short(one.source)}`: {reasons[0]}")


def problems(one: Expression) -> Iterator[tuple[Rule, str]]:
    """What is wrong with one expression, the first kind of fault only."""
    try:
        tree = parse(one.source)
        mentioned, required = expressions.names(one.source), expressions.required(one.source)
    except (expressions.ExpressionError, RecursionError) as error:
        yield SYNTAX, f"`{_short(one.source)}`: {str(error).partition(chr(10))[0]}"
        return
    env = expressions.expand(one.names.environment([*mentioned, *required]))
    named = any(name.split(".")[0] not in _ADDED for name in mentioned)
    yield from ([*_dashed(one), *_functions(tree), *_unknown(one, tree, env, required)] or _typed(one, env, named))[:1]


def _short(source: str) -> str:
    text = " ".join(source.split())
    return text if len(text) < 60 else f"{text[:59]}…"


def _dashed(one: Expression) -> list[tuple[Rule, str]]:
    plain = _STRING.sub("''", one.source)
    if not re.search(r"\.[\w]+-\w", plain):
        return []
    known = {".".join(parts[:n]) for name in one.names.all() for parts in [name.split(".")] for n in range(2, len(parts) + 1)}
    hit = sorted((n for n in known if "-" in n and re.search(rf"(?<![\w.]){re.escape(n)}(?![\w-])", plain)), key=len)
    return [(DASH, f"`{name}` reads as {' minus '.join(f'`{p}`' for p in name.split('-'))}") for name in hit[-1:]]


def _functions(tree: Node) -> list[tuple[Rule, str]]:
    known = [*FUNCTIONS, *PREDICATES, *_ADDED]
    called = [str(n.parts[0].value) for n in tree.walk() if n.kind == "call" and n.parts[0].kind == "name"]
    unknown = [name for name in called if name not in known]
    return [(FUNCTION, f"there is no function `{name}`{_close(name, known)}") for name in unknown]


def _unknown(one: Expression, tree: Node, env: dict[str, object], required: list[str]) -> list[tuple[Rule, str]]:
    missing = [name for name in required if not expressions.has(env, name) and name not in FUNCTIONS and name not in PREDICATES]
    missing = [name for name in missing if name not in _variables(tree)]
    faults = [(NAME, f"`{name}` {_why(one, name)}") for name in sorted(missing, key=len, reverse=True)]
    return faults + _dotted_keys(tree, env) + _nodes(one, tree, env)


def _variables(tree: Node) -> set[str]:
    """What `let` declares, and members of it."""
    return {str(node.value) for node in tree.walk() if node.kind == "let"}


def _why(one: Expression, name: str) -> str:
    node, ran, _ = one.names.node(name)
    if ran is not None and node not in one.names.visible:
        return f"is not there yet: `{node}` is not surely finished before"
    if name.startswith("sprig."):
        return "is no function that Argo has"
    near = difflib.get_close_matches(name, one.names.all(), 1, 0.8)
    return f"names nothing here{f'; did you mean `{near[0]}`?' if near else ''}"


def _close(name: str, known: list[str]) -> str:
    near = [one for one in known if one.lower() == name.lower()] or difflib.get_close_matches(name, known, 1, 0.7)
    return f"; did you mean `{near[0]}`?" if near else ""


def _dotted_keys(tree: Node, env: dict[str, object]) -> list[tuple[Rule, str]]:
    """A key with a dot is split into two names and never found (argo-data-flow 032, 275)."""
    for node in tree.walk():
        if node.kind == "member" and node.parts[1].kind == "string" and "." in str(node.parts[1].value):
            around = node.parts[0]
            if around.kind == "member" and around.parts[0].kind == "name" and around.parts[0].value == "workflow":
                return [(NAME, f"`{node.parts[1].value}`: a key with a dot cannot be reached in an expression; use a simple tag")]
    return []


def _nodes(one: Expression, tree: Node, env: dict[str, object]) -> list[tuple[Rule, str]]:
    """Steps that are not there at all: neither `?.` nor `??` helps."""
    around = env.get(one.names.prefix) if one.names.prefix else None
    for node in tree.walk():
        if (
            node.kind == "member"
            and node.parts[0].kind == "name"
            and node.parts[0].value == one.names.prefix
            and node.parts[1].kind == "string"
        ):
            name = str(node.parts[1].value)
            if not isinstance(around, dict) or name not in around:
                return [(NAME, f"`{one.names.prefix}.{name}` {_why(one, f'{one.names.prefix}.{name}')}")]
    return []


def _typed(one: Expression, env: dict[str, object], named: bool) -> list[tuple[Rule, str]]:
    try:
        kind = expressions.infer(one.source, env)
        if not named and one.kind == "tag" and expressions.evaluate(one.source, {}) is None:
            return [(VALUE, f"`{_short(one.source)}` has no value")]
    except (expressions.UnsupportedFunction, RecursionError):
        return []
    except expressions.ExpressionError as error:
        return [(TYPE if named else VALUE, f"`{_short(one.source)}`: {str(error).partition(chr(10))[0]}")]
    if one.kind == "condition" and kind not in ("bool", "unknown"):
        return [(BOOLEAN, f"`{_short(one.source)}` is of type {kind}")]
    return []


CHECKS = (check_expressions,)
