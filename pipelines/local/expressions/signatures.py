"""What the functions of the language take and give, as far as it is known before they are called.

From github.com/expr-lang/expr v1.17.8 `builtin`. Kinds: bool int float string array map time duration bytes nil func unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Kind = str
ANY = "unknown"
_GO = {
    **{"string": "string", "int": "int", "float": "float64", ANY: "interface {}", "array": "[]interface {}", "bool": "bool"},
    **{"map": "map[string]interface {}"},
}
_NUMBER = frozenset({"int", "float"})


@dataclass(frozen=True, slots=True)
class Signature:
    """`takes`: the kinds of each argument, from `least` of them on; `rest`: what further ones may be.

    style "types": checked as a Go function's parameters; "validate": by a check of its own, which words its errors in its own way.
    """

    takes: tuple[frozenset[Kind], ...]
    returns: str
    least: int
    style: str = "types"
    complaint: str = ""
    rest: frozenset[Kind] | None = None
    last: tuple[str, ...] = ()
    """Go's parameter types of the last overload: the one that a complaint is about."""

    def problem(self, name: str, given: Sequence[tuple[Kind, str]]) -> tuple[str, int | None]:
        """(what is wrong, index of the argument it is shown at) or ("", None)."""
        count = len(given)
        too_few, too_many = count < self.least, count > len(self.takes) and self.rest is None
        if too_few or too_many:
            if self.style == "validate":
                bound = "at least " if self.rest else ""
                return f"invalid number of arguments (expected {bound}{self.least}, got {count})", None
            return f"{'not enough' if too_few else 'too many'} arguments to call {name}", None
        for index, (kind, text) in enumerate(given):
            allowed = self.takes[index] if index < len(self.takes) else self.rest or frozenset()
            if kind not in allowed and kind != ANY and ANY not in allowed:
                if self.last and count != len(self.last):
                    return f"{'not enough' if count < len(self.last) else 'too many'} arguments to call {name}", None
                return self.refusal(name, index, kind, text, allowed)
        return "", None

    def refusal(self, name: str, index: int, kind: Kind, text: str, allowed: frozenset[Kind]) -> tuple[str, int | None]:
        if self.style == "validate":
            shown = "%!s(<nil>)" if kind == "nil" else text
            return self.complaint.format(name=name, type=shown), None
        wanted = self.last[index] if self.last else _GO[next(iter(allowed))]
        if kind == "nil":
            return f"cannot use nil as argument (type {wanted}) to call {name}", index
        return f"cannot use {text} as argument (type {wanted}) to call {name} ", index


def _kinds(text: str) -> frozenset[Kind]:
    return frozenset(text.split("|"))


def _types(takes: str, returns: str, least: int | None = None, last: str = "") -> Signature:
    parts = tuple(_kinds(part) for part in takes.split())
    return Signature(parts, returns, len(parts) if least is None else least, last=tuple(last.split()))


def _validate(takes: str, returns: str, complaint: str, least: int = 1, rest: str = "") -> Signature:
    parts = tuple(_kinds(part) for part in takes.split())
    return Signature(parts, returns, least, "validate", complaint, _kinds(rest) if rest else None)


_INVALID = "invalid argument for {name} (type {type})"
_ROUND = _validate("int|float", "float", _INVALID)
_AGGREGATE = _validate("int|float|array", ANY, _INVALID, 1, "int|float|array")
_TEXT_TEST = _types("string string", "bool")
_BITS = _types("int int", "int")
SIGNATURES: dict[str, Signature] = {
    "len": _validate("array|map|string|bytes", "int", _INVALID),
    "type": _types(f"{ANY}", "string"),
    "abs": _validate("int|float", "argument", _INVALID),
    **dict.fromkeys(("ceil", "floor", "round"), _ROUND),
    "int": _validate("int|float|string", "int", _INVALID),
    "float": _validate("int|float|string", "float", _INVALID),
    "string": _types(f"{ANY}", "string"),
    "trim": _types("string string", "string", 1, "string string"),
    **dict.fromkeys(("trimPrefix", "trimSuffix"), _types("string string", "string", 1, "string")),
    **dict.fromkeys(("upper", "lower", "toBase64", "fromBase64"), _types("string", "string")),
    **dict.fromkeys(("split", "splitAfter"), _types("string string int", "strings", 2, "string string int")),
    "replace": _types("string string string int", "string", 3, "string string string"),
    "repeat": _types("string int", "string"),
    "join": _types("array string", "string", 1, "[]string"),
    **dict.fromkeys(("indexOf", "lastIndexOf"), _types("string string", "int")),
    **dict.fromkeys(("hasPrefix", "hasSuffix"), _TEXT_TEST),
    **dict.fromkeys(("max", "min", "mean", "median"), _AGGREGATE),
    "toJSON": _types(f"{ANY}", "string"),
    "fromJSON": _types("string", ANY),
    "now": _validate("", "time", "", 0),
    "duration": _types("string", "duration"),
    "date": _validate(f"{ANY}", "time", "", 1, ANY),
    "timezone": _types("string", ANY),
    "first": _validate("array", "element", "cannot get first element from {type}"),
    "last": _validate("array", "element", "cannot get last element from {type}"),
    "take": _validate("array int", "argument", "cannot take from {type}", 2),
    **{name: _validate("map", "array", f"cannot get {name} from {{type}}") for name in ("keys", "values")},
    "toPairs": _validate("map", "array", "cannot transform {type} to pairs"),
    "fromPairs": _validate("array", ANY, "cannot transform {type} from pairs"),
    **{name: _validate("array", "array", f"cannot {name} {{type}}") for name in ("reverse", "uniq", "flatten")},
    "concat": _validate("array", "array", "cannot concat {type}", 1, "array"),
    "sort": _types("array string", "array", 1, "[]int"),
    **dict.fromkeys(("bitand", "bitor", "bitxor", "bitnand", "bitshl", "bitshr", "bitushr"), _BITS),
    "bitnot": _types("int", "int"),
    # Argo's own (util/expr/env): asInt and asFloat take anything.
    **dict.fromkeys(("asInt", "asFloat"), _types(f"{ANY}", ANY)),
    "jsonpath": _types("string string", ANY),
    "toJson": _types(f"{ANY}", "string"),
}
