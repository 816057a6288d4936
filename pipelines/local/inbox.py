"""Commands from other processes to the one that drives a run.

A command is a file `commands/<number>.json` in the run's folder, put there in one step. Whoever gives it rings the bell, a FIFO beside it,
and waits at a FIFO of its own, `<number>.reply`. The runner carries the command out, records the run, removes the file and replies. A file
that a dead runner left was not carried out: whoever gave it takes it back, or, when that process is gone too, the next runner finds it.
"""

import contextlib
import json
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import control, state
from pipelines.local.control import Command
from pipelines.local.faults import Refused

Workflow = dict[str, Any]

PATIENCE = 10.0  # seconds until a runner that does not answer is taken to be stuck
_LOOK = 0.5  # seconds between looks whether the runner is still there
_LONGEST = 3000  # bytes of a refusal: with the rest it fits what a FIFO takes in one piece; POSIX PIPE_BUF is at least 512, 4096 on Linux


class Unanswered(Refused):
    """The process that drives the run did not take the command. Try again: exit 75."""

    code = 75


@dataclass(frozen=True)
class Order:
    """A command that waits to be carried out."""

    number: str
    command: Command


class Inbox:
    """The runner's end."""

    def __init__(self, run: Path) -> None:
        self.folder = _folder(run)
        self._bell = os.open(_fifo(self.folder / "bell"), os.O_RDWR | os.O_NONBLOCK)  # for writing too: so it never comes to its end

    def fileno(self) -> int:
        return self._bell

    def next_time(self) -> float | None:
        """When the next command is known to come. From outside they come unannounced."""
        return None

    def take(self, found: Workflow) -> Iterator[Order]:
        """The commands that have come, in order. Each has to be answered."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._bell, 4096):
                pass
        for path in sorted(self.folder.glob("*.json")):
            try:
                yield Order(path.stem, control.command(path.read_text()))
            except (ValueError, OSError):  # no command, or taken back
                path.unlink(missing_ok=True)

    def answer(self, order: Order, refusal: str) -> None:
        """It has been carried out, or refused."""
        (self.folder / f"{order.number}.json").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # whoever gave it may be gone
            _write(self.folder / f"{order.number}.reply", json.dumps({"refusal": refusal[:_LONGEST]}).encode())

    def close(self) -> None:
        os.close(self._bell)


def give(home: Path, name: str, command: Command, patience: float = PATIENCE) -> bool:
    """Hand a command to the process that drives a run; False when none does, or it died before it took the command.

    Refused as the run refuses it; Unanswered after `patience` seconds.
    """
    if not state.driver(home, name):
        return False
    folder = _folder(home / "runs" / name)
    number = f"{time.time_ns():020d}-{os.getpid()}"
    reply = os.open(_fifo(folder / f"{number}.reply"), os.O_RDWR | os.O_NONBLOCK)
    try:
        state.write(folder / f"{number}.json", command.text())
        with contextlib.suppress(OSError):  # a runner that is just starting looks by itself
            _write(folder / "bell", b".")
        return _taken(home, name, folder / f"{number}.json", reply, time.monotonic() + patience)
    finally:
        os.close(reply)
        for ending in (".json", ".reply"):
            (folder / f"{number}{ending}").unlink(missing_ok=True)


def _taken(home: Path, name: str, letter: Path, reply: int, end: float) -> bool:
    while True:
        driver = state.driver(home, name)
        ready, _, _ = select.select([reply], [], [], _LOOK if driver else 0)
        if ready:
            refusal = json.loads(os.read(reply, 4096))["refusal"]
            if refusal:
                raise Refused(refusal)
            return True
        if driver and time.monotonic() < end:
            continue
        if not _taken_back(letter):
            return True  # carried out and recorded; only the reply is lost
        if driver:
            raise Unanswered(f"run {name!r} is driven by process {driver}, which does not answer; try again")
        return False


def _taken_back(letter: Path) -> bool:
    """A command whose file is still there was not carried out, and will not be now."""
    try:
        letter.unlink()
    except FileNotFoundError:
        return False
    return True


def _folder(run: Path) -> Path:
    folder = run / "commands"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _fifo(path: Path) -> Path:
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return path


def _write(path: Path, what: bytes) -> None:
    """OSError when nobody reads."""
    fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(fifo, what)
    finally:
        os.close(fifo)
