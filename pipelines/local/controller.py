"""The control loop of one JobSet: starts its ranks, waits for the first failure, ends the others, and restarts or gives up by the rules."""

import json
import os
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.local import failures, gang, objectfile, processes, statuses
from pipelines.local.failures import Cause
from pipelines.local.objectfile import Object

TICK = 0.02  # seconds between looks at the ranks and the object
_NOT_STARTED = 128  # exit code of a container whose program cannot be started


class Gone(Exception):
    """The JobSet was deleted."""


class Orphaned(Exception):
    """The process that oversees this one is gone."""


def ended(jobset: Object) -> bool:
    """Completed or Failed for good."""
    return bool(jobset.get("status", {}).get("terminalState"))


def gang_folder(object_file: Path) -> Path:
    """Logs, volumes and the lock of a JobSet's gang."""
    return objectfile.home_of(object_file) / "gangs" / object_file.stem


def job_file(object_file: Path, jobset: Object) -> Path:
    """The object of the child Job, `<jobset>-<replicatedJob>-0`."""
    return object_file.parents[1] / "Job" / f"{gang.Attempt(jobset, 0).job_name}.json"


def remove(object_file: Path) -> None:
    """Remove a JobSet that runs no more, with its Job."""
    with objectfile.locked(objectfile.home_of(object_file)):
        jobset = objectfile.read(object_file)
        if jobset is not None:
            job_file(object_file, jobset).unlink(missing_ok=True)
            object_file.unlink(missing_ok=True)


def control(object_file: Path, temporary: Path, overseer: int) -> int:
    """Run the gang to its end; the exit code of the controlling process. Nothing that it started outlives it."""
    processes.become_subreaper()
    try:
        _Controller(object_file, temporary, overseer).run()
    except Orphaned:
        processes.kill_children()
        shutil.rmtree(temporary, ignore_errors=True)
        return 1
    except Gone:
        processes.kill_children()
        remove(object_file)
    except gang.NotStartable as error:
        _fail(object_file, "CreateContainerConfigError", str(error))
    except Exception as error:  # without this the JobSet would never end, and everybody would wait for it
        traceback.print_exc()
        _fail(object_file, "ControllerError", f"{type(error).__name__}: {error}")
    finally:
        processes.kill_children()
    return 0


def _fail(object_file: Path, reason: str, message: str) -> None:
    objectfile.change(object_file, lambda jobset: statuses.end(jobset, "Failed", reason, message))


@dataclass(frozen=True)
class _Pod:
    """A rank that was started; without a process when its program could not be."""

    rank: gang.Rank
    process: subprocess.Popen[bytes] | None

    def code(self) -> int | None:
        if self.process is None:
            return _NOT_STARTED
        returned = self.process.poll()
        return None if returned is None else processes.exit_code(returned)


