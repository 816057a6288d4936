"""Names and labels of Kubernetes objects: what the API server refuses and Argo's lint does not look at."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.lint import literals
from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.subject import Subject, Template

OBJECT_NAME = Rule(
    "object-name",
    Severity.ERROR,
    "The API server refuses the object; Argo's lint does not look at it.",
    "Use lower case letters, digits, `-` and `.`, a letter or digit first and last.",
)
NO_OBJECT_NAME = Rule(
    "object-without-name",
    Severity.ERROR,
    "The API server refuses the object; Argo's lint does not look at it.",
    "Give metadata.name, or for a Workflow metadata.generateName.",
)
NAME_LENGTH = Rule(
    "name-too-long",
    Severity.ERROR,
    "The name becomes a label of every pod; Argo refuses what would not fit, for a CronWorkflow with room for the time of a run.",
    "Shorten it: 63 characters, 52 for a CronWorkflow.",
)
LABEL = Rule(
    "label",
    Severity.ERROR,
    "The API server refuses the workflow, or later the pod, which ends its node in Error.",
    "Use at most 63 letters, digits, `-`, `_` and `.`, a letter or digit first and last; make other text safe in a step before.",
)

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9.])?-?")
_WORD = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_LONGEST = {"CronWorkflow": 52}
_KINDS = {
    "Workflow": "workflow",
    "WorkflowTemplate": "workflow template",
    "ClusterWorkflowTemplate": "cluster workflow template",
    "CronWorkflow": "cron workflow",
}


def check_object_name(subject: Subject) -> Iterator[Finding]:
    """metadata.name and generateName."""
    name, prefix = subject.metadata.get("name"), subject.metadata.get("generateName")
    longest = _LONGEST.get(subject.kind, 63)
    if not name and not (prefix and subject.kind == "Workflow"):
        yield Finding(NO_OBJECT_NAME, ("metadata",), f"the {_KINDS[subject.kind]} has no name")
    if name and not _SUBDOMAIN.fullmatch(name):
        yield Finding(OBJECT_NAME, ("metadata", "name"), f"{name!r} is no name for an object")
    elif not name and prefix and not _PREFIX.fullmatch(prefix):
        yield Finding(OBJECT_NAME, ("metadata", "generateName"), f"{prefix!r} is no beginning of a name for an object")
    if name and len(name) > longest:
        message = f'{_KINDS[subject.kind]} name "{name}" must not be more than {longest} characters long (currently {len(name)})'
        yield Finding(NAME_LENGTH, ("metadata", "name"), message)


def check_labels(subject: Subject) -> Iterator[Finding]:
    """Labels of the object, of its runs and of its pods; values with tags as far as they are known."""
    anyone: Template = {}
    places: list[tuple[Path, Any, Template]] = [(("metadata",), subject.metadata, anyone)]
    for key in ("workflowMetadata", "podMetadata"):
        places.append(((*subject.at, key), subject.spec.get(key), anyone))
    if subject.kind == "CronWorkflow":
        places.append((("spec", "workflowMetadata"), (subject.document.get("spec") or {}).get("workflowMetadata"), anyone))
    places += [((*path, "metadata"), template.get("metadata"), template) for path, template in subject.templates]
    for path, metadata, template in places:
        if metadata:
            yield from _labels(metadata.get("labels") or {}, (*path, "labels"), literals.values(subject, template))
            for part in ("labels", "annotations"):
                yield from _keys(metadata.get(part) or {}, (*path, part))


def _labels(labels: Mapping[str, str], at: Path, known: dict[str, list[str]]) -> Iterator[Finding]:
    for key, value in labels.items():
        for text in literals.becomes(value, known):
            if len(text) > 63:
                yield Finding(LABEL, (*at, key), f"the label {key} becomes {len(text)} characters long: {text!r}")
            elif not _WORD.fullmatch(text):
                yield Finding(LABEL, (*at, key), f"the label {key} becomes {text!r}, which is no label value")


def _keys(named: Mapping[str, str], at: Path) -> Iterator[Finding]:
    for key in named:
        prefix, _, name = key.rpartition("/")
        good = name and len(name) <= 63 and _WORD.fullmatch(name) and (not prefix or (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)))
        if not good and "{{" not in key:
            yield Finding(LABEL, (*at, key), f"{key!r} is no key for a label or annotation")


CHECKS = (check_object_name, check_labels)
