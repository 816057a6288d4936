"""Outputs of resource steps: kubectl's jsonpath templates and jq filters over an object."""

__all__ = ["QueryError", "jq", "jsonpath"]


class QueryError(Exception):
    """The query cannot be read, does not fit the object, or uses what is not supported locally (then it names it)."""


def jsonpath(expr: str, obj: object) -> str:
    """What `kubectl get -o jsonpath=EXPR` prints: `{.status.x}`; a missing field is empty, text keeps its newlines.

    Raises QueryError.
    """
    from pipelines.local.queries import templates

    return templates.render(expr, obj)


def jq(expr: str, obj: object) -> str:
    """What Argo's jqFilter gives: results one a line, text without quotes, blanks trimmed; a missing field is `null`.

    Raises QueryError.
    """
    from pipelines.local.queries import grammar

    return grammar.render(expr, obj)
