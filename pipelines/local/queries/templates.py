"""kubectl's jsonpath templates: text, `{.a.b[0]}`, `['key']`, slices, unions, `..`, `[?(@.a=="b")]`, `{range …}{end}`.

Language: https://kubernetes.io/docs/reference/kubectl/jsonpath; details: k8s.io/client-go v0.35.4 `util/jsonpath`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipelines.local import golang
from pipelines.local.queries import QueryError

_NAME = re.compile(r"(?:\\.|[^\s.,\[\]$@{}\\])*")
_WORD = re.compile(r"[^\s.,\[\]$@{}]+")
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
_COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|([0-7]{3}))")
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_GO = {dict: "map[string]interface {}", bool: "bool", int: "int64", float: "float64"}

Step = Callable[[list[object]], list[object]]


@dataclass(slots=True)
class _Block:
    """A piece of the template: text, one action, or a range with what it repeats."""

    text: str = ""
    steps: list[Step] = field(default_factory=list)
    inside: "list[_Block] | None" = None


def render(template: str, document: object) -> str:
    """The text that a template gives for an object; raises QueryError."""
    try:
        blocks, _ = _blocks(list(_pieces(template)), nested=False)
        return "".join(_printed(blocks, document))
    except (RecursionError, ValueError):
        raise QueryError("the jsonpath or the object is nested too deeply, or a number in it is too long") from None


def _printed(blocks: list[_Block], document: object) -> Iterator[str]:
    for block in blocks:
        if block.text:
            yield block.text
            continue
        found = _run(block.steps, [document])
        if block.inside is None:
            yield " ".join(_text(value) for value in found)
        else:
            for value in found:
                yield from _printed(block.inside, value)


def _text(value: object) -> str:
    if isinstance(value, dict | list):
        return golang.marshal(value)
    return "null" if value is None else golang.sprint(value)


def _run(steps: list[Step], values: list[object]) -> list[object]:
    for step in steps:
        values = step(values)
    return values


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    """("text", …) and ("action", …) in order."""
    at = 0
    while at < len(template):
        opening = template.find("{", at)
        if opening != at:
            yield "text", template[at : opening if opening >= 0 else len(template)]
        if opening < 0:
            return
        closing = _end_of_action(template, opening + 1)
        yield "action", template[opening + 1 : closing]
        at = closing + 1


def _end_of_action(template: str, at: int) -> int:
    quote = ""
    while at < len(template) and (quote or template[at] != "}"):
        character = template[at]
        if quote:
            quote = "" if character == quote and template[at - 1] != "\\" else quote
        elif character in "'\"":
            quote = character
        at += 1
    if at >= len(template):
        unclosed = "quoted string" if quote else "array" if template.rfind("[") > template.rfind("]") else ""
        raise QueryError(f"error parsing jsonpath {template}, {f'unterminated {unclosed}' if unclosed else 'unclosed action'}")
    return at


def _blocks(pieces: list[tuple[str, str]], nested: bool) -> tuple[list[_Block], list[tuple[str, str]]]:
    blocks: list[_Block] = []
    while pieces:
        (kind, text), *pieces = pieces
        action = text.strip()
        if kind == "text":
            blocks.append(_Block(text))
        elif action == "end":
            if not nested:
                raise QueryError("not in range, nothing to end")
            return blocks, pieces
        elif re.match(r"range\b", action):
            inside, pieces = _blocks(pieces, nested=True)
            blocks.append(_Block("", _Action(action.removeprefix("range")).steps(), inside))
        else:
            blocks.append(_Block("", _Action(text).steps()))
    return blocks, []


class _Action:
    """What stands between braces."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def steps(self) -> list[Step]:
        found: list[Step] = []
        while self.at < len(self.text):
            step = self.step(self.text[self.at])
            if step:
                found.append(step)
        return found

    def step(self, character: str) -> Step | None:
        if self.text.startswith("[?(", self.at):
            return self.filter()
        if self.text.startswith("..", self.at):
            return self.descent()
        if character in " @$":
            self.at += 1
            return None
        if character == "[":
            return self.bracket()
        if character in "'\"":
            return _constant(self.quoted(character))
        if character == ".":
            self.at += 1
            return self.name()
        return self.word(character)

    def name(self) -> Step:
        found = _NAME.match(self.text, self.at)
        name = found[0] if found else ""
        self.at += len(name)
        return _every if name == "*" else _named(name.replace("\\", ""))

    def descent(self) -> Step:
        self.at += 2
        name = self.name() if self.text[self.at : self.at + 1].isalnum() else None
        return lambda values: (name or list)([below for value in values for below in _containers(value)])

    def word(self, character: str) -> Step:
        found = _WORD.match(self.text, self.at)
        if not found:
            raise QueryError(f"unrecognized character in action: U+{ord(character):04X} '{character}'")
        self.at = found.end()
        number = re.compile(r"[+-]?\d+(\.\d+)?").match(self.text, found.start())
        if number:
            self.at = number.end()
            return _constant(float(number[0]) if number[1] else int(number[0]))
        if found[0] in ("true", "false"):
            return _constant(found[0] == "true")
        raise QueryError(f"unrecognized identifier {found[0]}")

    def quoted(self, quote: str) -> str:
        start = self.at + 1
        end = start
        while self.text[end : end + 1] != quote:
            if end >= len(self.text):
                raise QueryError("unterminated quoted string")
            end += 2 if self.text[end] == "\\" else 1
        self.at = end + 1
        return _ESCAPE.sub(_unescaped, self.text[start:end])

    def bracket(self) -> Step:
        closing = self.text.find("]", self.at)
        if closing < 0:
            raise QueryError(f"error parsing jsonpath {{{self.text}}}, unterminated array")
        inside, self.at = self.text[self.at + 1 : closing], closing + 1
        if "," in inside:
            parts = [_Action(f"[{part.strip()}]").steps() for part in inside.split(",")]
            return lambda values: [found for steps in parts for found in _run(steps, values)]
        key = re.fullmatch(r"'([^']*)'", inside)
        if key:
            steps = _Action(f".{key[1]}").steps()
            return lambda values: _run(steps, values)
        bounds = _SLICE.fullmatch(":" if inside == "*" else inside)
        if not bounds:
            raise QueryError(f"error parsing jsonpath {{{self.text}}}, invalid array index {inside}")
        return _sliced(*bounds.groups())

    def filter(self) -> Step:
        start, quote, at = self.at + 3, "", self.at + 3
        while at < len(self.text) and (quote or self.text[at] != ")"):
            character = self.text[at]
            if quote:
                quote = "" if character == quote and self.text[at - 1] != "\\" else quote
            elif character in "'\"":
                quote = character
            at += 1
        if not self.text.startswith(")]", at):
            raise QueryError("unterminated filter" if at >= len(self.text) else "unclosed array expect ]")
        inside, self.at = self.text[start:at], at + 2
        compared = _COMPARISON.fullmatch(inside)
        if not compared:
            left = _Action(inside).steps()
            return lambda values: _filtered(values, lambda element: bool(_run(left, [element])))
        left, right = _Action(compared[1]).steps(), _Action(compared[3]).steps()
        operator = compared[2]
        return lambda values: _filtered(values, lambda element: _compared(operator, _run(left, [element]), _run(right, [element])))


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return _LETTERS.get(found[1], found[1])
    return chr(int(found[4], 8)) if found[4] else chr(int(found[2] or found[3], 16))


