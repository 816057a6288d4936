"""What a tag or an expression may name in one place.

Rules: argo-workflows v4.1.2 `workflow/validate` (addOutputsToScope, resolveAllVariables), and what the controller then really has.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.lint.subject import Subject, Template, calls_of, kind_of
from pipelines.local import graph

UNKNOWN = object()
"""In an environment for expressions: something of which nothing is known."""

_PODS = ("container", "script", "containerSet", "resource", "data")
_LAST = ("exitCode", "status", "duration", "message")


@dataclass(frozen=True)
class Ran:
    """What a step or task leaves behind: names without its own prefix, as `outputs.result`."""

    call: dict[str, Any]
    template: Template | None
    values: frozenset[str]
    artifacts: frozenset[str]

    @property
    def open(self) -> bool:
        """Nobody knows what it runs, so any output may be there."""
        return self.template is None

    def has(self, rest: str) -> bool:
        return rest in self.values or (self.open and rest.startswith("outputs."))


def ran(call: dict[str, Any], template: Template | None) -> Ran:
    values = {"id", "startedAt", "finishedAt", "status"}
    if template is None:
        return Ran(call, None, frozenset(values | {"exitCode", "hostNodeName", "ip"}), frozenset())
    kind, looped = kind_of(template), graph.loops(call)
    outputs = template.get("outputs") or {}
    if kind in _PODS and not looped:
        values.add("hostNodeName")
    if template.get("daemon"):
        values.add("ip")
    if kind in ("container", "script", "data", "http", "plugin") or _main(template):
        values |= {"outputs.result"} if looped else {"outputs.result", "exitCode"}
    values |= {f"outputs.parameters.{p.get('name')}" for p in outputs.get("parameters") or []}
    if looped and not call.get("withSequence"):
        values.add("outputs.parameters")
    artifacts = {f"outputs.artifacts.{a.get('name')}" for a in outputs.get("artifacts") or []}
    return Ran(call, template, frozenset(values), frozenset(artifacts))


def _main(template: Template) -> bool:
    return any(c.get("name") == "main" for c in (template.get("containerSet") or {}).get("containers") or [])


@dataclass(frozen=True)
class Names:
    """`flat`: dotted name → a value, UNKNOWN where it is not text. `open`: prefixes under which any name may exist.

    `nodes`: the steps or tasks of the template around, those in `visible` with their values; `prefix`: `steps` or `tasks`.
    """

    flat: Mapping[str, object] = field(default_factory=dict)
    artifacts: frozenset[str] = frozenset()
    open: tuple[str, ...] = ()
    prefix: str = ""
    nodes: Mapping[str, Ran] = field(default_factory=dict)
    visible: Collection[str] = ()

    def node(self, name: str) -> tuple[str, Ran | None, str]:
        """The step or task that a name speaks of, and the rest of the name: `tasks.a.status` → a, …, `status`."""
        word, _, rest = name.partition(".")
        if not self.prefix or word != self.prefix:
            return "", None, ""
        one, _, rest = rest.partition(".")
        return one, self.nodes.get(one), rest

    def has(self, name: str) -> bool:
        """Whether a simple tag of this name is replaced by text."""
        if name in self.flat or (self.open and name.startswith(self.open)):
            return True
        one, node, rest = self.node(name)
        return node is not None and one in self.visible and node.has(rest)

    def artifact(self, name: str) -> bool:
        """Whether an artifact has this name."""
        one, node, rest = self.node(name)
        if node is not None:
            return one in self.visible and (rest in node.artifacts or (node.open and rest.startswith("outputs.artifacts.")))
        return name in self.artifacts

    def environment(self, mentioned: Collection[str], absent: Collection[str] = ()) -> dict[str, object]:
        """Flat values for an expression that mentions these names. absent: nodes that were skipped."""
        values: dict[str, object] = {**self.flat, **{f"{name}.path": "1" for name in self.artifacts}}
        if self.open:
            values |= {name: UNKNOWN for name in mentioned if name.startswith(self.open) and name not in values}
        named = {name.split(".")[1] for name in mentioned if name.startswith(f"{self.prefix}.") and "." in name} if self.prefix else set()
        for one in [n for n in self.visible if n in self.nodes and (n in named or (not named and self.prefix in mentioned))]:
            values |= _node_values(f"{self.prefix}.{one}", self.nodes[one], one in absent, mentioned)
        return values

    def all(self) -> list[str]:
        """Every name, for suggestions."""
        seen = [f"{self.prefix}.{one}.{rest}" for one in self.visible if one in self.nodes for rest in self.nodes[one].values]
        return [*self.flat, *seen]

    def plus(self, flat: Mapping[str, object], open: tuple[str, ...] = ()) -> "Names":
        return replace(self, flat={**self.flat, **flat}, open=self.open + open)


def _node_values(prefix: str, node: Ran, skipped: bool, mentioned: Collection[str]) -> dict[str, object]:
    values: dict[str, object] = {f"{prefix}.{rest}": "1" for rest in node.values}
    values |= {f"{prefix}.{rest}.path": "1" for rest in node.artifacts}
    if node.open:
        values |= {name: UNKNOWN for name in mentioned if name.startswith(f"{prefix}.")}
    if skipped:
        values = {k: v for k, v in values.items() if k.rpartition(".")[2] in ("id", "startedAt", "finishedAt", "status")}
        values[f"{prefix}.status"] = "Skipped"
        for output in ((node.template or {}).get("outputs") or {}).get("parameters") or []:
            values[f"{prefix}.outputs.parameters.{output.get('name')}"] = (output.get("valueFrom") or {}).get("default")
    return values


def of_inputs(template: Template) -> Names:
    """`inputs.*`."""
    inputs = template.get("inputs") or {}
    flat: dict[str, object] = {f"inputs.parameters.{p.get('name')}": "1" for p in inputs.get("parameters") or []}
    if flat:
        flat["inputs.parameters"] = "1"
    artifacts = [f"inputs.artifacts.{a.get('name')}" for a in inputs.get("artifacts") or []]
    if kind_of(template) not in ("steps", "dag"):
        flat |= {f"{name}.path": "1" for name in artifacts}
    return Names(flat, frozenset(artifacts))


def of_template(subject: Subject, template: Template, outer: Names) -> Names:
    """What the template's own fields may name; outer: `workflow.*`, and for an inline template what stands around it."""
    kind, own = kind_of(template), of_inputs(template)
    flat: dict[str, object] = {**outer.flat, **own.flat, "node.name": "1"}
    if kind in _PODS:
        flat["pod.name"] = "1"
    if kind not in ("steps", "dag"):
        flat |= {"steps.name": "1", "tasks.name": "1"}
        outputs = template.get("outputs") or {}
        for kinds in ("parameters", "artifacts"):
            flat |= {f"outputs.{kinds}.{o.get('name')}.path": "1" for o in outputs.get(kinds) or []}
    if "retryStrategy" in subject.whole(template):
        flat |= {"retries": "1"} | {f"lastRetry.{name}": "1" for name in _LAST}
    return Names(flat, outer.artifacts | own.artifacts, outer.open)


