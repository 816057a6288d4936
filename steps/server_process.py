"""A model server as a process of this machine: started in a session of its own, found again by its record, stopped with its family."""

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from steps import store
from steps.contracts import Text
from steps.release import Release, ReleaseId
from steps.serving import Command, NotServing

if TYPE_CHECKING:
    import psutil

_CLOCK_SLACK_SECONDS = 2.0  # a process's start time is counted from a boot time that clock adjustments move


class Server(BaseModel):
    """A model server this reconciler started."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    release_id: ReleaseId
    name: Text
    pid: int
    started: float
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def records(home: Path) -> list[Server]:
    """The servers that were started below a folder and not stopped, whether they run or not."""
    return [Server.model_validate_json(path.read_bytes()) for path in sorted(home.glob("*.json"))]


def spawn(home: Path, release: Release, command: Command, port: int) -> Server:
    """Start the server as a process of its own session, and write its record at once, so that a later run can find and stop it."""
    import psutil

    log = home / f"{release.release_id}.log"
    output = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, str(log), output, 0o600)]
    try:
        pid = os.posix_spawnp(
            command.argv[0], command.argv, command.environment, file_actions=[*actions, (os.POSIX_SPAWN_DUP2, 1, 2)], setsid=True
        )
    except OSError as error:
        raise NotServing(f"{command.argv[0]} cannot be started ({error.strerror}); correct the environment's server") from None
    started = psutil.Process(pid).create_time()
    server = Server(release_id=release.release_id, name=release.served_name, pid=pid, started=started, port=port)
    store.replace_json(f"file://{home}/{server.release_id}.json", server.model_dump(mode="json"))
    return server


def stop(server: Server, seconds: float) -> None:
    """Ask a server to end, which lets it finish its answers; after `seconds` kill it. What it started goes with it."""
    import psutil

    process = process_of(server)
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _until_gone(server, seconds)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        _until_gone(server, 5)


def process_of(server: Server) -> "psutil.Process | None":
    """The server's process, or None when it has ended (its pid may be another program's by now)."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(server.pid)
        same = abs(process.create_time() - server.started) < _CLOCK_SLACK_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def last_lines(log: Path) -> str:
    """The last lines a server wrote, as one short line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()][-3:]
    return " / ".join(line[:300] for line in lines) or "none"


def _until_gone(server: Server, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while process_of(server) and time.monotonic() < deadline:
        time.sleep(0.05)
