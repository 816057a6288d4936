"""Resource templates: one kubectl verb on an object, conditions to wait for, outputs from it. Messages are those of Argo's executor."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipelines.local import documents, queries, selectors
from pipelines.local.nodes import Node, Template
from pipelines.local.objects import ObjectError, Objects

POLL = 0.2  # seconds between two looks at an object; Argo: 5
_KINDS = {"configmap": "ConfigMap", "secret": "Secret", "workflow": "Workflow", "jobset": "JobSet", "job": "Job"}
_GONE = "The resource has been deleted while its status was still being checked. Will not be retried: "
FLAGS = frozenset({"--dry-run=server", "--ignore-not-found", "--wait=false", "--server-side", "--force-conflicts"})


class ResourceError(Exception):
    """The step failed; the executor's words."""


@dataclass
class Resource:
    """A resource step at work: what it acts on, and when to look next."""

    node: Node
    template: Template
    kind: str = ""
    name: str = ""
    namespace: str | None = None
    seen: dict[str, Any] | None = None
    next_look: float = 0.0
    ends: float | None = None
    flags: list[str] = field(default_factory=list)

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = self.template["resource"]
        return body

    @property
    def waits(self) -> bool:
        return bool(self.body.get("successCondition") or self.body.get("failureCondition"))


def act(resource: Resource, objects: Objects, owner: dict[str, Any], folder: Path) -> None:
    """Do what the template says, once. ResourceError when the server would refuse."""
    body = resource.body
    resource.flags = [f for f in body.get("flags") or [] if f.startswith("-")]
    words = [f for f in body.get("flags") or [] if not f.startswith("-")]
    if body["action"] == "delete" and (resource.waits or resource.template.get("outputs")):
        raise ResourceError("successCondition, failureCondition and outputs are not supported for delete action")
    manifest = _manifest(resource, folder, words)
    if body.get("setOwnerReference") and isinstance(manifest, dict):
        manifest.setdefault("metadata", {}).setdefault("ownerReferences", []).append(owner)
    try:
        _request(resource, objects, manifest)
    except ObjectError as error:
        raise ResourceError(f"no more retries {error}") from None


def _request(resource: Resource, objects: Objects, manifest: Any) -> None:
    action, dry = resource.body["action"], "--dry-run=server" in resource.flags
    if action == "get":
        resource.seen = objects.get(resource.kind, resource.name, resource.namespace)
        if resource.seen is None and "--ignore-not-found" not in resource.flags:
            raise _not_found(resource)
    elif action == "create":
        resource.seen = objects.create(manifest, dry_run=dry)
    elif action in ("apply", "replace"):
        resource.seen = objects.apply(manifest, dry_run=dry)
    elif action == "patch":
        resource.seen = _patch(resource, objects, manifest)
    else:
        objects.delete(resource.kind, resource.name, resource.namespace, wait="--wait=false" not in resource.flags)
    if resource.seen is not None:
        resource.name = resource.seen["metadata"]["name"]


def _not_found(resource: Resource) -> ObjectError:
    from pipelines.local.objects import not_found

    return not_found(resource.kind, resource.name)


def _patch(resource: Resource, objects: Objects, change: dict[str, Any]) -> dict[str, Any]:
    named = {"name": resource.name} | ({"namespace": resource.namespace} if resource.namespace else {})
    head = {"apiVersion": "v1", "kind": resource.kind}
    return objects.patch(head | change | {"metadata": {**(change.get("metadata") or {}), **named}})


def _manifest(resource: Resource, folder: Path, words: list[str]) -> Any:
    """The manifest. Kind and name come from it, or from the words among the flags."""
    text = _text(resource, folder)
    found: Any = {}
    if text:
        try:
            found, *more = yaml.load_all(text, documents.Loader)
        except (yaml.YAMLError, ValueError) as error:
            mark = getattr(error, "problem_mark", None)
            # go-yaml counts the line of a parser's error from 0, that of a scanner's from 1.
            place = f"line {mark.line + (not isinstance(error, yaml.parser.ParserError))}: " if mark else ""
            problem = getattr(error, "problem", None) or error
            raise ResourceError(
                f"no more retries error: error parsing /tmp/manifest.yaml: error converting YAML to JSON: yaml: {place}{problem}"
            ) from None
        if more:
            raise ResourceError("Kind and name are both required but at least one of them is missing from the manifest")
    if isinstance(found, dict):
        resource.kind = str(found.get("kind", ""))
        resource.name = str((found.get("metadata") or {}).get("name", ""))
        resource.namespace = (found.get("metadata") or {}).get("namespace")
    if words:
        kind = words[0].split("/")[0].split(".")[0].lower()
        kind = kind[:-1] if kind not in _KINDS and kind.endswith("s") else kind
        resource.kind = _KINDS.get(kind, words[0])
        resource.name = words[1] if len(words) > 1 else words[0].rpartition("/")[2]
    return found


def _text(resource: Resource, folder: Path) -> str:
    source = resource.body.get("manifestFrom")
    if not source:
        return str(resource.body.get("manifest") or "")
    return (folder / "inputs" / str(source["artifact"]["name"])).read_text()


def look(resource: Resource, objects: Objects, first: bool) -> bool:
    """Is what the step waits for there? ResourceError when it failed, or can no longer come."""
    if not resource.waits or (resource.seen is None and first):
        return True
    if not first:
        resource.seen = objects.get(resource.kind, resource.name, resource.namespace)
    if resource.seen is None:
        raise ResourceError(_GONE + str(_not_found(resource)))
    body = resource.body
    if body.get("failureCondition"):
        requirement = _failed(body["failureCondition"], resource.seen)
        if requirement:
            raise ResourceError(f"failure condition '{requirement}' evaluated true")
    return not body.get("successCondition") or _succeeded(body["successCondition"], resource.seen)


def _failed(condition: str, found: dict[str, Any]) -> str | None:
    """The first requirement that holds: a comma means OR here (hera-argo §5)."""
    try:
        return selectors.first_match(condition, found)
    except selectors.SelectorError as error:
        raise ResourceError(f"fail condition '{condition}' failed to parse: {error}") from None


def _succeeded(condition: str, found: dict[str, Any]) -> bool:
    try:
        return selectors.matches(condition, found)
    except selectors.SelectorError as error:
        raise ResourceError(f"success condition '{condition}' failed to parse: {error}") from None


def outputs(resource: Resource) -> list[dict[str, Any]]:
    """The output parameters, from the object as it was seen last."""
    return [_output(resource, p) for p in (resource.template.get("outputs") or {}).get("parameters") or []]


def _output(resource: Resource, declared: dict[str, Any]) -> dict[str, Any]:
    source = declared.get("valueFrom") or {}
    if not source or ("jsonPath" not in source and "jqFilter" not in source):
        return declared
    if resource.seen is None:
        return declared | {"value": source.get("default", "")}
    try:
        if "jsonPath" in source:
            return declared | {"value": queries.jsonpath(source["jsonPath"], resource.seen)}
        return declared | {"value": queries.jq(source["jqFilter"], resource.seen)}
    except queries.QueryError as error:
        raise ResourceError(str(error)) from None
