"""A row of training data in its one form: what identifies it, and what of it is question and answer.

{"messages": [{"role", "content"}, …], "tools": "", "id"}     roles: system, user, assistant, tool, function_call
… "chosen": {"role", "content"}, "rejected": {…}              preference: the messages are the prompt
… "label": true                                               kto
{"text", "id"}                                                pretraining
"""

import hashlib
from typing import Any

import orjson

Row = dict[str, Any]


def identity(row: Row) -> str:
    """sha256 of the canonical JSON: sorted keys, no blanks, UTF-8."""
    return hashlib.sha256(orjson.dumps({key: row[key] for key in row if key != "id"}, option=orjson.OPT_SORT_KEYS)).hexdigest()


def encode(row: Row) -> bytes:
    """The row's line in a canonical file."""
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def prompt(row: Row) -> str:
    """Everything the model reads before the answer that is trained."""
    if "text" in row:
        return str(row["text"])
    turns = row["messages"] if "chosen" in row else row["messages"][:-1]
    return "\n".join(turn["content"] for turn in turns)


def answer(row: Row) -> str:
    """What the model is to write; empty for pretraining text."""
    if "text" in row:
        return ""
    if "chosen" in row:
        return str(row["chosen"]["content"])
    return str(row["messages"][-1]["content"]) if row["messages"] else ""


def question(row: Row) -> str:
    """The first thing the user says: what a split keeps together unless the run file names a column."""
    if "text" in row:
        return str(row["text"])
    return next((turn["content"] for turn in row["messages"] if turn["role"] == "user"), "")


def normal(text: str) -> str:
    """Text without what does not make it another text: case and white space."""
    return " ".join(text.casefold().split())


def turns(row: Row) -> list[Row]:
    """The messages without the system prompt."""
    messages: list[Row] = row.get("messages", [])
    return messages[1:] if messages and messages[0]["role"] == "system" else messages
