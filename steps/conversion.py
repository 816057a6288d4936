"""From a source row in any of LLaMA-Factory's formats to its one form.

Conversation formats (alpaca, sharegpt, openai, preference, kto) become `messages` with the roles of the OpenAI API, and `tools`,
`chosen`, `rejected`, `label` where the format has them; pretraining text is `text`. The conversion is LLaMA-Factory 0.9.5's own
(data/converter.py: AlpacaDatasetConverter, SharegptDatasetConverter, OpenAIDatasetConverter), so a row that it would drop stays
recognisable; `formatting: openai` alone is not followed, because it adds a system prompt of its own.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from steps.faults import BadInput
from steps.rows import Row, identity

_COLUMNS = {
    "prompt": "instruction", "query": "input", "response": "output", "history": "history", "messages": "", "system": "system",
    "tools": "tools", "chosen": "chosen", "rejected": "rejected", "kto_tag": "",
}  # fmt: skip
_TAGS = {
    "role_tag": "",
    "content_tag": "",
    "user_tag": "",
    "assistant_tag": "",
    "observation_tag": "",
    "function_tag": "",
    "system_tag": "",
}
_ROLES = {
    "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system", "developer": "system",
    "tool": "tool", "observation": "tool", "function_call": "function_call", "function": "function_call",
}  # fmt: skip
_TAG_ROLES = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}
# LLaMA-Factory's default thought words and its joint between parallel tool results (data/template.py, data/converter.py).
_THOUGHT = ("<think>\n", "\n</think>\n\n")
_NEXT_RESULT = "\n</tool_response>\n<tool_response>\n"


class Malformed(ValueError):
    """A row that has not the columns of its format; the text says which, never what is in them."""


@dataclass(frozen=True)
class Layout:
    """How the rows of one source are written: the run file's format, columns and group."""

    format: str
    columns: Mapping[str, str]
    roles: Mapping[str, str]
    group: str = ""


def layout(format: str, columns: Mapping[str, str], group: str = "") -> Layout:
    """Raises BadInput for a column that LLaMA-Factory does not know, or that is no text."""
    for name in columns:
        if name in ("images", "videos", "audios"):
            raise BadInput(f"dataset.columns.{name}: only text is trained on here; take the column out")
        if name not in _COLUMNS and name not in _TAGS:
            near = difflib.get_close_matches(name, [*_COLUMNS, *_TAGS], 1)
            hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(_COLUMNS)}"
            raise BadInput(f"dataset.columns.{name} is no column of LLaMA-Factory; {hint}")
    taken = set(columns.values())
    defaults = {name: "" if default in taken else default for name, default in _COLUMNS.items()}
    if format == "pretraining":
        defaults["prompt"] = "text"
    roles = {**_ROLES, **{columns[tag]: role for tag, role in _TAG_ROLES.items() if tag in columns}}
    return Layout(format, {**defaults, **columns}, roles, group)


def canonical(source: Row, how: Layout) -> Row:
    """The row in its one form, with `id`. Raises Malformed when a column is missing or of the wrong type."""
    if how.format == "pretraining":
        row: Row = {"text": _text(source, how.columns["prompt"])}
    elif name := _messages_column(source, how):
        row = _conversation(source, name, how)
    else:
        row = _alpaca(source, how)
    if how.group:
        row["group"] = _group(source, how.group)
    return {**row, "id": identity(row)}


def _alpaca(source: Row, how: Layout) -> Row:
    """Instruction and input are joined by a newline, as LLaMA-Factory joins them; null counts as empty, except for the answer."""
    name = how.columns
    told = [part for part in (_text(source, name["prompt"]), _text(source, name["query"], optional=True)) if part]
    messages = _system(source, how)
    for old_prompt, old_answer in _history(source, name["history"]):
        messages += [_turn("user", old_prompt), _turn("assistant", old_answer)]
    messages.append(_turn("user", "\n".join(told)))
    if how.format == "preference":
        chosen, rejected = (_turn("assistant", _text(source, name[side])) for side in ("chosen", "rejected"))
        return {"messages": messages, "chosen": chosen, "rejected": rejected, **_tools(source, how)}
    response = _field(source, name["response"])
    if response is not None:
        messages.append(_turn("assistant", _typed(response, name["response"])))
    return {"messages": messages, **_label(source, how), **_tools(source, how)}


def _conversation(source: Row, name: str, how: Layout) -> Row:
    listed = _field(source, name)
    if not isinstance(listed, list):
        raise Malformed(f"column {name} is {_kind(listed)}, not a list of messages")
    messages = [_message(entry, how, f"{name}[{number}]") for number, entry in enumerate(listed)]
    if how.format == "openai":
        messages = _join_results(messages)
    if not messages or messages[0]["role"] != "system":
        messages = _system(source, how) + messages
    row = {"messages": messages, **_label(source, how), **_tools(source, how)}
    if how.format == "preference":
        for side in ("chosen", "rejected"):
            column = how.columns[side]
            reply = _field(source, column)
            row[side] = _turn("assistant", reply) if isinstance(reply, str) else _message(reply, how, column)
    return row


