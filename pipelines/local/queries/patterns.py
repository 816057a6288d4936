"""The functions of jq on regular expressions. https://jqlang.org/manual#regular-expressions, as gojq 0.12.19 has them on Go's `regexp`"""

from collections.abc import Callable, Iterator
from itertools import islice

from pipelines.local import golang, re2
from pipelines.local.queries.values import Broken, text

Argument = Callable[[object], Iterator[object]]


def _nothing(_: object) -> Iterator[object]:
    return iter([None])


def _regexps(value: object, regex: Argument, flags: Argument) -> Iterator[tuple[re2.Regexp, bool]]:
    """Each pattern under each set of flags, and whether it is to be found everywhere."""
    for pattern in regex(value):
        for letters in flags(value):
            yield _compiled(text(pattern), "" if letters is None else text(letters))


def _compiled(pattern: str, flags: str) -> tuple[re2.Regexp, bool]:
    if not {*flags} <= {*"gim"}:
        raise Broken(f"unsupported regular expression flag: {golang.quote(flags)}")
    pattern = ("(?s)" if "m" in flags else "") + ("(?i)" if "i" in flags else "") + pattern
    try:
        return re2.compile(pattern), "g" in flags
    except re2.PatternError as error:
        raise Broken(f"invalid regular expression {golang.quote(pattern)}: {error}") from None


def _found(of: str, regexp: re2.Regexp, everywhere: bool) -> Iterator[re2.Match]:
    return islice(regexp.find_all(of), None if everywhere else 1)


def _test(value: object, regex: Argument, flags: Argument = _nothing) -> Iterator[object]:
    return (regexp.search(text(value)) for regexp, _ in _regexps(value, regex, flags))


def _matches(value: object, regex: Argument, flags: Argument = _nothing) -> Iterator[re2.Match]:
    return (match for regexp, everywhere in _regexps(value, regex, flags) for match in _found(text(value), regexp, everywhere))


def _all_matches(value: object, regex: Argument, flags: Argument = _nothing) -> Iterator[list[re2.Match]]:
    return ([*regexp.find_all(text(value))] for regexp, _ in _regexps(value, regex, flags))


def _match(value: object, regex: Argument, flags: Argument = _nothing) -> Iterator[object]:
    for match in _matches(value, regex, flags):
        whole, *captures = (_group(match, number) for number in range(len(match.names)))
        yield {**{key: whole[key] for key in ("offset", "length", "string")}, "captures": captures}


def _group(match: re2.Match, number: int) -> dict[str, object]:
    string = match[number]
    return {"offset": match.offset(number), "length": len(string or ""), "string": string, "name": match.names[number] or None}


def _named(match: re2.Match) -> dict[str, object]:
    return {name: match[number] for number, name in enumerate(match.names) if name}


def _capture(value: object, regex: Argument, flags: Argument = _nothing) -> Iterator[object]:
    return (_named(match) for match in _matches(value, regex, flags))


def _scan(value: object, regex: Argument, flags: Argument = _nothing) -> Iterator[object]:
    return (match.groups() or match.whole for some in _all_matches(value, regex, flags) for match in some)


def _splits(value: object, regex: Argument, flags: Argument = _nothing) -> Iterator[object]:
    return (part for some in _all_matches(value, regex, flags) for part in _between(text(value), some))


def _split(value: object, regex: Argument, flags: Argument) -> Iterator[object]:
    return iter([[*_splits(value, regex, flags)]])  # one list of all, as `[splits($re; $flags)]`


def _between(of: str, matches: list[re2.Match]) -> list[str]:
    starts, ends = [0, *(match.end for match in matches)], [*(match.start for match in matches), len(of)]
    return [of[start:end] for start, end in zip(starts, ends, strict=True)]


def _sub(value: object, regex: Argument, by: Argument, flags: Argument = _nothing) -> Iterator[object]:
    for regexp, everywhere in _regexps(value, regex, flags):
        yield from _substituted(text(value), _found(text(value), regexp, everywhere), by)


def _gsub(value: object, regex: Argument, by: Argument, flags: Argument = _nothing) -> Iterator[object]:
    for some in _all_matches(value, regex, flags):
        yield from _substituted(text(value), iter(some), by)


def _substituted(of: str, matches: Iterator[re2.Match], by: Argument) -> list[str]:
    """One text for each value that `by` makes of the named groups; the text as it was, if it makes none."""
    made, copied = list[str](), 0
    for match in matches:
        for index, replacement in enumerate(by(_named(match))):
            made[index : index + 1] = ["".join([*made[index : index + 1], of[copied : match.start], text(replacement)])]
        copied = match.end
    return [one + of[copied:] for one in made] or [of]


_FINDERS = {"test": _test, "match": _match, "capture": _capture, "scan": _scan, "splits": _splits}
PATTERNS: dict[tuple[str, int], Callable[..., Iterator[object]]] = {
    **{(name, number): function for name, function in _FINDERS.items() for number in (1, 2)},
    **{(name, number): function for name, function in (("sub", _sub), ("gsub", _gsub)) for number in (2, 3)},
    ("split", 2): _split,
}
