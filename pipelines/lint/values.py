"""Values that are not what they look like: plain words that YAML reads as something else, numbers out of their range, ConfigMaps."""

import re
from collections.abc import Iterator
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.subject import Subject
from pipelines.local import workflow

PLAIN_ITEM = Rule(
    "item-not-as-written",
    Severity.WARNING,
    "YAML 1.1 reads yes, no, on and off as truth values and 010, 0x10, 1.50 and 1e2 as numbers: the step gets another text.",
    "Put the item in quotes.",
)
DATE = Rule(
    "plain-date",
    Severity.WARNING,
    "Argo takes it as text; other readers of YAML 1.1 (PyYAML, Helm's tools) make a date of it, or of 1:30 the number 90.",
    "Put the value in quotes.",
)
NEGATIVE = Rule(
    "negative-limit",
    Severity.ERROR,
    "A limit below 0 is reached before the first try is over: nothing is retried, and the node fails with `No more retries left`.",
    "Write 0 for no retries, or leave retryStrategy out.",
)
CONFIG_MAP = Rule(
    "config-map-label",
    Severity.ERROR,
    "The workflow fails at once: Argo takes parameters from ConfigMaps with the label workflows.argoproj.io/configmap-type: Parameter.",
    "Add the label to the ConfigMap.",
)
CONFIG_KEY = Rule(
    "config-map-key",
    Severity.ERROR,
    "The ConfigMap that stands in these files has no such key: the workflow or node ends in an error.",
    "Correct the key, or give valueFrom.default.",
)

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([Tt ].*)?|[-+]?\d+(:[0-5]?\d)+(\.\d*)?")
_LABEL = "workflows.argoproj.io/configmap-type"


def check_items(subject: Subject) -> Iterator[Finding]:
    """Items of loops whose text differs from what is written."""
    for call in subject.calls:
        for index, item in enumerate(call.call.get("withItems") or []):
            yield from _item(subject, item, (*call.path, "withItems", index))


def _item(subject: Subject, item: Any, path: Path) -> Iterator[Finding]:
    if isinstance(item, dict):
        for key, inner in item.items():
            yield from _item(subject, inner, (*path, key))
    elif isinstance(item, list):
        for index, inner in enumerate(item):
            yield from _item(subject, inner, (*path, index))
    else:
        written = subject.written(path)
        plain = isinstance(item, bool | int | float)
        if plain and written is not None and written != workflow.text(item):
            yield Finding(PLAIN_ITEM, path, f"{written} is read as {workflow.text(item)}")


def check_dates(subject: Subject) -> Iterator[Finding]:
    """Parameters that look like dates or times."""
    owners = [(subject.at, subject.spec.get("arguments"), "arguments")]
    owners += [(call.path, call.call.get("arguments"), "arguments") for call in subject.calls]
    owners += [(path, template.get("inputs"), "inputs") for path, template in subject.templates]
    for path, given, field in owners:
        for index, parameter in enumerate((given or {}).get("parameters") or []):
            for key in ("value", "default"):
                where = (*path, field, "parameters", index, key)
                if key in parameter and _DATE.fullmatch(subject.written(where) or ""):
                    yield Finding(DATE, where, f"`{key}` of {parameter.get('name')!r} is {parameter[key]}, without quotes")


def check_limits(subject: Subject) -> Iterator[Finding]:
    for path, owner in [(subject.at, subject.spec), *subject.templates]:
        limit = str((owner.get("retryStrategy") or {}).get("limit", ""))
        if re.fullmatch(r"-\d*[1-9]\d*", limit):
            yield Finding(NEGATIVE, (*path, "retryStrategy", "limit"), f"limit is {limit}")


def check_config_maps(subject: Subject) -> Iterator[Finding]:
    """Parameters from ConfigMaps that stand in the same files."""
    owners = [((*subject.at, "arguments"), subject.spec.get("arguments"))]
    owners += [((*path, "inputs"), template.get("inputs")) for path, template in subject.templates]
    owners += [((*call.path, "arguments"), call.call.get("arguments")) for call in subject.calls]
    for path, given in owners:
        for index, parameter in enumerate((given or {}).get("parameters") or []):
            source = (parameter.get("valueFrom") or {}).get("configMapKeyRef") or {}
            found = subject.config_map(str(source.get("name"))) if source else None
            where = (*path, "parameters", index, "valueFrom")
            if found is None:
                continue
            if ((found.get("metadata") or {}).get("labels") or {}).get(_LABEL) != "Parameter":
                yield Finding(CONFIG_MAP, where, f"the ConfigMap {source['name']!r} lacks the label {_LABEL}: Parameter")
            key, default = str(source.get("key")), (parameter.get("valueFrom") or {}).get("default")
            if "{{" not in key and key not in (found.get("data") or {}) and default is None and not source.get("optional"):
                yield Finding(CONFIG_KEY, where, f"the ConfigMap {source['name']!r} has no key {key!r}")


CHECKS = (check_items, check_dates, check_limits, check_config_maps)
