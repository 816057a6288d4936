"""A training row as numbers, and the pandera schema that these numbers must meet.

Rules are checked on the numbers, not on the text: the same schema works for every format, nothing of the text can end in a report,
and the table is also the baseline for drift.
"""

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from steps import rows, sensitive
from steps.faults import Bug

if TYPE_CHECKING:
    from pandas import DataFrame
    from pandera.pandas import DataFrameSchema

# Rule -> the feature it looks at and what a good row has there; `too_long` gets its limit from the run.
CHECKS: dict[str, tuple[str, Any]] = {
    "turns": ("alternates", True),
    "tool_json": ("tool_json", True),
    "blank_prompt": ("prompt_chars", None),
    "blank_answer": ("answer_chars", None),
    "label_flips": ("answer_chars", None),
    "echo": ("echo", False),
    "same_pair": ("differs", True),
    "control": ("control", 0),
    "secrets": ("secrets", 0),
    "personal": ("personal", 0),
    "too_long": ("token_bound", None),
}
_CHAT = ("turns", "tool_json", "blank_prompt")
_ALWAYS = ("control", "secrets", "personal", "too_long")
RULES: dict[str, tuple[str, ...]] = {
    "alpaca": (*_CHAT, "blank_answer", "echo", *_ALWAYS),
    "sharegpt": (*_CHAT, "blank_answer", "echo", *_ALWAYS),
    "openai": (*_CHAT, "blank_answer", "echo", *_ALWAYS),
    "preference": (*_CHAT, "blank_answer", "same_pair", *_ALWAYS),
    "kto": (*_CHAT, "label_flips", "echo", *_ALWAYS),
    "pretraining": ("blank_prompt", *_ALWAYS),
}
_NUMBERS = ("prompt_chars", "answer_chars", "turns", "control", "secrets", "personal", "token_bound")
_FLAGS = ("alternates", "tool_json", "echo", "differs")
TYPES = {"line": "int64", "id": "str", **dict.fromkeys(_NUMBERS, "int64"), **dict.fromkeys(_FLAGS, "bool")}
_DAMAGE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")
_THOUGHT = re.compile(r"<think>\n.*?\n</think>\n\n", re.DOTALL)
_UNLIMITED = 1 << 62


def features(row: rows.Row, line: int, measure: Callable[[str], int]) -> dict[str, Any]:
    """The row's numbers. `measure` gives an upper bound of a text's length in tokens, exact where the bound is over the limit."""
    prompt, answer = rows.prompt(row), rows.answer(row)
    rejected = row["rejected"]["content"] if "rejected" in row else ""
    whole = "\n".join((prompt, answer, rejected, row.get("tools", "")))
    blank = not answer.strip() or ("rejected" in row and not rejected.strip())
    return {
        "line": line,
        "id": row["id"][:16],
        "prompt_chars": len(prompt) if prompt.strip() else 0,
        "answer_chars": 0 if blank else len(answer),
        "turns": len(rows.turns(row)),
        "alternates": _alternates(row),
        "tool_json": all(_is_call(turn["content"]) for turn in _turns(row) if turn["role"] == "function_call") and _is_list(row),
        "echo": bool(answer.strip()) and rows.normal(prompt) == rows.normal(answer),
        "differs": "rejected" not in row or answer != rejected,
        "control": len(_DAMAGE.findall(whole)),
        "secrets": sensitive.secrets(whole),
        "personal": sensitive.personal(whole),
        "token_bound": measure(whole),
    }


def schema(format: str, longest: int) -> "DataFrameSchema":
    """The schema of a format's feature table; every check carries its rule's name. `longest`: the most tokens a row may have."""
    import pandera.pandas as pa

    checks: dict[str, list[Any]] = {name: [] for name in TYPES}
    for rule in RULES[format]:
        column, good = CHECKS[rule]
        if rule == "too_long":
            checks[column].append(pa.Check.le(longest, name=rule, error=rule))
        elif good is None:
            checks[column].append(pa.Check.gt(0, name=rule, error=rule))
        else:
            checks[column].append(pa.Check.eq(good, name=rule, error=rule))
    columns = {name: pa.Column(kind, checks[name], nullable=False) for name, kind in TYPES.items()}
    return pa.DataFrameSchema(columns, strict=True, ordered=True)


def frame(batch: list[dict[str, Any]]) -> "DataFrame":
    import pandas

    return pandas.DataFrame(batch, columns=list(TYPES)).astype({**TYPES, "id": "object"})


def broken(table: "DataFrame", rules: "DataFrameSchema") -> dict[str, list[int]]:
    """Rule -> positions of the rows that break it. Raises Bug when the table itself has not the schema's columns."""
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrors

    # PANDERA_VALIDATION_ENABLED=False in the environment, or a depth, would switch the gate off without a word.
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            rules.validate(table, lazy=True)
        except SchemaErrors as errors:
            cases = errors.failure_cases
            unknown = set(cases["check"]) - set(CHECKS)
            if unknown or cases["index"].isna().any():
                raise Bug(f"the feature table breaks its own schema: {sorted(map(str, unknown))}") from None
            return {str(rule): sorted(map(int, group["index"])) for rule, group in cases.groupby("check")}
    return {}


@functools.cache
def self_test(format: str) -> None:
    """Raises Bug unless a row that is wrong in every way breaks every rule: a gate that cannot fail is none."""
    worst = {
        "line": 1, "id": "0" * 16, "prompt_chars": 0, "answer_chars": 0, "turns": 1, "alternates": False, "tool_json": False,
        "echo": True, "differs": False, "control": 1, "secrets": 1, "personal": 1, "token_bound": _UNLIMITED,
    }  # fmt: skip
    found = set(broken(frame([worst]), schema(format, _UNLIMITED - 1)))
    if found != set(RULES[format]):
        raise Bug(f"a row that breaks every rule passed {sorted(set(RULES[format]) - found)}; pandera is switched off here")


def _alternates(row: rows.Row) -> bool:
    """Whether LLaMA-Factory keeps the row: user or tool first, then in turn, and an answer at the end (for pairs: none)."""
    if "text" in row:
        return True
    order = [turn["role"] for turn in rows.turns(row)]
    accepted = (("user", "tool"), ("assistant", "function_call"))
    in_turn = all(role in accepted[number % 2] for number, role in enumerate(order))
    if "chosen" in row:
        replies = [row[side]["role"] in accepted[1] for side in ("chosen", "rejected")]
        return in_turn and len(order) % 2 == 1 and all(replies)
    return in_turn and len(order) > 0 and len(order) % 2 == 0


def _turns(row: rows.Row) -> list[rows.Row]:
    return [*row.get("messages", []), *(row[side] for side in ("chosen", "rejected") if side in row)]


def _is_call(content: str) -> bool:
    """What LLaMA-Factory can read as tool calls (data/formatter.py: FunctionFormatter); anything else ends its run."""
    try:
        calls = orjson.loads(_THOUGHT.sub("", content, count=1))
    except orjson.JSONDecodeError:
        return False
    listed = calls if isinstance(calls, list) else [calls]
    return all(isinstance(call, dict) and "name" in call and "arguments" in call for call in listed)


def _is_list(row: rows.Row) -> bool:
    if not row.get("tools"):
        return True
    try:
        return isinstance(orjson.loads(row["tools"]), list)
    except orjson.JSONDecodeError:
        return False
