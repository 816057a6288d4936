"""The objects that a cluster and a tenant need: the manifests of argocd/platform/fleece, with the tenant's names and values put in.

They are written for a tenant named `tenant` and a controller in the namespace `argo`. A name is changed where an object says it, never in
text: a tenant may be called `steps`.
"""

import base64
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipelines.local import documents

PROJECT = Path(__file__).resolve().parents[2]
MANIFESTS = PROJECT / "argocd" / "platform" / "fleece"
TEMPLATES = PROJECT / "workflow-templates"

# Which room a compiled template belongs to: engineers start nothing in `release` but what an approver may.
ROOMS = {
    "tenant": ("finetune", "evaluate", "retrain", "reap", "reaper"),
    "release": ("release", "approve", "deploy", "rollback"),
}
PART_OF = {"app.kubernetes.io/part-of": "fleece"}
PREFIX = "fleece"
"""What the images of the compiled templates begin with."""
CONTROLLER = "system:serviceaccount:argo:argo"

Object = dict[str, Any]


@dataclass(frozen=True)
class Tenant:
    """What is a tenant's own: its settings and files by name, and where its images come from."""

    name: str
    settings: Mapping[str, str]
    policies: Mapping[str, str]
    environments: Mapping[str, str]
    registry: str
    gangs: int


class Keys(NamedTuple):
    """P-256 in PEM: what signs, in the release namespace only, and what verifies."""

    private: str
    public: str


def cluster(controllers: str) -> list[Object]:
    """Once a cluster: admission policies and the controller settings they count on. `controllers`: user names, divided by commas."""
    return [_of_controller(one, controllers) for one in manifests("cluster")]


def home(controllers: str) -> str:
    """The namespace of the first of the controllers, which has our parameters and its own configuration."""
    return controllers.split(":")[2]


def tenant(given: Tenant, keys: Keys) -> list[Object]:
    """Both namespaces of a tenant with everything in them, namespaces first, templates last."""
    plain = [_filled(one, given, keys) for room in ROOMS for one in manifests(room)]
    return [_renamed(one, given.name) for one in sorted(plain, key=lambda one: one["kind"] != "Namespace")] + [
        template for room in ROOMS for template in templates(room, given)
    ]


def templates(room: str, given: Tenant) -> list[Object]:
    """The compiled templates of a room, with the images of the tenant's registry."""
    namespace = _names(given.name)[_NAMESPACES[room]]
    found = [document for name in ROOMS[room] for document in documents.read(TEMPLATES / f"{name}.yaml")]
    return [_labelled(_pulled(one, given.registry) | {"metadata": one["metadata"] | {"namespace": namespace}}) for one in found]


def manifests(room: str) -> list[Object]:
    """The plain manifests of `cluster`, `tenant` or `release`, as they are written."""
    return [document for path in sorted((MANIFESTS / room).glob("*.yaml")) for document in documents.read(path)]


_NAMESPACES = {"tenant": "tenant", "release": "tenant-release"}


def _names(tenant: str) -> dict[str, str]:
    return {"tenant": tenant} | {f"tenant-{end}": f"{tenant}-{end}" for end in ("release", "engineers", "approvers")}


def _renamed(manifest: Object, tenant: str) -> Object:
    """The tenant's names in the places where a manifest has names of namespaces and groups."""
    names, made = _names(tenant), _labelled(manifest)
    metadata = made["metadata"]
    if made["kind"] == "Namespace":
        metadata["name"] = names[metadata["name"]]
        metadata["labels"]["fleece.dev/tenant"] = tenant
    else:
        metadata["namespace"] = names[metadata["namespace"]]
    for subject in made.get("subjects", []):
        place = "name" if subject["kind"] == "Group" else "namespace"
        subject[place] = names[subject[place]]
    return made


def _labelled(manifest: Object) -> Object:
    made = deepcopy(manifest)
    made["metadata"]["labels"] = made["metadata"].get("labels", {}) | PART_OF
    return made


def _filled(manifest: Object, given: Tenant, keys: Keys) -> Object:
    """The tenant's values in the objects that hold them."""
    values: dict[tuple[str, str], Object] = {
        ("ConfigMap", "fleece"): {"data": dict(given.settings)},
        ("ConfigMap", "fleece-policies"): {"data": {**given.policies, "key.pub.pem": keys.public}},
        ("ConfigMap", "fleece-environments"): {"data": dict(given.environments)},
        ("ConfigMap", "fleece-limits"): {"data": {"gangs": str(given.gangs)}},
        ("ConfigMap", "artifact-repositories"): {"data": {"store": _repository(given.settings["FLEECE_STORE"])}},
        ("Secret", "fleece-signing"): {"data": {"key.pem": base64.b64encode(keys.private.encode()).decode()}},
    }
    made = deepcopy(manifest) | values.get((manifest["kind"], manifest["metadata"]["name"]), {})
    if "fleece.dev/images" in made["metadata"].get("annotations", {}):
        made["metadata"]["annotations"]["fleece.dev/images"] = f"{given.registry}/"
    return made


def _repository(store: str) -> str:
    """Argo's artifact repository below a store `gs://bucket/folder`."""
    bucket, _, folder = store.removeprefix("gs://").strip("/").partition("/")
    key = "/".join(filter(None, [folder, "logs/{{workflow.name}}/{{pod.name}}"]))
    return str(yaml.safe_dump({"gcs": {"bucket": bucket, "keyFormat": key}}, width=200))


def _pulled(document: Object, registry: str) -> Object:
    made = deepcopy(document)
    for template in made["spec"].get("templates", []):
        if "container" in template:
            template["container"]["image"] = image(template["container"]["image"], registry)
    return made


def image(name: str, registry: str) -> str:
    """One of our images as this registry has it; any other stays."""
    prefix, slash, rest = name.partition("/")
    return f"{registry}/{rest}" if slash and prefix == PREFIX else name


def _of_controller(manifest: Object, controllers: str) -> Object:
    """The controllers' namespace and user names in the places that have them."""
    made = _labelled(manifest) if manifest["metadata"]["name"] != "workflow-controller-configmap" else deepcopy(manifest)
    if "namespace" in made["metadata"]:
        made["metadata"]["namespace"] = home(controllers)
    if "namespace" in made.get("spec", {}).get("paramRef", {}):  # without one it is the namespace of the object that is asked about
        made["spec"]["paramRef"]["namespace"] = home(controllers)
    if made["metadata"]["name"] == "fleece-admission":
        made["data"]["controllers"] = controllers
    return made
