"""What stands in a call and Argo does not look at: arguments nobody takes, values outside of an enum, hooks that run nothing."""

from collections.abc import Iterator

from pipelines.lint.findings import Finding, Rule, Severity
from pipelines.lint.structure import UNDEFINED_REFERENCE, UNDEFINED_TEMPLATE
from pipelines.lint.subject import Call, Subject, Template, calls_of
from pipelines.local import bodies, workflow
from pipelines.local.naming import close_to

UNKNOWN_ARGUMENT = Rule(
    "unknown-argument",
    Severity.ERROR,
    "Argo drops an argument that the template does not take, and runs on with the default of the one that is meant.",
    "Correct the name.",
)
UNUSED_ARGUMENT = Rule(
    "unused-argument",
    Severity.WARNING,
    "Argo drops an argument that the template does not take, without a word.",
    "Leave it out, or add the input to the template.",
)
INPUT_ENUM = Rule(
    "input-enum",
    Severity.WARNING,
    "Nobody checks the enum of a template's input: the template gets the value.",
    "Use one of the listed values, or add the value to the list.",
)
TEMPLATE_AND_INLINE = Rule(
    "template-and-inline",
    Severity.ERROR,
    "Argo runs the inline template and says nothing of the other.",
    "Keep one of the two.",
)
RECURSION = Rule(
    "endless-recursion",
    Severity.ERROR,
    "A template that always calls itself runs on to Argo's limit of 100 levels; then every level ends in failure.",
    "Give one call of the ring a `when` that ends it.",
)


def check_arguments(subject: Subject) -> Iterator[Finding]:
    for call in subject.calls:
        called = subject.called(call.call)
        if called is not None:
            yield from _unknown(call, called)
            yield from _enums(call, called)


def _unknown(call: Call, called: Template) -> Iterator[Finding]:
    for kind in ("parameters", "artifacts"):
        taken = [str(one.get("name")) for one in (called.get("inputs") or {}).get(kind) or []]
        for index, given in enumerate((call.call.get("arguments") or {}).get(kind) or []):
            name = str(given.get("name"))
            if name not in taken:
                hint = close_to(name, taken)
                what = f"the template {called.get('name') or 'of the call'!r} takes no {kind[:-1]} {name!r}{hint}"
                yield Finding(UNKNOWN_ARGUMENT if hint else UNUSED_ARGUMENT, (*call.path, "arguments", kind, index), what)


def _enums(call: Call, called: Template) -> Iterator[Finding]:
    words = {p.get("name"): p["enum"] for p in (called.get("inputs") or {}).get("parameters") or [] if p.get("enum")}
    for index, given in enumerate((call.call.get("arguments") or {}).get("parameters") or []):
        value, allowed = given.get("value"), [workflow.text(word) for word in words.get(given.get("name"), [])]
        if allowed and value is not None and "{{" not in value and value not in allowed:
            what = f"{value!r} is none of the values of {given['name']!r}: {', '.join(str(a) for a in allowed)}"
            yield Finding(INPUT_ENUM, (*call.path, "arguments", "parameters", index), what)


def check_called(subject: Subject) -> Iterator[Finding]:
    """What steps, tasks and hooks run; hooks are looked at by nobody else before they fire."""
    for call in subject.calls:
        name, reference = call.call.get("template"), call.call.get("templateRef")
        if name and call.call.get("inline") is not None:
            yield Finding(TEMPLATE_AND_INLINE, (*call.path, "template"), f"{call.name!r} has the template {name!r} and an inline one")
        if call.kind != "hook" or call.path == (*subject.at, "onExit") or "{{" in f"{name}{reference}":
            continue
        if name and name not in subject.by_name and not _foreign(subject):
            what = f"the hook's template {name!r} is undefined{close_to(name, subject.by_name)}"
            yield Finding(UNDEFINED_TEMPLATE, call.path, what)
        elif reference and subject.called(call.call) is None:
            what = f"template reference {reference.get('name')}.{reference.get('template')} not found"
            yield Finding(UNDEFINED_REFERENCE, call.path, what)


def _foreign(subject: Subject) -> bool:
    """Whether templates come from a document that is not there, which another rule reports."""
    return bool(subject.spec.get("workflowTemplateRef")) and subject.referred is None


def check_recursion(subject: Subject) -> Iterator[Finding]:
    """Templates that call each other in a ring without a condition."""
    edges, places = dict[str, list[str]](), dict[tuple[str, str], Call]()
    for path, template in subject.templates:
        for call in calls_of(path, template):
            if call.kind != "hook" and _always(call) and call.call.get("template"):
                edges.setdefault(str(template.get("name")), []).append(call.call["template"])
                places.setdefault((str(template.get("name")), call.call["template"]), call)
    ring = bodies.cycle(edges)
    if ring:
        yield Finding(RECURSION, places[ring[0], ring[1]].path, f"templates call each other without an end: {' -> '.join(ring)}")


def _always(call: Call) -> bool:
    """Whether a step or task runs whatever happens, unless something before it fails."""
    conditional = any(call.call.get(key) for key in ("when", "withParam", "withSequence"))
    return not conditional and "." not in (call.call.get("depends") or "")


CHECKS = (check_arguments, check_called, check_recursion)
