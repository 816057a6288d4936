"""Expressions as trees. Grammar and precedence: github.com/expr-lang/expr v1.17.8 `parser`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from pipelines.local.expressions.errors import ExpressionError, located
from pipelines.local.expressions.tokens import Token, tokens

UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
BINARY = {
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">=", "in", "matches", "contains", "startsWith", "endsWith"), 20),
    **{"|": 0, "or": 10, "||": 10, "and": 15, "&&": 15, "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60},
    **{"**": 100, "^": 100, "??": 500},
}
NEGATED = ("contains", "matches", "startsWith", "endsWith", "in")
COMPARISONS = ("<", ">", ">=", "<=")
# Functions whose second argument is evaluated once per element: least and most arguments.
PREDICATES = {
    **dict.fromkeys(["all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "groupBy"], (2, 2)),
    **dict.fromkeys(("count", "sum"), (1, 2)),
    **dict.fromkeys(("sortBy", "reduce"), (2, 3)),
}
# fmt: off
FUNCTIONS = frozenset((
    "len", "type", "abs", "ceil", "floor", "round", "int", "float", "string", "trim", "trimPrefix", "trimSuffix",
    "upper", "lower", "split", "splitAfter", "replace", "repeat", "join", "indexOf", "lastIndexOf", "hasPrefix",
    "hasSuffix", "max", "min", "mean", "median", "toJSON", "fromJSON", "toBase64", "fromBase64", "now",
    "duration", "date", "timezone", "first", "last", "get", "take", "keys", "values", "toPairs", "fromPairs",
    "reverse", "uniq", "concat", "flatten", "sort", "bitand", "bitor", "bitxor", "bitnand", "bitshl", "bitshr",
    "bitushr", "bitnot",
))
# fmt: on
_MAX_NODES = 10_000


@dataclass(slots=True)
class Node:
    """One construct. `at` is where an error in it is shown; `flag` marks `?.`."""

    kind: str
    at: int
    value: object = None
    parts: "list[Node]" = field(default_factory=list)
    flag: bool = False

    def walk(self) -> "Iterator[Node]":
        """This node and all below it, depth first."""
        for part in self.parts:
            yield from part.walk()
        yield self


@lru_cache(maxsize=512)
def parse(source: str) -> Node:
    """The tree of an expression; raises ExpressionError."""
    try:
        return _Parser(source).parse()
    except RecursionError:
        raise ExpressionError("expression is nested too deeply") from None


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokens(source)
        self.current = next(self.tokens)
        self.ahead: Token | None = None
        self.depth = 0
        self.nodes = 0

    def parse(self) -> Node:
        node = self.sequence()
        if self.current.kind != "EOF":
            raise self.unexpected()
        return node

    def error(self, message: str, at: int | None = None) -> ExpressionError:
        return located(message, self.source, self.current.at if at is None else at)

    def unexpected(self) -> ExpressionError:
        return self.error(f"unexpected token {self.current}")

    def node(self, kind: str, at: int, value: object = None, *parts: Node, flag: bool = False) -> Node:
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            raise self.error("compilation failed: expression exceeds maximum allowed nodes")
        return Node(kind, at, value, list(parts), flag)

    def advance(self) -> Token:
        token = self.current
        if self.ahead:
            self.current, self.ahead = self.ahead, None
            return token
        following = next(self.tokens, None)
        if following is None:
            raise self.error("unexpected end of expression")
        self.current = following
        return token

    def sees(self, value: str, kind: str = "Operator") -> bool:
        return self.current.kind == kind and self.current.value == value

    def expect(self, value: str, kind: str = "Operator") -> Token:
        if not self.sees(value, kind):
            raise self.unexpected()
        return self.advance()

    def name(self) -> Token:
        if self.current.kind != "Identifier":
            raise self.unexpected()
        return self.advance()

    def sequence(self) -> Node:
        parts = [self.expression(0)]
        while self.sees(";"):
            self.advance()
            if self.current.kind == "EOF":
                break
            parts.append(self.expression(0))
        return parts[0] if len(parts) == 1 else self.node("sequence", parts[0].at, None, *parts)

    def expression(self, precedence: int) -> Node:
        if precedence == 0 and self.sees("let"):
            return self.declaration()
        if precedence == 0 and self.sees("if"):
            return self.branch()
        left = self.primary()
        previous = ""
        while self.current.kind == "Operator":
            operator, negated = self.current, self.current.value == "not"
            if negated:
                self.advance()
                if self.current.value not in NEGATED:
                    raise self.unexpected()
                if BINARY[self.current.value] < precedence:
                    self.ahead, self.current = self.current, operator
                    break
                operator = self.current
            if BINARY.get(operator.value, -1) < precedence:
                break
            self.advance()
            if previous == "??" and operator.value not in ("??", "|"):
                mixed = f"Operator ({operator.value}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
                raise self.error(mixed, operator.at)
            left = self.binary(left, operator, negated)
            previous = operator.value
        return self.conditional(left) if precedence == 0 else left

    def binary(self, left: Node, operator: Token, negated: bool) -> Node:
        if operator.value == "|":
            return self.call(self.name(), [left])
        precedence = BINARY[operator.value]
        if operator.value in COMPARISONS:
            return self.comparison(left, operator, precedence)
        right = self.expression(precedence + (operator.value not in ("**", "^")))
        joined = self.node("binary", operator.at, operator.value, left, right)
        return self.node("unary", operator.at, "not", joined) if negated else joined

    def comparison(self, left: Node, operator: Token, precedence: int) -> Node:
        """`1 < x < 3` is `1 < x && x < 3`."""
        root: Node | None = None
        while True:
            right = self.expression(precedence + 1)
            compared = self.node("binary", operator.at, operator.value, left, right)
            root = self.node("binary", operator.at, "&&", root, compared) if root else compared
            if self.current.kind != "Operator" or self.current.value not in COMPARISONS:
                return root
            left, operator = right, self.advance()

    def declaration(self) -> Node:
        self.advance()
        name = self.name()
        self.expect("=")
        value = self.expression(0)
        self.expect(";")
        return self.node("let", name.at, name.value, value, self.sequence())

    def branch(self) -> Node:
        self.advance()
        condition = self.expression(0)
        first = self.block()
        self.expect("else")
        second = self.branch() if self.sees("if") else self.block()
        return self.node("if", 0, None, condition, first, second)

    def block(self) -> Node:
        self.expect("{", "Bracket")
        inside = self.sequence()
        self.expect("}", "Bracket")
        return inside

    def conditional(self, node: Node) -> Node:
        while self.sees("?"):
            self.advance()
            first = node
            if not self.sees(":"):
                first = self.expression(0)
            self.expect(":")
            second = self.expression(0)
            node = self.node("if", self.current.at, None, node, first, second)
        return node

    def primary(self) -> Node:
        token = self.current
        if token.kind == "Operator" and token.value in UNARY:
            self.advance()
            return self.postfix(self.node("unary", token.at, token.value, self.expression(UNARY[token.value])))
        if self.sees("(", "Bracket"):
            self.advance()
            inside = self.sequence()
            self.expect(")", "Bracket")
            return self.postfix(inside)
        if self.depth and token.kind == "Operator" and token.value in ("#", "."):
            return self.pointer(token)
        if self.sees("::"):
            self.advance()
            return self.postfix(self.call(self.name(), []))
        return self.secondary(token)

    def pointer(self, token: Token) -> Node:
        name = ""
        if token.value == "#":
            self.advance()
            if self.current.kind == "Identifier" and self.current.at == token.at + 1:
                name = self.advance().value
        return self.postfix(self.node("pointer", token.at, name))

    def secondary(self, token: Token) -> Node:
        if token.kind == "Identifier":
            return self.identifier(self.advance())
        if token.kind == "Number":
            self.advance()
            return self.number(token)
        if token.kind in ("String", "Bytes"):
            self.advance()
            value = token.value if token.kind == "String" else token.value.encode("utf-8", "surrogatepass")
            return self.postfix(self.node(token.kind.lower(), token.at, value))
        if self.sees("[", "Bracket"):
            return self.postfix(self.array())
        if self.sees("{", "Bracket"):
            return self.postfix(self.map())
        raise self.unexpected()

    def identifier(self, token: Token) -> Node:
        if token.value in ("true", "false"):
            return self.node("bool", token.at, token.value == "true")
        if token.value == "nil":
            return self.node("nil", token.at)
        if self.sees("(", "Bracket"):
            return self.postfix(self.call(token, []))
        return self.postfix(self.node("name", token.at, token.value))

    def number(self, token: Token) -> Node:
        text = token.value.replace("_", "").lower()
        if not text.startswith("0x") and ("." in text or "e" in text):
            try:
                value = float(text)
            except ValueError:
                raise self.error(f'invalid float literal: strconv.ParseFloat: parsing "{text}": invalid syntax') from None
            if value == float("inf"):
                raise self.error(f'invalid float literal: strconv.ParseFloat: parsing "{text}": value out of range')
            return self.node("float", token.at, value)
        kind, base = {"0x": ("hex", 16), "0o": ("octal", 8), "0b": ("binary", 2)}.get(text[:2], ("integer", 10))
        try:
            whole = int(text, base)
        except ValueError:
            whole = -1
        if 0 <= whole < 2**63:
            return self.node("int", token.at, whole)
        reason = "value out of range" if whole >= 0 else "invalid syntax"
        raise self.error(f'invalid {kind} literal: strconv.ParseInt: parsing "{token.value.replace("_", "")}": {reason}')

    def call(self, token: Token, arguments: list[Node]) -> Node:
        if token.value in PREDICATES:
            return self.predicate_call(token, arguments)
        offset = len(arguments)
        self.expect("(", "Bracket")
        while not self.sees(")", "Bracket"):
            if len(arguments) > offset:
                self.expect(",")
                if self.sees(")", "Bracket"):
                    break
            arguments.append(self.expression(0))
        self.advance()
        if token.value in FUNCTIONS:
            return self.node("builtin", token.at, token.value, *arguments)
        return self.node("call", token.at, None, self.node("name", token.at, token.value), *arguments)

    def predicate_call(self, token: Token, arguments: list[Node]) -> Node:
        least, most = PREDICATES[token.value]
        self.expect("(", "Bracket")
        piped = len(arguments)
        for index in range(piped, most):
            if self.sees(")", "Bracket"):
                if index >= least:
                    break
                raise self.error(f"expected at least {most - piped} arguments")
            if index > piped:
                self.expect(",")
            arguments.append(self.predicate() if index == 1 else self.expression(0))
        if self.sees(","):
            self.advance()
        self.expect(")", "Bracket")
        return self.node("builtin", token.at, token.value, *arguments)

    def predicate(self) -> Node:
        start = self.current
        self.depth += 1
        if self.sees("{", "Bracket"):
            inside = self.block()
        else:
            inside = self.expression(0)
            if self.sees(";"):
                raise self.error("wrap predicate with brackets { and }")
        self.depth -= 1
        return self.node("predicate", start.at, None, inside)

    def array(self) -> Node:
        start, parts = self.advance(), list[Node]()
        while not self.sees("]", "Bracket"):
            if parts:
                self.expect(",")
                if self.sees("]", "Bracket"):
                    break
            parts.append(self.expression(0))
        self.advance()
        return self.node("array", start.at, None, *parts)

    def map(self) -> Node:
        start, pairs = self.advance(), list[Node]()
        while not self.sees("}", "Bracket"):
            if pairs:
                self.expect(",")
                if self.sees("}", "Bracket"):
                    break
                if self.sees(","):
                    raise self.unexpected()
            key = self.key()
            self.expect(":")
            pairs += [key, self.expression(0)]
        self.advance()
        return self.node("map", start.at, None, *pairs)

    def key(self) -> Node:
        token = self.current
        if token.kind in ("Number", "String", "Identifier"):
            self.advance()
            return self.node("string", token.at, token.value)
        if self.sees("(", "Bracket"):
            return self.expression(0)
        allowed = "a quoted string, a number, a identifier, or an expression enclosed in parentheses"
        raise self.error(f"a map key must be {allowed} (unexpected token {token})")

    def postfix(self, node: Node) -> Node:
        while self.current.value in (".", "?.", "[") and self.current.kind in ("Operator", "Bracket"):
            token = self.advance()
            optional = token.value == "?."
            if optional and self.sees("[", "Bracket"):
                token = self.advance()
            node = self.index(node, token.at, optional) if token.value == "[" else self.member(node, optional)
        return node

    def member(self, node: Node, optional: bool) -> Node:
        token = self.advance_name()
        chained = node.kind == "chain"
        base = node.parts[0] if chained else node
        key = self.node("string", token.at, token.value)
        member = self.node("member", token.at, None, base, key, flag=optional)
        if self.sees("(", "Bracket"):
            member.value = "method"
            arguments = self.call(Token("Identifier", "", token.at), []).parts[1:]
            member = self.node("call", token.at, None, member, *arguments)
        return self.node("chain", token.at, None, member) if chained or optional else member

    def advance_name(self) -> Token:
        token = self.advance()
        named = token.kind == "Identifier" or (token.kind == "Operator" and token.value.isidentifier())
        if not named:
            raise self.error("expected name")
        return token

    def index(self, node: Node, at: int, optional: bool) -> Node:
        start = None if self.sees(":") else self.expression(0)
        if start is not None and not self.sees(":"):
            self.expect("]", "Bracket")
            indexed = self.node("member", at, None, node, start, flag=optional)
            return self.node("chain", at, None, indexed) if optional else indexed
        self.expect(":")
        end = None if self.sees("]", "Bracket") else self.expression(0)
        self.expect("]", "Bracket")
        missing = self.node("nil", at)
        return self.node("slice", at, (start is not None, end is not None), node, start or missing, end or missing)
