"""What an attacker sends: an honest Workflow with something changed, as any of the tenant's people or with any account's token."""

import copy
from typing import Any

from kubernetes import client

from pipelines.cluster.api import APPLY, MERGE, Api, path
from pipelines.local.faults import Refused
from tests.cluster.world import World, workflow

Object = dict[str, Any]
ARGO = "argoproj.io/v1alpha1"
CREATOR, ACTOR = "workflows.argoproj.io/creator", "workflows.argoproj.io/actor"
DRY = {"dryRun": "All"}  # admission decides as always, and nothing is kept: for what would stop the controller
PATCH_LIST = "application/json-patch+json"
EVIL: Object = {"name": "main", "container": {"image": "fleece/core:0.1.0", "command": ["id"]}}


def person(world: World, name: str) -> Api:
    return Api(world.person(name))


def account(world: World, namespace: str, name: str, pod: Any = None) -> Api:
    """A client with a token of a service account, bound to a pod of it where one is given."""
    bound = {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod.metadata.name, "uid": pod.metadata.uid}} if pod else {}
    made = world.core.create_namespaced_service_account_token(name, namespace, {"spec": {"expirationSeconds": 3600, **bound}})
    own = client.Configuration()
    own.host, own.ssl_ca_cert = world.api.configuration.host, world.api.configuration.ssl_ca_cert
    own.api_key = {"authorization": f"Bearer {made.status.token}"}
    return Api(client.ApiClient(own))


def honest(world: World, who: str = "mallory", template: str = "finetune", **parameters: str) -> Object:
    """Suspended from the start, so nothing runs even where it is let in."""
    made = workflow(template, parameters, {CREATOR: world.creator(who)})
    made["spec"]["suspend"] = True
    return made


def changed(made: Object, change: Object) -> Object:
    """As a merge patch does it: maps are merged, None takes out, all else replaces. https://www.rfc-editor.org/rfc/rfc7396"""
    made = copy.deepcopy(made)
    for key, value in change.items():
        if value is None:
            made.pop(key, None)
        elif isinstance(value, dict):
            made[key] = changed(made.get(key) or {}, value)
        else:
            made[key] = value
    return made


def create(api: Api, namespace: str, made: Object, query: Object | None = None) -> Object:
    return dict(api.call("POST", path(ARGO, "workflows", namespace), made, query))


def patch(api: Api, namespace: str, name: str, change: Any, kind: str = MERGE, query: Object | None = None) -> Object:
    return dict(api.call("PATCH", path(ARGO, "workflows", namespace, name), change, query, kind))


def apply(api: Api, namespace: str, made: Object, manager: str) -> Object:
    """Server-side apply, which is a create when there is nothing."""
    return patch(api, namespace, made["metadata"]["name"], made, APPLY, {"fieldManager": manager, "force": "true"})


def refusal(call: Any, *args: Any, **options: Any) -> str:
    """The one line that a refused call gives a person. Fails the test when it is let through."""
    try:
        answer = call(*args, **options)
    except Refused as refused:
        line = str(refused)
        assert "\n" not in line, line
        return line
    raise AssertionError(f"let through: {str(answer)[:300]}")
