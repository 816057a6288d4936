"""What the API server says while it decodes a manifest: unknown fields, and values of another type. Pure.

The server is strict towards kubectl: https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

from collections.abc import Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]

_HEAD = "apiVersion kind metadata"
_FIELDS = {
    "ConfigMap": f"{_HEAD} data binaryData immutable",
    "Job": f"{_HEAD} spec status",
    "JobSet": f"{_HEAD} spec status",
    "PersistentVolumeClaim": f"{_HEAD} spec status",
    "Secret": f"{_HEAD} data stringData type immutable",
    "ServiceAccount": f"{_HEAD} secrets imagePullSecrets automountServiceAccountToken",
    "metadata": "name generateName namespace labels annotations ownerReferences finalizers uid resourceVersion creationTimestamp "
    "generation managedFields selfLink deletionTimestamp deletionGracePeriodSeconds",
    "spec of JobSet": "replicatedJobs network successPolicy failurePolicy startupPolicy suspend coordinator managedBy "
    "ttlSecondsAfterFinished volumeClaimPolicies",
    "ReplicatedJob": "name groupName template replicas dependsOn",
    "FailurePolicy": "maxRestarts restartStrategy rules",
    "FailurePolicyRule": "name action onJobFailureReasons onJobFailureMessagePatterns targetReplicatedJobs",
    "spec of Job": "parallelism completions activeDeadlineSeconds podFailurePolicy successPolicy backoffLimit backoffLimitPerIndex "
    "maxFailedIndexes selector manualSelector template ttlSecondsAfterFinished completionMode suspend podReplacementPolicy managedBy",
    "PodFailurePolicyRule": "action onExitCodes onPodConditions",
}
_TEXTS = {"ConfigMap": ("data",), "Secret": ("data", "stringData")}


def refusal(manifest: Spec) -> str:
    """Why a manifest cannot be decoded, as kubectl prints it; empty when it can."""
    kind, version = manifest["kind"], str(manifest["apiVersion"]).rpartition("/")[2]
    problem = next(_wrong_types(manifest), "")
    if not problem:
        found = [f'unknown field "{field}"' for field in _unknown_fields(manifest)]
        problem = f"strict decoding error: {', '.join(found)}" if found else ""
    where = f'error when creating "/tmp/manifest.yaml": {kind} in version "{version}" cannot be handled as a {kind}'
    return f"Error from server (BadRequest): {where}: {problem}" if problem else ""


def _wrong_types(manifest: Spec) -> Iterator[str]:
    """In the words of Go's decoder, which names the Go struct."""
    kind = manifest["kind"]
    places = [(f"{kind}.{field}", manifest.get(field)) for field in _TEXTS.get(kind, ())]
    places += [(f"ObjectMeta.metadata.{field}", manifest["metadata"].get(field)) for field in ("labels", "annotations")]
    for place, texts in places:
        if texts is not None and not isinstance(texts, Mapping):
            yield f"json: cannot unmarshal {_kind(texts)} into Go struct field {place} of type map[string]string"
            continue
        for value in (texts or {}).values():
            if not isinstance(value, str | None):
                yield f"json: cannot unmarshal {_kind(value)} into Go struct field {place} of type string"


def _kind(value: object) -> str:
    return {bool: "bool", str: "string", list: "array", dict: "object"}.get(type(value), "number")


def _unknown_fields(manifest: Spec) -> Iterator[str]:
    kind, spec = manifest["kind"], manifest.get("spec") or {}
    if kind in _FIELDS:
        yield from _unknown(manifest, kind, "")
    yield from _unknown(manifest["metadata"], "metadata", "metadata.")
    if kind == "Job":
        yield from _unknown_in_job(spec, "spec.")
    elif kind == "JobSet":
        yield from _unknown_in_jobset(spec)


def _unknown(spec: Spec, what: str, at: str) -> Iterator[str]:
    yield from (f"{at}{field}" for field in spec if field not in _FIELDS[what].split())


def _unknown_in_job(spec: Spec, at: str) -> Iterator[str]:
    yield from _unknown(spec, "spec of Job", at)
    for index, rule in enumerate(spec.get("podFailurePolicy", {}).get("rules", [])):
        yield from _unknown(rule, "PodFailurePolicyRule", f"{at}podFailurePolicy.rules[{index}].")


def _unknown_in_jobset(spec: Spec) -> Iterator[str]:
    yield from _unknown(spec, "spec of JobSet", "spec.")
    policy = spec.get("failurePolicy") or {}
    yield from _unknown(policy, "FailurePolicy", "spec.failurePolicy.")
    for index, rule in enumerate(policy.get("rules", [])):
        yield from _unknown(rule, "FailurePolicyRule", f"spec.failurePolicy.rules[{index}].")
    for index, replicated in enumerate(spec.get("replicatedJobs") or []):
        at = f"spec.replicatedJobs[{index}]."
        yield from _unknown(replicated, "ReplicatedJob", at)
        yield from _unknown_in_job(replicated.get("template", {}).get("spec", {}), f"{at}template.spec.")
