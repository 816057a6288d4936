"""A run on disk: `runs/<workflow>/` in the home folder. Whatever finished before the runner was killed is found again.

`workflow.json` is the whole Workflow object, replaced atomically; `journal.jsonl` holds what changed since. The object's resourceVersion
tells which lines came later: older ones may still be there after a crash. A torn last line is ignored.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from pipelines.local.faults import Refused
from pipelines.local.keeper import born
from pipelines.local.nodes import Node

Workflow = dict[str, Any]


def write(path: Path, text: str) -> None:
    """Replace a file in one step, and make sure that it lies on the disk."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read(home: Path, name: str) -> Workflow:
    """The Workflow object of a run, as last recorded."""
    folder = home / "runs" / name
    try:
        workflow: Workflow = json.loads((folder / "workflow.json").read_text())
    except FileNotFoundError:
        known = names(home)
        raise Refused(f"no run {name!r} in {home}; there are: {', '.join(known[-5:]) or 'none'}") from None
    for line in _journal(folder / "journal.jsonl"):
        if line["version"] <= int(workflow["metadata"].get("resourceVersion", "0")):
            continue
        workflow["metadata"]["resourceVersion"] = str(line["version"])
        workflow["status"] |= line["status"] | {"nodes": workflow["status"]["nodes"] | line["nodes"]}
        workflow["metadata"]["labels"] = line["labels"]
    return workflow


def names(home: Path) -> list[str]:
    """The runs in a home folder, oldest first."""
    found = [p.parent for p in (home / "runs").glob("*/workflow.json")]
    return [p.name for p in sorted(found, key=lambda p: p.stat().st_ctime)]


def _journal(path: Path) -> Iterable[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


class Run:
    """The open record of one run; only one runner holds it."""

    def __init__(self, home: Path, name: str, keeper: int) -> None:
        self.folder = home / "runs" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder / "lock", name, keeper)
        self._journal: IO[str] | None = None
        self._cost, self._last = 0.0, 0.0

    def node(self, node_id: str) -> Path:
        return self.folder / "nodes" / node_id

    def save(self, workflow: Workflow, changed: Iterable[Node], final: bool = False) -> None:
        """Record what changed. The whole object is written when that costs little beside the time since it was written last."""
        version = int(workflow["metadata"].get("resourceVersion", "0")) + 1
        workflow["metadata"]["resourceVersion"] = str(version)
        if final or time.monotonic() - self._last > 20 * self._cost:
            self._snapshot(workflow)
            return
        status = {k: v for k, v in workflow["status"].items() if k not in ("nodes", "storedWorkflowTemplateSpec")}
        line = {"version": version, "status": status, "labels": workflow["metadata"]["labels"], "nodes": {n["id"]: n for n in changed}}
        if self._journal is None:
            self._journal = (self.folder / "journal.jsonl").open("a")
        self._journal.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._journal.flush()

    def _snapshot(self, workflow: Workflow) -> None:
        start = time.monotonic()
        write(self.folder / "workflow.json", json.dumps(workflow, separators=(",", ":")))
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        (self.folder / "journal.jsonl").unlink(missing_ok=True)
        self._last = time.monotonic()
        self._cost = self._last - start

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._lock.close()


def driver(home: Path, name: str) -> str:
    """The id of the process that drives a run; empty when none does."""
    path = home / "runs" / name / "lock"
    if not path.exists():
        return ""
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return (lock.read().split() or ["?"])[0]
    return ""


def _locked(path: Path, name: str, keeper: int) -> IO[str]:
    """Hold the run. The keeper of a runner that was killed may still be writing down how a child ended: it is waited for."""
    lock = path.open("a+")
    lock.seek(0)
    before = lock.read().split()
    if not _held(lock):
        lock.close()
        raise Refused(f"run {name!r} is being driven by process {(before or ['?'])[0]}; wait for it, or stop it first")
    while len(before) == 3 and born(int(before[1])) == before[2] != "":
        time.sleep(0.01)
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()} {keeper} {born(keeper)}")
    lock.flush()
    return lock


def _held(lock: IO[str]) -> bool:
    """Take the lock. Whoever only asks who drives a run (`driver`) holds it for a moment, and is waited for."""
    for _ in range(5):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False
