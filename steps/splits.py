"""Which split a row belongs to: decided by the row's group alone, so added rows never move an old one."""

import hashlib
from typing import Any, Literal

from steps import rows
from steps.runfile import Split

Name = Literal["train", "validation", "test"]


def group(row: rows.Row) -> str:
    """What must stay in one split: the column the run file names, else the first question, case and white space aside."""
    return str(row["group"]) if "group" in row else rows.normal(rows.question(row))


def place(key: str, how: Split) -> Name:
    """sha256 of salt and group as a number in 0..1: below `test` it is held out, then `validation`, else trained on."""
    drawn = int.from_bytes(hashlib.sha256(f"{how.salt}\0{key}".encode()).digest()[:8]) / 2**64
    if drawn < how.test:
        return "test"
    return "validation" if drawn < how.test + how.validation else "train"


def watched(how: Split) -> list[Name]:
    """The split that is watched while training, if the run file asks for one."""
    return ["validation"] if how.validation else []


def item(row: rows.Row) -> dict[str, Any] | None:
    """The test item of a held-out row, ready to send: its first question and the answer that is right. Pretraining text is its own target.

    None for a row that holds no such pair: the first answer is a tool call, or (KTO) not the one that was judged, or not wanted.
    """
    if "text" in row:
        return {"id": row["id"], "prompt": "", "target": row["text"]}
    turns = rows.turns(row)
    answered = row.get("chosen") or turns[1]
    judged = row.get("label", True) and (len(turns) == 2 or "label" not in row)
    if not judged or turns[0]["role"] != "user" or answered["role"] != "assistant" or ("chosen" in row and len(turns) > 1):
        return None
    system = {"system": row["messages"][0]["content"]} if row["messages"][0]["role"] == "system" else {}
    tools = {"tools": row["tools"]} if row.get("tools", "") not in ("", "[]") else {}
    return {"id": row["id"], "prompt": turns[0]["content"], "target": answered["content"], **system, **tools}
