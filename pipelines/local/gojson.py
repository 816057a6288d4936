"""JSON as Go's encoding/json reads and writes it: what Argo's outputs look like to the last byte."""

import json
import re
from decimal import Decimal
from typing import Any

from pipelines.local import golang

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')
_LITERALS = ("true", "false", "null")


def number(value: float) -> str:
    """A number as text: 1.5, 1000, 12345678901234567000, -0. https://pkg.go.dev/strconv#FormatFloat with 'f', -1"""
    text = format(Decimal(repr(float(value))), "f")
    return text.removesuffix(".0") if text.endswith(".0") else text


def compact(text: str) -> str:
    """The same JSON without blanks, `<>&` escaped; numbers and escapes keep their spelling. ValueError in Go's words."""
    problem = error(text)
    if problem:
        raise ValueError(problem)
    return _TOKEN.sub(lambda found: found[1] or "", text).translate(_HTML)


def dumps(value: Any, sort: bool = True, html: bool = True) -> str:
    """Compact, keys sorted, `<>&` escaped."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return text.translate(_HTML) if html else text
    if isinstance(value, float):
        return number(value)
    if isinstance(value, dict):
        keys = sorted(value) if sort else value
        return "{" + ",".join(f"{dumps(k, sort, html)}:{dumps(value[k], sort, html)}" for k in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dumps(v, sort, html) for v in value) + "]"
    return json.dumps(value)


def error(text: str) -> str:
    """What encoding/json says about a text that is no JSON; empty when it is."""
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return _complaint(text)
    return ""


def elements(text: str) -> list[str]:
    """The elements of a JSON list, each as it was written. ValueError in Go's words."""
    problem = error(text)
    if problem:
        raise ValueError(problem)
    at = _blank(text, 0)
    if text[at] != "[":
        kind = {"{": "object", '"': "string", "t": "bool", "f": "bool"}.get(text[at], "number")
        raise ValueError(f"json: cannot unmarshal {kind} into Go value of type []v1alpha1.Item")
    found = []
    at = _blank(text, at + 1)
    while text[at] != "]":
        end = _value(text, at)
        found.append(text[at:end])
        at = _blank(text, end)
        at = _blank(text, at + 1) if text[at] == "," else at
    return found


def members(text: str) -> dict[str, str]:
    """The values of a JSON object, each as it was written."""
    found = {}
    at = _blank(text, 1)
    while text[at] != "}":
        end = _text(text, at + 1)
        key: str = json.loads(text[at:end])
        at = _blank(text, _blank(text, end) + 1)
        end = _value(text, at)
        found[key] = text[at:end]
        at = _blank(text, end)
        at = _blank(text, at + 1) if text[at] == "," else at
    return found


def _refuse(name: str) -> None:
    raise ValueError(name)


class _Wrong(Exception):
    """Where Go's scanner stops."""


def _complaint(text: str) -> str:
    try:
        at = _blank(text, _value(text, 0))
        if at < len(text):
            raise _Wrong(f"invalid character {_quoted(text[at])} after top-level value")
    except _Wrong as wrong:
        return str(wrong)
    except IndexError:
        return "unexpected end of JSON input"
    return "invalid character in string literal"


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _value(text: str, at: int) -> int:
    """The end of the value that begins here. https://cs.opensource.google/go/go/+/master:src/encoding/json/scanner.go"""
    at = _blank(text, at)
    first = text[at]
    if first == "{":
        return _object(text, _blank(text, at + 1))
    if first == "[":
        return _array(text, _blank(text, at + 1))
    if first == '"':
        return _text(text, at + 1)
    for literal in _LITERALS:
        if first == literal[0]:
            return _literal(text, at, literal)
    number_ = _NUMBER.match(text, at)
    if number_ is None:
        raise _Wrong(f"invalid character {_quoted(first)} looking for beginning of value")
    return number_.end()


def _object(text: str, at: int) -> int:
    if text[at] == "}":
        return at + 1
    while True:
        if text[at] != '"':
            raise _Wrong(f"invalid character {_quoted(text[at])} looking for beginning of object key string")
        at = _blank(text, _text(text, at + 1))
        if text[at] != ":":
            raise _Wrong(f"invalid character {_quoted(text[at])} after object key")
        at = _blank(text, _value(text, at + 1))
        if text[at] == "}":
            return at + 1
        if text[at] != ",":
            raise _Wrong(f"invalid character {_quoted(text[at])} after object key:value pair")
        at = _blank(text, at + 1)


def _array(text: str, at: int) -> int:
    if text[at] == "]":
        return at + 1
    while True:
        at = _blank(text, _value(text, at))
        if text[at] == "]":
            return at + 1
        if text[at] != ",":
            raise _Wrong(f"invalid character {_quoted(text[at])} after array element")
        at += 1


def _text(text: str, at: int) -> int:
    while text[at] != '"':
        if text[at] < " ":
            raise _Wrong(f"invalid character {_quoted(text[at])} in string literal")
        if text[at] == "\\" and text[at + 1] not in '"\\/bfnrtu':
            raise _Wrong(f"invalid character {_quoted(text[at + 1])} in string escape code")
        at += 2 if text[at] == "\\" else 1
    return at + 1


def _literal(text: str, at: int, literal: str) -> int:
    for index, expected in enumerate(literal):
        if text[at + index] != expected:
            raise _Wrong(f"invalid character {_quoted(text[at + index])} in literal {literal} (expecting {_quoted(expected)})")
    return at + len(literal)


def _quoted(char: str) -> str:
    """https://github.com/golang/go/blob/go1.26.5/src/encoding/json/scanner.go quoteChar"""
    return {"'": r"'\''", '"': "'\"'"}.get(char, f"'{golang.escape(char)}'")
