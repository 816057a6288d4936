"""Where a run of `finetune` is, what it holds, and blows to its trainer pods: shared by the tests of stopping, losing and pre-empting."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from kubernetes.stream import stream

from pipelines import settings
from tests.cluster import tenant
from tests.cluster.world import Object, World, nodes, outputs, phase

JOBSET = ("jobset.x-k8s.io", "v1alpha2")
_HANDS = "hands"
_LOOK_SECONDS = 0.5

# Run in the node's process namespace. PID 1 of a container ignores signals from inside it, so the blow must come from outside.
_KILL = """\
import os, pathlib, sys
uid, worker = sys.argv[1].encode(), sys.argv[2] == "worker"
for entry in pathlib.Path("/proc").iterdir():
    try:
        ours = entry.name.isdigit() and b"POD_UID=" + uid in (entry / "environ").read_bytes()
        is_worker = ours and b"steps.train.worker" in (entry / "cmdline").read_bytes()
        is_first = ours and (entry / "status").read_text().split("NSpid:")[1].splitlines()[0].split()[-1] == "1"
    except OSError:
        continue
    if is_worker if worker else is_first:
        os.kill(int(entry.name), 9)
        print("killed", flush=True)
"""


def trains(seed: int = 42, **values: Any) -> Callable[[Path], None]:
    """A change of the demo's training configuration: `trains(7, num_train_epochs=9)`."""

    def change(folder: Path) -> None:
        tenant.reseeded(seed)(folder)
        path = folder / "configs" / "demo" / "train.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))

    return change


def jobset_of(world: World, workflow: Object) -> Object | None:
    """The run's JobSet, or None while there is none."""
    try:
        name = f"ft-{workflow['metadata']['uid']}"
        found: Object = world.custom.get_namespaced_custom_object(*JOBSET, world.tenant, "jobsets", name)
    except client.ApiException as error:
        if error.status == 404:
            return None
        raise
    return found


def trains_still(world: World, workflow: Object) -> bool:
    """Is there a JobSet of the run that has not ended? One that has is kept, as evidence."""
    jobset = jobset_of(world, workflow)
    return jobset is not None and not jobset.get("status", {}).get("terminalState")


def alive(world: World, name: str) -> list[str]:
    """Pods of the run that have not ended: those of its steps, of Argo, and of its gang."""
    return [pod.metadata.name for pod in world.pods(f"workflows.argoproj.io/workflow={name}") if pod.status.phase in ("Pending", "Running")]


def seconds_to_nothing(world: World, name: str, limit: float) -> float:
    """Seconds until no pod of the run is alive, for three looks: an exit handler starts pods after others have ended."""
    began = time.monotonic()
    since = None
    while True:
        now = time.monotonic()
        left = alive(world, name)
        since = None if left else (since or now)
        if since and now - since > 6 * _LOOK_SECONDS:
            return round(since - began, 1)
        assert now - began < limit, f"{name}: alive after {limit:.0f} s: {', '.join(left)}"
        time.sleep(_LOOK_SECONDS)


def committed_step(world: World, workflow: Object) -> int:
    """The newest step whose checkpoint is committed; 0 while there is none."""
    run = run_id(workflow)
    found = world.names(f"runs/{run}/train/checkpoints/") if run else []
    return max((int(name.split("/")[-2]) for name in found if name.endswith("/manifest.json")), default=0)


def trained_on(world: World, workflow: Object) -> bool:
    """Has the run's own gang committed a checkpoint? Others may have, of an earlier Workflow with the same inputs."""
    attempts = f"runs/{run_id(workflow)}/train/attempts/"
    begins = [world.read_json(name) for name in world.names(attempts) if name.endswith("/begin-0.json")]
    mine = [begin["step"] for begin in begins if begin["jobset"] == f"ft-{workflow['metadata']['uid']}"]
    return bool(mine) and committed_step(world, workflow) > min(mine)


def run_id(workflow: Object) -> str:
    return outputs(nodes(workflow).get("plan", {})).get("run-id", "")


def is_running(world: World, workflow: Object, task: str) -> bool:
    """Is a main container of this task running? A node says so too early: its pod may still be waiting for a machine."""
    pods = world.pods(f"workflows.argoproj.io/workflow={workflow['metadata']['name']}")
    mine = [
        pod for pod in pods if (pod.metadata.annotations or {}).get("workflows.argoproj.io/node-name", "").split(".")[-1].startswith(task)
    ]
    states = [status.state for pod in mine for status in pod.status.container_statuses or [] if status.name == "main"]
    return any(state.running for state in states)


def until(world: World, name: str, reached: Callable[[Object], bool], seconds: float = 600) -> Object:
    """The Workflow once `reached`, or once it has ended: the caller looks at its phase."""
    return world.wait(name, lambda now: phase(now) in ("Succeeded", "Failed", "Error") or reached(now), seconds)


def rank(world: World, jobset: Object, number: int) -> Any:
    """The running pod of a rank, or None."""
    selector = f"jobset.sigs.k8s.io/jobset-name={jobset['metadata']['name']},batch.kubernetes.io/job-completion-index={number}"
    pods = [pod for pod in world.pods(selector) if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]
    return pods[0] if pods else None


def evict(world: World, pod: Any) -> None:
    """What a drain and the descheduler do: the Eviction API."""
    name = pod.metadata.name
    world.core.create_namespaced_pod_eviction(name, world.tenant, {"metadata": {"name": name}})


def kill(world: World, pod: Any, *, worker: bool) -> None:
    """SIGKILL on the node: to the pod's PID 1, or to its worker."""
    command = ["python", "-c", _KILL, pod.metadata.uid, "worker" if worker else "first"]
    with client.ApiClient(world.api.configuration) as own:  # a stream changes its client
        run = client.CoreV1Api(own).connect_get_namespaced_pod_exec
        shell = stream(run, _HANDS, world.services, command=command, stdout=True, stderr=True, _preload_content=False)
        shell.run_forever(timeout=30)
        said = shell.read_all()
        shell.sock.shutdown()  # its own close() leaves the socket open once the other side has closed
    assert said.split() == ["killed"], said


@contextlib.contextmanager
def hands(world: World) -> Iterator[None]:
    """A privileged pod in the node's process namespace, outside the tenant, for `kill`."""
    container = {
        "name": "main", "image": settings.IMAGES["core"], "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", "import signal; signal.pause()"],
        "securityContext": {"privileged": True, "runAsUser": 0},
    }  # fmt: skip
    spec = {"containers": [container], "hostPID": True, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}
    world.core.create_namespaced_pod(world.services, {"metadata": {"name": _HANDS}, "spec": spec})
    try:
        deadline = time.monotonic() + 60
        while world.core.read_namespaced_pod(_HANDS, world.services).status.phase != "Running":
            assert time.monotonic() < deadline, "the pod `hands` does not start; may a privileged one run in this cluster?"
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        world.core.delete_namespaced_pod(_HANDS, world.services)
