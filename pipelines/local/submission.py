"""What Argo refuses when a workflow is submitted or linted, in its words and its order: a walk from the entrypoint, depth first.

https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/validate/validate.go
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from pipelines.local import bodies, calls, naming, resolvable, shapes, unsupported
from pipelines.local.faults import Fault, Path
from pipelines.local.fields import Place
from pipelines.local.naming import close_to as close_to  # for those who refuse names

Template = dict[str, Any]
Spec = dict[str, Any]
Metadata = dict[str, Any]
Find = Callable[[dict[str, Any]], Spec | None]
"""From a templateRef or workflowTemplateRef to the spec of the document that it names."""

RETRY_POLICIES = ("Always", "OnFailure", "OnError", "OnTransientError")
POD_GC = ("", "OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess")


def check(spec: Spec, place: Place, at: Path, find: Find | None = None, metadata: Metadata | None = None) -> None:
    """Refused for the first thing that is wrong, or that cannot run on this machine. Without `find`, templateRefs are not looked at."""
    for fault in chain(faults(spec, at, find, metadata=metadata), unsupported.of_workflow(spec, at)):
        raise place.refuse(fault.path, str(fault))


def faults(
    spec: Spec, at: Path, find: Find | None = None, *, metadata: Metadata | None = None, template: bool = False, values: bool | None = None
) -> Iterator[Fault]:
    """Everything that is wrong, each once. `metadata`: the workflow's own, with its labels and annotations.

    template: the spec of a (Cluster)WorkflowTemplate, which needs no entrypoint and whose arguments come later. values: whether workflow
    arguments must have one; None: only those that the entrypoint takes are asked for, and only by name.
    """
    names = resolvable.of_workflow(spec, metadata or {}, template)
    yield from _once(_Walk(spec, at, find, names).workflow(template, values))


def _once(found: Iterator[Fault]) -> Iterator[Fault]:
    seen = set[tuple[str, Path, str]]()
    for fault in found:
        key = (fault.rule, fault.path, fault.message)
        if key not in seen:
            seen.add(key)
            yield fault


def _named(spec: Spec, name: str) -> Template | None:
    return next((t for t in spec.get("templates") or [] if t.get("name") == name), None)


@dataclass
class _Walk:
    spec: Spec
    at: Path
    find: Find | None
    names: resolvable.Names
    """What can be resolved everywhere; global outputs join as the walk meets them."""
    done: set[str] = field(default_factory=set)
    """The names of the templates that have been looked at."""
    begins: tuple[str, ...] = ()
    """The templates that get the workflow's arguments: entrypoint and onExit."""

    def workflow(self, template: bool, values: bool | None) -> Iterator[Fault]:
        spec, at = self.spec, self.at
        self.begins = () if template else (spec.get("entrypoint") or "", spec.get("onExit") or "")
        templates = spec.get("templates") or []
        given = spec.get("arguments") or {}
        yield from naming.fields(templates, "spec.templates", (*at, "templates"))
        yield from calls.arguments(given, "spec.arguments.", (*at, "arguments"), later=not values)
        yield from self._entrypoints(given, template, values)
        yield from calls.hooks(spec, "hooks", at)
        yield from self._pods()
        for index, one in enumerate(templates):
            name, where = str(one.get("name") or ""), (*at, "templates", index)
            for fault in self.run({"template": name}, where) if name else self.template(one, where):
                yield fault.through(f"templates.{name}")

    def _entrypoints(self, given: dict[str, Any], template: bool, values: bool | None) -> Iterator[Fault]:
        entrypoint, leaving = self.spec.get("entrypoint"), self.spec.get("onExit")
        if entrypoint:
            yield from self.run({"template": entrypoint}, (*self.at, "entrypoint"))
            if not template:
                yield from calls.supplied(given, self.named(entrypoint), (*self.at, "arguments"), empty=values is None)
        elif not template:
            yield Fault("entrypoint", self.at, "spec.entrypoint is required")
        if leaving:
            self.names.known.add("workflow.failures")
            yield from self.run({"template": leaving}, (*self.at, "onExit"))

    def _pods(self) -> Iterator[Fault]:
        strategy = (self.spec.get("podGC") or {}).get("strategy") or ""
        if strategy not in POD_GC:
            yield Fault("unknown-word", (*self.at, "podGC", "strategy"), f"podGC.strategy unknown strategy '{strategy}'")
        for index, one in enumerate(((self.spec.get("podGC") or {}).get("labelSelector") or {}).get("matchExpressions") or []):
            if one.get("operator") not in ("In", "NotIn", "Exists", "DoesNotExist"):
                where = (*self.at, "podGC", "labelSelector", "matchExpressions", index)
                message = f'podGC.labelSelector invalid: "{one.get("operator")}" is not a valid label selector operator'
                yield Fault("pod-gc", where, message)
        yield from bodies.pod_resources(self.spec.get("podResources") or {}, "spec.podResources", (*self.at, "podResources"))

    def _known(self) -> dict[str, str]:
        """Tags whose value is known before anything runs."""
        given = (self.spec.get("arguments") or {}).get("parameters") or []
        return {f"workflow.parameters.{p.get('name')}": p["value"] for p in given if isinstance(p.get("value"), str)}

    def named(self, name: str) -> Template | None:
        return _named(self.spec, name)

    # --- templates ---------------------------------------------------------------------------------------------------------

    def run(self, call: dict[str, Any], at: Path) -> Iterator[Fault]:
        """What a call runs, whatever its arguments: that it exists, and everything in it that has not been looked at."""
        reference, name = call.get("templateRef"), call.get("template") or ""
        if reference is not None:
            yield from self._referred(reference, name, at)
        if reference is not None or "{{=" in name:  # what an expression makes, nobody looks at here
            return
        if name and self.named(name) is None:
            yield Fault("undefined-template", at, f"template name '{name}' undefined{close_to(name, self._names())}")
        elif call.get("inline") is not None:
            yield from self.template({"name": "", **call["inline"]}, (*at, "inline"))
        elif not name:
            yield Fault("no-template", at, "failed to get a template")
        elif name not in self.done:
            self.done.add(name)
            index = self._names().index(name)
            yield from self.template(self.spec["templates"][index], (*self.at, "templates", index))

    def _names(self) -> list[str]:
        return [str(t.get("name")) for t in self.spec.get("templates") or []]

    def _chosen(self, call: dict[str, Any], template: Template) -> dict[str, Any]:
        """A call whose template's name has tags, with the name that they make.

        Argo replaces those of workflow arguments, and in what a workflow begins or ends with those of inputs; any other is undefined to it.
        """
        name = call.get("template") or ""
        if "{{" not in name:
            return call
        known = self._known()
        inputs = (template.get("inputs") or {}).get("parameters") or [] if template.get("name") in self.begins else []
        for parameter in inputs:
            value = known.get(f"workflow.parameters.{parameter.get('name')}", parameter.get("value", parameter.get("default")))
            known |= {f"inputs.parameters.{parameter.get('name')}": resolvable.filled(value, known)} if isinstance(value, str) else {}
        return call | {"template": resolvable.filled(name, known)}

    def _referred(self, reference: dict[str, Any], name: str, at: Path) -> Iterator[Fault]:
        """A templateRef: the document, the template in it, and what is wrong there."""
        here, holder, wanted = (*at, "templateRef"), reference.get("name") or "", reference.get("template") or ""
        if name:
            yield Fault("no-template", here, "template name cannot be specified with templateRef")
        for field_, said in (("name", "resource"), ("template", "template")):
            if not reference.get(field_):
                yield Fault("no-template", here, f"{said} name is required")
        if self.find is None or not (holder and wanted) or "{{" in holder + wanted:
            return
        spec = self.find(reference)
        inside = _Walk(spec or {}, at, self.find, self.names, self.done)
        if spec is None:
            kind = "cluster workflow template" if reference.get("clusterScope") else "workflow template"
            yield Fault("undefined-reference", here, f"template reference {holder}.{wanted} not found: there is no {kind} {holder!r}")
        elif inside.named(wanted) is None:
            close = close_to(wanted, inside._names())
            yield Fault("undefined-reference", here, f"template reference {holder}.{wanted} not found{close}")
        elif f"{holder}/{wanted}" not in self.done:
            self.done.add(f"{holder}/{wanted}")
            yield from (replace(f, path=at, elsewhere=True) for f in inside.template(inside.named(wanted) or {}, at))

    def called(self, call: dict[str, Any]) -> Template | None:
        """The template of a call, when it is known."""
        if call.get("templateRef") is not None:
            spec = self.find(call["templateRef"]) if self.find and call["templateRef"].get("name") else None
            return _named(spec or {}, call["templateRef"].get("template") or "")
        if call.get("inline") is not None:
            return {"name": "", **call["inline"]}
        return self.named(call.get("template") or "")

    def template(self, template: Template, at: Path) -> Iterator[Fault]:
        yield from shapes.of_type(template, at)
        policy = (template.get("retryStrategy") or {}).get("retryPolicy") or ""
        if policy and policy not in RETRY_POLICIES:
            yield Fault("unknown-word", (*at, "retryStrategy", "retryPolicy"), f"{policy} is not a valid RetryPolicy")
        kinds = shapes.kinds(template)
        if not kinds:
            return
        yield from shapes.before_body(template, at)
        here = resolvable.of_template(template, kinds[0]) | self.names
        if not template.get("name"):
            here.open |= {""} if "" in self.done else set()  # Argo looks into the first inline template only (argo-data-flow 160)
            self.done.add("")
        if kinds[0] in ("steps", "dag"):
            yield from self._group(template, kinds[0], here, at)
        else:
            yield from self._unresolved(template, here, f"templates.{template.get('name', '')}:", at)
            yield from bodies.faults(template, self.spec.get("templateDefaults") or {}, self._known(), at)
        if template.get("outputs"):
            yield from self._unresolved(template["outputs"], here, f"templates.{template.get('name', '')}.outputs", (*at, "outputs"))
        yield from shapes.outputs(template, at)
        yield from bodies.location(template.get("archiveLocation") or {}, f"templates.{template.get('name')}.archiveLocation", at)
        yield from bodies.metrics(template, at)

    def _unresolved(self, value: Any, here: resolvable.Names, what: str, at: Path) -> Iterator[Fault]:
        yield from resolvable.unresolved(value, here | self.names, what, at)

    # --- steps and tasks -----------------------------------------------------------------------------------------------------

    def _group(self, template: Template, kind: str, here: resolvable.Names, at: Path) -> Iterator[Fault]:
        what = f"templates.{template.get('name', '')}"
        if template.get("activeDeadlineSeconds") is not None:
            message = f"{what}.activeDeadlineSeconds is only valid for leaf templates"
            yield Fault("time-limit-place", (*at, "activeDeadlineSeconds"), message)
        yield from calls.steps(template, what, at) if kind == "steps" else calls.dag(template, what, at)
        yield from self._steps(template, what, here, at) if kind == "steps" else self._tasks(template, what, here, at)

    def _steps(self, template: Template, what: str, here: resolvable.Names, at: Path) -> Iterator[Fault]:
        """Steps in their order: each knows those before it, and they leave their items behind."""
        for i, group in enumerate(template["steps"]):
            for j, step in enumerate(self._chosen(step, template) for step in group):
                called, where, place = self.called(step), f"{what}.steps[{i}].{step.get('name')}", (*at, "steps", i, j)
                here |= resolvable.of_items(step) | resolvable.Names({f"steps.{step.get('name')}.status"})
                yield from self._call(step, where, place)
                if _has_exit(step):
                    here |= resolvable.of_node("steps", step, called, self.names)
                yield from self._unresolved(step, here | resolvable.of_inline(step), f"{what}.steps", place)
                here |= resolvable.of_node("steps", step, called, self.names, loop=True)
                yield from self._supplied(step, where, place)

    def _tasks(self, template: Template, what: str, here: resolvable.Names, at: Path) -> Iterator[Fault]:
        """Tasks know the outputs of all the others, and the status of those before them."""
        chosen = [self._chosen(task, template) for task in template["dag"].get("tasks") or []]
        tasks = [(i, t, f"{what}.tasks.{t.get('name')}", (*at, "dag", "tasks", i)) for i, t in enumerate(chosen)]
        for _, task, where, place in tasks:
            yield from self._call(task, where, place)
            here |= resolvable.of_node("tasks", task, self.called(task), self.names, loop=True)
        yield from self._unresolved(template["dag"].get("target") or "", here, f"{what}.targets", (*at, "dag", "target"))
        known = {str(task.get("name")): task for _, task, _, _ in tasks}
        for _, task, where, place in tasks:
            here |= resolvable.Names({f"tasks.{task.get('name')}.status"} if task.get("hooks") else set())
            before = calls.ancestors(task, known)
            own = here | resolvable.of_inline(task) | resolvable.of_items(task)
            own |= resolvable.Names({f"tasks.{name}.status" for name in before})
            yield from self._unresolved(task, own, where, place)
            for problem in resolvable.missing_dependency(task, before):
                yield Fault("unresolved-tag", (*place, "arguments"), f"{where} {problem}")
            yield from self._supplied(task, where, place)

    def _call(self, call: dict[str, Any], what: str, at: Path) -> Iterator[Fault]:
        yield from calls.loop(call, what, at)
        yield from calls.arguments(call.get("arguments") or {}, f"{what}.arguments.", (*at, "arguments"))
        for fault in self.run(call, at):
            yield fault.through(what)
        yield from calls.hooks(call, what, at)

    def _supplied(self, call: dict[str, Any], what: str, at: Path) -> Iterator[Fault]:
        for fault in calls.supplied(call.get("arguments") or {}, self.called(call), at):
            yield fault.through(what)


def _has_exit(call: dict[str, Any]) -> bool:
    return bool(call.get("onExit")) or "exit" in (call.get("hooks") or {})
