"""What Argo refuses when a workflow is submitted, in its words: names that do not exist, arguments that are missing, cycles."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.local import depends, graph
from pipelines.local.faults import Refused
from pipelines.local.fields import Path, Place
from pipelines.local.resources import FLAGS

Template = dict[str, Any]

TYPES = ("container", "script", "dag", "steps", "suspend", "resource")
ACTIONS = ("get", "create", "apply", "delete", "replace", "patch")
_INPUT_NAME = re.compile(r"[-a-zA-Z0-9_]+")
_GIVEN = ("value", "default", "valueFrom", "raw", "s3", "gcs")


def close_to(name: str, known: Iterable[object]) -> str:
    """`; did you mean 'train'?`, when something is near."""
    close = difflib.get_close_matches(name, [str(k) for k in known], 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check(spec: dict[str, Any], place: Place, at: Path) -> None:
    """Refused for the first thing that is wrong."""
    templates = spec.get("templates") or []
    this = _Submission(place, {t.get("name"): t for t in templates})
    this.unique([t.get("name") for t in templates], "spec.templates", (*at, "templates"))
    this.known(spec.get("entrypoint"), (*at, "entrypoint"))
    for name in filter(None, (spec.get("onExit"), _exit_hook(spec))):
        this.known(name, (*at, "onExit"))
    for index, template in enumerate(templates):
        this.template(template, (*at, "templates", index))
    given = spec.get("arguments") or {}
    for kind in ("parameters", "artifacts"):
        this.unique([g.get("name") for g in given.get(kind) or []], f"spec.arguments.{kind}", (*at, "arguments"))
    this.supplied(given, this.templates[spec["entrypoint"]], f"templates.{spec['entrypoint']}", at)


def _exit_hook(call: dict[str, Any]) -> Any:
    return ((call.get("hooks") or {}).get("exit") or {}).get("template")


@dataclass
class _Submission:
    place: Place
    templates: dict[Any, Template]

    def refuse(self, at: Path, message: str) -> Refused:
        return self.place.refuse(at, message)

    def unique(self, names: list[Any], what: str, at: Path) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                raise self.refuse((*at, index), f"{what}[{index}].name '{name}' is not unique")

    def known(self, name: Any, at: Path) -> None:
        if not name:
            raise self.refuse(at, "spec.entrypoint is required")
        if name not in self.templates:
            raise self.refuse(at, f"template name '{name}' undefined{close_to(str(name), self.templates)}")

    # --- templates ---------------------------------------------------------------------------------------------------------

    def template(self, template: Template, at: Path) -> None:
        name = template.get("name")
        kinds = [k for k in TYPES if k in template and (template[k] not in (None, []) or k == "suspend")]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none"
            raise self.refuse(at, f"template '{name}' type is unknown: expected one of {', '.join(TYPES)}, found {found}")
        if kinds[0] in ("dag", "steps"):
            for field, words in (("activeDeadlineSeconds", "is only valid for leaf templates"), ("timeout", "is not supported")):
                if template.get(field):
                    raise self.refuse((*at, field), f"templates.{name}.{field} {words} for {kinds[0]} templates")
        self.input_names(template, at)
        by_kind: dict[str, Callable[[Template, Path], None]] = {"dag": self.dag, "steps": self.steps, "suspend": self.suspend}
        by_kind |= {"resource": self.resource, "container": self.container, "script": self.container}
        by_kind[kinds[0]](template, at)

    def input_names(self, template: Template, at: Path) -> None:
        for kind, what in ((k, w) for k in ("inputs", "outputs") for w in ("parameters", "artifacts")):
            for index, one in enumerate((template.get(kind) or {}).get(what) or []):
                if not _INPUT_NAME.fullmatch(str(one.get("name", ""))):
                    rule = "Parameter/Artifact name must consist of alpha-numeric characters, '_' or '-' e.g. my_param_1, MY-PARAM-1"
                    where = f"templates.{template.get('name')}.{kind}.{what}[{index}].name"
                    raise self.refuse((*at, kind, what, index), f"{where}: '{one.get('name')}' is invalid: {rule}")

    def container(self, template: Template, at: Path) -> None:
        kind, name = "script" if "script" in template else "container", template.get("name")
        body = template[kind]
        if kind == "script" and "source" not in body:
            raise self.refuse((*at, kind), f"templates.{name}.script.source is required")
        for index, variable in enumerate(body.get("env") or []):
            if not isinstance(variable.get("value", ""), str):
                message = f"templates.{name}: the value of {variable.get('name')} is no text; quote it"
                raise self.refuse((*at, kind, "env", index), message)
        for index, word in enumerate([*(body.get("command") or []), *(body.get("args") or [])]):
            if not isinstance(word, str):
                raise self.refuse((*at, kind), f"templates.{name}: argument {index} ({word!r}) is no text; quote it")
        for index, output in enumerate((template.get("outputs") or {}).get("parameters") or []):
            if "value" not in output and "path" not in (output.get("valueFrom") or {}):
                message = f"templates.{name}.outputs.{output['name']}.path must be specified for Container templates"
                raise self.refuse((*at, "outputs", "parameters", index), message)

    def suspend(self, template: Template, at: Path) -> None:
        name = template.get("name")
        if "duration" not in (template["suspend"] or {}):
            raise self.refuse((*at, "suspend"), f"suspend without a duration is not supported locally: template `{name}`")
        for index, output in enumerate((template.get("outputs") or {}).get("parameters") or []):
            if "valueFrom" not in output:  # crashes the controller: argo-control-flow 224
                where = (*at, "outputs", "parameters", index)
                raise self.refuse(where, f"templates.{name}.outputs.{output['name']}.valueFrom is required")

    def resource(self, template: Template, at: Path) -> None:
        body, name, where = template["resource"], template.get("name"), (*at, "resource")
        if body.get("action") not in ACTIONS:
            raise self.refuse(where, f"templates.{name}.resource.action must be one of: {', '.join(ACTIONS)}")
        if body["action"] in ("create", "apply", "replace") and not (body.get("manifest") or body.get("manifestFrom")):
            fields = f"templates.{name}.resource.manifest or templates.{name}.resource.manifestFrom"
            raise self.refuse(where, f"either {fields} must be specified")
        if body.get("mergeStrategy") == "json":
            raise self.refuse((*where, "mergeStrategy"), f"mergeStrategy json is not supported locally: template `{name}`")
        for flag in body.get("flags") or []:
            if flag.startswith("-") and flag not in FLAGS and "{{" not in flag:
                raise self.refuse((*where, "flags"), f"kubectl's flag {flag} is not supported locally: template `{name}`")

    # --- dags and steps ----------------------------------------------------------------------------------------------------

    def dag(self, template: Template, at: Path) -> None:
        name, tasks, where = template.get("name"), template["dag"].get("tasks") or [], (*at, "dag", "tasks")
        if not tasks:
            raise self.refuse(where, f"templates.{name} must have at least one task")
        self.unique([t.get("name") for t in tasks], f"templates.{name}.tasks", where)
        self.one_style(f"templates.{name}", tasks, where)
        known = {t["name"]: t for t in tasks}
        for index, task in enumerate(tasks):
            self.dependencies(f"templates.{name}.tasks", task, known, (*where, index))
            self.call(f"templates.{name}.tasks.{task['name']}", task, (*where, index))
        for task in known:
            if task in graph.ancestors(task, known):
                raise self.refuse(where, f"templates.{name} sorting failed: graph with cycle at {task}")
        for target in (template["dag"].get("target") or "").split():
            if target not in known and "{{" not in target:
                raise self.refuse((*at, "dag", "target"), f"templates.{name}.targets: target '{target}' is not defined")

    def one_style(self, what: str, tasks: list[dict[str, Any]], at: Path) -> None:
        used = {key for task in tasks for key in ("depends", "dependencies", "continueOn") if task.get(key)}
        if {"depends", "dependencies"} <= used:
            raise self.refuse(at, f"{what} cannot use both 'depends' and 'dependencies' in the same DAG template")
        if {"depends", "continueOn"} <= used:
            hint = "Instead use 'dep-task.Failed'/'dep-task.Errored'"
            raise self.refuse(at, f"{what} cannot use 'continueOn' when using 'depends'. {hint}")

    def dependencies(self, what: str, task: dict[str, Any], known: dict[str, Any], at: Path) -> None:
        try:
            needed = graph.dependencies(task)
        except depends.DependsError as error:
            raise self.refuse(at, f"{what}.{task['name']} {error}") from None
        for other in needed:
            if other not in known:
                raise self.refuse(at, f"{what}.{task['name']} dependency '{other}' not defined{close_to(other, known)}")
            for digit in [name for name in (task["name"], other) if re.match(r"\d", name)]:
                rule = "name cannot begin with a digit when using either 'depends' or 'dependencies'"
                raise self.refuse(at, f"{what}.{digit} {rule}")

    def steps(self, template: Template, at: Path) -> None:
        what, seen = f"templates.{template.get('name')}", set[str]()
        for i, group in enumerate(template["steps"]):
            for j, step in enumerate(group):
                where = (*at, "steps", i, j)
                if not step.get("name"):
                    raise self.refuse(where, f"{what}.steps[{i}].name is required")
                if step["name"] in seen:
                    raise self.refuse(where, f"{what}.steps[{i}].name '{step['name']}' is not unique")
                seen.add(step["name"])
                self.call(f"{what}.steps[{i}].{step['name']}", step, where)

    # --- calls -------------------------------------------------------------------------------------------------------------

    def call(self, what: str, call: dict[str, Any], at: Path) -> None:
        if sum(k in call for k in ("withItems", "withParam", "withSequence")) > 1:
            raise self.refuse(at, f"{what} only one of withItems, withParam, withSequence can be specified")
        if {"count", "end"} <= set(call.get("withSequence") or {}):
            raise self.refuse(at, f"{what} only one of count or end can be defined in withSequence")
        for hook in filter(None, (call.get("onExit"), _exit_hook(call))):
            self.known(hook, at)
        called = self.called(what, call, at)
        if called is None:
            return
        if "timeout" in called and ("dag" in called or "steps" in called):
            raise self.refuse(at, f"{what} Steps template doesn't support timeout field")
        given = call.get("arguments") or {}
        for kind in ("parameters", "artifacts"):
            self.unique([g.get("name") for g in given.get(kind) or []], f"{what}.arguments.{kind}", at)
        for parameter in given.get("parameters") or []:
            self.argument(f"{what}.arguments.{parameter.get('name')}", parameter, at)
        self.supplied(given, called, f"{what} templates.{called.get('name')}", at)

    def called(self, what: str, call: dict[str, Any], at: Path) -> Template | None:
        """The template of a call; None when a tag names it."""
        name: str = call.get("template", "")
        if "inline" in call:
            inline: Template = {"name": "", **call["inline"]}
            self.template(inline, (*at, "inline"))
            return inline
        if "{{" in name:
            return None
        if name not in self.templates:
            raise self.refuse(at, f"{what} template name '{name}' undefined{close_to(name, self.templates)}")
        return self.templates[name]

    def argument(self, what: str, given: dict[str, Any], at: Path) -> None:
        source = given.get("valueFrom") or {}
        if given.get("value") is None and not source:
            raise self.refuse(at, f"{what}.value or {what}.valueFrom is required")
        if set(source) - {"default", "configMapKeyRef", "supplied"}:
            raise self.refuse(at, f"{what}.valueFrom only allows: default, configMapKeyRef and supplied")

    def supplied(self, given: dict[str, Any], called: Template, what: str, at: Path) -> None:
        for kind in ("parameters", "artifacts"):
            names = {g.get("name") for g in given.get(kind) or []}
            for wanted in (called.get("inputs") or {}).get(kind) or []:
                has = any(key in wanted for key in _GIVEN) or wanted.get("optional")
                if wanted["name"] not in names and not has:
                    raise self.refuse(at, f"{what} inputs.{kind}.{wanted['name']} was not supplied")
