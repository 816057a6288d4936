"""What expr-lang refuses to compile: types are checked before anything is evaluated. Values inside maps are of unknown type.

Rules: github.com/expr-lang/expr v1.17.8 `checker`.
"""

from collections.abc import Callable, Mapping

from pipelines.local import re2
from pipelines.local.expressions.errors import ExpressionError, located
from pipelines.local.expressions.signatures import SIGNATURES
from pipelines.local.expressions.syntax import FUNCTIONS, PREDICATES, Node
from pipelines.local.expressions.types import (
    BOOL,
    BYTES,
    FLOAT,
    FUNC,
    INT,
    INTERFACE,
    MAP,
    NIL,
    NUMBERS,
    STRING,
    UNKNOWN,
    Type,
    array,
    comparable,
    predicated_result,
    result,
    returned,
    type_of,
)


def check(tree: Node, source: str, scope: Mapping[str, object]) -> None:
    """Raises ExpressionError for what cannot be right whatever the values are."""
    _Checker(source, scope).visit(tree)


def infer(tree: Node, source: str, scope: Mapping[str, object]) -> Type:
    """The type of the result where the scope's nested values are of their final types; raises ExpressionError for what cannot be right."""
    return _Checker(source, scope, exact=True).visit(tree)


class _Checker:
    def __init__(self, source: str, scope: Mapping[str, object], exact: bool = False) -> None:
        self.source, self.scope, self.exact = source, scope, exact
        self.loops: list[tuple[str, Type]] = []
        self.variables: list[tuple[str, Type]] = []

    def visit(self, node: Node) -> Type:
        method: Callable[[Node], Type] = getattr(self, f"_{node.kind}")
        return method(node)

    def error(self, node: Node, message: str) -> ExpressionError:
        return located(message, self.source, node.at)

    def _nil(self, node: Node) -> Type:
        return NIL

    def _bool(self, node: Node) -> Type:
        return BOOL

    def _int(self, node: Node) -> Type:
        return INT

    def _float(self, node: Node) -> Type:
        return FLOAT

    def _string(self, node: Node) -> Type:
        return STRING

    def _bytes(self, node: Node) -> Type:
        return BYTES

    def _name(self, node: Node) -> Type:
        for name, known in reversed(self.variables):
            if name == node.value:
                return known
        if node.value in self.scope:
            return type_of(self.scope[str(node.value)])
        if node.value in FUNCTIONS or node.value in PREDICATES:
            return FUNC
        if node.value == "$env":
            return UNKNOWN
        raise self.error(node, f"unknown name {node.value}")

    def _unary(self, node: Node) -> Type:
        operand = self.visit(node.parts[0])
        if node.value in ("!", "not") and operand.kind in ("bool", "unknown"):
            return BOOL
        if node.value in ("+", "-") and operand.kind in (*NUMBERS, "unknown"):
            return operand if operand.kind != "unknown" else UNKNOWN
        raise self.error(node, f"invalid operation: {node.value} (mismatched type {operand.text})")

    def _binary(self, node: Node) -> Type:
        left, right = self.visit(node.parts[0]), self.visit(node.parts[1])
        operator = str(node.value)
        if operator == "matches" and node.parts[1].kind == "string":
            try:
                re2.compile(str(node.parts[1].value))
            except re2.PatternError as error:
                raise self.error(node, str(error)) from None
        found = self.membership(node, left, right) if operator == "in" else result(operator, left, right)
        if found is None:
            raise self.error(node, f"invalid operation: {operator} (mismatched types {left.text} and {right.text})")
        return found

    def membership(self, node: Node, left: Type, right: Type) -> Type | None:
        if right.kind == "map" and left.kind not in ("string", "unknown"):
            raise self.error(node, f"cannot use {left.text} as type string in map key")
        if right.kind == "array" and right.element and not comparable(left, right.element):
            raise self.error(node, f"cannot use {left.text} as type {right.element.text} in array")
        if right.kind in ("map", "array", "unknown") or (left.kind == "unknown" and right.kind == "string"):
            return BOOL
        return None

    def _chain(self, node: Node) -> Type:
        return self.visit(node.parts[0])

    def _member(self, node: Node) -> Type:
        base, key = node.parts
        if base.kind == "name" and base.value == "$env" and key.kind == "string":
            if key.value in self.scope or node.flag:
                return type_of(self.scope.get(str(key.value), UNKNOWN))
            raise self.error(node, f"unknown name {key.value}")
        of, by = self.visit(base), self.visit(key)
        if of.kind in ("unknown", "time", "duration"):
            return UNKNOWN
        if of.kind == "map":
            if by.kind in ("string", "unknown"):
                return type_of(self.value(node)) if self.exact else INTERFACE
            raise self.error(key, f"cannot use {by.text} to get an element from {of.text}")
        if of.kind in ("array", "bytes"):
            if by.kind in ("int", "unknown"):
                return of.element or INT
            raise self.error(key, f"array elements can only be selected using an integer (got {by.text})")
        raise self.error(node, _no_field(node, of, by, key))

    def value(self, node: Node) -> object:
        """What stands at a path of plain names; an object of no known type where that is not to be told."""
        if node.kind == "name":
            return self.scope.get(str(node.value), ...)
        if node.kind != "member" or node.parts[1].kind != "string":
            return ...
        around = self.value(node.parts[0])
        return around.get(str(node.parts[1].value), ...) if isinstance(around, Mapping) else ...

    def _slice(self, node: Node) -> Type:
        of = self.visit(node.parts[0])
        if of.kind == "unknown":
            return UNKNOWN
        if of.kind not in ("string", "array", "bytes"):
            raise self.error(node, f"cannot slice {of.text}")
        for bound in node.parts[1:]:
            by = self.visit(bound)
            if by.kind not in ("int", "unknown", "nil"):
                raise self.error(bound, f"non-integer slice index {by.text}")
        return of

    def _call(self, node: Node) -> Type:
        callee = node.parts[0]
        known = self.visit(callee)
        if known.kind not in ("func", "unknown"):
            name = callee.value if callee.kind == "name" else "function"
            nil = f"{name} is nil; cannot call nil as function"
            raise self.error(node, nil if known.kind == "nil" else f"{known.text} is not callable")
        name = str(callee.value) if callee.kind == "name" else ""
        if name in SIGNATURES and name not in FUNCTIONS:
            return self.apply(node, name, node.parts[1:])
        for argument in node.parts[1:] if known.kind == "func" else ():
            self.visit(argument)
        return UNKNOWN

    def _builtin(self, node: Node) -> Type:
        name = str(node.value)
        if name in PREDICATES:
            return self.predicated(node, name)
        if name == "get":
            for argument in node.parts:
                self.visit(argument)
            if len(node.parts) != 2:
                raise self.error(node, f"invalid number of arguments (expected 2, got {len(node.parts)})")
            return UNKNOWN
        return self.apply(node, name, node.parts)

    def apply(self, node: Node, name: str, arguments: list[Node]) -> Type:
        types = [self.visit(argument) for argument in arguments]
        signature = SIGNATURES[name]
        problem, culprit = signature.problem(name, [(known.kind, known.text) for known in types])
        if problem:
            raise self.error(node if culprit is None else arguments[culprit], problem)
        return returned(signature, types)

    def predicated(self, node: Node, name: str) -> Type:
        collection = self.visit(node.parts[0])
        if collection.kind not in ("array", "unknown"):
            raise self.error(node.parts[0], f"builtin {name} takes only array (got {collection.text})")
        element = collection.element or UNKNOWN
        if len(node.parts) == 1:
            return element if name == "sum" else INT
        self.loops.append((name, element))
        inner = self.visit(node.parts[1])
        self.loops.pop()
        for extra in node.parts[2:]:
            order = self.visit(extra)
            if name == "sortBy" and order.kind not in ("string", "unknown"):
                raise self.error(extra, f"sortBy order argument must be a string (got {order.text})")
        boolean = name not in ("map", "sum", "groupBy", "sortBy", "reduce")
        if boolean and inner.kind not in ("bool", "unknown"):
            raise self.error(node.parts[1], f"predicate should return boolean (got {inner.text})")
        return predicated_result(name, collection, element, inner)

    def _predicate(self, node: Node) -> Type:
        return self.visit(node.parts[0])

    def _pointer(self, node: Node) -> Type:
        name, element = self.loops[-1]
        known = {"": element}
        if name in ("map", "reduce"):
            known["index"] = INT
        if name == "reduce":
            known["acc"] = UNKNOWN
        if node.value not in known:
            raise self.error(node, f"unknown pointer #{node.value}")
        return known[str(node.value)]

    def _let(self, node: Node) -> Type:
        name = str(node.value)
        if name in self.scope:
            raise self.error(node, f"cannot redeclare {name}")
        if name in FUNCTIONS or name in PREDICATES:
            raise self.error(node, f"cannot redeclare builtin {name}")
        if any(name == declared for declared, _ in self.variables):
            raise self.error(node, f"cannot redeclare variable {name}")
        self.variables.append((name, self.visit(node.parts[0])))
        inner = self.visit(node.parts[1])
        self.variables.pop()
        return inner

    def _sequence(self, node: Node) -> Type:
        return [self.visit(part) for part in node.parts][-1]

    def _if(self, node: Node) -> Type:
        condition = self.visit(node.parts[0])
        if condition.kind not in ("bool", "unknown"):
            raise self.error(node.parts[0], f"non-bool expression (type {condition.text}) used as condition")
        first, second = self.visit(node.parts[1]), self.visit(node.parts[2])
        if first.kind == "nil" or second.kind == "nil":
            return second if first.kind == "nil" else first
        return first if first.kind == second.kind else UNKNOWN

    def _array(self, node: Node) -> Type:
        elements = [self.visit(part) for part in node.parts]
        same = len({element.kind for element in elements}) == 1
        return array(elements[-1] if same else INTERFACE if elements else UNKNOWN)

    def _map(self, node: Node) -> Type:
        for part in node.parts:
            self.visit(part)
        return MAP


def _no_field(node: Node, of: Type, by: Type, key: Node) -> str:
    if key.kind != "string":
        return f"type {of.text}[{by.text}] is undefined"
    what = "method" if node.value == "method" else "field"
    return f"type nil has no field {key.value}" if of.kind == "nil" else f"type {of.text} has no {what} {key.value}"
