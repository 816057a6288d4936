"""Values of jq: kinds, order, arithmetic. Messages follow github.com/itchyny/gojq v0.12.19."""

import math
from collections.abc import Callable

from pipelines.local import golang

KINDS = ("null", "boolean", "number", "string", "array", "object")


class Broken(Exception):
    """A jq error: `?` and `//` catch it."""


def kind_of(value: object) -> str:
    """jq's `type`."""
    if value is None:
        return "null"
    for python, kind in ((bool, "boolean"), (int | float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, python):
            return kind
    return "object"


def describe(value: object) -> str:
    """A value in a message: kind and, shortened, text."""
    shown = golang.marshal(value)
    return "null" if value is None else f"{kind_of(value)} ({shown if len(shown) <= 30 else shown[:27] + '...'})"


def truthy(value: object) -> bool:
    return value is not None and value is not False


def order(left: object, right: object) -> int:
    """jq's order over all values: -1, 0, 1."""
    kinds = (KINDS.index(kind_of(left)), KINDS.index(kind_of(right)))
    if kinds[0] != kinds[1]:
        return -1 if kinds[0] < kinds[1] else 1
    if isinstance(left, list) and isinstance(right, list):
        found = next((step for step in map(order, left, right) if step), 0)
        return found or (len(left) > len(right)) - (len(left) < len(right))
    if isinstance(left, dict) and isinstance(right, dict):
        keys = order(sorted(left), sorted(right))
        return keys or order([left[key] for key in sorted(left)], [right[key] for key in sorted(right)])
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return (left > right) - (left < right)
    return 0


def compare(symbol: str, left: object, right: object) -> object:
    """A comparison or an arithmetic operation; raises Broken."""
    if symbol in _COMPARISONS:
        return _COMPARISONS[symbol](order(left, right))
    if symbol == "+" and (left is None or right is None):
        return right if left is None else left
    if is_number(left) and is_number(right):
        return _arithmetic(symbol, left, right)
    if symbol == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, list) and isinstance(right, list) and symbol in "+-":
        return left + right if symbol == "+" else [value for value in left if not any(order(value, out) == 0 for out in right)]
    if isinstance(left, dict) and isinstance(right, dict) and symbol == "+":
        return left | right
    if isinstance(left, dict) and isinstance(right, dict) and symbol == "*":
        return _merged(left, right)
    if isinstance(left, str) and symbol == "*" and is_number(right):
        return left * int(as_number(right)) if 0 < as_number(right) * len(left) < 1_000_000 else None
    if isinstance(left, str) and isinstance(right, str) and symbol == "/":
        return left.split(right) if right else list(left)
    verb = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}[symbol]
    raise Broken(f"cannot {verb}: {describe(left)} and {describe(right)}")


def _merged(left: dict[str, object], right: dict[str, object]) -> dict[str, object]:
    merged = dict(left)
    for key, value in right.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


_COMPARISONS: dict[str, Callable[[int], bool]] = {
    "==": lambda step: step == 0,
    "!=": lambda step: step != 0,
    "<": lambda step: step < 0,
    "<=": lambda step: step <= 0,
    ">": lambda step: step > 0,
    ">=": lambda step: step >= 0,
}


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_number(value: object) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Broken(f"expected a number but got: {describe(value)}")


def _arithmetic(symbol: str, left: object, right: object) -> int | float:
    one, other = as_number(left), as_number(right)
    if symbol in "/%" and (other == 0 or (symbol == "%" and int(other) == 0)):
        raise Broken(f"cannot {'divide' if symbol == '/' else 'modulo'} {describe(left)} by: {describe(right)}")
    if symbol == "%":
        return int(math.fmod(int(one), int(other)))
    if symbol == "/":
        quotient = one / other
        return int(quotient) if quotient.is_integer() else quotient
    return one + other if symbol == "+" else one - other if symbol == "-" else one * other


def text(value: object, what: str = "string") -> str:
    if isinstance(value, str):
        return value
    raise Broken(f"expected a {what} but got: {describe(value)}")
