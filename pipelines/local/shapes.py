"""What Argo refuses in a template itself, whoever calls it: its type, its inputs, its time limits, its outputs.

https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/validate/validate.go
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from pipelines.local import bodies, naming
from pipelines.local.faults import Fault, Path

Template = dict[str, Any]

TYPES = ("container", "containerSet", "steps", "script", "resource", "dag", "suspend", "data", "http", "plugin")
_PODS = ("container", "containerSet", "script", "resource", "data")
_GROUPS = ("steps", "dag", "suspend")
_TITLES = {"containerSet": "ContainerSet", "dag": "DAG", "http": "HTTP"}
_CHOICES = "choose one of: container, containerSet, steps, script, resource, dag, suspend, template, template ref"
_SOURCES = ("path", "jqFilter", "jsonPath", "parameter", "expression")


def kinds(template: Template) -> list[str]:
    """The types that a template has; one, when it is right. An empty `steps` or `plugin` is none, as to Go's decoder (lint 046)."""
    return [kind for kind in TYPES if template.get(kind) is not None and not (kind in ("steps", "plugin") and not template[kind])]


def title(kind: str) -> str:
    return _TITLES.get(kind, kind.capitalize())


def of_type(template: Template, at: Path) -> Iterator[Fault]:
    """No type, or more than one."""
    found, name = kinds(template), template.get("name", "")
    if not found and template.get("steps") == []:
        yield Fault("steps-empty", (*at, "steps"), f"template '{name}' type is unknown: it has no steps")
    elif not found:
        yield Fault("template-type", at, f"template '{name}' type is unknown")
    elif len(found) > 1:
        yield Fault("template-type", (*at, found[1]), f"templates.{name} multiple template types specified. {_CHOICES}")


def before_body(template: Template, at: Path) -> Iterator[Fault]:
    """What is looked at before a template's body: inputs, init containers, time limits."""
    name, kind = template.get("name", ""), kinds(template)[0]
    what = f"templates.{name}"
    if template.get("podResources") and kind in ("http", "plugin"):
        message = f"{what}.podResources is not supported for {title(kind)} templates"
        yield Fault("pod-resources", (*at, "podResources"), message)
    yield from bodies.pod_resources(template.get("podResources") or {}, f"{what}.podResources", (*at, "podResources"))
    yield from _inputs(template, what, kind, at)
    for index, container in enumerate(template.get("initContainers") or []):
        if not container.get("name"):
            yield Fault("name-missing", (*at, "initContainers", index), "initContainers must all have container name")
    if template.get("resourceClaims") and kind not in _PODS:
        message = f"{what}.resourceClaims is not supported for {title(kind)} templates, which do not create a pod"
        yield Fault("pod-resources", (*at, "resourceClaims"), message)
    yield from _timeouts(template, name, kind, at)


def _timeouts(template: Template, name: str, kind: str, at: Path) -> Iterator[Fault]:
    leaf = kind not in _GROUPS
    for field in ("timeout", "pendingTimeout"):
        if template.get(field) and not leaf:
            message = f"{title(kind)} template doesn't support {field} field"
            yield Fault("time-limit-place", (*at, field), message)
    if leaf and re.fullmatch(r"[-+]?\d+", template.get("timeout") or ""):
        yield Fault("timeout-without-unit", (*at, "timeout"), f"{name} has invalid duration format in timeout")


def _inputs(template: Template, what: str, kind: str, at: Path) -> Iterator[Fault]:
    inputs, here = template.get("inputs") or {}, (*at, "inputs")
    for field in ("parameters", "artifacts"):
        yield from naming.fields(inputs.get(field) or [], f"{what}.inputs.{field}", (*here, field), values=True)
    for index, artifact in enumerate(inputs.get("artifacts") or []):
        where, path = f"{what}.inputs.artifacts.{artifact.get('name')}", (*here, "artifacts", index)
        yield from _artifact_path(artifact, where, kind, path)
        if artifact.get("from"):
            yield Fault("input-from", (*path, "from"), f"{where}.from not valid in inputs")
        yield from bodies.location(artifact, where, path)


