"""The artifact repository of this machine: `artifacts/` in the home folder, every artifact under the key that Argo would give it.

An artifact that Argo would pack lies there as it was, unpacked, so that people can look at it and nothing is compressed in vain; a hidden
file beside it says how it is packed, and a reader gets what unpacking would give, or the archive where it asks for that.
Rules: https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/executor/executor.go
"""

import contextlib
import json
import os
import posixpath
import shutil
from pathlib import Path
from typing import Any

from pipelines.local import archives
from pipelines.local.archives import FILE_MODE, UNZIPPED_FOLDER_MODE, ArchiveError

Artifact = dict[str, Any]

LOCATIONS = ("gcs", "s3")
"""Object stores whose keys lie in this machine's repository."""


class ArtifactError(Exception):
    """An artifact that cannot be had or kept, in the executor's words."""


class MissingArtifact(ArtifactError):
    """There is none."""


def key(artifact: Artifact) -> str:
    """Where an artifact lies in its store; empty when it has no place."""
    return next((str(artifact[kind]["key"]) for kind in LOCATIONS if (artifact.get(kind) or {}).get("key")), "")


def strategy(artifact: Artifact) -> str:
    """How an artifact says it is packed: `tar`, `zip`, `none`, or empty for Argo's default."""
    return next((kind for kind in ("none", "tar", "zip") if kind in (artifact.get("archive") or {})), "")


def default_key(workflow: str, pod: str, artifact: Artifact) -> str:
    """Argo's default: `<workflow>/<pod>/<name>.tgz`, or the file's own name when it is not archived."""
    names = {"none": posixpath.basename(artifact["path"].rstrip("/")), "zip": f"{artifact['name']}.zip"}
    return f"{workflow}/{pod}/{names.get(strategy(artifact), artifact['name'] + '.tgz')}"


def _place(home: Path, artifact: Artifact, below: str = "") -> Path:
    """Where an artifact lies here; a key cannot lead out of the repository."""
    bucket = next((str(artifact[kind].get("bucket") or "") for kind in LOCATIONS if artifact.get(kind)), "")
    return home / "artifacts" / posixpath.normpath(f"/{bucket}/{key(artifact)}/{below}").lstrip("/")


def _mark(place: Path) -> Path:
    return place.with_name(f".{place.name}.packed")


# --- keep ---------------------------------------------------------------------------------------------------------------------------


def save(home: Path, source: Path, artifact: Artifact, own: Path, on_volume: bool) -> None:
    """Keep a file or folder under its key. Below `own` nobody writes any more, so files are linked. `on_volume`: it lies on a mounted
    volume, where the executor reads it in place. Raises ArtifactError."""
    how, place = strategy(artifact) or "tar", _place(home, artifact)
    name = posixpath.basename(artifact["path"].rstrip("/"))
    if how == "zip" and not on_volume and not source.is_dir() and artifact["name"] != name:
        # It is renamed before it is packed, and then looked for under its old name (argo-data-flow 269).
        raise MissingArtifact(f"stat /tmp/argo/outputs/artifacts/{artifact['name']}: no such file or directory")
    try:
        if how != "tar" and not on_volume:  # the executor unpacks its own tar
            archives.check_links(source.resolve() if source.is_file() else source, name)
        _clear(place, keep_folder=how == "none" and source.is_dir())
        place.parent.mkdir(parents=True, exist_ok=True)
        if how == "tar":
            _keep_tree(source if source.is_dir() else source.resolve(), place, own)
        else:
            _keep_files(source, place, own, links_empty=how == "zip")
        if how != "none":
            _mark(place).write_text(json.dumps({"archive": how, "name": name}))
    except (ArchiveError, OSError) as error:
        raise ArtifactError(str(error)) from None


def not_there(artifact: Artifact, on_volume: bool) -> str:
    """The executor's words for an output that its step did not make."""
    if not on_volume:
        return f"open /var/run/argo/outputs/artifacts{artifact['path'].rstrip('/')}.tgz: no such file or directory"
    if strategy(artifact) == "none":
        return f"{artifact['path']} no such file or directory"
    return f"stat /mainctrfs{artifact['path']}: no such file or directory"


def _clear(place: Path, keep_folder: bool) -> None:
    """Make room. A folder of loose files is added to, as in an object store."""
    packed = _mark(place).exists()
    _mark(place).unlink(missing_ok=True)
    if place.is_dir() and not place.is_symlink():
        if packed or not keep_folder:
            shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _keep_tree(source: Path, target: Path, own: Path) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir()
        for path in source.iterdir():
            _keep_tree(path, target / path.name, own)
    elif source.is_file():
        _keep_file(source, target, own)


