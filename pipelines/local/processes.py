"""Process trees that end as a container ends: with everything in them, whoever was killed first.

Linux gives the tools (a child subreaper inherits orphans, a child can ask for a signal when its parent dies); elsewhere these functions
do less, and a killed process may leave children behind.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path

# https://man7.org/linux/man-pages/man2/prctl.2.html
_SET_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def become_subreaper() -> None:
    """From now on orphaned descendants become children of this process, whatever session or group they are in."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(parent: int) -> None:
    """In a child, right after the fork: die by SIGKILL when the thread that forked it ends."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request
        os._exit(128 + signal.SIGKILL)


def dying_with_me() -> Callable[[], None]:
    """`preexec_fn` of a child that must not outlive this process."""
    parent = os.getpid()
    return lambda: die_with(parent)


def children() -> list[int]:
    """The children of this single-threaded process, ended and not yet waited for included."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def kill_children(keep: Collection[int] = ()) -> None:
    """SIGKILL every child but `keep`, and what they leave behind, until nothing is left."""
    while strays := [pid for pid in children() if pid not in keep]:
        for pid in strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in strays:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def exit_code(returncode: int) -> int:
    """As a container reports it: 128 + n for a death by signal n."""
    return returncode if returncode >= 0 else 128 - returncode
