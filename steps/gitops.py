"""Write-back to the releases repository: fetch, reset, write, commit, push; once more when somebody else was faster.

Never a rebase, never a shallow clone: in a depth-1 clone `git log -1 -- <folder>` names the tip, and a revert finds no parent.
Nothing of a person's git settings counts (signing, hooks, aliases, templates): the same write gives the same commit everywhere.
"""

import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from steps.faults import BadInput, NotAllowed, TryAgain, Unavailable, Unfit
from steps.store import local_path

ATTEMPTS = 20  # of 8 writers at once the slowest needed 5
TIMEOUT_SECONDS = 120
_AUTHOR = ("Fleece", "fleece@localhost")
_ACCESS = ("GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_SSL_CAINFO")  # how to reach the remote; every other GIT_* is dropped
_LOST_RACE = re.compile(r"fetch first|non-fast-forward|stale info|cannot lock ref|failed to update ref|reference already exists")


@dataclass(frozen=True)
class Clone:
    """A working copy of one branch, of this process alone."""

    folder: Path
    url: str
    branch: str


class Change(NamedTuple):
    """What a write leaves to commit. `message` None: nothing, and `commit` is the one that holds it already."""

    message: str | None
    commit: str = ""


class Reverted(NamedTuple):
    """`commit` is None when nothing was reverted; `reason` says what was done or why not, for a person."""

    commit: str | None
    reason: str


def clone(url: str, branch: str, scratch: Path) -> Clone:
    """The branch with its whole history. Raises Unavailable when the repository cannot be read, BadInput for an unknown branch."""
    folder = Path(tempfile.mkdtemp(prefix="releases-", dir=scratch))
    _git(folder, "init", "--quiet", "--template=", "--initial-branch", branch)
    copy = Clone(folder, url, branch)
    refresh(copy)
    return copy


def make_bare(url: str, branch: str) -> None:
    """Make a `file://` repository that is not there yet. Of two processes that do so at once one makes it."""
    if not url.startswith("file://"):
        return
    target = local_path(url)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    _git(part, "init", "--quiet", "--bare", "--template=", "--initial-branch", branch)
    try:
        part.rename(target)  # fails when the other one is there: it is not empty
    except OSError:
        shutil.rmtree(part)


def refresh(copy: Clone) -> str:
    """Take over the remote's branch, dropping what is here. Gives its head, or an empty text for an empty repository."""
    fetched = _run(copy.folder, "fetch", "--quiet", "--prune", "--no-tags", copy.url, "+refs/heads/*:refs/remotes/origin/*")
    if fetched.returncode:
        raise Unavailable(f"{_shown(copy.url)} cannot be read: {_why(fetched)}. Check the URL, its rights and the network")
    head = _run(copy.folder, "rev-parse", "--quiet", "--verify", f"refs/remotes/origin/{copy.branch}").stdout.strip()
    if head:
        _git(copy.folder, "reset", "--quiet", "--hard", head)
        _git(copy.folder, "clean", "--quiet", "-d", "--force", "-x")
    elif others := _git(copy.folder, "for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin"):
        raise BadInput(f"{_shown(copy.url)} has no branch {copy.branch!r}, only {', '.join(others.split())}; make it first")
    return head


def publish(copy: Clone, write: Callable[[], Change], at: datetime) -> str:
    """Commit and push what `write` changes in `copy.folder`; `write` is called again on top of every newer head.

    Gives the commit that holds the change on the remote. Raises NotAllowed when the remote refuses it, Unavailable when it is down,
    TryAgain when others were faster time after time.
    """
    for attempt in range(ATTEMPTS):
        refresh(copy)
        change = write()
        if change.message is None:
            return change.commit
        _git(copy.folder, "add", "--all", "--force")
        _commit(copy, change.message, at)
        if _pushed(copy):
            return _git(copy.folder, "rev-parse", "HEAD")
        time.sleep(random.uniform(0.02, 0.1 * 2 ** min(attempt, 5)))  # noqa: S311 - jitter, no secret
    raise TryAgain(f"{_shown(copy.url)} changed {ATTEMPTS} times while this was to be pushed; run the step again")


def last_change(copy: Clone, path: str) -> str:
    """The newest commit that touched a path; empty when none did."""
    return _git(copy.folder, "log", "-1", "--format=%H", "--", path) if _has_head(copy) else ""


def history(copy: Clone, path: str) -> list[str]:
    """The commits that touched a path, newest first."""
    return _git(copy.folder, "log", "--format=%H", "--", path).split() if _has_head(copy) else []


