"""Precedence and evaluation of `when`: what govaluate does with its tokens.

Follows `stagePlanner.go` and `evaluationStage.go` of github.com/Knetic/govaluate at 7625b7f8c03d.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.local import golang, re2
from pipelines.local.govaluate import EvaluationError, Token


@dataclass(slots=True)
class Stage:
    """An operation; symbol "" is a parenthesis, "value" a literal, "access" a dotted name."""

    symbol: str
    left: "Stage | None" = None
    right: "Stage | None" = None
    value: object = None


# Loosest first. The bitwise levels are govaluate's own.
_LEVELS: tuple[tuple[str, frozenset[str]], ...] = (
    ("SEPARATOR", frozenset({","})),
    ("TERNARY", frozenset({"?", ":", "??"})),
    ("LOGICALOP", frozenset({"||"})),
    ("LOGICALOP", frozenset({"&&"})),
    ("COMPARATOR", frozenset({"==", "!=", ">", ">=", "<", "<=", "=~", "!~", "in"})),
    ("MODIFIER", frozenset({"^", "&", "|"})),
    ("MODIFIER", frozenset({">>", "<<"})),
    ("MODIFIER", frozenset({"+", "-"})),
    ("MODIFIER", frozenset({"*", "/", "%"})),
    ("MODIFIER", frozenset({"**"})),
)
_LEVEL = {symbol: level for level, (_, symbols) in enumerate(_LEVELS) for symbol in symbols}


def plan(found: list[Token]) -> Stage | None:
    return _Planner(found).level(0)


class _Planner:
    """Reads one complete expression; what follows it is left unread, as govaluate does."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens, self.at = found, 0

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def level(self, level: int) -> Stage | None:
        """Operators of one level associate to the left."""
        if level == len(_LEVELS):
            return self.accessor()
        kind, symbols = _LEVELS[level]
        stage = self.level(level + 1)
        while self.at < len(self.tokens) and self.tokens[self.at].kind == kind and self.tokens[self.at].value in symbols:
            symbol = str(self.take().value)
            stage = Stage(symbol, stage, self.level(level + 1))
        return stage

    def accessor(self) -> Stage | None:
        if self.at >= len(self.tokens):
            return None
        token = self.take()
        if token.kind != "ACCESSOR":
            self.at -= 1
            return self.operand()
        called = self.at < len(self.tokens) and self.tokens[self.at].kind == "CLAUSE"
        return Stage("access", None, self.level(0) if called else None, token.value)

    def operand(self) -> Stage | None:
        token = self.take()
        if token.kind == "CLAUSE":
            inside = self.level(0)
            self.take()
            return Stage("", None, inside)
        if token.kind == "CLAUSE_CLOSE":
            self.at -= 1
            return None
        if token.kind == "PREFIX":
            return Stage(f"prefix {token.value}", None, self.accessor())
        if token.kind == "TIME":
            return Stage("value", value=float(getattr(token.value, "nanoseconds", 0) // 10**9))
        if token.kind in ("NUMERIC", "STRING", "PATTERN", "BOOLEAN"):
            return Stage("value", value=token.value)
        raise EvaluationError(f"Unable to plan token kind: '{token.kind}', value: '{golang.sprint(token.value)}'")


def evaluate(stage: Stage | None) -> object:
    if stage is None:
        return None
    symbol = stage.symbol
    left = evaluate(stage.left)
    if (symbol == "&&" and left is False) or (symbol == "||" and left is True):
        return left
    if symbol in (":", "??") and left is not None:
        return left
    right = None if symbol == "?" and left is False else evaluate(stage.right)
    if symbol == "value":
        return stage.value
    if symbol == "access":
        parts = stage.value if isinstance(stage.value, list) else [stage.value]
        raise EvaluationError(f"No parameter '{parts[0]}' found.")
    return _operate(symbol, left, right)


def _operate(symbol: str, left: object, right: object) -> object:
    if symbol in ("", ":", "??"):
        return right
    if symbol == "==":
        return _same(left, right)
    if symbol == "!=":
        return not _same(left, right)
    if symbol == ",":
        return [*left, right] if isinstance(left, list) else [left, right]
    if symbol == "+" and (isinstance(left, str) or isinstance(right, str)):
        return golang.sprint(left) + golang.sprint(right)
    if symbol.startswith("prefix "):
        return _prefixed(symbol.removeprefix("prefix "), right)
    if symbol in ("&&", "||", "?"):
        return _logical(symbol, left, right)
    if symbol in ("=~", "!~", "in", ">", ">=", "<", "<="):
        return _compared(symbol, left, right)
    return _computed(symbol, left, right)


def _same(left: object, right: object) -> bool:
    """`reflect.DeepEqual`: no conversion between kinds."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and left == right


def _refuse(value: object, symbol: str) -> EvaluationError:
    kind = "logical operator" if symbol in ("&&", "||") else "ternary operator" if symbol == "?" else "modifier"
    if _LEVEL[symbol] == _LEVEL["=="]:
        kind = "comparator"
    wanted = "bool" if symbol in ("&&", "||", "?") else "number"
    return EvaluationError(f"Value '{golang.sprint(value)}' cannot be used with the {kind} '{symbol}', it is not a {wanted}")


def _prefixed(symbol: str, value: object) -> object:
    if symbol == "!" and isinstance(value, bool):
        return not value
    if symbol != "!" and isinstance(value, float):
        return -value if symbol == "-" else float(~_whole(value))
    raise EvaluationError(f"Value '{golang.sprint(value)}' cannot be used with the prefix '{symbol}'")


def _logical(symbol: str, left: object, right: object) -> object:
    if not isinstance(left, bool):
        raise _refuse(left, symbol)
    if symbol == "?":
        return right if left else None
    if not isinstance(right, bool):
        raise _refuse(right, symbol)
    return left and right if symbol == "&&" else left or right


def _compared(symbol: str, left: object, right: object) -> bool:
    if symbol == "in":
        if not isinstance(right, list):
            raise _refuse(right, symbol)
        return any(_same(left, value) for value in right)
    if symbol in ("=~", "!~"):
        return _matches(symbol, left, right) is (symbol == "=~")
    if isinstance(left, str) and isinstance(right, str):
        # Go compares bytes; UTF-8 keeps the order of code points, which is Python's.
        return bool(_ORDER[symbol](left, right))
    if isinstance(left, float) and isinstance(right, float):
        return bool(_ORDER[symbol](left, right))
    raise _refuse(left, symbol)


_ORDER: dict[str, Callable[..., bool]] = {
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


def _matches(symbol: str, left: object, right: object) -> bool:
    if not isinstance(left, str):
        raise _refuse(left, symbol)
    if isinstance(right, re2.Regexp):
        return right.search(left)
    if not isinstance(right, str):
        raise _refuse(right, symbol)
    try:
        return re2.compile(right).search(left)
    except re2.PatternError as error:
        raise EvaluationError(f"Unable to compile regexp pattern '{right}': {error}") from None


def _computed(symbol: str, left: object, right: object) -> float:
    if symbol == "+" and not (isinstance(left, float) and isinstance(right, float)):
        raise _refuse(left, symbol)
    if not isinstance(left, float):
        raise _refuse(left, symbol)
    if not isinstance(right, float):
        raise _refuse(right, symbol)
    return _ARITHMETIC[symbol](left, right)


def _whole(value: float) -> int:
    return int(value) if -(2.0**63) <= value < 2.0**63 else -(2**63)


def _unsigned(value: float) -> int:
    return int(value) if 0 <= value < 2.0**64 else _whole(value) & (2**64 - 1)


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": golang.divide,
    "%": lambda left, right: math.fmod(left, right) if right and math.isfinite(left) else math.nan,
    "**": golang.power,
    "&": lambda left, right: float(_whole(left) & _whole(right)),
    "|": lambda left, right: float(_whole(left) | _whole(right)),
    "^": lambda left, right: float(_whole(left) ^ _whole(right)),
    "<<": lambda left, right: float((_unsigned(left) << min(_unsigned(right), 64)) & (2**64 - 1)),
    ">>": lambda left, right: float(_unsigned(left) >> min(_unsigned(right), 64)),
}
