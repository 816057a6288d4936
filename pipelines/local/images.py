"""Which local environment stands for an image: a small YAML table.

    docker.io/acme/train: {bin: .venv/bin, env: {HF_HUB_OFFLINE: "1"}, warm: [torch, transformers], serve: [steps.train]}
    docker.io/acme/tool: {bin: tools, entrypoint: [tool], cmd: [--help], workdir: /data}
    docker.io/acme/*: {bin: .venv/bin}

An image that the table does not name runs with the PATH of this machine.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipelines.local.faults import Refused

_KEYS = ("bin", "env", "warm", "serve", "entrypoint", "cmd", "workdir")


@dataclass(frozen=True)
class Environment:
    """bin: folder put first on PATH; env: variables set; warm: modules to load once, ahead of the steps that
    run one of `serve` with `python -m`; entrypoint, cmd and workdir: what the image runs, and where, when a template does not say."""

    bin: str = ""
    env: dict[str, str] = field(default_factory=dict)
    warm: tuple[str, ...] = ()
    serve: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = ""


class Images:
    """The table."""

    def __init__(self, table: dict[str, Environment]) -> None:
        self.table = table

    def find(self, image: str) -> Environment:
        """The environment of an image, by its name without tag and digest, or the longest prefix that ends in `*`."""
        name = bare(image)
        if name in self.table:
            return self.table[name]
        prefixes = [p for p in self.table if p.endswith("*") and name.startswith(p[:-1])]
        return self.table[max(prefixes, key=len)] if prefixes else Environment()


def completed(template: dict[str, Any], images: Images) -> dict[str, Any]:
    """The template with the command and folder that its image brings, where it has none of its own; so for inline ones.

    Argo has the same table: `images` in https://argo-workflows.readthedocs.io/en/release-4.1/workflow-controller-configmap/
    """
    for kind in ("container", "script"):
        body = template.get(kind)
        if isinstance(body, dict) and isinstance(body.get("image"), str):
            environment, added = images.find(body["image"]), dict[str, Any]()
            if not body.get("command") and (environment.entrypoint or environment.cmd):
                words = [*environment.entrypoint, *(body.get("args") or environment.cmd)]
                added = {"command": words[:1], "args": words[1:]}
            if not body.get("workingDir") and environment.workdir:
                added["workingDir"] = environment.workdir
            template = template | {kind: body | added}
    if template.get("steps"):
        template = template | {"steps": [[_with_inline(step, images) for step in group] for group in template["steps"]]}
    if (template.get("dag") or {}).get("tasks"):
        template = template | {"dag": template["dag"] | {"tasks": [_with_inline(task, images) for task in template["dag"]["tasks"]]}}
    return template


def _with_inline(call: dict[str, Any], images: Images) -> dict[str, Any]:
    return call | {"inline": completed(call["inline"], images)} if call.get("inline") else call


def bare(image: str) -> str:
    """`registry:5000/a/b:tag@sha256:…` → `registry:5000/a/b`."""
    name = image.split("@", 1)[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.split(":", 1)[0]


def read(path: Path | None) -> Images:
    """The table in a file. Refused when it is not one."""
    if path is None:
        return Images({})
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise Refused(f"{path}: no table of images: {error}") from None
    if not isinstance(found, dict):
        raise Refused(f"{path}: holds a {type(found).__name__}; a map from image to {{{', '.join(_KEYS)}}} is expected")
    return Images({bare(name) if not name.endswith("*") else name: _environment(path, name, entry) for name, entry in found.items()})


def _environment(path: Path, name: str, entry: Any) -> Environment:
    if not isinstance(entry, dict) or not set(entry) <= set(_KEYS):
        raise Refused(f"{path}: {name}: expected {{{', '.join(_KEYS)}}}, found {entry!r}")
    folder = entry.get("bin", "")
    place = str((path.parent / Path(folder).expanduser()).absolute()) if folder else ""
    env = {k: str(v) for k, v in (entry.get("env") or {}).items()}
    workdir = str(entry.get("workdir") or "")
    lists = {key: tuple(str(word) for word in entry.get(key) or ()) for key in ("warm", "serve", "entrypoint", "cmd")}
    return Environment(place, env, **lists, workdir=workdir)
