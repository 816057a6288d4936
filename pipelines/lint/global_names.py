"""`workflow.*`: what a document offers to all its tags, and the templates that run in it."""

from typing import Any

from pipelines.lint.names import Names
from pipelines.lint.subject import Subject, Template, calls_of

_FIXED = ("name", "namespace", "mainEntrypoint", "serviceAccountName", "uid", "status", "creationTimestamp", "duration")


def of_workflow(subject: Subject) -> Names:
    """`workflow.*` of a document."""
    spec = subject.effective
    flat: dict[str, object] = {f"workflow.{name}": "1" for name in _FIXED}
    flat |= {f"workflow.creationTimestamp.{letter}": "1" for letter in ("RFC3339", "s", *"aAbBcdHIjmMpSUwWxXyYZ")}
    if "priority" in spec:
        flat["workflow.priority"] = "1"
    if subject.kind != "Workflow":
        flat |= {"workflow.scheduledTime": "1"}
    for part in ("labels", "annotations"):
        flat |= {f"workflow.{part}": "1", f"workflow.{part}.json": "1"}
        flat |= {f"workflow.{part}.{key}": "1" for key in _metadata(subject, part)}
    parameters = (spec.get("arguments") or {}).get("parameters") or []
    open_ = _open(subject)
    if parameters or open_:
        flat |= {"workflow.parameters": "1", "workflow.parameters.json": "1"}
    flat |= {f"workflow.parameters.{p.get('name')}": "1" for p in parameters}
    values, artifacts, any_ = _global_outputs(subject)
    return Names(flat | values, artifacts, open_ + any_)


def _open(subject: Subject) -> tuple[str, ...]:
    unknown = subject.spec.get("workflowTemplateRef") is not None and subject.referred is None
    return ("workflow.parameters.",) if unknown or subject.kind.endswith("WorkflowTemplate") else ()


def _metadata(subject: Subject, part: str) -> set[str]:
    """Keys of labels or annotations that the running workflow has.

    A WorkflowTemplate that is run does not pass on its own (argo-data-flow 285).
    """
    run = subject.kind.endswith("WorkflowTemplate") and subject.spec.get("entrypoint")
    given = [{} if run else subject.metadata.get(part) or {}]
    if subject.kind == "CronWorkflow":  # common.ConvertCronWorkflowToWorkflow
        cron = (subject.document.get("spec") or {}).get("workflowMetadata") or {}
        given = [cron.get(part) or {}, {"workflows.argoproj.io/cron-workflow": "", "workflows.argoproj.io/scheduled-time": ""}]
    for spec in (subject.spec, subject.referred.spec if subject.referred else {}):
        meta = spec.get("workflowMetadata") or {}
        given += [meta.get(part) or {}, meta.get("labelsFrom") or {} if part == "labels" else {}]
    return {key for one in given for key in one}


def _global_outputs(subject: Subject) -> tuple[dict[str, object], frozenset[str], tuple[str, ...]]:
    """`workflow.outputs.*`: every globalName of a template that something calls; the entrypoint's own is unknown (argo-data-flow 261)."""
    values: dict[str, object] = {}
    artifacts: set[str] = set()
    unknown: set[str] = set()
    for template in _called(subject):
        for kind in ("parameters", "artifacts"):
            for output in (template.get("outputs") or {}).get(kind) or []:
                name = f"workflow.outputs.{kind}.{output.get('globalName')}"
                if not output.get("globalName"):
                    continue
                if "{{" in output["globalName"]:
                    unknown.add(f"workflow.outputs.{kind}.")
                elif kind == "parameters":
                    values[name] = "1"
                else:
                    artifacts.add(name)
    if any(c.call.get("templateRef") and subject.called(c.call) is None for c in subject.calls):
        unknown |= {"workflow.outputs.parameters.", "workflow.outputs.artifacts."}
    if subject.kind.endswith("WorkflowTemplate") and not subject.spec.get("entrypoint"):
        unknown |= {"workflow.outputs.parameters.", "workflow.outputs.artifacts."}
    return values, frozenset(artifacts), tuple(sorted(unknown))


def _called(subject: Subject) -> list[Template]:
    """Every template that a step, task or hook runs, those in other documents too."""
    homes = [home for home in (subject, subject.referred) if home is not None]
    return [
        t
        for home in homes
        for call in home.calls
        if (called := home.called(call.call))
        for t in reachable(_home(home, call.call), [called])
    ]


def reachable(subject: Subject, templates: list[Template]) -> list[Template]:
    """Templates of a document and all that they call, at any depth."""
    found: dict[int, Template] = {}
    queue = [(subject, template) for template in templates]
    while queue:
        where, template = queue.pop()
        if id(template) in found:
            continue
        found[id(template)] = template
        for call in calls_of((), template):
            called = where.called(call.call)
            if called is not None:
                queue.append((_home(where, call.call), called))
    return list(found.values())


def _home(where: Subject, call: dict[str, Any]) -> Subject:
    """The document in which a called template stands."""
    return (where.find(call["templateRef"]) or where) if call.get("templateRef") else where
