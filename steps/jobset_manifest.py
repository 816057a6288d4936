"""The JobSet that trains: one gang of equal pods, restarted as a whole. Shapes and rules as tried on a real cluster.

Which end restarts, and which is final (DESIGN §3, §7): a fatal exit code fails the JobSet at once; a disruption, 75 and 76 restart it
without counting; everything else restarts it and counts. https://jobset.sigs.k8s.io/docs/concepts/#failure-policy
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from steps.faults import BadInput
from steps.presets import Machines

MASTER_PORT = 29500
MAX_RESTARTS = 6  # counted ones: real faults
KEPT_SECONDS = 24 * 3600  # a finished JobSet; far above the poll of the waiting step, which fails when the object is gone
GRACE_SECONDS = 110  # on spot machines the node gives less
LONGEST_NAME = 48  # `<name>-node-0-0-abcde` has at most 63 characters
FATAL = (64, 65, 71, 78)
AGAIN = (75, 76)

_LABEL = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_DNS_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")

Object = dict[str, Any]


@dataclass(frozen=True)
class Gang:
    """What one JobSet is made of."""

    name: str
    machines: Machines
    image: str
    command: list[str]
    labels: dict[str, str]


def jobset(gang: Gang) -> Object:
    """Raises BadInput for a name or label that the API would refuse, or accept and never start."""
    _check(gang)
    labels = gang.labels | ({"kueue.x-k8s.io/queue-name": "training"} if gang.machines.accelerator else {})
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": gang.name, "labels": labels},
        "spec": {
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
            "successPolicy": {"operator": "All"},
            "failurePolicy": _failure_policy(),
            "replicatedJobs": [{"name": "node", "replicas": 1, "template": {"spec": _job(gang)}}],
        },
    }


def child(made: Object) -> Object:
    """The JobSet's only Job by itself. A dry run of it finds a bad pod template; a dry run of the JobSet does not."""
    job = made["spec"]["replicatedJobs"][0]["template"]["spec"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"{made['metadata']['name']}-node-0"}, "spec": job}


def one_line(made: Object) -> str:
    """JSON in one line with no `}}` in it, which Argo would take for the end of a tag. No string in it holds a brace."""
    return re.sub(r"\}(?=\})", "} ", json.dumps(made))


def _check(gang: Gang) -> None:
    if len(gang.name) > LONGEST_NAME or not _DNS_1035.match(gang.name):
        raise BadInput(
            f"JobSet name {gang.name!r} is no DNS label of at most {LONGEST_NAME} characters that begins with a letter; shorten it"
        )
    for key, value in gang.labels.items():
        if not _LABEL.match(value):
            raise BadInput(f"{value[:80]!r} cannot be the label {key}: at most 63 letters, digits, '-', '_', '.'")


def _failure_policy() -> Object:
    """A pattern that is no valid regular expression is accepted by the API and never matches, hence the compiling."""
    codes = "|".join(map(str, FATAL)), "|".join(map(str, AGAIN))
    fatal, again = f"exit code ({codes[0]}) ", f"exit code ({codes[1]}) "
    for pattern in (fatal, again):
        re.compile(pattern)  # plain groups and words: the same in RE2
    reasons = ["PodFailurePolicy"]
    return {
        "maxRestarts": MAX_RESTARTS,
        "restartStrategy": "BlockingRecreate",
        "rules": [
            {
                "name": "nonRetriable",
                "action": "FailJobSet",
                "onJobFailureReasons": reasons,
                "onJobFailureMessagePatterns": [fatal],
            },
            {
                "name": "disruption",
                "action": "RestartJobSetAndIgnoreMaxRestarts",
                "onJobFailureReasons": reasons,
                "onJobFailureMessagePatterns": ["DisruptionTarget", again],
            },
            {"name": "other", "action": "RestartJobSet"},
        ],
    }


def _job(gang: Gang) -> Object:
    return {
        "parallelism": gang.machines.nodes,
        "completions": gang.machines.nodes,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": list(AGAIN)}},
                {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": list(FATAL)}},
            ]
        },
        "template": {
            "metadata": {
                "labels": gang.labels | {"app.kubernetes.io/component": "trainer"},
                "annotations": {
                    "kubectl.kubernetes.io/default-container": "main",
                    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
                },
            },
            "spec": _pod(gang),
        },
    }


def _pod(gang: Gang) -> Object:
    machines = gang.machines
    pod: Object = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "serviceAccountName": "trainer",  # may do nothing, and has no token: user code
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 8737,
            "runAsGroup": 8737,
            "fsGroup": 8737,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(gang)],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": machines.scratch}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": machines.shared_memory}},
        ],
        "tolerations": _tolerations(machines),
    }
    if machines.node_selector:
        pod["nodeSelector"] = machines.node_selector
    if machines.nodes > 1 and machines.accelerator:
        pod["affinity"] = _apart(gang.name)
    return pod


def _container(gang: Gang) -> Object:
    machines = gang.machines
    amounts = {"cpu": machines.cpu, "memory": machines.memory, "ephemeral-storage": machines.scratch}
    if machines.accelerator:
        amounts["nvidia.com/gpu"] = str(machines.processes)
    return {
        "name": "main",
        "image": gang.image,
        "command": gang.command,
        "env": _environment(gang),
        "envFrom": [{"configMapRef": {"name": "fleece"}}],
        "ports": [{"name": "master", "containerPort": MASTER_PORT}],
        "resources": {"requests": amounts | {"cpu": machines.cpu_asked or machines.cpu}, "limits": amounts},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a mount of the pod's own
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - 64 MiB by default, too little for NCCL
        ],
    }


def _environment(gang: Gang) -> list[Object]:
    machines = gang.machines
    cores = max(1, int(float(machines.cpu)) // machines.processes)
    values = {
        "JOBSET": gang.name,
        "NNODES": str(machines.nodes),
        "NPROC_PER_NODE": str(machines.processes),
        "MASTER_ADDR": f"{gang.name}-node-0-0.{gang.name}",
        "MASTER_PORT": str(MASTER_PORT),
        "OMP_NUM_THREADS": str(cores),
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/tmp",  # noqa: S108 - the root file system is read-only
    }
    if machines.accelerator:
        values |= {"NCCL_DEBUG": "WARN", "NCCL_SOCKET_IFNAME": "eth0"}
    else:
        values["ACCELERATE_TORCH_DEVICE"] = "cpu"  # two-process resume on CPU fails without it
    rank = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    fields = {"NODE_RANK": rank, "POD_UID": "metadata.uid"}
    return [{"name": name, "value": value} for name, value in values.items()] + [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()
    ]


def _tolerations(machines: Machines) -> list[Object]:
    """A lost node is given up after 30 s, not after Kubernetes' 300: the rest of the gang waits for it."""
    lost = [
        {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
        for state in ("not-ready", "unreachable")
    ]
    gpu = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    spot = [{"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}]
    return lost + (gpu if machines.accelerator else []) + (spot if machines.spot else [])


def _apart(name: str) -> Object:
    """One pod a node: nothing else spreads the ranks."""
    return {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "labelSelector": {"matchLabels": {"jobset.sigs.k8s.io/jobset-name": name}},
                    "topologyKey": "kubernetes.io/hostname",
                }
            ]
        }
    }
