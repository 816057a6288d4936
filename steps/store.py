"""Where everything that is no small parameter lies: one interface, a local folder or a Cloud Storage bucket behind it.

A URI names an object or a folder of objects: `file:///home/me/store/runs/ab12` or `gs://bucket/team-x/runs/ab12`.
A folder counts only when it is *committed*: its `manifest.json` (path, size, sha256 of every file, sorted) is written last and only
if absent, so a reader sees all of a folder or nothing, and of two writers exactly one wins.
"""

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from steps.faults import BadData, BadInput, Unavailable

MANIFEST = "manifest.json"


class Missing(BadInput):
    """There is no such object."""


class Store(Protocol):
    """What a backend can do. Every method takes the whole URI; a missing object raises `Missing`, a dead service `Unavailable`."""

    def read(self, uri: str) -> bytes: ...
    def exists(self, uri: str) -> bool: ...

    def create(self, uri: str, data: bytes) -> bool:
        """Write the object if there is none. False: there is one, and it was left as it is."""
        ...

    def swap(self, uri: str, new: bytes, old: bytes | None) -> bool:
        """Replace the object if it still holds `old` (None: if there is none). False: it holds something else."""
        ...

    def replace(self, uri: str, data: bytes) -> None: ...

    def names(self, uri: str) -> list[str]:
        """Paths of all objects below a folder, relative to it, sorted; empty when there is no such folder."""
        ...

    def upload(self, source: Path, uri: str) -> None: ...
    def download(self, uri: str, target: Path) -> None: ...


def _below(path: str) -> str:
    """A path is joined to folders here and elsewhere: it must stay below them, and have one spelling only."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} is no path below a folder")
    return path


class File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Annotated[str, AfterValidator(_below)]
    size: int
    sha256: str


class Manifest(BaseModel):
    """What a committed folder holds, and a few facts about it (`about`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    files: list[File]
    about: dict[str, Any] = {}

    @property
    def digest(self) -> str:
        """`sha256:` of the sorted file list alone: the same files give the same digest wherever they lie."""
        lines = "".join(f"{file.sha256}  {file.size}  {file.path}\n" for file in self.files)
        return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


class LocalStore:
    """A folder. `O_EXCL` and rename give what generation preconditions give on a bucket."""

    def read(self, uri: str) -> bytes:
        try:
            return local_path(uri).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise Missing(f"{uri} does not exist") from None

    def exists(self, uri: str) -> bool:
        return local_path(uri).is_file()

    def create(self, uri: str, data: bytes) -> bool:
        target = local_path(uri)
        part = _part(target)
        part.write_bytes(data)
        try:
            os.link(part, target)  # atomic, whole, and fails if the name is taken
        except FileExistsError:
            return False
        finally:
            part.unlink()
        return True

    def swap(self, uri: str, new: bytes, old: bytes | None) -> bool:
        with locked(local_path(uri)):
            now = self.read(uri) if self.exists(uri) else None
            if now != old:
                return False
            self.replace(uri, new)
            return True

    def replace(self, uri: str, data: bytes) -> None:
        target = local_path(uri)
        part = _part(target)
        part.write_bytes(data)
        part.replace(target)

    def names(self, uri: str) -> list[str]:
        root = local_path(uri)
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and not _is_part(path))

    def upload(self, source: Path, uri: str) -> None:
        target = local_path(uri)
        part = _part(target)
        shutil.copyfile(source, part)
        part.replace(target)

    def download(self, uri: str, target: Path) -> None:
        source = local_path(uri)
        if not source.is_file():
            raise Missing(f"{uri} does not exist")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def backend(uri: str) -> Store:
    """The store behind a URI's scheme."""
    if uri.startswith("file://"):
        return LocalStore()
    if uri.startswith("gs://"):
        from steps.store_gcs import GcsStore

        return GcsStore()
    raise BadInput(f"{uri!r} is no URI of a store; it begins with file:// or gs://")


def join(uri: str, *parts: str) -> str:
    return "/".join([uri.rstrip("/"), *parts])


