"""What Argo's executor makes of a file or folder by packing it into a tar.gz or zip and unpacking it again.

Rules: https://github.com/argoproj/argo-workflows/blob/v4.1.2/workflow/executor/executor.go (`untar`, `unzip`, `unpack`) and
`util/archive/archive.go`. Containers run with umask 0 (argo-data-flow 279), so what is made here has its full mode.
"""

import gzip
import io
import os
import posixpath
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

FILE_MODE, FOLDER_MODE, UNZIPPED_FOLDER_MODE = 0o666, 0o755, 0o777
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)


class ArchiveError(Exception):
    """An archive that cannot be unpacked, in the executor's words."""


def is_tarball(file: Path) -> bool:
    """Does a file hold a tar.gz? Argo looks into every input that does not say how it is packed (argo-data-flow 276)."""
    with file.open("rb") as head:
        if head.read(2) != b"\x1f\x8b":
            return False
    try:
        with tarfile.open(file, "r:gz") as archive:
            return archive.next() is not None
    except (*_BROKEN, OSError):
        return False


def tree(source: Path, target: Path, name: str) -> None:
    """What unpacking the tar of `source` gives: links kept, folders 0755. `name` is the one in the archive. ArchiveError for a link that
    leaves it."""
    if source.is_symlink():
        check_link(name, str(source.readlink()))
        target.symlink_to(source.readlink())
    elif source.is_dir():
        make_folder(target, FOLDER_MODE)
        for path in sorted(source.iterdir()):
            tree(path, target / path.name, f"{name}/{path.name}")
    elif source.is_file():
        shutil.copy2(source, target)


def loose(source: Path, target: Path) -> None:
    """What unpacking the zip of `source` gives: files that anybody may write."""
    if not source.is_dir():
        shutil.copyfile(source, target)
        target.chmod(FILE_MODE)
        return
    make_folder(target, UNZIPPED_FOLDER_MODE)
    for path in source.iterdir():
        loose(path, target / path.name)


def check_links(source: Path, name: str) -> None:
    """ArchiveError for the first link of a folder that leaves it."""
    if source.is_symlink():
        check_link(name, str(source.readlink()))
    elif source.is_dir():
        for path in sorted(source.iterdir()):
            check_links(path, f"{name}/{path.name}")


def check_link(name: str, goal: str) -> None:
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(name), goal))
    if reached.startswith(("/", "..")) or reached == ".":
        raise ArchiveError(f"illegal symlink target: {name} -> {goal}")


def files(source: Path, relative: str = "") -> Iterator[str]:
    """The relative names of all that is no folder, links unfollowed: what an object store or a zip keeps of a folder."""
    for path in sorted(source.iterdir()):
        name = f"{relative}{path.name}"
        if path.is_dir() and not path.is_symlink():
            yield from files(path, f"{name}/")
        else:
            yield name


def make_folder(folder: Path, mode: int) -> None:
    """A folder with a mode of its own, whatever the umask; one that is there stays as it is."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(mode)


def pack(source: Path, kind: str, name: str, target: Path) -> None:
    """The archive itself, for a reader that wants its bytes."""
    if kind == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in files(source) if source.is_dir() else [""]:
                archive.write(source / entry, f"{name}/{entry}".rstrip("/"))
        return
    with tarfile.open(target, "w:gz", compresslevel=6) as tar:
        tar.add(source, name)


def unpack(file: Path, kind: str, target: Path) -> None:
    """Unpack a tar.gz or zip: a single file or folder in it becomes the target, several lie below it. ArchiveError in Argo's words."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpack-") as folder:
        place = Path(folder) / "content"
        make_folder(place, UNZIPPED_FOLDER_MODE)
        try:
            (_unzip if kind == "zip" else _untar)(file, place)
        except zipfile.BadZipFile:
            raise ArchiveError("zip: not a valid zip file") from None
        except (gzip.BadGzipFile, tarfile.ReadError):
            raise ArchiveError("gzip: invalid header") from None
        except (*_BROKEN, OSError) as error:
            raise ArchiveError(str(error)) from None
        found = list(place.iterdir())
        _replace(found[0] if len(found) == 1 else place, target)


def _replace(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        source.replace(target)


def _untar(file: Path, place: Path) -> None:
    with tarfile.open(file, "r:gz") as archive:
        for member in archive:
            name = posixpath.normpath(member.name).lstrip("/")
            if name.startswith(".."):
                raise ArchiveError(f"illegal file path: {member.name}")
            if member.issym():
                check_link(name, member.linkname)
                make_folder((place / name).parent, FOLDER_MODE)
                (place / name).symlink_to(member.linkname)
            elif member.isdir():
                make_folder(place / name, FOLDER_MODE)
            elif member.isfile():
                _write(archive.extractfile(member) or io.BytesIO(), place / name, member.mode, place)
                os.utime(place / name, (member.mtime, member.mtime))


def _unzip(file: Path, place: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            name = posixpath.normpath(member.filename)
            if name.startswith(("..", "/")):
                raise ArchiveError(f"{place / name}: Illegal file path")
            if member.is_dir():
                make_folder(place / name, UNZIPPED_FOLDER_MODE)
            else:
                mode = (member.external_attr >> 16) & 0o777 or FILE_MODE
                _write(archive.open(member), place / name, mode, place)


def _write(content: IO[bytes], target: Path, mode: int, place: Path) -> None:
    make_folder(target.parent, UNZIPPED_FOLDER_MODE)
    if not target.parent.resolve().is_relative_to(place.resolve()):
        raise ArchiveError(f"illegal file path after symlink resolution: {target.relative_to(place)} resolves outside destination")
    target.unlink(missing_ok=True)
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)
    target.chmod(mode)
