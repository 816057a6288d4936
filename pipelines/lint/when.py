"""`when`: faults that show only once the step is reached, and comparisons that mean something else than they say.

The language is govaluate's, with words as text; the tags are filled in before anything is read (argo-control-flow 037, 038, 041).
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.subject import Call, Subject
from pipelines.lint.texts import Tag, tags
from pipelines.local import expressions, govaluate, when
from pipelines.local.govaluate import Token

_E = Severity.ERROR
_FAILS = "It passes Argo's lint; when the step is reached the workflow ends in Failed or Error."

SYNTAX = Rule("when-syntax", _E, _FAILS, "Put words and tags in quotes: `'{{inputs.parameters.x}}' == 'deep blue'`; join with && and ||.")
BOOLEAN = Rule("when-boolean", _E, _FAILS, "Compare with something: `'{{…}}' == 'yes'`.")
BITWISE = Rule("when-bitwise", _E, "A single & or | is arithmetic on its two neighbours, done before the comparisons.", "Write && or ||.")
ORDER = Rule(
    "when-text-order", _E, "Quoted numbers are compared as text, where '10' comes before '9'.", "Leave out the quotes: `{{…}} > 9`."
)
NEVER = Rule(
    "when-never-equal",
    _E,
    "Text, numbers and booleans are never equal to each other: '1' == 1 is false.",
    "Quote both sides or none of them.",
)
UNQUOTED = Rule(
    "when-unquoted",
    Severity.WARNING,
    "A value with a dash, a blank or nothing in it breaks the condition, and with it the workflow.",
    "Put the tag in quotes, and the word that it is compared with.",
)

_ANY = ["word", "7", "true", "'a', 'b'", '["a","b"]']
"""What a value that nobody knows may look like."""
_STATES = ("Succeeded", "Failed", "Skipped")
_MARK = re.compile(r"tag(\d+)gat")


def check_when(subject: Subject) -> Iterator[Finding]:
    for call in subject.calls:
        condition = call.call.get("when")
        if call.kind != "hook" and condition:
            yield from _checked(subject, call, condition)
    if subject.kind == "CronWorkflow":
        condition = (subject.document.get("spec") or {}).get("when")
        if condition:
            call = Call(("spec",), {"when": condition}, "hook", {}, ("spec",))
            yield from _checked(subject, call, str(condition))


def _checked(subject: Subject, call: Call, condition: str) -> Iterator[Finding]:
    path: Path = (*call.path, "when")
    known = Values(subject, call)
    trials = list(_trials(condition, known))
    failures = [failure for failure in map(_failure, trials) if failure]
    if not trials:
        return
    if len(failures) == len(trials):
        rule = BOOLEAN if failures[0].startswith("Expected boolean") else SYNTAX
        yield Finding(rule, path, f"`{condition}`: {failures[0]}")
        return
    found = [Finding(rule, path, f"`{condition}`: {what}") for rule, what in traps(condition)]
    yield from found
    bad = next((f for v, f in zip(trials, map(_failure, trials), strict=True) if f and known.certain), None)
    if bad:
        yield Finding(SYNTAX, path, f"`{condition}`: {bad}")
    elif not known.certain and not found and _breaks(condition, known):
        yield Finding(UNQUOTED, path, f"`{condition}`")


def _failure(text: str) -> str:
    """Why a filled-in condition fails; empty when it does not."""
    try:
        when.holds(text)
    except when.WhenError as error:
        return str(error).partition("': ")[2] or str(error)
    return ""


@dataclass
class Values:
    """What the tags of one step's `when` may stand for. `certain`: these are all the values there can be."""

    subject: Subject
    call: Call
    certain: bool = True

    def of(self, tag: Tag) -> list[str]:
        """Values to try; they are the real ones while `certain` stays."""
        if tag.expression is not None:
            return self.computed(tag.expression)
        name = tag.name
        if name.startswith("workflow.parameters."):
            return self.argument(name.removeprefix("workflow.parameters."))
        if name == "item" or name.startswith("item."):
            return self.items(name)
        if name.endswith(".status"):
            return list(_STATES)
        self.certain = False
        return _ANY

    def computed(self, source: str) -> list[str]:
        try:
            if not expressions.names(source):
                return [expressions.render(expressions.evaluate(source, {}))]
        except expressions.ExpressionError:
            pass
        self.certain = False
        return _ANY

    def argument(self, name: str) -> list[str]:
        given = (self.subject.effective.get("arguments") or {}).get("parameters") or []
        value = next((p.get("value") for p in given if p.get("name") == name), None)
        if isinstance(value, str) and "{{" not in value and self.subject.kind in ("Workflow", "CronWorkflow"):
            return [value]
        self.certain = False
        return _ANY

    def items(self, name: str) -> list[str]:
        if not self.call.call.get("withItems") or any("{{" in str(item) for item in self.call.call["withItems"]):
            self.certain = False
            return _ANY
        return [value for item in self.call.call["withItems"] if (value := _item(item, name.partition(".")[2])) is not None]


