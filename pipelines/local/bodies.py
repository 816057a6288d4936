"""What Argo refuses in the body of a template that calls nobody, and in what stands beside it: containers, resources, metrics, locations.

https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/validate/validate.go
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipelines.local import naming
from pipelines.local.faults import Fault, Path

Template = dict[str, Any]

ACTIONS = ("get", "create", "apply", "delete", "replace", "patch")
_METRIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TAG = re.compile(r"\{\{([^{}]*)\}\}")
_EXPRESSION = re.compile(r"\{\{\s*=\s*(.+?)\s*\}\}")


def faults(template: Template, defaults: Template, known: Mapping[str, str], at: Path) -> Iterator[Fault]:
    """The body of a template that calls nobody. `defaults`: the workflow's templateDefaults; `known`: tags whose value is known."""
    what = f"templates.{template.get('name', '')}"
    if template.get("container"):
        yield from _mounts(template, what, at)
    if template.get("containerSet") is not None:
        yield from _container_set(template, what, at)
    if template.get("resource") is not None:
        yield from _resource(template, known, what, at)
    for kind in ("container", "script"):
        if template.get(kind) is not None and not (template[kind].get("image") or (defaults.get(kind) or {}).get("image")):
            yield Fault("image-missing", (*at, kind), f"{what}.{kind}.image may not be empty")
    for index, sidecar in enumerate(template.get("sidecars") or []):
        if reserved(sidecar.get("name")):
            message = f'{what}.sidecars: "{sidecar["name"]}" is a reserved Argo container name'
            yield Fault("reserved-name", (*at, "sidecars", index), message)
    if not _is_deadline(template.get("activeDeadlineSeconds")):
        message = f"{what}.activeDeadlineSeconds must be a positive integer > 0 or an argo variable"
        yield Fault("deadline", (*at, "activeDeadlineSeconds"), message)
    if template.get("parallelism") is not None:
        yield Fault("parallelism-place", (*at, "parallelism"), f"{what}.parallelism is only valid for steps and dag templates")


def _is_deadline(value: Any) -> bool:
    return value is None or bool(re.fullmatch(r"\+?\d+|\{\{.*\}\}", str(value), re.DOTALL)) or str(value) == "-0"


def reserved(name: Any) -> bool:
    """Names of Argo's own containers."""
    return name in ("wait", "supervisor") or str(name or "").startswith("artifact-plugin-")


def _mounts(template: Template, what: str, at: Path) -> Iterator[Fault]:
    taken: dict[str, str] = {}
    for index, mount in enumerate(template["container"].get("volumeMounts") or []):
        path = str(mount.get("mountPath", ""))
        if path in taken:
            message = f"{what}.container.volumeMounts[{index}].mountPath '{path}' already mounted in {taken[path]}"
            yield Fault("mounted-twice", (*at, "container", "volumeMounts", index), message)
        taken[path] = f"container.volumeMounts.{mount.get('name')}"
    for index, artifact in enumerate((template.get("inputs") or {}).get("artifacts") or []):
        path = artifact.get("path", "")
        if path and path in taken:
            message = f"{what}.inputs.artifacts[{index}].path '{path}' already mounted in {taken[path]}"
            yield Fault("mounted-twice", (*at, "inputs", "artifacts", index), message)
        taken[path] = f"inputs.artifacts.{artifact.get('name')}"


def _container_set(template: Template, what: str, at: Path) -> Iterator[Fault]:
    body, here = template["containerSet"], (*at, "containerSet")
    containers = body.get("containers") or []
    names = {c.get("name"): c for c in containers}
    if not containers:
        yield Fault("container-set", here, f"{what}.containerSet.containers must have at least one container")
    yield from naming.fields(containers, f"{what}.containerSet.containers", (*here, "containers"))
    taken: dict[str, str] = {}
    for index, mount in enumerate(body.get("volumeMounts") or []):
        path = str(mount.get("mountPath", ""))
        if path in taken:
            message = f"{what}.containerSet.volumeMounts[{index}].mountPath '{path}' already mounted in {taken[path]}"
            yield Fault("mounted-twice", (*here, "volumeMounts", index), message)
        taken[path] = f"volumeMounts.{mount.get('name')}"
    yield from _container_order(containers, names, f"{what}.containerSet.containers", (*here, "containers"))
    made = template.get("outputs") or {}
    used = (template.get("inputs") or {}).get("artifacts") or made.get("parameters") or made.get("artifacts")
    if used and containers and "main" not in names:
        message = f'{what}.containerSet.containers must have a container named "main" for input or output'
        yield Fault("container-set", (*here, "containers"), message)
    for index, name in enumerate(c.get("name") for c in containers):
        if reserved(name):
            message = f'{what}.containerSet.containers: "{name}" is a reserved Argo container name'
            yield Fault("reserved-name", (*here, "containers", index), message)


def _container_order(containers: list[Any], names: dict[Any, Any], what: str, at: Path) -> Iterator[Fault]:
    for index, container in enumerate(containers):
        for other in container.get("dependencies") or []:
            if other not in names:
                message = f"{what}.{container.get('name')} dependency '{other}' not defined{naming.close_to(other, names)}"
                yield Fault("undefined-dependency", (*at, index, "dependencies"), message)
    ring = cycle({name: one.get("dependencies") or [] for name, one in names.items()})
    if ring:
        yield Fault("cycle", at, f"{what} dependency cycle detected: {'->'.join(ring)}")


