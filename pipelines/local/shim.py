"""The `python` of a warm environment: has a preloaded server fork `python -m <served module>`, and is the real python in every other case.

`warm.prepare` copies this file to `bin/python` below the environment's interpreter in the first line. It runs for every step, so it imports
next to nothing before it knows that it must, and whatever goes wrong ends in the real python.
"""

import marshal
import os
import sys

TYPE_CHECKING = False  # importing typing for it would cost as much as the rest
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from socket import socket
    from typing import Any

# Modules that look first, in the real python, whether there is work at all; then they replace themselves by the python that WORK names.
ASK_FIRST, WORK = "FLEECE_ASK_FIRST", "FLEECE_WORK"
FORWARDED = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT")
LEASE = bytes(4)  # instead of a request's length: keeps the server, as long as the connection is open
READY = b"R"
GO = b"\0"  # then the numbers of signals
STATUS_BYTES = 4  # the exit status as a signed number, negative for a signal


def main(folder: str) -> None:
    """Become what was asked for; `folder` holds the configuration and the server's socket."""
    with open(f"{folder}/config", "rb") as file:  # noqa: PTH123 - pathlib would double the time that this takes
        config: dict[str, Any] = marshal.load(file)  # noqa: S302 - written by warm.prepare, in a folder of the user's own
    arguments = sys.argv[1:]
    module = arguments[1] if len(arguments) > 1 and arguments[0] == "-m" else ""
    if module in os.environ.get(ASK_FIRST, "").split() and os.environ.get(WORK) != "here":
        os.environ[WORK] = os.path.abspath(__file__)  # noqa: PTH100
    elif module in config["serve"]:
        try:
            follow(ask(folder, config, arguments[1:]))
        except (OSError, ValueError) as error:
            note(folder, f"{arguments[1]}: {error}\n")
    os.execv(config["python"], [config["python"], *arguments])  # noqa: S606


def ask(folder: str, config: "Mapping[str, Any]", command: "Sequence[str]") -> "socket":
    """A connection to the process that will run the command. Raises OSError or ValueError when there is none; nothing is lost then."""
    import signal
    import socket

    mine = chosen(os.environ, config["keys"])
    if mine != config["env"]:
        other = sorted(name for name in {*mine, *config["env"]} if mine.get(name) != config["env"].get(name))
        raise ValueError(f"read at import and different here: {', '.join(other)}")
    umask = os.umask(0)
    os.umask(umask)
    request = {
        "command": list(command),
        "cwd": os.getcwd(),  # noqa: PTH109
        "env": dict(os.environ),
        "umask": umask,
        "ignored": [name for name in FORWARDED if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN],
    }
    payload = marshal.dumps(request)
    server = connect(folder)
    socket.send_fds(server, [len(payload).to_bytes(len(LEASE), "little")], [0, 1, 2, *namespaces()])
    server.sendall(payload)
    if server.recv(1) != READY:  # a server that is still loading answers later, one that has died does not
        raise ValueError("the server could not start it")
    return server


def namespaces() -> list[int]:
    """Descriptors of this process's view of users and mounts, which the job is to have as well; none where there are no such things."""
    return [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("user", "mnt")] if sys.platform == "linux" else []


def connect(folder: str) -> "socket":
    """A connection to the server of a folder, by a path that is short enough for a socket however deep the folder lies."""
    import socket

    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(f"/proc/self/fd/{directory}/socket")
    except OSError:
        server.close()
        raise
    finally:
        os.close(directory)
    return server


def follow(server: "socket") -> None:
    """Start the job, hand signals on, and end as it ends."""
    import signal

    def forward(number: int, _: object) -> None:
        try:
            server.sendall(bytes([number]))
        except OSError:
            return  # the job has ended; how, is about to be read

    for number in [getattr(signal, name) for name in FORWARDED]:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)
    server.sendall(GO)
    status = b""
    try:
        while len(status) < STATUS_BYTES and (piece := server.recv(STATUS_BYTES - len(status))):
            status += piece
    except OSError:
        status = b""
    code = int.from_bytes(status, "little", signed=True) if len(status) == STATUS_BYTES else -signal.SIGKILL
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def chosen(env: "Mapping[str, str]", keys: "Sequence[str]") -> dict[str, str]:
    """The variables that the keys name; `HF_*` names all that begin with HF_."""
    return {k: v for k, v in env.items() if any(k == key or (key[-1] == "*" and k.startswith(key[:-1])) for key in keys)}


def note(folder: str, line: str) -> None:
    """Leave word of why a served module was started cold."""
    try:
        with open(f"{folder}/cold.log", "a") as log:  # noqa: PTH123
            log.write(line)
    except OSError:
        return


if __name__ == "__main__":
    main(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
