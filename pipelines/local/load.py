"""From a file or a name to a Workflow, WorkflowTemplate or CronWorkflow that can run here, or a refusal in one line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import fields, library, naming, submission, supported, unsupported, workflow
from pipelines.local import images as images_
from pipelines.local.faults import Refused
from pipelines.local.fields import Place
from pipelines.local.images import Images
from pipelines.local.library import Found, Library, Reached

KINDS = ("Workflow", "WorkflowTemplate", "CronWorkflow", "ClusterWorkflowTemplate")
LONGEST_VALUE = 65536  # bytes
NO_IMAGES = Images({})
_FORBIDDEN = re.compile(r"\{\{|\}\}|\$\(|[\x00-\x1f\x7f]")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def source(what: str, templates: Path, now: float, images: Images = NO_IMAGES) -> dict[str, Any]:
    """The checked object to run: what `argo submit FILE`, `--from workflowtemplate/NAME` or `--from cronwf/NAME` would take.

    What it refers to is looked for in its file, among the `templates`, and beside it. now: the scheduled time of a CronWorkflow.
    """
    found = find(what, templates)
    file = Path(found.place.file)
    return _checked(found, _Known(Library(library.read(file), [templates, file.parent]), images), now)


def document(found: dict[str, Any], places: Sequence[Path], images: Images = NO_IMAGES) -> dict[str, Any]:
    """The checked object of a Workflow that a step applied; `places` hold what it may refer to."""
    return _resolved(Found(found, Place("the applied Workflow", "", 0)), _Known(Library((), places), images))


def find(what: str, templates: Path, kinds: Sequence[str] = KINDS) -> Found:
    """The document to run: the last Workflow of a file, or else the last of what it holds; or by name, among the templates."""
    path = Path(what)
    if path.is_file():
        runnable = [f for f in library.read(path) if f.document["kind"] in kinds]
        if not runnable:
            raise Refused(f"{path}: holds no {', '.join(kinds[:3])}")
        workflows = [f for f in runnable if f.document["kind"] == "Workflow"]
        return (workflows or runnable)[-1]
    if "/" in what or what.endswith((".yaml", ".yml")):
        raise Refused(f"{what}: no such file")
    known = [f for f in library.read(templates) if f.document["kind"] in kinds]
    for found in known:
        if found.name == what:
            return found
    names = [f.name for f in known]
    hint = naming.close_to(what, names) or f"; there are: {', '.join(sorted(names)) or 'none'}"
    raise Refused(f"no {'workflow template' if kinds is KINDS else kinds[0]} {what!r} in {templates}{hint}")


def cron(found: Found) -> dict[str, Any]:
    """A CronWorkflow, its fields checked, those of the workflow in it aside."""
    from pipelines.local import cronworkflow  # it brings the time zones

    spec = _spec(found)
    fields.check({k: v for k, v in spec.items() if k != "workflowSpec"}, found.place, ("spec",), supported.CRON)
    wrong = cronworkflow.problem(found.document)
    if wrong:
        raise found.place.refuse(("spec",), wrong)
    return found.document


def _checked(found: Found, known: "_Known", now: float) -> dict[str, Any]:
    meta = found.document.get("metadata") or {}
    if not isinstance(meta, dict) or not isinstance(meta.get("name", meta.get("generateName")), str):
        raise found.place.refuse(("metadata",), f"{found.document['kind']} has no name")
    for part in ("labels", "annotations"):
        texts_ = meta.get(part) or {}
        if not isinstance(texts_, dict) or not all(isinstance(text, str | None) for text in texts_.values()):
            raise found.place.refuse(("metadata", part), f"metadata.{part} is no map of text; quote numbers and words such as yes")
    match found.document["kind"]:
        case "Workflow":
            return _resolved(found, known)
        case "CronWorkflow":
            from pipelines.local import cronworkflow

            return _resolved(Found(cronworkflow.made(cron(found), now), found.place), known, ("spec", "workflowSpec"))
    return _resolved(Found(_from_template(found.document), found.place), known)


def _from_template(document: dict[str, Any]) -> dict[str, Any]:
    """The Workflow that `argo submit --from` makes of a template: nothing but a reference to it."""
    name, cluster = document["metadata"]["name"], document["kind"] == library.kind(True)
    reference = {"name": name} | ({"clusterScope": True} if cluster else {})
    return {"kind": "Workflow", "metadata": {"generateName": f"{name}-"}, "spec": {"workflowTemplateRef": reference}}


def _spec(found: Found) -> dict[str, Any]:
    spec = found.document.get("spec")
    if not isinstance(spec, dict):
        raise found.place.refuse((), f"{found.document['kind']} has no spec")
    return spec


@dataclass(frozen=True)
class _Known:
    """What a document may refer to."""

    library: Library
    images: Images

    def texts(self, spec: dict[str, Any]) -> dict[str, Any]:
        """A spec whose values are texts, and whose templates have the commands of their images."""
        made: dict[str, Any] = texts(spec)
        if made.get("templates"):
            made["templates"] = [images_.completed(template, self.images) for template in made["templates"]]
        return made


def _resolved(found: Found, known: _Known, at: fields.Path = ("spec",)) -> dict[str, Any]:
    """The object; the spec of the template that it refers to; what both refer to: every value a text, everything checked."""
    spec, place = _spec(found), found.place
    fields.check(spec, place, at)
    result = {"kind": "Workflow", "metadata": found.document["metadata"], "spec": known.texts(spec)}
    reference = spec.get("workflowTemplateRef")
    if reference:
        if "templates" in spec:
            raise place.refuse(at, "Templates is invalid field in spec if workflow referred WorkflowTemplate reference")
        referred = known.library.find(reference.get("name") or "", bool(reference.get("clusterScope")))
        place, at = referred.place, ("spec",)
        fields.check(_spec(referred), place, at)
        result["template"] = known.texts(_spec(referred))
    spec = workflow.merged(result)
    submission.check(spec, place, at, known.library.spec, found.document["metadata"])
    return result | {"stored": {one.key: _runnable(one, spec, known) for one in library.reached(spec, known.library)}}


def _runnable(one: Reached, spec: dict[str, Any], known: _Known) -> dict[str, Any]:
    """A template of another document, for the run of this spec; Refused for what cannot run here."""
    at: fields.Path = ("spec", "templates", one.index)
    fields.check(one.template, one.found.place, at, supported.TEMPLATE)
    template: dict[str, Any] = images_.completed(texts(one.template), known.images)
    for fault in unsupported.faults(template, at, spec):
        raise one.found.place.refuse(fault.path, str(fault))
    return template


def texts(value: Any, key: str = "") -> Any:
    """Values and defaults of parameters as the texts that Argo makes of them."""
    if isinstance(value, dict):
        own = key in ("parameters", "valueFrom")
        return {k: workflow.text(v) if own and k in ("value", "default") else texts(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [texts(v, key) for v in value]
    return value


def given(source: dict[str, Any], parameters: dict[str, str]) -> None:
    """Refused for a parameter that does not exist, is missing, lies outside its enum or holds what would be acted upon."""
    declared = {p["name"]: p for p in (workflow.merged(source).get("arguments") or {}).get("parameters") or []}
    for name, value in parameters.items():
        if name not in declared:
            hint = naming.close_to(name, declared) or f"; there are: {', '.join(declared) or 'none'}"
            raise Refused(f"parameter {name!r} is unknown{hint}")
        inert(name, value)
    for name, parameter in declared.items():
        value = parameters.get(name, parameter.get("value"))
        if value is None and "valueFrom" not in parameter:
            raise Refused(f"spec.arguments.{name}.value or spec.arguments.{name}.valueFrom is required; give it with -p {name}=…")
        if parameter.get("enum") and value is not None and value not in [str(e) for e in parameter["enum"]]:
            allowed = ", ".join(str(e) for e in parameter["enum"])
            rule = f"spec.arguments.{name}.value should be present in spec.arguments.{name}.enum list"
            raise Refused(f"{rule}: {value!r} is none of {allowed}")


def inert(name: str, value: str) -> None:
    """Refused for a value that Argo (tags, inside values too) or Kubernetes (`$(VAR)`) would act upon."""
    found = _FORBIDDEN.search(value)
    if found:
        raise Refused(f"parameter {name!r} contains {found.group()!r}, which Argo or Kubernetes would act upon; take it out")
    if len(value.encode()) > LONGEST_VALUE:
        raise Refused(f"parameter {name!r} is {len(value.encode())} bytes long; a value has at most {LONGEST_VALUE}. Put it in a file")


def name(text: str | None) -> None:
    """Refused for a run name that is no Kubernetes name."""
    if text is not None and (not _NAME.fullmatch(text) or len(text) > 63):
        raise Refused(f"{text!r} is no name for a run: at most 63 of a-z, 0-9, '-', '.', beginning and ending with a letter or digit")
