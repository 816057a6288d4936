"""Evaluates the tree of an expression over a scope. Order of evaluation: github.com/expr-lang/expr v1.17.8 `compiler`, `vm`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cmp_to_key

from pipelines.local import golang, re2
from pipelines.local.expressions import values
from pipelines.local.expressions.errors import ExpressionError, Panic, UnsupportedFunction, located
from pipelines.local.expressions.syntax import PREDICATES, Node

_BUDGET = 1_000_000
"""Elements that one evaluation may make, expr-lang's memory budget."""


class _Broken(Exception):
    """A `?.` met nil: the whole chain is nil."""


def run(tree: Node, source: str, scope: Mapping[str, object]) -> object:
    """The value of an expression; raises ExpressionError."""
    machine = _Machine(scope)
    try:
        return machine.visit(tree)
    except Panic as panic:
        raise located(str(panic), source, machine.at) from None
    except UnsupportedFunction:
        raise
    except (RecursionError, OverflowError, MemoryError) as error:
        raise ExpressionError(f"expression cannot be evaluated: {type(error).__name__}") from None


@dataclass(slots=True)
class _Loop:
    element: object = None
    index: int = 0
    total: object = None


@dataclass(slots=True)
class _Machine:
    scope: Mapping[str, object]
    at: int = 0
    spent: int = 0
    loops: list[_Loop] = field(default_factory=list)
    variables: list[tuple[str, object]] = field(default_factory=list)

    def visit(self, node: Node) -> object:
        method: Callable[[Node], object] = getattr(self, f"_{node.kind}")
        return method(node)

    def spend(self, size: int) -> None:
        self.spent += size
        if self.spent >= _BUDGET:
            raise Panic("memory budget exceeded")

    def _constant(self, node: Node) -> object:
        return node.value

    _nil = _bool = _int = _float = _string = _bytes = _constant

    def _name(self, node: Node) -> object:
        for name, value in reversed(self.variables):
            if name == node.value:
                return value
        return self.scope if node.value == "$env" else self.scope.get(str(node.value))

    def _unary(self, node: Node) -> object:
        value = self.visit(node.parts[0])
        self.at = node.at
        if node.value == "-":
            return values.negate(value)
        return value if node.value == "+" else not values.to_bool(value)

    def _binary(self, node: Node) -> object:
        operator = str(node.value)
        boolean = operator in ("or", "||", "and", "&&")
        if boolean and node.parts[1].kind == "bool":
            return self.folded(node, operator in ("or", "||"))
        left = self.visit(node.parts[0])
        if operator == "??":
            return left if left is not None else self.visit(node.parts[1])
        if boolean:
            self.at = node.at
            decided = values.to_bool(left) is (operator in ("or", "||"))
            return left if decided else self.visit(node.parts[1])
        right = self.visit(node.parts[1])
        self.at = node.at
        return self.operate(operator, left, right)

    def folded(self, node: Node, either: bool) -> object:
        """expr-lang's optimizer: `x or true` is true without a look at x, `x or false` is x, whatever it is."""
        return either if node.parts[1].value is either else self.visit(node.parts[0])

    def operate(self, operator: str, left: object, right: object) -> object:
        if operator in ("==", "!="):
            return values.equal(left, right) is (operator == "==")
        if operator == "in":
            return values.contains(left, right)
        if operator in ("matches", "contains", "startsWith", "endsWith"):
            return _tested(operator, left, right)
        if operator == "..":
            low, high = values.to_int(left), values.to_int(right)
            self.spend(max(high - low + 1, 0))
            return list(range(low, high + 1))
        return values.arithmetic(operator, left, right)

    def _chain(self, node: Node) -> object:
        try:
            return self.visit(node.parts[0])
        except _Broken:
            return None

    def _member(self, node: Node) -> object:
        of = self.visit(node.parts[0])
        if node.flag and of is None:
            raise _Broken
        key = self.visit(node.parts[1])
        self.at = node.at
        return values.fetch(of, key)

    def _slice(self, node: Node) -> object:
        of, start, end = (self.visit(part) for part in node.parts)
        self.at = node.at
        return values.cut(of, start, end)

    def _call(self, node: Node) -> object:
        arguments = [self.visit(argument) for argument in node.parts[1:]]
        function = self.visit(node.parts[0])
        self.at = node.at
        if function is None:
            raise Panic("invalid operation: cannot call nil")
        if not callable(function):
            raise Panic(f"invalid operation: cannot call non-function of type {values.go_type(function)}")
        return _called(function, arguments)

    def _builtin(self, node: Node) -> object:
        name = str(node.value)
        if name in PREDICATES:
            return self.predicated(node, name)
        from pipelines.local.expressions.builtins import BUILTINS

        arguments = [self.visit(argument) for argument in node.parts]
        self.at = node.at
        result = _called(BUILTINS[name], arguments)
        if name in ("repeat", "concat", "flatten", "reverse", "sort") and isinstance(result, str | list):
            self.spend(len(result))
        return result

    def _predicate(self, node: Node) -> object:
        return self.visit(node.parts[0])

    def _pointer(self, node: Node) -> object:
        loop = self.loops[-1]
        return {"": loop.element, "index": loop.index, "acc": loop.total}[str(node.value)]

    def _let(self, node: Node) -> object:
        self.variables.append((str(node.value), self.visit(node.parts[0])))
        try:
            return self.visit(node.parts[1])
        finally:
            self.variables.pop()

    def _sequence(self, node: Node) -> object:
        return [self.visit(part) for part in node.parts][-1]

    def _if(self, node: Node) -> object:
        condition = self.visit(node.parts[0])
        self.at = node.at
        return self.visit(node.parts[1 if values.to_bool(condition) else 2])

    def _array(self, node: Node) -> object:
        elements = [self.visit(part) for part in node.parts]
        self.at = node.at
        self.spend(len(elements))
        return elements

    def _map(self, node: Node) -> object:
        items = [self.visit(part) for part in node.parts]
        self.at = node.at
        self.spend(len(items) // 2)
        return {values.to_text(key): value for key, value in zip(items[::2], items[1::2], strict=True)}

    def predicated(self, node: Node, name: str) -> object:
        collection = self.visit(node.parts[0])
        self.at = node.at
        if isinstance(collection, str | bytes):
            collection = list(collection.encode("utf-8", "surrogatepass") if isinstance(collection, str) else collection)
        if not isinstance(collection, list):
            kind = "zero Value" if collection is None else f"{_reflect_kind(collection)} Value"
            raise Panic(f"reflect: call of reflect.Value.{'Index' if isinstance(collection, Mapping) else 'Len'} on {kind}")
        loop = _Loop()
        self.loops.append(loop)
        try:
            return self.looped(node, name, collection, loop)
        finally:
            self.loops.pop()

    def looped(self, node: Node, name: str, collection: list[object], loop: _Loop) -> object:
        if name == "reduce":
            return self.reduced(node, collection, loop)
        if name == "sortBy":
            order = values.to_text(self.visit(node.parts[2])) if len(node.parts) == 3 else "asc"
            if order not in ("asc", "desc"):
                raise Panic("unknown order, use asc or desc")
            keys = list(self.each(node, range(len(collection)), collection, loop))
            return [collection[index] for index in _sorted_indexes(keys, order == "desc")]
        backwards = name.startswith("findLast")
        order_of_visit = range(len(collection) - 1, -1, -1) if backwards else range(len(collection))
        results = self.each(node, order_of_visit, collection, loop)
        if name in _COLLECT:
            return self.collected(name, collection, results)
        tested = ((index, values.to_bool(result)) for index, result in zip(order_of_visit, results, strict=True))
        return _searched(name, collection, tested)

    def each(self, node: Node, indexes: Iterable[int], collection: list[object], loop: _Loop) -> Iterable[object]:
        for index in indexes:
            loop.index, loop.element = index, collection[index]
            result = self.visit(node.parts[1]) if len(node.parts) > 1 else loop.element
            self.at = node.at
            yield result

    def collected(self, name: str, collection: list[object], results: Iterable[object]) -> object:
        if name == "sum":
            total: object = 0
            for result in results:
                total = values.arithmetic("+", result, total)
            return total
        if name == "map":
            self.spend(len(collection))
            return list(results)
        groups = golang.AnyKeyMap()
        groups.kind = "map[interface {}][]interface {}"
        for element, key in zip(collection, results, strict=True):
            members = groups.get(values.hashable(key))
            groups[key] = [*members, element] if isinstance(members, list) else [element]
        return groups

    def reduced(self, node: Node, collection: list[object], loop: _Loop) -> object:
        if len(node.parts) == 3:
            start, loop.total = 0, self.visit(node.parts[2])
        elif not collection:
            raise Panic("reduce of empty array with no initial value")
        else:
            start, loop.total = 1, collection[0]
        for index in range(start, len(collection)):
            loop.index, loop.element = index, collection[index]
            loop.total = self.visit(node.parts[1])
        return loop.total


_COLLECT = ("sum", "map", "groupBy")


def _searched(name: str, collection: list[object], tested: Iterable[tuple[int, bool]]) -> object:
    if name in ("all", "none", "any"):
        wanted = name == "all"
        stopped = any(result is not wanted for _, result in tested)
        return stopped if name == "any" else not stopped
    hits = (index for index, result in tested if result)
    if name in ("find", "findLast", "findIndex", "findLastIndex"):
        index = next(hits, None)
        return index if index is None or name.endswith("Index") else collection[index]
    found = list(hits)
    if name == "filter":
        return [collection[index] for index in found]
    return len(found) == 1 if name == "one" else len(found)


def _sorted_indexes(keys: list[object], descending: bool) -> list[int]:
    def order(first: int, second: int) -> int:
        if values.less(keys[first], keys[second]):
            return 1 if descending else -1
        return 0 if not values.less(keys[second], keys[first]) else -1 if descending else 1

    return sorted(range(len(keys)), key=cmp_to_key(order))


def _tested(operator: str, left: object, right: object) -> bool:
    if left is None or right is None:
        return False
    if operator == "matches" and isinstance(left, bytes):
        left = left.decode("utf-8", "replace")
    text, part = values.to_text(left), values.to_text(right)
    if operator == "contains":
        return part in text
    if operator == "matches":
        try:
            return re2.compile(part).search(text)
        except re2.PatternError as error:
            raise Panic(str(error)) from None
    return text.startswith(part) if operator == "startsWith" else text.endswith(part)


def _called(function: Callable[..., object], arguments: list[object]) -> object:
    """Functions raise Panic for what they refuse; a wrong number or kind of arguments is a TypeError of Python's."""
    try:
        return function(*arguments)
    except (TypeError, AttributeError):
        shown = ", ".join(values.go_type(argument) for argument in arguments)
        raise Panic(f"reflect: Call using ({shown}): wrong number or types of arguments") from None
    except ValueError as error:
        raise Panic(str(error)) from None


def _reflect_kind(value: object) -> str:
    return {"map[string]interface {}": "map", "time.Time": "struct", "time.Duration": "int64"}.get(
        values.go_type(value), values.go_type(value)
    )
