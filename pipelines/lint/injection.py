"""Parameters that reach a shell, another interpreter or a manifest as part of the text: a value with a quote is then code."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.subject import Call, Subject, Template, calls_of
from pipelines.lint.texts import Tag, tags

SHELL = Rule(
    "tag-in-script",
    Severity.WARNING,
    "The value becomes part of the program: a quote, a dollar sign or a newline in it breaks the program or runs as one.",
    "Hand it over as an argument or an environment variable: env: [{name: X, value: '{{inputs.parameters.x}}'}].",
)
MANIFEST = Rule(
    "tag-in-manifest",
    Severity.WARNING,
    "The value becomes part of the manifest: a colon or a newline in it makes other fields of it.",
    "Write `{{=toJson(inputs.parameters.x)}}`, or put the tag in double quotes if its values have none.",
)

_SHELLS = re.compile(r"(.*/)?(sh|bash|ash|dash|zsh|ksh|busybox)")
_INTERPRETERS = re.compile(r"(.*/)?(sh|bash|ash|dash|zsh|ksh|busybox|python[\d.]*|perl|ruby|node|php|Rscript)")
_FREE = re.compile(
    r"(inputs\.parameters|workflow\.parameters|workflow\.(labels|annotations)|workflow\.outputs\.parameters)\b|(steps|tasks)\.[^.]+\.outputs\b|item\b"
)
_NAME = re.compile(r"\{?\.metadata\.(name|uid|namespace)\}?")
"""What a resource template reads of its object and Kubernetes keeps free of anything but letters, digits, dashes and dots."""
_SAFE = re.compile(r"\s*(asInt|asFloat|toJson|len|int|float)\(")


def check_scripts(subject: Subject) -> Iterator[Finding]:
    """Sources of scripts, and what follows a shell's -c."""
    for path, template in subject.templates:
        script = template.get("script") or {}
        if _INTERPRETERS.fullmatch((script.get("command") or [""])[0]):
            yield from _free(subject, template, str(script.get("source", "")), (*path, "script", "source"))
        for where, container in _containers(template, path):
            words = [((*where, key, i), w) for key in ("command", "args") for i, w in enumerate(container.get(key) or [])]
            yield from _programs(subject, template, words)


def _containers(template: Template, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    if template.get("container"):
        yield (*path, "container"), template["container"]
    for key, owner in (("containers", template.get("containerSet") or {}), ("sidecars", template), ("initContainers", template)):
        at = (*path, "containerSet", key) if key == "containers" else (*path, key)
        for index, container in enumerate(owner.get(key) or []):
            yield (*at, index), container


def _programs(subject: Subject, template: Template, words: list[tuple[Path, str]]) -> Iterator[Finding]:
    """The word after `-c` of a shell; what follows it are its arguments and harmless."""
    if not words or not _SHELLS.fullmatch(words[0][1]):
        return
    for (_, option), (path, program) in itertools.pairwise(words):
        if re.fullmatch(r"-[a-z]*c", option):
            yield from _free(subject, template, program, path)
            return


def _free(subject: Subject, template: Template, text: str, path: Path) -> Iterator[Finding]:
    for tag in tags(text).found:
        if _anything(subject, template, tag):
            yield Finding(SHELL, path, f"`{{{{{tag.content}}}}}`")
            return


def _anything(subject: Subject, template: Template, tag: Tag) -> bool:
    """Whether the value of a tag may hold any text; a name, a number or a path may not, nor what all callers write out."""
    if tag.expression is not None:
        return bool(_FREE.search(tag.expression)) and not _SAFE.match(tag.expression)
    if not _FREE.match(tag.name) or tag.name.endswith(".path"):
        return False
    name = tag.name.removeprefix("inputs.parameters.")
    return name == tag.name or not _tame(subject, template, name)


def _tame(subject: Subject, template: Template, name: str) -> bool:
    """Whether every caller of a template gives an input that is written out, or the name of an object."""
    callers = [call for call in subject.calls if subject.called(call.call) is template]
    declared: dict[str, Any] = next((p for p in (template.get("inputs") or {}).get("parameters") or [] if p.get("name") == name), {})
    values = [(c, _argument(c.call, name, declared)) for c in callers]
    return bool(values) and all(value is not None and _written(subject, call, value) for call, value in values)


def _argument(call: dict[str, Any], name: str, declared: dict[str, Any]) -> str | None:
    given = next((p for p in (call.get("arguments") or {}).get("parameters") or [] if p.get("name") == name), declared)
    value = given.get("value", given.get("default"))
    return value if isinstance(value, str) else None


def _written(subject: Subject, call: Call, value: str) -> bool:
    for tag in tags(value).found:
        if tag.name == "item" and (call.call.get("withItems") or call.call.get("withSequence")):
            continue
        if tag.expression is not None or (_FREE.match(tag.name) and not _object_name(subject, call, tag.name)):
            return False
    return True


def _object_name(subject: Subject, call: Call, name: str) -> bool:
    """Whether an output is a field such as metadata.name that a resource template reads."""
    _, one, *rest = [*name.split("."), ""]
    made = next((c for c in calls_of((), call.template) if c.kind != "hook" and c.name == one), None)
    template = subject.called(made.call) if made is not None else None
    outputs = ((template or {}).get("outputs") or {}).get("parameters") or []
    source = next((o.get("valueFrom") or {} for o in outputs if rest[:3] == ["outputs", "parameters", o.get("name")]), {})
    return bool(_NAME.fullmatch(source.get("jsonPath") or source.get("jqFilter") or ""))


def check_manifests(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        text = str((template.get("resource") or {}).get("manifest") or "")
        for tag in tags(text).found:
            if _anything(subject, template, tag) and not _quoted(text, tag) and text.strip() != text[tag.start : tag.end]:
                yield Finding(MANIFEST, (*path, "resource", "manifest"), f"`{{{{{tag.content}}}}}` outside of quotes")
                break


def _quoted(text: str, tag: Tag) -> bool:
    """Whether the tag stands in a double-quoted string of its line."""
    line = text[text.rfind("\n", 0, tag.start) + 1 : tag.start]
    opened = len(re.findall(r'(?<!\\)"', line)) % 2 == 1
    return opened or _in_json(text, tag)


def _in_json(text: str, tag: Tag) -> bool:
    """Whether a manifest that is JSON has the tag in a string."""
    if not text.lstrip().startswith("{"):
        return False
    mark = "tag0gat"
    try:
        return mark in json.dumps(json.loads(text[: tag.start] + mark + text[tag.end :]))
    except ValueError:
        return False


CHECKS = (check_scripts, check_manifests)
