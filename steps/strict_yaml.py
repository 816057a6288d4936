"""YAML as LLaMA-Factory reads it (OmegaConf: `1e-3` is a number, a date is text), and nothing that can surprise a reader.

Refused, each with line and column: malformed YAML, a key given twice, a key that is no text, an alias (a short file can grow
without bound), and NaN or infinity.
"""

import math
import re
from typing import Any, cast

import yaml

from steps.faults import BadInput

LONGEST_BYTES = 1 << 20
DEEPEST = 100
"""Levels of lists and maps in one another; libyaml composes by recursion in C."""
# The floats of YAML 1.2, as OmegaConf has them; PyYAML's own pattern reads 1e-3 as text.
_FLOAT = re.compile(r"^[-+]?(?:(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)|(?:[0-9][0-9_]*)?\.[0-9_]+(?:[eE][-+]?[0-9]+)?"
                    r"|[0-9][0-9_]*\.|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")  # fmt: skip


_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads ten times as fast; a build of PyYAML may lack it


class _Loader(_BASE):  # type: ignore[misc]  # the C loader has no type
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(problem="found a key that is no plain text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"found the key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return cast(dict[Any, Any], super().construct_mapping(node, deep=deep))


def _finite(loader: _Loader, node: Any) -> float:
    value: float = loader.construct_yaml_float(node)
    if not math.isfinite(value):
        raise yaml.MarkedYAMLError(problem=f"found {node.value}, which is no finite number", problem_mark=node.start_mark)
    return value


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.add_constructor("tag:yaml.org,2002:float", _finite)


def load(data: bytes, where: str) -> dict[str, Any]:
    """The mapping in a YAML file. Raises BadInput naming the file, line and column."""
    if len(data) > LONGEST_BYTES:
        raise BadInput(f"{where} has {len(data)} bytes; a configuration file has at most {LONGEST_BYTES}. Is it the right file?")
    try:
        text = data.decode()
        _bounded(text, where)
        content = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError as error:
        raise BadInput(f"{where} is no UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadInput(f"{where}{at}: {error.problem or error.context}; correct the YAML") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{where}: {' '.join(str(error).split())}; correct the YAML") from None
    if not isinstance(content, dict):
        raise BadInput(f"{where} holds {_kind(content)}, not keys and values; see configs/demo for the form")
    return content


def _bounded(text: str, where: str) -> None:
    """Refuse an alias, and what is nested too deeply, before anything is composed."""
    depth = 0
    for event in yaml.parse(text, _BASE):
        if isinstance(event, yaml.AliasEvent):
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem="found an alias; write the value out", problem_mark=mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise BadInput(f"{where} is nested deeper than {DEEPEST} levels; a configuration file has a few")


def _kind(content: Any) -> str:
    return "nothing" if content is None else f"a {type(content).__name__}"
