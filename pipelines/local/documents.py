"""Kubernetes YAML as Go reads it (YAML 1.1 with go-yaml's scalars), and the line on which something stands."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from pipelines.local import gojson
from pipelines.local.faults import Refused

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$")
_INT = re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)$")
_BOOL = re.compile(r"^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$")
_TRUE = frozenset({"y", "yes", "true", "on"})

Document = dict[str, Any]
DEEPEST = 200
"""Levels of lists and maps in one another."""


class Loader(_BASE):  # type: ignore[misc]  # the C loader has no type
    """go-yaml's view of plain scalars: `1e3` is a number, `y` a boolean, a date is text. As keys they are text again, as in JSON."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
        return {_key(key, node): value for key, value in super().construct_mapping(node, deep).items()}


def _key(key: object, node: Any) -> str:
    """`y: 1` is `{"true": 1}`. https://github.com/kubernetes-sigs/yaml/blob/v1.6.0/yaml.go convertToJSONableObject"""
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return str(key).lower()
    if isinstance(key, int | float):
        return gojson.number(key)
    raise yaml.constructor.ConstructorError(problem=f"a key that is {'null' if key is None else 'no scalar'}", problem_mark=node.start_mark)


Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", _BOOL, "yYnNtTfFoO"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("merge", re.compile(r"^<<$"), "<"),
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))


def _int(loader: Any, node: Any) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    octal = re.fullmatch(r"([-+]?)0o?([0-7]+)", text)
    return int(octal[1] + octal[2], 8) if octal else int(text, 0)


def _float(loader: Any, node: Any) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


def _bool(loader: Any, node: Any) -> bool:
    return str(loader.construct_scalar(node)).lower() in _TRUE


Loader.add_constructor("tag:yaml.org,2002:int", _int)
Loader.add_constructor("tag:yaml.org,2002:float", _float)
Loader.add_constructor("tag:yaml.org,2002:bool", _bool)


def too_deep(text: str) -> bool:
    """Whether lists and maps are nested deeper than DEEPEST, at which the C library would crash. Raises yaml.YAMLError."""
    if sum(text.count(opening) for opening in ("[", "{", "- -", "? ")) <= DEEPEST:
        return False
    depth = 0
    for event in yaml.parse(text, _BASE):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return True
    return False


def read(path: Path) -> list[Document]:
    """The documents of a file; Refused when it is no YAML, or not a list of objects."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> list[Document]:
    try:
        if too_deep(text):
            raise Refused(f"{where}: not YAML that can be read: nested deeper than {DEEPEST} levels")
        found = [d for d in yaml.load_all(text, Loader) if d is not None]
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        raise Refused(f"{place}: not YAML: {getattr(error, 'problem', None) or ' '.join(str(error).split())}") from None
    for document in found:
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise Refused(f"{where}: holds a {type(document).__name__} where a Kubernetes object with `kind` is expected")
    return found


def line(text: str, document: int, path: Iterable[str | int]) -> int:
    """The line of a field, or of the nearest thing around it that exists. Lines count from 1."""
    nodes = [n for n in yaml.compose_all(text, Loader) if n is not None]
    node: Any = nodes[document]
    found: int = node.start_mark.line + 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == step), None)
            if pair is None:
                return found
            found, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            found = node.start_mark.line + 1
        else:
            return found
    return found
