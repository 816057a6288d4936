"""A JobSet as a gang of processes, or a plain Job: the JobSet controller and the Job controller for one object.

`start` runs `python -m pipelines.local.jobset <object file>`, two small processes. The overseer holds the gang's lock and a pipe from the
runner; when the runner is gone it kills everything. Its child, the controller, starts the ranks, waits, and writes the statuses. Whichever
of the two is killed, the other one cleans up, and an overseer starts a killed controller anew: as on a cluster after a disruption, the gang
then begins another attempt, which is not counted.
"""

import atexit
import fcntl
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from pipelines.local import objectfile, processes
from pipelines.local.controller import control, ended, remove
from pipelines.local.pods import TICK, gang_folder

_ROOT = Path(__file__).parents[2]
_STARTED: dict[Path, subprocess.Popen[bytes]] = {}


# --- the runner's end ---------------------------------------------------------------------------------------------------------------


def start(object_file: Path) -> None:
    """Start the gang of a JobSet or the pods of a Job, or go on after a crash; nothing when it has ended or runs already."""
    object_file = object_file.resolve()
    running = _STARTED.get(object_file)
    jobset = objectfile.read(object_file)
    if (running and running.poll() is None) or jobset is None or ended(jobset):
        return
    _forget(object_file)
    folder = gang_folder(object_file)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "controller.log").open("ab") as log:
        _STARTED[object_file] = subprocess.Popen(
            [sys.executable, "-E", "-S", "-m", "pipelines.local.jobset", str(object_file)],
            cwd=_ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


resume = start  # after a crash of the runner; the object on disk says what was reached


def tend(object_file: Path) -> None:
    """Make up for processes that were killed: start again what this process had started, remove what was being deleted."""
    object_file = object_file.resolve()
    if object_file in _STARTED and _STARTED[object_file].poll() is not None:
        _forget(object_file)
        start(object_file)
    jobset = objectfile.read(object_file)
    if jobset and "deletionTimestamp" in jobset["metadata"] and not _lock_is_held(gang_folder(object_file)):
        remove(object_file)


def stop(object_file: Path, grace: float | None = None) -> None:
    """Delete a JobSet and wait: SIGTERM to every rank, SIGKILL after `grace` seconds (default: the pod's own), then the object."""
    object_file = object_file.resolve()
    delete(object_file, grace)
    while object_file.exists():
        if not _lock_is_held(gang_folder(object_file)):
            remove(object_file)
        time.sleep(TICK)
    _forget(object_file)


def delete(object_file: Path, grace: float | None = None) -> None:
    """Ask the gang to end, and do not wait; an object without a living controller is removed at once."""

    def mark(jobset: objectfile.Object) -> None:
        jobset["metadata"].setdefault("deletionTimestamp", objectfile.now())
        if grace is not None:
            jobset["metadata"]["deletionGracePeriodSeconds"] = grace

    objectfile.change(object_file, mark)
    if not _lock_is_held(gang_folder(object_file)):
        remove(object_file)


def _forget(object_file: Path) -> None:
    process = _STARTED.pop(object_file, None)
    if process is not None and process.stdin is not None:
        process.stdin.close()
        process.wait()


@atexit.register
def _forget_all() -> None:
    """The runner ends: so do its gangs, and they are waited for."""
    for object_file in list(_STARTED):
        _forget(object_file)


def _lock_is_held(folder: Path) -> bool:
    if not folder.exists():
        return False
    with (folder / "lock").open("a") as lock:
        return not _try_lock(lock)


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- the overseer -------------------------------------------------------------------------------------------------------------------


def main(object_file: Path) -> None:
    """Oversee the gang until it has ended or the runner is gone."""
    processes.become_subreaper()
    with (gang_folder(object_file) / "lock").open("a") as lock:
        while not _try_lock(lock):  # another runner has it, or the last gang is still being ended
            if _runner_is_gone(2 * TICK):
                return
        temporary = Path(tempfile.mkdtemp(prefix="fleece-"))
        try:
            _oversee(object_file, temporary)
        finally:
            processes.kill_children()
            shutil.rmtree(temporary, ignore_errors=True)


def _oversee(object_file: Path, temporary: Path) -> None:
    while True:
        overseer = os.getpid()
        controller = os.fork()
        if controller == 0:
            os._exit(control(object_file, temporary, overseer))
        while not (found := os.waitpid(controller, os.WNOHANG))[0]:
            if _runner_is_gone(TICK):
                return
        processes.kill_children()
        if os.waitstatus_to_exitcode(found[1]) >= 0:
            return


def _runner_is_gone(timeout: float) -> bool:
    """The pipe from the runner ends with the runner."""
    return bool(select.select([sys.stdin], [], [], timeout)[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
