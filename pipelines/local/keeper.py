"""The keeper: one small process that starts a run's children, waits for them and writes down how they ended.

It shares nothing with the runner but a socket, so a runner that is killed loses no result: every exit is in the node's folder before
the runner hears of it, and what still runs when the runner is gone is killed with its whole process group. It runs without
site-packages and imports the standard library only.

Orders, one JSON object a line: {"do": "spawn", "job", "argv", "env", "cwd", "folder", "tee", "mounts"?, "root"?}, {"do": "signal", "job",
"signal"} and {"do": "try"}, which is answered by {"why_not"}: can a child have its own root? Other answers: {"job", "code", "error"?}.
Files in the folder: main.log, result (standard output, with tee), pid, exit.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.local import namespace, processes

if TYPE_CHECKING:  # the keeper itself needs no more than it uses
    from pipelines.local.isolation import Layout

_PIECE = 65536
_PROJECT = Path(__file__).parents[2]

Job = dict[str, Any]


class Keeper:
    """The runner's end: orders out, exits in. `fileno` makes it selectable."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        program = f"import sys; sys.path.append({str(_PROJECT)!r}); from pipelines.local import keeper; keeper.main({theirs.fileno()})"
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
        self._order(order | ({"root": root.new_root, "mounts": root.mounts} if root else {}))

    def signal(self, job: str, number: int) -> None:
        self._order({"do": "signal", "job": job, "signal": number})

    def receive(self) -> list[Job]:
        """What ended since the last call; blocks until there is something. ConnectionError when the keeper is gone."""
        piece = self._channel.recv(_PIECE)
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
        _kill(int(pid), signal.SIGKILL)


