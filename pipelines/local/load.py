"""From a file or a name to a Workflow, WorkflowTemplate or CronWorkflow that can run here, or a refusal in one line."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import documents, fields, submission, supported, workflow
from pipelines.local.faults import Refused
from pipelines.local.fields import Place

KINDS = ("Workflow", "WorkflowTemplate", "CronWorkflow", "ClusterWorkflowTemplate")
LONGEST_VALUE = 65536  # bytes
_FORBIDDEN = re.compile(r"\{\{|\}\}|\$\(|[\x00-\x1f\x7f]")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass
class Found:
    """A document and where it stands."""

    document: dict[str, Any]
    place: Place


def source(what: str, templates: Path) -> dict[str, Any]:
    """The checked object to run: what `argo submit FILE`, `--from workflowtemplate/NAME` or `--from cronwf/NAME` would take."""
    found = _find(what, templates)
    checked = _checked(found, templates, Path(found.place.file).parent)
    return checked


def document(found: dict[str, Any], templates: Path) -> dict[str, Any]:
    """The checked object of a Workflow that a step applied."""
    return _resolved(found, Place("the applied Workflow", "", 0), templates, templates)


def _find(what: str, templates: Path) -> Found:
    path = Path(what)
    if path.is_file():
        runnable = [f for f in _in_file(path) if f.document["kind"] in KINDS]
        if not runnable:
            raise Refused(f"{path}: holds no {', '.join(KINDS[:3])}")
        workflows = [f for f in runnable if f.document["kind"] == "Workflow"]
        return (workflows or runnable)[-1]
    if "/" in what or what.endswith((".yaml", ".yml")):
        raise Refused(f"{what}: no such file")
    return template(what, templates)


def template(name: str, templates: Path) -> Found:
    """A document by its name, in a folder of templates."""
    known = [f for f in _in_folder(templates) if f.document["kind"] in KINDS]
    for found in known:
        if (found.document.get("metadata") or {}).get("name") == name:
            return found
    names = [str((f.document.get("metadata") or {}).get("name")) for f in known]
    hint = submission.close_to(name, names) or f"; there are: {', '.join(sorted(names)) or 'none'}"
    raise Refused(f"no workflow template {name!r} in {templates}{hint}")


def _in_folder(folder: Path) -> list[Found]:
    return [found for path in sorted(folder.glob("*.y*ml")) for found in _in_file(path)]


def _in_file(path: Path) -> list[Found]:
    text = path.read_text() if path.is_file() else ""
    return [Found(d, Place(str(path), text, i)) for i, d in enumerate(documents.read(path))]


def _checked(found: Found, templates: Path, beside: Path) -> dict[str, Any]:
    document, place = found.document, found.place
    meta = document.get("metadata") or {}
    if not isinstance(meta.get("name", meta.get("generateName")), str):
        raise place.refuse(("metadata",), f"{document['kind']} has no name")
    if document["kind"] == "CronWorkflow":
        fields.check(document.get("spec") or {}, place, ("spec",), supported.CRON)
        spec = (document.get("spec") or {}).get("workflowSpec") or {}
        labels = {"workflows.argoproj.io/cron-workflow": meta["name"]}
        document = {"kind": "Workflow", "metadata": {"generateName": f"{meta['name']}-", "labels": labels}, "spec": spec}
    return _resolved(document, place, templates, beside)


def _resolved(document: dict[str, Any], place: Place, templates: Path, beside: Path) -> dict[str, Any]:
    """The object with the WorkflowTemplate that it refers to merged in, every value a text, everything checked."""
    at: fields.Path = ("spec",)
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise place.refuse((), f"{document['kind']} has no spec")
    fields.check(spec, place, at)
    result = {"kind": "Workflow" if document["kind"] == "Workflow" else "WorkflowTemplate", "metadata": document["metadata"], "spec": spec}
    reference = spec.get("workflowTemplateRef")
    if reference:
        if "templates" in spec:
            raise place.refuse(at, "Templates is invalid field in spec if workflow referred WorkflowTemplate reference")
        referred = _referred(reference["name"], place, templates, beside)
        fields.check(referred.document["spec"], referred.place, at)
        result |= {"reference": texts(spec), "template": texts(referred.document["spec"])}
        spec, place = workflow.refer(spec, referred.document["spec"]), referred.place
    spec = texts(spec)
    submission.check(spec, place, at)
    return result | {"spec": spec}


def _referred(name: str, place: Place, templates: Path, beside: Path) -> Found:
    """The WorkflowTemplate of a reference: in the same file, or in the folder of templates."""
    same = [f for f in _in_file(Path(place.file)) if f.document["kind"].endswith("WorkflowTemplate")] if place.text else []
    for found in same:
        if found.document["metadata"]["name"] == name:
            return found
    return template(name, templates if templates.is_dir() else beside)


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
    declared = {p["name"]: p for p in (source["spec"].get("arguments") or {}).get("parameters") or []}
    for name, value in parameters.items():
        if name not in declared:
            hint = submission.close_to(name, declared) or f"; there are: {', '.join(declared) or 'none'}"
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
