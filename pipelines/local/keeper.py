"""The keeper: one small process that starts a run's children, waits for them and writes down how they ended.

It shares nothing with the runner but a socket, so a runner that is killed loses no result: every exit is in the node's folder before
the runner hears of it, and what still runs when the runner is gone is killed with its whole process group. This is the runner's
end; keeper_loop.py is the process.

Orders, one JSON object a line: {"do": "spawn", "job", "argv", "env", "cwd", "folder", "tee", "root"?, "mounts"?}, {"do": "signal", "job",
"signal"} and {"do": "try"}, which is answered by {"why_not"}: can a child have its own root? Other answers: {"job", "code", "error"?}.
Files in the folder: main.log, result (standard output, with tee), pid, exit.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the keeper itself needs no more than it uses
    from pipelines.local.isolation import Layout

PIECE = 65536
_PROJECT = Path(__file__).parents[2]

Job = dict[str, Any]


class Keeper:
    """The runner's end: orders out, exits in. `fileno` makes it selectable."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        program = f"import sys; sys.path.append({str(_PROJECT)!r}); from pipelines.local.keeper_loop import main; main({theirs.fileno()})"
        argv = [sys.executable, "-I", "-S", "-c", program]
        # A session of its own: Ctrl-C in the terminal is for the runner alone, which then stops the children in order.
        self.pid = _start(argv, theirs.fileno())
        theirs.close()
        self._channel, self._rest = ours, b""

    def fileno(self) -> int:
        return self._channel.fileno()

    def why_not(self) -> str:
        """Why children cannot have a root folder of their own; empty when they can. To be asked before anything is started."""
        self._order({"do": "try"})
        reason: str = self.receive()[0]["why_not"]
        return reason

    def spawn(
        self, job: str, argv: list[str], env: dict[str, str], cwd: str, folder: Path, tee: bool, root: "Layout | None" = None
    ) -> None:  # fmt: skip
        """Start a child. With a `root`, `cwd` and the program are looked for in it."""
        order = {"do": "spawn", "job": job, "argv": argv, "env": env, "cwd": cwd, "folder": str(folder), "tee": tee}
        self._order(order | ({"root": str(root.root), "mounts": root.mounts} if root else {}))

    def signal(self, job: str, number: int) -> None:
        self._order({"do": "signal", "job": job, "signal": number})

    def receive(self) -> list[Job]:
        """What ended since the last call; blocks until there is something. ConnectionError when the keeper is gone."""
        piece = self._channel.recv(PIECE)
        if not piece:
            raise ConnectionError("the process that keeps the run's children has died")
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self._channel.close()
        os.waitpid(self.pid, 0)

    def _order(self, order: Job) -> None:
        self._channel.sendall(json.dumps(order).encode() + b"\n")


def _start(argv: list[str], fd: int) -> int:
    os.set_inheritable(fd, True)
    try:
        return os.posix_spawn(argv[0], argv, os.environ, setsid=True)
    except NotImplementedError:
        return os.posix_spawn(argv[0], argv, os.environ, setpgroup=0)
    finally:
        os.set_inheritable(fd, False)


def how_it_ended(folder: Path) -> Job | None:
    """The record that the keeper left, if the process in this folder came to its end."""
    try:
        record: Job = json.loads((folder / "exit").read_text())
    except FileNotFoundError:
        return None
    return record


def born(pid: int) -> str:
    """When a process was started, in the kernel's ticks: tells it from a later one with the same number. Empty where unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def kill_left_over(folder: Path) -> None:
    """End the process group that an earlier, killed runner left behind in a node's folder."""
    try:
        pid, when = (folder / "pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return
    if born(int(pid)) == when:
        kill_group(int(pid), signal.SIGKILL)


def kill_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
