"""A JobSet with the rules of DESIGN §7, whose ranks are small Python programs."""

import copy
import sys
from typing import Any

RULES = [
    {
        "name": "nonRetriable",
        "action": "FailJobSet",
        "onJobFailureReasons": ["PodFailurePolicy"],
        "onJobFailureMessagePatterns": ["exit code (64|65|78) "],
    },
    {
        "name": "disruption",
        "action": "RestartJobSetAndIgnoreMaxRestarts",
        "onJobFailureReasons": ["PodFailurePolicy"],
        "onJobFailureMessagePatterns": ["DisruptionTarget", "exit code (75|76) "],
    },
    {"name": "other", "action": "RestartJobSet"},
]
POD_RULES = [
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [75, 76]}},
    {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [64, 65, 78]}},
]


def jobset(name: str, program: str = "", ranks: int = 2, **changes: Any) -> dict[str, Any]:
    """`program` runs in every rank, with os, sys, time, signal, `rank` and `attempt` at hand. `changes`: fields of the container."""
    prelude = (
        "import os, signal, subprocess, sys, time\nrank, attempt = int(os.environ['JOB_COMPLETION_INDEX']), int(os.environ['ATTEMPT'])\n"
    )
    attempt = {"name": "ATTEMPT", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['jobset.sigs.k8s.io/restart-attempt']"}}}
    container: dict[str, Any] = {"name": "main", "image": "train:1", "command": [sys.executable, "-S", "-c", prelude + program]}
    container |= changes
    container["env"] = [attempt, *changes.get("env", [])]
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    job = {"completions": ranks, "parallelism": ranks, "completionMode": "Indexed", "backoffLimit": 0}
    job |= {"podFailurePolicy": {"rules": POD_RULES}, "template": {"spec": pod}}
    spec = {
        "failurePolicy": {"maxRestarts": 1, "rules": RULES},
        "replicatedJobs": [{"name": "node", "replicas": 1, "template": {"spec": job}}],
    }
    return copy.deepcopy({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": name}, "spec": spec})


def job_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The spec of the child Job."""
    spec: dict[str, Any] = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    return spec


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The pod's spec."""
    spec: dict[str, Any] = job_of(manifest)["template"]["spec"]
    return spec
