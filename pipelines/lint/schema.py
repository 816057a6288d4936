"""What Argo's strict decoder and the API server's schema refuse in the fields of an object, and what the decoder makes of the rest."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipelines.lint import vocabulary
from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.models import KINDS, LOOSE, Fields, Type
from pipelines.local import naming, workflow
from pipelines.local.naming import close_to

UNKNOWN_FIELD = Rule(
    "unknown-field",
    Severity.ERROR,
    "Argo's strict decoder and the API server refuse it; where field validation is off it is dropped without a word.",
    "Correct the name, or move the field to where it belongs.",
)
WRONG_TYPE = Rule(
    "wrong-type",
    Severity.ERROR,
    "Argo's decoder stops at it and looks at no further file; the API server refuses the object.",
    "Write a value of the type that is expected; text that looks like a number, yes or no needs quotes.",
)
MISSING_FIELD = Rule(
    "missing-field",
    Severity.ERROR,
    "Argo's lint lets it pass; the API server's schema refuses the object.",
    "Add the field.",
)
NOT_TEXT = Rule(
    "parameter-not-text",
    Severity.ERROR,
    "The API server takes text only; `argo submit` makes text of what YAML read, which may differ from what is written: 1.10 becomes 1.1, "
    "2e-5 0.00002, 010 8, yes true, and a map or list the empty text.",
    "Put the value in quotes.",
)
NULL_VALUE = Rule(
    "parameter-null",
    Severity.WARNING,
    "To Argo a null is no value at all, not the empty text.",
    'Write "" for the empty text, or leave the field out.',
)
QUANTITY = Rule(
    "quantity",
    Severity.ERROR,
    "Argo's decoder stops at a quantity that it cannot read, also at a tag, and looks at no further file.",
    "Write a number with a suffix that Kubernetes knows, as 500m, 2Gi or 1e3; take values from podSpecPatch, not from a tag.",
)
NO_NUMBER = Rule(
    "not-a-number",
    Severity.ERROR,
    "It is looked at only when it is needed, for a limit of retries after the first failure, and then ends the node in Error.",
    "Write a whole number, or a tag that becomes one.",
)
RULES = (UNKNOWN_FIELD, WRONG_TYPE, MISSING_FIELD, NOT_TEXT, NULL_VALUE, QUANTITY, NO_NUMBER)

_INT = re.compile(r"[-+]?\d+")
_NAMES = {
    "text": "text",
    "whole": "a whole number",
    "number": "a number",
    "truth": "true or false",
    "either": "a whole number or text",
    "quantity": "a quantity",
    "list": "a list",
    "map": "a map",
    "object": "a map",
}
_TOLD_ELSEWHERE = frozenset(
    {
        *((kind, "name") for kind in ("Parameter", "Artifact", "WorkflowStep", "DAGTask", "ContainerNode", "Prometheus")),
        *((kind, "metadata") for kind in KINDS),
        *((kind, "value") for kind in ("Counter", "Gauge", "Histogram")),
        *(("DAGTemplate", "tasks"), ("CronWorkflowSpec", "schedules"), ("ContainerSetTemplate", "containers")),
        *(("ResourceTemplate", "action"), ("Prometheus", "help"), ("GitArtifact", "repo"), ("HDFSArtifact", "path")),
    }
)
"""Required fields whose absence a rule of Argo's own reports in its words."""


_NUMBERS = frozenset({"RetryStrategy", "ContainerSetRetryStrategy", "Backoff", "Sequence"})


