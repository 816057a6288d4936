"""The functions of the expression language. https://expr-lang.org/docs/language-definition (v1.17)"""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cmp_to_key

from pipelines.local import golang, gotime
from pipelines.local.expressions import values
from pipelines.local.expressions.errors import Panic
from pipelines.local.expressions.values import Duration, to_int, to_text

_SPACE = " \t\n\v\f\r\x85\xa0"


def _length(of: object) -> int:
    if isinstance(of, str | list | Mapping | bytes):
        return len(of)
    raise Panic(f"invalid argument for len (type {values.go_type(of)})")


def _type(of: object) -> str:
    if of is None:
        return "nil"
    named = values.go_type(of)
    return {"float64": "float", "[]interface {}": "array", "[]uint8": "array", "map[string]interface {}": "map"}.get(named, named)


def _rounded(name: str, how: Callable[[float], float]) -> Callable[[object], float]:
    def function(of: object) -> float:
        if not values.is_number(of) or isinstance(of, Duration):
            raise Panic(f"invalid argument for {name} (type {values.go_type(of)})")
        number = values.to_float(of)
        return float(how(number)) if math.isfinite(number) else number

    return function


def _half_away(number: float) -> float:
    """Go's math.Round."""
    whole = math.floor(abs(number))
    return math.copysign(whole + (abs(number) - whole >= 0.5), number)


def _absolute(of: object) -> object:
    if not values.is_number(of) or isinstance(of, Duration):
        raise Panic(f"invalid argument for abs (type {values.go_type(of)})")
    return values.negate(of) if values.less(of, 0) else of


def to_integer(of: object) -> int:
    """`int(x)`: text must be a plain whole number; raises Panic."""
    if isinstance(of, str):
        digits = of[1:] if of[:1] in ("+", "-") else of
        if digits.isascii() and digits.isdigit() and -(2**63) <= int(of) < 2**63:
            return int(of)
        raise Panic(f"invalid operation: int({of})")
    if values.is_number(of):
        return int(of) if isinstance(of, int) else to_int(of)
    if of is None:
        raise Panic("reflect: call of reflect.Value.Type on zero Value")
    raise Panic(f"invalid operation: int({values.go_type(of)})")


def to_number(of: object) -> float:
    """`float(x)`; raises Panic."""
    if isinstance(of, str):
        try:
            if of.strip() == of and of.isascii() and (not of[-1:].isalpha() or of.lower().lstrip("+-") in _WORDS):
                return float(of)
        except ValueError:
            pass
        raise Panic(f"invalid operation: float({of})")
    return values.to_float(of)


_WORDS = ("inf", "infinity", "nan")


def _trim(text: str, characters: str | None = None) -> str:
    return to_text(text).strip(_SPACE if characters is None else characters)


def split(text: str, separator: str, most: int = -1) -> list[object]:
    """Go's strings.SplitN."""
    if most == 0:
        return []
    if separator:
        return [*to_text(text).split(to_text(separator), -1 if most < 0 else most - 1)]
    characters = list(text)
    if 0 < most < len(characters):
        return [*characters[: most - 1], "".join(characters[most - 1 :])]
    return [*characters]


def _split_after(text: str, separator: str, most: int = -1) -> list[object]:
    parts = split(text, separator, most)
    return [f"{part}{separator}" for part in parts[:-1]] + parts[-1:]


def _replace(text: str, old: str, new: str, most: int = -1) -> str:
    return to_text(text).replace(to_text(old), to_text(new), most)


def _repeat(text: str, count: object) -> str:
    times = to_int(count)
    if times < 0:
        raise Panic(f"invalid argument for repeat (expected positive integer, got {times})")
    if times > 1_000_000 or len(to_text(text)) * times >= 1_000_000:
        raise Panic("memory budget exceeded")
    return text * times


def _join(parts: object, glue: str = "") -> str:
    if not isinstance(parts, list):
        raise Panic(f"invalid argument for join (type {values.go_type(parts)})")
    return glue.join(to_text(part) for part in parts)


def _byte_index(position: int, text: str) -> int:
    return position if position < 0 else len(text[:position].encode("utf-8", "surrogatepass"))


