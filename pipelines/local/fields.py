"""Fields that are unknown, not supported here, or of the wrong type: refused by name and line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.local import documents
from pipelines.local.faults import Refused
from pipelines.local.supported import KINDS, NO, SPEC, Rule

Path = tuple[str | int, ...]

_TEXTS = frozenset({"name", "template", "when", "depends", "entrypoint", "onExit", "withParam", "image", "source", "expression"})


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
        where = _template(spec, path)
        if verdict == "no text":
            hint = "quote it: to YAML 1.1 y, n, on and off are booleans, 1e3 is a number"
            raise place.refuse((*at, *path), f"the {name} is no text{where}; {hint}")
        if verdict == NO:
            raise place.refuse((*at, *path), f"{KINDS.get(name, f'{name} is')} not supported locally{where}")
        raise place.refuse((*at, *path), f"unknown field {'.'.join(str(p) for p in (*at, *path))}{where}")


def _walk(value: Any, rule: Rule, path: Path) -> Iterator[tuple[Path, str, str]]:
    if isinstance(rule, dict) and isinstance(value, dict):
        for key, inner in value.items():
            known = rule.get(key, "unknown")
            if key in _TEXTS and not isinstance(inner, str | None):
                yield (*path, key), key, "no text"
            if known in ("unknown", NO) and _meant(key, inner):
                yield (*path, key), key, known
            yield from _walk(inner, known, (*path, key))
    elif isinstance(rule, list) and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, rule[0], (*path, index))


def _meant(key: str, value: Any) -> bool:
    """A field that says no (`daemon: false`) asks for nothing."""
    return not (key in ("daemon", "suspend", "shutdown") and value in (False, None, ""))


def _template(spec: dict[str, Any], path: Path) -> str:
    if len(path) > 1 and path[0] == "templates" and isinstance(path[1], int):
        return f": template `{spec['templates'][path[1]].get('name', path[1])}`"
    return ""
