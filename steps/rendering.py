"""From a release to the plain Kubernetes manifests that serve it: a pure function, the same bytes every time.

What is written was tried on Argo CD 3.5 and Argo Rollouts 1.9: the release id stands on the pod template, zero values are left out
(the controller deletes them, and git would differ for ever), every object's name carries the model's, clients use the root Service.
"""

from typing import Any

from steps.faults import BadInput
from steps.release import Release

PORT = 8000
_STOP_SECONDS = {"before": 15, "drain": 90, "margin": 30}  # preStop (endpoints go), vLLM's own drain, margin


def vllm_config(release: Release, model: str) -> dict[str, Any]:
    """vLLM's `config.yaml`: the whole surface of its arguments."""
    serving = release.serving
    config: dict[str, Any] = {
        "model": model,
        "served-model-name": [release.model_id, release.served_name],  # the first is the metrics' label: the same for ever
        "dtype": serving.dtype,
        "shutdown-timeout": _STOP_SECONDS["drain"],
        "disable-fastapi-docs": True,
        "enable-force-include-usage": True,
        "enable-request-id-headers": True,
    }
    if serving.max_model_len:
        config["max-model-len"] = serving.max_model_len
    if serving.gpus > 1:
        config["tensor-parallel-size"] = serving.gpus
    if model.startswith("gs://"):
        config["load-format"] = "runai_streamer"
    return config


def manifests(release: Release) -> dict[str, bytes]:
    """File name to content. Raises BadInput when the model's name is too long for a Kubernetes object."""
    name = object_name(release)
    objects = {"configmap": _config_map(release, name), "service": _service(release, name), "rollout": _rollout(release, name)}
    return {f"{kind}.yaml": _yaml(content) for kind, content in objects.items()}


def object_name(release: Release) -> str:
    """The model id with dashes: a Service's name has no dots and at most 63 characters (RFC 1035)."""
    name = release.model_id.replace(".", "-")
    if len(name) > 54 or not name[0].isalpha():  # room for -canary
        raise BadInput(f"{release.model_id} cannot name a Service: at most 54 characters, the first a letter. Rename the model")
    return name


def _metadata(release: Release, name: str) -> dict[str, Any]:
    return {"name": name, "namespace": release.tenant, "labels": _labels(name)}


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "fleece"}


def _config_map(release: Release, name: str) -> dict[str, Any]:
    # One a release: the old pods keep their own while both run.
    metadata = _metadata(release, f"{name}-{release.release_id}")
    config = _yaml(vllm_config(release, release.model)).decode()
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config.yaml": config}}


def _service(release: Release, name: str) -> dict[str, Any]:
    # Without a traffic router clients must not use the stable Service: at promotion it points at pods that are going.
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    spec = {"selector": {"app.kubernetes.io/name": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(release, name), "spec": spec}


def _rollout(release: Release, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "replicas": release.serving.replicas,
        "rollbackWindow": {"revisions": 1},  # else taking back a promoted release walks all steps again
        "progressDeadlineSeconds": 1800,
        "progressDeadlineAbort": True,
        "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
        "strategy": {"canary": {"maxSurge": 0, "maxUnavailable": 1}},  # no second GPU needed
        "template": {
            "metadata": {"labels": _labels(name), "annotations": {"fleece.dev/release-id": release.release_id}},
            "spec": _pod(release, name),
        },
    }
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": _metadata(release, name), "spec": spec}


def _pod(release: Release, name: str) -> dict[str, Any]:
    config = {"name": "config", "configMap": {"name": f"{name}-{release.release_id}"}}
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": sum(_STOP_SECONDS.values()),
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_server(release)],
        "volumes": [config, {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}],
    }


def _server(release: Release) -> dict[str, Any]:
    gpus = release.serving.gpus
    return {
        "name": "server",
        "image": release.serving.image,
        "args": ["--config=/etc/vllm/config.yaml"],
        "env": [{"name": "VLLM_NO_USAGE_STATS", "value": "1"}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": _probe(period=10, failures=120, timeout=5),  # 20 minutes to load weights from a bucket
        "readinessProbe": _probe(period=5, failures=3, timeout=5),
        "livenessProbe": _probe(period=10, failures=6, timeout=5),
        "lifecycle": {"preStop": {"sleep": {"seconds": _STOP_SECONDS["before"]}}},
        "resources": {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/vllm"}, {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
    }


def _probe(*, period: int, failures: int, timeout: int) -> dict[str, Any]:
    check = {"path": "/health", "port": "http"}
    return {"httpGet": check, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": timeout}


def _yaml(content: dict[str, Any]) -> bytes:
    import yaml

    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120).encode()
