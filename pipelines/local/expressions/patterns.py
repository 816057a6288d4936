"""The functions of sprig on regular expressions. http://masterminds.github.io/sprig/strings.html (v3.3.0, regex.go)"""

import re
from collections.abc import Callable
from functools import partial
from itertools import islice

from pipelines.local import golang, re2
from pipelines.local.expressions.errors import Panic
from pipelines.local.expressions.values import to_text

_NOT_BACKQUOTED = re.compile("[\\0-\\x08\\n-\\x1f`\\x7f\\ufeff]")


def _find(regexp: re2.Regexp, of: str) -> str:
    found = regexp.find(of)
    return found.whole if found else ""


def _find_all(regexp: re2.Regexp, of: str, most: int) -> list[str] | None:
    """Go's nil, which is null, where there are none."""
    return [match.whole for match in islice(regexp.find_all(of), most if most >= 0 else None)] or None


def _replace_all(regexp: re2.Regexp, of: str, by: str) -> str:
    return regexp.replace(of, lambda match: match.expand(by))


def _replace_all_literal(regexp: re2.Regexp, of: str, by: str) -> str:
    return regexp.replace(of, lambda _: by)


def _split(regexp: re2.Regexp, of: str, most: int) -> list[str] | None:
    return regexp.split(of, most) if most else None


def _returning(function: Callable[..., object], regex: str, *arguments: object) -> object:
    """As a `must…` function does it: the error of the pattern is that of the call."""
    try:
        return function(re2.compile(to_text(regex)), *arguments)
    except re2.PatternError as error:
        raise Panic(str(error)) from None


def _panicking(function: Callable[..., object], regex: str, *arguments: object) -> object:
    """As the others do it, by `regexp.MustCompile`."""
    try:
        return function(re2.compile(to_text(regex)), *arguments)
    except re2.PatternError as error:
        shown = golang.quote(regex) if _NOT_BACKQUOTED.search(regex) else f"`{regex}`"
        raise Panic(f"regexp: Compile({shown}): {error}") from None


def _match(regex: str, of: str) -> bool:
    """The one that takes a bad pattern for one that matches nothing."""
    try:
        return re2.compile(to_text(regex)).search(of)
    except re2.PatternError:
        return False


_FUNCTIONS: dict[str, Callable[..., object]] = {
    "Match": re2.Regexp.search,
    "Find": _find,
    "FindAll": _find_all,
    "ReplaceAll": _replace_all,
    "ReplaceAllLiteral": _replace_all_literal,
    "Split": _split,
}
PATTERNS: dict[str, Callable[..., object]] = {
    **{f"regex{name}": partial(_panicking, function) for name, function in _FUNCTIONS.items()},
    **{f"mustRegex{name}": partial(_returning, function) for name, function in _FUNCTIONS.items()},
    "regexMatch": _match,
    "regexQuoteMeta": lambda of: re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", of),
}