@dataclass
class Decoded:
    """What Argo's decoder makes of a value: wrong types, nulls and unknown fields' values are left out, and reported."""

    written: Callable[[Path], str | None] = lambda path: None
    """From a path to the plain scalar that stands there in the file."""
    findings: list[Finding] = field(default_factory=list)

    def value(self, value: Any, type_: Type, path: Path) -> Any:
        """The decoded value; None when there is nothing left of it."""
        if value is None:
            return None
        decode = getattr(self, f"_{type_.kind}", None)
        if decode is not None:
            return decode(value, type_, path)
        fits = self._is(value, type_.kind, path)
        if not fits and type_.kind == "text" and isinstance(value, bool | int | float):
            return workflow.text(value)  # so that a name is not reported again as missing
        return value if fits else None

    def _is(self, value: Any, kind: str, path: Path) -> bool:
        fits = {
            "text": isinstance(value, str),
            "truth": isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool),
            "whole": _whole(value),
            "either": isinstance(value, str) or _whole(value),
            "list": isinstance(value, list),
            "map": isinstance(value, dict),
            "object": isinstance(value, dict),
        }[kind]
        if not fits:
            self.findings.append(Finding(WRONG_TYPE, path, f"`{_last(path)}` is {_shown(value)} where {_NAMES[kind]} is expected"))
        return fits

    def _any(self, value: Any, type_: Type, path: Path) -> Any:
        return value

    def _value(self, value: Any, type_: Type, path: Path) -> str | None:
        """An AnyString, as text."""
        if not isinstance(value, str):
            text = workflow.text(value)
            self.findings.append(
                Finding(NOT_TEXT, path, f"`{_last(path)}` is {self._written(path, value)}, no text: to Argo it is {text!r}")
            )
            return text
        return value

    def _written(self, path: Path, value: Any) -> str:
        """A scalar as it stands in the file."""
        text = self.written(path)
        return _shown(value) if text is None else f"{text} without quotes"

    def _quantity(self, value: Any, type_: Type, path: Path) -> Any:
        text = value if isinstance(value, str) else workflow.text(value) or ""
        if isinstance(value, bool) or not naming.QUANTITY.fullmatch(text):
            self.findings.append(Finding(QUANTITY, path, f"`{_last(path)}` is {_shown(value)}, which is no quantity"))
        return value

    def _list(self, value: Any, type_: Type, path: Path) -> Any:
        if not self._is(value, "list", path):
            return None
        decoded = [self.value(one, type_.inner, (*path, i)) for i, one in enumerate(value)]
        return [_zero(type_.inner) if one is None else one for one in decoded]

    def _map(self, value: Any, type_: Type, path: Path) -> Any:
        if not self._is(value, "map", path):
            return None
        decoded = {k: self.value(one, type_.inner, (*path, k)) for k, one in value.items()}
        return {k: _zero(type_.inner) if one is None else one for k, one in decoded.items()}

    def _object(self, value: Any, type_: Type, path: Path) -> Any:
        if not self._is(value, "object", path):
            return None
        fields, found = type_.fields(), dict[str, Any]()
        for key, inner in value.items():
            known = LOOSE.get((type_.name, key)) or fields.types.get(key)
            if known is None:
                near = close_to(key, fields.types)
                self.findings.append(Finding(UNKNOWN_FIELD, (*path, key), f"unknown field `{_dotted((*path, key))}`{near}"))
                continue
            if inner is None and known.kind == "value" and type_.name == "Parameter":
                self.findings.append(Finding(NULL_VALUE, (*path, key), f"`{key}` of {value.get('name')!r} is null: no value at all"))
            decoded = self.value(inner, known, (*path, key))
            if decoded is not None:
                found[key] = decoded
        plugin = found.get("plugin") if type_.name == "Template" else None
        if plugin is not None and not (isinstance(plugin, dict) and len(plugin) == 1):
            self.findings.append(Finding(WRONG_TYPE, (*path, "plugin"), "`plugin` is not a map with the plugin's name as its only key"))
        for key in sorted(k for k in fields.required - found.keys() - value.keys() if (type_.name, k) not in _TOLD_ELSEWHERE):
            self.findings.append(Finding(MISSING_FIELD, path, f"`{_last(path)}` has no `{key}`"))
        self.findings += vocabulary.check(type_.name, found, path)
        self.findings += _numbers(type_.name, fields, found, path)
        return found


def _numbers(name: str, fields: Fields, found: dict[str, Any], path: Path) -> Iterator[Finding]:
    """Counts that are text must be numbers all the same."""
    for key, value in found.items() if name in _NUMBERS else ():
        if fields.types[key].kind == "either" and isinstance(value, str) and "{{" not in value and not _INT.fullmatch(value):
            yield Finding(NO_NUMBER, (*path, key), f"`{key}` is {value!r}, which is no whole number")


def _whole(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()


def _zero(type_: Type) -> Any:
    """Go's zero value, which a null in a list or map becomes."""
    return {"text": "", "truth": False, "list": [], "any": None, "value": ""}.get(type_.kind, {} if type_.kind in ("object", "map") else 0)


def _last(path: Path) -> str:
    named = [str(step) for step in path if isinstance(step, str)]
    return named[-1] if named else "the document"


def _dotted(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {workflow.text(value)}"
    return "a list" if isinstance(value, list) else "a map"
