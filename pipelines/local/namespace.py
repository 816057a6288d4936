"""A process enters a mount namespace of its own, in which another root folder stands for `/`.

Linux only, and no root needed: an unprivileged process makes a user namespace first, in which it keeps its uid and gid. This is for the
convenience of absolute paths; it is no sandbox, since everything that is bound in can be written as before.
https://man7.org/linux/man-pages/man7/mount_namespaces.7.html, https://man7.org/linux/man-pages/man7/user_namespaces.7.html

Standard library only: the keeper, which starts the steps, has nothing else.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

# https://github.com/torvalds/linux/blob/master/include/uapi/linux/mount.h and sched.h
_BIND, _RECURSIVE, _PRIVATE, _UNBINDABLE, _REMOUNT, _READ_ONLY = 4096, 1 << 14, 1 << 18, 1 << 17, 32, 1
_KEPT = 2 | 4 | 8 | 1024 | 2048  # nosuid, nodev, noexec, noatime, nodiratime: a remount in a user namespace may not drop them
_DETACH = 2
_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_SET_DUMPABLE = 4  # https://man7.org/linux/man-pages/man2/prctl.2.html
_CAPABILITY_VERSION_3 = 0x20080522
_LIBC: Any = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
if _LIBC is not None:
    _LIBC.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


class Mount(NamedTuple):
    """`source` of this machine is seen at `target`, which exists already."""

    source: str
    target: str
    read_only: bool = False


def enter(root: str, mounts: Iterable[Mount], cwd: str) -> None:
    """From now on `root` is `/` for this single-threaded process, with `mounts` in it. OSError where that is forbidden."""
    _unshare()
    _call("mount", None, b"/", None, _RECURSIVE | _PRIVATE, None)  # from here on, nothing reaches the host
    _call("mount", os.fsencode(root), os.fsencode(root), None, _BIND, None)
    # A folder that holds the new root may be bound into it: without this the root would hold itself.
    _call("mount", None, os.fsencode(root), None, _UNBINDABLE, None)
    for mount in mounts:
        _bind(*mount)
    os.chdir(root)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _DETACH)
    os.chdir(cwd)


def why_not() -> str:
    """Empty when a child of this single-threaded process could enter a namespace; else the reason."""
    if _LIBC is None:
        return f"{sys.platform} has no mount namespaces"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter("/usr", (), "/")
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        return answer.read()


def join(descriptors: Iterable[int]) -> None:
    """Have the view of users and mounts that a process's `/proc/<pid>/ns/user` and `mnt` stand for, and no capabilities by that."""
    joined = False
    for name, descriptor in zip(("user", "mnt"), descriptors, strict=False):
        if os.fstat(descriptor).st_ino != Path(f"/proc/self/ns/{name}").stat().st_ino:
            _call("setns", descriptor, 0)
            joined = True
        os.close(descriptor)
    if joined and os.geteuid():  # who joins a user namespace has all capabilities in it, and no access to its own /proc
        header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
        _call("capset", header, nothing)
        _call("prctl", _SET_DUMPABLE, 1, 0, 0, 0)


def _unshare() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _LIBC.unshare(_NEW_MOUNTS) == 0:
        return
    _call("unshare", _NEW_MOUNTS | _NEW_USER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text)


def _bind(source: str, target: str, read_only: bool) -> None:
    try:
        _call("mount", os.fsencode(source), os.fsencode(target), None, _BIND | _RECURSIVE, None)
    except FileNotFoundError:
        return  # it was there when the mounts were listed
    if read_only:
        kept = os.statvfs(target).f_flag & _KEPT
        _call("mount", None, os.fsencode(target), None, _BIND | _REMOUNT | _READ_ONLY | kept, None)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number or errno.EPERM, f"{name}: {os.strerror(number)}")
