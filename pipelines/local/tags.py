"""Puts values in the place of `{{tags}}` and evaluates `{{=expressions}}`, as Argo's controller does.

Argo works on the JSON text of a template or task: values are pasted in escaped by `strconv.Quote`, and the result must again be JSON.
Semantics: argo-workflows v4.1.2 `util/template`, tag syntax: github.com/valyala/fasttemplate.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from pipelines.local import golang

T = TypeVar("T")

ABSENT = None
"""The value, in a scope, of an output that a skipped or omitted node never made and that has no default."""

# Names that appear late in a run: an expression that mentions one too early stays text instead of becoming nil
# (argo-workflows#5388, #10393, #15008).
_LATE = (
    *("item", "retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message"),
    *("workflow.status", "workflow.failures"),
)


class TagError(Exception):
    """A text or template that cannot be substituted; the message is Argo's."""


class UnresolvedTag(TagError):
    """A name that has no value, where one is needed; on a cluster the node waits for it for ever."""

    def __init__(self, tag: str, message: str = "") -> None:
        super().__init__(message or f"failed to resolve {{{{{tag}}}}}")
        self.tag = tag


class AbsentOutput(TagError):
    """A tag that names the output of a skipped or omitted node which has no default."""


def find(text: str) -> list[str]:
    """The contents of the tags of a text, in order; raises TagError for an opening `{{` without `}}` after it."""
    return [tag for _, tag in _split(text) if tag is not None]


def substitute(text: str, scope: Mapping[str, object], *, strict: Collection[str] = (), tolerant: bool = False) -> str:
    """The text with its tags replaced; errors and `strict`, `tolerant` as in `substitute_json`."""
    if "{{" not in text:
        return text
    replaced = substitute_json(text, scope, strict=strict, tolerant=tolerant)
    return str(replaced)


def substitute_json(value: T, scope: Mapping[str, object], *, strict: Collection[str] = (), tolerant: bool) -> T:
    """A JSON-like value with the tags in all its texts replaced, keys included.

    scope: dotted name → text, or ABSENT. strict: prefixes ('tasks', 'steps.') whose names must resolve (UnresolvedTag); '': all.
    tolerant: for pod templates; an expression that fails stays as it is, one that does not parse is still an error.
    Raises UnresolvedTag, AbsentOutput, TagError, or expressions.ExpressionError.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if "{{" not in text:
        return value
    replaced = _Replacement(scope, strict, tolerant).apply(text)
    try:
        result: T = json.loads(replaced)
    except ValueError:
        raise TagError("cannot finish template replacement because the result was invalid JSON") from None
    return result


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """(text before a tag, tag) pairs, then (rest, None). The first `}}` after a `{{` ends the tag."""
    position = 0
    while (opening := text.find("{{", position)) >= 0:
        closing = text.find("}}", opening + 2)
        if closing < 0:
            rest, whole = golang.quote(text[opening + 2 :]), golang.quote(text)
            raise TagError(f'Cannot find end tag="}}}}" in the template={whole} starting from {rest}')
        yield text[position:opening], text[opening + 2 : closing]
        position = closing + 2
    yield text[position:], None


class _Replacement:
    """One pass over one JSON text."""

    def __init__(self, scope: Mapping[str, object], strict: Collection[str], tolerant: bool) -> None:
        self.scope = scope
        self.strict = tuple(prefix.removesuffix(".") for prefix in strict)
        self.tolerant = tolerant
        self._env: dict[str, object] | None = None

    @property
    def env(self) -> dict[str, object]:
        if self._env is None:
            from pipelines.local import expressions

            self._env = expressions.expand(self.scope)
        return self._env

    def apply(self, text: str) -> str:
        parts: list[str] = []
        for before, tag in _split(text):
            parts.append(before)
            if tag is not None:
                parts.append(self.expression(tag[1:]) if tag.startswith("=") else self.simple(tag))
        return "".join(parts)

    def simple(self, tag: str) -> str:
        name = tag.strip()
        if name in self.scope and not isinstance(self.scope[name], dict):
            return self.insert(tag, self.scope[name])
        nested = tag.rfind("{{")
        if nested > 0 and tag[nested + 2 :] in self.scope:
            return self.nest(tag[:nested], tag[nested + 2 :])
        # Artifacts are resolved elsewhere, where they may be optional.
        if self.is_strict(name) and ".outputs.artifacts." not in name:
            raise UnresolvedTag(name, f"failed to resolve {{{{{tag}}}}}")
        return f"{{{{{tag}}}}}"

    def insert(self, tag: str, value: object) -> str:
        if value is ABSENT:
            reason = "output is an absent optional (skipped/omitted node with no default)"
            raise AbsentOutput(f"unable to substitute {{{{{tag}}}}}: {reason}")
        if not isinstance(value, str):
            raise TagError(f"failed to resolve {{{{{tag}}}}} to string")
        return golang.escape(value)

    def nest(self, before: str, name: str) -> str:
        """`{{a.{{b}}}}`: the inner tag ended at the first `}}`, the second `}}` is text and closes the outer one."""
        value = self.scope[name]
        if value is ABSENT:
            raise AbsentOutput(f'unable to substitute nested tag {{{{{before}{{{{{name}}}}}: "{name}" is an absent optional')
        return "{{" + before + self.insert(name, value)

    def is_strict(self, name: str) -> bool:
        return any(prefix in ("", name) or name.startswith(prefix + ".") for prefix in self.strict)

    def expression(self, escaped: str) -> str:
        from pipelines.local import expressions

        literal = f"{{{{={escaped}}}}}"
        try:
            source = json.loads(f'"{escaped}"')
        except ValueError:
            raise expressions.ExpressionError(f"failed to unmarshall JSON expression: {golang.quote(escaped)}") from None
        try:
            missing = [name for name in _required(source) if not expressions.has(self.env, name)]
        except expressions.ExpressionError as error:
            raise expressions.ExpressionError(f"failed to evaluate expression: {error}") from None
        for name in missing:
            if self.is_strict(name):
                raise UnresolvedTag(name, f"failed to evaluate expression: {name} is missing")
        stays = bool(missing) or self.tolerant
        if stays and any(name in _LATE for name in missing):
            return literal
        try:
            return self.result(source)
        except expressions.UnsupportedFunction:
            raise
        except expressions.ExpressionError:
            if stays:
                return literal
            raise

    def result(self, source: str) -> str:
        from pipelines.local import expressions

        try:
            value = expressions.evaluate(source, self.env)
        except expressions.UnsupportedFunction:
            raise
        except expressions.ExpressionError as error:
            raise expressions.ExpressionError(f"failed to evaluate expression: {error}") from None
        if value is None:
            raise expressions.ExpressionError(f"failed to evaluate expression {golang.quote(source)}")
        return expressions.render(value)


@lru_cache(maxsize=256)
def _required(source: str) -> tuple[str, ...]:
    from pipelines.local import expressions

    return tuple(expressions.required(source))
