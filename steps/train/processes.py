"""The workers of one node: started together, told to stop together, and none outlives the supervisor."""

import fcntl
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from steps.train import endings
from steps.train.arguments import Arguments
from steps.train.endings import Ending
from steps.train.gang import Gang
from steps.train.worker import Job

_FOLLOW_SECONDS = 5.0  # what a rank needs to notice by itself that another one is gone
_EVENTS_OF_CONTAINER = Path("/sys/fs/cgroup/memory.events")


class Workers:
    """`python` is looked up on PATH: what stands there may fork the worker from a process that has everything loaded."""

    def __init__(self, gang: Gang, arguments: Arguments, train_rows: int | None, work: Path) -> None:
        self._work = work
        self._alive = (work / "alive").open("w")
        fcntl.flock(self._alive, fcntl.LOCK_EX)  # held until this process ends, however it ends
        self._starved_before = _starved()
        self._first_end: float | None = None
        self._ranks = [gang.node_rank * gang.processes + local for local in range(gang.processes)]
        self._processes = [self._start(gang, local, arguments, train_rows) for local in range(gang.processes)]

    @property
    def events(self) -> Path:
        """The events of this node's first rank."""
        return self._work / f"events-{self._ranks[0]}.jsonl"

    def running(self) -> bool:
        """Also ends the others, some seconds after the first one failed."""
        statuses = [process.poll() for process in self._processes]
        if any(statuses) and self._first_end is None:  # neither running (None) nor done (0)
            self._first_end = time.monotonic()
        if self._first_end is not None and time.monotonic() - self._first_end > _FOLLOW_SECONDS:
            self.kill()
        return None in statuses

    def stop(self) -> None:
        """To the workers alone: their data loaders must live until they have saved."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def endings(self) -> list[Ending]:
        starved = _starved() > self._starved_before
        return [
            endings.read(self._work / f"ending-{rank}.json", rank, process.wait(), starved=starved)
            for rank, process in zip(self._ranks, self._processes, strict=True)
        ]

    def _start(self, gang: Gang, local: int, arguments: Arguments, train_rows: int | None) -> subprocess.Popen[bytes]:
        rank = self._ranks[local]
        job = Job(
            arguments=arguments,
            train_rows=train_rows,
            events=self._work / f"events-{rank}.jsonl",
            ending=self._work / f"ending-{rank}.json",
            alive=self._work / "alive",
        )
        config = self._work / f"job-{rank}.json"
        config.write_text(job.model_dump_json())
        environment = os.environ | {
            "RANK": str(rank),
            "WORLD_SIZE": str(gang.world_size),
            "LOCAL_RANK": str(local),
            "LOCAL_WORLD_SIZE": str(gang.processes),
            "MASTER_ADDR": gang.master[0],
            "MASTER_PORT": str(gang.master[1]),
            "TOKENIZERS_PARALLELISM": "false",
        }
        command = ["python", "-m", "steps.train.worker", str(config)]
        return subprocess.Popen(command, env=environment, start_new_session=True)


def _starved() -> int:
    """How often the kernel has killed a process of this container for its memory; 0 where it does not say (cgroup v2)."""
    try:
        lines = _EVENTS_OF_CONTAINER.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
