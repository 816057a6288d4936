"""The names that tags may use: of the workflow, of a template's inputs, of what other tasks and steps made."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.local import clock, expressions, gojson, golang, tags
from pipelines.local.nodes import Node, Nodes, Template
from pipelines.local.workflow import SCHEDULED_ANNOTATION

Values = dict[str, object]
Artifact = dict[str, Any]
Parameter = dict[str, Any]

_TIME = "aAbBcdHIjmMpSUwWxXyYZ"  # https://argo-workflows.readthedocs.io/en/latest/variables/ : strftime letters


class OutputError(Exception):
    """An output that cannot be made, in Argo's words."""


@dataclass
class Scope:
    """Names with their texts (or tags.ABSENT), and artifacts by name."""

    values: Values = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)

    def over(self, globals_: Values) -> Values:
        return globals_ | self.values


def of_workflow(workflow: dict[str, Any], spec: dict[str, Any]) -> Values:
    """`workflow.*`, before anything has run."""
    meta, made = workflow["metadata"], clock.seconds(workflow["metadata"]["creationTimestamp"])
    values: Values = {
        "workflow.name": meta["name"],
        "workflow.namespace": meta["namespace"],
        "workflow.mainEntrypoint": spec["entrypoint"],
        "workflow.serviceAccountName": spec.get("serviceAccountName", ""),
        "workflow.uid": meta["uid"],
        "workflow.duration": "0.000000",
        "workflow.status": "Running",
        "workflow.creationTimestamp": meta["creationTimestamp"],
        "workflow.creationTimestamp.RFC3339": meta["creationTimestamp"],
        "workflow.creationTimestamp.s": str(int(made)),
    }
    scheduled = (meta.get("annotations") or {}).get(SCHEDULED_ANNOTATION)
    if scheduled:
        values["workflow.scheduledTime"] = scheduled
    if "priority" in spec:
        values["workflow.priority"] = str(spec["priority"])
    moment = datetime.fromtimestamp(made, UTC)
    values |= {f"workflow.creationTimestamp.{letter}": moment.strftime(f"%{letter}") for letter in _TIME}
    for part in ("labels", "annotations"):
        shown = gojson.dumps(meta.get(part) or {})
        values |= {f"workflow.{part}": shown, f"workflow.{part}.json": shown}
        values |= {f"workflow.{part}.{key}": value for key, value in (meta.get(part) or {}).items()}
    parameters = (spec.get("arguments") or {}).get("parameters") or []
    parameters = _mutual(parameters, values)
    shown = parameter_list(parameters)
    values |= {"workflow.parameters": shown, "workflow.parameters.json": shown}
    return values | {f"workflow.parameters.{p['name']}": p["value"] for p in parameters if "value" in p}


def _mutual(parameters: list[Parameter], values: Values) -> list[Parameter]:
    """Arguments may refer to other arguments, through several steps (argo-data-flow 038)."""
    for _ in parameters:
        known = values | {f"workflow.parameters.{p['name']}": p["value"] for p in parameters if "value" in p}
        filled: list[Parameter] = [
            p | {"value": tags.substitute(p["value"], known, tolerant=True)} if "{{" in str(p.get("value")) else p for p in parameters
        ]
        if filled == parameters:
            break
        parameters = filled
    return parameters


def parameter_list(parameters: Iterable[Parameter]) -> str:
    """Parameters as Argo shows them all at once: name, default, value, in order of declaration."""
    keys = ("name", "default", "value")
    return gojson.dumps([{k: p[k] for k in keys if k in p} for p in parameters], sort=False)


def of_inputs(inputs: dict[str, Any]) -> Values:
    parameters = inputs.get("parameters") or []
    values: Values = {f"inputs.parameters.{p['name']}": p["value"] for p in parameters}
    return values | {"inputs.parameters": parameter_list(parameters)}


def add_node(scope: Scope, prefix: str, node: Node, nodes: Nodes, template: Template | None) -> None:
    """What `tasks.X.*` or `steps.X.*` stand for once X has a node."""
    if node["type"] == "Retry":
        node = (nodes.attempts(node) or [node])[-1]
    scope.values[f"{prefix}.id"] = node["id"]
    for name in ("startedAt", "finishedAt"):
        if name in node:
            scope.values[f"{prefix}.{name}"] = node[name]
    if node["type"] == "Pod":
        scope.values[f"{prefix}.hostNodeName"] = "localhost"
    scope.values[f"{prefix}.status"] = node["phase"]
    if node["phase"] in ("Skipped", "Omitted") and template is not None:
        _add_absent(scope, prefix, template)
    _add_outputs(scope, prefix, node.get("outputs") or {})


def _add_absent(scope: Scope, prefix: str, template: Template) -> None:
    """Outputs of what never ran: the default, or the mark that there is none."""
    for output in (template.get("outputs") or {}).get("parameters") or []:
        default = (output.get("valueFrom") or {}).get("default", tags.ABSENT)
        scope.values[f"{prefix}.outputs.parameters.{output['name']}"] = default


def _add_outputs(scope: Scope, prefix: str, outputs: dict[str, Any]) -> None:
    if "exitCode" in outputs:
        scope.values[f"{prefix}.exitCode"] = outputs["exitCode"]
    if "result" in outputs:
        scope.values[f"{prefix}.outputs.result"] = outputs["result"]
    for parameter in outputs.get("parameters") or []:
        if "value" in parameter:
            scope.values[f"{prefix}.outputs.parameters.{parameter['name']}"] = parameter["value"]
    for artifact in outputs.get("artifacts") or []:
        scope.artifacts[f"{prefix}.outputs.artifacts.{artifact['name']}"] = artifact


