"""The features of a row and the schema they must meet."""

import subprocess
import sys
from typing import Any

import pytest

from steps import features
from steps.conversion import canonical, layout

pytestmark = pytest.mark.slow

GOOD: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "Say hello", "input": "", "output": "hello there"},
    "sharegpt": {"conversations": [{"from": "human", "value": "Say hello"}, {"from": "gpt", "value": "hello"}]},
    "openai": {"messages": [{"role": "user", "content": "Say hello"}, {"role": "assistant", "content": "hello"}]},
    "preference": {"instruction": "Say hello", "input": "", "chosen": "hello", "rejected": "no"},
    "kto": {"instruction": "Say hello", "input": "", "output": "hello", "kto_tag": True},
    "pretraining": {"text": "Once upon a time."},
}


def broken(format: str, source: dict[str, Any], longest: int = 1000) -> set[str]:
    row = canonical(source, layout(format, {}))
    table = features.frame([features.features(row, 1, len)])
    return set(features.broken(table, features.schema(format, longest)))


def chat(*roles: str, content: str = "x y") -> dict[str, Any]:
    return {"conversations": [{"from": role, "value": f"{content} {number}"} for number, role in enumerate(roles)]}


@pytest.mark.parametrize("format", features.RULES)
def test_a_good_row_breaks_no_rule_and_the_worst_breaks_all(format: str) -> None:
    assert broken(format, GOOD[format]) == set()
    features.self_test(format)


@pytest.mark.parametrize(
    ("format", "change", "rule"),
    [
        ("alpaca", {"output": ""}, "blank_answer"),
        ("alpaca", {"output": None}, "turns"),
        ("alpaca", {"instruction": " \n"}, "blank_prompt"),
        ("alpaca", {"output": "say  HELLO"}, "echo"),
        ("alpaca", {"output": "caf\ufffd"}, "control"),
        ("alpaca", {"output": "a\x00b"}, "control"),
        ("alpaca", {"output": "x" * 2000}, "too_long"),
        ("alpaca", {"output": "key AKIAABCDEFGHIJKLMNOP"}, "secrets"),
        ("alpaca", {"output": "write to jane.doe@example.org"}, "personal"),
        ("preference", {"rejected": "hello"}, "same_pair"),
        ("preference", {"chosen": ""}, "blank_answer"),
        ("preference", {"rejected": ""}, "blank_answer"),
        ("kto", {"output": ""}, "label_flips"),
        ("pretraining", {"text": "  "}, "blank_prompt"),
    ],
)
def test_a_bad_row_breaks_its_rule(format: str, change: dict[str, Any], rule: str) -> None:
    assert rule in broken(format, {**GOOD[format], **change})


@pytest.mark.parametrize(
    ("roles", "kept"),
    [
        (("human", "gpt"), True),
        (("system", "human", "gpt"), True),
        (("human", "function_call", "observation", "gpt"), True),
        (("observation", "gpt"), True),
        (("human", "human", "gpt"), False),
        (("gpt", "human"), False),
        (("human",), False),
        (("human", "gpt", "human"), False),
        (("human", "gpt", "system", "gpt"), False),
        ((), False),
    ],
)
def test_llamafactorys_order_of_turns_is_predicted(roles: tuple[str, ...], kept: bool) -> None:
    source = chat(*roles, content='{"name": "f", "arguments": {}}') if "function_call" in roles else chat(*roles)
    assert ("turns" not in broken("sharegpt", source)) == kept


@pytest.mark.parametrize(
    ("call", "tools", "readable"),
    [
        ('{"name": "f", "arguments": {}}', "[]", True),
        ('<think>\nhm\n</think>\n\n[{"name": "f", "arguments": {}}]', '[{"name": "f"}]', True),
        ('{"name": "f"}', "[]", False),
        ("f(x)", "[]", False),
        ('{"name": "f", "arguments": {}}', "{not json", False),
    ],
)
def test_tool_calls_that_llamafactory_cannot_read_are_found(call: str, tools: str, readable: bool) -> None:
    source = {"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": call}], "tools": tools}
    assert ("tool_json" not in broken("sharegpt", source)) == readable


@pytest.mark.slow
def test_the_gate_cannot_be_switched_off_by_the_environment() -> None:
    code = "from steps import features; features.self_test('alpaca'); print('works')"
    environment = {"PANDERA_VALIDATION_ENABLED": "False", "PANDERA_VALIDATION_DEPTH": "SCHEMA_ONLY", "PATH": "/usr/bin:/bin"}
    seen = subprocess.run(
        [sys.executable, "-c", code], env={**environment, "PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True
    )
    assert seen.stdout == "works\n", seen.stderr
