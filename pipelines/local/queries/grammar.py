"""jq filters, the part that people use on one object. Anything else is refused by name.

Language: https://jqlang.org/manual; messages follow github.com/itchyny/gojq v0.12.19, Argo's implementation.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

from pipelines.local import golang
from pipelines.local.queries import QueryError, filters
from pipelines.local.queries.filters import Filter
from pipelines.local.queries.functions import FUNCTIONS
from pipelines.local.queries.values import Broken, truthy

_TOKEN = re.compile(
    r"\s+|#[^\n]*"
    r"|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<field>\.[A-Za-z_]\w*)"
    r"|(?P<variable>\$[A-Za-z_]\w*)"
    r"|(?P<format>@[A-Za-z_]\w*)"
    r"|(?P<word>[A-Za-z_]\w*(?:::\w+)*)"
    r"|(?P<symbol>\?//|//=|\|=|\+=|-=|\*=|/=|%=|\.\.|//|==|!=|<=|>=|[|,:;?.\[\](){}+\-*/%<>=])"
)
_UNSUPPORTED_WORDS = frozenset(["def", "foreach", "label", "import", "include", "try", "catch", "__loc__"])
_LEVELS = (
    {"//"}, {"or"}, {"and"}, {"==", "!=", "<", "<=", ">", ">="}, {"+", "-"}, {"*", "/", "%"},
)  # fmt: skip

_Token = tuple[str, str]


def render(expression: str, document: object) -> str:
    """Results one a line, text without quotes, blanks trimmed; raises QueryError."""
    try:
        program = parse(expression)
        results = list(islice(program(document, {}), 100_000))
        return "\n".join(result if isinstance(result, str) else golang.marshal(result) for result in results).strip()
    except Broken as error:
        raise QueryError(str(error)) from None
    except RecursionError:
        raise QueryError("the jq filter or the object is nested too deeply") from None
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise QueryError(f"the jq filter does not fit the object: {error}") from None


@lru_cache(maxsize=64)
def parse(expression: str) -> Filter:
    """The filter as a function; raises QueryError."""
    parser = _Parser(_tokens(expression))
    program = parser.pipe()
    if parser.peek()[0] != "end":
        raise QueryError(f"unexpected token {golang.quote(parser.peek()[1])} in jq filter")
    return program


def _tokens(expression: str) -> list[_Token]:
    found, at = list[_Token](), 0
    while at < len(expression):
        if expression[at] == '"':
            text, at = _string_end(expression, at)
            found.append(("string", text))
            continue
        token = _TOKEN.match(expression, at)
        if not token:
            raise QueryError(f"unexpected token {golang.quote(expression[at])} in jq filter")
        at = token.end()
        if token.lastgroup:
            found.append((token.lastgroup, token[0]))
    return [*found, ("end", "unexpected EOF")]


def _string_end(expression: str, at: int) -> tuple[str, int]:
    """The raw text between quotes, with the `\\(…)` inside, and where it ends."""
    start, depth, at = at + 1, 0, at + 1
    while at < len(expression) and (depth or expression[at] != '"'):
        if expression[at] == "\\":
            depth += expression.startswith("\\(", at)
            at += 2
            continue
        depth += (expression[at] == "(") * bool(depth) - (expression[at] == ")") * bool(depth)
        at += 1
    if at >= len(expression):
        raise QueryError("unterminated string literal in jq filter")
    return expression[start:at], at + 1


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens, self.at = tokens, 0

    def peek(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += self.at < len(self.tokens) - 1
        return token

    def sees(self, *symbols: str) -> bool:
        kind, text = self.peek()
        return kind in ("symbol", "word") and text in symbols

    def expect(self, symbol: str) -> None:
        kind, text = self.peek()
        if not self.sees(symbol):
            raise QueryError("unexpected EOF" if kind == "end" else f"unexpected token {golang.quote(text)} in jq filter")
        self.take()

    def pipe(self) -> Filter:
        left = self.comma()
        if self.sees("as"):
            return self.binding(left)
        if self.sees("|"):
            self.take()
            return filters.piped(left, self.pipe())
        return left

    def binding(self, source: Filter) -> Filter:
        self.take()
        kind, name = self.take()
        if kind != "variable":
            raise QueryError("destructuring in jq is not supported locally")
        self.expect("|")
        body = self.pipe()
        return lambda value, scope: (result for bound in source(value, scope) for result in body(value, {**scope, name: bound}))

    def comma(self) -> Filter:
        parts = [self.operation(0)]
        while self.sees(","):
            self.take()
            parts.append(self.operation(0))
        if len(parts) == 1:
            return parts[0]
        return lambda value, scope: (result for part in parts for result in part(value, scope))

    def operation(self, level: int) -> Filter:
        if level == len(_LEVELS):
            return self.postfix()
        left = self.operation(level + 1)
        while self.sees(*_LEVELS[level]):
            symbol = self.take()[1]
            # `//` joins to the right.
            right = self.operation(level if symbol == "//" else level + 1)
            left = filters.alternative(left, right) if symbol == "//" else filters.binary(symbol, left, right)
        if self.sees("=", "|=", "+=", "-=", "*=", "/=", "%=", "//=", "?//"):
            raise QueryError(f"jq operator {self.peek()[1]} is not supported locally")
        return left

    def postfix(self) -> Filter:
        term = self.term()
        while True:
            kind, text = self.peek()
            if kind == "field":
                self.take()
                term = filters.indexed(term, filters.constant(text[1:]))
            elif self.sees("."):
                self.take()
                term = self.dotted(term)
            elif self.sees("["):
                term = self.bracket(term)
            elif self.sees("?"):
                self.take()
                term = filters.optional(term)
            else:
                return term

    def dotted(self, term: Filter) -> Filter:
        if self.peek()[0] == "string":
            return filters.indexed(term, self.string(self.take()[1]))
        if not self.sees("["):
            raise QueryError(f"unexpected token {golang.quote(self.peek()[1])} in jq filter")
        return self.bracket(term)

    def bracket(self, term: Filter) -> Filter:
        self.take()
        if self.sees("]"):
            self.take()
            return lambda value, scope: (part for of in term(value, scope) for part in filters.iterated(of))
        low = None if self.sees(":") else self.pipe()
        if low and self.sees("]"):
            self.take()
            return filters.indexed(term, low)
        self.expect(":")
        high = None if self.sees("]") else self.pipe()
        self.expect("]")
        return filters.sliced(term, low or filters.constant(None), high or filters.constant(None))

    def term(self) -> Filter:
        kind, text = self.take()
        if kind == "number":
            number = float(text)
            return filters.constant(int(text) if text.isdigit() else number)
        if kind == "string":
            return self.string(text)
        if kind == "field":
            return filters.indexed(filters.itself, filters.constant(text[1:]))
        if kind == "variable":
            return lambda value, scope: iter([filters.bound(text, scope)])
        if kind == "format":
            return self.format(text)
        if kind == "word":
            return self.word(text)
        return self.symbol(kind, text)

    def symbol(self, kind: str, text: str) -> Filter:
        if text == "." and kind == "symbol":
            return self.dotted(filters.itself) if self.peek()[0] == "string" or self.sees("[") else filters.itself
        if text == "..":
            return lambda value, scope: filters.everything(value)
        if text == "(":
            inside = self.pipe()
            self.expect(")")
            return inside
        if text == "[":
            return self.array()
        if text == "{":
            return self.mapping()
        if text == "-":
            operand = self.postfix()
            return filters.binary("-", filters.constant(0), operand)
        raise QueryError("unexpected EOF" if kind == "end" else f"unexpected token {golang.quote(text)} in jq filter")

    def array(self) -> Filter:
        if self.sees("]"):
            self.take()
            return lambda value, scope: iter([[]])
        inside = self.pipe()
        self.expect("]")
        return lambda value, scope: iter([list(inside(value, scope))])

    def mapping(self) -> Filter:
        pairs: list[tuple[Filter, Filter]] = []
        while not self.sees("}"):
            if pairs:
                self.expect(",")
            pairs.append(self.pair())
        self.take()
        return lambda value, scope: filters.objects(pairs, value, scope)

    def pair(self) -> tuple[Filter, Filter]:
        kind, text = self.take()
        if kind == "variable":
            return filters.constant(text[1:]), lambda value, scope: iter([filters.bound(text, scope)])
        if kind == "word":
            key = filters.constant(text)
        elif kind == "string":
            key = self.string(text)
        elif text == "(":
            key = self.pipe()
            self.expect(")")
        else:
            raise QueryError(f"unexpected token {golang.quote(text)} in jq filter")
        if not self.sees(":"):
            return key, filters.indexed(filters.itself, key)
        self.take()
        return key, self.operation(0)

    def word(self, name: str) -> Filter:
        if name in ("true", "false", "null"):
            return filters.constant({"true": True, "false": False, "null": None}[name])
        if name == "if":
            return self.branch()
        if name == "reduce":
            return self.reduction()
        if name in _UNSUPPORTED_WORDS:
            raise QueryError(f"jq's {name} is not supported locally")
        arguments = []
        if self.sees("("):
            self.take()
            arguments.append(self.pipe())
            while self.sees(";"):
                self.take()
                arguments.append(self.pipe())
            self.expect(")")
        function = FUNCTIONS.get((name, len(arguments)))
        if function is None:
            raise QueryError(f"jq function {name}/{len(arguments)} is not defined or not supported locally")
        return lambda value, scope: function(value, *(filters.argument(argument, scope) for argument in arguments))

    def branch(self) -> Filter:
        condition = self.pipe()
        self.expect("then")
        yes = self.pipe()
        no: Filter = filters.itself
        if self.sees("elif"):
            self.take()
            no = self.branch()
        else:
            if self.sees("else"):
                self.take()
                no = self.pipe()
            self.expect("end")
        return lambda value, scope: (result for test in condition(value, scope) for result in (yes if truthy(test) else no)(value, scope))

    def reduction(self) -> Filter:
        source = self.postfix()
        self.expect("as")
        kind, name = self.take()
        if kind != "variable":
            raise QueryError("destructuring in jq is not supported locally")
        self.expect("(")
        start = self.pipe()
        self.expect(";")
        update = self.pipe()
        self.expect(")")
        return lambda value, scope: filters.reduced(value, scope, source, name, start, update)

    def format(self, name: str) -> Filter:
        function = FUNCTIONS.get((name, 0))
        if function is None:
            raise QueryError(f"jq format {name} is not supported locally")
        if self.peek()[0] == "string":
            return self.string(self.take()[1], lambda value: str(next(function(value))))
        return lambda value, scope: function(value)

    def string(self, raw: str, shown: Callable[[object], str] | None = None) -> Filter:
        """A text with its `\\(…)`."""
        pieces: list[Filter] = []
        at = 0
        while (opening := _interpolation(raw, at)) >= 0:
            pieces.append(filters.constant(_unescape(raw[at:opening])))
            closing = _closing(raw, opening + 2)
            pieces.append(filters.formatted(parse(raw[opening + 2 : closing]), shown or filters.as_text))
            at = closing + 1
        last = filters.constant(_unescape(raw[at:]))
        return filters.joined([*pieces, last]) if pieces else last


def _interpolation(raw: str, at: int) -> int:
    found = re.compile(r"(?:[^\\]|\\[^(])*?\\\(").match(raw, at)
    return found.end() - 2 if found else -1


def _closing(raw: str, at: int) -> int:
    depth = 1
    while at < len(raw):
        depth += (raw[at] == "(") - (raw[at] == ")")
        if not depth:
            return at
        at += 1
    raise QueryError("unterminated string interpolation in jq filter")


def _unescape(raw: str) -> str:
    import json

    try:
        return str(json.loads(f'"{raw}"', strict=False))
    except ValueError:
        raise QueryError(f"invalid escape sequence {golang.quote(raw)} in jq filter") from None
