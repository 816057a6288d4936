"""The expression language of `when`: tokens, their legal order, operator precedence, evaluation.

Follows github.com/Knetic/govaluate at 7625b7f8c03d, Argo's pinned version, quirks included: tokens after a complete expression are
ignored, a quoted date is a number of seconds, `a in (a)` has no list on its right. Values are bool, float, str, list and None.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from pipelines.local import golang, re2


class EvaluationError(Exception):
    """The expression cannot be read or computed; the message is govaluate's."""


@dataclass(slots=True)
class Token:
    """A lexical unit; `kind` is govaluate's name for it, as its messages show it."""

    kind: str
    value: object


_VALUES = "NUMERIC BOOLEAN VARIABLE ACCESSOR STRING TIME"
_OPERATORS = "MODIFIER COMPARATOR LOGICALOP CLAUSE_CLOSE SEPARATOR"
_START = f"PREFIX {_VALUES} PATTERN CLAUSE"
_NEXT = {
    "UNKNOWN": _START,
    "CLAUSE": f"{_START} CLAUSE_CLOSE",
    "CLAUSE_CLOSE": f"{_OPERATORS} TERNARY NUMERIC BOOLEAN VARIABLE STRING PATTERN TIME CLAUSE",
    **dict.fromkeys(("NUMERIC", "BOOLEAN", "STRING", "VARIABLE"), f"{_OPERATORS} TERNARY"),
    **dict.fromkeys(("TIME", "PATTERN"), _OPERATORS),
    "ACCESSOR": f"{_OPERATORS} TERNARY CLAUSE",
    "MODIFIER": "PREFIX NUMERIC VARIABLE ACCESSOR STRING BOOLEAN CLAUSE CLAUSE_CLOSE",
    "COMPARATOR": f"PREFIX {_VALUES} CLAUSE CLAUSE_CLOSE PATTERN",
    "LOGICALOP": f"PREFIX {_VALUES} CLAUSE CLAUSE_CLOSE",
    "PREFIX": "NUMERIC BOOLEAN VARIABLE ACCESSOR CLAUSE CLAUSE_CLOSE",
    "TERNARY": f"PREFIX {_VALUES} CLAUSE SEPARATOR",
    "SEPARATOR": f"PREFIX {_VALUES} CLAUSE",
}
_FOLLOWS = {kind: frozenset(following.split()) for kind, following in _NEXT.items()}
_ENDS = frozenset(_VALUES.split()) | {"CLAUSE_CLOSE", "PATTERN"}
_SYMBOLS = {
    **dict.fromkeys(["+", "-", "*", "/", "%", "**", "&", "|", "^", ">>", "<<"], "MODIFIER"),
    **dict.fromkeys(["&&", "||"], "LOGICALOP"),
    **dict.fromkeys(["==", "!=", ">", ">=", "<", "<=", "=~", "!~"], "COMPARATOR"),
    **dict.fromkeys(["?", ":", "??"], "TERNARY"),
}


def tokens(text: str) -> list[Token]:
    """Reads an expression whose words and [bracketed words] are variables; raises EvaluationError."""
    found = _Lexer(text).read()
    if sum((token.kind == "CLAUSE") - (token.kind == "CLAUSE_CLOSE") for token in found):
        raise EvaluationError("Unbalanced parenthesis")
    return compiled(found)


def compiled(found: list[Token]) -> list[Token]:
    """Checks the order of tokens and compiles the patterns after `=~`, in place; raises EvaluationError."""
    last = Token("UNKNOWN", None)
    for token in found:
        if token.kind not in _FOLLOWS[last.kind]:
            if last.kind == "VARIABLE" and token.kind == "CLAUSE":
                raise EvaluationError(f"Undefined function {last.value}")
            step = f"from {last.kind} [{golang.sprint(last.value)}] to {token.kind} [{golang.sprint(token.value)}]"
            raise EvaluationError(f"Cannot transition token types {step}")
        last = token
    if last.kind not in _ENDS:
        raise EvaluationError("Unexpected end of expression")
    for operator, pattern in pairwise(found):
        if operator.kind == "COMPARATOR" and operator.value in ("=~", "!~") and pattern.kind == "STRING":
            pattern.kind, pattern.value = "PATTERN", _pattern(str(pattern.value))
    return found


