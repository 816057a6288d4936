"""Fields that are accepted and do something else than their name says."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.subject import Subject, Template, calls_of, kind_of

_E, _W = Severity.ERROR, Severity.WARNING

FAIL_FAST = Rule(
    "template-fail-fast",
    _W,
    "It waits only for pods of its own: steps and dags in it, and their pods, stay Running in a workflow that is over.",
    "Leave it out, or keep it to templates whose steps are all single pods.",
)
CONTROL = Rule(
    "control-character",
    _E,
    "Argo cannot put the value into a template: `cannot finish template replacement because the result was invalid JSON`.",
    "Remove the character; line breaks and tabs are allowed.",
)
DAG_FAIL_FAST = Rule(
    "dag-fail-fast",
    _W,
    "It does not keep other tasks from starting after a failure; it only decides whose phase the dag gets.",
    "Say what each task needs in depends.",
)
EXIT_TWICE = Rule("exit-twice", _E, "Of two exit handlers only onExit runs.", "Keep one of onExit and hooks.exit.")
LOCK = Rule(
    "lock-held",
    _E,
    "The workflow holds the mutex until it is over, and the template waits for it for ever.",
    "Give the two mutexes different names.",
)
SUSPEND = Rule(
    "suspend-without-default",
    _W,
    "When the duration is over without a value, the node ends in Error: `has not been set and does not have a default value`.",
    "Add valueFrom.default.",
)
DELETE = Rule(
    "delete-with-outputs",
    _E,
    "The pod ends with exit code 64: `successCondition, failureCondition and outputs are not supported for delete action`.",
    "Remove them.",
)
PATCH_FLOW = Rule(
    "patch-flow-style",
    _E,
    "A patch that begins with { is taken for JSON, and YAML in that style is none: BadRequest, exit code 64.",
    "Write the patch in block style, or as JSON.",
)
ONLY_FAILURE = Rule(
    "failure-condition-only",
    _W,
    "The step succeeds at the first look at which the condition is false; it does not wait.",
    "Add a successCondition.",
)
URL = Rule("http-without-url", _E, "The node waits until a deadline.", "Give http.url.")


def check_fail_fast(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        inner = [subject.called(call.call) for call in calls_of((), template) if call.kind != "hook"]
        if template.get("failFast") and any(kind_of(one or {}) in ("steps", "dag") for one in inner):
            yield Finding(FAIL_FAST, (*path, "failFast"), f"failFast of the template {template.get('name')!r}")
        if (template.get("dag") or {}).get("failFast"):
            yield Finding(DAG_FAIL_FAST, (*path, "dag", "failFast"), f"dag.failFast of {template.get('name')!r}")


def check_exits(subject: Subject) -> Iterator[Finding]:
    owners: list[tuple[Path, dict[str, Any]]] = [(subject.at, subject.spec)]
    owners += [(call.path, call.call) for call in subject.calls if call.kind != "hook"]
    for path, owner in owners:
        if owner.get("onExit") and (owner.get("hooks") or {}).get("exit"):
            yield Finding(EXIT_TWICE, (*path, "hooks", "exit"), "both onExit and hooks.exit")


def check_locks(subject: Subject) -> Iterator[Finding]:
    held = set(_mutexes(subject.spec))
    for path, template in subject.templates:
        for index, mutex in enumerate(_mutexes(template)):
            if mutex in held:
                yield Finding(LOCK, (*path, "synchronization", "mutexes", index), f"the workflow itself holds the mutex {mutex[1]!r}")


def _mutexes(owner: dict[str, Any]) -> list[tuple[str, str, bool]]:
    mutexes = (owner.get("synchronization") or {}).get("mutexes") or []
    return [(str(m.get("namespace", "")), str(m.get("name")), bool(m.get("database"))) for m in mutexes]


def check_suspends(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        if not (template.get("suspend") or {}).get("duration"):
            continue
        for index, output in enumerate((template.get("outputs") or {}).get("parameters") or []):
            source = output.get("valueFrom") or {}
            if source.get("supplied") is not None and "default" not in source:
                yield Finding(SUSPEND, (*path, "outputs", "parameters", index), f"the output {output.get('name')!r} has no default")


def check_resources(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        body = template.get("resource")
        if body is not None:
            yield from _resource(template, body, path)
        if template.get("http") is not None and not template["http"].get("url"):
            yield Finding(URL, (*path, "http"), "the request has no url")


def _resource(template: Template, body: dict[str, Any], path: Path) -> Iterator[Finding]:
    action, outputs = body.get("action"), (template.get("outputs") or {}).get("parameters") or []
    conditions = [key for key in ("successCondition", "failureCondition") if body.get(key)]
    if action == "delete" and (outputs or conditions):
        yield Finding(DELETE, (*path, "resource"), f"delete with {', '.join([*conditions, *['outputs'] * bool(outputs)])}")
    elif conditions == ["failureCondition"]:
        yield Finding(ONLY_FAILURE, (*path, "resource", "failureCondition"), "there is no successCondition")
    if action == "patch" and _flow_style(str(body.get("manifest") or "")):
        yield Finding(PATCH_FLOW, (*path, "resource", "manifest"), "the patch begins with { and is no JSON")


def _flow_style(text: str) -> bool:
    if not text.lstrip().startswith("{") or "{{" in text:
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def check_values(subject: Subject) -> Iterator[Finding]:
    """Characters that Go's quoting writes in a way that JSON has not."""
    owners: list[tuple[Path, dict[str, Any]]] = [((*subject.at, "arguments"), subject.spec.get("arguments") or {})]
    owners += [((*path, "inputs"), template.get("inputs") or {}) for path, template in subject.templates]
    owners += [((*call.path, "arguments"), call.call.get("arguments") or {}) for call in subject.calls]
    for path, given in owners:
        for index, parameter in enumerate(given.get("parameters") or []):
            for key in ("value", "default"):
                found = re.search(r"[\x00-\x07\x0b\x0e-\x1f\x7f]", str(parameter.get(key) or ""))
                if found:
                    yield Finding(
                        CONTROL, (*path, "parameters", index, key), f"the {key} of {parameter.get('name')!r} has the character {found[0]!r}"
                    )


CHECKS = (check_fail_fast, check_exits, check_locks, check_suspends, check_resources, check_values)
