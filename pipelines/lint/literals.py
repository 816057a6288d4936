"""What a text with tags becomes, as far as the values are written in the document."""

import re
from collections.abc import Iterator
from itertools import islice, product

from pipelines.lint.subject import Subject, Template

_TAG = re.compile(r"\{\{\s*((?:inputs|workflow)\.parameters\.[-\w]+)\s*\}\}")
_MOST = 50
"""Combinations of values that are looked at."""


def values(subject: Subject, template: Template) -> dict[str, list[str]]:
    """The tags of parameters whose values are written out: those of the workflow, and what all callers give as text."""
    found = {
        f"workflow.parameters.{p['name']}": [p["value"]]
        for p in (subject.effective.get("arguments") or {}).get("parameters") or []
        if p.get("name") and isinstance(p.get("value"), str)
    }
    callers = [c.call for c in subject.calls if subject.called(c.call) is template]
    for parameter in (template.get("inputs") or {}).get("parameters") or []:
        name, fallback = parameter.get("name"), parameter.get("value", parameter.get("default"))
        given = [next((p for p in (c.get("arguments") or {}).get("parameters") or [] if p.get("name") == name), None) for c in callers]
        texts = [fallback if one is None else one.get("value") for one in given or [None]]
        found[f"inputs.parameters.{name}"] = [t for t in texts if isinstance(t, str) and "{{" not in t]
    return found


def becomes(text: str, known: dict[str, list[str]]) -> Iterator[str]:
    """Every text that can come of it; none when a tag's value is not known."""
    names = list(dict.fromkeys(_TAG.findall(text)))
    for chosen in islice(product(*(known.get(name, []) for name in names)), _MOST):
        of = dict(zip(names, chosen, strict=True))
        filled = _TAG.sub(lambda tag, of=of: of[tag[1]], text)  # type: ignore[misc]  # a lambda's default has no type
        if "{{" not in filled:
            yield filled
