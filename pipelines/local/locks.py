"""Mutexes, held across runs of one home folder: a locked file each, so that a runner that dies lets go of them."""

import fcntl
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from pipelines.local import scope, tags

POLL = 0.2


def wanted(holder: dict[str, Any], namespace: str, values: scope.Values) -> list[str]:
    """The mutexes that a template or workflow asks for, as `NAMESPACE/Mutex/NAME`, in one order for all so that nobody waits in a ring."""
    mutexes = (holder.get("synchronization") or {}).get("mutexes") or []
    filled = tags.substitute_json(mutexes, values, tolerant=True)
    return sorted(f"{m.get('namespace', namespace)}/Mutex/{m['name']}" for m in filled)


class Locks:
    """The mutexes that one run holds, by the name of the node that asked (empty: the workflow itself)."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "locks"
        self.held: dict[str, dict[str, IO[str]]] = {}

    def acquire(self, holder: str, names: list[str]) -> str:
        """Take all or none. The name of one that somebody else has, or the empty string."""
        if not names or holder in self.held:
            return ""
        taken: dict[str, IO[str]] = {}
        for name in names:
            file = self._open(name)
            if file is None:
                for other in taken.values():
                    other.close()
                return name
            taken[name] = file
        self.held[holder] = taken
        return ""

    def _open(self, name: str) -> IO[str] | None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / quote(name, safe="")).open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def holds(self, holder: str, name: str) -> bool:
        return name in self.held.get(holder, {})

    def release(self, holder: str) -> None:
        for file in self.held.pop(holder, {}).values():
            file.close()

    def release_all(self) -> None:
        for holder in list(self.held):
            self.release(holder)