def _pattern(text: str) -> re2.Regexp:
    try:
        return re2.compile(text)
    except re2.PatternError as error:
        raise EvaluationError(str(error)) from None


def _is_space(character: str) -> bool:
    return character.isspace() and not "\x1c" <= character <= "\x1f"


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def read(self) -> list[Token]:
        found: list[Token] = []
        while True:
            while self.at < len(self.text) and _is_space(self.text[self.at]):
                self.at += 1
            if self.at >= len(self.text):
                return found
            found.append(self.token(self.text[self.at], found[-1].kind if found else "UNKNOWN"))

    def token(self, character: str, last: str) -> Token:
        if character.isdecimal() or character == ".":
            return self.number()
        if character.isalpha():
            return self.word()
        if character == "[":
            return Token("VARIABLE", self.quoted("]", "Unclosed parameter bracket"))
        if character in "'\"":
            return _string(self.quoted("'\"", "Unclosed string literal"))
        if character in "(),":
            self.at += 1
            kind = {"(": "CLAUSE", ")": "CLAUSE_CLOSE", ",": "SEPARATOR"}[character]
            return Token(kind, "," if character == "," else ord(character))
        return self.symbol(last)

    def run(self, belongs: Callable[[str], bool]) -> str:
        """Characters up to the first that does not belong; a space ends the run and is consumed, a backslash takes anything."""
        taken: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "\\":
                taken.append(self.escaped())
                continue
            if not belongs(character) and not _is_space(character):
                break
            self.at += 1
            if _is_space(character):
                break
            taken.append(character)
        return "".join(taken)

    def escaped(self) -> str:
        if self.at + 1 >= len(self.text):
            raise EvaluationError("runtime error: index out of range: a backslash ends the expression")
        self.at += 2
        return self.text[self.at - 1]

    def quoted(self, closing: str, unclosed: str) -> str:
        self.at += 1
        taken: list[str] = []
        while self.at < len(self.text) and self.text[self.at] not in closing:
            if self.text[self.at] == "\\":
                taken.append(self.escaped())
            else:
                taken.append(self.text[self.at])
                self.at += 1
        if self.at >= len(self.text):
            raise EvaluationError(unclosed)
        self.at += 1
        return "".join(taken)

    def number(self) -> Token:
        if self.text.startswith("0x", self.at) and self.at + 2 < len(self.text):
            self.at += 2
            digits = self.run(lambda character: character.isdecimal() or character in "abcdefABCDEF")
            if not re.fullmatch("[0-9a-fA-F]+", digits) or int(digits, 16) >= 2**64:
                raise EvaluationError(f"Unable to parse hex value '{digits}' to uint64\n")
            return Token("NUMERIC", float(int(digits, 16)))
        digits = self.run(lambda character: character.isdecimal() or character == ".")
        if not re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", digits) or math.isinf(float(digits)):
            raise EvaluationError(f"Unable to parse numeric value '{digits}' to float64\n")
        return Token("NUMERIC", float(digits))

    def word(self) -> Token:
        word = self.run(lambda character: character.isalpha() or character.isdecimal() or character in "_.")
        if word in ("true", "false"):
            return Token("BOOLEAN", word == "true")
        if word in ("in", "IN"):
            return Token("COMPARATOR", "in")
        if word.find(".") <= 0:
            return Token("VARIABLE", word)
        if word.endswith("."):
            raise EvaluationError(f"Hanging accessor on token '{word}'")
        parts = word.split(".")
        for part in parts[1:]:
            if len(part[:1].upper()) == 1 and part[0].upper() != part[0]:
                raise EvaluationError(f"Unable to access unexported field '{part}' in token '{word}'")
        return Token("ACCESSOR", parts)

    def symbol(self, last: str) -> Token:
        symbol = self.run(lambda character: not (character.isalpha() or character.isdecimal() or character in "()[]'\""))
        if symbol in ("-", "!", "~") and "PREFIX" in _FOLLOWS[last]:
            return Token("PREFIX", symbol)
        if symbol not in _SYMBOLS:
            raise EvaluationError(f"Invalid token: '{symbol}'")
        return Token(_SYMBOLS[symbol], symbol)


def _string(text: str) -> Token:
    if ":" in text or "-" in text:
        from pipelines.local import gotime

        moment = gotime.guess(text)
        if moment is not None:
            return Token("TIME", moment)
    return Token("STRING", text)
