"""Simple tags, `{{inputs.parameters.x}}`: whether what they name is there when they are replaced."""

import difflib
import re
from collections.abc import Iterable, Iterator

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.places import Place, places, reached
from pipelines.lint.subject import Subject, Template
from pipelines.lint.texts import WORDS, Tag, shown, tags, texts
from pipelines.local import graph

_E, _W = Severity.ERROR, Severity.WARNING

UNRESOLVED = Rule(
    "unresolved-tag", _E, "Argo refuses the workflow, or a step waits for the value for ever.", "Name something that exists in this place."
)
NOT_YET = Rule(
    "tag-not-yet",
    _E,
    "The step waits for ever, the workflow stays Running and says nothing: the value comes from one that is not surely finished before.",
    "Make the step come after the one it reads: a later group, or `depends`.",
)
MISSPELT = Rule(
    "misspelt-tag",
    _E,
    "Argo does not know the tag and leaves it as it is: the program gets the braces.",
    "Begin with inputs, outputs, steps, tasks, workflow, item, pod or node.",
)
ITEM = Rule(
    "item-outside-loop",
    _E,
    "Only a step with a loop knows `item`; elsewhere, in the called template too, the tag stays text.",
    "Pass the item as an argument of the looped step and read the input.",
)
ITEM_KEY = Rule(
    "item-key",
    _E,
    "An item without the key ends the whole loop: `failed to resolve {{item.…}}`.",
    "Give every item the key, or drop the tag.",
)
RETRIES = Rule(
    "retries-without-retry",
    _E,
    "Without retryStrategy there is no such value: the tag stays text.",
    "Add a retryStrategy, or drop the tag.",
)
STATUS = Rule(
    "status-outside-exit",
    _W,
    "Before the end the workflow has no outcome: the value is empty.",
    "Read it in onExit or in a hook, or read the status of a step.",
)
ARTIFACT = Rule(
    "artifact-as-text",
    _E,
    "An artifact is no text: the tag stays as it is.",
    "Write `{{inputs.artifacts.NAME.path}}` in a container; elsewhere hand it on with `from`.",
)
FROM = Rule(
    "from-without-artifact", _E, "`from` takes artifacts only: the step ends with `Unable to resolve`.", "Name an output or input artifact."
)
UNCLOSED = Rule(
    "unclosed-tag",
    _E,
    "All up to the next `}}` of the template becomes one tag, which cannot be resolved.",
    "Close the tag with two braces.",
)
PAIRED = Rule(
    "open-braces", _W, "The opening braces take all up to the next `}}` of the template, and a tag in between is lost.", "Write `{ {`."
)
BRACES = Rule(
    "tag-braces", _E, "Argo leaves a tag with three braces, or with a blank before `=`, as it is.", "Write `{{name}}` or `{{=expression}}`."
)
CRON = Rule(
    "scheduled-time-outside-cron",
    _W,
    "Only a run that a CronWorkflow makes has a scheduledTime; elsewhere the tag stays text.",
    "Pass a time as a parameter.",
)
OWN_NAME = Rule(
    "own-name-tag",
    _E,
    "In a task's own fields the tag never resolves: the workflow waits for ever.",
    "Write the name out, or read the tag in the called template.",
)
OWN_STEP = Rule(
    "own-step-name", _W, "In a step's own fields the value is empty.", "Write the name out, or read the tag in the called template."
)
LOOP_STATUS = Rule(
    "loop-status",
    _W,
    "In steps this is the status of the whole step group: with continueOn it hides a failed member.",
    "Use a dag, or read the outputs.",
)
GLOBAL = Rule(
    "global-output-not-yet",
    _W,
    "Until the step that makes a global output is over, the tag stays as it is and the step that reads it gets the braces.",
    "Make the step come after the one that makes the output.",
)
DECLARED = Rule(
    "undeclared-parameter",
    _W,
    "Nobody declares the parameter: only a workflow that has it can use the template.",
    "Declare it under spec.arguments.",
)


def check_tags(subject: Subject) -> Iterator[Finding]:
    mains, exits = reached(subject, hooks=False), reached(subject, hooks=True)
    for place in places(subject):
        only_main = place.role != "hook" and id(place.template) in mains - exits
        for path, text in texts(place.value, place.path):
            found = tags(text)
            for tag in found.found:
                if tag.expression is None:
                    yield from _one(subject, place, path, tag, only_main)
            if found.unclosed is not None:
                yield from _unclosed(path, found.unclosed)


def _unclosed(path: Path, rest: str) -> Iterator[Finding]:
    known = re.match(rf"\s*=|\s*({'|'.join(WORDS)})\b", rest)
    shown = rest if len(rest) < 30 else rest[:29] + "…"
    yield Finding(UNCLOSED if known else PAIRED, path, f"`{{{{{shown}` is not closed")


def _one(subject: Subject, place: Place, path: Path, tag: Tag, only_main: bool) -> Iterator[Finding]:
    name, names = tag.name, place.names
    if tag.content.lstrip(" {").startswith("=") or (tag.content.startswith("{") and tag.content.strip(" {").split(".")[0] in WORDS):
        yield Finding(BRACES, path, f"`{{{{{tag.content}}}}}` is no tag")
    elif path[-1] == "from":
        yield from _from(place, path, name)
    elif names.has(name):
        yield from _known(subject, place, path, name, only_main)
    elif names.artifact(name):
        yield Finding(ARTIFACT, path, f"{shown(name)} stands for an artifact")
    else:
        yield from _unknown(subject, place, path, tag)


def _from(place: Place, path: Path, name: str) -> Iterator[Finding]:
    one, node, _ = place.names.node(name)
    if place.names.artifact(name):
        if node is not None and graph.loops(node.call):
            yield Finding(FROM, path, f"{shown(name)}: the loop `{one}` has no artifact of all its members")
    elif place.names.has(name):
        yield Finding(FROM, path, f"{shown(name)} is text")
    else:
        yield from _missing(place, path, name)