def _keep_files(source: Path, target: Path, own: Path, links_empty: bool) -> None:
    """Without empty folders and links: a zip keeps a link as an empty file, an object store what it leads to (argo-data-flow 109)."""
    if not source.is_dir():
        _keep_file(source.resolve(), target, own)
        return
    for name in archives.files(source):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        kept = (source / name).resolve()
        if links_empty and (source / name).is_symlink():
            path.touch()
        elif kept.is_relative_to(source.resolve()):
            _keep_file(kept, path, own)
        else:
            raise ArchiveError(f"upload {name}: os open: open {name}: no such file or directory")


def _keep_file(source: Path, target: Path, own: Path) -> None:
    if source.is_relative_to(own):
        with contextlib.suppress(OSError):  # another file system
            os.link(source, target)
            return
    shutil.copy2(source, target)


# --- fetch --------------------------------------------------------------------------------------------------------------------------


def load(home: Path, artifact: Artifact, target: Path) -> None:
    """Put an input artifact where its step looks for it. ArtifactError, MissingArtifact when there is none and it is not optional."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.is_file():
        target.unlink()
    try:
        if "raw" in artifact:
            _write(target, str(artifact["raw"]["data"]).encode())
        elif not key(artifact) or not _fetch(home, artifact, target):
            return
        if "mode" in artifact:
            _set_mode(target, int(artifact["mode"]), bool(artifact.get("recurseMode")))
    except (ArchiveError, OSError) as error:
        raise ArtifactError(f"init: Error (exit code 64): {error}") from None


def _fetch(home: Path, artifact: Artifact, target: Path) -> bool:
    """False when an optional artifact is not there."""
    source, wanted = _place(home, artifact, artifact.get("subPath", "")), strategy(artifact)
    if _in_archive(home, source) or not (source.is_symlink() or source.exists()):
        if not artifact.get("optional"):
            searched = posixpath.normpath(posixpath.join(key(artifact), artifact.get("subPath", "")))
            raise MissingArtifact(f"init: Error (exit code 64): artifact {artifact['name']} failed to load: no results for key: {searched}")
        archives.make_folder(target, UNZIPPED_FOLDER_MODE)  # argo-data-flow 118: an empty folder
        return False
    packed = _packed(source)
    if packed and packed["archive"] == (wanted or "tar"):
        _unpacked(source, target, packed)
    elif source.is_dir() and not packed and wanted in ("", "none"):
        _copy_files(source, target)
    else:
        _from_file(source, target, packed, wanted)
    return True


def _in_archive(home: Path, place: Path) -> bool:
    """A packed artifact is one object: there is nothing below its key (argo-data-flow 115)."""
    return any(_mark(parent).exists() for parent in place.parents if parent.is_relative_to(home / "artifacts"))


def _packed(place: Path) -> dict[str, str]:
    mark = _mark(place)
    return dict(json.loads(mark.read_text())) if mark.exists() else {}


def _unpacked(source: Path, target: Path, packed: dict[str, str]) -> None:
    if packed["archive"] == "tar":
        archives.tree(source, target, packed["name"])
    else:
        archives.loose(source, target)


def _copy_files(source: Path, target: Path) -> None:
    """Objects of a store have no mode; a packed one among them comes as it is."""
    if packed := _packed(source):
        archives.pack(source, packed["archive"], packed["name"], target)
        target.chmod(FILE_MODE)
    elif source.is_dir():
        archives.make_folder(target, UNZIPPED_FOLDER_MODE)
        for path in sorted(source.iterdir()):
            if not (path.name.startswith(".") and path.name.endswith(".packed")):
                _copy_files(path, target / path.name)
    else:
        shutil.copyfile(source, target)
        target.chmod(FILE_MODE)


def _from_file(source: Path, target: Path, packed: dict[str, str], wanted: str) -> None:
    """An object that was packed in another way than its reader says, or not at all."""
    if source.is_dir() and not packed:
        raise ArchiveError(f"read {target}.tmp: is a directory")
    _copy_files(source, target)
    if wanted in ("tar", "zip") or (not wanted and archives.is_tarball(target)):
        archive = target.rename(target.with_name(f".{target.name}.tmp"))
        try:
            archives.unpack(archive, wanted or "tar", target)
        finally:
            archive.unlink()


def _write(target: Path, data: bytes) -> None:
    target.write_bytes(data)
    target.chmod(FILE_MODE)


def _set_mode(target: Path, mode: int, recurse: bool) -> None:
    if recurse and target.is_dir():
        for path in sorted(target.rglob("*"), reverse=True):
            if not path.is_symlink():
                path.chmod(mode)
    target.chmod(mode)
