"""The fork server: `python -m pipelines.local.forkserver <folder> <module> …`, with a listening socket as its standard input.

It imports the modules once. For each request it forks a guard, which forks the job: a guard lives as long as its client, hands on signals,
ends the job when the client is gone, and reports how it ended. A job owns its descendants, as a container does: they end with it.
"""

import atexit
import gc
import importlib
import marshal
import os
import random
import runpy
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.local import namespace, processes
from pipelines.local.shim import FORWARDED, LEASE, READY, STATUS_BYTES
from pipelines.local.warm import locked

_STREAMS = 3
_REQUEST_SECONDS = 5.0  # for a client to say what it wants
_TICK = 0.02  # seconds between looks at a job
_IDLE = 0.2  # seconds without a request after which the server looks whether it is still needed

Request = dict[str, Any]
_exit_code: int | None = None  # of a job, once its module is through; negative for a signal


def main(folder: Path, preload: Sequence[str]) -> None:
    """Import, then fork a job for each request; returns in a job after its module, and in the server when nobody is connected."""
    atexit.register(_leave)  # the first one registered is the last one called
    listener = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    sys.path.pop(0)  # the folder that this module was found in
    for module in preload:
        try:
            importlib.import_module(module)
        except Exception:
            traceback.print_exc()  # into server.log; a job then imports it itself
    gc.collect()
    gc.freeze()  # what was loaded stays shared with the jobs
    warnings.filterwarnings("ignore", message=".*use of fork.*", category=DeprecationWarning)
    request = _serve(folder, listener)
    if request is not None:
        _run(request)


def _serve(folder: Path, listener: socket.socket) -> Request | None:
    """The request in a job's process; None in the server, at its end."""
    guards: set[int] = set()
    while True:
        if select.select([listener], [], [], _IDLE)[0]:
            connection, _ = listener.accept()
            guard = os.fork()
            if guard == 0:
                listener.close()
                return _guard(connection)
            guards.add(guard)
            connection.close()
            continue
        guards -= {guard for guard in guards if os.waitpid(guard, os.WNOHANG)[0]}
        if not guards and _closed(folder, listener):
            return None


def _closed(folder: Path, listener: socket.socket) -> bool:
    """Close the server, unless somebody is just connecting."""
    with locked(folder):
        if select.select([listener], [], [], 0)[0]:
            return False
        (folder / "socket").unlink(missing_ok=True)
    return True


def _guard(connection: socket.socket) -> Request:
    """Start the job that the client asks for, and see to its end. Returns in the job's process only."""
    try:
        processes.become_subreaper()
        connection.settimeout(_REQUEST_SECONDS)
        request, streams, namespaces = _receive(connection)
        if request is None:
            connection.settimeout(None)
            connection.recv(1)
            os._exit(0)
        namespace.join(namespaces)  # the client's root folder may be its own
        os.chdir(request["cwd"])
        connection.sendall(READY)
        numbers = connection.recv(64)  # it is following now, and from here on must not be started cold
        if not numbers:
            os._exit(0)
        guard = os.getpid()
        job = os.fork()
        if job == 0:
            connection.close()
            os.setsid()
            processes.die_with(guard)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return request
        for stream in streams:
            os.close(stream)
        status = _watch(connection, job, numbers)
        processes.kill_children()
        connection.sendall(status.to_bytes(STATUS_BYTES, "little", signed=True))
    except Exception:
        processes.kill_children()
        os._exit(1)
    os._exit(0)


def _receive(connection: socket.socket) -> tuple[Request | None, list[int], list[int]]:
    """What the client wants, with its standard streams and namespaces; None for a lease, whose holder says nothing more until its end."""
    length, descriptors, _, _ = socket.recv_fds(connection, len(LEASE), _STREAMS + 2)
    if length == LEASE:
        return None, [], []
    payload = b""
    size = int.from_bytes(length, "little")
    while len(payload) < size:
        piece = connection.recv(size - len(payload))
        if not piece:
            raise ConnectionError("the client has gone")
        payload += piece
    request: Request = marshal.loads(payload)  # noqa: S302 - from a process of the same user
    return request, descriptors[:_STREAMS], descriptors[_STREAMS:]


def _watch(connection: socket.socket, job: int, numbers: bytes) -> int:
    """Hand signals on until the job has ended; its exit code, negative for a signal. Raises ConnectionError when the client is gone."""
    while True:
        for number in numbers:
            os.kill(job, number)  # 0 is none
        pid, status = os.waitpid(job, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        numbers = b""
        if select.select([connection], [], [], _TICK)[0] and not (numbers := connection.recv(64)):
            raise ConnectionError("the client has gone")


# --- the job


def _run(request: Request) -> None:
    """What `python -m module arguments` does, in the client's place. Ends as an interpreter ends, but for the tearing down of modules."""
    global _exit_code
    _settle_in(request)
    try:
        runpy.run_module(request["command"][0], run_name="__main__", alter_sys=True)
        _exit_code = 0
    except SystemExit as leaving:
        _exit_code = _code(leaving)
    except BaseException as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None  # without this function
        sys.excepthook(type(error), error, error.__traceback__)
        _exit_code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def _settle_in(request: Request) -> None:
    """Everything that an interpreter has from its start, and that the server has in another shape."""
    env, command = request["env"], request["command"]
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.umask(request["umask"])
    for name in FORWARDED:
        default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
        signal.signal(getattr(signal, name), signal.SIG_IGN if name in request["ignored"] else default)
    sys.argv = list(command)
    sys.orig_argv[:] = [sys.executable, "-m", *command]
    if not sys.flags.safe_path:
        sys.path.insert(0, request["cwd"])
    importlib.invalidate_caches()
    unbuffered = bool(env.get("PYTHONUNBUFFERED"))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr or stream.isatty(), write_through=unbuffered)  # type: ignore[union-attr]
    tempfile.tempdir = None  # found again, by the job's TMPDIR
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def _code(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return (leaving.code or 0) & 0xFF
    print(leaving.code, file=sys.stderr)
    return 1


def _leave() -> None:
    """The last exit handler of a job: threads have been waited for, handlers have run; only the tearing down of all modules is saved."""
    if _exit_code is None:
        return
    code = _exit_code
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120  # as the interpreter does when its output cannot be written
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
