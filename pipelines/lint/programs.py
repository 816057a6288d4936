"""Programs so plain that one can tell what they print and write: `echo`, `true`, a line of shell."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.places import Place, places
from pipelines.lint.subject import Subject, Template, kind_of
from pipelines.lint.texts import only, tags, texts
from pipelines.local import graph

_E, _W = Severity.ERROR, Severity.WARNING

NO_LIST = Rule(
    "with-param-output",
    _E,
    "The loop ends in failure: `withParam value could not be parsed as a JSON list`.",
    'Print a JSON list: echo \'["a", "b"]\'.',
)
NO_JSON = Rule(
    "loop-result",
    _E,
    "Who reads the result of a loop gets all members' results as one JSON list; one that is no JSON ends the workflow in Error.",
    "Print JSON in each member: a number, or a text in double quotes; or hand it on as an output parameter.",
)
UNWRITTEN = Rule(
    "output-not-written",
    _W,
    "A file that is not there ends the node in Error: `open …: no such file or directory`.",
    "Write the file that the output names, or give it a default (an artifact: optional: true).",
)
SCRIPT_ARGS = Rule(
    "script-args",
    _W,
    "Arguments of a script stand before its file: a shell takes the first for the script.",
    "Hand values over as environment variables.",
)

DOLLARS = Rule(
    "double-dollar",
    _W,
    "Kubernetes makes one dollar sign of two, in args and in the source of a script alike: `kill $$` becomes `kill $`.",
    "Write $$$$, or ask for the value in another way.",
)

_IMAGE = ("/var/", "/root/", "/home/", "/usr/", "/opt/", "/app/", "/go/", "/src/")
"""Where images have files of their own."""
_SHELLS = ("sh", "bash", "ash", "dash", "zsh", "ksh")
_PLAIN = (*_SHELLS, "true", "false", "echo", "printf", "sleep", "cat", "ls")


def printed(template: Template) -> str | None:
    """What a template prints, where it is no more than an `echo` of plain words; else None."""
    program = _program(template)
    if program is None or "{{" in program or re.search(r"[$`;&|<>(){}*?\n\\#~]", program.strip()):
        return None
    try:
        words = shlex.split(program)
    except ValueError:
        return None
    return " ".join(words[1:]) if words[:1] == ["echo"] and not (words[1:2] and words[1].startswith("-")) else None


def _program(template: Template) -> str | None:
    """The shell line, or the words, of a script or container."""
    script = template.get("script")
    if script is not None:
        return str(script.get("source", "")) if _base(script.get("command")) in _SHELLS else None
    container = template.get("container") or {}
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    if _base(words) in _SHELLS and len(words) == 3 and re.fullmatch(r"-[a-z]*c", words[1]):
        return str(words[2])
    return shlex.join(words) if _base(words) == "echo" else None


def _base(words: list[str] | None) -> str:
    return words[0].rpartition("/")[2] if words else ""


def check_printed(subject: Subject) -> Iterator[Finding]:
    """Results that are read as JSON and are none."""
    for place in places(subject):
        if place.names.prefix and place.role in ("call", "output"):
            yield from _with_param(place)
            yield from _loop_results(place)


def _with_param(place: Place) -> Iterator[Finding]:
    tag = only(str(place.value.get("withParam") or ""))
    one, node, rest = place.names.node(tag.name) if tag else ("", None, "")
    if node is None or rest != "outputs.result" or graph.loops(node.call):
        return
    text = printed(node.template or {})
    if text is not None and not isinstance(_json(text), list):
        yield Finding(NO_LIST, (*place.path, "withParam"), f"`{one}` prints {text!r}")


def _loop_results(place: Place) -> Iterator[Finding]:
    for path, text in texts(place.value, place.path):
        for tag in tags(text).found:
            one, node, rest = place.names.node(tag.name)
            if node is not None and rest == "outputs.result" and graph.loops(node.call):
                line = printed(node.template or {})
                if line is not None and _json(line) is _NONE:
                    yield Finding(NO_JSON, path, f"each member of `{one}` prints {line!r}, which is no JSON")


_NONE = object()


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NONE


def check_written(subject: Subject) -> Iterator[Finding]:
    """Output files that a program whose text is all there does not name."""
    for path, template in subject.templates:
        body = template.get("script") or template.get("container")
        if kind_of(template) not in ("script", "container") or not body or _base(body.get("command")) not in _PLAIN:
            continue
        said = json.dumps([body.get(key) for key in ("command", "args", "source", "env", "workingDir", "volumeMounts")], ensure_ascii=False)
        for where, name, file in _files(template, path):
            if not _named(said, file, name):
                yield Finding(UNWRITTEN, where, f"nothing in the program names {file}")


def _files(template: Template, path: Path) -> Iterator[tuple[Path, str, str]]:
    """Output files that must be there: their place, the tag that stands for the path, the path."""
    outputs = template.get("outputs") or {}
    for index, parameter in enumerate(outputs.get("parameters") or []):
        source = parameter.get("valueFrom") or {}
        if source.get("path") and "default" not in source:
            yield (*path, "outputs", "parameters", index), f"outputs.parameters.{parameter.get('name')}.path", source["path"]
    for index, artifact in enumerate(outputs.get("artifacts") or []):
        file = str(artifact.get("path") or "")
        if file.count("/") > 1 and not file.startswith(_IMAGE) and not artifact.get("optional") and not _mounted(template, file):
            yield (*path, "outputs", "artifacts", index), f"outputs.artifacts.{artifact.get('name')}.path", artifact["path"]


def check_dollars(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        for kind in ("container", "script"):
            body: dict[str, Any] = template.get(kind) or {}
            places = [((*path, kind, key, i), word) for key in ("command", "args") for i, word in enumerate(body.get(key) or [])]
            for where, text in [*places, ((*path, kind, "source"), body.get("source") or "")]:
                if re.search(r"\$\$(?![$(])", re.sub(r"\$\$\$\$", "", str(text))):
                    yield Finding(DOLLARS, where, "`$$` arrives as `$`")


def _mounted(template: Template, file: str) -> bool:
    """Whether an input artifact lies there, so that something is there without being written."""
    inputs = (template.get("inputs") or {}).get("artifacts") or []
    return any(a.get("path") and (file + "/").startswith(a["path"].rstrip("/") + "/") for a in inputs)


def _named(said: str, file: str, tag: str) -> bool:
    """Whether a program speaks of a file: by the tag, its name, or the folder that it is in."""
    if tag in said or "{{" in file:
        return True
    parts = [part for part in file.split("/") if part]
    folders = ["/" + "/".join(parts[:n]) for n in range(1, len(parts))]
    return (bool(parts) and parts[-1] in said) or any(re.search(rf"{re.escape(f)}/?([\s\"'\\;&|)$*{{]|$)", said) for f in folders)


def check_script_args(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        script: dict[str, Any] = template.get("script") or {}
        words = script.get("args") or []
        if words and _base(script.get("command")) in _SHELLS and not words[0].startswith("-"):
            yield Finding(SCRIPT_ARGS, (*path, "script", "args"), f"the shell is asked to run {words[0]!r}")


CHECKS = (check_printed, check_written, check_script_args, check_dollars)
