"""Make, open and remove a tenant for tests: namespaces, services, installation, people, demo data, configuration."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from pipelines import settings
from tests.cluster import services
from tests.cluster.forward import forwarded
from tests.cluster.world import PEOPLE, World

PROJECT = Path(__file__).parents[2]
READY = "fleece.dev/test-ready"  # annotation of a kept tenant's services namespace: everything in it is made
_RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 8737,
    "runAsGroup": 8737,
    "fsGroup": 8737,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class NoCluster(Exception):
    """There is nothing to test on."""


class Unusable(Exception):
    """There is a cluster, and a tenant cannot be made on it."""


def connect() -> client.ApiClient:
    """The cluster of KUBECONFIG. Raises NoCluster when there is none or it does not answer."""
    if not os.environ.get("KUBECONFIG"):
        raise NoCluster("no cluster: KUBECONFIG is not set; make test-cluster runs these on the cluster that it names")
    try:
        api = config.new_client_from_config()
        api.configuration.retries = 0  # urllib3 would try three times, with a line each
        client.VersionApi(client.ApiClient(api.configuration)).get_code(_request_timeout=10)
    except Exception as error:
        raise NoCluster(f"no cluster: the one of KUBECONFIG does not answer ({type(error).__name__})") from None
    return api


@contextmanager
def opened(api: client.ApiClient, name: str) -> Iterator[World]:
    """The tenant, made if it is not there, with its services at ports of this machine."""
    world = World(api, name)
    fresh = READY not in (_annotations(world) or {})
    if fresh:
        _preflight(world)
        _serve(world)
        _install(world)
        _people(world)
    with ExitStack() as stack:
        for service, port in services.PORTS.items():
            world.ports[service] = stack.enter_context(forwarded(api, world.services, "services", port))
        if fresh:
            configure(world)
            _demo(world)
            world.core.patch_namespace(world.services, {"metadata": {"annotations": {READY: "yes"}}})
        yield world


def remove(api: client.ApiClient, name: str) -> None:
    """Delete the tenant's namespaces and wait until they are gone."""
    core = client.CoreV1Api(api)
    names = [name, f"{name}-release", f"{name}-services"]
    for namespace in names:
        _unless(404, core.delete_namespace, namespace)
    _until(lambda: not {one.metadata.name for one in core.list_namespace().items} & set(names), 180, f"the namespaces of {name} to go")


def configure(world: World, change: Callable[[Path], None] = lambda folder: None, branch: str = "main") -> str:
    """Push this project's configs/ as the tenant's, after `change` to the folder, to a branch. Gives the commit, a `config-ref`."""
    with tempfile.TemporaryDirectory() as scratch:
        services.configuration(Path(scratch), world.tenant)
        change(Path(scratch))
        return services.push(Path(scratch), world.ports["git"], branch)


def reseeded(seed: int) -> Callable[[Path], None]:
    """A change of the configuration that makes another run: another seed, so that nothing of an earlier one counts."""

    def change(folder: Path) -> None:
        path = folder / "configs" / "demo" / "run.yaml"
        content = yaml.safe_load(path.read_text())
        content["training"]["seed"] = seed
        path.write_text(yaml.safe_dump(content))

    return change


def _annotations(world: World) -> dict[str, str] | None:
    try:
        found: dict[str, str] | None = world.core.read_namespace(world.services).metadata.annotations
        return found
    except client.ApiException as error:
        if error.status == 404:
            return None
        raise


def _preflight(world: World) -> None:
    """Every image of ours starts on the cluster; the test run ends with one line when one cannot be had."""
    _unless(409, world.core.create_namespace, {"metadata": {"name": world.services}})
    containers = [
        {"name": kind, "image": image, "imagePullPolicy": "IfNotPresent", "command": ["python", "-c", "pass"]}
        for kind, image in (settings.IMAGES | {"services": services.IMAGE}).items()
    ]
    spec = {"containers": containers, "restartPolicy": "Never", "automountServiceAccountToken": False}
    _unless(409, world.core.create_namespaced_pod, world.services, {"metadata": {"name": "preflight"}, "spec": spec})
    _until(lambda: _ended(world, world.services, "preflight"), 300, "a pod of every image to run")


