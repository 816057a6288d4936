"""What a cluster says to a Job or JobSet before it accepts it, and what this machine cannot run. Pure: a manifest in, a refusal out.

Texts: Kubernetes 1.34 and JobSet 0.12. A JobSet whose Job is invalid is refused here at once; a cluster accepts it and never starts it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.local import decoding, re2
from pipelines.local.gang import FIELDS, VOLUMES

Spec = Mapping[str, Any]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # DNS-1123 label
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # DNS-1035 label
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")  # DNS-1123 subdomain
_KEY = re.compile(r"[-._a-zA-Z0-9]+")  # of a ConfigMap's or Secret's data
_RULE_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_POD_SUFFIX = len("-0-0-abcde")
_POD_NAME_MAX = 63
_REASONS = ("BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy")
_ACTIONS = ("FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts", "RestartJob", "RestartJobAndIgnoreMaxRestarts")
_POD_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_RULE_NAME_TEXT = (
    "a failure policy rule name must start with an alphabetic character, optionally followed by a string of alphanumeric characters or "
    "'_,:', and must end with an alphanumeric character or '_'"
)
_GATE = "RestartJob and RestartJobAndIgnoreMaxRestarts failure policy actions are not allowed when RestartJob feature gate is disabled"
_NO_CONTAINER = "must be one of the container or initContainer names in the pod template"
_DNS1123 = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"
_DNS1123_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex "
    "used for validation is '[-._a-zA-Z0-9]+')"
)
_DNS1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an "
    "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def refusal(manifest: Spec) -> str:
    """Why a manifest is not accepted, as kubectl prints it; empty when it is."""
    if problem := decoding.refusal(manifest):
        return problem
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    spec = manifest.get("spec") or {}
    namespace = manifest["metadata"]["namespace"]
    if not _LABEL.fullmatch(namespace):
        return _invalid(kind, name, [f'metadata.namespace: Invalid value: "{namespace}": {_DNS1123}'])
    if kind == "JobSet":
        return _jobset(name, spec)
    problems = [f'metadata.name: Invalid value: "{name}": {_DNS1123_SUBDOMAIN}'] if not _SUBDOMAIN.fullmatch(name) else []
    if kind == "Job":
        problems += _job(spec, "spec", default=None)
        if not problems and (beyond := list(_unsupported_job(spec))):
            return f'The Job "{name}" cannot run on this machine: {_joined(beyond)}'
    if kind in ("ConfigMap", "Secret"):
        problems += [f'data[{key}]: Invalid value: "{key}": {_KEY_TEXT}' for key in manifest.get("data") or {} if not _KEY.fullmatch(key)]
    return _invalid(kind, name, problems, lines=True)


def _jobset(name: str, spec: Spec) -> str:
    if problem := _invalid("JobSet", name, _jobset_problems(name, spec)):
        return problem
    for replicated in spec["replicatedJobs"]:
        job = f"{name}-{replicated['name']}-0"
        if problems := list(_job(replicated["template"].get("spec", {}), "spec", default="OnFailure")):
            return f'job "{job}" creation failed with error: Job.batch "{job}" is invalid: {_joined(problems)}'
    if beyond := list(_unsupported(spec)):
        return f'The JobSet "{name}" cannot run on this machine: {_joined(beyond)}'
    return ""


def _invalid(kind: str, name: str, problems: Iterator[str] | Sequence[str], lines: bool = False) -> str:
    """`lines`: the server itself refuses, and kubectl prints a line for each problem; otherwise a webhook does."""
    found = list(problems)
    if lines and found:
        listed = found[0] if len(found) == 1 else "".join(f"\n* {problem}" for problem in found)
        return f'The {kind} "{name}" is invalid: {listed}\n'
    return f'The {kind} "{name}" is invalid: {_joined(found)}' if found else ""


def _joined(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"


def _jobset_problems(name: str, spec: Spec) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f'metadata.name: Invalid value: "{name}": {_DNS1035}'
    replicated = spec.get("replicatedJobs") or []
    if not replicated:
        yield "spec.replicatedJobs: Required value"
    for index, job in enumerate(replicated):
        full = f"{name}-{job.get('name', '')}"
        if not _NAME.fullmatch(job.get("name", "")):
            yield f'spec.replicatedJobs[{index}].name: Invalid value: "{job.get("name", "")}": {_DNS1035}'
        elif len(full) + _POD_SUFFIX > _POD_NAME_MAX:
            yield (
                f'spec.replicatedJobs[{index}].name: Invalid value: "{full}": JobSet name is too long, pod names generated for this '
                "JobSet will exceed 63 characters"
            )
        if "template" not in job:
            yield f"spec.replicatedJobs[{index}].template: Required value"
    yield from _failure_policy(spec.get("failurePolicy") or {}, [job.get("name") for job in replicated])


def _failure_policy(policy: Spec, jobs: Sequence[object]) -> Iterator[str]:
    rules = policy.get("rules", [])
    names = [rule.get("name", f"failurePolicyRule{index}") for index, rule in enumerate(rules)]
    for index, (rule, name) in enumerate(zip(rules, names, strict=True)):
        at = f"spec.failurePolicy.rules[{index}]"
        if not _RULE_NAME.fullmatch(name):
            yield f"<nil>: Internal error: invalid failure policy rule name '{name}', {_RULE_NAME_TEXT}"
        if names.index(name) < index:
            same = " ".join(str(i) for i, other in enumerate(names) if other == name)
            yield f"rule names are not unique, rules with indices [{same}] all have the same name '{name}'"
        if rule.get("action") not in _ACTIONS:
            listed = ", ".join(f'"{action}"' for action in _ACTIONS)
            yield f'{at}.action: Unsupported value: "{rule.get("action", "")}": supported values: {listed}'
        elif rule["action"].startswith("RestartJob") and not rule["action"].startswith("RestartJobSet"):
            yield _GATE
        for reason in rule.get("onJobFailureReasons", []):
            if reason not in _REASONS:
                yield f"invalid job failure reason '{reason}' in failure policy is not a recognized job failure reason"
        for target in rule.get("targetReplicatedJobs", []):
            if target not in jobs:
                yield f"invalid replicatedJob name '{target}' in failure policy does not appear in .spec.ReplicatedJobs"
        yield from _patterns(rule.get("onJobFailureMessagePatterns", []), at)


def _patterns(patterns: Sequence[str], at: str) -> Iterator[str]:
    """JobSet accepts a bad pattern, which then never matches: a fatal exit code would be restarted."""
    for index, pattern in enumerate(patterns):
        try:
            re2.compile(pattern)
        except re2.PatternError as error:
            yield f'{at}.onJobFailureMessagePatterns[{index}]: Invalid value: "{pattern}": {error}'


def _job(spec: Spec, at: str, default: str | None) -> Iterator[str]:
    """What the Job API refuses; `default`: the restartPolicy that a webhook puts in where none is given."""
    pod = spec.get("template", {}).get("spec", {})
    inside = f"{at}.template.spec"
    containers = pod.get("containers") or []
    if not containers:
        yield f"{inside}.containers: Required value"
    for index, container in enumerate(containers):
        yield from _container(container, pod, f"{inside}.containers[{index}]")
    policy = pod.get("restartPolicy", default)
    rules = spec.get("podFailurePolicy", {}).get("rules", [])
    if policy not in ("Never", "OnFailure"):
        problem = f'Unsupported value: "{policy}": supported values:' if policy else "Required value: valid values:"
        yield f'{inside}.restartPolicy: {problem} "OnFailure", "Never"'
    elif rules and policy != "Never":
        yield f'{inside}.restartPolicy: Invalid value: "{policy}": only "Never" is supported when podFailurePolicy is specified'
    for index, rule in enumerate(rules):
        yield from _pod_rule(rule, {c.get("name") for c in containers}, f"{at}.podFailurePolicy.rules[{index}]")


def _container(container: Spec, pod: Spec, at: str) -> Iterator[str]:
    name = container.get("name", "")
    if not name:
        yield f"{at}.name: Required value"
    elif not _LABEL.fullmatch(name) or len(name) > _POD_NAME_MAX:
        yield f'{at}.name: Invalid value: "{name}": {_DNS1123}'
    if not container.get("image"):
        yield f"{at}.image: Required value"
    for variable in container.get("env", []):
        if not isinstance(variable.get("value", ""), str):
            yield f"{at}.env[{variable.get('name')}].value: Invalid value: {variable['value']!r}: must be of type string"
    volumes = [volume["name"] for volume in pod.get("volumes", [])]
    for index, mount in enumerate(container.get("volumeMounts", [])):
        if mount.get("name") not in volumes:
            yield f'{at}.volumeMounts[{index}].name: Not found: "{mount.get("name", "")}"'
    yield from _devices(container.get("resources", {}), f"{at}.resources")


def _devices(resources: Spec, at: str) -> Iterator[str]:
    """Extended resources are whole, and limits are what counts."""
    limits = resources.get("limits", {})
    for name in sorted({**resources.get("requests", {}), **limits}):
        if "/" not in name:
            continue
        if name not in limits:
            yield f"{at}.limits: Required value: Limit must be set for non overcommitable resources"
        elif not str(limits[name]).isdecimal():
            yield f'{at}.limits[{name}]: Invalid value: "{limits[name]}": must be an integer'


def _pod_rule(rule: Spec, containers: set[object], at: str) -> Iterator[str]:
    if rule.get("action") not in _POD_ACTIONS:
        listed = ", ".join(f'"{action}"' for action in _POD_ACTIONS)
        yield f'{at}.action: Unsupported value: "{rule.get("action", "")}": supported values: {listed}'
    codes = rule.get("onExitCodes")
    if (codes is None) == (not rule.get("onPodConditions")):
        yield f"{at}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"
    if codes is None:
        return
    values, name = codes.get("values", []), codes.get("containerName")
    if name is not None and name not in containers:
        yield f'{at}.onExitCodes.containerName: Invalid value: "{name}": {_NO_CONTAINER}'
    if codes.get("operator") not in ("In", "NotIn"):
        yield f'{at}.onExitCodes.operator: Unsupported value: "{codes.get("operator", "")}": supported values: "In", "NotIn"'
    if not values:
        yield f"{at}.onExitCodes.values: Invalid value: []: at least one value is required"
    if 0 in values and codes.get("operator") == "In":
        yield f"{at}.onExitCodes.values[{values.index(0)}]: Invalid value: 0: must not be 0 for the In operator"
    for index, value in enumerate(values):
        if value in values[:index]:
            yield f"{at}.onExitCodes.values[{index}]: Duplicate value: {value}"
    if values != sorted(values):
        yield f"{at}.onExitCodes.values: Invalid value: {str(values).replace(' ', '')}: must be ordered"


def _unsupported(spec: Spec) -> Iterator[str]:
    """Valid on a cluster, not run here."""
    if spec.get("suspend"):
        yield "spec.suspend is not supported"
    if len(spec["replicatedJobs"]) > 1 or spec["replicatedJobs"][0].get("replicas", 1) != 1:
        yield "only one replicatedJob with one replica is supported"
    job = spec["replicatedJobs"][0]["template"]["spec"]
    pod = job["template"]["spec"]
    if pod.get("restartPolicy") != "Never" or job.get("backoffLimit") != 0:
        yield "a rank of a gang cannot be replaced alone: restartPolicy must be Never and backoffLimit 0"
    if job.get("completions", 1) != job.get("parallelism", 1) or job.get("completionMode", "Indexed") != "Indexed":
        yield "completions must equal parallelism, with completionMode Indexed"
    yield from _unsupported_pod(job)


def _unsupported_job(job: Spec) -> Iterator[str]:
    beyond = ("suspend", "successPolicy", "backoffLimitPerIndex", "managedBy")
    yield from (f"spec.{field} is not supported" for field in beyond if job.get(field))
    yield from _unsupported_pod(job)


def _unsupported_pod(job: Spec) -> Iterator[str]:
    pod = job["template"]["spec"]
    yield from (f"podFailurePolicy action {r['action']} is not supported" for r in job.get("podFailurePolicy", {}).get("rules", [])
                if r["action"] in ("Ignore", "FailIndex"))  # fmt: skip
    if pod.get("initContainers") or len(pod["containers"]) > 1:
        yield "only one container is supported, without initContainers"
    if not pod["containers"][0].get("command"):
        yield "the container needs a command: an image's entrypoint is not known here"
    for volume in pod.get("volumes", []):
        yield from (f"volume {volume['name']}: {source} is not supported" for source in volume if source not in ("name", *VOLUMES))
    for variable in pod["containers"][0].get("env", []):
        yield from _unsupported_source(variable["name"], variable.get("valueFrom", {}))


def _unsupported_source(name: str, source: Spec) -> Iterator[str]:
    for kind, reference in source.items():
        if kind == "fieldRef":
            if not FIELDS.fullmatch(reference["fieldPath"]):
                yield f"env {name}: fieldPath {reference['fieldPath']} is not supported"
        elif kind not in ("configMapKeyRef", "secretKeyRef"):
            yield f"env {name}: {kind} is not supported"