def _kill(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end_group(group: int) -> None:
    """What a step left running in its group ends with it, as in a container."""
    _kill(group, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


class _Loop:
    """The keeper's end."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel, self.rest = channel, b""
        self.jobs: dict[int, Job] = {}
        self.pipes: dict[int, Job] = {}
        processes.become_subreaper()  # grandchildren that are left behind are ours to bury
        self.selector = selectors.DefaultSelector()
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.woken = woken
        self.selector.register(channel, selectors.EVENT_READ)
        self.selector.register(woken, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self.selector.select():
                if key.fd in self.pipes:
                    self.copy(key.fd)
                elif key.fd == self.woken:
                    os.read(self.woken, _PIECE)
                    self.reap()
                elif key.fd == self.channel.fileno() and not self.obey():
                    self.leave()
                    return

    def leave(self) -> None:
        """The runner is gone: kill what runs. Whatever was just coming to its own end has ended, and its record says so."""
        for pid in self.jobs:
            os.kill(pid, signal.SIGKILL)  # it may have no group of its own yet
            _kill(pid, signal.SIGKILL)
        for pid in list(self.jobs):
            status = os.waitpid(pid, 0)[1]
            if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
                self.bury(pid, status)

    def obey(self) -> bool:
        try:
            piece = self.channel.recv(_PIECE)
        except ConnectionError:
            piece = b""
        *lines, self.rest = (self.rest + piece).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if order["do"] == "spawn":
                self.spawn(order)
            elif order["do"] == "try":
                self.channel.sendall(json.dumps({"why_not": namespace.why_not()}).encode() + b"\n")
            else:
                for pid in [p for p, job in self.jobs.items() if job["job"] == order["job"]]:
                    _kill(pid, order["signal"])
        return bool(piece)

    def spawn(self, job: Job) -> None:
        folder = Path(job["folder"])
        job["log"] = os.open(folder / "main.log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        reader, writer = os.pipe() if job["tee"] else (-1, job["log"])
        job["problem"], problem = os.pipe()  # closed by the exec: it is empty when the program was started
        keeper, pid = os.getpid(), os.fork()
        if pid == 0:
            self.become(job, writer, problem, keeper)
        os.close(problem)
        (folder / "pid").write_text(f"{pid} {born(pid)}")
        self.jobs[pid] = job
        if job["tee"]:
            os.close(writer)
            os.set_blocking(reader, False)
            job["pipe"], job["result"] = reader, os.open(folder / "result", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self.pipes[reader] = job
            self.selector.register(reader, selectors.EVENT_READ)

    def become(self, job: Job, output: int, problem: int, keeper: int) -> None:
        """In the child: a session of its own, Argo's umask (argo-data-flow 279), and death when the keeper dies."""
        try:
            os.setsid()
            if "mounts" in job:
                namespace.enter(job["root"], (namespace.Mount(*mount) for mount in job["mounts"]), job["cwd"])
            else:
                os.chdir(job["cwd"])
            processes.die_with(keeper)  # a namespace of users would forget it
            os.umask(0)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (output, 1), (job["log"], 2)):
                os.dup2(source, target)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            program = _find(job["argv"][0], job["env"].get("PATH", ""))
            _exec(program, job["argv"], job["env"])
        except OSError as error:
            os.write(problem, str(error).encode())
        finally:
            os._exit(64)

    def copy(self, pipe: int) -> None:
        """Standard output goes to the log and, by itself, to the result."""
        job = self.pipes[pipe]
        try:
            piece = os.read(pipe, _PIECE)
        except BlockingIOError:
            return
        for target in (job["log"], job["result"]):
            os.write(target, piece)
        if not piece:
            self.shut(pipe)

    def shut(self, pipe: int) -> None:
        self.selector.unregister(pipe)
        os.close(pipe)
        os.close(self.pipes.pop(pipe)["result"])

    def drain(self, pipe: int) -> None:
        """A grandchild may hold the pipe open; what the step itself wrote is in it."""
        while pipe in self.pipes:
            before = os.lseek(self.pipes[pipe]["result"], 0, os.SEEK_CUR)
            self.copy(pipe)
            if pipe in self.pipes and os.lseek(self.pipes[pipe]["result"], 0, os.SEEK_CUR) == before:
                self.shut(pipe)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self.jobs:
                self.bury(pid, status)

    def bury(self, pid: int, status: int) -> None:
        """Write down how a child ended, and end what it left running in its group."""
        job = self.jobs.pop(pid)
        _end_group(pid)
        if job["tee"]:
            self.drain(job["pipe"])
        code = os.waitstatus_to_exitcode(status)
        problem = os.read(job["problem"], _PIECE).decode()
        os.close(job["problem"])
        self.finish(job, code if code >= 0 else 128 - code, problem)

    def finish(self, job: Job, code: int, error: str = "") -> None:
        size = os.fstat(job["log"]).st_size
        if size and os.pread(job["log"], 1, size - 1) != b"\n":
            os.write(job["log"], b"\n")  # as Kubernetes shows a last line without end
        if code:
            os.write(job["log"], (f"Error: {error}\n{error}\n" if error else f"Error: exit status {code}\n").encode())
        os.close(job["log"])
        record = json.dumps({"job": job["job"], "code": code, "error": error})
        path = Path(job["folder"]) / "exit"
        part = path.with_suffix(".part")
        part.write_text(record)
        part.replace(path)
        with contextlib.suppress(OSError):  # the runner may be gone; the record is on disk
            self.channel.sendall(record.encode() + b"\n")


def _exec(program: str, argv: list[str], env: dict[str, str]) -> None:
    try:
        os.execve(program, [program, *argv[1:]], env)  # noqa: S606 - running the step's command is the purpose
    except OSError as error:
        raise OSError(f"fork/exec {program}: {str(error.strerror).lower()}") from None


def _find(name: str, path: str) -> str:
    """The program's file. OSError in the executor's words when there is none."""
    if "/" in name:
        if not os.path.exists(name):  # noqa: PTH110
            raise OSError(f'failed to find name in PATH: exec: "{name}": stat {name}: no such file or directory')
        return name
    for folder in path.split(os.pathsep):
        file = os.path.join(folder, name)  # noqa: PTH118
        if os.path.isfile(file) and os.access(file, os.X_OK):  # noqa: PTH113
            return file
    raise OSError(f'failed to find name in PATH: exec: "{name}": executable file not found in $PATH')


def main(channel: int) -> None:
    _Loop(socket.socket(fileno=channel)).run()
