"""One installed tenant on a real cluster, and what a test may do with it: submit, wait, read what was left.

Everything goes through the API server, so a KUBECONFIG is all that is needed.
"""

import base64
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes import client

from tests.cluster import services

ARGO = ("argoproj.io", "v1alpha1")
PEOPLE = ("alice", "bob", "mallory")
ENDED = ("Succeeded", "Failed", "Error")
_LOOK_SECONDS = 1.0
Object = dict[str, Any]


@dataclass
class World:
    """`api` is the KUBECONFIG's own account. `ports` are the services' ports on this machine (tests/cluster/services.py)."""

    api: client.ApiClient
    tenant: str
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def release(self) -> str:
        return f"{self.tenant}-release"

    @property
    def services(self) -> str:
        return f"{self.tenant}-services"

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(self.api)

    @property
    def custom(self) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(self.api)

    def token(self, name: str) -> str:
        """A fresh token of alice (engineer), bob (engineer and approver) or mallory (engineer)."""
        request = {"spec": {"expirationSeconds": 7200}}
        return str(self.core.create_namespaced_service_account_token(name, self.services, request).status.token)

    def person(self, name: str) -> client.ApiClient:
        own = client.Configuration()
        own.host, own.ssl_ca_cert = self.api.configuration.host, self.api.configuration.ssl_ca_cert
        own.api_key = {"authorization": f"Bearer {self.token(name)}"}
        return client.ApiClient(own)

    def kubeconfig(self, name: str, folder: Path) -> Path:
        """A kubeconfig file of this person, for programs; its namespace is the tenant's."""
        authority = Path(self.api.configuration.ssl_ca_cert).read_bytes()
        cluster = {"server": self.api.configuration.host, "certificate-authority-data": base64.b64encode(authority).decode()}
        path = folder / f"{name}.kubeconfig"
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": self.token(name)}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name, "namespace": self.tenant}}],
        }  # fmt: skip
        path.write_text(json.dumps(content))
        return path

    def creator(self, name: str) -> str:
        """The creator label that Argo's server would give this person's Workflows."""
        return label(f"system:serviceaccount:{self.services}:{name}")

    def submit(
        self, template: str, parameters: Mapping[str, str] | None = None, *, as_: str = "alice", namespace: str = "", name: str = ""
    ) -> str:
        """Start a WorkflowTemplate as a person does, with the creator label. Gives the Workflow's name. Raises ApiException."""
        labels = {"workflows.argoproj.io/creator": self.creator(as_)}
        made = self.create_workflow(workflow(template, parameters or {}, labels, name), self.person(as_), namespace)
        return str(made["metadata"]["name"])

    def create_workflow(self, manifest: Object, api: client.ApiClient | None = None, namespace: str = "") -> Object:
        created: Object = client.CustomObjectsApi(api or self.api).create_namespaced_custom_object(
            *ARGO, namespace or self.tenant, "workflows", manifest
        )
        return created

    def workflow(self, name: str, namespace: str = "") -> Object:
        found: Object = self.custom.get_namespaced_custom_object(*ARGO, namespace or self.tenant, "workflows", name)
        return found

    def workflows(self, namespace: str = "") -> dict[str, Object]:
        listed = self.custom.list_namespaced_custom_object(*ARGO, namespace or self.tenant, "workflows")
        return {one["metadata"]["name"]: one for one in listed["items"]}

    def wait(self, name: str, until: Callable[[Object], bool] | str = "", seconds: float = 900, namespace: str = "") -> Object:
        """The Workflow once it has ended, has the phase `until`, or satisfies it. Fails the test with its nodes when that never comes."""
        reached = until if callable(until) else lambda now: phase(now) == until if until else phase(now) in ENDED
        deadline = time.monotonic() + seconds
        while not reached(now := self.workflow(name, namespace)):
            assert time.monotonic() < deadline, f"{name} did not come to {until or 'its end'} in {seconds:.0f} s\n{outline(now)}"
            assert callable(until) or phase(now) not in ENDED, f"{name} is {phase(now)}, not {until}\n{outline(now)}"
            time.sleep(_LOOK_SECONDS)
        return now

    def succeeded(self, name: str, seconds: float = 900, namespace: str = "") -> Object:
        """The Workflow after it has ended Succeeded; else the test fails with its nodes and the logs of the failed ones."""
        ended = self.wait(name, seconds=seconds, namespace=namespace)
        if phase(ended) != "Succeeded":
            failed = [node for node in ended["status"].get("nodes", {}).values() if node["type"] == "Pod" and node["phase"] in ENDED[1:]]
            logs = "\n".join(f"--- {node['displayName']}\n{self.node_log(ended, node)[-3000:]}" for node in failed)
            raise AssertionError(f"{name} is {phase(ended)}\n{outline(ended)}\n{logs}")
        return ended

    def logs(self, name: str, task: str, namespace: str = "") -> str:
        """What the main containers of a task printed, all its attempts, as far as their pods are still there."""
        ended = self.workflow(name, namespace)
        pods = [
            node for node in ended["status"]["nodes"].values() if node["type"] == "Pod" and node["templateName"] and belongs(node, task)
        ]
        return "".join(self.node_log(ended, node) for node in pods)

    def node_log(self, ended: Object, node: Object) -> str:
        metadata = ended["metadata"]
        try:
            return self.pod_log(pod_name(metadata["name"], node), metadata["namespace"])
        except client.ApiException as error:
            return f"(no log: {error.status} {error.reason})\n"

    def pod_log(self, name: str, namespace: str, container: str = "main", **options: Any) -> str:
        """Raw, since kubernetes 36 decodes a log to the text `b'…'`. Raises ApiException."""
        answer = self.core.read_namespaced_pod_log(name, namespace, container=container, _preload_content=False, **options)
        return bytes(answer.data).decode(errors="replace")

    def pods(self, selector: str, namespace: str = "") -> list[Any]:
        return list(self.core.list_namespaced_pod(namespace or self.tenant, label_selector=selector).items)

    def read(self, uri: str) -> bytes:
        """An object of the store, by its gs:// URI or its path below the tenant's folder."""
        return self._storage(f"/storage/v1/b/{services.BUCKET}/o/{urllib.parse.quote(self._object(uri), safe='')}?alt=media")

    def read_json(self, uri: str) -> Any:
        return json.loads(self.read(uri))

    def names(self, prefix: str = "") -> list[str]:
        """Paths below the tenant's folder in the store that begin with the prefix."""
        query = urllib.parse.urlencode({"prefix": self._object(prefix), "maxResults": 100_000})
        found = json.loads(self._storage(f"/storage/v1/b/{services.BUCKET}/o?{query}"))
        return sorted(item["name"].removeprefix(f"{self.tenant}/") for item in found.get("items", []))

    def commits(self, repository: str = "releases.git") -> list[str]:
        """`<commit> <subject>` of the repository's branch main, newest first."""
        return services.log(self.ports["git"], repository)

    def mlflow(self, path: str, **query: str) -> Any:
        """The answer of MLflow's REST API, `mlflow("registered-models/get", name=…)`."""
        url = f"http://127.0.0.1:{self.ports['mlflow']}/api/2.0/mlflow/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)

    def write(self, uri: str, data: bytes) -> None:
        query = urllib.parse.urlencode({"uploadType": "media", "name": self._object(uri)})
        self._storage(f"/upload/storage/v1/b/{services.BUCKET}/o?{query}", "POST", data)

    def delete(self, uri: str) -> None:
        self._storage(f"/storage/v1/b/{services.BUCKET}/o/{urllib.parse.quote(self._object(uri), safe='')}", "DELETE")

    def _object(self, uri: str) -> str:
        return uri.removeprefix(f"gs://{services.BUCKET}/") if "://" in uri else f"{self.tenant}/{uri}"

    def _storage(self, path: str, method: str = "GET", data: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports['storage']}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return bytes(answer.read())


