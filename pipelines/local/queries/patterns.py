"""The functions of jq on regular expressions, as gojq 0.12.19 has them on Go's `regexp`. https://jqlang.org/manual#regular-expressions"""

from collections.abc import Callable, Iterator
from itertools import islice

from pipelines.local import golang, re2
from pipelines.local.queries.values import Broken, compare, describe, text

Argument = Callable[[object], Iterator[object]]


def _no_flags(_: object) -> Iterator[object]:
    return iter([None])


def _asked(value: object, regex: Argument, flags: Argument, more: str | None = None) -> Iterator[tuple[object, object]]:
    """Each pattern with each set of flags, `more` of them added."""
    return ((pattern, compare("+", letters, more)) for pattern in regex(value) for letters in flags(value))


def _compiled(name: str, value: object, pattern: object, flags: object) -> re2.Regexp:
    if not (isinstance(value, str) and isinstance(pattern, str) and isinstance(flags, str | None)):
        raise Broken(f"{name}({_preview(pattern)}; {_preview(flags)}) cannot be applied to: {describe(value)}")
    letters = {*(flags or "")}
    if not letters <= {*"gim"}:
        raise Broken(f"unsupported regular expression flag: {golang.quote(flags or '')}")
    pattern = ("(?s)" if "m" in letters else "") + ("(?i)" if "i" in letters else "") + pattern
    try:
        return re2.compile(pattern)
    except re2.PatternError as error:
        raise Broken(f"invalid regular expression {golang.quote(pattern)}: {error}") from None


def _preview(value: object) -> str:
    shown = golang.marshal(value)
    return shown if len(shown) <= 30 else shown[:27] + "..."


def _found(value: object, pattern: object, flags: object) -> Iterator[re2.Match]:
    matches = _compiled("match", value, pattern, flags).find_all(text(value))
    return islice(matches, None if isinstance(flags, str) and "g" in flags else 1)


def _test(value: object, regex: Argument, flags: Argument = _no_flags) -> Iterator[object]:
    return (_compiled("test", value, *asked).search(text(value)) for asked in _asked(value, regex, flags))


def _match(value: object, regex: Argument, flags: Argument = _no_flags) -> Iterator[object]:
    for asked in _asked(value, regex, flags):
        for match in _found(value, *asked):
            whole, *captures = (_group(match, number) for number in range(len(match.names)))
            del whole["name"]
            yield {**whole, "captures": captures}


def _group(match: re2.Match, number: int) -> dict[str, object]:
    string = match[number]
    return {"offset": match.offset(number), "length": len(string or ""), "string": string, "name": match.names[number] or None}


def _capture(value: object, regex: Argument, flags: Argument = _no_flags) -> Iterator[object]:
    return (_named(match) for asked in _asked(value, regex, flags) for match in _found(value, *asked))


def _named(match: re2.Match) -> dict[str, object]:
    return {name: match[number] for number, name in enumerate(match.names) if name}


def _scan(value: object, regex: Argument, flags: Argument = _no_flags) -> Iterator[object]:
    return (match.groups() or match.whole for asked in _asked(value, regex, flags, "g") for match in _found(value, *asked))


def _split(value: object, regex: Argument, flags: Argument = _no_flags) -> Iterator[list[str]]:
    for asked in _asked(value, regex, flags, "g"):
        matches = [*_found(value, *asked)]
        starts, ends = [0, *(match.end for match in matches)], [*(match.start for match in matches), len(text(value))]
        yield [text(value)[start:end] for start, end in zip(starts, ends, strict=True)]


def _splits(value: object, regex: Argument, flags: Argument = _no_flags) -> Iterator[object]:
    return (part for parts in _split(value, regex, flags) for part in parts)


def _sub(value: object, regex: Argument, by: Argument, flags: Argument = _no_flags) -> Iterator[object]:
    return (made for asked in _asked(value, regex, flags) for made in _substituted(_found(value, *asked), text(value), by))


def _gsub(value: object, regex: Argument, by: Argument, flags: Argument = _no_flags) -> Iterator[object]:
    return (made for asked in _asked(value, regex, flags, "g") for made in _substituted(_found(value, *asked), text(value), by))


def _substituted(matches: Iterator[re2.Match], of: str, by: Argument) -> list[str]:
    """One text for each value that `by` makes of the named groups; the text as it was, if it makes none."""
    made, copied = list[str](), 0
    for match in matches:
        for index, replacement in enumerate(by(_named(match))):
            made[index : index + 1] = ["".join([*made[index : index + 1], text(compare("+", of[copied : match.start], replacement))])]
        copied = match.end
    return [one + of[copied:] for one in made] or [of]


_FINDERS = {"test": _test, "match": _match, "capture": _capture, "scan": _scan, "splits": _splits}
PATTERNS: dict[tuple[str, int], Callable[..., Iterator[object]]] = {
    **{(name, number): function for name, function in _FINDERS.items() for number in (1, 2)},
    **{(name, number): function for name, function in (("sub", _sub), ("gsub", _gsub)) for number in (2, 3)},
    ("split", 2): _split,
}
