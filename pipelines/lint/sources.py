"""YAML files as Argo reads them: documents, each with the place of everything in it, and what is wrong before a document can be read."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.local import documents, gojson

MOST_NODES = 200_000
"""Values of one document once its aliases are written out; Go's reader has a like limit."""

UNREADABLE = Rule(
    "unreadable",
    Severity.ERROR,
    "The file cannot be read, or is no text: nothing in it is checked or run.",
    "Give a UTF-8 text file that may be read.",
)
BROKEN = Rule(
    "yaml-broken",
    Severity.ERROR,
    "Argo drops such a document with a line in its log and goes on with the others, so that lint succeeds and nothing is there to run.",
    "Correct the YAML; a value that begins with `{{`, or that has a colon and a blank, needs quotes.",
)
DUPLICATE = Rule(
    "yaml-duplicate-key",
    Severity.ERROR,
    "Argo's lint drops the document without a word, the API server refuses it, and every other reader keeps only one of the two values.",
    "Keep one of the two.",
)
NOT_FINITE = Rule(
    "yaml-not-finite",
    Severity.ERROR,
    "JSON has no infinity and no NaN: Argo drops the document.",
    'Quote it, as in ".inf".',
)
_WORDS = {"found unhashable key": "a map stands where a key is expected; a value that begins with {{ needs quotes"}
RULES = (UNREADABLE, BROKEN, DUPLICATE, NOT_FINITE)


@dataclass(frozen=True)
class Source:
    """One document: its value with keys as text, its file, and the nodes by which lines are found."""

    file: str
    value: Any
    node: Any = field(repr=False)
    above: int = 0
    """Lines of the file before this document's text."""

    def line(self, path: Path) -> int:
        """The line, counted from 1, of a field or of the nearest thing around it that exists."""
        return self._walk(path)[1]

    def written(self, path: Path) -> str | None:
        """A plain scalar as it is written; None for anything quoted, longer than a line, or not there."""
        node, _, found = self._walk(path)
        plain = found and isinstance(node, yaml.ScalarNode) and node.style in (None, "")
        return str(node.value) if plain else None

    def _walk(self, path: Path) -> tuple[Any, int, bool]:
        node, line = self.node, self.node.start_mark.line
        for step in path:
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in reversed(node.value) if _name(k) == step), None)
                if pair is None:
                    return node, self.above + line + 1, False
                line, node = pair[0].start_mark.line, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line
            else:
                return node, self.above + line + 1, False
        return node, self.above + line + 1, True


@dataclass(frozen=True)
class Broken:
    """What is wrong with a text that gave no document, and where."""

    file: str
    line: int
    finding: Finding


def read(file: FilePath) -> Iterator[Source | Broken]:
    """The documents of a file, in order, those that cannot be read among them."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        yield Broken(str(file), 1, Finding(UNREADABLE, (), f"cannot be read: {error}"))
        return
    for above, part in _split(text):
        yield from _document(str(file), part, above)


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Documents as Argo cuts them, at lines that begin with `---`, so that a broken one leaves the others readable."""
    lines = text.splitlines(keepends=True)
    starts = [0, *(i for i, line in enumerate(lines) if i and re.match(r"---(\s|$)", line))]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield start, "".join(lines[start:end])


def _document(file: str, text: str, above: int) -> Iterator[Source | Broken]:
    loader = None
    try:
        if documents.too_deep(text):
            yield Broken(file, above + 1, Finding(BROKEN, (), f"it is nested deeper than {documents.DEEPEST} levels"))
            return
        loader = documents.Loader(text)
        node = loader.get_single_node()
        if node is None:
            return
        problem = _too_big(node)
        if problem:
            yield Broken(file, above + node.start_mark.line + 1, Finding(BROKEN, (), problem))
            return
        faults = [Broken(file, above + mark.line + 1, finding) for mark, finding in _in_nodes(node)]
        value = _json(loader.construct_document(node))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        said = _WORDS.get(getattr(error, "problem", "") or "") or getattr(error, "problem", None) or str(error)
        said = "it is nested too deep" if isinstance(error, RecursionError) else said
        yield Broken(file, above + (mark.line if mark else 0) + 1, Finding(BROKEN, (), " ".join(str(said).split())))
        return
    finally:
        if loader is not None:
            loader.dispose()
    yield from faults
    if not any(f.finding.rule is NOT_FINITE for f in faults):
        yield Source(file, value, node, above)


def _too_big(node: Any) -> str:
    """What makes a document endless: an anchor inside itself, or aliases of aliases."""
    left, open_ = MOST_NODES, set[int]()
    todo = [(node, False)]
    while todo:
        one, leaving = todo.pop()
        if leaving:
            open_.discard(id(one))
            continue
        left -= 1
        if id(one) in open_:
            return "an anchor's value contains itself"
        if left < 0:
            return f"the document has more than {MOST_NODES} values once its aliases are written out"
        inner = [n for pair in one.value for n in pair] if isinstance(one, yaml.MappingNode) else one.value
        if isinstance(inner, list):
            open_.add(id(one))
            todo.append((one, True))
            todo += [(n, False) for n in inner]
    return ""


def _in_nodes(node: Any) -> Iterator[tuple[Any, Finding]]:
    """Keys that stand twice, numbers that are none."""
    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen and name != "<<":
                yield key.start_mark, Finding(DUPLICATE, (), f"the key {name!r} stands twice in one map")
            seen |= {name} if name is not None else set()
            yield from _in_nodes(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _in_nodes(value)
    elif node.tag.endswith(":float") and re.fullmatch(r"[-+]?\.(inf|nan)", node.value.lower()):
        yield node.start_mark, Finding(NOT_FINITE, (), f"{node.value} is no number that JSON can hold")


def _json(value: Any) -> Any:
    """What Go makes JSON of: keys are text, and so is what JSON has no type for."""
    if isinstance(value, dict):
        return {_key(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_json(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | bool | int | float | None) else str(value)


def _name(key: Any) -> str | None:
    """The key that a node becomes; a boolean is true or false, however it is written."""
    if not isinstance(key, yaml.ScalarNode):
        return None
    if key.tag.endswith(":bool"):
        return "true" if key.value.lower() in ("y", "yes", "true", "on") else "false"
    return str(key.value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    return gojson.dumps(key) if isinstance(key, bool | int | float | None) else str(key)
