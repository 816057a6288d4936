"""Artifacts between steps: plain files below `artifacts/` in the home folder, under the key that Argo would give them."""

import os
import shutil
from pathlib import Path
from typing import Any

Artifact = dict[str, Any]


class MissingArtifact(Exception):
    """An artifact that is not there, in the executor's words."""


def key(artifact: Artifact) -> str:
    """Where an artifact lies in the store; empty when it has no place."""
    for kind in ("gcs", "s3"):
        place = artifact.get(kind) or {}
        if place.get("key"):
            bucket = f"{place['bucket']}/" if place.get("bucket") else ""
            return bucket + str(place["key"])
    return ""


def default_key(workflow: str, pod: str, artifact: Artifact) -> str:
    """Argo's default: `<workflow>/<pod>/<name>.tgz`, or the file's own ending when it is not archived."""
    endings = {"none": Path(artifact["path"]).suffix, "zip": ".zip"}
    ending = next((endings[kind] for kind in artifact.get("archive") or {} if kind in endings), ".tgz")
    return f"{workflow}/{pod}/{artifact['name']}{ending}"


def save(home: Path, source: Path, place: str) -> None:
    """Keep a file or folder under its key. Files are linked: their step is over."""
    target = home / "artifacts" / place
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=_link)
    else:
        _link(str(source), str(target))


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def load(home: Path, artifact: Artifact, target: Path) -> None:
    """Put an input artifact where its step looks for it. MissingArtifact when there is none and it is not optional."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if "raw" in artifact:
        target.write_text(artifact["raw"]["data"])
        target.chmod(0o666)
    elif key(artifact):
        _fetch(home, artifact, target)
    else:
        return
    if "mode" in artifact:
        _set_mode(target, int(artifact["mode"]), bool(artifact.get("recurseMode")))


def _fetch(home: Path, artifact: Artifact, target: Path) -> None:
    place = "/".join(part for part in (key(artifact), artifact.get("subPath", "")) if part)
    source = home / "artifacts" / place
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    elif source.exists():
        shutil.copy2(source, target)
    elif artifact.get("optional"):
        target.mkdir(exist_ok=True)  # argo-data-flow 118: an empty folder
    else:
        raise MissingArtifact(f"init: Error (exit code 64): artifact {artifact['name']} failed to load: no results for key: {place}")


def _set_mode(target: Path, mode: int, recurse: bool) -> None:
    target.chmod(mode)
    if recurse and target.is_dir():
        for path in target.rglob("*"):
            path.chmod(mode)