def read(copy: Clone, commit: str, path: str) -> bytes | None:
    """A file as a commit has it; None when the commit has no such file. Raises BadInput for a commit that is not in the branch."""
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit) or _run(copy.folder, "merge-base", "--is-ancestor", commit, "HEAD").returncode:
        raise BadInput(f"{commit!r} is no commit of {copy.branch} in {_shown(copy.url)}; give the one that deploy returned")
    if not _git(copy.folder, "ls-tree", "--name-only", commit, "--", path):
        return None
    return _git(copy.folder, "show", f"{commit}:{path}", strip=False).encode()


def restore(copy: Clone, folder: str, commit: str) -> None:
    """Make a folder of the working copy what it was in a commit, files that came later removed."""
    shutil.rmtree(copy.folder / folder, ignore_errors=True)
    _git(copy.folder, "checkout", "--quiet", commit, "--", folder)


def revert(copy: Clone, folder: str, commit: str, why: str, at: datetime) -> Reverted:
    """Put a folder back to what it was before `commit`, as a new commit, unless that one was superseded or is the folder's first."""
    kept = ""

    def write() -> Change:
        nonlocal kept
        newest, before = last_change(copy, folder), f"{commit}~1"
        if newest != commit:
            kept = f"git was left as it is: {newest[:12] or 'nothing'} came after {commit[:12]}"
            return Change(None)
        if _run(copy.folder, "cat-file", "-e", f"{before}:{folder}").returncode:
            kept = f"git was left as it is: {commit[:12]} is the model's first release there, nothing is before it"
            return Change(None)
        restore(copy, folder, before)
        return Change(f"Take back {commit[:12]} in {folder.removeprefix('releases/')}\n\n{why}\n\nReverts: {commit}\n")

    done = publish(copy, write, at)
    return Reverted(None, kept) if kept else Reverted(done, f"git was put back to the release before it ({done[:12]})")


def _has_head(copy: Clone) -> bool:
    return _run(copy.folder, "rev-parse", "--quiet", "--verify", "HEAD").returncode == 0


def _commit(copy: Clone, message: str, at: datetime) -> None:
    name, address = _AUTHOR
    when = at.isoformat(timespec="seconds")
    _git(
        copy.folder, "commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--file=-", text=message,
        GIT_AUTHOR_NAME=name, GIT_AUTHOR_EMAIL=address, GIT_AUTHOR_DATE=when,
        GIT_COMMITTER_NAME=name, GIT_COMMITTER_EMAIL=address, GIT_COMMITTER_DATE=when,
    )  # fmt: skip


def _pushed(copy: Clone) -> bool:
    """Whether the remote took the commit; False: it has another head by now."""
    pushed = _run(copy.folder, "push", "--quiet", "--porcelain", copy.url, f"HEAD:refs/heads/{copy.branch}")
    if pushed.returncode == 0:
        return True
    said = pushed.stdout + pushed.stderr
    if _LOST_RACE.search(said):
        return False
    if "rejected" in said:
        raise NotAllowed(f"{_shown(copy.url)} refuses the commit on {copy.branch}: {_why(pushed)}. Ask who owns that branch")
    raise Unavailable(f"{_shown(copy.url)} cannot be pushed to: {_why(pushed)}. Check its rights and the network")


def _git(folder: Path, *arguments: str, text: str = "", strip: bool = True, **environment: str) -> str:
    """Run git on the working copy, where a failure is nobody's input."""
    done = _run(folder, *arguments, text=text, **environment)
    if done.returncode:
        raise Unavailable(f"git {arguments[0]} failed with {done.returncode}: {_why(done)}")
    return done.stdout.strip() if strip else done.stdout


def _run(folder: Path, *arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    settings = ("core.autocrlf=false", "core.hooksPath=/dev/null", "commit.gpgSign=false", "gc.auto=0", "protocol.ext.allow=never")
    argv = ["git", *(token for setting in settings for token in ("-c", setting)), *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _ACCESS}
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    env = {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes"} | kept | own | environment
    try:
        return subprocess.run(
            argv, cwd=folder, env=env, input=text, capture_output=True, encoding="utf-8", errors="replace", timeout=TIMEOUT_SECONDS
        )
    except FileNotFoundError:
        raise Unfit("there is no git program on PATH; install git") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"git {arguments[0]} took longer than {TIMEOUT_SECONDS} s; is the repository reachable?") from None


def _why(done: subprocess.CompletedProcess[str]) -> str:
    """Git's own reason: its first fatal, error or rejected line, without a user or password."""
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"fatal:|error:|remote:|!", line)] or lines
    return _shown(telling[0]) if telling else f"git ended with {done.returncode}"


def _shown(url: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", url)