def cycle(edges: dict[str, list[str]]) -> list[str]:
    """The first ring among names, its first name also last; empty when there is none."""
    done = set[str]()

    def ring(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        found: list[str] = next(filter(None, (ring(other, [*trail, name]) for other in edges.get(name, []))), [])
        done.add(name)
        return found

    return next(filter(None, (ring(name, []) for name in edges)), [])


def _resource(template: Template, known: Mapping[str, str], what: str, at: Path) -> Iterator[Fault]:
    body, here = template["resource"], (*at, "resource")
    action, manifest, source = body.get("action") or "", body.get("manifest"), body.get("manifestFrom")
    if action not in ACTIONS and "{{" not in action:
        yield Fault("resource-action", here, f"{what}.resource.action must be one of: {', '.join(ACTIONS)}")
    if action in ("delete", "get"):
        return
    if not manifest and source is None:
        message = f"either {what}.resource.manifest or {what}.resource.manifestFrom must be specified"
        yield Fault("resource-manifest", here, message)
    elif manifest and source is not None:
        message = "shouldn't have both `manifest` and `manifestFrom` specified in `Manifest` for resource template"
        yield Fault("resource-manifest", here, message)
    wanted = ((source or {}).get("artifact") or {}).get("name")
    if wanted and wanted not in [a.get("name") for a in (template.get("inputs") or {}).get("artifacts") or []]:
        message = f"artifact {wanted} in `manifestFrom` refer to a non-exist artifact"
        yield Fault("resource-manifest", (*here, "manifestFrom"), message)
    if manifest and not is_yaml(manifest, known):
        yield Fault("resource-manifest", (*here, "manifest"), f"{what}.resource.manifest must be a valid yaml")


def is_yaml(manifest: str, known: Mapping[str, str]) -> bool:
    """Whether a manifest begins with YAML once its tags are filled in; one whose value is not known is a word (argo-data-flow 201, 204)."""
    plain = _EXPRESSION.sub("placeholder", manifest)
    plain = _TAG.sub(lambda tag: known.get(tag[1].strip(), "placeholder"), plain)
    try:
        next(iter(yaml.compose_all(plain, getattr(yaml, "CSafeLoader", yaml.SafeLoader))), None)
    except (yaml.YAMLError, ValueError):
        return False
    return True


def pod_resources(resources: dict[str, Any], what: str, at: Path) -> Iterator[Fault]:
    if resources.get("claims"):
        yield Fault("pod-resources", (*at, "claims"), f"{what}.claims is not supported for pod-level resources")
    for kind in ("limits", "requests"):
        for name in resources.get(kind) or {}:
            if name not in ("cpu", "memory") and not name.startswith("hugepages-"):
                rule = "is not a valid pod-level resource, only cpu, memory and hugepages-* are supported"
                yield Fault("pod-resources", (*at, kind, name), f'{what}: "{name}" {rule}')


def location(artifact: dict[str, Any], where: str, at: Path) -> Iterator[Fault]:
    """What git and HDFS ask for."""
    git, hdfs = artifact.get("git"), artifact.get("hdfs")
    if git is not None and not git.get("repo"):
        yield Fault("artifact-location", (*at, "git"), f"{where}.git.repo is required")
    if hdfs is not None:
        yield from (Fault("artifact-location", (*at, "hdfs"), message) for message in _hdfs(hdfs, f"{where}.hdfs"))


def _hdfs(hdfs: dict[str, Any], what: str) -> Iterator[str]:
    """https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/artifacts/hdfs/hdfs.go"""
    cache, keytab = hdfs.get("krbCCacheSecret"), hdfs.get("krbKeytabSecret")
    if not hdfs.get("addresses"):
        yield f"{what}.addresses is required"
    if not hdfs.get("path"):
        yield f"{what}.path is required"
    elif not hdfs["path"].startswith("/") and "{{" not in hdfs["path"]:
        yield f"{what}.path must be a absolute file path"
    if not (hdfs.get("hdfsUser") or cache or keytab):
        yield f"either {what}.hdfsUser, {what}.krbCCacheSecret or {what}.krbKeytabSecret is required"
    if keytab and not (hdfs.get("krbUsername") and hdfs.get("krbRealm")):
        yield f"{what}.krbUsername and {what}.krbRealm are required with {what}.krbKeytabSecret"
    if (cache or keytab) and not (hdfs.get("krbServicePrincipalName") and hdfs.get("krbConfigConfigMap")):
        yield f"{what}.krbServicePrincipalName and {what}.krbConfigConfigMap are required with a Kerberos secret"


def metrics(template: Template, at: Path) -> Iterator[Fault]:
    what = f"templates.{template.get('name', '')}"
    for index, metric in enumerate((template.get("metrics") or {}).get("prometheus") or []):
        name, path = metric.get("name") or "", (*at, "metrics", "prometheus", index)
        if not _METRIC.fullmatch(name):
            rule = "Metric names must contain alphanumeric characters or '_'"
            yield Fault("metric", path, f"{what} metric name '{name}' is invalid. {rule}")
        for label in metric.get("labels") or []:
            if not _METRIC.fullmatch(label.get("key") or ""):
                message = f"metric label '{label.get('key')}' is invalid: keys may only contain alphanumeric characters or '_'"
                yield Fault("metric", path, message)
        if not metric.get("help"):
            yield Fault("metric", path, f"{what} metric '{name}' must contain a help string under 'help: ' field")
        for kind in ("gauge", "counter", "histogram"):
            if metric.get(kind) is not None and not metric[kind].get("value"):
                yield Fault("metric", (*path, kind), f"{what} metric '{name}' error: missing {kind}.value")
        gauge = metric.get("gauge") or {}
        if gauge.get("realtime") and "resourcesDuration." in (gauge.get("value") or ""):
            message = f"{what} metric '{name}' error: 'resourcesDuration.*' metrics cannot be used in real-time"
            yield Fault("metric", (*path, "gauge"), message)
