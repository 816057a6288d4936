"""Mutexes and semaphores, held across all runs of one home folder. Follows argo-workflows v4.1.2 `workflow/sync`.

A lock is a folder with a file for each place in it, and a file for each run that waits. All of them are held by flock, so a runner that
dies lets go of them; a holder writes its name into its file.
"""

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from pipelines.local import scope, tags

POLL = 0.2  # seconds between two looks at a lock that somebody else has

Limit = Callable[[str, str, str], str | None]
"""The text under a key of a ConfigMap: namespace, name, key."""


class LockError(ValueError):
    """A lock that cannot be; Argo's words."""


@dataclass(frozen=True)
class Lock:
    """A mutex or semaphore by its full name, and how many may hold it at once."""

    name: str
    limit: int

    @property
    def is_mutex(self) -> bool:
        return "/Mutex/" in self.name


@dataclass(frozen=True)
class Wait:
    """The first lock that is missing, and what the one who waits is told."""

    name: str
    message: str


def wanted(holder: dict[str, Any], namespace: str, values: scope.Values, limit: Limit) -> list[Lock]:
    """The locks that a template or workflow asks for: semaphores first. Raises LockError."""
    asked = tags.substitute_json(holder.get("synchronization") or {}, values, tolerant=True)
    both = [("semaphore", s) for s in asked.get("semaphores") or []] + [("mutex", m) for m in asked.get("mutexes") or []]
    if any(one in both[:index] for index, one in enumerate(both)):
        raise LockError("requested configuration is invalid: duplicate synchronization item found")
    return [_lock(one, one.get("namespace") or namespace, limit) for _, one in both]


def _lock(asked: dict[str, Any], namespace: str, limit: Limit) -> Lock:
    if "name" in asked:
        return Lock(f"{namespace}/Mutex/{asked['name']}", 1)
    if not asked.get("configMapKeyRef"):
        raise LockError("requested configuration is invalid: cannot get LockName for a Semaphore without a ConfigMapRef or Database")
    source = asked["configMapKeyRef"]
    name = f"{namespace}/ConfigMap/{source['name']}/{source['key']}"
    text = limit(namespace, source["name"], source["key"]) or ""
    if not text.lstrip("-+").isdecimal() or int(text) <= 0:
        raise LockError(f"failed to initialize semaphore {name} with limit")
    return Lock(name, int(text))


def order(priority: int, created: float) -> str:
    """A text that sorts the higher priority first, then the older workflow. `created`: seconds since 1970."""
    return f"{2**31 - priority:010d}-{created:012.0f}"


@dataclass
class Locks:
    """The locks of one run. `key`: its namespace and name. `order`: which run comes first."""

    home: Path
    key: str
    order: str
    held: dict[str, dict[str, IO[str]]] = field(default_factory=dict)
    queued: dict[str, IO[str]] = field(default_factory=dict)

    def acquire(self, holder: str, wanted: list[Lock]) -> Wait | None:
        """Take all or none for a node (its id; empty: the workflow itself). What is missing, or None."""
        if not wanted or holder in self.held:
            return None
        taken: dict[str, IO[str]] = {}
        missing: Wait | None = None
        for lock in sorted(wanted, key=lambda lock: lock.name):  # in one order for all, so that nobody waits in a ring
            file = None if self._behind(lock) else self._take(lock, holder)
            if file is not None:
                taken[lock.name] = file
        for lock in wanted:
            if lock.name not in taken and missing is None:
                free = lock.limit - len(self.holders(lock))
                missing = Wait(lock.name, f"Waiting for {lock.name} lock. Lock status: {free}/{lock.limit}")
        if missing is None:
            self.held[holder] = taken
            self.leave_queue()
            return None
        for file in taken.values():
            file.truncate(0)
            file.close()
        for lock in wanted:
            self._queue(lock)
        return missing

    def _folder(self, lock: Lock) -> Path:
        return self.home / "locks" / quote(lock.name, safe="")

    def _take(self, lock: Lock, holder: str) -> IO[str] | None:
        if len(self.holders(lock)) >= lock.limit:  # it may have had more places once
            return None
        for place in range(lock.limit):
            file = _hold(self._folder(lock) / f"place-{place}")
            if file is not None:
                file.truncate(0)
                file.write(self.name_of(holder))
                file.flush()
                return file
        return None

    def name_of(self, holder: str) -> str:
        """How Argo calls a holder: `NAMESPACE/WORKFLOW`, or `NAMESPACE/WORKFLOW/NODE-ID`."""
        return f"{self.key}/{holder}" if holder else self.key

    def holders(self, lock: Lock) -> list[str]:
        """The names of those who hold it."""
        return [path.read_text() for path in _held(self._folder(lock), "place-*")]

    def _behind(self, lock: Lock) -> bool:
        """Does another run wait that comes first?"""
        mine = self._waiting_file(lock).name
        return any(path.name < mine for path in _held(self._folder(lock), "wait-*"))

    def _waiting_file(self, lock: Lock) -> Path:
        return self._folder(lock) / f"wait-{self.order}-{quote(self.key, safe='')}"

    def _queue(self, lock: Lock) -> None:
        if lock.name not in self.queued:
            file = _hold(self._waiting_file(lock))
            if file is not None:
                self.queued[lock.name] = file

    def leave_queue(self) -> None:
        for file in self.queued.values():
            Path(file.name).unlink(missing_ok=True)
            file.close()
        self.queued.clear()

    def holds(self, holder: str, name: str) -> bool:
        return name in self.held.get(holder, {})

    def release(self, holder: str) -> list[str]:
        """Give back what a node held; the names of the locks."""
        given_back = self.held.pop(holder, {})
        for file in given_back.values():
            file.truncate(0)
            file.close()
        return list(given_back)

    def release_all(self) -> None:
        for holder in list(self.held):
            self.release(holder)
        self.leave_queue()


def _hold(path: Path) -> IO[str] | None:
    """The open file, locked; None when somebody else has it."""
    if path.parent.is_file():  # a lock as an older version kept it; nobody who runs now holds it
        path.parent.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _held(folder: Path, pattern: str) -> Iterator[Path]:
    """The files that somebody has locked now; a look that leaves no trace."""
    for path in sorted(folder.glob(pattern)):
        with contextlib.suppress(FileNotFoundError), path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path