def local_path(uri: str) -> Path:
    """The path of a `file://` URI. Raises BadInput for a relative one or one that climbs (`..`)."""
    path = Path(uri.removeprefix("file://"))
    if not path.is_absolute() or ".." in path.parts:
        raise BadInput(f"{uri!r} is no absolute file:// URI without '..'; write file:///folder")
    return path


def read(uri: str) -> bytes:
    return backend(uri).read(uri)


def exists(uri: str) -> bool:
    return backend(uri).exists(uri)


def read_json(uri: str) -> Any:
    try:
        return json.loads(read(uri))
    except ValueError as error:
        raise BadData(f"{uri} is no JSON ({error}); it was not written by a step") from None


def to_json(value: Any) -> bytes:
    """Canonical JSON: sorted keys, UTF-8, one final newline. The same value gives the same bytes."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()


def create_json(uri: str, value: Any) -> bool:
    return backend(uri).create(uri, to_json(value))


def replace_json(uri: str, value: Any) -> None:
    backend(uri).replace(uri, to_json(value))


def scan(folder: Path) -> list[File]:
    """The files of a local folder, sorted by path. Raises BadData on a symbolic link: what it points to is not in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.name != MANIFEST or path.parent != folder)
    links = [path for path in paths if path.is_symlink()]
    if links:
        raise BadData(f"{links[0].relative_to(folder)} is a symbolic link; put the file itself into the folder")
    return [_describe(path, folder) for path in paths if path.is_file()]


def commit(folder: Path, uri: str, about: dict[str, Any] | None = None) -> Manifest:
    """Upload a local folder and commit it. Committed before with the same files: nothing is written.

    Raises BadData when another content is committed at that URI.
    """
    manifest = Manifest(files=scan(folder), about=about or {})
    store = backend(uri)
    if not committed(uri):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda file: store.upload(folder / file.path, join(uri, file.path)), manifest.files))
        if store.create(join(uri, MANIFEST), to_json(manifest.model_dump())):
            return manifest
    there = read_manifest(uri)
    if there.digest != manifest.digest:
        raise BadData(f"{uri} already holds {there.digest}, not {manifest.digest}; a committed folder never changes")
    return there


def committed(uri: str) -> bool:
    return exists(join(uri, MANIFEST))


def read_manifest(uri: str) -> Manifest:
    """Raises Missing when the folder is not committed, BadData when its manifest is none."""
    try:
        return Manifest.model_validate(read_json(join(uri, MANIFEST)))
    except Missing:
        raise Missing(f"{uri} is not committed: it has no {MANIFEST}. Run the step that writes it again") from None
    except ValidationError as error:
        raise BadData(f"{join(uri, MANIFEST)} is no manifest ({error.errors()[0]['msg']}); it was not written by a step") from None


def fetch(uri: str, scratch: Path, *, verify: bool = True) -> Path:
    """A committed folder as a local one: itself when the store is local, else downloaded below `scratch`.

    Raises BadData when a file's size or digest is not the manifest's (`verify` reads every byte).
    """
    manifest = read_manifest(uri)
    folder = local_path(uri) if uri.startswith("file://") else scratch / hashlib.sha256(uri.encode()).hexdigest()[:16]
    if not uri.startswith("file://"):
        store = backend(uri)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda file: store.download(join(uri, file.path), folder / file.path), manifest.files))
        (folder / MANIFEST).write_bytes(read(join(uri, MANIFEST)))
    if verify:
        for file in manifest.files:
            if not (folder / file.path).is_file() or _describe(folder / file.path, folder) != file:
                raise BadData(f"{join(uri, file.path)} is not what its manifest says; the folder was changed after its commit")
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock beside a local path, across processes; released when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _describe(path: Path, folder: Path) -> File:
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return File(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=digest)


def _part(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise Unavailable(f"{target.parent} cannot be made a folder ({error.strerror}); give the store another place") from None
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")


def _is_part(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix in (".part", ".lock")
