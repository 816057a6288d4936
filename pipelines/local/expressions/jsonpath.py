"""The `jsonpath(text, path)` of expressions: `$.a.b[0]`, `['key']`, `[-1]`, `[1:3]`, `[*]`, `..name`, `[0,2]`, `[?(@.a == 1)]`.

Follows github.com/evilmonkeyinc/jsonpath v0.8.1, Argo's library: one value for a definite path, a list for any other.
"""

import json
import re
from collections.abc import Iterator

from pipelines.local.expressions.errors import Panic, UnsupportedFunction

_STEP = re.compile(
    r"\.\.(?=[\w*\[])|\.?\[(?P<bracket>(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\]'\"])*)\]|\.(?P<name>[^.\[\]]+)|(?P<bare>[^.\[\]$]+)"
)
_FILTER = re.compile(r"\?\(?\s*@(?P<path>(?:\.[\w-]+|\[[^\]]*\])*)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*\)?")


def query(path: str, document: object) -> object:
    """What the path leads to; raises Panic where it leads nowhere, UnsupportedFunction for syntax beyond the list above."""
    if not path.startswith("$"):
        raise Panic(f"invalid JSONPath selector '{path}' selector must start with '$'")
    places, definite, at, deep = [document], True, 1, False
    while at < len(path):
        step = _STEP.match(path, at)
        if not step or (step["bare"] and not deep):
            raise Panic(f"invalid JSONPath query '{path}' unexpected token '{path[at]}' at index {at}")
        at = step.end()
        if step[0] == "..":
            places, definite, deep = [below for place in places for below in _below(place)], False, True
            continue
        places, one = _follow(step, places, definite, deep)
        definite, deep = definite and one, False
    return places[0] if definite else places


def _below(place: object) -> Iterator[object]:
    yield place
    inner = place.values() if isinstance(place, dict) else place if isinstance(place, list) else ()
    for part in inner:
        yield from _below(part)


def _follow(step: re.Match[str], places: list[object], definite: bool, deep: bool) -> tuple[list[object], bool]:
    keys, one = _keys(step)
    found: list[object] = []
    for place in places:
        try:
            found += _select(place, keys)
        except Panic:
            if definite and one and not deep:
                raise
    return found, one


def _keys(step: re.Match[str]) -> tuple[object, bool]:
    """What a step selects, and whether that is one place."""
    name = step["name"] or step["bare"]
    if name:
        return ("*", False) if name == "*" else (name, True)
    inside = (step["bracket"] or "").strip()
    if inside == "*":
        return "*", False
    if inside.startswith("?"):
        return _FILTER.fullmatch(inside) or _unsupported(inside), False
    if inside.startswith("("):
        return _unsupported(inside), False
    if re.fullmatch(r"-?\d*:-?\d*(:-?\d+)?", inside):
        return slice(*(int(part) if part else None for part in inside.split(":"))), False
    parts = [_key(part.strip()) for part in re.findall(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^,]+", inside)]
    return (parts[0], True) if len(parts) == 1 else (parts, False)


def _unsupported(inside: str) -> object:
    raise UnsupportedFunction(f"jsonpath [{inside}] is not supported locally: select with filter() on fromJSON() instead")


def _key(part: str) -> str | int:
    if part[:1] in ("'", '"'):
        return re.sub(r"\\(.)", r"\1", part[1:-1])
    return int(part) if re.fullmatch(r"-?\d+", part) else part


def _select(place: object, keys: object) -> list[object]:
    if keys == "*":
        return [place[key] for key in sorted(place)] if isinstance(place, dict) else list(place) if isinstance(place, list) else []
    if isinstance(keys, slice):
        return place[keys] if isinstance(place, list) else []
    if isinstance(keys, re.Match):
        inner = place.values() if isinstance(place, dict) else place if isinstance(place, list) else ()
        return [part for part in inner if _passes(part, keys)]
    if isinstance(keys, list):
        return [value for key in keys for value in _reach(place, key)]
    return _reach(place, keys)


def _reach(place: object, key: object) -> list[object]:
    if isinstance(place, dict):
        if isinstance(key, int):
            raise Panic("index: invalid token target. expected [array slice] got [map]")
        if key in place:
            return [place[key]]
        raise Panic(f"key: invalid token key '{key}' not found")
    if isinstance(place, list):
        if key == "length":
            return [len(place)]
        if isinstance(key, int) and -len(place) <= key < len(place):
            return [place[key]]
        raise Panic(
            "index: invalid token out of range" if isinstance(key, int) else "key: invalid token target. expected [map] got [slice]"
        )
    kind = {str: "string", float: "float64", bool: "bool", type(None): "nil"}.get(type(place), "value")
    if isinstance(key, int):
        raise Panic(f"index: invalid token target. expected [array slice] got [{kind}]")
    raise Panic(f"key: invalid token target. expected [map] got [{kind}]")


def _passes(part: object, test: re.Match[str]) -> bool:
    try:
        value = query("$" + test["path"], part)
    except Panic:
        return False
    if not test["operator"]:
        return True
    try:
        wanted = json.loads(test["value"]) if test["value"][0] != "'" else test["value"][1:-1]
    except ValueError:
        return False
    if test["operator"] in ("==", "!="):
        return (value == wanted) is (test["operator"] == "==")
    if not isinstance(value, int | float) or not isinstance(wanted, int | float):
        return False
    return {"<": value < wanted, ">": value > wanted, "<=": value <= wanted, ">=": value >= wanted}[test["operator"]]
