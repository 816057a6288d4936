"""Kubernetes objects as JSON files, `home/objects/<namespace>/<Kind>/<name>.json`: what the API server and the controllers share.

A reader needs no lock, because a file is replaced, never rewritten. A writer holds the one lock of its home.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.local.clock import rfc3339

Object = dict[str, Any]


def path(home: Path, namespace: str, kind: str, name: str) -> Path:
    return home / "objects" / namespace / kind / f"{name}.json"


def home_of(file: Path) -> Path:
    """The home that an object's file belongs to."""
    return file.parents[3]


def read(file: Path) -> Object | None:
    try:
        found: Object = json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found


def write(file: Path, what: Object) -> None:
    """Replace the file, whole or not at all; the caller holds the lock."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(json.dumps(what, indent=1, ensure_ascii=False))
    part.replace(file)


def change(file: Path, edit: Callable[[Object], None]) -> Object | None:
    """Read, edit and write an object as one step; None when it is gone. An edit that changes nothing writes nothing."""
    with locked(home_of(file)):
        found = read(file)
        if found is None:
            return None
        before = json.dumps(found)
        edit(found)
        if json.dumps(found) != before:
            bump(found)
            write(file, found)
        return found


def bump(what: Object) -> None:
    """A new resourceVersion, as after each write to a cluster."""
    what["metadata"]["resourceVersion"] = str(int(what["metadata"].get("resourceVersion", "0")) + 1)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the lock of all objects of this home, across threads and processes."""
    folder = home / "objects"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def now() -> str:
    return rfc3339(time.time())


def condition(what: Object, kind: str, reason: str, message: str, status: str = "True") -> None:
    """Set a condition of `status.conditions`; the others stay."""
    conditions = what.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [other for other in conditions if other["type"] != kind]
    conditions.append({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()})


def holds(what: Object, kind: str) -> Object | None:
    """The condition of this type, when it is true."""
    for found in what.get("status", {}).get("conditions", []):
        if found["type"] == kind and found["status"] == "True":
            return dict(found)
    return None
