"""What is wrong with the pod of a template and shows only when the pod is made: images' commands, volumes, resources, patches."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import yaml

from pipelines.lint import models
from pipelines.lint.findings import Finding, Path, Rule, Severity
from pipelines.lint.schema import UNKNOWN_FIELD, WRONG_TYPE, Decoded
from pipelines.lint.structure import MOUNTED_TWICE, NAME_TWICE
from pipelines.lint.subject import Subject, Template
from pipelines.local import documents
from pipelines.local.naming import close_to

NO_SOURCE = Rule(
    "script-without-source",
    Severity.ERROR,
    "The script is an empty file; it runs, does nothing and succeeds.",
    "Write the script into source.",
)
NO_COMMAND = Rule(
    "no-command",
    Severity.WARNING,
    "The controller asks the image's registry for the command; a pod whose registry it cannot reach waits for ever.",
    "Write the command.",
)
VOLUME = Rule(
    "undefined-volume",
    Severity.ERROR,
    "The node ends in Error: `volume not found in workflow spec`.",
    "Correct the name, or add the volume to spec.volumes, spec.volumeClaimTemplates or the template's volumes.",
)
REQUESTS = Rule(
    "request-above-limit",
    Severity.ERROR,
    "The API server refuses the pod and the node ends in Error.",
    "Raise the limit or lower the request.",
)
PATCH = Rule(
    "pod-spec-patch",
    Severity.ERROR,
    "A patch that is no map ends the node in Error, `Error applying PodSpecPatch`; a field that pods do not have is dropped unseen.",
    "Write a map of fields of a pod's spec, as YAML or JSON.",
)
SUPPLIED = Rule(
    "suspend-output",
    Severity.ERROR,
    "A suspend template has no files: an output that is not supplied when it is resumed is never set.",
    "Write valueFrom: {supplied: {}}.",
)

_POD = (
    *("activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy"),
    *("enableServiceLinks", "ephemeralContainers", "hostAliases", "hostIPC", "hostNetwork", "hostPID"),
    *("hostUsers", "hostname", "hostnameOverride", "imagePullSecrets", "initContainers", "nodeName"),
    *("nodeSelector", "os", "overhead", "preemptionPolicy", "priority", "priorityClassName"),
    *("readinessGates", "resourceClaims", "resources", "restartPolicy", "runtimeClassName", "schedulerName"),
    *("schedulingGates", "securityContext", "serviceAccount", "serviceAccountName", "setHostnameAsFQDN", "shareProcessNamespace"),
    *("subdomain", "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes", "workloadRef"),
)
"""The fields of a PodSpec. https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#podspec-v1-core"""
_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    **{s: Decimal(1000) ** p for s, p in zip("numkMGTPE", (-3, -2, -1, 1, 2, 3, 4, 5, 6), strict=True)},
}
_SUFFIXES |= {f"{s}i": Decimal(1024) ** (i + 1) for i, s in enumerate("KMGTPE")}
_TAG = re.compile(r"\{\{.*?\}\}")


def check_commands(subject: Subject) -> Iterator[Finding]:
    """Scripts and containers that have nothing to run, or only their image knows what."""
    for path, template in subject.templates:
        whole = subject.whole(template)
        for kind in ("container", "script"):
            body = whole.get(kind)
            if body is None or kind not in template:
                continue
            if kind == "script" and not body.get("source"):
                yield Finding(NO_SOURCE, (*path, kind), f"the script of {_title(template)} has no source")
            if not body.get("command"):
                yield Finding(NO_COMMAND, (*path, kind), f"the {kind} of {_title(template)} has no command")


def _title(template: Template) -> str:
    return repr(template["name"]) if template.get("name") else "an inline template"


