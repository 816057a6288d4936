"""What can be wrong with an expression."""


class ExpressionError(Exception):
    """The expression cannot be read or evaluated; the message is expr-lang's."""


class UnsupportedFunction(ExpressionError):
    """A function that Argo has and this runner has not: never silently left as text."""


class Panic(Exception):
    """A failed operation, before its place in the source is known."""


def located(message: str, source: str, at: int) -> ExpressionError:
    """The error with line, column and the marked line, as expr-lang writes it; `at` counts characters."""
    start = source.rfind("\n", 0, at) + 1
    end = source.find("\n", start)
    line = source[start : end if end >= 0 else len(source)]
    if not line:
        return ExpressionError(message)
    number, column = source.count("\n", 0, start) + 1, min(at, len(source)) - start
    marked = f"\n | {line.replace(chr(9), ' ')}\n | {'.' * column}^"
    return ExpressionError(f"{message} ({number}:{column + 1}){marked}")
