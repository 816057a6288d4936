"""Resource templates: one kubectl verb on an object, conditions to wait for, outputs from it. Messages are those of Argo's executor."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipelines.local import documents, gojson, kinds, queries, selectors
from pipelines.local.nodes import Node, Template
from pipelines.local.objects import ObjectError, Objects, not_found

POLL = 0.2  # seconds between two looks at an object; Argo: 5
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
    if body["action"] == "delete" and (resource.waits or (resource.template.get("outputs") or {}).get("parameters")):
        raise ResourceError("successCondition, failureCondition and outputs are not supported for delete action")
    text = _text(resource, folder)
    if not text and not body.get("flags"):
        raise ResourceError("Must provide at least one of flags or manifest.")
    manifests = _manifests(text)
    try:
        for manifest in manifests or [None]:
            _name(resource, manifest, words)
            if body.get("setOwnerReference") and isinstance(manifest, dict):
                manifest.setdefault("metadata", {}).setdefault("ownerReferences", []).append(owner)
            _request(resource, objects, manifest, text)
    except ObjectError as error:
        raise ResourceError(f"no more retries {error}") from None
    if body["action"] != "delete" and (len(manifests) > 1 or (body["action"] == "get" and not resource.name)):
        raise ResourceError("Kind and name are both required but at least one of them is missing from the manifest")


def _request(resource: Resource, objects: Objects, manifest: Any, text: str) -> None:
    action, dry = resource.body["action"], "--dry-run=server" in resource.flags
    if action == "get":
        if not resource.name:
            return
        resource.seen = objects.get(resource.kind, resource.name, resource.namespace)
        if resource.seen is None and "--ignore-not-found" not in resource.flags:
            raise not_found(resource.kind, resource.name)
    elif action in ("create", "apply", "replace"):
        request = {"create": objects.create, "apply": objects.apply, "replace": objects.replace}[action]
        resource.seen = request(_object(manifest), dry_run=dry)
    elif action == "patch":
        resource.seen = _patch(resource, objects, manifest, text)
    else:
        objects.delete(resource.kind, resource.name, resource.namespace, wait="--wait=false" not in resource.flags)
    if resource.seen is not None:
        resource.name = resource.seen["metadata"]["name"]


def _object(manifest: Any) -> dict[str, Any]:
    if not isinstance(manifest, dict):
        kind = {list: "array", str: "string", bool: "bool", type(None): "null"}.get(type(manifest), "number")
        what = f"json: cannot unmarshal {kind} into Go value of type unstructured.detector"
        raise ObjectError(f'error: unable to decode "/tmp/manifest.yaml": {what}')
    return manifest


def _patch(resource: Resource, objects: Objects, change: Any, text: str) -> dict[str, Any]:
    """kubectl takes a patch that begins with `{` for JSON as it stands (argo-data-flow 194)."""
    if text.lstrip().startswith("{") and (problem := gojson.error(text)):
        raise ObjectError(f"Error from server (BadRequest): {problem}")
    named = {"name": resource.name} | ({"namespace": resource.namespace} if resource.namespace else {})
    if not resource.kind or not resource.name:
        raise ObjectError("error: must specify one of -f and -k")
    head = {"kind": resource.kind, "metadata": named}
    return objects.patch(head, resource.body.get("mergeStrategy") or "strategic", change)


def _manifests(text: str) -> list[Any]:
    """The documents of a manifest. kubectl takes each by itself."""
    try:
        return [found for found in yaml.load_all(text, documents.Loader) if found is not None]
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        # go-yaml counts the line of a parser's error from 0, that of a scanner's from 1.
        place = f"line {mark.line + (not isinstance(error, yaml.parser.ParserError))}: " if mark else ""
        problem = getattr(error, "problem", None) or error
        said = f"error parsing /tmp/manifest.yaml: error converting YAML to JSON: yaml: {place}{problem}"
        raise ResourceError(f"no more retries error: {said}") from None


def _name(resource: Resource, manifest: Any, words: list[str]) -> None:
    """Kind and name come from the manifest, or from the words among the flags: `configmap NAME` or `configmap/NAME`."""
    if isinstance(manifest, dict):
        metadata = manifest.get("metadata") if isinstance(manifest.get("metadata"), dict) else {}
        resource.kind, resource.name = str(manifest.get("kind") or ""), str((metadata or {}).get("name") or "")
        resource.namespace = (metadata or {}).get("namespace")
    if words:
        kind, _, name = words[0].partition("/")
        if not kinds.of_word(kind):
            raise ObjectError(f'error: the server doesn\'t have a resource type "{kind}"')
        resource.kind, resource.name = kinds.of_word(kind), name or (words[1] if len(words) > 1 else "")


def _text(resource: Resource, folder: Path) -> str:
    source = resource.body.get("manifestFrom")
    if not source:
        return str(resource.body.get("manifest") or "")
    try:
        return (folder / "inputs" / str(source["artifact"]["name"])).read_text()
    except (OSError, ValueError) as error:
        raise ResourceError(str(error)) from None


def look(resource: Resource, objects: Objects, first: bool) -> bool:
    """Is what the step waits for there? ResourceError when it failed, or can no longer come."""
    if not resource.waits or (resource.seen is None and first):
        return True
    if not first:
        resource.seen = objects.get(resource.kind, resource.name, resource.namespace)
    if resource.seen is None:
        raise ResourceError(_GONE + _lost(resource))
    body = resource.body
    if body.get("failureCondition"):
        requirement = _failed(body["failureCondition"], resource.seen)
        if requirement:
            raise ResourceError(f"failure condition '{requirement}' evaluated true")
    return not body.get("successCondition") or _succeeded(body["successCondition"], resource.seen)


def _lost(resource: Resource) -> str:
    return str(not_found(resource.kind, resource.name)).removeprefix("Error from server (NotFound): ")


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