def workflow(template: str, parameters: Mapping[str, str], labels: Mapping[str, str], name: str = "") -> Object:
    """What `argo submit --from workflowtemplate/…` sends: a reference and literal parameters."""
    given = [{"name": key, "value": value} for key, value in parameters.items()]
    named = {"name": name} if name else {"generateName": f"{template}-"}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {**named, "labels": dict(labels)},
        "spec": {"workflowTemplateRef": {"name": template}, **({"arguments": {"parameters": given}} if given else {})},
    }


def label(user: str) -> str:
    """A user name as Argo writes it into the creator label."""
    return re.sub(r"[^-_.a-zA-Z0-9]", "-", user)[-63:].lstrip("-_.")


def phase(workflow: Object) -> str:
    return str(workflow.get("status", {}).get("phase", ""))


def nodes(workflow: Object) -> dict[str, Object]:
    """Nodes by display name; of a retried task the Retry node, which has its outputs, and its attempts as `task(0)`."""
    return {node["displayName"]: node for node in workflow.get("status", {}).get("nodes", {}).values()}


def outputs(node: Object) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in node.get("outputs", {}).get("parameters", [])}


def reused(workflow: Object) -> set[str]:
    """Tasks whose step found its recorded result and did nothing again."""
    return {name for name, node in nodes(workflow).items() if outputs(node).get("reused") == "yes"}


def belongs(node: Object, task: str) -> bool:
    return bool(re.fullmatch(re.escape(task) + r"(\(\d+\))?", node["displayName"]))


def pod_name(workflow: str, node: Object) -> str:
    """Argo's pod name, version 2: `<workflow>-<template>-<hash>`, and the hash is the end of the node's id."""
    return f"{workflow}-{node['templateName']}-{node['id'].rpartition('-')[2]}"


def outline(workflow: Object) -> str:
    """One line a node that did not succeed, for the message of a failed test."""
    lines = [f"{phase(workflow)} {workflow['status'].get('message', '')}".strip()] if workflow.get("status") else ["no status"]
    for node in sorted(workflow.get("status", {}).get("nodes", {}).values(), key=lambda node: str(node.get("startedAt"))):
        if node["phase"] != "Succeeded":
            lines.append(f"  {node['displayName']:24} {node['type']:8} {node['phase']:10} {node.get('message', '')[:300]}")
    return "\n".join(lines)