def _extreme(name: str, wins: Callable[[object, object], bool]) -> Callable[..., object]:
    def function(*arguments: object) -> object:
        if len(arguments) == 1 and not isinstance(arguments[0], list):
            return arguments[0]
        best: object = None
        for number in _numbers(name, arguments):
            if best is None or wins(number, best):
                best = number
        return best

    return function


def _numbers(name: str, arguments: tuple[object, ...] | list[object]) -> list[object]:
    found: list[object] = []
    for argument in arguments:
        if isinstance(argument, list):
            found += _numbers(name, argument)
        elif values.is_number(argument):
            found.append(argument)
        else:
            raise Panic(f"invalid argument for {name} (type {values.go_type(argument)})")
    return found


def _mean(*arguments: object) -> float:
    numbers = [values.to_float(number) for number in _numbers("mean", arguments)]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _median(*arguments: object) -> float:
    numbers = sorted(values.to_float(number) for number in _numbers("median", arguments))
    middle = len(numbers) // 2
    if not numbers:
        return 0.0
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _to_json(of: object) -> str:
    try:
        return golang.marshal(of, indent="  ")
    except golang.MarshalError as error:
        raise Panic(str(error)) from None


def from_json(text: object) -> object:
    """Values as Go reads them into `any`: every number is a float; raises Panic."""
    from pipelines.local import gojson

    problem = gojson.error(to_text(text))
    if problem:
        raise Panic(problem)
    value: object = json.loads(to_text(text), parse_int=float)
    return value


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(to_text(text).replace("\n", "").replace("\r", ""), validate=True).decode("utf-8", "replace")
    except ValueError:
        legal = re.match(r"[A-Za-z0-9+/\r\n]*", text)
        raise Panic(f"illegal base64 data at input byte {legal.end() if legal else 0}") from None


def _duration(text: str) -> Duration:
    from pipelines.local import durations

    try:
        return Duration(round(durations.parse(to_text(text)) * 1e9))
    except ValueError as error:
        raise Panic(str(error)) from None


def _date(*arguments: object) -> gotime.Moment:
    if arguments and isinstance(arguments[0], values.Zone):
        raise Panic("date with a time zone is not supported locally")
    text = to_text(arguments[0])
    for layout in gotime.DATE_LAYOUTS if len(arguments) == 1 else (to_text(arguments[1]),):
        try:
            return gotime.parse(layout, text)
        except ValueError as error:
            problem = str(error)
    raise Panic(f"invalid date {text}" if len(arguments) == 1 else problem)


def _first(of: object, index: int = 0) -> object:
    try:
        return values.fetch(of, index)
    except Panic:
        return None


def _get(of: object, key: object) -> object:
    if of is None:
        return None
    try:
        return values.fetch(of, key)
    except Panic as panic:
        if "cannot fetch" in str(panic) or "out of range" in str(panic):
            return None
        raise


def _list(name: str, of: object, complaint: str = "cannot {name} {kind}") -> list[object]:
    if isinstance(of, list):
        return of
    kind = {"<nil>": "invalid", "map[string]interface {}": "map"}.get(values.go_type(of), values.go_type(of))
    raise Panic(complaint.format(name=name, kind=kind))


def _mapping(complaint: str, of: object) -> Mapping[object, object]:
    if isinstance(of, Mapping):
        return of
    kind = {"<nil>": "invalid", "[]interface {}": "slice"}.get(values.go_type(of), values.go_type(of))
    raise Panic(complaint.format(kind=kind))


def _take(of: object, count: object) -> list[object]:
    return _list("take", of, "cannot take from {kind}")[: max(to_int(count), 0)]


def _from_pairs(of: object) -> golang.AnyKeyMap:
    pairs = [_list("pairs", pair, "invalid pair {kind}") for pair in _list("pairs", of, "cannot transform {kind} from pairs")]
    if any(len(pair) != 2 for pair in pairs):
        raise Panic("invalid pair length")
    return golang.AnyKeyMap({values.hashable(pair[0]): pair[1] for pair in pairs})


def _unique(of: object) -> list[object]:
    kept: list[object] = []
    for value in _list("uniq", of):
        if not any(values.equal(value, other) for other in kept):
            kept.append(value)
    return kept


