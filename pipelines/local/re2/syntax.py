"""A pattern in RE2 syntax, read once from left to right into a program. https://pkg.go.dev/regexp/syntax"""

import re
from dataclasses import dataclass, field

from pipelines.local.re2 import program
from pipelines.local.re2.classes import CharacterClass, folded, span
from pipelines.local.re2.escapes import Reader
from pipelines.local.re2.program import Fragment, PatternError, Place, Program

_MOST_HEIGHT = 1000  # `maxHeight` of Go's regexp/syntax
_COUNT = re.compile(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}")
_MOST_REPEATS = 1000
_NAMED = re.compile(r"\(\?P?<")
_NAME = re.compile(r"\w+", re.ASCII)
_PLACES = {"A": Place.BEGIN_TEXT, "z": Place.END_TEXT, "b": Place.WORD_BOUNDARY, "B": Place.NO_WORD_BOUNDARY}


@dataclass(slots=True)
class _Group:
    """An open parenthesis: the flags and the size at it, its number if it captures, and what it holds so far."""

    flags: frozenset[str]
    size: int
    number: int | None = None
    alternatives: list[Fragment] = field(default_factory=list)
    items: list[Fragment] = field(default_factory=list)


def parse(pattern: str) -> tuple[Program, tuple[str, ...]]:
    """The program, and the names of the groups ("" where one has none; number 0 is the whole match). Raises PatternError."""
    parser = _Parser(pattern)
    try:
        whole = parser.parse()
    except program.TooLarge:
        raise PatternError("expression too large", pattern) from None
    return program.link(whole, len(parser.names) - 1), tuple(parser.names)


class _Parser(Reader):
    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self.names = [""]
        self.size = 0  # instructions of everything that waits for its end
        self.group = _Group(self.flags, self.size)
        self.outer: list[_Group] = []

    def parse(self) -> Fragment:
        repeated: int | None = None  # where the repetition began that ends here
        while self.at < len(self.pattern):
            start = self.at
            counted = _COUNT.match(self.pattern, start)
            if counted or self.pattern[start] in "*+?":
                self.repetition(counted, repeated)
                repeated = start
            else:
                self.item()
                repeated = None
        if self.outer:
            raise PatternError("missing closing )", self.pattern)
        return self.finished()

    def item(self) -> None:
        following = self.pattern[self.at]
        if following == "(":
            self.open()
        elif following == ")":
            self.close()
        elif following == "|":
            self.at += 1
            self.end_alternative()
        elif following == "[":
            self.push(program.character(self.bracket(), "class"))
        elif following == "\\":
            self.escape()
        else:
            self.at += 1
            self.sign(following)

    def sign(self, character: str) -> None:
        lines = "m" in self.flags
        if character == "^":
            self.push(program.assertion(Place.BEGIN_LINE if lines else Place.BEGIN_TEXT))
        elif character == "$":
            self.push(program.assertion(Place.END_LINE if lines else Place.END_TEXT))
        elif character == ".":
            newline = () if "s" in self.flags else (span("\n", "\n"),)
            self.push(program.character(CharacterClass(*newline, negated=True), "class"))
        else:
            self.literal(character)

    def literal(self, character: str) -> None:
        same = span(character, character)
        self.push(program.character(CharacterClass(folded(same) if "i" in self.flags else same), "literal"))

    def escape(self) -> None:
        """What a backslash begins, outside brackets."""
        letter = self.pattern[self.at + 1 : self.at + 2]
        if letter in _PLACES:
            self.at += 2
            self.push(program.assertion(_PLACES[letter]))
        elif letter == "Q":
            text, _, _ = self.pattern[self.at + 2 :].partition("\\E")
            self.at += len(text) + 4
            for character in text:
                self.literal(character)
        elif test := self.named_class():
            self.push(program.character(CharacterClass(test), "class"))
        else:
            self.literal(self.escaped())

    def push(self, fragment: Fragment) -> None:
        if fragment.height > _MOST_HEIGHT:
            raise PatternError("expression nests too deeply", self.pattern)
        self.size += len(fragment.code)
        program.check(self.size)
        self.group.items.append(fragment)

    def repetition(self, counted: re.Match[str] | None, before: int | None) -> None:
        start = self.at
        self.at = counted.end() if counted else start + 1
        low, high = _bounds(counted) if counted else (0, None)
        if low > _MOST_REPEATS or (high is not None and not low <= high <= _MOST_REPEATS):
            raise PatternError("invalid repeat count", self.since(start))
        lazy = "U" in self.flags
        if self.pattern.startswith("?", self.at):
            self.at, lazy = self.at + 1, not lazy
        if before is not None:
            raise PatternError("invalid nested repetition operator", self.since(before))
        if not self.group.items:
            raise PatternError("missing argument to repetition operator", self.since(start))
        inside = self.group.items.pop()
        self.size -= len(inside.code)
        if counted:
            repeated = program.repetition(inside, low, high, lazy)
        else:
            repeated = {"*": program.star, "+": program.plus, "?": program.question}[self.pattern[start]](inside, lazy)
        if repeated is None:
            raise PatternError("invalid repeat count", self.since(start))
        self.push(repeated)

    def open(self) -> None:
        start, group = self.at, _Group(self.flags, self.size)
        if self.pattern.startswith("(?", start):
            if not self.flagged(group):
                return
        else:
            self.at += 1
            group.number = len(self.names)
            self.names.append("")
        self.outer.append(self.group)
        self.group = group

    def flagged(self, group: _Group) -> bool:
        """`(?P<name>`, `(?flags:` or `(?flags)`: whether a group begins here."""
        named = _NAMED.match(self.pattern, self.at)
        if named and named.end() < len(self.pattern):
            group.number = len(self.names)
            self.names.append(self.name(named.end()))
            return True
        start, self.at = self.at, self.at + 2
        flags, adding, told = self.flags, True, False
        while self.at < len(self.pattern):
            letter = self.pattern[self.at]
            self.at += 1
            if letter in "imsU":
                flags, told = flags | {letter} if adding else flags - {letter}, True
            elif letter == "-" and adding:
                adding, told = False, False
            elif letter in ":)" and (adding or told):
                self.flags = flags
                return letter == ":"
            else:
                break
        raise PatternError("invalid or unsupported Perl syntax", self.since(start))

    def name(self, start: int) -> str:
        opening, end = self.at, self.pattern.find(">", self.at)
        if end < 0:
            raise PatternError("invalid named capture", self.pattern[opening:])
        self.at = end + 1
        if not _NAME.fullmatch(self.pattern, start, end):
            raise PatternError("invalid named capture", self.since(opening))
        return self.pattern[start:end]

    def close(self) -> None:
        if not self.outer:
            raise PatternError("unexpected )", self.pattern)
        self.at += 1
        group, inside = self.group, self.finished()
        self.flags, self.size, self.group = group.flags, group.size, self.outer.pop()
        self.push(inside if group.number is None else program.capture(inside, group.number))

    def finished(self) -> Fragment:
        self.end_alternative()
        return program.alternation(self.group.alternatives)

    def end_alternative(self) -> None:
        self.group.alternatives.append(program.concatenation(self.group.items))
        self.group.items = []


def _bounds(counted: re.Match[str]) -> tuple[int, int | None]:
    """`{2}`, `{2,}`, `{2,5}`; a number of too many digits is only known to be too large."""
    low = _number(counted[1])
    if counted[2] is None:
        return low, low
    return low, None if counted[3] is None else _number(counted[3])


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= 4 else _MOST_REPEATS + 1
