"""Text that people must write themselves: which fields of a card are missing, too short, or only placeholders."""

import re
from typing import Any

_PLACEHOLDER = re.compile(
    r"\b(tbd|todo|lorem|xxx+|fill in|fill me|placeholder|more information needed|not available|coming soon)\b|\bn/?a\b|<[^>]+>|\.\.\.|…",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|https?://\S+")


def problems(card: dict[str, Any], required: list[str], min_chars: int) -> list[str]:
    """One line for each required field that says nothing: missing, a placeholder, or shorter than `min_chars`.

    A field that does not apply is `{not_applicable: true, reason: …}`, with a reason that counts as text.
    """
    return [f"{name} {problem}" for name in required if (problem := _problem(name, card.get(name), min_chars))]


def _problem(name: str, value: Any, min_chars: int) -> str:
    if value is None:
        return "is missing"
    if isinstance(value, dict):
        if value.get("not_applicable") is not True or set(value) != {"not_applicable", "reason"}:
            return "is neither text nor {not_applicable: true, reason: …}"
        value = value["reason"]
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        return "is no text"
    if any(_PLACEHOLDER.search(text) for text in texts):
        return "is a placeholder"
    if name == "contact":
        return "" if any(_ADDRESS.search(text) for text in texts) else "names no address"
    longest = max(len(text.strip()) for text in texts)
    return "" if longest >= min_chars else f"has fewer than {min_chars} characters"
