"""The control loop of one Job that belongs to no JobSet: so many pods at once, until so many have succeeded or too many have failed.

https://kubernetes.io/docs/concepts/workloads/controllers/job/ ; status and texts: Kubernetes 1.34.
"""

import signal
import time
from dataclasses import replace

from pipelines.local import failures, gang, objectfile
from pipelines.local.failures import Cause
from pipelines.local.objectfile import Object
from pipelines.local.pods import TICK, Gone, Pod, Pods, ends, signal_all

_BACKOFF_LIMIT = 6
_WAIT, _LONGEST_WAIT = 0.5, 8.0  # seconds before a failed pod is replaced, doubled each time; a cluster: 10, at most 360


def finish(job: Object, cause: Cause | None) -> None:
    """No pod runs any more, and none will."""
    status = job.setdefault("status", {})
    status.pop("active", None)
    status["ready"] = 0
    if cause is None:
        status["completionTime"] = objectfile.now()
        for kind in ("SuccessCriteriaMet", "Complete"):
            objectfile.condition(job, kind, "CompletionsReached", "Reached expected number of succeeded pods")
    else:
        for kind in ("FailureTarget", "Failed"):
            objectfile.condition(job, kind, cause.reason, cause.message)


def shown(done: set[int]) -> str:
    """Indexes as the API shows them: three or more in a row by the first and the last, `1,3-5,7`."""
    rows = list[list[int]]()
    for index in sorted(done):
        if rows and rows[-1][-1] == index - 1:
            rows[-1].append(index)
        else:
            rows.append([index])
    return ",".join(f"{row[0]}-{row[-1]}" if len(row) > 2 else ",".join(map(str, row)) for row in rows)


def indexes(text: str) -> set[int]:
    """The reverse of `shown`."""
    found = set[int]()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


class JobController(Pods):
    """`done` and `failed` go on from the status when an earlier controller was killed."""

    def run(self) -> None:
        spec, status = self.object["spec"], self.object.get("status") or {}
        self.spec, self.running = spec, list[Pod]()
        self.done, self.failed = set(range(int(status.get("succeeded", 0)))), int(status.get("failed", 0))
        if spec.get("completionMode") == "Indexed":
            self.done = indexes(str(status.get("completedIndexes", "")))
        self.at_once = int(spec.get("parallelism", 1))
        self.wanted = spec.get("completions", None if "parallelism" in spec else 1)
        self.next_start, self.wait, self.next_index = 0.0, _WAIT, len(self.done) + self.failed
        self.ports = gang.free_ports(gang.of_job(self.object, 0).pod)
        self.show()
        cause = self.work(time.monotonic() + float(spec.get("activeDeadlineSeconds", float("inf"))))
        self.failed += len(self.running) if cause else 0
        self.stop()
        self.read()  # Gone when it was deleted
        self.show()
        self.update(lambda job: finish(job, cause))

    def work(self, deadline: float) -> Cause | None:
        """Until the Job is over: why it failed, or None."""
        while self.wanted is None or len(self.done) < self.wanted:
            if self.deleted():
                self.stop()
                raise Gone
            self.begin()
            for pod, code in ends(self.running):
                if cause := self.count(pod, code):
                    return cause
            if self.wanted is None and self.done and not self.running:
                return None
            if time.monotonic() > deadline:
                return failures.DEADLINE
            self.tick(self.running)
            if not self.running:
                time.sleep(TICK)
        return None

    def begin(self) -> None:
        """Start what there is room for; nobody is started in a work queue from which somebody went home."""
        if time.monotonic() < self.next_start or (self.wanted is None and self.done):
            return
        left = self.at_once if self.wanted is None else min(self.at_once, self.wanted - len(self.done))
        free = self.free(left - len(self.running))
        attempt = replace(gang.of_job(self.object, self.failed), ports=self.ports)
        if free:
            self.running += self.launch(attempt, free)
            self.show()

    def free(self, number: int) -> list[int]:
        """The numbers of the next pods: of an Indexed Job those that have not succeeded, otherwise new ones."""
        if self.spec.get("completionMode") != "Indexed":
            first, self.next_index = self.next_index, self.next_index + max(number, 0)
            return list(range(first, self.next_index))
        taken = self.done | {pod.rank.index for pod in self.running}
        return [index for index in range(int(self.wanted or 1)) if index not in taken][: max(number, 0)]

    def count(self, pod: Pod, code: int) -> Cause | None:
        """Take note of a pod that has ended; why the Job fails by that."""
        if code == 0:
            self.done.add(pod.rank.index)
            self.show()
            return None
        self.failed += 1
        self.next_start, self.wait = time.monotonic() + self.wait, min(2 * self.wait, _LONGEST_WAIT)
        self.show()
        cause = failures.cause_of(self.spec, failures.Ended(f"{self.namespace}/{pod.rank.pod}", code))
        over = self.failed > int(self.spec.get("backoffLimit", _BACKOFF_LIMIT))
        return cause if over or cause.reason == "PodFailurePolicy" else None

    def stop(self) -> None:
        """End what still runs: SIGTERM, the pod's grace, SIGKILL."""
        kill_at = time.monotonic() + self.grace(gang.of_job(self.object, 0))
        signal_all(self.running, signal.SIGTERM)
        while self.running:
            list(ends(self.running))
            if time.monotonic() >= kill_at:
                signal_all(self.running, signal.SIGKILL)
            self.tick(self.running)

    def show(self) -> None:
        """The status as it is now; what is 0 is left out, as by the API."""
        counts = {"active": len(self.running), "succeeded": len(self.done), "failed": self.failed}

        def edit(job: Object) -> None:
            status = job.setdefault("status", {})
            status.setdefault("startTime", objectfile.now())
            status |= {"ready": len(self.running), "terminating": 0, "uncountedTerminatedPods": {}}
            status |= {key: value for key, value in counts.items() if value}
            if not self.running:
                status.pop("active", None)
            if self.spec.get("completionMode") == "Indexed":
                status["completedIndexes"] = shown(self.done)

        self.update(edit)
