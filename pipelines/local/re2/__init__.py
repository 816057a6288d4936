"""Go's regular expressions: the language, the answers and the error texts of its `regexp`, each match in time linear in the text.

https://pkg.go.dev/regexp. Not as there: scripts (`\\p{Greek}`) are refused, and programs are limited to 100,000 instructions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pipelines.local.re2 import machine, syntax
from pipelines.local.re2.program import PatternError, Program

__all__ = ["Match", "PatternError", "Regexp", "compile"]


@dataclass(frozen=True, slots=True)
class Match:
    """A place in a text that a pattern matches; offsets count characters."""

    text: str
    slots: machine.Slots
    names: tuple[str, ...]
    """Of the groups; "" where one has none, and for number 0, the whole match."""

    @property
    def start(self) -> int:
        return self.slots[0]

    @property
    def end(self) -> int:
        return self.slots[1]

    def offset(self, group: int) -> int:
        """Where the group begins; -1 if it took no part."""
        return self.slots[2 * group]

    def __getitem__(self, group: int) -> str | None:
        """What a group matched; None if it took no part."""
        start, end = self.slots[2 * group : 2 * group + 2]
        return self.text[start:end] if start >= 0 else None

    @property
    def whole(self) -> str:
        return self.text[self.start : self.end]

    def groups(self) -> list[str | None]:
        return [self[group] for group in range(1, len(self.names))]

    def expand(self, template: str) -> str:
        """Puts groups where `$1`, `${name}` or `$name` stand, of which a name is as long as can be; `$$` is a dollar."""
        before, dollar, after = template.partition("$")
        parts = [before]
        while dollar:
            if after.startswith("$"):
                name, after = "$", after[1:]
                parts.append("$")
            else:
                name, rest = _reference(after)
                parts.append(self.value(name) if name else "$")
                after = rest
            before, dollar, after = after.partition("$")
            parts.append(before)
        return "".join(parts)

    def value(self, reference: str) -> str:
        """Of a group by its number or name; "" if there is none, or it took no part."""
        if reference.isascii() and reference.isdigit() and (reference == "0" or reference[0] != "0"):
            return (len(reference) < 9 and int(reference) < len(self.names) and self[int(reference)]) or ""
        named = (self[group] for group, name in enumerate(self.names) if name == reference)
        return next((text for text in named if text is not None), "")


@dataclass(frozen=True, slots=True)
class Regexp:
    """A compiled pattern."""

    pattern: str
    program: Program
    names: tuple[str, ...]

    def search(self, text: str) -> bool:
        """Whether it matches anywhere."""
        return self.find(text) is not None

    def find(self, text: str, start: int = 0) -> Match | None:
        """The leftmost match from `start` on, which may look at what is before."""
        slots = machine.run(self.program, text, start)
        return None if slots is None else Match(text, slots, self.names)

    def find_all(self, text: str) -> Iterator[Match]:
        """Matches one after another; not an empty one right after a match (`FindAll`)."""
        at, last = 0, -1
        while at <= len(text) and (match := self.find(text, at)):
            if match.end != at or match.start != last:
                yield match
            at = match.end + (match.end == at)
            last = match.end

    def replace(self, text: str, by: Callable[[Match], str]) -> str:
        """Every match replaced (`ReplaceAllStringFunc`)."""
        parts, copied, at = list[str](), 0, 0
        while at <= len(text) and (match := self.find(text, at)):
            parts.append(text[copied : match.start])
            if match.end > copied or match.start == 0:
                parts.append(by(match))
            copied = match.end
            at = max(match.end, at + 1)
        return "".join([*parts, text[copied:]])

    def split(self, text: str, most: int = -1) -> list[str]:
        """The text between matches, in `most` parts at most if that is not negative."""
        if most == 0:
            return []
        if self.pattern and not text:
            return [""]
        parts, start, end = list[str](), 0, 0
        for match in self.find_all(text):
            if 0 < most <= len(parts) + 1:
                break
            end = match.start
            if match.end:
                parts.append(text[start:end])
            start = match.end
        return parts if end == len(text) else [*parts, text[start:]]


@lru_cache(maxsize=128)
def compile(pattern: str) -> Regexp:
    """A pattern that matches what Go's would; raises PatternError."""
    return Regexp(pattern, *syntax.parse(pattern))


def _reference(template: str) -> tuple[str, str]:
    """The name after a dollar, in braces or not, and what follows; "" if there is none."""
    start = 1 if template.startswith("{") else 0
    end = start
    while end < len(template) and (template[end].isalpha() or template[end].isdecimal() or template[end] == "_"):
        end += 1
    closed = not start or template.startswith("}", end)
    return (template[start:end], template[end + start :]) if end > start and closed else ("", template)
