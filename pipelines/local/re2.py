"""Go's regular expressions (RE2 syntax) on Python's engine: same language, other spellings, other error texts.

Syntax: https://pkg.go.dev/regexp/syntax. Not translated: \\C, \\p{Script} beyond the general categories that Python can express.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ", "upper": "A-Z",
    "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_REPEAT = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_GROUP = re.compile(r"\(\?(?:P?<(?P<name>\w+)>|(?P<flags>[imsU]*(?:-[imsU]+)?)(?P<end>[:)]))")
_ANCHORS = ("^", r"\Z", r"\A", r"\b", r"\B")
_LETTER_ESCAPES = frozenset("abfnrtvdDsSwWBAz")


class PatternError(ValueError):
    """The pattern is not RE2; the message is Go's."""

    def __init__(self, code: str, fragment: str) -> None:
        super().__init__(f"error parsing regexp: {code}: `{fragment}`")


@dataclass(frozen=True, slots=True)
class Regexp:
    """A compiled pattern: as written, and as Python understands it."""

    pattern: str
    python: re.Pattern[str]

    def search(self, text: str) -> bool:
        return self.python.search(text) is not None


@lru_cache(maxsize=128)
def compile(pattern: str) -> Regexp:
    """A pattern that matches what Go's would; raises PatternError."""
    translated = _Translation(pattern).translate()
    try:
        return Regexp(pattern, re.compile(translated, re.ASCII))
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(str(error), pattern) from None


class _Translation:
    def __init__(self, pattern: str) -> None:
        self.source, self.at, self.out = pattern, 0, list[str]()
        self.open: list[int] = []
        self.multiline = False

    def translate(self) -> str:
        repeatable = False
        while self.at < len(self.source):
            repeatable = self.atom(self.source[self.at], repeatable)
        if self.open:
            raise PatternError("missing closing )", self.source)
        return "".join(self.out)

    def atom(self, character: str, repeatable: bool) -> bool:
        """Translates what begins here; says whether a repetition may follow."""
        repeat = _REPEAT.match(self.source, self.at)
        if repeat:
            return self.repeat(repeat[0], repeatable)
        if character == "\\":
            return self.escape()
        if character == "[":
            return self.bracket()
        if character in "()":
            return self.group(character)
        self.at += 1
        if character == "$" and not self.multiline:
            self.out.append(r"\Z")
        else:
            self.out.append(r"\{" if character == "{" else character)
        return character != "|"

    def repeat(self, text: str, repeatable: bool) -> bool:
        if not repeatable:
            before = re.search(r"(?:[*+?]|\{\d+(?:,\d*)?\})\??$", self.source[: self.at])
            if before:
                raise PatternError("invalid nested repetition operator", before[0] + text)
            raise PatternError("missing argument to repetition operator", text)
        low, _, high = text.strip("{}").partition(",")
        if text[0] == "{" and (int(low) > 1000 or int(high or 0) > 1000 or (high and int(low) > int(high))):
            raise PatternError("invalid repeat count", text)
        if self.out and self.out[-1] in _ANCHORS:
            self.out[-1] = f"(?:{self.out[-1]})"  # Go repeats anchors, Python refuses to
        self.at += len(text)
        if self.source[self.at : self.at + 1] == "?":
            text, self.at = text + "?", self.at + 1
        self.out.append(text)
        return False

    def escape(self) -> bool:
        following = self.source[self.at + 1 : self.at + 2]
        if not following:
            raise PatternError("trailing backslash at end of expression", "")
        self.at += 2
        if following == "Q":
            literal, _, _ = self.source[self.at :].partition("\\E")
            self.out.append(re.escape(literal))
            self.at += len(literal) + 2
            return True
        self.out.append(self.escaped(following))
        return True

    def escaped(self, following: str) -> str:
        if following == "z":
            return r"\Z"
        if following == "x":
            found = re.compile(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})").match(self.source, self.at)
            if found:
                self.at = found.end()
                return re.escape(chr(min(int(found[1] or found[2], 16), 0x10FFFF)))
        if following in _LETTER_ESCAPES or (following.isascii() and not following.isalnum()):
            return "\\" + following
        if following == "0" or (following in "1234567" and self.source[self.at : self.at + 1].isdigit()):
            found = re.compile("[0-7]{0,2}").match(self.source, self.at)
            digits = following + (found[0] if found else "")
            self.at += len(digits) - 1
            return re.escape(chr(int(digits, 8)))
        raise PatternError("invalid escape sequence", "\\" + following)

    def bracket(self) -> bool:
        """Python warns of set operations (`&&`, `--`) that it may have one day; Go has none, so they are escaped."""
        closing = self.end_of_bracket()
        body = self.source[self.at + 1 : closing]
        negated = body.startswith("^")
        body = body.removeprefix("^")
        for name, characters in _POSIX.items():
            body = body.replace(f"[:{name}:]", characters)
        if body.startswith("]"):
            body = "\\" + body
        body = re.sub(r"\\.|[\[&|~]|(?<=-)-", lambda part: part[0] if len(part[0]) == 2 else f"\\{part[0]}", body, flags=re.DOTALL)
        self.out.append(f"[{'^' if negated else ''}{body}]")
        self.at = closing + 1
        return True

    def end_of_bracket(self) -> int:
        at = self.at + 1
        at += self.source[at : at + 1] == "^"
        at += self.source[at : at + 1] == "]"
        while at < len(self.source) and self.source[at] != "]":
            posix = re.compile(r"\[:\w+:\]").match(self.source, at)
            at = posix.end() if posix else at + (2 if self.source[at] == "\\" else 1)
        if at >= len(self.source):
            raise PatternError("missing closing ]", self.source[self.at :])
        return at

    def group(self, character: str) -> bool:
        if character == ")":
            if not self.open:
                raise PatternError("unexpected )", self.source)
            self.open.pop()
            self.at += 1
            self.out.append(")")
            return True
        self.open.append(self.at)
        if self.source[self.at : self.at + 2] != "(?":
            self.at += 1
            self.out.append("(")
            return False
        return self.special_group()

    def special_group(self) -> bool:
        found = _GROUP.match(self.source, self.at)
        if not found:
            raise PatternError("invalid or unsupported Perl syntax", self.source[self.at : self.at + 3])
        self.at = found.end()
        if found["name"]:
            self.out.append(f"(?P<{found['name']}>")
            return False
        flags = found["flags"].replace("U", "")
        self.multiline = self.multiline or "m" in flags.partition("-")[0]
        if found["end"] == ":":
            self.out.append(f"(?{flags}:")
            return False
        # Flags in mid-pattern hold for the rest of the group: Python wants that rest in groups of its own.
        self.open.pop()
        if flags:
            parts = self.rest_of_group()
            self.out.append("|".join(f"(?{flags}:{self.inner(part)})" for part in parts))
            self.at += len("|".join(parts))
        return False

    def inner(self, source: str) -> str:
        translation = _Translation(source)
        translation.multiline = self.multiline
        return translation.translate()

    def rest_of_group(self) -> list[str]:
        """The alternatives from here to the end of the group."""
        depth, at, starts = 0, self.at, [self.at]
        while at < len(self.source) and depth >= 0:
            character = self.source[at]
            depth += (character == "(") - (character == ")")
            if character == "|" and depth == 0:
                starts.append(at + 1)
            at += 2 if character == "\\" else depth >= 0
        at = min(at, len(self.source))
        return [self.source[start : end - 1] for start, end in pairwise([*starts, at + 1])]
