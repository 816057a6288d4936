"""What a step sees as `/`: this machine, but /tmp and the paths that its template names are its own.

A folder of the node becomes the root. Every entry of this machine's root is bound into it, except what is the step's own: that lies in the
folder itself, empty at first, like everything else that the step makes at the top. Where an own path lies deeper, the folders above it are
made the same way, so /data/in.txt needs no /data here, and /etc/app.conf leaves the other files of /etc in place. What the runner and its
interpreters need stays visible also below an own path, in a repository below /tmp for one.

This makes absolute paths behave as in a container. It is a convenience and no sandbox: a step can write everything that its user can.
"""

import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.local.namespace import Mount

SCRATCH = "/tmp"  # noqa: S108 - a path inside the container
PATH = re.compile(r"(?<![\w.-])/+([^\s'\":;,]+)")


@dataclass(frozen=True)
class Layout:
    """How a root is put together: what is bound where, and the links of this machine that are repeated in it.

    `hidden`: the paths that are the step's own, volumes included; what this machine has there is not seen.
    """

    root: Path
    hidden: frozenset[str]
    mounts: list[Mount] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)


def layout(root: Path, own: Iterable[str], volumes: Mapping[str, Path], read_only: Collection[str], visible: Iterable[str]) -> Layout:
    """The plan for a step. `volumes`: folder or file by the path where it is seen; those in `read_only` cannot be written."""
    hidden = frozenset(path for path in (*own, *volumes) if path != "/")
    found = Layout(root, hidden)
    _merge(found, "/", frozenset(str(above) for path in hidden for above in Path(path).parents))
    # What lies deeper comes first: a folder is bound with everything that is bound below it already.
    back = _outermost(path for path in visible if below(path, hidden))
    found.mounts.extend(Mount(path, str(place(root, volumes, path))) for path in back)
    for path in sorted(volumes, key=len, reverse=True):
        around = {mount: volumes[mount] for mount in volumes if mount != path}
        found.mounts.append(Mount(str(volumes[path]), str(place(root, around, path)), path in read_only))
    return found


def _merge(found: Layout, folder: str, above: frozenset[str]) -> None:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return  # whoever may not list a folder sees its own part of it only
    for entry in entries:
        if entry.path in found.hidden:
            continue
        if entry.path in above and entry.is_dir():
            _merge(found, entry.path, above)
        elif entry.is_symlink():
            found.links[f"{found.root}{entry.path}"] = str(Path(entry.path).readlink())
        else:
            found.mounts.append(Mount(entry.path, f"{found.root}{entry.path}"))


def place(root: Path, volumes: Mapping[str, Path], path: str) -> Path:
    """Where a path of the step lies on this machine: in the nearest volume above it, else below the root."""
    over = max((mount for mount in volumes if path == mount or below(path, (mount,))), key=len, default="")
    return volumes[over] / path[len(over) + 1 :] if over else root / path[1:]


def below(path: str, folders: Iterable[str]) -> bool:
    """Does a path lie in one of the folders?"""
    return any(path.startswith(f"{folder}/") for folder in folders)


def _outermost(paths: Iterable[str]) -> list[str]:
    known = set(paths)
    return sorted(path for path in known if not below(path, known))


def make(found: Layout) -> None:
    """Put something in every place that a mount needs. OSError when a place is taken by something of another kind."""
    for mount in found.mounts:
        if os.path.isdir(mount.source):  # noqa: PTH112 - this is done for every entry of `/` before every step
            os.makedirs(mount.target, exist_ok=True)  # noqa: PTH103
        else:
            os.makedirs(os.path.dirname(mount.target), exist_ok=True)  # noqa: PTH103, PTH120
            Path(mount.target).touch()
    for link, target in found.links.items():
        if not os.path.lexists(link):
            os.makedirs(os.path.dirname(link), exist_ok=True)  # noqa: PTH103, PTH120
            os.symlink(target, link)  # noqa: PTH211


def clear(found: Layout) -> None:
    """Take away what `make` made, once the step is over: only its own files stay."""
    for link in found.links:
        if Path(link).is_symlink():
            Path(link).unlink()
    for mount in reversed(found.mounts):
        try:
            os.rmdir(mount.target)  # noqa: PTH106
        except NotADirectoryError:
            if not os.path.getsize(mount.target):  # noqa: PTH202
                Path(mount.target).unlink()
        except OSError:
            continue  # not empty, or not there
    for folder in {os.path.dirname(path) for path in (*(mount.target for mount in found.mounts), *found.links)}:  # noqa: PTH120
        _clear_up(found, folder)


def _clear_up(found: Layout, folder: str) -> None:
    root = str(found.root)
    while below(folder, [root]) and folder[len(root) :] not in found.hidden:
        try:
            os.rmdir(folder)  # noqa: PTH106
        except OSError:
            return
        folder = os.path.dirname(folder)  # noqa: PTH120


def of_machine(home: Path, cwd: str, folders: Iterable[str]) -> list[str]:
    """What every step needs at its own place: home folder, current folder, this interpreter, and those of the images' `folders`."""
    programs = [folder for folder in (*folders, str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(os.pathsep)) if folder]
    found = {str(home), cwd, sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), os.path.expanduser("~")}  # noqa: PTH111
    for folder in programs:
        found.add(folder)
        if Path(folder).name == "bin":
            found.add(str(Path(folder).parent))  # libraries lie beside the programs
        if (python := Path(folder) / "python").is_symlink():
            found.add(str(python.resolve().parent.parent))
    return sorted(path for path in found - {"/"} if path.startswith("/") and Path(path).exists())


def named(texts: Iterable[str], own: Iterable[str] = (SCRATCH,)) -> list[str]:
    """The existing files of this machine below an `own` path that texts name, as paths or in URLs: the folders that they lie in."""
    found, own = set(), frozenset(own)
    for text in texts:
        for match in PATH.finditer(text):
            path = Path(os.path.normpath(f"/{match[1]}"))
            if below(str(path), own) and path.exists():
                beside = not path.is_dir() and str(path.parent) not in own
                found.add(str(path.parent if beside else path))
    return sorted(found)
