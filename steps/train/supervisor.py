"""The entrypoint of a trainer pod, PID 1: agree on a checkpoint, start the workers, watch them, keep what they make, say how it ended.

Exit 0 means that `<run>/trained` is committed, on every rank. Every other end is a fault whose code the JobSet's rules act on.
"""

import math
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps import store
from steps.contracts import Out, TrainIn
from steps.faults import BadInput, Fault, PeerLost, TryAgain
from steps.runfile import read_plan
from steps.runtime import say
from steps.train import arguments, checkpoints, endings, gang, result
from steps.train.events import Event, Reader
from steps.train.gang import Gang
from steps.train.processes import Workers
from steps.train.report import Report
from steps.train.tracking import Subject

LOOK_SECONDS = 0.1
CAUSE_SECONDS = 30.0  # a survivor that leaves before its cause is seen hides it (jobset-on-cluster R1)
HEARD_SECONDS = 20.0  # from SIGTERM to the step at which all ranks stop; without that a rank hangs in a dead collective
SAVED_SECONDS = 60.0  # from that step to the checkpoint
COMMITTED_SECONDS = 900.0
ATTEMPTS_WITHOUT_PROGRESS = 8  # a restart after a disruption is not counted by the JobSet, so somebody must


class Stop:
    """Whether this process was asked to stop. A plain flag: a handler that takes a lock can wait for itself."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def __call__(self) -> bool:
        return self.asked

    def _ask(self, *_: Any) -> None:
        self.asked = True


@dataclass(frozen=True)
class Start:
    """Rank 0's answer for the whole gang: the step to go on from (0: the beginning), and whether the micro-batch is halved."""

    step: int
    halved: bool


def train(given: TrainIn) -> Out:
    """Train until the weights are committed. Raises the fault that says why not."""
    if store.committed(result.trained(given.run)):
        return Out()
    stop = Stop()
    own = gang.of_environment()
    work = Path(given.scratch) / f"train-{own.pod}"
    shutil.rmtree(work, ignore_errors=True)
    (work / "output").mkdir(parents=True)
    try:
        _attempt(given, own, work, stop)
    except Fault as fault:
        _record(given.run, own, "exit", {"code": fault.code, "reason": str(fault)})
        raise
    finally:
        # The end is decided. Python puts the default action back while it shuts down, and a second SIGTERM would turn 75 into a crash.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        shutil.rmtree(work, ignore_errors=True)
    _record(given.run, own, "exit", {"code": 0, "reason": "trained"})
    return Out()


def _attempt(given: TrainIn, own: Gang, work: Path, stop: Stop) -> None:
    start = Start(**gang.agree(own, lambda: _decide(given.run, own, work), stop))
    prepared = store.fetch(given.prepared, work)
    wanted = arguments.read(prepared)
    rows = arguments.train_rows(wanted, prepared)
    whole = arguments.complete(
        wanted,
        base=store.fetch(given.base, work),
        prepared=prepared,
        work=work,
        checkpoint=checkpoints.fetch(given.run, start.step, work) if start.step else None,
        halved=start.halved,
    )
    plan = read_plan(given.run)
    report = Report(Subject(given.run, plan.run_id, plan.runfile.model, wanted), own.world_size) if own.leads else None
    workers = Workers(own, whole, rows, work)
    try:
        _watch(workers, report.take if report else _ignore, stop)
        _judge(given.run, workers, final=start.halved or not arguments.can_be_halved(wanted), stop=stop)
        if report:
            facts = {"train_rows": rows, "world_size": own.world_size, "resumed_from": start.step, "seconds": report.seconds()}
            result.commit(plan, given.run, work / "output", report.end, facts)
        _await_commit(given.run, stop)
    except Fault as fault:
        again = isinstance(fault, TryAgain | PeerLost)
        if report:
            report.close("interrupted" if again else "failed", "KILLED" if again else "FAILED")
        raise
    finally:
        workers.kill()
    if report:
        report.close("done", "FINISHED")


def _decide(run: str, own: Gang, work: Path) -> dict[str, Any]:
    """Raises BadInput when attempt after attempt of this JobSet began at the same step."""
    step = checkpoints.newest(run, own.world_size, work)
    root = store.join(run, "train", "attempts")
    begins = [store.read_json(store.join(root, name)) for name in store.backend(root).names(root) if name.endswith("/begin-0.json")]
    vain = [begin for begin in begins if begin["jobset"] == own.jobset and begin["step"] >= step]
    if len(vain) >= ATTEMPTS_WITHOUT_PROGRESS:
        raise BadInput(
            f"no progress in {len(vain)} attempts: each began at step {step}. Save more often (save_steps), or take another preset"
        )
    _record(run, own, "begin", {"step": step})
    return {"step": step, "halved": store.exists(_halved(run))}


def _watch(workers: Workers, take: Callable[[Event], None], stop: Stop) -> None:
    """Until every worker has ended. SIGTERM is handed on; workers that do not leave in time are killed."""
    reader = Reader(workers.events)
    deadline = math.inf
    while workers.running():
        if stop() and deadline == math.inf:
            workers.stop()
            deadline = time.monotonic() + HEARD_SECONDS
        for event in reader.new():
            if event["kind"] == "stopping":
                deadline = time.monotonic() + SAVED_SECONDS
            take(event)
        if time.monotonic() > deadline:
            workers.kill()
        time.sleep(LOOK_SECONDS)
    for event in reader.new():
        take(event)


def _judge(run: str, workers: Workers, *, final: bool, stop: Stop) -> None:
    """Raise what the workers' endings mean. `final`: the micro-batch cannot be halved (again)."""
    ended = workers.endings()
    fault = endings.fault(ended, stopping=stop(), halved=final)
    if fault is None:
        return
    if isinstance(fault, TryAgain) and any(ending.reason == "memory" for ending in ended):
        store.create_json(_halved(run), {"at": round(time.time(), 3)})
    if isinstance(fault, PeerLost):  # wait until the cause is seen
        deadline = time.monotonic() + CAUSE_SECONDS
        while not stop() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
    raise fault


def _await_commit(run: str, stop: Stop) -> None:
    """A rank that ends with 0 counts as succeeded, so none does before rank 0 has committed the result."""
    deadline = time.monotonic() + COMMITTED_SECONDS
    while not store.committed(result.trained(run)):
        if stop() or time.monotonic() > deadline:
            raise PeerLost("the training is done, but rank 0 did not commit its result; the gang starts again from the last checkpoint")
        time.sleep(1)


def _ignore(_: Event) -> None:
    """Only rank 0's supervisor reports."""


def _halved(run: str) -> str:
    return store.join(run, "train", "halved.json")


def _record(run: str, own: Gang, what: str, facts: dict[str, Any]) -> None:
    """`<run>/train/attempts/<pod>/<what>-<rank>.json`: what `collect` and a person read afterwards."""
    content = {"rank": own.node_rank, "jobset": own.jobset, "at": round(time.time(), 3)} | facts
    try:
        store.create_json(store.join(run, "train", "attempts", own.pod, f"{what}-{own.node_rank}.json"), content)
    except (Fault, OSError) as error:
        say("train", f"attempt record not written: {error}")