def _constant(value: object) -> Step:
    return lambda values: [value for _ in values]


def _named(name: str) -> Step:
    return lambda values: [value[name] for value in values if isinstance(value, dict) and name in value]


def _every(values: list[object]) -> list[object]:
    return [part for value in values for part in _parts(value)]


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return list(value) if isinstance(value, list) else []


def _containers(value: object) -> Iterator[object]:
    parts = _parts(value)
    if parts:
        yield value
        for part in parts:
            yield from _containers(part)


def _sliced(first: str, second: str | None, third: str | None) -> Step:
    def step(values: list[object]) -> list[object]:
        found: list[object] = []
        for value in values:
            if value is not None and not isinstance(value, list):
                raise QueryError(f"{_GO.get(type(value), 'string')} is not array or slice")
            found += _cut(value or [], first, second, third) if value is not None else []
        return found

    return step


def _cut(value: list[object], first: str, second: str | None, third: str | None) -> list[object]:
    size = len(value)
    start = int(first) if first else 0
    start += size if start < 0 else 0
    if second is None:
        end = start + 1
    else:
        end = int(second[1:]) if second[1:] else size
        end += size if end < 0 else 0
    if start == end:
        return []
    for index in (start, end - 1):
        if not 0 <= index < size:
            raise QueryError(f"array index out of bounds: index {index}, length {size}")
    if start > end:
        raise QueryError(f"starting index {start} is greater than ending index {end}")
    step = int(third[1:]) if third and third[1:] else 1
    if step <= 0:
        raise QueryError("step must be > 0")
    return value[start:end:step]


def _filtered(values: list[object], passes: Callable[[object], bool]) -> list[object]:
    found: list[object] = []
    for value in values:
        if not isinstance(value, list):
            raise QueryError(f"{golang.sprint(value)} is not array or slice and cannot be filtered")
        found += [element for element in value if passes(element)]
    return found


def _compared(operator: str, lefts: list[object], rights: list[object]) -> bool:
    if not lefts or not rights:
        return False
    if len(lefts) > 1 or len(rights) > 1:
        raise QueryError("can only compare one element at a time")
    left, right = lefts[0], rights[0]
    if _kind(left) != _kind(right) or _kind(left) == "":
        raise QueryError("incompatible types for comparison")
    if operator in ("==", "!="):
        return (left == right) is (operator == "==")
    orders: dict[str, Callable[..., bool]] = {
        "<": lambda one, other: one < other,
        ">": lambda one, other: one > other,
        "<=": lambda one, other: one <= other,
        ">=": lambda one, other: one >= other,
    }
    if operator not in orders:
        raise QueryError(f"unrecognized filter operator {operator}")
    if isinstance(left, bool):
        raise QueryError("invalid type for comparison")
    return orders[operator](left, right)


def _kind(value: object) -> str:
    for python, kind in ((bool, "bool"), (int, "int"), (float, "float"), (str, "string")):
        if isinstance(value, python):
            return kind
    return ""
