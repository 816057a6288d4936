"""A card says something, or it is refused."""

from typing import Any

import pytest
import yaml

from steps.cards import problems
from tests.steps.data_runs import PROJECT

GOOD = "Written by the support team between 2023 and 2026 from closed tickets."


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (GOOD, ""),
        ([GOOD, "and short"], ""),
        ({"not_applicable": True, "reason": "No person labelled anything; a program did."}, ""),
        (None, "is missing"),
        ("", "has fewer than 30 characters"),
        ("short", "has fewer than 30 characters"),
        (f"TODO {GOOD}", "is a placeholder"),
        (f"TBD. {GOOD}", "is a placeholder"),
        ("More information needed, as in most cards one reads", "is a placeholder"),
        (f"<your text> {GOOD}", "is a placeholder"),
        (f"{GOOD} ...", "is a placeholder"),
        (f"N/A {GOOD}", "is a placeholder"),
        ({"not_applicable": True, "reason": "n/a"}, "is a placeholder"),
        ({"not_applicable": False, "reason": GOOD}, "is neither text"),
        (3, "is no text"),
        ([], "is no text"),
    ],
)
def test_a_field_says_something(value: Any, problem: str) -> None:
    found = problems({"origin": value}, ["origin"], 30)
    assert [line.startswith(f"origin {problem}") for line in found] == ([True] if problem else [])


@pytest.mark.parametrize(("contact", "found"), [("team@acme.example", []), ("ask around", ["contact names no address"])])
def test_a_contact_is_an_address(contact: str, found: list[str]) -> None:
    assert problems({"contact": contact}, ["contact"], 30) == found


def test_the_demonstrations_cards_are_complete() -> None:
    for name in ("data-card.yaml", "model-card.yaml"):
        card = yaml.safe_load((PROJECT / "configs/demo" / name).read_text())
        texts = [key for key, value in card.items() if not isinstance(value, bool)]
        assert problems(card, texts, 30) == []
