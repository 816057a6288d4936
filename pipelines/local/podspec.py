"""The pod that a step would be on a cluster: its labels and annotations, what podSpecPatch makes of it, and the fields of the downward API.

Follows argo-workflows v4.1.2 `workflow/controller/workflowpod.go`. Nothing else of a pod has a meaning on one machine.
"""

from typing import TYPE_CHECKING, Any

import yaml

from pipelines.local import documents, golang, metadata, patches, tags, volumes
from pipelines.local.caller import Around
from pipelines.local.nodes import Node, Template, pod_name

if TYPE_CHECKING:
    from pipelines.local.engine import Engine

_NAMESPACED = "workflows.argoproj.io"
_OURS = ("main", "wait", "init")  # the containers of a step's pod
_ANOTHER = "podSpecPatch adds {}, which is not supported locally"


class PodError(Exception):
    """A pod that cannot be made; the node's message."""


def complete(engine: "Engine", node: Node, template: Template, around: Around) -> Template:
    """The template with the labels and annotations of its pod as `metadata`, patched. PodError for a bad label, mount or patch."""
    name = pod_name(engine.name, node)
    _check_mounts(engine, template)
    given = tags.substitute_json(engine.spec.get("podMetadata") or {}, engine.globals, tolerant=True)
    own = template.get("metadata") or {}
    labels = {f"{_NAMESPACED}/workflow": engine.name, f"{_NAMESPACED}/completed": "false"}
    labels |= {f"{_NAMESPACED}/on-exit": "true"} if around.exit else {}
    annotations = {f"{_NAMESPACED}/node-name": node["name"], f"{_NAMESPACED}/node-id": node["id"]}
    annotations["kubectl.kubernetes.io/default-container"] = "main"
    labels |= (given.get("labels") or {}) | (own.get("labels") or {})
    for value in labels.values():
        if problem := metadata.invalid(str(value)):
            raise PodError(f'Pod "{name}" is invalid: metadata.labels: Invalid value: "{value}": {problem}')
    annotations |= (given.get("annotations") or {}) | (own.get("annotations") or {})
    filled = template | {"metadata": {"labels": labels, "annotations": annotations}}
    found = [patch for patch in (engine.spec.get("podSpecPatch"), template.get("podSpecPatch")) if patch]
    values = engine.globals | {"pod.name": name}
    return _patched(filled, [tags.substitute(patch, values, tolerant=True) for patch in found])


def _check_mounts(engine: "Engine", template: Template) -> None:
    declared = [*(template.get("volumes") or []), *(engine.spec.get("volumes") or []), *volumes.of_templates(engine.spec, engine.name)]
    known = {volume["name"] for volume in declared}
    for mount in (template.get("container") or template.get("script") or {}).get("volumeMounts") or []:
        if mount["name"] not in known:
            raise PodError(f"volume '{mount['name']}' not found in workflow spec")


def _patched(template: Template, found: list[str]) -> Template:
    kind = next((kind for kind in ("container", "script") if kind in template), "")
    if not found or not kind:
        return template
    source = {"source": template[kind]["source"]} if kind == "script" else {}
    pod: Any = {"containers": [template[kind] | {"name": "main"}], "volumes": template.get("volumes") or []}
    for patch in found:
        try:
            change = next(iter(yaml.load_all(patch, documents.Loader)), None)
        except (yaml.YAMLError, ValueError):
            change = None
        if not isinstance(change, dict):
            raise PodError("Error applying PodSpecPatch")
        pod = patches.strategic(pod, change)
    main = next(c for c in pod["containers"] if c["name"] == "main")
    more = [c["name"] for c in [*pod["containers"], *(pod.get("initContainers") or [])] if c.get("name") not in _OURS]
    if more:
        raise PodError(_ANOTHER.format(f"container {more[0]}"))
    return template | {kind: {**main, **source}, "volumes": pod["volumes"]}


def fields(template: Template, name: str, namespace: str) -> dict[str, str]:
    """What a fieldRef may name. https://kubernetes.io/docs/concepts/workloads/pods/downward-api/"""
    meta = template.get("metadata") or {}
    found = {
        "metadata.name": name,
        "metadata.namespace": namespace,
        "metadata.uid": "",
        "spec.nodeName": "localhost",
        "spec.serviceAccountName": str(template.get("serviceAccountName") or "default"),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    for kind in ("labels", "annotations"):
        texts = {key: str(value) for key, value in (meta.get(kind) or {}).items()}
        found[f"metadata.{kind}"] = "\n".join(f"{key}={golang.quote(texts[key])}" for key in sorted(texts))
        found |= {f"metadata.{kind}['{key}']": value for key, value in texts.items()}
    return found