def of_nodes(subject: Subject, template: Template) -> dict[str, Ran]:
    """The steps or tasks of a template."""
    mine = [call for call in calls_of((), template) if call.kind != "hook"]
    return {call.name: ran(call.call, subject.called(call.call)) for call in mine}


def of_items(call: dict[str, Any]) -> tuple[dict[str, object], tuple[str, ...]]:
    """`item` of a loop: names, and the prefix under which any may be."""
    if call.get("withItems"):
        maps = [item for item in call["withItems"] if isinstance(item, dict)]
        keys = {f"item.{key}" for item in maps for key in item}
        keys |= {f"item.[{i}]" for item in call["withItems"] if isinstance(item, list) for i in range(len(item))}
        return dict.fromkeys({"item"} | keys, "1"), ()
    if call.get("withParam"):
        return {"item": UNKNOWN}, ("item.",)
    return ({"item": "1"}, ()) if call.get("withSequence") is not None else ({}, ())


def before(template: Template, nodes: Mapping[str, Ran]) -> dict[str, list[str]]:
    """For each step or task those that have surely ended, or been skipped, when it is begun."""
    if template.get("steps") is not None:
        found: dict[str, list[str]] = {}
        earlier: list[str] = []
        for group in template["steps"]:
            found |= {str(step.get("name")): list(earlier) for step in group}
            earlier += [str(step.get("name")) for step in group]
        return found
    tasks = {name: node.call for name, node in nodes.items()}
    return {name: _ancestors(name, tasks) for name in tasks}


def _ancestors(name: str, tasks: dict[str, dict[str, Any]]) -> list[str]:
    from pipelines.local.depends import DependsError

    try:
        return [one for one in graph.ancestors(name, tasks) if one != name]
    except DependsError:
        return list(tasks)
