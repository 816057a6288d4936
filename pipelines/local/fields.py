"""Fields that are unknown, not supported here, or of the wrong type: refused by name and line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.local import documents
from pipelines.local.faults import Refused
from pipelines.local.supported import KINDS, NO, SPEC, TEMPLATE, Rule

Path = tuple[str | int, ...]

_TEXTS = frozenset(
    {
        *("name", "template", "when", "depends", "entrypoint", "onExit", "withParam", "image", "source"),
        *("expression", "globalName", "path", "from", "fromExpression", "manifest", "action", "key", "subPath"),
        *("jsonPath", "jqFilter", "parameter", "mountPath", "workingDir", "target", "duration", "cap", "maxDuration"),
        *("maxAge", "format", "timeout", "retryPolicy", "mergeStrategy", "successCondition", "failureCondition", "podSpecPatch", "bucket"),
        *("strategy", "timezone"),
    }
)
_LISTS: dict[str, type | None] = {
    **dict.fromkeys(("env", "envFrom", "volumeMounts", "volumes", "volumeClaimTemplates"), dict),
    **dict.fromkeys(("dependencies", "flags", "schedules"), str),
    **dict.fromkeys(("withItems", "enum", "command", "args"), None),
}
"""Fields that are lists, and of what."""
_MAPS = frozenset(
    {"labels", "annotations", "resources", "configMapKeyRef", "supplied", "raw", "none", "zip", "manifestFrom", "stopStrategy"}
)
_TRUTHS = frozenset({"failFast", "optional", "failed", "error", "clusterScope", "setOwnerReference"})
_NOTHING = object()
"""A null in a list, which is neither a map nor a list."""


@dataclass(frozen=True)
class Place:
    """Where a document stands, for messages."""

    file: str
    text: str
    index: int

    def refuse(self, path: Path, message: str) -> Refused:
        """The message, with the line of the field at `path` or of the nearest thing around it."""
        if not self.text:
            return Refused(f"{message}, in {self.file}")
        return Refused(f"{message}, line {documents.line(self.text, self.index, path)} of {self.file}")


def check(spec: dict[str, Any], place: Place, at: Path, rule: Rule = SPEC) -> None:
    """Refused for the first field that cannot be taken."""
    for path, name, verdict in _walk(spec, rule, ()):
        where = _template(spec, path) or (f": template `{spec.get('name')}`" if rule is TEMPLATE else "")
        if verdict == "no text":
            hint = "quote it: to YAML 1.1 y, n, on and off are booleans, 1e3 is a number"
            raise place.refuse((*at, *path), f"the {name} is no text{where}; {hint}")
        if verdict not in (NO, "unknown"):
            raise place.refuse((*at, *path), f"the {name} is no {verdict}{where}")
        if verdict == NO:
            raise place.refuse((*at, *path), f"{KINDS.get(name, f'{name} is')} not supported locally{where}")
        raise place.refuse((*at, *path), f"unknown field {'.'.join(str(p) for p in (*at, *path))}{where}")


def _walk(value: Any, rule: Rule, path: Path) -> Iterator[tuple[Path, str, str]]:
    if isinstance(rule, dict) and not isinstance(value, dict | None):
        yield path, str(next(step for step in reversed(path) if isinstance(step, str))), "map"
    elif isinstance(rule, list) and not isinstance(value, list | None):
        yield path, str(next(step for step in reversed(path) if isinstance(step, str))), "list"
    elif isinstance(rule, dict) and value is not None:
        for key, inner in value.items():
            known = rule.get(key, rule.get("*", "unknown"))
            if key in _TEXTS and not isinstance(inner, str | None):
                yield (*path, key), str(key), "no text"
            elif not isinstance(known, dict | list) and _form(key, inner):
                yield (*path, key), str(key), _form(key, inner)
            if known in ("unknown", NO) and _meant(key, inner):
                yield (*path, key), str(key), known
            yield from _walk(inner, known, (*path, key))
    elif isinstance(rule, list) and value is not None:
        for index, inner in enumerate(value):
            yield from _walk(_NOTHING if inner is None and isinstance(rule[0], dict | list) else inner, rule[0], (*path, index))


def _form(key: str, value: Any) -> str:
    """What a value should be and is not; empty when it is, or when nobody minds."""
    if value is None:
        return ""
    if key in _LISTS:
        of = _LISTS[key]
        bad = not isinstance(value, list) or (of is not None and not all(isinstance(one, of) for one in value))
        return "list" + (f" of {'maps' if of is dict else 'text'}" if of else "") if bad else ""
    if key in _MAPS:
        return "" if isinstance(value, dict) else "map"
    if key in _TRUTHS:
        return "" if isinstance(value, bool) else "true or false"
    return "whole number" if key == "parallelism" and (not isinstance(value, int) or isinstance(value, bool)) else ""


def _meant(key: str, value: Any) -> bool:
    """A field that says no (`daemon: false`) asks for nothing."""
    return not (key in ("daemon", "database", "suspend", "shutdown") and value in (False, None, ""))


def _template(spec: dict[str, Any], path: Path) -> str:
    if len(path) > 1 and path[0] == "templates" and isinstance(path[1], int):
        template = spec["templates"][path[1]]
        return f": template `{template.get('name', path[1])}`" if isinstance(template, dict) else ""
    return ""
