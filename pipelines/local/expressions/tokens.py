"""The tokens of an expression. Grammar: github.com/expr-lang/expr v1.17.8 `parser/lexer`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.local import golang
from pipelines.local.expressions.errors import located

_WORD_OPERATORS = frozenset(["in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else", "not"])
_TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*\n?|/\*.*?\*/)"
    r"|(?P<number>(?:0[xX][0-9a-fA-F_]*|0[oO][0-7_]*|0[bB][01_]*|[0-9][0-9_]*|(?=\.[0-9]))(?:\.(?!\.)[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)"
    r"|(?P<word>[^\W0-9][\w$]*|\$[\w$]*)"
    r"|(?P<bracket>[(\[{)\]}])"
    r"|(?P<operator>\?[.?]?|\|\|?|::?|\.\.?|[&!=*<>][&=*]?|[,;%+\-^/]|\#\#?)",
    re.DOTALL,
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_CODE = re.compile(r"x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})")


@dataclass(slots=True)
class Token:
    """kind: Identifier, Number, String, Bytes, Operator, Bracket or EOF; `at` counts characters."""

    kind: str
    value: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind}({golang.quote(self.value)})" if self.value else self.kind


def tokens(source: str) -> Iterator[Token]:
    """The tokens in order, EOF last; raises ExpressionError where none begins."""
    at = 0
    while at < len(source):
        character = source[at]
        if character in "'\"`" or (character in "bB" and source[at + 1 : at + 2] in ("'", '"')):
            token, at = _quoted(source, at)
            yield token
            continue
        found = _TOKEN.match(source, at)
        if not found:
            raise located(_unrecognized(source, at), source, _end_of_comment(source, at))
        start, at = at, found.end()
        yield from _token(found, source, start)
    yield Token("EOF", "", max(len(source) - 1, 0))


def _token(found: re.Match[str], source: str, at: int) -> Iterator[Token]:
    text = found[0]
    if found["number"]:
        following = source[found.end() : found.end() + 1]
        if following.isalnum() or (following in ("_", "$") and following):
            raise located(f"bad number syntax: {golang.quote(text + following)}", source, found.end())
        yield Token("Number", text, at)
    elif found["word"]:
        yield Token("Operator" if text in _WORD_OPERATORS else "Identifier", text, at)
    elif not found["space"]:
        yield Token("Bracket" if found["bracket"] else "Operator", text, at)


def _unrecognized(source: str, at: int) -> str:
    if source.startswith("/*", at):
        return "unclosed comment"
    character = source[at]
    shown = f" '{character}'" if character.isprintable() else ""
    return f"unrecognized character: U+{ord(character):04X}{shown}"


def _end_of_comment(source: str, at: int) -> int:
    return len(source) if source.startswith("/*", at) else at


def _quoted(source: str, at: int) -> tuple[Token, int]:
    kind, start = ("Bytes", at + 1) if source[at] in "bB" else ("String", at)
    quote, position, text = source[start], start + 1, list[str]()
    while position < len(source) and source[position] != quote:
        character = source[position]
        if character == "\n" and quote != "`":
            break
        if character == "\\" and quote != "`":
            character, position = _escape(source, position, quote)
        else:
            position += 1
        text.append(character)
        if quote == "`" and source.startswith("``", position):
            text.append("`")
            position += 2
    if position >= len(source) or source[position] != quote:
        raise located("literal not terminated", source, position)
    return Token(kind, "".join(text), at), position + 1


def _escape(source: str, at: int, quote: str) -> tuple[str, int]:
    following = source[at + 1 : at + 2]
    if following and (following in _ESCAPES or following == quote):
        return _ESCAPES.get(following, following), at + 2
    code = _CODE.match(source, at + 1)
    digits = next((group for group in code.groups() if group), "") if code else ""
    value = int(digits, 8 if following.isdigit() else 16) if digits else 0x110000
    if value > 0x10FFFF or not code:
        raise located("invalid char escape", source, at + 1)
    return chr(value), code.end()
