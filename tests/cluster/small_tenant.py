"""Two namespaces like a tenant's with small templates of the same shape: a cluster for `fleece` without our images and services."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from pipelines.cli import main
from pipelines.cluster import platform
from pipelines.cluster.api import Api, path
from pipelines.cluster.objects import GROUP

IMAGE = "docker.io/library/python:3.11-slim-bookworm"
RIGHTS = "rbac.authorization.k8s.io/v1"
SAY = "import sys, time\nfor i in range(int(sys.argv[1])):\n    print('line', i, flush=True)\n    time.sleep(float(sys.argv[2]))"
DIGEST = f"sha256:{'0' * 64}"
Object = dict[str, Any]


@dataclass
class Place:
    """Two namespaces like a tenant's, with alice (engineer) and bob (engineer and approver)."""

    admin: Api
    name: str
    folder: Path

    @property
    def release(self) -> str:
        return f"{self.name}-release"

    def fleece(self, *words: str, as_: str = "alice", code: int = 0) -> Result:
        """The command with this person's kubeconfig; `admin`: with the one that the tests were given."""
        env = {"FLEECE_CLUSTER": "1"} | ({} if as_ == "admin" else {"KUBECONFIG": str(self.folder / as_)})
        place = () if {"-n", "--namespace"} & set(words) else ("-n", self.name)
        done = CliRunner().invoke(main, [*words, *place], env=env)
        assert done.exit_code == code, f"{words}: {done.exit_code}\n{done.output}"
        return done

    def started(self, *words: str, as_: str = "alice") -> str:
        return self.fleece("submit", *words, "-o", "name", as_=as_).stdout.strip()

    def run(self, name: str, namespace: str = "") -> Object:
        found: Object = self.admin.call("GET", path(GROUP, "workflows", namespace or self.name, name))
        return found

    def until(self, reached: Callable[[], Any], what: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"no {what} in {seconds:.0f} s"
            time.sleep(0.5)

    def phase(self, name: str) -> str:
        return str(self.run(name).get("status", {}).get("phase", ""))


def objects(made: Place) -> Iterator[Object]:
    """Namespaces, accounts, the rights of argocd/platform/fleece, and templates."""
    rooms = {"tenant": (made.name, "count,finetune"), "release": (made.release, "approve")}
    for room, (namespace, startable) in rooms.items():
        labels = {"fleece.dev/tenant": made.name, "fleece.dev/room": room}
        metadata = {"name": namespace, "labels": labels, "annotations": {"fleece.dev/templates": startable}}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "steps", "namespace": namespace}}
        for role in platform.manifests(room):
            if role["kind"] == "Role" and role["metadata"]["name"] in ("executor", "viewer", "engineer", "approver"):
                yield role | {"metadata": {"name": role["metadata"]["name"], "namespace": namespace}}
        yield bound(made, namespace, "executor", ("steps", namespace))
        yield bound(made, namespace, "viewer", ("alice", made.name), ("bob", made.name))
    for person in ("alice", "bob"):
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": person, "namespace": made.name}}
    yield bound(made, made.name, "engineer", ("alice", made.name), ("bob", made.name))
    yield bound(made, made.release, "approver", ("bob", made.name))
    yield from templates(made)


def bound(made: Place, namespace: str, role: str, *accounts: tuple[str, str]) -> Object:
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": home} for name, home in accounts]
    reference = {"apiGroup": RIGHTS.partition("/")[0], "kind": "Role", "name": role}
    metadata = {"name": role, "namespace": namespace}
    return {"apiVersion": RIGHTS, "kind": "RoleBinding", "metadata": metadata, "roleRef": reference, "subjects": subjects}


def templates(made: Place) -> Iterator[Object]:
    """`count` writes lines; `finetune` ends with a release request like ours; `approve` takes what ours takes."""
    lines = [{"name": "lines", "value": "3"}, {"name": "pause", "value": "0", "enum": ["0", "1"]}, {"name": "who"}]
    say = {"name": "say", "container": container(SAY, "{{workflow.parameters.lines}}", "{{workflow.parameters.pause}}")}
    inner = dag("inner", {"name": "three", "template": "say"})
    outer = dag("main", {"name": "one", "template": "say"}, {"name": "two", "template": "inner", "depends": "one"})
    yield template(made.name, "count", lines, outer, inner, say)
    gives = {"request": "gs://b/r/request.json", "route": "ask", "reason": "two people must agree"}
    digest = {"name": "digest", "value": DIGEST}
    given = {"parameters": [digest, {"name": "version", "value": "3"}]}
    asks = {"name": "request", "template": "request", "depends": "plan", "arguments": given}
    request = giving("request", gives) | {"inputs": {"parameters": [{"name": "digest"}, {"name": "version"}]}}
    plan = giving("plan", {"model-id": "acme.support.v1"})
    yield template(made.name, "finetune", [], dag("main", {"name": "plan", "template": "plan"}, asks), plan, request)
    takes = [{"name": name} for name in ("request", "digest", "decision", "reason")]
    yield template(made.release, "approve", takes, {"name": "main", "container": container("print('recorded')")})


def template(namespace: str, name: str, takes: list[Object], *inside: Object) -> Object:
    spec = {"entrypoint": "main", "serviceAccountName": "steps", "arguments": {"parameters": takes}, "templates": list(inside)}
    return {"apiVersion": GROUP, "kind": "WorkflowTemplate", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def dag(name: str, *tasks: Object) -> Object:
    return {"name": name, "dag": {"tasks": list(tasks)}}


def container(program: str, *words: str) -> Object:
    return {"image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["python", "-c", program], "args": list(words)}


def giving(name: str, values: dict[str, str]) -> Object:
    program = (
        f"import json, pathlib\nfor k, v in json.loads('''{json.dumps(values)}''').items():\n    pathlib.Path(f'/tmp/{{k}}').write_text(v)"
    )
    outputs = [{"name": key, "valueFrom": {"path": f"/tmp/{key}"}} for key in values]
    return {"name": name, "container": container(program), "outputs": {"parameters": outputs}}


def kubeconfig(made: Place, person: str) -> Object:
    """A file as a person has it: a token, and a context with the namespace."""
    ask = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = made.admin.call("POST", f"{path('v1', 'serviceaccounts', made.name, person)}/token", ask)["status"]["token"]
    own = made.admin.client.configuration
    cluster = {"server": own.host}
    if own.ssl_ca_cert:
        cluster["certificate-authority-data"] = base64.b64encode(Path(own.ssl_ca_cert).read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "own",
        "clusters": [{"name": "own", "cluster": cluster}],
        "users": [{"name": person, "user": {"token": token}}],
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": person, "namespace": made.name}}],
    }