def _flatten(of: object) -> list[object]:
    flat: list[object] = []
    for value in _list("flatten", of):
        flat += _flatten(value) if isinstance(value, list) else [value]
    return flat


def _sort(of: object, order: str = "asc") -> list[object]:
    if order not in ("asc", "desc"):
        raise Panic(f"invalid order {order}, expected asc or desc")
    by = cmp_to_key(lambda first, second: values.less(second, first) - values.less(first, second))
    return sorted(of, key=by, reverse=order == "desc") if isinstance(of, list) else []


def _bits(name: str, how: Callable[[int, int], int]) -> Callable[[object, object], int]:
    def function(left: object, right: object) -> int:
        for value in (left, right):
            if type(value) is not int:
                raise Panic(f"cannot use {values.go_type(value)} as argument (type int) to call {name}")
        first, second = to_int(left), to_int(right)
        if "sh" in name and second < 0:
            raise Panic(f"invalid operation: negative shift count {second} (type int)")
        return values.whole(how(first, min(second, 64) if "sh" in name else second))

    return function


BUILTINS: dict[str, Callable[..., object]] = {
    "len": _length,
    "type": _type,
    "abs": _absolute,
    "ceil": _rounded("ceil", math.ceil),
    "floor": _rounded("floor", math.floor),
    "round": _rounded("round", _half_away),
    "int": to_integer,
    "float": to_number,
    "string": golang.sprint,
    "trim": _trim,
    "trimPrefix": lambda text, prefix=" ": to_text(text).removeprefix(prefix),
    "trimSuffix": lambda text, suffix=" ": to_text(text).removesuffix(suffix),
    "upper": lambda text: to_text(text).upper(),
    "lower": lambda text: to_text(text).lower(),
    "split": split,
    "splitAfter": _split_after,
    "replace": _replace,
    "repeat": _repeat,
    "join": _join,
    "indexOf": lambda text, part: _byte_index(to_text(text).find(to_text(part)), text),
    "lastIndexOf": lambda text, part: _byte_index(to_text(text).rfind(to_text(part)), text),
    "hasPrefix": lambda text, part: to_text(text).startswith(to_text(part)),
    "hasSuffix": lambda text, part: to_text(text).endswith(to_text(part)),
    "max": _extreme("max", lambda new, best: values.less(best, new)),
    "min": _extreme("min", values.less),
    "mean": _mean,
    "median": _median,
    "toJSON": _to_json,
    "fromJSON": from_json,
    "toBase64": lambda text: base64.b64encode(to_text(text).encode("utf-8", "surrogatepass")).decode(),
    "fromBase64": _from_base64,
    "now": gotime.now,
    "duration": _duration,
    "date": _date,
    "timezone": lambda name: values.Zone(to_text(name)),
    "first": _first,
    "last": lambda of: _first(of, -1),
    "get": _get,
    "take": _take,
    "keys": lambda of: sorted(_mapping("cannot get keys from {kind}", of), key=str),
    "values": lambda of: [value for _, value in sorted(_mapping("cannot get values from {kind}", of).items(), key=str)],
    "toPairs": lambda of: [[*pair] for pair in sorted(_mapping("cannot transform {kind} to pairs", of).items(), key=str)],
    "fromPairs": _from_pairs,
    "reverse": lambda of: _list("reverse", of)[::-1],
    "uniq": _unique,
    "concat": lambda *lists: [value for part in lists for value in _list("concat", part)],
    "flatten": _flatten,
    "sort": _sort,
    "bitand": _bits("bitand", lambda left, right: left & right),
    "bitor": _bits("bitor", lambda left, right: left | right),
    "bitxor": _bits("bitxor", lambda left, right: left ^ right),
    "bitnand": _bits("bitnand", lambda left, right: left & ~right),
    "bitshl": _bits("bitshl", lambda left, right: left << right),
    "bitshr": _bits("bitshr", lambda left, right: left >> right),
    "bitushr": _bits("bitushr", lambda left, right: (left & (2**64 - 1)) >> right),
    "bitnot": lambda of: ~to_int(of),
}
