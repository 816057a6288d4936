"""The faults that Argo's validator finds, as rules: the same walk as when a workflow is submitted to the local runner."""

import re
from collections.abc import Iterator

from pipelines.lint import global_names, tags
from pipelines.lint.findings import Finding, Rule, Severity
from pipelines.lint.subject import Subject
from pipelines.lint.vocabulary import UNKNOWN_WORD
from pipelines.local import submission
from pipelines.local.faults import Fault

_REFUSED = "Argo refuses the workflow when it is linted or submitted; made past both, it ends at once as `invalid spec`."


def _rule(name: str, fix: str, why: str = _REFUSED) -> Rule:
    return Rule(name, Severity.ERROR, why, fix)


RULES = (
    _rule("entrypoint", "Name the template to begin with in spec.entrypoint."),
    _rule("undefined-template", "Correct the name, or add the template."),
    _rule("undefined-reference", "Correct the name, or give the file that holds it in the same call, with the namespace written alike."),
    _rule("no-template", "Say what to run by exactly one of template, templateRef (with name and template) and inline."),
    _rule("name-missing", "Give it a name."),
    _rule("name-invalid", "Use letters, digits and dashes (for parameters and artifacts underscores too), a letter or digit first."),
    _rule("name-twice", "Rename one of the two."),
    _rule("reserved-name", "Choose another name: wait, supervisor and artifact-plugin-… are Argo's own containers."),
    _rule("argument-source", "Give a value, valueFrom with configMapKeyRef or supplied, or for an artifact from or a location."),
    _rule("enum", "Use one of the listed values, or add the value to the list."),
    _rule("missing-argument", "Pass the argument, or give the input a default (an artifact: optional: true)."),
    _rule("template-type", "Give it exactly one of container, script, dag, steps, suspend, resource, containerSet, data, http, plugin."),
    _rule(
        "steps-empty",
        "Add a step, or make it a suspend template with duration: 0.",
        "Argo's lint lets it pass; the API server's schema refuses it, and a controller that gets it says `type is unknown`.",
    ),
    _rule("pod-gc", "Use In, NotIn, Exists or DoesNotExist."),
    _rule("pod-resources", "Use cpu, memory and hugepages-* only, without claims, on a template that makes a pod."),
    _rule("time-limit-place", "Set the limit on the templates that run, or on the workflow."),
    _rule("timeout-without-unit", "Write a unit, as in 60s."),
    _rule("deadline", "Write whole seconds, or a tag."),
    _rule("parallelism-place", "Set it on the steps, dag or workflow that calls the template."),
    _rule("input-from", "Give `from` in the arguments of the caller; an input has a path."),
    _rule("artifact-path", "Give artifacts of templates that run a path without `..`, and those of steps and dags none."),
    _rule("artifact-location", "Add what the location asks for."),
    _rule("output-source", "Give one source that fits the template's type: path in containers, parameter or expression in steps and dags."),
    _rule("image-missing", "Name an image, in the template or in templateDefaults."),
    _rule("mounted-twice", "Mount each thing at a path of its own."),
    _rule("container-set", "Add a container; one that is called main, for inputs or outputs."),
    _rule("resource-action", "Use get, create, apply, delete, replace or patch."),
    _rule("resource-manifest", "Give a manifest that is YAML, or manifestFrom with the name of an input artifact; not both."),
    _rule("metric", "Use letters, digits and underscores in names, and give help and a value."),
    _rule("hook-expression", "Say when the hook fires: expression. Only a hook called exit needs none."),
    _rule("two-loops", "Keep one of withItems, withParam and withSequence, and in withSequence one of count and end."),
    _rule("dag-empty", "Add a task."),
    _rule("undefined-dependency", "Correct the name, or add the task."),
    _rule("cycle", "Break the ring: one of the tasks must wait for none of the others."),
    _rule("depends-style", "Use only `depends` in the whole dag: a && b for dependencies, a.Succeeded || a.Failed for continueOn."),
    _rule("depends-result", "Use Succeeded, Failed, Errored, Skipped, Omitted or Daemoned; AnySucceeded and AllFailed only of a loop."),
    _rule("templates-beside-reference", "Remove spec.templates, or workflowTemplateRef."),
)  # fmt: skip
_BY_ID = {rule.id: rule for rule in (*RULES, UNKNOWN_WORD)}
MOUNTED_TWICE, NAME_TWICE = _BY_ID["mounted-twice"], _BY_ID["name-twice"]
UNDEFINED_TEMPLATE, UNDEFINED_REFERENCE = _BY_ID["undefined-template"], _BY_ID["undefined-reference"]


def check_structure(subject: Subject) -> Iterator[Finding]:
    """Everything that Argo's validator finds without looking at tags."""
    yield from _reference(subject)
    if subject.spec.get("workflowTemplateRef") and subject.referred is None:
        return
    values = {"CronWorkflow": True, "Workflow": False}.get(subject.kind)
    template = subject.kind.endswith("Template")
    for fault in submission.faults(subject.effective, subject.at, _find(subject), template=template, values=values):
        foreign = subject.referred is not None and fault.path[: len(subject.at) + 1] == (*subject.at, "templates")
        if not fault.elsewhere and not foreign and fault.rule in _BY_ID:
            yield Finding(_BY_ID[fault.rule], fault.path, fault.message)
        elif not fault.elsewhere and not foreign and _is_early(subject, fault):
            yield Finding(tags.UNRESOLVED, fault.path, fault.message)


def _is_early(subject: Subject, fault: Fault) -> bool:
    """Whether a tag of a global output stands before the step that makes it; if nothing does, the rules on tags say so."""
    tag = re.search(r"\{\{\s*(workflow\.outputs\.[^}]*?)\s*\}\}$", fault.message)
    known = global_names.of_workflow(subject)
    return fault.rule == tags.UNRESOLVED.id and tag is not None and (known.has(tag[1]) or known.artifact(tag[1]))


def _find(subject: Subject) -> submission.Find:
    def find(reference: submission.Spec) -> submission.Spec | None:
        found = subject.find(reference)
        return None if found is None else found.effective

    return find


def _reference(subject: Subject) -> Iterator[Finding]:
    """workflowTemplateRef."""
    reference = subject.spec.get("workflowTemplateRef")
    if not reference:
        return
    here = (*subject.at, "workflowTemplateRef")
    if subject.spec.get("templates"):
        message = "Templates is invalid field in spec if workflow referred WorkflowTemplate reference"
        yield Finding(_BY_ID["templates-beside-reference"], (*subject.at, "templates"), message)
    if subject.referred is None and "{{" not in str(reference.get("name")):
        kind = "cluster workflow template" if reference.get("clusterScope") else "workflow template"
        namespace = "" if reference.get("clusterScope") else f' in namespace "{subject.metadata.get("namespace", "")}"'
        yield Finding(_BY_ID["undefined-reference"], here, f'couldn\'t find {kind} "{reference.get("name")}"{namespace}')


CHECKS = (check_structure,)
