"""When a task of a DAG may start: `depends: "(a || b.Failed) && !c.Skipped"`, `dependencies: [a, b]`.

Follows argo-workflows v4.1.2 `workflow/common/ancestry.go`: names are found by a regular expression, a bare name is expanded, and the
rest is an expr-lang expression in which `-` is written `_`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
_NAME = r"(?P<task>[a-zA-Z0-9][-a-zA-Z0-9]*?)\.(?P<result>[A-Z][a-zA-Z]+)|(?P<bare>[a-zA-Z0-9][-a-zA-Z0-9]*)"
_LEXEME = r"\s*(?:(?P<name>[a-zA-Z][\w$]*)\.(?P<result>[a-zA-Z]+)|(?P<symbol>&&|\|\||[!()]))"

Results = Mapping[str, Mapping[str, bool]]
Condition = Callable[[Results], bool]
_Token = tuple[str, str]


class DependsError(Exception):
    """The condition cannot be used; the message is Argo's, without the path of the template."""


@dataclass(frozen=True, slots=True)
class Depends:
    """A condition on other tasks. `names` are those tasks in order, `loops` those that must be loops."""

    logic: str
    names: tuple[str, ...]
    loops: frozenset[str]
    _condition: list[Condition] = field(default_factory=list, compare=False, repr=False)

    @property
    def tasks(self) -> set[str]:
        return set(self.names)

    def holds(self, results: Results) -> bool:
        """Whether the task may start, once every task it names has ended: task → result name → bool. Raises DependsError."""
        if not self._condition:
            self._condition.append(_compile(self.logic))
        return self._condition[0](results)


def parse(depends: str, tolerated: Mapping[str, Collection[str]] | None = None) -> Depends:
    """Reads a `depends`; raises DependsError for a result that does not exist. Other faults show when it is evaluated.

    tolerated: task → the results ('Failed', 'Errored') that its continueOn forgives.
    """
    names: dict[str, None] = {}
    loops = set()
    for found in re.finditer(_NAME, depends):
        names[found["task"] or found["bare"]] = None
        if found["result"] and found["result"] not in RESULTS:
            raise DependsError(f"task result '{found['result']}' for task '{found['task']}' is invalid")
        if found["result"] in ("AnySucceeded", "AllFailed"):
            loops.add(found["task"])
    logic = re.sub(_NAME, lambda found: _expanded(found["bare"], tolerated) if found["bare"] else found[0], depends)
    return Depends(logic, tuple(names), frozenset(loops))


def names(depends: str) -> list[str]:
    """The tasks that a `depends` names, in order, whatever else is wrong with it."""
    return list(dict.fromkeys(found["task"] or found["bare"] for found in re.finditer(_NAME, depends)))


def from_dependencies(dependencies: Iterable[str], tolerated: Mapping[str, Collection[str]] | None = None) -> Depends:
    """`dependencies: [a, b]` is `depends: a && b`, whatever the names look like."""
    names = tuple(dict.fromkeys(dependencies))
    return Depends(" && ".join(_expanded(name, tolerated) for name in names), names, frozenset())


def _expanded(name: str, tolerated: Mapping[str, Collection[str]] | None) -> str:
    results = ["Succeeded", "Skipped", "Daemoned"]
    forgiven = (tolerated or {}).get(name, ())
    results += [result for result in ("Errored", "Failed") if result in forgiven]
    return "(" + " || ".join(f"{name}.{result}" for result in results) + ")"


def _compile(logic: str) -> Condition:
    if not logic:
        return lambda results: True
    logic = logic.replace("-", "_")
    tokens, at = list[_Token](), 0
    while found := re.compile(_LEXEME).match(logic, at):
        tokens.append((found["name"] or "", found["result"] or found["symbol"]))
        at = found.end()
    condition = _any(tokens) if not logic[at:].strip() else None
    if condition is None or tokens:
        return lambda results: _evaluated(logic, results)
    return lambda results: condition({name.replace("-", "_"): values for name, values in results.items()})


def _any(tokens: list[_Token]) -> Condition | None:
    """Takes tokens from the front; None where the grammar of names, `&&`, `||`, `!` and parentheses ends."""
    left = _all(tokens)
    while left and tokens and tokens[0] == ("", "||"):
        left = _joined(any, left, _all(_rest(tokens)))
    return left


def _all(tokens: list[_Token]) -> Condition | None:
    left = _one(tokens)
    while left and tokens and tokens[0] == ("", "&&"):
        left = _joined(all, left, _one(_rest(tokens)))
    return left


def _rest(tokens: list[_Token]) -> list[_Token]:
    del tokens[0]
    return tokens


def _joined(how: Callable[[Iterable[bool]], bool], left: Condition, right: Condition | None) -> Condition | None:
    return right and (lambda results: how(part(results) for part in (left, right)))


def _one(tokens: list[_Token]) -> Condition | None:
    if not tokens:
        return None
    name, symbol = tokens.pop(0)
    if name:
        return lambda results: bool(results.get(name, {}).get(symbol))
    inside = _one(tokens) if symbol == "!" else _any(tokens) if symbol == "(" else None
    if inside is None or symbol == "!":
        return inside and (lambda results: not inside(results))
    return inside if tokens and tokens.pop(0) == ("", ")") else None


def _evaluated(logic: str, results: Results) -> bool:
    """What is no plain condition is left to the expression language, which mostly says what is wrong with it."""
    from pipelines.local import expressions

    scope = {name.replace("-", "_"): dict(values) for name, values in results.items()}
    try:
        return expressions.holds(logic, scope)
    except expressions.ExpressionError as error:
        raise DependsError(f"unable to evaluate expression '{logic}': {error}") from None