def _artifact_path(artifact: dict[str, Any], where: str, kind: str, at: Path) -> Iterator[Fault]:
    path = str(artifact.get("path") or "")
    if kind in _GROUPS:
        if path:
            yield Fault("artifact-path", (*at, "path"), f"{where}.path only valid in container/script templates")
    elif not path:
        yield Fault("artifact-path", at, f"error in {where}: Artifact '{artifact.get('name')}' did not specify a path")
    elif climbs_out(path):
        rule = "attempted to use a path containing '..'. Directory traversal is not permitted"
        yield Fault("artifact-path", (*at, "path"), f"error in {where}: Artifact '{artifact.get('name')}' {rule}")


def climbs_out(path: str) -> bool:
    """Whether a path leaves, by `..`, the folder that stands before the first `..` (workflow_types.go, CleanPath)."""
    inside = path.partition("/../")[0] if "/../" in path else path.removesuffix("/..")
    cleaned = posixpath.normpath(path)
    return inside not in ("", path) and not (cleaned.startswith(f"{inside}/") and len(cleaned) > len(inside) + 1)


def outputs(template: Template, at: Path) -> Iterator[Fault]:
    kind, what, found, here = kinds(template)[0], f"templates.{template.get('name', '')}", template.get("outputs") or {}, (*at, "outputs")
    for field in ("parameters", "artifacts"):
        yield from naming.fields(found.get(field) or [], f"{what}.outputs.{field} ", (*here, field), values=True)
    for index, artifact in enumerate(found.get("artifacts") or []):
        where, path = f"{what}.outputs.artifacts.{artifact.get('name')}", (*here, "artifacts", index)
        yield from _artifact_path(artifact, where, kind, path)
        yield from _global_name(artifact, where, path)
    for index, parameter in enumerate(found.get("parameters") or []):
        where, path = f"{what}.outputs.parameters.{parameter.get('name')}", (*here, "parameters", index)
        yield from _output(parameter, where, kind, path)
        yield from _global_name(parameter, where, path)


def _global_name(output: dict[str, Any], where: str, at: Path) -> Iterator[Fault]:
    name = output.get("globalName")
    if name and not naming.TAG.search(name) and naming.of_value(name):
        yield Fault("name-invalid", (*at, "globalName"), f"{where}.globalName: {naming.of_value(name)}")


def _output(parameter: dict[str, Any], where: str, kind: str, at: Path) -> Iterator[Fault]:
    source, has_value = parameter.get("valueFrom"), parameter.get("value") is not None
    if source is not None and has_value:
        yield Fault("output-source", at, f"{where} has both valueFrom and value specified, choose one")
    elif source is None and not has_value:
        yield Fault("output-source", at, f"{where} does not have valueFrom or value specified")
    if source is None or has_value:
        return
    given = [s for s in _SOURCES if source.get(s)] + ["supplied"] * (source.get("supplied") is not None)
    if not given:
        message = "valueFrom type unspecified. choose one of: path, jqFilter, jsonPath, parameter, raw, expression"
        yield Fault("output-source", (*at, "valueFrom"), message)
    elif len(given) > 1:
        message = "multiple valueFrom types specified. choose one of: path, jqFilter, jsonPath, parameter, raw"
        yield Fault("output-source", (*at, "valueFrom"), message)
    elif not set(given) & set(_wanted(kind)[1]):
        yield Fault("output-source", (*at, "valueFrom"), f"{where}{_wanted(kind)[0]} must be specified for {title(kind)} templates")


def _wanted(kind: str) -> tuple[str, tuple[str, ...]]:
    if kind in ("container", "containerSet", "script"):
        return ".path", ("path",)
    if kind == "resource":
        return " .jqFilter or jsonPath", ("jqFilter", "jsonPath")
    if kind in ("dag", "steps"):
        return ".parameter or expression", ("parameter", "expression")
    return "", (*_SOURCES, "supplied")
