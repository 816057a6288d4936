"""Where the absolute paths that a template names lie on this machine: below its node's own folder.

Volumes become folders; everything else that the template declares (inputs, outputs, mounts) is moved under `root`. Undeclared absolute
paths stay what they are.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipelines.local.nodes import Template

SCRATCH = "/tmp"  # noqa: S108 - a path inside the container
"""Never replaced in texts: paths of this machine may begin with it too. Programs find theirs by TMPDIR."""


class Paths:
    """The places of one node."""

    def __init__(self, folder: Path, mounts: dict[str, Path], declared: list[str], base: str) -> None:
        self.folder, self.mounts = folder, mounts
        moved = [path.rstrip("/") for path in [*mounts, *declared] if path.startswith("/") and path.rstrip("/") not in ("", SCRATCH)]
        self._declared = frozenset(declared)
        places = "|".join(re.escape(path) for path in sorted(moved, key=len, reverse=True))
        # What lies in the node's folder has its place already; the home itself may lie below a path that is mounted, /tmp for one.
        self._pattern = re.compile(rf"{re.escape(str(folder))}[^\s]*|(?<![\w./-])({places})(?![\w-]|\.\w)(/[^\s'\"]*)?") if places else None
        self.base = self.move(base)

    def local(self, path: str) -> Path:
        """The file behind a path in the template. A relative one counts from the working directory."""
        if not path.startswith("/"):
            return Path(self.base) / path
        for mount in sorted(self.mounts, key=len, reverse=True):
            if path == mount or path.startswith(mount.rstrip("/") + "/"):
                return self.mounts[mount] / path[len(mount) :].lstrip("/")
        return self.folder / "root" / path.lstrip("/")

    def move(self, text: str) -> str:
        """A text with every declared path replaced by its place here."""
        return self._pattern.sub(self._place, text) if self._pattern else text

    def _place(self, found: re.Match[str]) -> str:
        path, rest = found[1], found[2] or ""
        if path is None or (rest and path not in self._declared and Path(path + rest).exists()):
            return found[0]  # a file of this machine that somebody named, a repository below /tmp for one
        return f"{self.local(path)}{rest}"


def of_node(folder: Path, template: Template, volumes: dict[str, Path], cwd: str) -> Paths:
    body = template.get("container") or template.get("script") or {}
    mounts = {m["mountPath"]: volumes[m["name"]] / m.get("subPath", "") for m in body.get("volumeMounts") or [] if m["name"] in volumes}
    return Paths(folder, mounts, list(declared(template)), body.get("workingDir") or cwd)


def declared(template: Template) -> dict[str, None]:
    """The paths that a template's inputs and outputs name."""
    inputs, outputs = template.get("inputs") or {}, template.get("outputs") or {}
    found = [a.get("path") for a in (inputs.get("artifacts") or []) + (outputs.get("artifacts") or [])]
    found += [(p.get("valueFrom") or {}).get("path") for p in outputs.get("parameters") or []]
    return {path: None for path in found if path}


def placeholders(template: Template, paths: Paths) -> dict[str, object]:
    """`inputs.artifacts.X.path` and its like."""
    inputs, outputs = template.get("inputs") or {}, template.get("outputs") or {}
    found: dict[str, object] = {}
    for kind, artifacts in (("inputs", inputs.get("artifacts") or []), ("outputs", outputs.get("artifacts") or [])):
        found |= {f"{kind}.artifacts.{a['name']}.path": str(paths.local(a["path"])) for a in artifacts if a.get("path")}
    for parameter in outputs.get("parameters") or []:
        path = (parameter.get("valueFrom") or {}).get("path")
        if path:
            found[f"outputs.parameters.{parameter['name']}.path"] = str(paths.local(path))
    return found


def volume(volume: dict[str, Any], node: Path, home: Path, namespace: str, objects: Any) -> Path:
    """The folder behind a volume: emptyDir is the node's own, a claim is kept in the home, ConfigMaps and Secrets are written out."""
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    folder = home / "volumes" / namespace / quote(claim, safe="") if claim else node / "volumes" / volume["name"]
    folder.mkdir(parents=True, exist_ok=True)
    for kind, field, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
        if volume.get(field):
            _write_out(folder, objects.get(kind, volume[field][name]), volume[field], f"{kind} {volume[field][name]!r}")
    return folder


def _write_out(folder: Path, found: dict[str, Any] | None, wanted: dict[str, Any], what: str) -> None:
    if found is None:
        if wanted.get("optional"):
            return
        raise LookupError(f"{what} does not exist")
    from pipelines.local.environment import data_of

    chosen = {i["key"]: i["path"] for i in wanted.get("items") or []}
    for key, value in data_of(found).items():
        if not chosen or key in chosen:
            target = folder / chosen.get(key, key)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(value)
