"""Where tags may stand in a document, and what they may name there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipelines.lint import global_names, names
from pipelines.lint.findings import Path
from pipelines.lint.names import Names, Ran
from pipelines.lint.subject import Call, Subject, Template, calls_of, kind_of

Role = Literal["spec", "template", "call", "hook", "output"]


@dataclass(frozen=True)
class Place:
    """A part of a document whose texts may hold tags. `around`: for an inline template, what Argo checks its tags against as well."""

    path: Path
    value: Any
    names: Names
    role: Role
    template: Template
    call: Call | None = None
    around: tuple[Names, ...] = ()


_ANYWHERE = ("inputs.", "outputs.", "pod.", "steps.", "tasks.", "item", "retries", "lastRetry.", "node.")


def places(subject: Subject) -> list[Place]:
    """Every part of the workflow's spec, once; worked out at the first call."""
    kept: list[Place] = subject.memo.setdefault("places", [])
    if not kept:
        kept += _places(subject)
    return kept


def _places(subject: Subject) -> Iterator[Place]:
    known = global_names.of_workflow(subject)
    exits, mains = reached(subject, hooks=True), reached(subject, hooks=False)
    for key, value in subject.spec.items():
        if key == "templateDefaults":
            yield Place((*subject.at, key), value, replace(known, open=(*known.open, *_ANYWHERE)), "spec", {})
        elif key not in ("templates", "hooks"):
            yield Place((*subject.at, key), value, known, "spec", {})
    for call in subject.calls:
        if call.kind == "hook" and call.of is None and call.path[-1] != "onExit":
            yield Place(call.path, call.call, _in_exit(known), "hook", {}, call)
    for index, template in enumerate(subject.spec.get("templates") or []):
        around = _in_exit(known) if id(template) in exits and id(template) not in mains else known
        yield from _of_template(subject, (*subject.at, "templates", index), template, around, ())


def _in_exit(known: Names) -> Names:
    return known.plus({"workflow.failures": "1"})


def reached(subject: Subject, hooks: bool) -> set[int]:
    """The ids of the templates that run in hooks and exit handlers, or those that run elsewhere."""
    first = [c.call for c in subject.calls if c.kind == "hook"] if hooks else []
    if not hooks:
        entry = subject.spec.get("entrypoint")
        first = [{"template": entry}] if entry else []
    found: set[int] = set()
    while first:
        template = subject.called(first.pop())
        if template is None or id(template) in found:
            continue
        found.add(id(template))
        first += [inner.call for inner in calls_of((), template) if inner.kind != "hook"]
    return found


def _of_template(subject: Subject, path: Path, template: Template, outer: Names, around: tuple[Names, ...]) -> Iterator[Place]:
    known = names.of_template(subject, template, outer)
    nested = kind_of(template) in ("steps", "dag")
    for key, value in template.items():
        if key not in ("steps", "dag") and not (nested and key == "outputs"):
            mine = replace(known, open=(*known.open, "outputs.")) if key == "metrics" else known
            yield Place((*path, key), value, mine, "template", template, None, around)
    if not nested:
        return
    nodes = names.of_nodes(subject, template)
    prefix = "steps" if kind_of(template) == "steps" else "tasks"
    known = replace(known, prefix=prefix, nodes=nodes)
    yield Place((*path, "outputs"), template.get("outputs") or {}, replace(known, visible=list(nodes)), "output", template, None, around)
    if prefix == "tasks":
        target = {"target": (template.get("dag") or {}).get("target", "")}
        yield Place((*path, "dag"), target, replace(known, visible=list(nodes)), "template", template, None, around)
    earlier = names.before(template, nodes)
    for call in calls_of(path, template):
        yield from _of_call(subject, call, known, earlier, around)


def _of_call(subject: Subject, call: Call, known: Names, earlier: Mapping[str, list[str]], around: tuple[Names, ...]) -> Iterator[Place]:
    owner = call.of or call
    here = replace(known, visible=earlier.get(owner.name, []))
    items, open_ = names.of_items(owner.call)
    if call.kind == "hook":
        own = _own(here, owner.name)
        hook = replace(own, visible=[*here.visible, owner.name]).plus(items, open_)
        yield Place(call.path, call.call, hook, "hook", call.template, call, around)
        return
    here = here.plus(items, open_)
    fields = {k: v for k, v in call.call.items() if k not in ("inline", "hooks", "onExit")}
    yield Place(call.path, fields, here, "call", call.template, call, around)
    inline = call.call.get("inline")
    if inline is not None:
        theirs = names.of_inputs(inline).flat
        seen = here.plus({k: v for k, v in theirs.items() if k.startswith("inputs.parameters.")})
        outer = Names({**known.flat, **items}, known.artifacts, (*known.open, *open_))
        yield from _of_template(subject, (*call.path, "inline"), inline, outer, (*around, seen))


def _own(known: Names, name: str) -> Names:
    """In a hook, of the step's own outputs only parameters and artifacts are there (argo-control-flow 139, 241)."""
    node = known.nodes.get(name)
    if node is None:
        return known
    gone = {"outputs.result", "exitCode"}
    return replace(known, nodes={**known.nodes, name: Ran(node.call, node.template, node.values - gone, node.artifacts)})
