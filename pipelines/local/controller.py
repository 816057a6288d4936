"""The control loop of one JobSet: starts its ranks, waits for the first failure, ends the others, and restarts or gives up by the rules.

Also the way into the loop of a plain Job (jobs.py).
"""

import shutil
import signal
import time
import traceback
from dataclasses import replace
from pathlib import Path

from pipelines.local import failures, gang, jobs, objectfile, processes, statuses
from pipelines.local.failures import Cause
from pipelines.local.objectfile import Object
from pipelines.local.pods import Gone, Orphaned, Pod, Pods, ends, signal_all


def ended(found: Object) -> bool:
    """Completed or Failed for good: a JobSet, or a Job."""
    if found["kind"] == "Job":
        return bool(objectfile.holds(found, "Complete") or objectfile.holds(found, "Failed"))
    return bool(found.get("status", {}).get("terminalState"))


def job_file(object_file: Path, jobset: Object) -> Path:
    """The object of the child Job, `<jobset>-<replicatedJob>-0`."""
    return object_file.parents[1] / "Job" / f"{gang.Attempt(jobset, 0).job_name}.json"


def remove(object_file: Path) -> None:
    """Remove a JobSet that runs no more, with its Job; or a Job."""
    with objectfile.locked(objectfile.home_of(object_file)):
        found = objectfile.read(object_file)
        if found is not None:
            if found["kind"] == "JobSet":
                job_file(object_file, found).unlink(missing_ok=True)
            object_file.unlink(missing_ok=True)


def control(object_file: Path, temporary: Path, overseer: int) -> int:
    """Run the gang or Job to its end; the exit code of the controlling process. Nothing that it started outlives it."""
    processes.become_subreaper()
    controller = jobs.JobController if object_file.parent.name == "Job" else _Controller
    try:
        controller(object_file, temporary, overseer).run()
    except Orphaned:
        processes.kill_children()
        shutil.rmtree(temporary, ignore_errors=True)
        return 1
    except Gone:
        processes.kill_children()
        remove(object_file)
    except gang.NotStartable as error:
        _fail(object_file, "CreateContainerConfigError", str(error))
    except Exception as error:  # without this the object would never end, and everybody would wait for it
        traceback.print_exc()
        _fail(object_file, "ControllerError", f"{type(error).__name__}: {error}")
    finally:
        processes.kill_children()
    return 0


def _fail(object_file: Path, reason: str, message: str) -> None:
    def edit(found: Object) -> None:
        if found["kind"] == "Job":
            jobs.finish(found, Cause(reason, message))
        else:
            statuses.end(found, "Failed", reason, message)

    objectfile.change(object_file, edit)


class _Controller(Pods):
    def run(self) -> None:
        self.job_file = job_file(self.file, self.object)
        going_on = not ended(self.object) and self.take_over()
        while going_on:
            self.object = self.read()
            going_on = self.settle(self.attempt())

    def take_over(self) -> bool:
        """Begin, or go on where a killed controller was; says whether there is more to run. A cause that was frozen stays the cause."""
        job = objectfile.read(self.job_file)
        if "status" not in self.object:
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
        attempt = gang.Attempt(self.object, self.object["status"]["restarts"])
        attempt = replace(attempt, ports=gang.free_ports(attempt.pod))
        pods = self.launch(attempt)
        self.create_job(attempt, pods)
        cause: Cause | None = None
        kill_at, give_up = float("inf"), time.monotonic() + attempt.job["spec"].get("activeDeadlineSeconds", float("inf"))
        while pods:
            for pod, code in ends(pods):
                if code and cause is None:
                    cause = self.freeze(failures.cause_of(attempt.job["spec"], failures.Ended(f"{self.namespace}/{pod.rank.pod}", code)))
            if cause is None and pods and time.monotonic() > give_up:
                cause = self.freeze(failures.DEADLINE)
            if kill_at == float("inf") and (cause or self.deleted()):
                kill_at = time.monotonic() + self.grace(attempt)
                signal_all(pods, signal.SIGTERM)
            if time.monotonic() >= kill_at:
                signal_all(pods, signal.SIGKILL)
            self.tick(pods)
        self.read()  # Gone when it was deleted
        objectfile.change(self.job_file, lambda job: statuses.finish(job, cause))
        return cause

    def settle(self, cause: Cause | None) -> bool:
        """Write down what follows from the end of an attempt; says whether there is another one."""
        if cause is None:
            self.update(lambda jobset: statuses.end(jobset, "Completed", "AllJobsCompleted", "jobset completed successfully"))
            return False
        attempt = gang.Attempt(self.object, 0)
        outcome = failures.outcome_of(self.object, cause, attempt.job_name, attempt.replicated)
        if outcome.restart:
            self.update(lambda jobset: statuses.restart(jobset, outcome.reason, outcome.message, outcome.counted))
        else:
            self.update(lambda jobset: statuses.end(jobset, "Failed", outcome.reason, outcome.message))
        return outcome.restart

    def create_job(self, attempt: gang.Attempt, pods: list[Pod]) -> None:
        """The child Job of this attempt, which replaces that of the last one."""
        job = statuses.job(attempt, [(pod.rank.index, pod.process.pid) for pod in pods if pod.process])
        with objectfile.locked(self.home):
            objectfile.write(self.job_file, job)
        self.update(lambda jobset: statuses.running(jobset, attempt.replicated))

    def freeze(self, cause: Cause) -> Cause:
        """The first failure seen is the cause, whatever the other ranks do afterwards."""
        objectfile.change(self.job_file, lambda job: statuses.freeze(job, cause))
        return cause
