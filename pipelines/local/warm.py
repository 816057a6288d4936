"""A preloaded python that forks instead of starting: most of a small training or evaluation job is imports.

`prepare` starts a fork server (`forkserver.py`) once per interpreter, modules and settings, and gives a folder whose `python` (`shim.py`)
asks it. A runner that has called it is connected to the server, which leaves when nobody is. Whatever fails, a step starts cold.
"""

import contextlib
import fcntl
import hashlib
import json
import marshal
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.local.shim import LEASE, chosen, connect

# Variables that libraries read while they are imported, and that a job must therefore share with its server. HOME is not one of them
# although caches lie below it by default: a gang's ranks have homes of their own, and whoever wants another cache sets HF_HOME.
READ_AT_IMPORT = (
    "CUDA_VISIBLE_DEVICES", "HF_*", "KMP_*", "LANG", "LC_ALL", "LD_*", "LLAMAFACTORY_*", "MKL_*", "MPL*", "OMP_*", "OPENBLAS_*",
    "PYTHONHASHSEED", "PYTHONHOME", "PYTHONIOENCODING", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONUTF8", "PYTHONWARNINGS", "PYTORCH_*",
    "TRANSFORMERS_*", "USE_*",
)  # fmt: skip
_ROOT = Path(__file__).parents[2]
_SHEBANG_MAX = 250  # bytes of a script's first line that Linux reads: https://man7.org/linux/man-pages/man2/execve.2.html
_LEASES: list[tuple[Path, socket.socket]] = []
_SERVERS: list["subprocess.Popen[bytes]"] = []


def prepare(home: Path, python: str, preload: Sequence[str], serve: Sequence[str], env: Mapping[str, str]) -> Path:
    """A folder to put first on PATH; its `python -m X` is forked from a server that has imported `preload`, for every X in `serve`.

    `python`: the interpreter; `env`: the server's whole environment. Returns at once. Where this cannot work: the interpreter's own folder.
    """
    key = json.dumps([python, list(preload), list(serve), chosen(env, READ_AT_IMPORT)], sort_keys=True)
    folder = home.resolve() / "warm" / hashlib.sha256(key.encode()).hexdigest()[:12]
    try:
        (folder / "bin").mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)  # who reaches the socket runs code as this user
        with locked(folder):
            try:
                lease = connect(str(folder))
            except OSError:
                _start(folder, python, preload, serve, env)
                lease = connect(str(folder))
        lease.sendall(LEASE)
    except OSError:
        return Path(python).parent
    _LEASES.append((home.resolve(), lease))
    return folder / "bin"


def stop(home: Path) -> None:
    """Give up this process's leases below `home`; a server ends when no runner and no job needs it any more."""
    for each in [lease for lease in _LEASES if lease[0] == home.resolve()]:
        each[1].close()
        _LEASES.remove(each)


def _start(folder: Path, python: str, preload: Sequence[str], serve: Sequence[str], env: Mapping[str, str]) -> None:
    """Write the shim and start the server on a socket that already listens: who connects now is answered when it has loaded."""
    line = f"#!{python} -SI\n"
    if len(line.encode()) > _SHEBANG_MAX:
        raise OSError(f"{python} is too long for the first line of a script")
    config = {"python": python, "serve": list(serve), "keys": list(READ_AT_IMPORT), "env": chosen(env, READ_AT_IMPORT)}
    (folder / "config").write_bytes(marshal.dumps(config))
    for name in ("python", "python3"):
        part = folder / f"{name}.part"
        part.write_text(line + Path(__file__).with_name("shim.py").read_text())
        part.chmod(0o700)
        part.replace(folder / "bin" / name)
    (folder / "socket").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, (folder / "server.log").open("ab") as log:
        directory = os.open(folder, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{directory}/socket")  # a socket's own path may have 107 bytes only
        finally:
            os.close(directory)
        listener.listen(128)
        command = [python, "-m", "pipelines.local.forkserver", str(folder), *preload]
        _SERVERS[:] = [server for server in _SERVERS if server.poll() is None]
        _SERVERS.append(
            subprocess.Popen(command, cwd=_ROOT, env=dict(env), stdin=listener.fileno(), stdout=log, stderr=log, start_new_session=True)
        )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock under which a server is started, joined and closed."""
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
