"""The expressions of `{{=…}}`, retryStrategy, hooks and conditional outputs: expr-lang v1.17.8 with the functions that Argo adds.

Argo's part: argo-workflows v4.1.2 `util/expr/env`, `util/expand`, `util/template/expression_template.go`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.local import golang
from pipelines.local.expressions.errors import ExpressionError, UnsupportedFunction

if TYPE_CHECKING:
    from pipelines.local.expressions.syntax import Node

__all__ = ["ExpressionError", "UnsupportedFunction", "evaluate", "expand", "has", "holds", "infer", "names", "render", "required"]

_ADDED = ("asInt", "asFloat", "jsonpath", "toJson", "sprig")


def evaluate(source: str, scope: Mapping[str, object]) -> object:
    """The value of an expression over nested maps: None, bool, int, float, str, list, dict, or a time.

    Raises ExpressionError; UnsupportedFunction for a function that Argo knows and this runner does not.
    """
    from pipelines.local.expressions.run import run

    return run(*_checked(source, scope))


def holds(source: str, scope: Mapping[str, object]) -> bool:
    """Whether a condition is true, as hooks, `depends` and retryStrategy ask. Raises ExpressionError, also for what is no bool.

    Argo's words: argo-workflows v4.1.2 `util/expr/argoexpr/eval.go`.
    """
    from pipelines.local.expressions.run import run

    checked = _checked(source, scope)
    try:
        value = run(*checked)
    except UnsupportedFunction:
        raise
    except ExpressionError as error:
        raise ExpressionError(f"unable to evaluate expression '{source}': {error}") from None
    if not isinstance(value, bool):
        raise ExpressionError(f"unable to cast expression result '{_as_text(value)}' to bool")
    return value


def _as_text(value: object) -> str:
    """Go's verb %s, which shows the type of what is no text."""
    if isinstance(value, str):
        return value
    kind = {int: "int=", float: "float64="}.get(type(value), "")
    return f"%!s({kind}{golang.sprint(value)})" if value is None or kind else golang.sprint(value)


def _checked(source: str, scope: Mapping[str, object]) -> "tuple[Node, str, dict[str, object]]":
    """The expression as `run` takes it."""
    from pipelines.local.expressions.check import check
    from pipelines.local.expressions.syntax import parse

    tree = parse(source)
    full = {**scope, **_functions(tree)}
    try:
        check(tree, source, full)
    except RecursionError:
        raise ExpressionError("expression is nested too deeply") from None
    return tree, source, full


def infer(source: str, scope: Mapping[str, object]) -> str:
    """The kind of the result (string, bool, unknown, …), nothing being run. Raises ExpressionError for what fails whatever the values are.

    Unlike Argo, which knows no types inside maps, this takes those of the scope's values: a parameter is text.
    """
    from pipelines.local.expressions import check
    from pipelines.local.expressions.syntax import parse

    tree = parse(source)
    return check.infer(tree, source, {**scope, **_functions(tree)}).kind


def _functions(tree: "Node") -> dict[str, object]:
    """What Argo adds to every scope; loaded only where an expression asks for it."""
    asked = {node.value for node in tree.walk() if node.kind == "name"}
    added: dict[str, object] = {}
    if asked & {"asInt", "asFloat", "jsonpath", "toJson", "$env"}:
        from pipelines.local.expressions.environment import ENVIRONMENT

        added |= ENVIRONMENT
    if asked & {"sprig", "$env"}:
        from pipelines.local.expressions.sprig import SPRIG

        added["sprig"] = SPRIG
    return added


def expand(flat: Mapping[str, object]) -> dict[str, object]:
    """Dotted names as nested maps; of `a` and `a.b` only the longer one stays."""
    nested: dict[str, object] = {}
    for name in sorted(flat):
        *path, last = name.split(".")
        place = nested
        for part in path:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = place[part] = {}
            place = inner
        place[last] = flat[name]
    return nested


def render(value: object) -> str:
    """The text that goes into a JSON string in the place of a tag: `a\\"b`, `[\\"1\\"]`; raises ExpressionError."""
    try:
        text = golang.marshal(value)
    except golang.MarshalError as error:
        raise ExpressionError(f"failed to marshal evaluated expression: {error}") from None
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    return golang.escape(text)


def names(source: str) -> set[str]:
    """The dotted names that an expression mentions, the longest form of each; raises ExpressionError."""
    from pipelines.local.expressions.syntax import parse

    tree = parse(source)
    inner = {id(node.parts[0]) for node in tree.walk() if node.kind == "member" and _path(node)}
    mentioned = (_path(node) for node in tree.walk() if id(node) not in inner)
    return {path for path in mentioned if path}


def required(source: str) -> list[str]:
    """The names that must exist, in order: those guarded by `?.` or `??` need not. Raises ExpressionError."""
    from pipelines.local.expressions.syntax import parse

    tree = parse(source)
    guarded = set[int]()
    for node in tree.walk():
        if node.kind == "binary" and node.value == "??":
            guarded |= {id(below) for below in node.parts[0].walk() if below.kind == "member"}
        if node.kind == "member" and node.flag and node.parts[0].kind == "member":
            guarded.add(id(node.parts[0]))
    paths = (_path(node) for node in tree.walk() if id(node) not in guarded)
    return list(dict.fromkeys(path for path in paths if path))


def _path(node: "Node") -> str:
    """`a.b` of `a.b`, `a['b']`; empty for what is no plain name."""
    parts: list[str] = []
    while node.kind == "member" and node.parts[1].kind == "string" and not node.flag:
        parts.append(str(node.parts[1].value))
        node = node.parts[0]
    return ".".join([str(node.value), *reversed(parts)]) if node.kind == "name" else ""


def has(scope: Mapping[str, object], name: str) -> bool:
    """Whether a dotted name leads to something in nested maps, nil included."""
    if name in _ADDED or name in scope:
        return True
    if name.startswith("sprig."):
        from pipelines.local.expressions.sprig import SPRIG

        scope = {"sprig": SPRIG}
    place: object = scope
    for part in name.split("."):
        if not isinstance(place, Mapping) or part not in place:
            return False
        place = place[part]
    return True
