"""What a template may ask of a cluster but not of this machine, beyond the fields that supported.py refuses."""

import re
from collections.abc import Iterator
from typing import Any

from pipelines.local import naming, volumes
from pipelines.local.faults import Fault, Path
from pipelines.local.kinds import NEED_A_CLUSTER
from pipelines.local.resources import FLAGS

Spec = dict[str, Any]
Template = dict[str, Any]

_KIND = re.compile(r"""(?m)^["']?kind["']?:[ ]*["']?(\w+)""")
_OF_IMAGES = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr", "/var")


def of_workflow(spec: Spec, at: Path) -> Iterator[Fault]:
    for index, template in enumerate(spec.get("templates") or []):
        yield from faults(template, (*at, "templates", index), spec)
    yield from volume_faults(spec.get("volumes") or [], (*at, "volumes"))
    yield from claim_faults(spec.get("volumeClaimTemplates") or [], (*at, "volumeClaimTemplates"))


def faults(template: Template, at: Path, spec: Spec | None = None) -> Iterator[Fault]:
    """What cannot run here, in a template and the inline ones in it. `spec`: of the workflow that runs it, where it is known."""
    yield from volume_faults(template.get("volumes") or [], (*at, "volumes"), f": template `{template.get('name')}`")
    if spec is not None:
        yield from _command(template, at, spec)
    for index, artifact in enumerate((template.get("outputs") or {}).get("artifacts") or []):
        if str(artifact.get("path", "")).rstrip("/") in _OF_IMAGES:
            message = f"the image's own {artifact['path']} as an output is not supported locally: template `{template.get('name')}`"
            yield Fault("", (*at, "outputs", "artifacts", index, "path"), message)
    if template.get("memoize") is not None and not (template["memoize"].get("cache") or {}).get("configMap", {}).get("name"):
        yield Fault("", (*at, "memoize"), f"templates.{template.get('name')}.memoize.cache.configMap.name is required")
    for kind, check in (("container", _texts), ("script", _texts), ("resource", _resource)):
        if template.get(kind) is not None:
            yield from check(template, kind, at)
    members = [((*at, "steps", i, j), s) for i, group in enumerate(template.get("steps") or []) for j, s in enumerate(group)]
    members += [((*at, "dag", "tasks", i), t) for i, t in enumerate((template.get("dag") or {}).get("tasks") or [])]
    for path, member in members:
        if member.get("inline") is not None:
            yield from faults({"name": "", **member["inline"]}, (*path, "inline"), spec)


def volume_faults(found: list[dict[str, Any]], at: Path, where: str = "") -> Iterator[Fault]:
    """Volumes that only a cluster has: they would be empty folders here."""
    for index, volume in enumerate(found):
        for kind in volume:
            if kind != "name" and kind not in volumes.KINDS:
                yield Fault("", (*at, index, kind), f"{kind} volumes are not supported locally{where}")


def claim_faults(claims: list[dict[str, Any]], at: Path) -> Iterator[Fault]:
    for index, claim in enumerate(claims):
        if not (claim.get("metadata") or {}).get("name"):
            yield Fault("", (*at, index), f"spec.volumeClaimTemplates[{index}].metadata.name is required")


def _command(template: Template, at: Path, spec: Spec) -> Iterator[Fault]:
    defaults = spec.get("templateDefaults") or {}
    patched = spec.get("podSpecPatch") or defaults.get("podSpecPatch") or template.get("podSpecPatch")
    for kind in ("container", "script"):
        body = template.get(kind)
        if body is not None and not body.get("command") and not (defaults.get(kind) or {}).get("command") and not patched:
            message = f"templates.{template.get('name')}.{kind}: the command is missing, and no registry is asked for that of the image"
            yield Fault("", (*at, kind), f"{message}; write it down")


def _texts(template: Template, kind: str, at: Path) -> Iterator[Fault]:
    name, body = template.get("name"), template[kind]
    for part in ("limits", "requests"):
        amounts = (body.get("resources") or {}).get(part) or {}
        if not isinstance(amounts, dict):
            yield Fault("", (*at, kind, "resources", part), f"templates.{name}: {part} is no map")
            continue
        for what, amount in amounts.items():
            if not naming.QUANTITY.fullmatch(str(amount)):  # argo-data-flow 242
                yield Fault("", (*at, kind, "resources", part, what), f"templates.{name}: {amount!r} is no quantity of {what}")
    if kind == "script" and "source" not in body:
        yield Fault("", (*at, kind), f"templates.{name}.script.source is required")
    for index, variable in enumerate(body.get("env") or []):
        for part in ("name", "value"):
            if not isinstance(variable.get(part, ""), str):
                where = variable.get("name") if part == "value" else f"env {index}"
                yield Fault("", (*at, kind, "env", index), f"templates.{name}: the {part} of {where} is no text; quote it")
    for index, word in enumerate([*(body.get("command") or []), *(body.get("args") or [])]):
        if not isinstance(word, str):
            yield Fault("", (*at, kind), f"templates.{name}: argument {index} ({word!r}) is no text; quote it")


def _resource(template: Template, kind: str, at: Path) -> Iterator[Fault]:
    body, name, where = template[kind], template.get("name"), (*at, kind)
    flags = [str(flag) for flag in body.get("flags") or []]
    named = [*_KIND.findall(str(body.get("manifest") or "")), *(flag.capitalize() for flag in flags[:1])]
    for nobody in [one for one in named if one in NEED_A_CLUSTER]:
        yield Fault("", where, f"a resource of kind {nobody} is not supported locally, nobody runs it here: template `{name}`")
    if "Workflow" in named and "{{workflow.name}}" in (flags[1:2] or [""])[0]:
        yield Fault("", (*where, "flags"), f"a step that changes its own workflow is not supported locally: template `{name}`")
    for flag in flags:
        if flag.startswith("-") and flag not in FLAGS and "{{" not in flag:
            yield Fault("", (*where, "flags"), f"kubectl's flag {flag} is not supported locally: template `{name}`")
