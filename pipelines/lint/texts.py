"""Texts and the tags in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.lint.findings import Path

WORDS = ("inputs", "outputs", "workflow", "steps", "tasks", "item", "pod", "node", "retries", "lastRetry", "cronworkflow")
"""What a tag of Argo begins with. https://argo-workflows.readthedocs.io/en/latest/variables/"""


@dataclass(frozen=True, slots=True)
class Tag:
    """`{{content}}`, and where in its text it stands."""

    content: str
    start: int
    end: int

    @property
    def expression(self) -> str | None:
        """The source of a `{{=…}}`."""
        return self.content[1:] if self.content.startswith("=") else None

    @property
    def name(self) -> str:
        """What a simple tag names; of a tag in a tag the inner one, which is replaced first (argo-data-flow 237)."""
        return self.content.rpartition("{{")[2].strip()

    @property
    def nested(self) -> bool:
        return "{{" in self.content

    @property
    def word(self) -> str:
        """The first word of the name."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Tags:
    found: tuple[Tag, ...]
    unclosed: str | None
    """What follows a `{{` that no `}}` closes."""


def tags(text: str) -> Tags:
    """The tags of a text: the first `}}` after a `{{` ends it."""
    found: list[Tag] = []
    position = 0
    while (opening := text.find("{{", position)) >= 0:
        closing = text.find("}}", opening + 2)
        if closing < 0:
            return Tags(tuple(found), text[opening + 2 :])
        found.append(Tag(text[opening + 2 : closing], opening, closing + 2))
        position = closing + 2
    return Tags(tuple(found), None)


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text in a JSON-like value that could hold a tag, keys included, with its path."""
    if isinstance(value, str):
        if "{{" in value:
            yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str) and "{{" in key:
                yield (*path, key), key
            yield from texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, (*path, index))


def only(text: str) -> Tag | None:
    """The tag, if a text is nothing but one."""
    found = tags(text.strip())
    if len(found.found) == 1 and found.unclosed is None and found.found[0].start == 0 and found.found[0].end == len(text.strip()):
        return found.found[0]
    return None


def filled(text: str, value: str) -> str:
    """The text with every tag replaced by one value."""
    for tag in reversed(tags(text).found):
        text = text[: tag.start] + value + text[tag.end :]
    return text


def shown(name: str) -> str:
    """A tag as it is shown to people."""
    return f"`{{{{{name}}}}}`"