def add_loop(scope: Scope, prefix: str, members: list[Node], nodes: Nodes) -> None:
    """The aggregated outputs of a loop: members that Succeeded, in item order. ValueError when a result is no JSON."""
    done = [_last(n, nodes).get("outputs") for n in sorted(members, key=item_index) if n["phase"] == "Succeeded"]
    outputs = [o for o in done if o]
    results = [o["result"] for o in outputs if "result" in o]
    scope.values[f"{prefix}.outputs.result"] = f"[{','.join(gojson.compact(text) for text in results)}]"
    rows = [{p["name"]: p["value"] for p in o["parameters"]} for o in outputs if o.get("parameters")]
    scope.values[f"{prefix}.outputs.parameters"] = gojson.dumps(rows)
    for name in {name: None for row in rows for name in row}:
        scope.values[f"{prefix}.outputs.parameters.{name}"] = _value_list([row[name] for row in rows if name in row])


def _last(node: Node, nodes: Nodes) -> Node:
    return node if node["type"] != "Retry" or node.get("outputs") else (nodes.attempts(node) or [node])[-1]


def item_index(node: Node) -> int:
    """The index in `name(3:item)`."""
    found = re.search(r"\((\d+):", node["displayName"])
    return int(found[1]) if found else 0


def _value_list(values: list[str]) -> str:
    """A list of texts; of JSON values when every one of them is an object or a list."""
    if not all(text.lstrip().startswith(("{", "[")) and not gojson.error(text) for text in values):
        return gojson.dumps(values)
    return f"[{','.join(gojson.compact(text) for text in values)}]"


def absent_loop(scope: Scope, prefix: str, template: Template) -> None:
    """A loop over nothing: its parameters are absent, its result is no name at all (argo-control-flow 094, argo-data-flow 060)."""
    for output in (template.get("outputs") or {}).get("parameters") or []:
        scope.values[f"{prefix}.outputs.parameters.{output['name']}"] = tags.ABSENT


def outputs_of(template: Template, scope: Scope, globals_: Values) -> dict[str, Any]:
    """The outputs of a dag or steps template from those of its parts. OutputError as Argo words it (`getTemplateOutputsFromScope`)."""
    declared = template.get("outputs") or {}
    parameters = [p | {"value": _output_parameter(p, scope)} for p in declared.get("parameters") or []]
    artifacts = [_output_artifact(a, scope, globals_) for a in declared.get("artifacts") or []]
    found = {"parameters": parameters, "artifacts": [a for a in artifacts if a]}
    return {key: value for key, value in found.items() if value}


def _output_parameter(declared: Parameter, scope: Scope) -> str:
    source = declared.get("valueFrom")
    if source is None:
        raise OutputError("output parameters must have a valueFrom specified")
    try:
        value = _computed(source["expression"], scope) if source.get("expression") else _referred(source.get("parameter", ""), scope)
    except OutputError:
        if "default" not in source:
            raise
        return str(source["default"])
    if value is not tags.ABSENT:
        return text_of(value)
    if "default" in source:
        return str(source["default"])
    what = f'output parameter "{declared["name"]}": "{source["parameter"]}"'
    raise OutputError(f"{what} is an absent optional (skipped/omitted node output with no default)")


def text_of(value: object) -> str:
    """A value as Go prints it: `[20 1 true <nil>]` (argo-data-flow 025)."""
    return golang.sprint(value)


def _computed(expression: str, scope: Scope) -> object:
    """An expression knows the inputs and the parts of the template, nothing of the workflow."""
    try:
        value = expressions.evaluate(expression, expressions.expand(scope.values))
    except expressions.ExpressionError as error:
        raise OutputError(str(error)) from None
    if value is None:
        raise OutputError(f"failed to evaluate expression {golang.quote(expression)}")
    return value


def _referred(wanted: str, scope: Scope) -> object:
    """By now the tags of inputs and of the workflow are their values, which name nothing."""
    reference = wanted.removeprefix("{{").removesuffix("}}").strip()
    if reference not in scope.values and wanted:
        raise OutputError(f"Unable to resolve: {golang.quote(reference)}")
    return scope.values[reference] if wanted else ""


def _output_artifact(declared: Artifact, scope: Scope, globals_: Values) -> Artifact | None:
    wanted = declared.get("from", "")
    reference = wanted.removeprefix("{{").removesuffix("}}").strip()
    if declared.get("fromExpression"):
        return by_expression(declared, scope, globals_)
    if reference in scope.artifacts:
        return scope.artifacts[reference] | {"name": declared["name"]}
    if declared.get("optional"):
        return None
    raise OutputError(f'unable to resolve outputs from scope: Unable to resolve: "{reference}"')


def by_expression(declared: Artifact, scope: Scope, globals_: Values) -> Artifact:
    """The artifact that a fromExpression picks."""
    env = expressions.expand(scope.over(globals_) | scope.artifacts)
    try:
        chosen = expressions.evaluate(declared["fromExpression"], env)
    except expressions.ExpressionError as error:
        raise OutputError(f"unable to resolve outputs from scope: {error}") from None
    if not isinstance(chosen, dict):
        raise OutputError(f"unable to resolve outputs from scope: no artifact from {declared['fromExpression']!r}")
    return dict(chosen) | {"name": declared["name"]}
