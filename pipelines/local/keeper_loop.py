"""The keeper's own process: one loop that starts children, copies their output, waits for them and writes down how they ended.

It runs without site-packages and imports the standard library only; keeper.py says what it is told and what it answers.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
from pathlib import Path

from pipelines.local import namespace, processes
from pipelines.local.keeper import PIECE, Job, born, kill_group


def _end_group(group: int) -> None:
    """What a step left running in its group ends with it, as in a container."""
    kill_group(group, signal.SIGKILL)
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
                    os.read(self.woken, PIECE)
                    self.reap()
                elif key.fd == self.channel.fileno() and not self.obey():
                    self.leave()
                    return

    def leave(self) -> None:
        """The runner is gone: kill what runs. Whatever was just coming to its own end has ended, and its record says so."""
        for pid in self.jobs:
            os.kill(pid, signal.SIGKILL)  # it may have no group of its own yet
            kill_group(pid, signal.SIGKILL)
        for pid in list(self.jobs):
            status = os.waitpid(pid, 0)[1]
            if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
                self.bury(pid, status)

    def obey(self) -> bool:
        try:
            piece = self.channel.recv(PIECE)
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
                    kill_group(pid, order["signal"])
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
            if "root" in job:
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
            piece = os.read(pipe, PIECE)
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
        problem = os.read(job["problem"], PIECE).decode()
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
