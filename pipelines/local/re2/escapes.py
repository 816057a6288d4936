"""Escapes and character classes of a pattern. https://pkg.go.dev/regexp/syntax"""

import re
import string
import sys

from pipelines.local.re2 import classes
from pipelines.local.re2.classes import CharacterClass, Test
from pipelines.local.re2.program import PatternError

_CONTROLS = dict(zip("afnrtv", "\a\f\n\r\t\v", strict=True))
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
_POSIX = re.compile(r"\[:(\^?)(.*?):\]", re.DOTALL)


class Reader:
    """A place in a pattern, and the flags that hold there."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0
        self.flags: frozenset[str] = frozenset()

    def since(self, start: int) -> str:
        return self.pattern[start : self.at]

    def bracket(self) -> CharacterClass:
        """`[…]`, from here on."""
        start = self.at
        negated = self.pattern.startswith("^", start + 1)
        self.at += 2 if negated else 1
        tests: list[Test] = []
        while not tests or not self.pattern.startswith("]", self.at):
            tests.append(self.posix_class() or self.named_class() or self.characters(start))
        self.at += 1
        return CharacterClass(*tests, negated=negated)

    def characters(self, bracket: int) -> Test:
        """`a` or `a-z` in a bracket; a `-` is itself at the end."""
        start = self.at
        low = high = self.character(bracket)
        if self.pattern.startswith("-", self.at) and self.pattern[self.at + 1 : self.at + 2] not in ("", "]"):
            self.at += 1
            high = self.character(bracket)
        if high < low:
            raise PatternError("invalid character class range", self.since(start))
        return self.cased(classes.span(low, high))

    def character(self, bracket: int) -> str:
        if self.at >= len(self.pattern):
            raise PatternError("missing closing ]", self.pattern[bracket:])
        if self.pattern[self.at] == "\\":
            return self.escaped()
        self.at += 1
        return self.pattern[self.at - 1]

    def posix_class(self) -> Test | None:
        """`[:alpha:]` or `[:^alpha:]`, in a bracket."""
        found = _POSIX.match(self.pattern, self.at)
        if not found:
            return None
        test = classes.posix(found[2])
        if test is None:
            raise PatternError("invalid character class range", found[0])
        self.at = found.end()
        return self.signed(test, negated=bool(found[1]))

    def named_class(self) -> Test | None:
        """`\\d`, `\\pL` or `\\p{Greek}`, in a bracket or not."""
        letter = self.pattern[self.at + 1 : self.at + 2]
        if self.pattern[self.at : self.at + 1] != "\\" or not letter:
            return None
        if letter in "pP":
            return self.unicode_class(negated=letter == "P")
        test = classes.perl(letter)
        if test:
            self.at += 2
            return self.signed(test, negated=letter.isupper())
        return None

    def unicode_class(self, negated: bool) -> Test:
        start, braced = self.at, self.pattern.startswith("{", self.at + 2)
        closing = self.pattern.find("}", start)
        if braced and closing < 0:
            raise PatternError("invalid character class range", self.pattern[start:])
        self.at = closing + 1 if braced else min(start + 3, len(self.pattern))
        name = self.pattern[start + 3 : closing] if braced else self.pattern[start + 2 : self.at]
        test = classes.category(name.removeprefix("^"))
        if test is None and classes.is_script(name.removeprefix("^")):
            raise PatternError("scripts are not supported locally; write a range, as in [\\x{370}-\\x{3FF}]", self.since(start))
        if test is None:
            raise PatternError("invalid character class range", self.since(start))
        return self.signed(test, negated=negated is not name.startswith("^"))

    def cased(self, test: Test) -> Test:
        return classes.folded(test) if "i" in self.flags else test

    def signed(self, test: Test, negated: bool) -> Test:
        return classes.negation(self.cased(test)) if negated else self.cased(test)

    def escaped(self) -> str:
        """The character that a backslash and what follows stand for."""
        start = self.at
        letter = self.pattern[start + 1 : start + 2]
        if not letter:
            raise PatternError("trailing backslash at end of expression", "")
        octal = _OCTAL.match(self.pattern, start + 1)
        self.at = octal.end() if octal else start + 2
        if octal:
            return chr(int(octal[0], 8))
        if letter == "x":
            return self.hexadecimal(start)
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter.isascii() and not letter.isalnum():
            return letter
        raise PatternError("invalid escape sequence", self.since(start))

    def hexadecimal(self, start: int) -> str:
        """`\\x7F` or `\\x{10FFFF}`; what is wrong is shown up to the first character that cannot be."""
        if not self.pattern.startswith("{", self.at):
            self.at = min(self.at + 2, len(self.pattern))
            if found := _HEX.fullmatch(self.pattern, start + 2, self.at):
                return chr(int(found[0], 16))
            raise PatternError("invalid escape sequence", self.since(start))
        digits = ""
        while self.at < len(self.pattern) - 1:
            self.at += 1
            digit = self.pattern[self.at]
            if digit == "}" and digits:
                self.at += 1
                return chr(int(digits, 16))
            digits += digit
            if digit not in string.hexdigits or int(digits, 16) > sys.maxunicode:
                break
        self.at += 1
        raise PatternError("invalid escape sequence", self.since(start))
