"""Contracts are the product's surface: each field is described, each enum and default is one that its own check accepts."""

import pytest

from steps.contracts import STEPS, In, Out
from steps.runtime import inputs_digest

FIELDS = [(verb, side, name, field) for verb, pair in STEPS.items() for side in pair for name, field in side.model_fields.items()]


@pytest.mark.parametrize(("verb", "side", "name", "field"), FIELDS)
def test_every_field_says_what_it_is(verb: str, side: type, name: str, field: object) -> None:
    assert len(getattr(field, "description", None) or "") > 8, f"{verb}.{name} has no description"


@pytest.mark.parametrize(("takes", "gives"), STEPS.values())
def test_names_are_pairs(takes: type[In], gives: type[Out]) -> None:
    assert issubclass(takes, In)
    assert issubclass(gives, Out)


def test_who_asked_and_when_is_no_part_of_what_is_to_be_done() -> None:
    takes = STEPS["render"][0]
    given = {"run": "file:///r", "prepared": "file:///p", "base": "file:///b", "preset": "2x1-cpu", "jobset": "ft-1"}
    first, second = (takes.model_validate({**given, "workflow": name}) for name in ("w-1", "w-2"))
    assert inputs_digest(first) == inputs_digest(second)
    assert inputs_digest(first) != inputs_digest(takes.model_validate({**given, "preset": "2x1-l4"}))
