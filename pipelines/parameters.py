"""Contracts' fields as Argo's parameters, and the tags and conditions that speak of them."""

from typing import Any, Literal, get_args

from pydantic.fields import FieldInfo

from pipelines.strict_hera import Parameter, m
from steps.contracts import STEPS


def of_field(name: str, field: FieldInfo, **options: Any) -> Parameter:
    """A contract's field as an Argo parameter: description, enum and default. Without a default it must be given."""
    choices = [str(choice) for choice in get_args(field.annotation)] if _is_choice(field) else None
    if not field.is_required():
        options.setdefault("default" if "value" not in options else "_", as_text(field.default))
    options.pop("_", None)
    return Parameter(name=kebab(name), description=field.description, enum=choices, **options)


def arguments(verb: str, *names: str, **values: str) -> list[Parameter]:
    """Workflow parameters of some fields of a step's contract. A value overrides the contract's default."""
    fields = STEPS[verb][0].model_fields
    chosen = []
    for name in names:
        field = fields[name]
        value = values.get(name, None if field.is_required() else as_text(field.default))
        chosen.append(of_field(name, field, **({} if value is None else {"value": value})))
    return chosen


def given(name: str) -> str:
    """A parameter of the workflow."""
    return f"{{{{workflow.parameters.{kebab(name)}}}}}"


def passed(name: str) -> str:
    """An input of the template around."""
    return f"{{{{inputs.parameters.{kebab(name)}}}}}"


def equals(value: str, expected: str) -> str:
    """A `when`: both sides quoted, since govaluate reads a bare word as a variable."""
    return f"'{value}' == '{expected}'"


def differs(value: str, expected: str) -> str:
    return f"'{value}' != '{expected}'"


def kebab(name: str) -> str:
    return name.replace("_", "-")


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def output(name: str, field: FieldInfo) -> Parameter:
    """A contract's field as an output parameter: the file that the step writes, and what stands for it when the step is skipped."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    absent = {"default": str(extra["absent"])} if "absent" in extra else {}
    return Parameter(name=kebab(name), description=field.description, value_from=m.ValueFrom(path=f"/tmp/out/{kebab(name)}", **absent))  # noqa: S108


def _is_choice(field: FieldInfo) -> bool:
    return getattr(field.annotation, "__origin__", None) is Literal
