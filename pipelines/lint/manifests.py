"""Resource templates: what their manifest makes, and when they are done."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from pipelines.lint.findings import Finding, Rule, Severity
from pipelines.lint.subject import Subject, Template
from pipelines.local import documents, selectors

MANIFEST = Rule(
    "manifest-object",
    Severity.ERROR,
    "kubectl cannot apply it: the pod of the step ends with exit code 64.",
    "Write a Kubernetes object with apiVersion, kind and metadata.name (to create: or generateName).",
)
CONDITION = Rule(
    "resource-condition",
    Severity.ERROR,
    "The step ends with exit code 64 after it has made the object.",
    "Write conditions as label selectors on fields, as in status.phase == Succeeded; no quotes, no >=.",
)

_TAG = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def check_manifests(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        body = template.get("resource") or {}
        text, action = body.get("manifest"), body.get("action") or ""
        if text and not _TAG.fullmatch(text.strip()):
            for what in _wrong(text, action):
                yield Finding(MANIFEST, (*path, "resource", "manifest"), what)
        yield from _conditions(template, path)


def _wrong(text: str, action: str) -> Iterator[str]:
    """What is no object; tags are words, so only their absence is judged."""
    try:
        found = [one for one in yaml.load_all(_TAG.sub("x", text), documents.Loader) if one is not None]
    except (yaml.YAMLError, ValueError, RecursionError):
        return  # another rule says so
    if action == "patch" or ("x" in found and _TAG.search(text)):
        return
    for one in found:
        if not isinstance(one, dict):
            yield f"the manifest is {'a list' if isinstance(one, list) else 'text'}, no object"
            continue
        missing = [key for key in ("apiVersion", "kind") if not one.get(key)]
        names: Any = one.get("metadata") if isinstance(one.get("metadata"), dict) else {}
        if not (names.get("name") or (action == "create" and names.get("generateName"))):
            missing.append("metadata.name")
        if missing:
            yield f"the manifest has no {' and no '.join(missing)}"
    if not found:
        yield "the manifest is empty"


def _conditions(template: Template, path: tuple[str | int, ...]) -> Iterator[Finding]:
    for field in ("successCondition", "failureCondition"):
        condition = (template.get("resource") or {}).get(field)
        if not condition or "{{" in condition:
            continue
        try:
            selectors.parse(condition)
        except selectors.SelectorError as error:
            yield Finding(CONDITION, (*path, "resource", field), f"{field} {condition!r} is no condition: {error}")


CHECKS = (check_manifests,)
