"""Where the absolute paths that a template names lie on this machine: below its node's own folder.

Volumes become folders; everything else that the template declares (inputs, outputs, mounts) lies under `root`. A step in a namespace of
its own (isolation.py) sees them at the paths that the template names. Without one they are moved: placeholders, and the declared paths in
texts, name the places below the node's folder, and undeclared absolute paths stay what they are.
"""

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from pipelines.local import isolation
from pipelines.local.isolation import SCRATCH, Layout
from pipelines.local.nodes import Template

STAGING = "/argo/staging"
"""Where a script lies: https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/common/common.go"""
READ_ONLY = ("configMap", "secret", "downwardAPI", "projected")
"""Kinds of volumes that Kubernetes mounts read-only."""
_EMPTY = (SCRATCH, "/mnt")
_MOST_LINKS = 40  # as the kernel: https://man7.org/linux/man-pages/man7/path_resolution.7.html


class Paths:
    """The places of one node. `mounts`: folders or files by the paths where a pod would see them, of which some are `read_only`.

    `visible`: its process sees all under their own names, and below them these paths of this machine; None: it has no root of its own.
    """

    def __init__(
        self, folder: Path, mounts: dict[str, Path], declared: Collection[str], base: str,
        visible: list[str] | None = None, read_only: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.folder, self.mounts, self.read_only = folder, {path.rstrip("/") or "/": place for path, place in mounts.items()}, read_only
        self.isolated = visible is not None
        named = {path.rstrip("/") for path in (*mounts, *declared) if path.startswith("/")} - {""}
        self._declared, self._pattern = frozenset(declared), None if self.isolated else self._moving(named - {SCRATCH})
        self.base = self.move(base)
        missing = {base} if base.startswith("/") and not Path(base).is_dir() else set()
        self.hidden = frozenset(map(os.path.normpath, {SCRATCH} | named | missing))
        self.visible = [path for path in visible or () if isolation.below(path, self.hidden)]
        self._above = {str(above) for path in self.hidden for above in Path(path).parents}

    def _moving(self, named: set[str]) -> re.Pattern[str] | None:
        # What lies in the node's folder has its place already; the home itself may lie below a path that is mounted, /tmp for one.
        # /tmp itself is never replaced: paths of this machine may begin with it too. Programs find theirs by TMPDIR.
        places = "|".join(re.escape(path) for path in sorted(named, key=len, reverse=True))
        return re.compile(rf"{re.escape(str(self.folder))}[^\s]*|(?<![\w./-])({places})(?![\w-]|\.\w)(/[^\s'\"]*)?") if places else None

    def local(self, path: str) -> Path:
        """The file behind a path in the template. A relative one counts from the working directory."""
        if not path.startswith("/"):
            path = f"{self.base}/{path}"
            if not self.isolated:
                return Path(path)
        return self._followed(path) if self.isolated else self._place(path)

    def from_image(self, path: str) -> Path:
        """The folder above a declared path that an image may bring. What lies below /tmp and /mnt a step has to make, as in a container."""
        empty = next((base for base in _EMPTY if isolation.below(path, (base,))), "")
        return self._place(empty) if self.isolated and empty else self.local(path).parent

    def seen(self, path: str) -> str:
        """How the node's process names a path of the template."""
        return path if self.isolated else str(self.local(path))

    def layout(self, more: Iterable[str] = ()) -> Layout:
        """What an isolated process sees as `/`; `more`: what else is visible of this machine."""
        own = self.hidden - self.mounts.keys()
        return isolation.layout(self.folder / "root", own, self.mounts, self.read_only, [*self.visible, *more])

    def _place(self, path: str) -> Path:
        return isolation.place(self.folder / "root", self.mounts, path)

    def _followed(self, path: str) -> Path:
        """The file behind a path as the node's process sees it: its links lead to places below its own root."""
        rest, at, links = [*reversed(Path(os.path.normpath(path)).parts[1:])], Path("/"), 0
        while rest:
            if links > _MOST_LINKS:
                return self._place(path)
            behind = self._behind(at / rest[-1])
            if behind.is_symlink() and str(at / rest[-1]) not in self._above:
                target = Path(os.path.normpath(at / behind.readlink()))
                rest[-1:] = reversed(target.parts[1:])
                at, links = Path("/"), links + 1
            else:
                at /= rest.pop()
        return self._behind(at)

    def _behind(self, path: Path) -> Path:
        place, around = self._place(str(path)), {str(path), *map(str, path.parents)}
        if around.intersection(self.visible):
            return path
        return place if around & self.hidden or os.path.lexists(place) else path

    def move(self, text: str) -> str:
        """A text with every declared path replaced by its place here."""
        return self._pattern.sub(self._moved, text) if self._pattern else text

    def _moved(self, found: re.Match[str]) -> str:
        path, rest = found[1], found[2] or ""
        if path is None or (rest and path not in self._declared and Path(path + rest).exists()):
            return found[0]  # a file of this machine that somebody named, a repository below /tmp for one
        return f"{self.local(path)}{rest}"


def of_node(
    folder: Path, template: Template, volumes: dict[str, Path], cwd: str, visible: list[str] | None, read_only: Collection[str]
) -> Paths:  # fmt: skip
    """The places of a node; `volumes` and `read_only` by the volumes' names."""
    body = template.get("container") or template.get("script") or {}
    mounted = [m for m in body.get("volumeMounts") or [] if m["name"] in volumes]
    mounts = {m["mountPath"]: volumes[m["name"]] / m.get("subPath", "") for m in mounted}
    fixed = {m["mountPath"].rstrip("/") for m in mounted if m.get("readOnly") or m["name"] in read_only}
    script = [STAGING] if "script" in template and visible is not None else []
    return Paths(folder, mounts, [*declared(template), *script], body.get("workingDir") or cwd, visible, fixed)


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
        found |= {f"{kind}.artifacts.{a['name']}.path": paths.seen(a["path"]) for a in artifacts if a.get("path")}
    for parameter in outputs.get("parameters") or []:
        path = (parameter.get("valueFrom") or {}).get("path")
        if path:
            found[f"outputs.parameters.{parameter['name']}.path"] = paths.seen(path)
    return found
