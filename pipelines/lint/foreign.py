"""Templates of other documents: the tags in them see the workflow that calls, not their own document."""

import re
from collections.abc import Iterator

from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.global_names import of_workflow, reachable
from pipelines.lint.subject import Subject, Template
from pipelines.lint.texts import shown, tags, texts

REFERENCE = Rule(
    "foreign-template-tag",
    Severity.ERROR,
    "A template of another document sees this workflow's parameters and labels, not its own; Argo refuses the workflow.",
    "Declare it here, or make it an input of the template.",
)


def check_references(subject: Subject) -> Iterator[Finding]:
    """What templates of other documents ask of this workflow."""
    if subject.kind not in ("Workflow", "CronWorkflow"):
        return
    known = of_workflow(subject)
    for path, home, templates in _foreign(subject):
        asked = {name for template in reachable(home, templates) for name in _read(template)}
        for name in sorted(name for name in asked if not known.has(name)):
            yield Finding(REFERENCE, path, f"a template that is called from here reads {shown(name)}")


def _foreign(subject: Subject) -> Iterator[tuple[Path, Subject, list[Template]]]:
    """Where other documents are referred to, which, and the templates that are called."""
    if subject.referred is not None:
        yield (*subject.at, "workflowTemplateRef"), subject.referred, list(subject.referred.by_name.values())
    for call in subject.calls:
        reference = call.call.get("templateRef")
        home, template = (subject.find(reference), subject.called(call.call)) if reference else (None, None)
        if home is not None and template is not None:
            yield call.path, home, [template]


def _read(template: Template) -> set[str]:
    """The parameters, labels and annotations of the workflow that simple tags of a template read."""
    every = (tag for _, text in texts(template) for tag in tags(text).found)
    pattern = r"workflow\.(parameters|labels|annotations)\.(?!json$)[^{}]+"
    return {tag.name for tag in every if tag.expression is None and re.fullmatch(pattern, tag.name)}


CHECKS = (check_references,)
