"""The processes of a Job or JobSet: started with fresh volumes, watched, and ended together with the object that they belong to."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.local import gang, isolation, namespace, objectfile, processes
from pipelines.local.objectfile import Object

TICK = 0.02  # seconds between looks at the processes and the object
_NOT_STARTED = 128  # exit code of a container whose program cannot be started


class Gone(Exception):
    """The object was deleted."""


class Orphaned(Exception):
    """The process that oversees this one is gone."""


def gang_folder(object_file: Path) -> Path:
    """Logs, volumes and the lock of a JobSet's or Job's processes."""
    name = object_file.stem if object_file.parent.name == "JobSet" else f"{object_file.stem}.job"
    return objectfile.home_of(object_file) / "gangs" / name


@dataclass(frozen=True)
class Pod:
    """A rank that was started; without a process when its program could not be."""

    rank: gang.Rank
    process: subprocess.Popen[bytes] | None

    def code(self) -> int | None:
        if self.process is None:
            return _NOT_STARTED
        returned = self.process.poll()
        return None if returned is None else processes.exit_code(returned)


class Pods:
    """Of the object in `object_file`, which `self.object` shows as it was read last."""

    def __init__(self, object_file: Path, temporary: Path, overseer: int) -> None:
        self.file, self.overseer = object_file, overseer
        self.home, self.namespace = objectfile.home_of(object_file), object_file.parents[1].name
        self.object = self.read()
        table = self.home / "images.json"
        images = json.loads(table.read_text()) if table.exists() else {}
        visible = self.home / gang.FOR_GANGS
        self.place = gang.Place(
            gang_folder(object_file), self.home / "volumes" / self.namespace, temporary, images,
            json.loads(visible.read_text()) if visible.exists() else None,
        )  # fmt: skip

    def launch(self, attempt: gang.Attempt, indexes: Iterable[int] | None = None) -> list[Pod]:
        """Start every rank, or those of `indexes`, with fresh volumes of its own."""
        lookup = self.lookup
        ranks, files = gang.ranks(attempt, self.place, lookup, indexes), list(gang.files(attempt, lookup))
        for rank in ranks:
            volumes, root = (self.place.folder / str(rank.index) / name for name in ("volumes", "root"))
            for folder in (volumes, root, self.place.temporary / str(rank.index)):
                shutil.rmtree(folder, ignore_errors=True)
            for volume in attempt.pod["spec"].get("volumes", []):
                (volumes / volume["name"]).mkdir(parents=True)
            for volume, name, text in files:
                (volumes / volume / name).parent.mkdir(parents=True, exist_ok=True)
                (volumes / volume / name).write_text(text)
            for folder in rank.folders:
                folder.mkdir(parents=True, exist_ok=True)
            if rank.root:
                isolation.make(rank.root)
            else:
                rank.cwd.mkdir(parents=True, exist_ok=True)
        return [self.start(rank, attempt.number) for rank in ranks]

    def start(self, rank: gang.Rank, number: int) -> Pod:
        with (self.place.folder / f"attempt-{number}-{rank.index}.log").open("ab") as log:
            try:
                process = subprocess.Popen(
                    rank.argv, env=rank.env, cwd=None if rank.root else rank.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, preexec_fn=_begin(rank),
                )  # fmt: skip
            except (OSError, subprocess.SubprocessError) as error:
                log.write(f"failed to start {rank.argv[0]}: {error}\n".encode())
                process = None
        return Pod(rank, process)

    def tick(self, pods: list[Pod]) -> None:
        """Kill what ended ranks left running, and wait a moment for the next event."""
        processes.kill_children(keep={pod.process.pid for pod in pods if pod.process})
        if os.getppid() != self.overseer:
            raise Orphaned
        if pods:
            time.sleep(TICK)

    def read(self) -> Object:
        found = objectfile.read(self.file)
        if found is None or "deletionTimestamp" in found["metadata"]:
            raise Gone
        return found

    def deleted(self) -> bool:
        found = objectfile.read(self.file)
        return found is None or "deletionTimestamp" in found["metadata"]

    def grace(self, attempt: gang.Attempt) -> float:
        found = objectfile.read(self.file) or self.object
        return float(found["metadata"].get("deletionGracePeriodSeconds", attempt.grace))

    def lookup(self, kind: str, name: str) -> Object | None:
        return objectfile.read(objectfile.path(self.home, self.namespace, kind, name))

    def update(self, edit: Callable[[Object], None]) -> None:
        """Edit the object on disk; raises Gone when it is no longer there."""
        changed = objectfile.change(self.file, edit)
        if changed is None:
            raise Gone
        self.object = changed


def _begin(rank: gang.Rank) -> Callable[[], None]:
    """What a rank does before it becomes its program."""
    dying = processes.dying_with_me()

    def begin() -> None:
        try:
            if rank.root:
                namespace.enter(str(rank.root.root), rank.root.mounts, str(rank.cwd))
        except OSError as error:
            os.write(2, f"{error}\n".encode())  # the parent hears no more than that there was one
            raise
        dying()

    return begin


def ends(pods: list[Pod]) -> Iterator[tuple[Pod, int]]:
    """Take out the pods that have ended since the last look, with their exit codes."""
    for pod in list(pods):
        code = pod.code()
        if code is not None:
            pods.remove(pod)
            yield pod, code


def signal_all(pods: list[Pod], number: int) -> None:
    """A container's signals go to its first process."""
    for pod in pods:
        if pod.process is not None:
            pod.process.send_signal(number)