def _message(entry: Any, how: Layout, where: str) -> Row:
    if not isinstance(entry, dict):
        raise Malformed(f"{where} is {_kind(entry)}, not a message")
    role_tag = how.columns.get("role_tag") or ("role" if "role" in entry else "from")
    content_tag = how.columns.get("content_tag") or ("content" if "content" in entry or "tool_calls" in entry else "value")
    role = entry.get(role_tag)
    if not isinstance(role, str) or role not in how.roles:
        raise Malformed(f"{where} has no known role in {role_tag!r}; name other roles in dataset.columns (user_tag, …)")
    return _said(how.roles[role], entry.get(content_tag), entry.get("tool_calls"), where)


def _said(role: str, content: Any, calls: Any, where: str) -> Row:
    """One turn; a content in parts becomes one text, tool calls become JSON in a `function_call` turn."""
    found: list[Any] = [call.get("function") if isinstance(call, dict) else call for call in calls] if isinstance(calls, list) else []
    if isinstance(content, list):
        content, in_parts = _parts(content, where)
        found += in_parts
    if found:
        thought = content if isinstance(content, str) and content.startswith(_THOUGHT[0]) else ""
        return _turn("function_call", thought + orjson.dumps([_call(call) for call in found]).decode())
    return _turn(role, _typed(content, where))


def _parts(parts: list[Any], where: str) -> tuple[str, list[Any]]:
    """Text and tool calls of a content in parts: `{"type": "text", "text" or "value": …}`, reasoning, tool_call."""
    text, calls = "", []
    for part in parts:
        kind, value = (part.get("type"), part.get("value", part.get("text"))) if isinstance(part, dict) else ("", None)
        if kind == "tool_call":
            calls.append(value)
        elif kind == "reasoning" and isinstance(value, str):
            text += _THOUGHT[0] + value + _THOUGHT[1]
        elif kind == "text" and isinstance(value, str):
            text += value
        else:
            raise Malformed(f"{where} has a part that is no text, reasoning or tool_call")
    return text, calls


def _call(call: Any) -> Any:
    """A tool call as an object; OpenAI writes it, or its arguments, as a JSON text."""
    try:
        call = orjson.loads(call) if isinstance(call, str) else call
        if isinstance(call, dict) and isinstance(call.get("arguments"), str):
            return {**call, "arguments": orjson.loads(call["arguments"])}
    except orjson.JSONDecodeError:
        pass  # stays as it is; the rule `tool_json` reports it
    return call


def _join_results(messages: list[Row]) -> list[Row]:
    joined: list[Row] = []
    for message in messages:
        if joined and message["role"] == joined[-1]["role"] == "tool":
            joined[-1] = _turn("tool", joined[-1]["content"] + _NEXT_RESULT + message["content"])
        else:
            joined.append(message)
    return joined


def _history(source: Row, name: str) -> list[tuple[str, str]]:
    pairs = _field(source, name, optional=True) or []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise Malformed(f"column {name} is no list of [prompt, answer] pairs")
    return [(_typed(said, name), _typed(answered, name)) for said, answered in pairs]


def _system(source: Row, how: Layout) -> list[Row]:
    text = _text(source, how.columns["system"], optional=True)
    return [_turn("system", text)] if text else []


def _tools(source: Row, how: Layout) -> Row:
    """Every row of a source gets the column when the format may have it: a file has one set of columns from first to last row."""
    tools = _field(source, how.columns["tools"], optional=True)
    if isinstance(tools, list | dict):
        tools = orjson.dumps(tools).decode()
    return {"tools": _typed(tools, how.columns["tools"])}


def _label(source: Row, how: Layout) -> Row:
    if how.format != "kto":
        return {}
    name = how.columns["kto_tag"] or next((name for name in ("kto_tag", "label") if name in source), "kto_tag")
    label = _field(source, name)
    if not isinstance(label, bool):
        raise Malformed(f"column {name} is {_kind(label)}, not true or false")
    return {"label": label}


def _messages_column(source: Row, how: Layout) -> str:
    """The column with the conversation; empty for rows written the alpaca way."""
    if how.format == "alpaca":
        return ""
    if how.columns["messages"]:
        return how.columns["messages"]
    first, second = ("messages", "conversations") if how.format == "openai" else ("conversations", "messages")
    if first in source or how.format in ("sharegpt", "openai"):
        return first if first in source or second not in source else second
    return second if second in source else ""


def _group(source: Row, name: str) -> str:
    value = _field(source, name)
    if not isinstance(value, str | int) or value == "":
        raise Malformed(f"column {name}, which splits keep together, is {_kind(value)}, not a text or number")
    return str(value)


def _text(source: Row, name: str, *, optional: bool = False) -> str:
    return _typed(_field(source, name, optional=optional), name)


def _field(source: Row, name: str, *, optional: bool = False) -> Any:
    if not optional and name not in source:
        raise Malformed(f"column {name} is missing; the row has {', '.join(key[:40] for key in sorted(source)[:8]) or 'none'}")
    return source.get(name)


def _typed(value: Any, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{where} is {_kind(value)}, not a text")
    return value


def _turn(role: str, content: str) -> Row:
    return {"role": role, "content": content}


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
