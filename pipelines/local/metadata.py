"""Labels and annotations that a workflow gives itself when it begins. argo-workflows v4.1.2 `operator.go`, updateWorkflowMetadata."""

import re
from collections.abc import Iterator
from typing import Any

from pipelines.local import expressions, golang, tags
from pipelines.local.scope import Values

_LABEL = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_LABEL}')"
)


class MetadataError(Exception):
    """A label that cannot be set, in Argo's words."""


def asked_for(spec: dict[str, Any], known: Values) -> dict[str, dict[str, str]]:
    """The labels and annotations that spec.workflowMetadata asks for; MetadataError when an expression fails or a label is invalid."""
    asked = tags.substitute_json(spec.get("workflowMetadata") or {}, known, tolerant=True)
    return {"labels": dict(_labels(asked, known)), "annotations": asked.get("annotations") or {}}


def _labels(asked: dict[str, Any], known: Values) -> Iterator[tuple[str, str]]:
    for name, value in (asked.get("labels") or {}).items():
        yield name, _valid(value, f"invalid label value {golang.quote(value)} for label {golang.quote(name)}: ")
    for name, source in (asked.get("labelsFrom") or {}).items():
        text, label = golang.quote(source["expression"]), golang.quote(name)
        try:
            value = expressions.evaluate(source["expression"], expressions.expand(known))
        except expressions.ExpressionError as error:
            raise MetadataError(f"failed to evaluate label {label} expression {text}: {error}") from None
        if not isinstance(value, str):
            from pipelines.local.expressions.values import go_type

            raise MetadataError(f"failed to evaluate label {label} expression {text} evaluted to {go_type(value)} but must be a string")
        yield name, _valid(value, f"invalid label value {golang.quote(value)} for label {label} and expression {text}: ")


def _valid(value: str, complaint: str) -> str:
    """The value of a label. https://pkg.go.dev/k8s.io/apimachinery/pkg/util/validation#IsValidLabelValue"""
    if problem := invalid(value):
        raise MetadataError(complaint + problem)
    return value


def invalid(value: str) -> str:
    """What is wrong with the value of a label; empty when nothing is."""
    wrong = ["must be no more than 63 bytes"] if len(value.encode()) > 63 else []
    wrong += [_RULE] if not re.fullmatch(_LABEL, value) else []
    return ";".join(wrong)
