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
    "archive": {"none": YES, "tar": {"compressionLevel": IGNORED}, "zip": YES},
    **dict.fromkeys(("archiveLogs", "deleted", "artifactGC"), IGNORED),
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
_KEY_REFERENCE = {"name": YES, "key": YES, "optional": IGNORED}
_SYNC = {
    "mutexes": [{"name": YES, "namespace": YES, "database": NO}],
    "semaphores": [{"configMapKeyRef": _KEY_REFERENCE, "namespace": YES, "database": NO}],
}
_MEMOIZE = {"key": YES, "maxAge": YES, "cache": {"configMap": _KEY_REFERENCE}}
_BACKOFF = dict.fromkeys(("duration", "factor", "cap", "maxDuration"), YES)
_RETRY = {"limit": YES, "retryPolicy": YES, "expression": YES, "backoff": _BACKOFF, "affinity": IGNORED}
_REFERENCE = dict.fromkeys(("name", "template", "clusterScope"), YES)
_HOOK = {"template": YES, "arguments": ARGUMENTS, "expression": YES, "templateRef": _REFERENCE}
_STEP: dict[str, Rule] = {
    **dict.fromkeys(("name", "template", "when", "withItems", "withParam", "onExit"), YES),
    "arguments": ARGUMENTS,
    "withSequence": _SEQUENCE,
    "continueOn": {"failed": YES, "error": YES},
    "hooks": {"*": _HOOK},
    "templateRef": _REFERENCE,
}
_TASK = _STEP | {"depends": YES, "dependencies": YES}
_RESOURCE = {
    **dict.fromkeys(("action", "flags", "manifest", "mergeStrategy", "successCondition", "failureCondition", "setOwnerReference"), YES),
    "manifestFrom": YES,
}
_METRIC: Rule = {
    **dict.fromkeys(("name", "help", "when", "counter", "gauge", "histogram"), IGNORED),
    "labels": [dict.fromkeys(("key", "value"), IGNORED)],
}
_POD_FIELDS: dict[str, Rule] = {"metrics": {"prometheus": [_METRIC]}} | dict.fromkeys(
    (
        *("affinity", "archiveLocation", "automountServiceAccountToken", "executor", "hostAliases"),
        *("nodeSelector", "priority", "priorityClassName", "schedulerName", "securityContext", "serviceAccountName"),
        *("tolerations", "annotations", "pendingTimeout", "podResources", "resourceClaims"),
    ),
    IGNORED,
)
TEMPLATE: dict[str, Rule] = {
    **_POD_FIELDS,
    **dict.fromkeys(("name", "activeDeadlineSeconds", "timeout", "parallelism", "failFast", "volumes", "podSpecPatch"), YES),
    "metadata": {"labels": YES, "annotations": YES},
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
    "memoize": _MEMOIZE,
    **dict.fromkeys(("containerSet", "data", "http", "plugin", "daemon", "sidecars", "initContainers"), NO),
}
_TASK["inline"] = _STEP["inline"] = TEMPLATE
SPEC: dict[str, Rule] = {
    **_POD_FIELDS,
    **dict.fromkeys(
        (
            *("archiveLogs", "artifactGC", "artifactRepositoryRef", "dnsConfig", "dnsPolicy", "imagePullSecrets", "podDisruptionBudget"),
            *("podGC", "podPriorityClassName", "ttlStrategy", "hostNetwork"),
        ),
        IGNORED,
    ),
    **dict.fromkeys(("entrypoint", "onExit", "parallelism", "activeDeadlineSeconds", "volumes", "suspend", "podSpecPatch"), YES),
    "podMetadata": {"labels": YES, "annotations": YES},
    "volumeClaimTemplates": YES,
    "volumeClaimGC": {"strategy": YES},
    "workflowTemplateRef": dict.fromkeys(("name", "clusterScope"), YES),
    "arguments": ARGUMENTS,
    "templates": [TEMPLATE],
    "templateDefaults": TEMPLATE,
    "hooks": {"*": _HOOK},
    "retryStrategy": _RETRY,
    "synchronization": _SYNC,
    "workflowMetadata": {"labels": YES, "annotations": YES, "labelsFrom": {"*": {"expression": YES}}},
    "shutdown": NO,
}
CRON: dict[str, Rule] = {
    **dict.fromkeys(("schedules", "timezone", "suspend", "concurrencyPolicy", "when", "stopStrategy"), YES),  # in `fleece cron next`
    **dict.fromkeys(("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"), IGNORED),
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
    "database": "locks in a database are",
    "shutdown": "a workflow that begins with a shutdown is",
}
"""How a refusal begins."""

ABOUT: dict[str, tuple[Rule, str]] = {
    "Workflow, WorkflowTemplate, ClusterWorkflowTemplate": (SPEC, "What `spec` may hold; the three differ in their name only."),
    "CronWorkflow": (CRON, "Run now by its name; `fleece cron next` says when a cluster would run it."),
    "Template": (TEMPLATE, "Also `templateDefaults` and `inline`."),
    "Container": (_CONTAINER, "A process of this machine."),
    "Script": (TEMPLATE["script"], "The same, run on a file with the `source`."),
    "Resource": (_RESOURCE, "A verb on an object of this machine: ConfigMap, Secret, JobSet (a gang of processes), Workflow, any other."),
    "Step": (_STEP, "A member of `steps`."),
    "Task": (_TASK, "A member of `dag.tasks`."),
    "Arguments and inputs": (ARGUMENTS, "Of the workflow, of steps, tasks and hooks, and of templates."),
    "Outputs": (_OUTPUTS, "`result` and `exitCode` come from the process and cannot be declared."),
    "Parameter": (PARAMETER, "Its value is text, as in Argo: numbers go through a 64-bit float, lists and maps are lost."),
    "Artifact": (ARTIFACT, "Keys are files below `artifacts/<bucket>/` of the home folder; no object store is asked."),
    "Object store key": (_KEY, "`s3` and `gcs` alike."),
    "Retry": (_RETRY, "Of a template, or of all templates when the workflow has it."),
    "Locks": (_SYNC, "Hold across every run of the same home folder."),
    "Hook": (_HOOK, "`exit` and any other name, with an expression."),
}
"""Every group of fields by the name that people know it by, with a word on it; docs/local-runner.md is made of this."""
