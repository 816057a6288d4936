"""What a template is given: arguments, defaults, ConfigMap values; and its text with those filled in."""

import copy
from collections.abc import Callable
from typing import Any

from pipelines.local import scope, tags
from pipelines.local.nodes import Template

Arguments = dict[str, Any]
ConfigMap = Callable[[str], dict[str, Any] | None]
_LABEL, _PARAMETER = "workflows.argoproj.io/configmap-type", "Parameter"


class ArgumentError(Exception):
    """Something a template needs was not given; Argo's words."""


class NoValue(ArgumentError):
    """A ConfigMap or key that is not there."""


def process(template: Template, arguments: Arguments, globals_: scope.Values, local: scope.Values, maps: ConfigMap) -> Template:
    """The template as it will run. ArgumentError, tags.TagError, expressions.ExpressionError in Argo's words."""
    filled = copy.copy(template)
    inputs = dict(template.get("inputs") or {})
    given = {p["name"]: p for p in arguments.get("parameters") or []}
    inputs["parameters"] = [_parameter(p, given.get(p["name"]), globals_ | local, maps) for p in inputs.get("parameters") or []]
    files = {a["name"]: a for a in arguments.get("artifacts") or []}
    inputs["artifacts"] = [_artifact(a, files.get(a["name"])) for a in inputs.get("artifacts") or []]
    filled["inputs"] = {key: value for key, value in inputs.items() if value}
    return substitute(filled, globals_ | local)


def substitute(template: Template, values: scope.Values) -> Template:
    """The names from outside first, then the template's own inputs: their values may hold tags of the workflow."""
    name = template.get("name")
    body: Template = tags.substitute_json({k: v for k, v in template.items() if k != "name"}, values, tolerant=True)
    body = tags.substitute_json(body, scope.of_inputs(body["inputs"]), tolerant=True)
    if "dag" not in body and "steps" not in body:  # a tag inside a tag needs a second look
        body = tags.substitute_json(body, values | scope.of_inputs(body["inputs"]), tolerant=True)
    return body if name is None else {"name": name} | body


def _parameter(declared: scope.Parameter, given: scope.Parameter | None, values: scope.Values, maps: ConfigMap) -> scope.Parameter:
    parameter = dict(declared)
    if "value" not in parameter and "default" in parameter:
        parameter["value"] = parameter["default"]
    if given is not None and "value" in given:
        parameter["value"] = given["value"]
    elif given is not None and "valueFrom" in given:
        parameter["valueFrom"] = given["valueFrom"]
    source = parameter.get("valueFrom") or {}
    if "configMapKeyRef" in source and (given is None or "value" not in given):
        try:
            parameter["value"] = from_config_map(tags.substitute_json(source["configMapKeyRef"], values, tolerant=True), maps)
        except NoValue as error:
            if "default" not in source:
                raise ArgumentError(f"unable to retrieve inputs.parameters.{declared['name']} from ConfigMap: {error}") from None
            parameter["value"] = source["default"]
    if "value" not in parameter:
        raise ArgumentError(_why(declared["name"], given))
    return parameter


def _why(name: str, given: scope.Parameter | None) -> str:
    if given is not None and given.get("absent"):
        return f"inputs.parameters.{name}: argument references an absent optional (skipped/omitted node output with no default)"
    return f"inputs.parameters.{name} was not supplied"


def from_config_map(reference: dict[str, Any], maps: ConfigMap) -> str:
    """The value of a key, byte for byte (argo-data-flow 016). NoValue as Argo words it."""
    found = maps(reference["name"])
    labels = ((found or {}).get("metadata") or {}).get("labels") or {}
    if found is None or labels.get(_LABEL) != _PARAMETER:
        hint = f"Please make sure it has the label {_LABEL}: {_PARAMETER} to be detectable by the controller"
        raise NoValue(f"ConfigMap '{reference['name']}' does not exist. {hint}")
    data = found.get("data") or {}
    if reference["key"] not in data:
        raise NoValue(f"ConfigMap '{reference['name']}' does not have the key '{reference['key']}'")
    return str(data[reference["key"]])


_LOCATIONS = ("raw", "s3", "gcs", "http", "git", "oss", "azure", "hdfs", "artifactory")


def located(artifact: scope.Artifact) -> bool:
    return any(artifact.get(kind) for kind in _LOCATIONS)


def _artifact(declared: scope.Artifact, given: scope.Artifact | None) -> scope.Artifact:
    if given is None:
        if not declared.get("optional") and not located(declared):
            raise ArgumentError(f"inputs.artifacts.{declared['name']} was not supplied")
        return declared
    if not located(given):
        if given.get("optional"):
            return {k: v for k, v in declared.items() if k not in _LOCATIONS} | {"optional": True}
        raise ArgumentError(f"inputs.artifacts.{declared['name']} missing location information")
    kept = {k: declared[k] for k in ("path", "mode", "recurseMode", "name") if k in declared}
    optional = {"optional": True} if declared.get("optional") or given.get("optional") else {}
    return given | kept | optional