def _ended(world: World, namespace: str, name: str) -> bool:
    pod = world.core.read_namespaced_pod(name, namespace)
    for status in pod.status.container_statuses or []:
        waiting, ended = status.state.waiting, status.state.terminated
        if waiting and waiting.reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
            raise Unusable(f"the cluster cannot get the image {status.image}: {waiting.reason}. Build it with make images, and load it")
        if ended and ended.exit_code:
            log = world.pod_log(name, namespace, status.name, tail_lines=20)
            raise Unusable(f"{namespace}/{name}, {status.name}: exit code {ended.exit_code}\n{log}")
    return bool(pod.status.phase == "Succeeded")


def _serve(world: World) -> None:
    _unless(409, world.core.create_namespaced_service, world.services, services.service())
    _unless(409, world.core.create_namespaced_pod, world.services, services.pod())

    def ready() -> bool:
        conditions = world.core.read_namespaced_pod("services", world.services).status.conditions or []
        return any(one.type == "Ready" and one.status == "True" for one in conditions)

    _until(ready, 180, "the services")


def _install(world: World) -> None:
    """`fleece install` as a platform engineer types it; git's password is a Secret that they make themselves."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "settings.yaml").write_text(yaml.safe_dump(services.settings(world.tenant, world.services)))
        shutil.copytree(services.CONFIGS / "policies", folder / "policies")
        _approvers(folder / "policies" / "approvers.yaml", world)
        command = [sys.executable, "-m", "pipelines.cli", "install", "--tenant", world.tenant, "--gangs", "2"]
        files = ["--settings", str(folder / "settings.yaml"), "--policies", str(folder / "policies")]
        done = subprocess.run([*command, *files], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unusable(f"fleece install ended with {done.returncode}: {done.stderr}")
    secret = {"metadata": {"name": settings.GIT[0]}, "stringData": {"username": services.GIT_USER, "password": services.GIT_PASSWORD}}
    _unless(409, world.core.create_namespaced_secret, world.release, secret)  # who may not let out may not push


def _approvers(file: Path, world: World) -> None:
    policy = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(policy | {"tenants": {world.tenant: [world.creator("bob")]}}))


def _people(world: World) -> None:
    """Service accounts that stand for persons: all are engineers, bob may approve as well."""
    rights = client.RbacAuthorizationV1Api(world.api)
    for name in PEOPLE:
        _unless(409, world.core.create_namespaced_service_account, world.services, {"metadata": {"name": name}})
    given = ((world.tenant, "viewer", PEOPLE), (world.tenant, "engineer", PEOPLE), (world.release, "viewer", PEOPLE))
    for namespace, role, names in (*given, (world.release, "approver", ("bob",))):
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": world.services} for name in names]
        binding = {
            "metadata": {"name": f"test-{role}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": subjects,
        }
        _unless(409, rights.create_namespaced_role_binding, namespace, binding)


def _demo(world: World) -> None:
    """The demo's data and base model, made in the cluster by the train image."""
    container = {
        "name": "demo",
        "image": settings.IMAGES["train"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "demo"],
        "envFrom": [{"configMapRef": {"name": settings.SETTINGS}}],
        "resources": {"requests": {"cpu": "250m"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    spec = {
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": _RESTRICTED,
    }
    _unless(409, world.core.create_namespaced_pod, world.tenant, {"metadata": {"name": "demo"}, "spec": spec})
    _until(lambda: _ended(world, world.tenant, "demo"), 600, "the demo's data and base model")


def _unless(status: int, call: Callable[..., Any], *arguments: Any) -> None:
    """Do it; an answer with this status means that it was done before."""
    try:
        call(*arguments)
    except client.ApiException as error:
        if error.status != status:
            raise


def _until(reached: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise Unusable(f"waited {seconds:.0f} s for {what}")
        time.sleep(1)