def _containers(template: Template, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for kind in ("container", "script"):
        if template.get(kind):
            yield (*path, kind), template[kind]
    for kind, held in (("containerSet", template.get("containerSet") or {}), ("", template)):
        for field in ("containers",) if kind else ("sidecars", "initContainers"):
            for index, one in enumerate(held.get(field) or []):
                yield (*path, *filter(None, (kind, field)), index), one


def check_volumes(subject: Subject) -> Iterator[Finding]:
    """Volumes of one name, mounts at one path, and mounts of volumes that nobody defines.

    A template without entrypoint gets the volumes of the workflow that calls it.
    """
    spec = subject.effective
    if subject.kind.endswith("Template") and not spec.get("entrypoint"):
        return
    shared = {v.get("name") for v in spec.get("volumes") or []}
    shared |= {(c.get("metadata") or {}).get("name") for c in spec.get("volumeClaimTemplates") or []}
    for index, name in enumerate(v.get("name") for v in subject.spec.get("volumes") or []):
        if name in [v.get("name") for v in subject.spec["volumes"][:index]]:
            yield Finding(NAME_TWICE, (*subject.at, "volumes", index), f"there are two volumes {name!r}")
    for path, template in subject.templates:
        whole = subject.whole(template)
        if "volumes" in f"{whole.get('podSpecPatch')}{spec.get('podSpecPatch')}":
            continue
        known = shared | {v.get("name") for v in whole.get("volumes") or []}
        for where, one in _containers(template, path):
            paths = [mount.get("mountPath") for mount in one.get("volumeMounts") or []]
            for index, mount in enumerate(one.get("volumeMounts") or []):
                name = str(mount.get("name"))
                if where[-1] != "container" and mount.get("mountPath") in paths[:index]:
                    yield Finding(MOUNTED_TWICE, (*where, "volumeMounts", index), f"{mount['mountPath']!r} is mounted twice")
                if name not in known and "{{" not in name:
                    what = f"volume {name!r} is defined nowhere{close_to(name, known)}"
                    yield Finding(VOLUME, (*where, "volumeMounts", index), what)


def check_resources(subject: Subject) -> Iterator[Finding]:
    """Requests above limits."""
    for path, template in subject.templates:
        for where, one in _containers(template, path):
            resources = one.get("resources") or {}
            limits = resources.get("limits") or {}
            for name, asked in (resources.get("requests") or {}).items():
                if name in limits and (_amount(asked) or 0) > (_amount(limits[name]) or _amount(asked) or 0):
                    what = f"{name}: {asked} is requested, the limit is {limits[name]}"
                    yield Finding(REQUESTS, (*where, "resources", "requests", name), what)


def _amount(quantity: Any) -> Decimal | None:
    found = re.fullmatch(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)([numkMGTPE]|[KMGTPE]i)?", str(quantity))
    try:
        return Decimal(found[1]) * _SUFFIXES[found[2] or ""] if found else None
    except ArithmeticError:
        return None


def check_patches(subject: Subject) -> Iterator[Finding]:
    """podSpecPatch of the workflow and of its templates."""
    for path, owner in [(subject.at, subject.spec), *subject.templates]:
        text = owner.get("podSpecPatch")
        if text:
            yield from _patch(text, (*path, "podSpecPatch"))


def _patch(text: str, at: Path) -> Iterator[Finding]:
    try:
        patch = next(yaml.load_all(_TAG.sub("1", text), documents.Loader), None)
    except (yaml.YAMLError, ValueError, RecursionError):
        yield Finding(PATCH, at, "podSpecPatch is neither JSON nor YAML")
        return
    if not isinstance(patch, dict):
        if not _TAG.fullmatch(text.strip()):
            yield Finding(PATCH, at, "podSpecPatch is no map")
        return
    for key, value in patch.items():
        if str(key) not in _POD and not str(key).startswith("$"):
            yield Finding(PATCH, at, f"a pod has no field {key!r}{close_to(str(key), _POD)}")
        elif str(key).lower().endswith("containers") and isinstance(value, list):
            for one in value:
                yield from _patched_container(one, at, filled="{{" in text)


def _patched_container(container: Any, at: Path, filled: bool) -> Iterator[Finding]:
    """`filled`: tags stand in the patch, whose values may be of any type."""
    decoded = Decoded()
    decoded.value(container, models.container(), ())
    for finding in decoded.findings:
        directive = str(finding.path[-1]).startswith("$") if finding.path else False
        if not directive and (finding.rule is UNKNOWN_FIELD or (finding.rule is WRONG_TYPE and not filled)):
            yield Finding(PATCH, at, f"in a container: {finding.what}")


def check_suspend(subject: Subject) -> Iterator[Finding]:
    for path, template in subject.templates:
        outputs = (template.get("outputs") or {}).get("parameters") or []
        for index, output in enumerate(outputs if template.get("suspend") is not None else []):
            if (output.get("valueFrom") or {}).get("supplied") is None:
                what = f"the output {output.get('name')!r} of a suspend template is not supplied"
                yield Finding(SUPPLIED, (*path, "outputs", "parameters", index), what)


CHECKS = (check_commands, check_volumes, check_resources, check_patches, check_suspend)
