"""What a LLaMA-Factory 0.9.5 training YAML may set, generated from the installed package into `llamafactory_fields.json`.

    python -m steps.llamafactory_fields > steps/llamafactory_fields.json

The package checks neither types nor choices of a YAML, and importing it takes seconds; the file lets `plan` check both at once.
A test compares the file with the installed package.
"""

import dataclasses
import enum
import json
import sys
import types
import typing
from typing import Any

_SCALARS = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}


def fields() -> dict[str, Any]:
    """Every settable field (accepted types, choices, default) and every chat template of the installed package."""
    import llamafactory
    from llamafactory.data.template import TEMPLATES
    from llamafactory.hparams import parser

    settable = {
        field.name: _describe(typing.get_type_hints(group)[field.name], field)
        for group in parser._TRAIN_ARGS
        for field in dataclasses.fields(group)
        if field.init
    }
    return {
        "version": llamafactory.__version__,
        "templates": sorted(TEMPLATES),
        "fields": dict(sorted(settable.items())),
    }


def _describe(hint: Any, field: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"types": sorted(_types(hint))}
    if choices := sorted(map(str, _choices(hint))):
        described["choices"] = choices
    if isinstance(field.default, enum.Enum):
        described["default"] = field.default.value
    elif isinstance(field.default, bool | int | float | str):
        described["default"] = field.default
    return described


def _types(hint: Any) -> set[str]:
    """The YAML types that a hint accepts; an enum is written as text."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return set().union(*map(_types, typing.get_args(hint)))
    if typing.get_origin(hint) is typing.Literal:
        return {_SCALARS[type(choice)] for choice in typing.get_args(hint)}
    if hint is type(None):
        return {"null"}
    plain = typing.get_origin(hint) or hint
    return {_SCALARS.get(plain, "str")}


def _choices(hint: Any) -> set[Any]:
    """The values an enumeration may have; empty when any value of the type will do (`str | None`, but not `SomeEnum | str`)."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return set().union(*map(_choices, typing.get_args(hint))) if not _has_list(hint) else set()
    if typing.get_origin(hint) is typing.Literal:
        return set(typing.get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {member.value for member in hint}
    return set()


def _has_list(hint: Any) -> bool:
    return any((typing.get_origin(part) or part) is list for part in typing.get_args(hint))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fields(), indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n")