def _item(item: Any, key: str) -> str | None:
    """The text of an item, or of its key."""
    if key:
        item = item.get(key) if isinstance(item, dict) else None
    if item is None or isinstance(item, str):
        return item
    from pipelines.local import gojson

    return gojson.dumps(item, html=False)


def _trials(condition: str, known: Values) -> Iterator[str]:
    """The condition with its tags filled in, in some of the ways that are possible."""
    found = tags(condition).found
    choices = [known.of(tag) for tag in found]
    for values in itertools.islice(itertools.product(*choices), 64):
        yield _filled(condition, found, values)


def _filled(condition: str, found: tuple[Tag, ...], values: tuple[str, ...]) -> str:
    for tag, value in reversed(list(zip(found, values, strict=True))):
        condition = condition[: tag.start] + value + condition[tag.end :]
    return condition


def traps(condition: str) -> Iterator[tuple[Rule, str]]:
    """Comparisons that work and mean something else."""
    found = tags(condition).found
    try:
        tokens = govaluate.tokens(_filled(condition, found, tuple(f"tag{i}gat" for i in range(len(found)))))
    except govaluate.EvaluationError:
        return
    comparisons = [i for i, t in enumerate(tokens) if t.kind == "COMPARATOR"]
    for index, token in enumerate(tokens):
        if token.kind == "MODIFIER" and token.value in ("&", "|") and comparisons and comparisons[0] < index < comparisons[-1]:
            yield BITWISE, f"{token.value} between two comparisons"
    for index in comparisons:
        if index and index + 1 < len(tokens):
            yield from _compared(tokens[index - 1], str(tokens[index].value), tokens[index + 1])


def _compared(left: Token, operator: str, right: Token) -> Iterator[tuple[Rule, str]]:
    kinds = {_kind(left), _kind(right)}
    if operator in ("<", ">", "<=", ">=") and any(t.kind == "STRING" and _number(t.value) for t in (left, right)):
        yield ORDER, f"{operator} compares text"
    if operator in ("==", "!=") and kinds in ({"text", "number"}, {"text", "boolean"}, {"number", "boolean"}):
        yield NEVER, f"a {left.value!r} that is {_kind(left)} and a {right.value!r} that is {_kind(right)}"
    if operator in ("==", "!=") and "tag" in kinds and any(t.kind == "STRING" and _number(t.value) for t in (left, right)):
        yield NEVER, "the quoted number is text, what the tag puts there is a number"


def _kind(token: Token) -> str:
    if token.kind == "VARIABLE" and _MARK.fullmatch(str(token.value)):
        return "tag"
    kinds = {"STRING": "text", "VARIABLE": "text", "NUMERIC": "number", "BOOLEAN": "boolean", "TIME": "time"}
    return kinds.get(token.kind, "other")


def _number(value: object) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?", str(value)))


def _breaks(condition: str, known: Values) -> bool:
    """Whether text is compared and a dash in an unquoted tag would break it: a word works, a number works, a word with a dash does not."""
    found = tags(condition).found
    free = [_free(tag) for tag in found]

    def works(value: str) -> bool:
        values = tuple(value if is_free else known.of(tag)[0] for tag, is_free in zip(found, free, strict=True))
        return not _failure(_filled(condition, found, values))

    return any(free) and works("word") and works("7") and not works("deep-blue") and not _plain(condition)


def _free(tag: Tag) -> bool:
    """A tag whose value nobody knows, unlike a status or a count."""
    return not re.search(r"(^|\.)(status|exitCode|retries|id|uid|json)$", tag.name)


def _plain(condition: str) -> bool:
    """Whether the tags are compared with nothing but numbers and booleans, as counts and flags are."""
    found = tags(condition).found
    try:
        tokens = govaluate.tokens(_filled(condition, found, tuple(f"tag{i}gat" for i in range(len(found)))))
    except govaluate.EvaluationError:
        return False
    return not any(t.kind in ("VARIABLE", "STRING") and not _MARK.search(str(t.value)) for t in tokens)


def constant(condition: str) -> bool | None:
    """The value of a `when` that is always the same; None when it is not."""
    if "{{" in condition:
        return None
    try:
        return when.holds(condition)
    except when.WhenError:
        return None


CHECKS = (check_when,)
