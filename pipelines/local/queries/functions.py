"""The functions of jq that the local runner knows, by name and number of arguments. https://jqlang.org/manual"""

import base64
import json
import math
import re
from collections.abc import Callable, Iterator
from functools import cmp_to_key

from pipelines.local import golang
from pipelines.local.queries import QueryError
from pipelines.local.queries.patterns import PATTERNS
from pipelines.local.queries.values import KINDS, Broken, as_number, compare, describe, is_number, kind_of, order, text, truthy

Argument = Callable[[object], Iterator[object]]


def _list(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise Broken(f"expected an array but got: {describe(value)}")


def _parts(value: object) -> list[object]:
    return [value[key] for key in sorted(value)] if isinstance(value, dict) else _list(value)


def _length(value: object) -> object:
    if isinstance(value, str | list | dict):
        return len(value)
    if value is None:
        return 0
    if isinstance(value, bool):
        raise Broken(f"length cannot be applied to: {describe(value)}")
    return abs(as_number(value))


def _keys(value: object) -> list[object]:
    if isinstance(value, dict):
        return sorted(value)
    if isinstance(value, list):
        return list(range(len(value)))
    raise Broken(f"keys cannot be applied to: {describe(value)}")


def _has(value: object, key: object) -> bool:
    if isinstance(value, dict) and isinstance(key, str):
        return key in value
    if isinstance(value, list) and is_number(key):
        return 0 <= as_number(key) < len(value)
    raise Broken(f"has({describe(key)}) cannot be applied to: {describe(value)}")


def _contains(value: object, part: object) -> bool:
    if isinstance(value, dict) and isinstance(part, dict):
        return all(key in value and _contains(value[key], wanted) for key, wanted in part.items())
    if isinstance(value, list) and isinstance(part, list):
        return all(any(kind_of(one) == kind_of(wanted) and _contains(one, wanted) for one in value) for wanted in part)
    if isinstance(value, str) and isinstance(part, str):
        return part in value
    if kind_of(value) == kind_of(part):
        return order(value, part) == 0
    raise Broken(f"contains({describe(part)}) cannot be applied to: {describe(value)}")


def _to_text(value: object) -> str:
    return value if isinstance(value, str) else golang.marshal(value)


def _to_number(value: object) -> int | float:
    if isinstance(value, str):
        try:
            number = float(value)
            return int(value) if re.fullmatch(r"-?\d+", value) else number
        except ValueError:
            raise Broken(f"tonumber cannot be applied to: {describe(value)}") from None
    return as_number(value)


def _from_json(value: object) -> object:
    try:
        parsed: object = json.loads(text(value))
    except ValueError:
        raise Broken(f"fromjson cannot be applied to: {describe(value)}") from None
    return parsed


def _join(value: object, glue: object) -> str:
    return text(glue).join("" if part is None else _to_text(part) for part in _list(value))


def _strip(value: object, part: object, method: str) -> object:
    return getattr(value, method)(part) if isinstance(value, str) and isinstance(part, str) else value


def _sorted(value: object, by: Argument | None = None) -> list[object]:
    return [element for element, _ in _keyed(value, by)]


def _keyed(value: object, by: Argument | None) -> list[tuple[object, object]]:
    pairs = [(element, list(by(element)) if by else element) for element in _list(value)]
    return sorted(pairs, key=cmp_to_key(_by_key))


def _by_key(one: tuple[object, object], other: tuple[object, object]) -> int:
    return order(one[1], other[1])


def _groups(value: object, by: Argument | None) -> list[list[object]]:
    groups: list[list[object]] = []
    last: object = None
    for element, key in _keyed(value, by):
        if groups and order(key, last) == 0:
            groups[-1].append(element)
        else:
            groups.append([element])
        last = key
    return groups


def _sum(values: list[object]) -> object:
    total: object = None
    for value in values:
        total = compare("+", total, value)
    return total


def _flatten(value: object, depth: float) -> list[object]:
    flat: list[object] = []
    for part in _list(value):
        flat += _flatten(part, depth - 1) if isinstance(part, list) and depth > 0 else [part]
    return flat


def _entries(value: object) -> list[object]:
    if isinstance(value, dict):
        return [{"key": key, "value": value[key]} for key in sorted(value)]
    raise Broken(f"to_entries cannot be applied to: {describe(value)}")


def _from_entries(value: object) -> dict[str, object]:
    made: dict[str, object] = {}
    for entry in _list(value):
        if not isinstance(entry, dict):
            raise Broken(f"from_entries cannot be applied to: {describe(value)}")
        key = next((entry[name] for name in ("key", "k", "name", "Name", "Key", "K") if entry.get(name) is not None), None)
        content = next((entry[name] for name in ("value", "v", "Value", "V") if name in entry), None)
        made["null" if key is None else _to_text(key)] = content
    return made


def _mapped(value: object, by: Argument) -> object:
    if isinstance(value, dict):
        return {key: first for key, part in value.items() for first in list(by(part))[:1]}
    return [first for part in _list(value) for first in list(by(part))[:1]]


def _error(message: object) -> Iterator[object]:
    raise Broken(f"error: {_to_text(message)}")


def _range(low: object, high: object) -> Iterator[object]:
    position, end = as_number(low), as_number(high)
    if end - position > 1_000_000:
        raise QueryError("jq range over more than a million numbers is not supported locally")
    while position < end:
        yield position
        position += 1


def _limited(count: object, source: Iterator[object]) -> Iterator[object]:
    left = int(as_number(count))
    for value in source if left > 0 else ():
        yield value
        left -= 1
        if left <= 0:
            return


def _descended(value: object, step: Argument) -> Iterator[object]:
    if isinstance(value, str) and len(value) > 1_000_000:
        raise QueryError("jq recurse into texts of more than a million characters is not supported locally")
    yield value
    for below in step(value):
        yield from _descended(below, step)


def _plain(function: Callable[..., object]) -> Callable[..., Iterator[object]]:
    """A function of the input and of each combination of its arguments' values."""

    def run(value: object, *arguments: Argument) -> Iterator[object]:
        if not arguments:
            yield function(value)
        elif len(arguments) == 1:
            yield from (function(value, one) for one in arguments[0](value))
        else:
            yield from (function(value, one, other) for other in arguments[1](value) for one in arguments[0](value))

    return run


def _per_value(one: Callable[[float], object]) -> Callable[..., Iterator[object]]:
    return _plain(lambda value: one(as_number(value)))


def _only(*kinds: str) -> Callable[[object], Iterator[object]]:
    return lambda value: iter([value] if kind_of(value) in kinds else [])


FUNCTIONS: dict[tuple[str, int], Callable[..., Iterator[object]]] = {
    ("length", 0): _plain(_length),
    ("not", 0): _plain(lambda value: not truthy(value)),
    ("type", 0): _plain(kind_of),
    **dict.fromkeys((("keys", 0), ("keys_unsorted", 0)), _plain(_keys)),
    ("values", 0): lambda value: iter([] if value is None else [value]),
    **{(f"{kind}s", 0): _only(kind) for kind in KINDS},
    ("scalars", 0): _only("null", "boolean", "number", "string"),
    ("iterables", 0): _only("array", "object"),
    ("has", 1): _plain(_has),
    ("contains", 1): _plain(_contains),
    ("inside", 1): _plain(lambda value, whole: _contains(whole, value)),
    ("tostring", 0): _plain(_to_text),
    ("tonumber", 0): _plain(_to_number),
    ("tojson", 0): _plain(golang.marshal),
    ("fromjson", 0): _plain(_from_json),
    ("ascii_downcase", 0): _plain(lambda value: text(value).lower()),
    ("ascii_upcase", 0): _plain(lambda value: text(value).upper()),
    ("ltrimstr", 1): _plain(lambda value, part: _strip(value, part, "removeprefix")),
    ("rtrimstr", 1): _plain(lambda value, part: _strip(value, part, "removesuffix")),
    ("trim", 0): _plain(lambda value: text(value).strip()),
    ("startswith", 1): _plain(lambda value, part: text(value).startswith(text(part))),
    ("endswith", 1): _plain(lambda value, part: text(value).endswith(text(part))),
    ("split", 1): _plain(lambda value, part: compare("/", text(value), text(part))),
    ("join", 1): _plain(_join),
    **PATTERNS,
    ("select", 1): lambda value, test: (value for result in test(value) if truthy(result)),
    ("map", 1): lambda value, by: iter([[result for part in _parts(value) for result in by(part)]]),
    ("map_values", 1): lambda value, by: iter([_mapped(value, by)]),
    ("recurse", 0): lambda value: _descended(value, lambda one: iter(_parts(one) if isinstance(one, dict | list) else [])),
    ("recurse", 1): _descended,
    ("empty", 0): lambda value: iter([]),
    ("error", 0): lambda value: _error(value),
    ("error", 1): lambda value, message: (result for one in message(value) for result in _error(one)),
    ("first", 0): _plain(lambda value: None if value is None else next(iter(_list(value)), None)),
    ("last", 0): _plain(lambda value: None if value is None else next(iter(_list(value)[-1:]), None)),
    ("first", 1): lambda value, source: _limited(1, source(value)),
    ("last", 1): lambda value, source: iter(list(source(value))[-1:]),
    ("limit", 2): lambda value, count, source: (result for one in count(value) for result in _limited(one, source(value))),
    ("nth", 1): _plain(lambda value, index: (_list(value)[int(as_number(index)) :] or [None])[0]),
    ("any", 0): _plain(lambda value: any(map(truthy, _parts(value)))),
    ("all", 0): _plain(lambda value: all(map(truthy, _parts(value)))),
    ("any", 1): lambda value, test: iter([any(truthy(result) for part in _parts(value) for result in test(part))]),
    ("all", 1): lambda value, test: iter([all(truthy(result) for part in _parts(value) for result in test(part))]),
    ("add", 0): _plain(lambda value: _sum(_parts(value))),
    ("reverse", 0): _plain(lambda value: value[::-1] if isinstance(value, str | list) else [] if value is None else _list(value)),
    ("sort", 0): _plain(_sorted),
    ("sort_by", 1): lambda value, by: iter([_sorted(value, by)]),
    ("group_by", 1): lambda value, by: iter([_groups(value, by)]),
    ("unique", 0): _plain(lambda value: [group[0] for group in _groups(value, None)]),
    ("unique_by", 1): lambda value, by: iter([[group[0] for group in _groups(value, by)]]),
    ("min", 0): _plain(lambda value: next(iter(_sorted(value)), None)),
    ("max", 0): _plain(lambda value: next(iter(_sorted(value)[-1:]), None)),
    ("min_by", 1): lambda value, by: iter([next(iter(_sorted(value, by)), None)]),
    ("max_by", 1): lambda value, by: iter([next(iter(_sorted(value, by)[-1:]), None)]),
    ("flatten", 0): _plain(lambda value: _flatten(value, math.inf)),
    ("flatten", 1): _plain(lambda value, depth: _flatten(value, as_number(depth))),
    ("to_entries", 0): _plain(_entries),
    ("from_entries", 0): _plain(_from_entries),
    ("with_entries", 1): lambda value, by: iter([_from_entries([result for entry in _entries(value) for result in by(entry)])]),
    ("range", 1): lambda value, high: (number for one in high(value) for number in _range(0, one)),
    ("range", 2): lambda value, low, high: (number for one in low(value) for other in high(value) for number in _range(one, other)),
    ("floor", 0): _per_value(math.floor),
    ("ceil", 0): _per_value(math.ceil),
    ("round", 0): _per_value(lambda number: int(math.copysign(math.floor(abs(number) + 0.5), number))),
    ("abs", 0): _per_value(abs),
    ("@text", 0): _plain(_to_text),
    ("@json", 0): _plain(golang.marshal),
    ("@base64", 0): _plain(lambda value: base64.b64encode(_to_text(value).encode()).decode()),
    ("@base64d", 0): _plain(lambda value: base64.b64decode(text(value) + "==").decode("utf-8", "replace")),
}