def _known(subject: Subject, place: Place, path: Path, name: str, only_main: bool) -> Iterator[Finding]:
    if name == "workflow.status" and only_main:
        yield Finding(STATUS, path, f"{shown(name)} where the workflow still runs")
    if name.startswith("item.") and place.call is not None and place.role in ("call", "hook"):
        yield from _key(place, path, name)
    one, node, rest = place.names.node(name)
    if rest == "status" and place.names.prefix == "steps" and node is not None and graph.loops(node.call) and place.role != "hook":
        yield Finding(LOOP_STATUS, path, f"{shown(name)} of the loop `{one}`")
    if name.startswith("workflow.parameters.") and name not in place.names.flat and subject.spec.get("entrypoint"):
        yield Finding(DECLARED, path, f"{shown(name)} is not declared{_close(name, place.names.flat)}")
    if name.startswith("workflow.outputs.parameters.") and place.role == "call":
        yield from _global(place, path, name)
    for around in place.around:
        if name.startswith(("inputs.", "steps.", "tasks.", "pod.", "item.")) and not around.has(name):
            yield Finding(UNRESOLVED, path, f"{shown(name)} in an inline template is not known to the template around it")
            return


def _global(place: Place, path: Path, name: str) -> Iterator[Finding]:
    """A global output that only steps of the same template make, none of which has ended."""
    wanted = name.removeprefix("workflow.outputs.parameters.")
    makers = [one for one, node in place.names.nodes.items() if _makes(node.template or {}, wanted)]
    if makers and not set(makers) & set(place.names.visible):
        yield Finding(GLOBAL, path, f"{shown(name)} is made by `{makers[0]}`, which is not surely finished before")


def _makes(template: Template, wanted: str) -> bool:
    return any(o.get("globalName") == wanted for o in (template.get("outputs") or {}).get("parameters") or [])


def _key(place: Place, path: Path, name: str) -> Iterator[Finding]:
    owner = (place.call.of or place.call) if place.call else None
    key = name.removeprefix("item.")
    for index, item in enumerate((owner.call.get("withItems") or []) if owner else []):
        if not (isinstance(item, dict) and key in item):
            yield Finding(ITEM_KEY, path, f"{shown(name)}: item {index} has no key `{key}`")
            return


def _unknown(subject: Subject, place: Place, path: Path, tag: Tag) -> Iterator[Finding]:
    name, word = tag.name, tag.word
    if name == "item":
        yield Finding(ITEM, path, f"{shown(name)} where no loop is")
    elif name == "retries" or word == "lastRetry":
        yield Finding(RETRIES, path, f"{shown(name)} in a template without retryStrategy")
    elif name in ("steps.name", "tasks.name"):
        yield Finding(OWN_NAME if name == "tasks.name" else OWN_STEP, path, f"{shown(name)} outside a called template")
    elif name.startswith("workflow.scheduledTime"):
        yield Finding(CRON, path, f"{shown(name)} in a {subject.kind}")
    elif word in ("item", "steps", "tasks", "inputs", "pod", "workflow", "outputs", "node") and ("." in name or word == "node"):
        yield from _missing(place, path, name)
    else:
        yield from _misspelt(path, name, word)


def _missing(place: Place, path: Path, name: str) -> Iterator[Finding]:
    one, node, rest = place.names.node(name)
    if node is None:
        yield Finding(UNRESOLVED, path, f"{shown(name)} names nothing{_close(name, place.names.all())}")
    elif one not in place.names.visible:
        yield Finding(NOT_YET, path, f"{shown(name)}: {_why_not_yet(place, one)}")
    elif graph.loops(node.call) and rest == "exitCode":
        yield Finding(UNRESOLVED, path, f"{shown(name)}: the loop `{one}` as a whole has no exit code")
    elif rest in ("outputs.result", "exitCode") and place.role == "hook" and place.call and place.call.of and place.call.of.name == one:
        yield Finding(UNRESOLVED, path, f"{shown(name)}: an exit hook has of its own step only the status and output parameters")
    else:
        wanted = _close(name, [f"{place.names.prefix}.{one}.{r}" for r in node.values | node.artifacts])
        yield Finding(UNRESOLVED, path, f"{shown(name)}: `{one}` has no {rest or 'value'}{wanted}")


def _why_not_yet(place: Place, one: str) -> str:
    if place.call is not None and one == (place.call.of or place.call).name:
        return "a step cannot read itself"
    if place.names.prefix == "tasks":
        return f"the task does not depend on `{one}`"
    return f"the step `{one}` runs at the same time or later"


def _misspelt(path: Path, name: str, word: str) -> Iterator[Finding]:
    second = name.partition(".")[2].partition(".")[0]
    near = difflib.get_close_matches(word.lower(), [w.lower() for w in WORDS], 1, 0.8) if "." in name else []
    same = [w for w in WORDS if w.lower() == word.lower()]
    if word in ("parameters", "artifacts") and second:
        yield Finding(MISSPELT, path, f"{shown(name)} does not say whose {word}: inputs or workflow?")
    elif near or same or (re.search(r"\.(parameters|artifacts|outputs)\.", name) and re.fullmatch(r"[\w-]+", word)):
        meant = next((w for w in WORDS if w.lower() == (near or same or [""])[0].lower()), "inputs")
        hint = f"; did you mean `{meant}…`?" if meant != word else " here"
        yield Finding(MISSPELT, path, f"{shown(name)} is not replaced{hint}")


def _close(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.75)
    return f"; did you mean {shown(near[0])}?" if near else ""


CHECKS = (check_tags,)
