"""The types of values and of the results of operators. Rules: github.com/expr-lang/expr v1.17.8 `checker`."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.local.expressions.signatures import Kind, Signature


@dataclass(frozen=True, slots=True)
class Type:
    """kind as in signatures.Kind; `text` is Go's name for it; `element` of an array."""

    kind: Kind
    text: str
    element: "Type | None" = None


UNKNOWN = Type("unknown", "unknown")
INTERFACE = Type("unknown", "interface {}")
NIL = Type("nil", "unknown")
BOOL, INT, FLOAT = Type("bool", "bool"), Type("int", "int"), Type("float", "float64")
STRING, BYTES = Type("string", "string"), Type("bytes", "[]uint8")
MAP, FUNC = Type("map", "map[string]interface {}"), Type("func", "func(...interface {}) (interface {}, error)")
TIME, DURATION = Type("time", "time.Time"), Type("duration", "time.Duration")
_BY_KIND: dict[Kind, Type] = {
    **{"unknown": INTERFACE, "bool": BOOL, "int": INT, "float": FLOAT, "string": STRING, "map": MAP},
    **{"time": TIME, "duration": DURATION, "bytes": BYTES},
}
NUMBERS = ("int", "float")


def array(element: Type, text: str = "[]interface {}") -> Type:
    return Type("array", text, element)


def type_of(value: object) -> Type:
    """The type of a name of the scope."""
    kinds: tuple[tuple[type, Type], ...] = ((bool, BOOL), (int, INT), (float, FLOAT), (str, STRING), (Mapping, MAP))
    for python, known in kinds:
        if isinstance(value, python):
            return known
    if isinstance(value, list):
        return array(INTERFACE)
    return NIL if value is None else FUNC if callable(value) else INTERFACE


def comparable(left: Type, right: Type) -> bool:
    either = ("unknown", "nil")
    if left.kind in either or right.kind in either:
        return True
    return left.kind == right.kind or (left.kind in NUMBERS and right.kind in NUMBERS)


def _maybe(left: Type, right: Type, *kinds: str) -> bool:
    """One side is unknown and the other could do."""
    if left.kind == "unknown":
        return right.kind == "unknown" or right.kind in kinds
    return right.kind == "unknown" and left.kind in kinds


def result(operator: str, left: Type, right: Type) -> Type | None:
    kinds = (left.kind, right.kind)
    if operator in ("==", "!="):
        return BOOL if comparable(left, right) else None
    if operator == "??":
        return right if left.kind == "nil" else left if right.kind in ("nil", left.kind) else UNKNOWN
    if operator in ("or", "||", "and", "&&"):
        return BOOL if kinds == ("bool", "bool") or _maybe(left, right, "bool") else None
    if operator in ("matches", "contains", "startsWith", "endsWith"):
        bytes_match = operator == "matches" and kinds == ("bytes", "string")
        return BOOL if bytes_match or kinds == ("string", "string") or _maybe(left, right, "string") else None
    if operator == ".." or operator == "%":
        fits = kinds == ("int", "int") or _maybe(left, right, "int")
        return (INT if operator == "%" else array(INT)) if fits else None
    return _arithmetic(operator, left, right)


def _arithmetic(operator: str, left: Type, right: Type) -> Type | None:
    kinds = (left.kind, right.kind)
    numbers = left.kind in NUMBERS and right.kind in NUMBERS
    if operator in ("/", "**", "^"):
        return FLOAT if numbers or _maybe(left, right, *NUMBERS) else None
    if operator in ("<", ">", "<=", ">="):
        same = left.kind == right.kind and left.kind in ("string", "time", "duration")
        return BOOL if numbers or same or _maybe(left, right, *NUMBERS, "string", "time", "duration") else None
    if numbers:
        return FLOAT if "float" in kinds else INT
    timed = _TIMED[operator].get(kinds)
    if timed:
        return timed
    if operator == "+" and kinds == ("string", "string"):
        return STRING
    allowed = {"+": (*NUMBERS, "string", "time", "duration"), "-": (*NUMBERS, "time", "duration"), "*": (*NUMBERS, "duration")}
    return UNKNOWN if _maybe(left, right, *allowed[operator]) else None


_TIMED: dict[str, dict[tuple[str, str], Type]] = {
    "+": {("time", "duration"): TIME, ("duration", "time"): TIME, ("duration", "duration"): DURATION},
    "-": {("time", "time"): DURATION, ("time", "duration"): TIME, ("duration", "duration"): DURATION},
    "*": {("duration", "duration"): DURATION, **{pair: DURATION for kind in NUMBERS for pair in ((kind, "duration"), ("duration", kind))}},
}


def predicated_result(name: str, collection: Type, element: Type, inner: Type) -> Type:
    if name in ("all", "none", "any", "one"):
        return BOOL
    if name in ("filter", "map"):
        return array(element if name == "filter" else inner)
    if name in ("count", "findIndex", "findLastIndex"):
        return INT
    if name == "groupBy":
        return Type("unknown", "map[interface {}][]interface {}")
    return {"find": element, "findLast": element, "sortBy": collection}.get(name, inner)


def returned(signature: Signature, types: list[Type]) -> Type:
    if signature.returns == "argument":
        return types[0]
    if signature.returns == "element":
        return types[0].element or UNKNOWN
    if signature.returns == "strings":
        return array(STRING, "[]string")
    if signature.returns == "array":
        return array(INTERFACE)
    return _BY_KIND[signature.returns]
