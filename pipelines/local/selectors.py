"""Conditions of resource steps: Kubernetes label selectors whose keys are gjson paths into the object.

Grammar and messages: k8s.io/apimachinery v0.35.4 `pkg/labels`; keys: github.com/tidwall/gjson v1.19.0, of which label syntax leaves names
and array indexes; use: argo-workflows v4.1.2 `workflow/executor/resource.go`, where the comma of a failureCondition means "or".
"""

import re
from dataclasses import dataclass

from pipelines.local import golang

_LEXEME = r"[ \t\r\n]*(?:(?P<symbol>==|!=|[=!(),><])|(?P<word>[^=!(),>< \t\r\n]+))"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_PREFIX = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")
_ALPHABET = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_KEY_RULE = f"name part {_ALPHABET} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
_WHOLE_KEY_RULE = (
    f"a valid label key {_KEY_RULE.removeprefix('name part ')} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_VALUE_RULE = (
    f"a valid label must be an empty string or {_ALPHABET.removeprefix('must ')} "
    f"(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({_NAME})?')"
)
_PREFIX_RULE = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    f"with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_PREFIX.replace(chr(92) * 2, chr(92))}')"
)
_INTEGER = r"[+-]?\d{1,19}"


class SelectorError(Exception):
    """The condition cannot be read; the message is that of Kubernetes."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one field; operator is one of = == != in notin gt lt exists !."""

    key: str
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{{{self.key} {self.operator} [{' '.join(self.values)}]}}"

    def holds(self, document: object) -> bool:
        return self.suits(*look_up(self.key, document))

    def suits(self, exists: bool, value: str) -> bool:
        """Whether a field, or a label, that exists or not and has this value meets the condition."""
        if self.operator in ("exists", "!"):
            return exists is (self.operator == "exists")
        if self.operator in ("!=", "notin"):
            return not exists or value not in self.values
        if self.operator in ("gt", "lt"):
            if not exists or not re.fullmatch(_INTEGER, value):
                return False
            return int(value) > int(self.values[0]) if self.operator == "gt" else int(value) < int(self.values[0])
        return exists and value in self.values


def matches(condition: str, document: object) -> bool:
    """Whether an object meets every part of a successCondition. Raises SelectorError."""
    return all(requirement.holds(document) for requirement in parse(condition))


def first_match(condition: str, document: object) -> str | None:
    """The part of a failureCondition that an object meets, as Argo prints it (`{status.failed gt [0]}`). Raises SelectorError."""
    return next((str(requirement) for requirement in parse(condition) if requirement.holds(document)), None)


def look_up(path: str, document: object) -> tuple[bool, str]:
    """Whether a path of names and indexes exists in an object, and its value as text."""
    place = document
    for part in path.split("."):
        if isinstance(place, dict) and part in place:
            place = place[part]
        elif isinstance(place, list) and part.isascii() and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        else:
            return False, ""
    return True, _text(place)


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:f}".rstrip("0")
    return golang.marshal(value)


def parse(condition: str) -> list[Requirement]:
    """The requirements, sorted by key as Kubernetes does. Raises SelectorError."""
    return sorted(_Parser(condition).selector(), key=lambda requirement: requirement.key)


class _Parser:
    def __init__(self, condition: str) -> None:
        self.tokens, at = list[tuple[str, str]](), 0
        while found := re.compile(_LEXEME).match(condition, at):
            word = found["word"]
            self.tokens.append(("word", word) if word else (found["symbol"], found["symbol"]))
            at = found.end()
        self.tokens.append(("end", ""))
        self.at = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[min(self.at, len(self.tokens) - 1)]

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def selector(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        while self.peek()[0] != "end":
            if self.peek()[0] not in ("word", "!"):
                raise SelectorError(f"found '{self.peek()[1]}', expected: !, identifier, or 'end of string'")
            requirements.append(self.requirement())
            kind, text = self.take()
            if kind == "end":
                break
            if kind != ",":
                raise SelectorError(f"found '{text}', expected: ',' or 'end of string'")
            if self.peek()[0] not in ("word", "!"):
                raise SelectorError(f"found '{self.peek()[1]}', expected: identifier after ','")
        return requirements

    def requirement(self) -> Requirement:
        try:
            return self.checked()
        except SelectorError as error:
            raise SelectorError(f"unable to parse requirement: {error}") from None

    def checked(self) -> Requirement:
        kind, text = self.take()
        absent = kind == "!"
        if absent:
            kind, text = self.take()
        key = _identifier(kind, text)
        _check_key(key)
        if absent or self.peek()[0] in ("end", ","):
            return Requirement(key, "!" if absent else "exists", ())
        operator = self.take()[1]
        if operator not in _OPERATORS:
            raise SelectorError(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
        values = self.several() if operator in ("in", "notin") else self.single()
        _check_values(key, operator, values)
        return Requirement(key, {">": "gt", "<": "lt"}.get(operator, operator), values)

    def single(self) -> tuple[str, ...]:
        if self.peek()[0] in ("end", ","):
            return ("",)
        return (_identifier(*self.take()),)

    def several(self) -> tuple[str, ...]:
        kind, text = self.take()
        if kind != "(":
            raise SelectorError(f"found '{text}' expected: '('")
        if self.peek()[0] not in ("word", ",", ")"):
            raise SelectorError(f"found '{self.peek()[1]}', expected: ',', ')' or identifier")
        values, current = set[str](), ""
        while True:
            kind, text = self.take()
            if kind == "word" and not current:
                current = text
            elif kind in (",", ")"):
                values.add(current)
                current = ""
                if kind == ")":
                    return tuple(sorted(values))
            else:
                raise SelectorError(f"found '{text}', expected: ',' or ')'" if current else f"found '{text}', expected: ',', or identifier")


def _identifier(kind: str, text: str) -> str:
    if kind != "word":
        raise SelectorError(f"found '{text}', expected: identifier")
    return text


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    problems = []
    if "/" in prefix:
        raise SelectorError(f"<nil>: Invalid value: {golang.quote(key)}: {_WHOLE_KEY_RULE}")
    if slash and not re.fullmatch(_PREFIX, prefix):
        problems.append(_PREFIX_RULE if prefix else "prefix part must be non-empty")
    if len(name) > 63:
        problems.append("name part must be no more than 63 bytes")
    if not re.fullmatch(_NAME, name):
        problems.append(_KEY_RULE if name else f"name part must be non-empty; {_KEY_RULE}")
    if problems:
        raise SelectorError(f"<nil>: Invalid value: {golang.quote(key)}: {'; '.join(problems)}")


def _check_values(key: str, operator: str, values: tuple[str, ...]) -> None:
    problems = []
    for index, value in enumerate(values):
        if operator in "><" and not (re.fullmatch(_INTEGER, value) and -(2**63) <= int(value) < 2**63):
            integer = "for 'Gt', 'Lt' operators, the value must be an integer"
            problems.append(f"values[{index}]: Invalid value: {golang.quote(value)}: {integer}")
        rules = ["must be no more than 63 bytes"] if len(value.encode("utf-8", "replace")) > 63 else []
        rules += [] if re.fullmatch(f"({_NAME})?", value) else [_VALUE_RULE]
        if rules:
            problems.append(f"values[{index}][{key}]: Invalid value: {golang.quote(value)}: {'; '.join(rules)}")
    if problems:
        raise SelectorError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
