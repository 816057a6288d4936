"""What the controllers write into the objects of a gang: the JobSet's status, and the child Job. Pure edits of one object each."""

from collections.abc import Iterable
from pathlib import Path

from pipelines.local import identity, objectfile
from pipelines.local.failures import Cause
from pipelines.local.gang import JOBSET_NAME, RESTART_ATTEMPT, Attempt
from pipelines.local.objectfile import Object

LOGS = "fleece.dev/logs"  # annotation of the JobSet: the folder of attempt-<n>-<index>.log
PIDS = "fleece.dev/pids"  # annotation of the Job: "<index>=<pid>,…"


def begin(jobset: Object, logs: Path) -> None:
    jobset["metadata"].setdefault("annotations", {})[LOGS] = str(logs)
    jobset["status"] = {"restarts": 0}


def running(jobset: Object, replicated: str) -> None:
    jobset["status"]["replicatedJobsStatus"] = [{"name": replicated, "active": 1, "ready": 1, "succeeded": 0, "failed": 0, "suspended": 0}]
    if restarting := objectfile.holds(jobset, "RestartingJobSet"):
        objectfile.condition(jobset, "RestartingJobSet", restarting["reason"], restarting["message"], status="False")


def restart(jobset: Object, reason: str, message: str, counted: bool) -> None:
    status = jobset["status"]
    status["restarts"] += 1
    if counted:
        status["restartsCountTowardsMax"] = status.get("restartsCountTowardsMax", 0) + 1
    objectfile.condition(jobset, "RestartingJobSet", reason, message)


def end(jobset: Object, state: str, reason: str, message: str) -> None:
    """Completed or Failed, for good."""
    objectfile.condition(jobset, state, reason, message)
    jobset.setdefault("status", {}).update(terminalState=state)
    for each in jobset["status"].get("replicatedJobsStatus", []):
        each.update(active=0, ready=0, **({"succeeded": 1} if state == "Completed" else {"failed": 1}))


def job(attempt: Attempt, pids: Iterable[tuple[int, int]]) -> Object:
    """The child Job of an attempt whose ranks run as these processes (index, pid)."""
    owner = {"apiVersion": attempt.jobset["apiVersion"], "kind": "JobSet", "name": attempt.name, "uid": attempt.jobset["metadata"]["uid"]}
    metadata = {
        "name": attempt.job_name,
        "namespace": attempt.namespace,
        "uid": identity.uid(),
        "creationTimestamp": objectfile.now(),
        "resourceVersion": "1",
        "labels": {RESTART_ATTEMPT: str(attempt.number), JOBSET_NAME: attempt.name},
        "annotations": {PIDS: ",".join(f"{index}={pid}" for index, pid in pids)},
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    status = {"active": attempt.size, "startTime": objectfile.now()}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": attempt.job["spec"], "status": status}


def freeze(job: Object, cause: Cause) -> None:
    """Every rank is being ended because of this."""
    objectfile.condition(job, "FailureTarget", cause.reason, cause.message)


def finish(job: Object, cause: Cause | None) -> None:
    """Every rank has ended."""
    job["status"]["active"] = 0
    if cause:
        objectfile.condition(job, "Failed", cause.reason, cause.message)
    else:
        objectfile.condition(job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods")
