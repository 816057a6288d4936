"""What the local runner takes: every field it knows, and what it does with it. What stands in no table is refused by name.

YES: acted upon. IGNORED: accepted, has no meaning on one machine. NO: refused when the file is loaded. A dict is an object, a list with
one rule a list.
"""

from typing import Any

YES, IGNORED, NO = "yes", "ignored", "no"
Rule = Any

_VALUE_FROM = {
    **dict.fromkeys(("default", "path", "parameter", "expression", "jsonPath", "jqFilter", "supplied"), YES),
    "configMapKeyRef": YES,
    "event": NO,
}
PARAMETER = {**dict.fromkeys(("name", "value", "default", "description", "enum", "globalName"), YES), "valueFrom": _VALUE_FROM}
_KEY = {
    **dict.fromkeys(("bucket", "key"), YES),
    **dict.fromkeys(("endpoint", "insecure", "serviceAccountKeySecret", "accessKeySecret", "secretKeySecret", "region"), IGNORED),
}
ARTIFACT = {
    **dict.fromkeys(("name", "path", "from", "fromExpression", "optional", "mode", "recurseMode", "subPath", "raw", "globalName"), YES),
    **dict.fromkeys(("archive", "archiveLogs", "deleted", "artifactGC"), IGNORED),
    "s3": _KEY,
    "gcs": _KEY,
    **dict.fromkeys(("git", "http", "oss", "hdfs", "azure", "artifactory", "plugin"), NO),
}
ARGUMENTS = {"parameters": [PARAMETER], "artifacts": [ARTIFACT]}
_OUTPUTS = {**ARGUMENTS, "result": NO, "exitCode": NO}

_CONTAINER = {
    **dict.fromkeys(("image", "command", "args", "env", "envFrom", "workingDir", "volumeMounts", "name"), YES),
    **dict.fromkeys(
        ("imagePullPolicy", "resources", "securityContext", "ports", "stdin", "tty", "terminationMessagePath", "terminationMessagePolicy"),
        IGNORED,
    ),
    **dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"), IGNORED),
    **dict.fromkeys(("volumeDevices", "restartPolicy", "resizePolicy", "stdinOnce"), NO),
}
_SEQUENCE = dict.fromkeys(("count", "start", "end", "format"), YES)
_SYNC = {"mutexes": [dict.fromkeys(("name", "namespace"), YES) | {"database": NO}], "semaphores": NO}
_BACKOFF = dict.fromkeys(("duration", "factor", "cap", "maxDuration"), YES)
_RETRY = {"limit": YES, "retryPolicy": YES, "expression": YES, "backoff": _BACKOFF, "affinity": IGNORED}
_HOOK = {"template": YES, "arguments": ARGUMENTS, "expression": YES, "templateRef": NO}
_STEP: dict[str, Rule] = {
    **dict.fromkeys(("name", "template", "when", "withItems", "withParam", "onExit"), YES),
    "arguments": ARGUMENTS,
    "withSequence": _SEQUENCE,
    "continueOn": {"failed": YES, "error": YES},
    "hooks": {"exit": _HOOK},
    "templateRef": NO,
}
_TASK = _STEP | {"depends": YES, "dependencies": YES}
_RESOURCE = {
    **dict.fromkeys(("action", "flags", "manifest", "mergeStrategy", "successCondition", "failureCondition", "setOwnerReference"), YES),
    "manifestFrom": YES,
}
_POD_FIELDS = dict.fromkeys(
    (
        *("affinity", "archiveLocation", "automountServiceAccountToken", "executor", "hostAliases", "metadata", "metrics"),
        *("nodeSelector", "podSpecPatch", "priority", "priorityClassName", "schedulerName", "securityContext", "serviceAccountName"),
        *("tolerations", "annotations", "pendingTimeout", "podResources", "resourceClaims"),
    ),
    IGNORED,
)
TEMPLATE: dict[str, Rule] = {
    **_POD_FIELDS,
    **dict.fromkeys(("name", "activeDeadlineSeconds", "timeout", "parallelism", "failFast", "volumes"), YES),
    "inputs": ARGUMENTS,
    "outputs": _OUTPUTS,
    "container": _CONTAINER,
    "script": {**_CONTAINER, "source": YES},
    "dag": {"tasks": [_TASK], "target": YES, "failFast": YES},
    "steps": [[_STEP]],
    "suspend": {"duration": YES},
    "resource": _RESOURCE,
    "retryStrategy": _RETRY,
    "synchronization": _SYNC,
    **dict.fromkeys(("containerSet", "data", "http", "plugin", "daemon", "sidecars", "initContainers", "memoize"), NO),
}
_TASK["inline"] = _STEP["inline"] = TEMPLATE
SPEC: dict[str, Rule] = {
    **_POD_FIELDS,
    **dict.fromkeys(
        (
            *("archiveLogs", "artifactGC", "artifactRepositoryRef", "dnsConfig", "dnsPolicy", "imagePullSecrets", "podDisruptionBudget"),
            *("podGC", "podMetadata", "podPriorityClassName", "ttlStrategy", "volumeClaimGC", "hostNetwork"),
        ),
        IGNORED,
    ),
    **dict.fromkeys(("entrypoint", "onExit", "parallelism", "activeDeadlineSeconds", "volumes", "workflowTemplateRef"), YES),
    "arguments": ARGUMENTS,
    "templates": [TEMPLATE],
    "templateDefaults": TEMPLATE,
    "hooks": {"exit": _HOOK},
    "retryStrategy": _RETRY,
    "synchronization": _SYNC,
    "workflowMetadata": {"labels": YES, "annotations": YES, "labelsFrom": NO},
    **dict.fromkeys(("suspend", "shutdown", "volumeClaimTemplates"), NO),
}
CRON: dict[str, Rule] = {
    **dict.fromkeys(("schedules", "schedule", "timezone", "suspend", "concurrencyPolicy", "startingDeadlineSeconds", "when"), IGNORED),
    **dict.fromkeys(("successfulJobsHistoryLimit", "failedJobsHistoryLimit", "stopStrategy"), IGNORED),
    "workflowSpec": SPEC,
    "workflowMetadata": {"labels": YES, "annotations": YES},
}

KINDS = {
    "daemon": "daemon containers are",
    "sidecars": "sidecars are",
    "initContainers": "init containers are",
    "containerSet": "container sets are",
    "data": "data is",
    "http": "HTTP is",
    "plugin": "plugins are",
    "memoize": "memoization is",
    "semaphores": "semaphores are",
    "templateRef": "templateRef is",
    "volumeClaimTemplates": "volume claim templates are",
    "labelsFrom": "labelsFrom is",
    "suspend": "a workflow that begins suspended is",
    "shutdown": "a workflow that begins with a shutdown is",
}
"""How a refusal begins."""
