"""Who decides what a failed rank means: the Job's podFailurePolicy first, then the JobSet's failurePolicy.

Pure. Rules: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy and
https://jobset.sigs.k8s.io/docs/concepts/ (failure policy); the texts are those of Kubernetes 1.34 and JobSet 0.12.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.local import re2

Spec = Mapping[str, Any]

FAIL = "FailJobSet"
RESTART = "RestartJobSet"
RESTART_UNCOUNTED = "RestartJobSetAndIgnoreMaxRestarts"


@dataclass(frozen=True)
class Ended:
    """A pod that failed: `namespace/name`, its container's exit code (1..255), and whether it was disrupted from outside."""

    pod: str
    code: int
    disrupted: bool = False


@dataclass(frozen=True)
class Cause:
    """Why a Job failed: reason and message of its Failed condition."""

    reason: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """What the JobSet does about it; `counted`: the restart uses up maxRestarts."""

    restart: bool
    counted: bool
    reason: str
    message: str


DEADLINE = Cause("DeadlineExceeded", "Job was active longer than specified deadline")


def cause_of(job: Spec, ended: Ended) -> Cause:
    """The condition of a Job with `backoffLimit: 0` whose first failed pod is `ended`; `job` is the Job's spec."""
    container = job["template"]["spec"]["containers"][0]["name"]
    for index, rule in enumerate(job.get("podFailurePolicy", {}).get("rules", [])):
        seen = _seen(rule, ended, container)
        if seen and rule["action"] == "FailJob":
            return Cause("PodFailurePolicy", f"{seen} matching FailJob rule at index {index}")
        if seen:
            break
    return Cause("BackoffLimitExceeded", "Job has reached the specified backoff limit")


def _seen(rule: Spec, ended: Ended, container: str) -> str:
    """What of the pod the rule matches, in the Job controller's words; empty when it does not match."""
    codes = rule.get("onExitCodes")
    if codes:
        listed = ended.code in codes["values"]
        named = codes.get("containerName", container) == container
        if named and ended.code and listed == (codes["operator"] == "In"):
            return f"Container {container} for pod {ended.pod} failed with exit code {ended.code}"
        return ""
    for pattern in rule.get("onPodConditions", []):
        if ended.disrupted and pattern["type"] == "DisruptionTarget" and pattern.get("status", "True") == "True":
            return f"Pod {ended.pod} has condition DisruptionTarget"
    return ""


def outcome_of(jobset: Spec, cause: Cause, job: str, replicated: str) -> Outcome:
    """What follows from the failure of the Job named `job`, a replica of `replicated`; `jobset` is the whole object."""
    policy = jobset["spec"].get("failurePolicy")
    first = f"(first failed job: {job})"
    if policy is None:
        return Outcome(False, False, "FailedJobs", f"jobset failed due to one or more job failures {first}")
    rule: Spec = next((r for r in policy.get("rules", []) if _applies(r, cause, replicated)), {"action": RESTART})
    action = rule["action"]
    if action == FAIL:
        return Outcome(False, False, f"{FAIL}FailurePolicyAction", f"applying {FAIL} failure policy action {first}")
    counted = action != RESTART_UNCOUNTED
    used = jobset.get("status", {}).get("restartsCountTowardsMax", 0)
    if counted and used >= policy.get("maxRestarts", 0):
        return Outcome(False, False, "ReachedMaxRestarts", f"jobset failed due to reaching max number of restarts {first}")
    reason = f"FailurePolicy_{rule['name']}" if rule.get("name") else f"{action}FailurePolicyAction"
    return Outcome(True, counted, reason, f"applying {action} failure policy action {first}")


def _applies(rule: Spec, cause: Cause, replicated: str) -> bool:
    reasons, targets = rule.get("onJobFailureReasons"), rule.get("targetReplicatedJobs")
    patterns = rule.get("onJobFailureMessagePatterns")
    return (
        (not reasons or cause.reason in reasons)
        and (not targets or replicated in targets)
        and (not patterns or any(re2.compile(pattern).search(cause.message) for pattern in patterns))
    )
