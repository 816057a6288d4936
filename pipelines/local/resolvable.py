"""Which `{{tags}}` Argo can resolve where, as far as it looks before anything runs; expressions are not looked at.

https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/validate/validate.go: resolveAllVariables, addOutputsToScope.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.local import gojson, naming
from pipelines.local.faults import Fault, Path

Template = dict[str, Any]
Task = dict[str, Any]

_LOOKED_AT = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
_ALWAYS = ("outputs.", "workflow.creationTimestamp", "workflow.scheduledTime", "workflow.duration", "tasks.name", "steps.name", "node.name")
_GLOBAL = ("name", "namespace", "mainEntrypoint", "serviceAccountName", "uid", "status")
_NODE = ("id", "startedAt", "finishedAt", "hostNodeName")
_PODS = ("container", "containerSet", "script", "resource", "data")
_PRINTS = ("container", "script", "data", "http", "plugin")
_GROUPS = ("steps", "dag", "suspend")
_NESTED = re.compile(r"[-\w. ]*\{\{")
_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


@dataclass
class Names:
    """What can be resolved in one place. `open`: beginnings of names that nobody knows before the run."""

    known: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)

    def __ior__(self, other: "Names") -> "Names":
        self.known |= other.known
        self.open |= other.open
        return self

    def __or__(self, other: "Names") -> "Names":
        return Names(self.known | other.known, self.open | other.open)

    def has(self, name: str) -> bool:
        return name in self.known or name.startswith((*_ALWAYS, *self.open))


def unresolved(value: Any, names: Names, what: str, at: Path) -> Iterator[Fault]:
    """The tags of a part of a document, as JSON text, that name nothing: an unclosed tag ends at the next `}}` (argo-data-flow 296)."""
    for tag in _TAG.findall(gojson.dumps(value, html=False)):
        name = (_NESTED.sub("", tag) if _NESTED.match(tag) else tag).strip()  # a tag in a tag is replaced first (argo-data-flow 237)
        if not tag.startswith("=") and name.startswith(_LOOKED_AT) and not names.has(name):
            yield Fault("unresolved-tag", at, f"{what} failed to resolve {{{{{tag}}}}}")


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with those of its tags replaced that have a value."""
    return _TAG.sub(lambda tag: values.get(tag[1].strip(), tag[0]), text)


def of_workflow(spec: Mapping[str, Any], metadata: Mapping[str, Any], template: bool) -> Names:
    """Names that are known everywhere. `template`: it is one, whose callers may have other parameters."""
    found = Names({f"workflow.{name}" for name in _GLOBAL})
    parameters = [str(p.get("name")) for p in (spec.get("arguments") or {}).get("parameters") or []]
    found.known |= {f"workflow.parameters.{name}" for name in parameters}
    found.known |= {"workflow.parameters", "workflow.parameters.json"} if parameters else set()
    for kind in ("labels", "annotations"):
        sources = [metadata.get(kind), *((spec.get("workflowMetadata") or {}).get(k) for k in (kind, f"{kind}From"))]
        found.known |= {f"workflow.{kind}", f"workflow.{kind}.json"}
        found.known |= {f"workflow.{kind}.{key}" for source in sources for key in source or {}}
    found.known |= {"workflow.priority"} if spec.get("priority") is not None else set()
    found.open |= {"workflow.parameters"} if template else set()
    return found


def of_template(template: Template, kind: str) -> Names:
    """Inputs, outputs and what the kind of a template adds."""
    inputs, outputs = template.get("inputs") or {}, template.get("outputs") or {}
    parameters = [p.get("name") for p in inputs.get("parameters") or []]
    artifacts = [a.get("name") for a in inputs.get("artifacts") or []]
    found = {f"inputs.parameters.{name}" for name in parameters} | {f"inputs.artifacts.{name}" for name in artifacts}
    found |= {"inputs.parameters"} if parameters else set()
    found |= {f"inputs.artifacts.{name}.path" for name in artifacts} if kind not in _GROUPS else set()
    found |= {"pod.name"} if kind in _PODS else set()
    for what in ("parameters", "artifacts") if kind not in _GROUPS else ():
        found |= {f"outputs.{what}.{o.get('name')}.path" for o in outputs.get(what) or []}
    return Names(found)


def of_node(prefix: str, call: Task, called: Template | None, everywhere: Names, loop: bool = False) -> Names:
    """What a step or task gives to others. Its global outputs are from then on known `everywhere`."""
    node = f"{prefix}.{call.get('name')}"
    found = Names({f"{node}.{name}" for name in _NODE})
    if called is None:
        return found
    set_ = called.get("containerSet") or {}
    found.known |= {f"{node}.ip"} if called.get("daemon") else set()
    if any(called.get(kind) is not None for kind in _PRINTS) or "main" in [c.get("name") for c in set_.get("containers") or []]:
        found.known |= {f"{node}.outputs.result", f"{node}.exitCode"}
    for kind in ("parameters", "artifacts"):
        for output in (called.get("outputs") or {}).get(kind) or []:
            found.known.add(f"{node}.outputs.{kind}.{output.get('name')}")
            name = output.get("globalName") or ""
            if naming.TAG.search(name):
                found.open.add(f"workflow.outputs.{kind}.")
            elif name:
                everywhere.known.add(f"workflow.outputs.{kind}.{name}")
    if loop and aggregates(call):
        found.known.add(f"{node}.outputs.parameters")
        if called.get("script") is not None or called.get("containerSet") is not None:
            found.known |= {f"{node}.outputs.result", f"{node}.exitCode"}
    return found


def aggregates(call: Task) -> bool:
    """Whether a loop's outputs are gathered in a list; those of withSequence are not."""
    return bool(call.get("withItems") or call.get("withParam"))


def of_items(call: Task) -> Names:
    """`item` and its keys: the union over all items."""
    found = Names()
    for item in call.get("withItems") or []:
        if isinstance(item, dict):
            found.known |= {f"item.{key}" for key in item}
        elif isinstance(item, list):
            found.known |= {f"item.[{index}]" for index in range(len(item))}
        else:
            found.known.add("item")
    if call.get("withParam"):
        found.known.add("item")
        found.open.add("item.")
    return found


def of_inline(call: Task) -> Names:
    """The inputs of an inline template, which are looked for in the call too."""
    inputs = ((call.get("inline") or {}).get("inputs") or {}).get("parameters") or []
    return Names({f"inputs.parameters.{p.get('name')}" for p in inputs})


def missing_dependency(task: Task, ancestors: Collection[str]) -> Iterator[str]:
    """Arguments that begin with a tag of a task that does not come before."""
    given = task.get("arguments") or {}
    sources = [("parameter", p, p.get("value")) for p in given.get("parameters") or []]
    sources += [("artifact", a, a.get("from")) for a in given.get("artifacts") or []]
    for kind, one, text in sources:
        if isinstance(text, str) and text.startswith("{{tasks.") and text.split(".")[1] not in ancestors:
            yield f"missing dependency '{text.split('.')[1]}' for {kind} '{one.get('name')}'"