class _Controller:
    def __init__(self, object_file: Path, temporary: Path, overseer: int) -> None:
        self.file, self.overseer = object_file, overseer
        self.home, self.namespace = objectfile.home_of(object_file), object_file.parents[1].name
        self.jobset = self.read()
        self.job_file = job_file(object_file, self.jobset)
        table = self.home / "images.json"
        images = json.loads(table.read_text()) if table.exists() else {}
        self.place = gang.Place(gang_folder(object_file), self.home / "volumes" / self.namespace, temporary, images)

    def run(self) -> None:
        going_on = not ended(self.jobset) and self.take_over()
        while going_on:
            self.jobset = self.read()
            going_on = self.settle(self.attempt())

    def take_over(self) -> bool:
        """Begin, or go on where a killed controller was; says whether there is more to run. A cause that was frozen stays the cause."""
        job = objectfile.read(self.job_file)
        if "status" not in self.jobset:
            self.update(lambda jobset: statuses.begin(jobset, self.place.folder))
        elif job and (frozen := objectfile.holds(job, "FailureTarget")):
            return self.settle(Cause(frozen["reason"], frozen["message"]))
        elif job and objectfile.holds(job, "Complete"):
            return self.settle(None)
        elif job:
            message = "the controller was killed, and the gang with it"
            self.update(lambda jobset: statuses.restart(jobset, "ControllerRestarted", message, counted=False))
        return True

    def attempt(self) -> Cause | None:
        """One start of all ranks, to the end of the last one: why it failed, or None when it is complete. Raises Gone and Orphaned."""
        attempt = gang.Attempt(self.jobset, self.jobset["status"]["restarts"])
        attempt = replace(attempt, ports=gang.free_ports(attempt.pod))
        pods = self.launch(attempt)
        self.create_job(attempt, pods)
        cause: Cause | None = None
        kill_at, give_up = float("inf"), time.monotonic() + attempt.job["spec"].get("activeDeadlineSeconds", float("inf"))
        while pods:
            for pod, code in _ends(pods):
                if code and cause is None:
                    cause = self.freeze(failures.cause_of(attempt.job["spec"], failures.Ended(f"{self.namespace}/{pod.rank.pod}", code)))
            if cause is None and pods and time.monotonic() > give_up:
                cause = self.freeze(failures.DEADLINE)
            if kill_at == float("inf") and (cause or self.deleted()):
                kill_at = time.monotonic() + self.grace(attempt)
                _signal(pods, signal.SIGTERM)
            if time.monotonic() >= kill_at:
                _signal(pods, signal.SIGKILL)
            self.tick(pods)
        self.read()  # Gone when it was deleted
        objectfile.change(self.job_file, lambda job: statuses.finish(job, cause))
        return cause

    def launch(self, attempt: gang.Attempt) -> list[_Pod]:
        """Start every rank with fresh volumes of its own."""
        lookup = self.lookup
        ranks, files = gang.ranks(attempt, self.place, lookup), list(gang.files(attempt, lookup))
        for rank in ranks:
            volumes = self.place.folder / str(rank.index) / "volumes"
            for folder in (volumes, self.place.temporary / str(rank.index)):
                shutil.rmtree(folder, ignore_errors=True)
            for volume in attempt.pod["spec"].get("volumes", []):
                (volumes / volume["name"]).mkdir(parents=True)
            for volume, name, text in files:
                (volumes / volume / name).parent.mkdir(parents=True, exist_ok=True)
                (volumes / volume / name).write_text(text)
            for folder in (rank.cwd, *rank.folders):
                folder.mkdir(parents=True, exist_ok=True)
        return [self.start(rank, attempt.number) for rank in ranks]

    def start(self, rank: gang.Rank, number: int) -> _Pod:
        with (self.place.folder / f"attempt-{number}-{rank.index}.log").open("ab") as log:
            try:
                process = subprocess.Popen(
                    rank.argv, env=rank.env, cwd=rank.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, preexec_fn=processes.dying_with_me(),
                )  # fmt: skip
            except OSError as error:
                log.write(f"failed to start {rank.argv[0]}: {error}\n".encode())
                process = None
        return _Pod(rank, process)

    def tick(self, pods: list[_Pod]) -> None:
        """Kill what ended ranks left running, and wait a moment for the next event."""
        processes.kill_children(keep={pod.process.pid for pod in pods if pod.process})
        if os.getppid() != self.overseer:
            raise Orphaned
        if pods:
            time.sleep(TICK)

    def settle(self, cause: Cause | None) -> bool:
        """Write down what follows from the end of an attempt; says whether there is another one."""
        if cause is None:
            self.update(lambda jobset: statuses.end(jobset, "Completed", "AllJobsCompleted", "jobset completed successfully"))
            return False
        attempt = gang.Attempt(self.jobset, 0)
        outcome = failures.outcome_of(self.jobset, cause, attempt.job_name, attempt.replicated)
        if outcome.restart:
            self.update(lambda jobset: statuses.restart(jobset, outcome.reason, outcome.message, outcome.counted))
        else:
            self.update(lambda jobset: statuses.end(jobset, "Failed", outcome.reason, outcome.message))
        return outcome.restart

    # --- objects

    def read(self) -> Object:
        jobset = objectfile.read(self.file)
        if jobset is None or "deletionTimestamp" in jobset["metadata"]:
            raise Gone
        return jobset

    def deleted(self) -> bool:
        jobset = objectfile.read(self.file)
        return jobset is None or "deletionTimestamp" in jobset["metadata"]

    def grace(self, attempt: gang.Attempt) -> float:
        jobset = objectfile.read(self.file) or self.jobset
        return float(jobset["metadata"].get("deletionGracePeriodSeconds", attempt.grace))

    def lookup(self, kind: str, name: str) -> Object | None:
        return objectfile.read(objectfile.path(self.home, self.namespace, kind, name))

    def update(self, edit: Callable[[Object], None]) -> None:
        """Edit the JobSet on disk; raises Gone when it is no longer there."""
        changed = objectfile.change(self.file, edit)
        if changed is None:
            raise Gone
        self.jobset = changed

    def create_job(self, attempt: gang.Attempt, pods: list[_Pod]) -> None:
        """The child Job of this attempt, which replaces that of the last one."""
        job = statuses.job(attempt, [(pod.rank.index, pod.process.pid) for pod in pods if pod.process])
        with objectfile.locked(self.home):
            objectfile.write(self.job_file, job)
        self.update(lambda jobset: statuses.running(jobset, attempt.replicated))

    def freeze(self, cause: Cause) -> Cause:
        """The first failure seen is the cause, whatever the other ranks do afterwards."""
        objectfile.change(self.job_file, lambda job: statuses.freeze(job, cause))
        return cause


def _ends(pods: list[_Pod]) -> Iterator[tuple[_Pod, int]]:
    """Take out the pods that have ended since the last look, with their exit codes."""
    for pod in list(pods):
        code = pod.code()
        if code is not None:
            pods.remove(pod)
            yield pod, code


def _signal(pods: list[_Pod], number: int) -> None:
    """A container's signals go to its first process."""
    for pod in pods:
        if pod.process is not None:
            pod.process.send_signal(number)
