"""Every LLaMA-Factory format in one form, as LLaMA-Factory would read it."""

from typing import Any

import pytest

from steps import rows
from steps.conversion import Malformed, canonical, layout
from steps.faults import BadInput

OPENAI_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


@pytest.mark.parametrize(
    ("format", "columns", "source", "expected"),
    [
        (
            "alpaca",
            {},
            {"instruction": "q", "input": "", "output": "a"},
            {"messages": turns(("user", "q"), ("assistant", "a")), "tools": ""},
        ),
        (
            "alpaca",
            {"prompt": "input", "response": "target"},
            {"input": "q", "target": "a", "instruction": "not asked"},
            {"messages": turns(("user", "q"), ("assistant", "a")), "tools": ""},
        ),
        (
            "alpaca",
            {},
            {"instruction": "q", "input": "more", "output": "a", "system": "s", "history": [["p", "r"]]},
            {"messages": turns(("system", "s"), ("user", "p"), ("assistant", "r"), ("user", "q\nmore"), ("assistant", "a")), "tools": ""},
        ),
        ("alpaca", {}, {"instruction": "q", "input": None, "output": None}, {"messages": turns(("user", "q")), "tools": ""}),
        (
            "sharegpt",
            {"messages": "conversations", "tools": "tools"},
            {
                "conversations": [
                    {"from": "human", "value": "q"},
                    {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
                    {"from": "observation", "value": "r"},
                    {"from": "gpt", "value": "a"},
                ],
                "tools": "[]",
            },
            {
                "messages": turns(("user", "q"), ("function_call", '{"name": "f", "arguments": {}}'), ("tool", "r"), ("assistant", "a")),
                "tools": "[]",
            },
        ),
        (
            "openai",
            {},
            {
                "messages": [
                    {"role": "developer", "content": "s"},
                    {"role": "user", "content": [{"type": "text", "text": "q"}]},
                    {"role": "assistant", "content": "a"},
                ],
                "tools": [{"name": "f"}],
            },
            {"messages": turns(("system", "s"), ("user", "q"), ("assistant", "a")), "tools": '[{"name":"f"}]'},
        ),
        (
            "openai",
            {},
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                            {"function": {"name": "g", "arguments": "{}"}},
                        ],
                    },
                    {"role": "tool", "content": "1"},
                    {"role": "tool", "content": "2"},
                    {"role": "assistant", "content": [{"type": "reasoning", "value": "hm"}, {"type": "text", "value": "a"}]},
                ]
            },
            {
                "messages": turns(
                    ("user", "q"),
                    ("function_call", '[{"name":"f","arguments":{"x":1}},{"name":"g","arguments":{}}]'),
                    ("tool", "1\n</tool_response>\n<tool_response>\n2"),
                    ("assistant", "<think>\nhm\n</think>\n\na"),
                ),
                "tools": "",
            },
        ),
        (
            "preference",
            {"messages": "conversations"},
            {
                "conversations": [{"from": "human", "value": "q"}],
                "chosen": {"from": "gpt", "value": "good"},
                "rejected": {"from": "gpt", "value": "bad"},
            },
            {
                "messages": turns(("user", "q")),
                "chosen": turns(("assistant", "good"))[0],
                "rejected": turns(("assistant", "bad"))[0],
                "tools": "",
            },
        ),
        (
            "preference",
            {},
            {"instruction": "q", "input": "", "chosen": "good", "rejected": "bad"},
            {
                "messages": turns(("user", "q")),
                "chosen": turns(("assistant", "good"))[0],
                "rejected": turns(("assistant", "bad"))[0],
                "tools": "",
            },
        ),
        (
            "kto",
            {"messages": "messages", "kto_tag": "label", **OPENAI_TAGS},
            {"messages": turns(("user", "q"), ("assistant", "a")), "label": False},
            {"messages": turns(("user", "q"), ("assistant", "a")), "label": False, "tools": ""},
        ),
        (
            "kto",
            {},
            {"instruction": "q", "input": "", "output": "a", "kto_tag": True},
            {"messages": turns(("user", "q"), ("assistant", "a")), "label": True, "tools": ""},
        ),
        ("pretraining", {}, {"text": "once", "more": 1}, {"text": "once"}),
        ("pretraining", {"prompt": "content"}, {"content": "once"}, {"text": "once"}),
    ],
)
def test_a_row_in_any_format_becomes_the_one_form(format: str, columns: dict[str, str], source: rows.Row, expected: rows.Row) -> None:
    row = canonical(source, layout(format, columns))
    assert {key: row[key] for key in row if key != "id"} == expected
    assert row["id"] == rows.identity(row)


@pytest.mark.parametrize(
    ("format", "source", "text"),
    [
        ("alpaca", {"instruction": "q", "input": ""}, "column output is missing; the row has input, instruction"),
        ("alpaca", {"instruction": 42, "output": "a"}, "instruction is a int, not a text"),
        ("alpaca", {"instruction": "q", "output": ["a"]}, "output is a list, not a text"),
        ("sharegpt", {"conversations": "hello"}, "not a list of messages"),
        ("sharegpt", {"conversations": [{"from": "robot", "value": "x"}]}, "conversations[0] has no known role in 'from'"),
        ("sharegpt", {}, "column conversations is missing"),
        ("openai", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "a part that is no text"),
        ("preference", {"instruction": "q", "chosen": "a"}, "column rejected is missing"),
        ("kto", {"instruction": "q", "output": "a", "kto_tag": "yes"}, "kto_tag is a str, not true or false"),
        ("pretraining", {"txt": "x"}, "column text is missing"),
    ],
)
def test_a_row_without_its_columns_is_malformed(format: str, source: dict[str, Any], text: str) -> None:
    with pytest.raises(Malformed) as seen:
        canonical(source, layout(format, {}))
    assert text in str(seen.value)


@pytest.mark.parametrize(("columns", "text"), [({"promt": "x"}, "did you mean prompt?"), ({"images": "x"}, "only text")])
def test_an_unknown_column_is_refused(columns: dict[str, str], text: str) -> None:
    with pytest.raises(BadInput) as seen:
        layout("alpaca", columns)
    assert text in str(seen.value)


def test_the_id_depends_on_what_is_trained_and_on_the_group_only() -> None:
    def row(group: str = "", **source: Any) -> dict[str, Any]:
        return canonical({"instruction": "q", "input": "", "output": "a", "pair": "p", **source}, layout("alpaca", {}, group))

    assert row()["id"] == row(input=None, note="seen by nobody")["id"]
    assert row()["id"] != row(output="b")["id"]
    assert row("pair")["id"] != row("pair", pair="r")["id"]


@pytest.mark.parametrize("group", [None, "", 1.5])
def test_a_row_without_its_group_is_malformed(group: Any) -> None:
    with pytest.raises(Malformed, match="pair"):
        canonical({"instruction": "q", "input": "", "output": "a", "pair": group}, layout("alpaca", {}, "pair"))
