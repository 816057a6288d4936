"""The document under a rule's eyes: its templates, who calls them, and what they refer to in the other documents of the same call."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pipelines.lint.findings import Path
from pipelines.lint.sources import Source
from pipelines.local import workflow

Template = dict[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace and name of a WorkflowTemplate or ClusterWorkflowTemplate (whose namespace is empty)."""

TYPES = ("container", "containerSet", "script", "resource", "dag", "steps", "suspend", "data", "http", "plugin")


@dataclass(frozen=True)
class Call:
    """A step, a task, or a hook (`onExit` is one, with only a `template`) of a workflow, step or task."""

    path: Path
    call: dict[str, Any]
    kind: Literal["step", "task", "hook"]
    template: Template
    """The template in which it stands; empty for a hook of the workflow."""
    at: Path
    """That template's path; the spec's for a hook of the workflow."""
    hook: str = ""
    """The hook's name; `exit` also for onExit."""
    of: "Call | None" = None
    """The step or task that has the hook."""

    @property
    def name(self) -> str:
        return str(self.call.get("name", ""))


@dataclass(frozen=True)
class Subject:
    """A Workflow, WorkflowTemplate, ClusterWorkflowTemplate or CronWorkflow.

    The document is as Argo's decoder would leave it: fields of a wrong type are gone (the schema rules have reported them), and so are
    nulls; values and defaults of parameters are text. So a rule may trust the types of what is there.
    """

    document: dict[str, Any]
    at: Path
    """The path of the workflow's spec."""
    library: Mapping[Key, "Subject"] = field(default_factory=dict)
    """The WorkflowTemplates and ClusterWorkflowTemplates of all files of the call."""
    source: Source | None = None
    config_maps: Mapping[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """The ConfigMaps of all files of the call, by namespace and name."""
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What rules have worked out of the document and share."""

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.document.get("metadata") or {})

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The workflow's spec."""
        found: Any = self.document
        for key in self.at:
            found = found.get(key) or {}
        return dict(found)

    @cached_property
    def effective(self) -> dict[str, Any]:
        """The spec with that of its workflowTemplateRef merged in; its own when that is not among the files."""
        referred = self.referred
        return self.spec if referred is None else workflow.refer(self.spec, referred.spec)

    @cached_property
    def referred(self) -> "Subject | None":
        """What workflowTemplateRef names."""
        reference = self.spec.get("workflowTemplateRef")
        return self.find(reference) if reference else None

    @cached_property
    def templates(self) -> list[tuple[Path, Template]]:
        """Every template of this document, each followed by the inline ones in it."""
        listed = enumerate(self.spec.get("templates") or [])
        return [found for i, template in listed for found in _with_inline((*self.at, "templates", i), template)]

    @cached_property
    def by_name(self) -> dict[str, Template]:
        """The templates that can be called by name: those of a workflowTemplateRef too."""
        return {str(t.get("name")): t for t in reversed(self.effective.get("templates") or [])}

    @cached_property
    def calls(self) -> list[Call]:
        """Every step, task and hook, in the order of the document."""
        own = [Call(p, c, "hook", {}, self.at, n) for p, c, n in _hooks(self.spec, self.at)]
        return own + [call for path, template in self.templates for call in calls_of(path, template)]

    def written(self, path: Path) -> str | None:
        """A plain scalar as it is written in the file; None for what is quoted or not there."""
        return self.source.written(path) if self.source else None

    def config_map(self, name: str) -> dict[str, Any] | None:
        """A ConfigMap of the same namespace, as it is written."""
        return self.config_maps.get((str(self.metadata.get("namespace", "")), name))

    def find(self, reference: dict[str, Any]) -> "Subject | None":
        """What a templateRef or workflowTemplateRef names, looked up as Argo does: by the namespace as it is written."""
        if reference.get("clusterScope"):
            return self.library.get(("ClusterWorkflowTemplate", "", str(reference.get("name"))))
        return self.library.get(("WorkflowTemplate", str(self.metadata.get("namespace", "")), str(reference.get("name"))))

    def called(self, call: dict[str, Any]) -> Template | None:
        """The template that a step, task or hook runs; None when a tag names it or it is not to be found."""
        if call.get("inline") is not None:
            inline: Template = call["inline"]
            return inline
        reference = call.get("templateRef")
        if reference:
            other = self.find(reference)
            return other.by_name.get(str(reference.get("template"))) if other else None
        return self.by_name.get(str(call.get("template")))

    def whole(self, template: Template) -> Template:
        """A template with templateDefaults and the workflow's retryStrategy merged in."""
        return workflow.with_defaults(template, self.effective)


def kind_of(template: Template) -> str:
    """What a template is: `container`, `dag`, …; empty when it has no type."""
    return next((kind for kind in TYPES if template.get(kind) is not None), "")


def calls_of(path: Path, template: Template) -> Iterator[Call]:
    """The steps, tasks and hooks of one template, each step and task before its hooks."""
    steps = [("step", (*path, "steps", i, j), s) for i, group in enumerate(template.get("steps") or []) for j, s in enumerate(group)]
    tasks = [("task", (*path, "dag", "tasks", i), t) for i, t in enumerate((template.get("dag") or {}).get("tasks") or [])]
    for kind, where, one in [*steps, *tasks]:
        call = Call(where, one, "step" if kind == "step" else "task", template, path)
        yield call
        for at, hook, name in _hooks(one, where):
            yield Call(at, hook, "hook", template, path, name, call)


def _hooks(owner: dict[str, Any], at: Path) -> Iterator[tuple[Path, dict[str, Any], str]]:
    if owner.get("onExit"):
        yield (*at, "onExit"), {"template": owner["onExit"]}, "exit"
    for name, hook in (owner.get("hooks") or {}).items():
        yield (*at, "hooks", name), hook, name


def _with_inline(path: Path, template: Template) -> Iterator[tuple[Path, Template]]:
    yield path, template
    for call in calls_of(path, template):
        if call.kind != "hook" and call.call.get("inline") is not None:
            yield from _with_inline((*call.path, "inline"), call.call["inline"])
