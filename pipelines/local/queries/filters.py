"""What jq filters do: each is a function from a value and the variables in scope to its results."""

from collections.abc import Callable, Iterator, Mapping

from pipelines.local import golang
from pipelines.local.queries import QueryError
from pipelines.local.queries.values import Broken, compare, describe, truthy

Scope = Mapping[str, object]
Filter = Callable[[object, Scope], Iterator[object]]


def as_text(value: object) -> str:
    return value if isinstance(value, str) else golang.marshal(value)


def itself(value: object, scope: Scope) -> Iterator[object]:
    return iter([value])


def constant(result: object) -> Filter:
    return lambda value, scope: iter([result])


def argument(source: Filter, scope: Scope) -> Callable[[object], Iterator[object]]:
    return lambda value: source(value, scope)


def bound(name: str, scope: Scope) -> object:
    if name not in scope:
        raise QueryError(f"variable not defined: {name}")
    return scope[name]


def piped(left: Filter, right: Filter) -> Filter:
    return lambda value, scope: (result for middle in left(value, scope) for result in right(middle, scope))


def formatted(inner: Filter, shown: Callable[[object], str]) -> Filter:
    return lambda value, scope: (shown(result) for result in inner(value, scope))


def joined(pieces: list[Filter]) -> Filter:
    def run(value: object, scope: Scope) -> Iterator[object]:
        texts = [""]
        for piece in pieces:
            texts = [text + str(part) for part in piece(value, scope) for text in texts]
        return iter(texts)

    return run


def optional(term: Filter) -> Filter:
    def run(value: object, scope: Scope) -> Iterator[object]:
        try:
            yield from term(value, scope)
        except Broken:
            return

    return run


def alternative(left: Filter, right: Filter) -> Filter:
    def run(value: object, scope: Scope) -> Iterator[object]:
        useful = False
        try:
            for result in left(value, scope):
                if truthy(result):
                    useful = True
                    yield result
        except Broken:
            pass
        if not useful:
            yield from right(value, scope)

    return run


def binary(symbol: str, left: Filter, right: Filter) -> Filter:
    def run(value: object, scope: Scope) -> Iterator[object]:
        if symbol in ("and", "or"):
            for first in left(value, scope):
                if truthy(first) is (symbol == "or"):
                    yield symbol == "or"
                else:
                    yield from (truthy(second) for second in right(value, scope))
            return
        for second in right(value, scope):
            for first in left(value, scope):
                yield compare(symbol, first, second)

    return run


def indexed(term: Filter, key: Filter) -> Filter:
    return lambda value, scope: (_at(of, by) for of in term(value, scope) for by in key(value, scope))


def _at(of: object, key: object) -> object:
    if of is None and (isinstance(key, str | int | float) or key is None):
        return None
    if isinstance(of, dict) and isinstance(key, str):
        return of.get(key)
    if isinstance(of, list) and isinstance(key, int | float) and not isinstance(key, bool):
        position = int(key // 1)
        return of[position] if -len(of) <= position < len(of) else None
    if isinstance(key, str):
        raise Broken(f"expected an object but got: {describe(of)}")
    raise Broken(f"expected an array but got: {describe(of)}" if isinstance(key, int | float) else f"cannot index with: {describe(key)}")


def sliced(term: Filter, low: Filter, high: Filter) -> Filter:
    def run(value: object, scope: Scope) -> Iterator[object]:
        for of in term(value, scope):
            for end in high(value, scope):
                for start in low(value, scope):
                    yield _slice(of, start, end)

    return run


def _slice(of: object, start: object, end: object) -> object:
    if of is None:
        return None
    if not isinstance(of, list | str):
        raise Broken(f"expected an array but got: {describe(of)}")
    bounds = [int(bound) if isinstance(bound, int | float) else None for bound in (start, end)]
    return of[bounds[0] : bounds[1]]


def iterated(of: object) -> Iterator[object]:
    if isinstance(of, dict):
        return iter([of[key] for key in sorted(of)])
    if isinstance(of, list):
        return iter(of)
    raise Broken(f"cannot iterate over: {describe(of)}")


def everything(value: object) -> Iterator[object]:
    yield value
    if isinstance(value, dict | list):
        for part in iterated(value):
            yield from everything(part)


def objects(pairs: list[tuple[Filter, Filter]], value: object, scope: Scope) -> Iterator[object]:
    made: list[dict[str, object]] = [{}]
    for keys, contents in pairs:
        made = [{**one, _key(key): content} for one in made for key in keys(value, scope) for content in contents(value, scope)]
    return iter(made)


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise Broken(f"expected a string for object key but got: {describe(key)}")


def reduced(value: object, scope: Scope, source: Filter, name: str, start: Filter, update: Filter) -> Iterator[object]:
    for total in start(value, scope):
        for element in source(value, scope):
            total = next(reversed(list(update(total, {**scope, name: element}))), None)
        yield total
