"""Operations on the values of expressions: Go's numbers, order, equality and access, and what expr-lang says where they fail.

Rules: github.com/expr-lang/expr v1.17.8 `vm/runtime`. Integers have 64 bits; text is indexed by bytes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from pipelines.local import golang
from pipelines.local.expressions.errors import Panic
from pipelines.local.golang import AnyKeyMap
from pipelines.local.gotime import Moment


class Duration(int):
    """Nanoseconds, Go's time.Duration."""

    def __str__(self) -> str:
        return _duration_text(int(self))


class Month(int):
    """Go's time.Month: a number in JSON, a name as text."""

    def __str__(self) -> str:
        from pipelines.local import gotime

        return gotime.MONTHS[int(self) - 1]


class Weekday(int):
    """Go's time.Weekday, Sunday first."""

    def __str__(self) -> str:
        from pipelines.local import gotime

        return gotime.DAYS[(int(self) - 1) % 7]


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone by name (IANA)."""

    name: str


def go_type(value: object) -> str:
    """What `%T` prints."""
    if value is None:
        return "<nil>"
    if isinstance(value, Moment):
        return "time.Time"
    for python, name in _GO_TYPES:
        if isinstance(value, python):
            return name
    return "func"


_GO_TYPES: tuple[tuple[type, str], ...] = (
    *((bool, "bool"), (Duration, "time.Duration"), (Month, "time.Month"), (Weekday, "time.Weekday"), (int, "int")),
    *((float, "float64"), (str, "string"), (bytes, "[]uint8"), (list, "[]interface {}"), (Mapping, "map[string]interface {}")),
    (Zone, "*time.Location"),
)


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(value: int) -> int:
    """Wrapped to 64 bits."""
    return (value + 2**63) % 2**64 - 2**63


def to_int(value: object) -> int:
    """An index or count; raises Panic."""
    if isinstance(value, float):
        return int(value) if -(2.0**63) <= value < 2.0**63 else -(2**63)
    if isinstance(value, int) and type(value) is int:
        return value
    raise Panic(f"invalid operation: int({go_type(value)})")


def to_float(value: object) -> float:
    """A number; raises Panic."""
    if is_number(value) and not isinstance(value, Duration):
        return float(value)
    raise Panic(f"invalid operation: float({go_type(value)})")


def to_bool(value: object) -> bool:
    """A condition; raises Panic."""
    if isinstance(value, bool):
        return value
    shown = "nil" if value is None else go_type(value)
    raise Panic(f"interface conversion: interface {{}} is {shown}, not bool")


def to_text(value: object) -> str:
    """A text argument; raises Panic."""
    if isinstance(value, str):
        return value
    shown = "nil" if value is None else go_type(value)
    raise Panic(f"interface conversion: interface {{}} is {shown}, not string")


def equal(left: object, right: object) -> bool:
    """`==`: numbers across kinds, lists and maps by content, nothing else across kinds."""
    if is_number(left) and is_number(right):
        durations = isinstance(left, Duration) + isinstance(right, Duration)
        return durations != 1 and left == right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, Moment) and isinstance(right, Moment):
        return left.nanoseconds == right.nanoseconds
    return type(left) is type(right) and left == right


def same(left: object, right: object) -> bool:
    """`reflect.DeepEqual`: no 1 == 1.0 inside maps."""
    return equal(left, right) and (isinstance(left, float) == isinstance(right, float))


def less(left: object, right: object) -> bool:
    """`<`; raises Panic."""
    return _ordered("<", left, right)


def _ordered(operator: str, left: object, right: object) -> bool:
    compare = _COMPARISONS[operator]
    numbers = is_number(left) and is_number(right) and isinstance(left, Duration) == isinstance(right, Duration)
    if numbers or (isinstance(left, str) and isinstance(right, str)):
        return compare(left, right)
    if isinstance(left, Moment) and isinstance(right, Moment):
        return compare(left.nanoseconds, right.nanoseconds)
    raise _mismatch(operator, left, right)


_COMPARISONS: dict[str, Callable[..., bool]] = {
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}


def _mismatch(operator: str, left: object, right: object) -> Panic:
    return Panic(f"invalid operation: {go_type(left)} {operator} {go_type(right)}")


def arithmetic(operator: str, left: object, right: object) -> object:
    """`+ - * / % ** ^ < > <= >=`; raises Panic."""
    if operator in _COMPARISONS:
        return _ordered(operator, left, right)
    if operator in ("**", "^"):
        return golang.power(to_float(left), to_float(right))
    if isinstance(left, str) and isinstance(right, str) and operator == "+":
        return left + right
    if isinstance(left, Moment | Duration) or isinstance(right, Moment | Duration):
        return _timed(operator, left, right)
    if not (is_number(left) and is_number(right)):
        raise _mismatch(operator, left, right)
    if operator == "/":
        return golang.divide(float(left), float(right))
    if operator == "%":
        return _remainder(left, right)
    return _computed(operator, left, right)


def _computed(operator: str, left: object, right: object) -> int | float:
    if isinstance(left, int) and isinstance(right, int):
        return whole(left + right if operator == "+" else left - right if operator == "-" else left * right)
    first, second = to_float(left), to_float(right)
    return first + second if operator == "+" else first - second if operator == "-" else first * second


def _remainder(left: object, right: object) -> int:
    if not (isinstance(left, int) and isinstance(right, int)):
        raise _mismatch("%", left, right)
    if right == 0:
        raise Panic("runtime error: integer divide by zero")
    return int(math.copysign(1, left)) * (abs(left) % abs(right))


def _timed(operator: str, left: object, right: object) -> object:
    if isinstance(left, Moment) and isinstance(right, Moment) and operator == "-":
        return Duration(left.nanoseconds - right.nanoseconds)
    if isinstance(left, Moment) and isinstance(right, Duration) and operator in ("+", "-"):
        return Moment(left.nanoseconds + (right if operator == "+" else -int(right)), left.offset, left.zone)
    if isinstance(left, Duration) and isinstance(right, Moment) and operator == "+":
        return Moment(left + right.nanoseconds, right.offset, right.zone)
    if isinstance(left, Duration) and isinstance(right, Duration) and operator in ("+", "-", "*"):
        return Duration(int(_computed(operator, int(left), int(right))))
    if operator == "*" and is_number(left) and is_number(right):
        return Duration(int(_computed("*", *(int(v) if isinstance(v, Duration) else v for v in (left, right)))))
    raise _mismatch(operator, left, right)


def negate(value: object) -> object:
    """`-x`; raises Panic."""
    if isinstance(value, float):
        return -value
    if is_number(value) and not isinstance(value, Duration):
        return whole(-to_int(value))
    raise Panic(f"invalid operation: - {go_type(value)}")


def contains(needle: object, within: object) -> bool:
    """`in`; raises Panic."""
    if within is None:
        return False
    if isinstance(within, list):
        return any(equal(value, needle) for value in within)
    if isinstance(within, Mapping):
        return hashable(_map_key(needle, within)) in within
    raise Panic(f'operator "in" not defined on {go_type(within)}')


def fetch(of: object, key: object) -> object:
    """`of.key`, `of[key]`; raises Panic."""
    if of is None:
        raise Panic(f"cannot fetch {shown(key)} from <nil>")
    if isinstance(of, Mapping):
        return of.get(hashable(_map_key(key, of)))
    if isinstance(of, str | list | bytes):
        return _element(of, to_int(key))
    method = _methods(of).get(key) if isinstance(key, str) else None
    if method is None:
        raise Panic(f"cannot fetch {shown(key)} from {go_type(of)}")
    return method


def _map_key(key: object, of: Mapping[object, object]) -> object:
    if isinstance(of, AnyKeyMap) or isinstance(key, str):
        return key
    if key is None:
        return ""
    raise Panic(f"reflect.Value.MapIndex: value of type {go_type(key)} is not assignable to type string")


def hashable(key: object) -> object:
    """The key of a map; raises Panic for lists and maps."""
    if isinstance(key, list | dict):
        raise Panic(f"runtime error: hash of unhashable type {go_type(key)}")
    return key


def _element(of: str | list[object] | bytes, index: int) -> object:
    items = of.encode("utf-8", "surrogatepass") if isinstance(of, str) else of
    position = index + len(items) if index < 0 else index
    if not 0 <= position < len(items):
        raise Panic(f"index out of range: {position} (array length is {len(items)})")
    return items[position]


def cut(of: object, start: object, end: object) -> object:
    """`of[start:end]`, text by bytes; raises Panic."""
    if not isinstance(of, str | list | bytes):
        raise Panic(f"cannot slice {shown(start)}")
    items = of.encode("utf-8", "surrogatepass") if isinstance(of, str) else of
    bounds = [to_int(bound) if bound is not None else default for bound, default in ((start, 0), (end, len(items)))]
    low, high = (min(max(bound + len(items) if bound < 0 else bound, 0), len(items)) for bound in bounds)
    part = items[min(low, high) : high]
    return part.decode("utf-8", "replace") if isinstance(of, str) and isinstance(part, bytes) else part


def shown(value: object) -> str:
    """What `%v` prints."""
    from pipelines.local import golang

    return golang.sprint(value)


def _methods(of: object) -> Mapping[str, Callable[..., object]]:
    if isinstance(of, Moment | Duration):
        from pipelines.local.expressions import times

        return times.methods(of)
    return {"String": lambda: str(of)} if isinstance(of, Month | Weekday | Zone) else {}


def _duration_text(nanoseconds: int) -> str:
    """`time.Duration.String`: 1h0m0.5s, 1.5ms."""
    sign, size = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if size == 0:
        return "0s"
    for unit, scale in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if size < scale * 1000:
            return f"{sign}{_decimal(size, scale)}{unit}"
    minutes, rest = divmod(size, 60 * 10**9)
    text = f"{_decimal(rest, 10**9)}s"
    if minutes:
        text = (f"{minutes // 60}h" if minutes >= 60 else "") + f"{minutes % 60}m{text}"
    return sign + text


def _decimal(value: int, scale: int) -> str:
    fraction = f"{value % scale:0{len(str(scale)) - 1}d}".rstrip("0") if scale > 1 else ""
    return f"{value // scale}.{fraction}" if fraction else str(value // scale)
