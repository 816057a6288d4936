"""The repository that run files lie in: a local folder as it is, or a git repository at a branch, tag or commit."""

import os
import re
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from steps import identity, strict_yaml
from steps.faults import BadInput, Unavailable

_REF = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")
_URL = re.compile(r"^(https?|ssh|git|file)://|^[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:")
_PASSWORD = re.compile(r"^https?://[^/]*@|^[a-z]+://[^/@]*:[^/@]*@")
_SECONDS = 300


@dataclass(frozen=True)
class Checkout:
    """Files to read, and where they came from."""

    root: Path
    repo: str
    commit: str
    dirty: bool


def checkout(repo: str, ref: str, scratch: Path) -> Checkout:
    """A local folder itself when no ref is asked for, else a clone below `scratch` at the ref.

    On a cluster it is a URL: the folders of a pod hold settings and passwords, and a fault quotes what it finds in a file.
    Raises BadInput for a folder, URL or ref that is none, Unavailable when the remote does not answer.
    """
    if identity.on_cluster() and (not _URL.match(repo) or repo.startswith("file://")):
        raise BadInput(f"the config repository {repo!r} is no git URL that a cluster can reach; set config-repo")
    if not _URL.match(repo):
        folder = Path(repo)
        if "://" in repo or repo.startswith("-") or not folder.is_dir():
            raise BadInput(f"the config repository {repo!r} is neither a folder of this machine nor a git URL; set config-repo")
        if not ref:
            return _as_it_is(folder.resolve())
    elif _PASSWORD.match(repo):
        raise BadInput("the URL of the config repository carries a user or password; take it out and use git's credential helper")
    if ref and (not _REF.match(ref) or ".." in ref):
        raise BadInput(f"config-ref {ref!r} is no branch, tag or commit; it has letters, digits and . _ / - only")
    return _clone(repo, ref, Path(tempfile.mkdtemp(prefix="config-repo-", dir=scratch)))


def read(files: Checkout, path: str, key: str) -> bytes:
    """A file of the checkout, named by `key`. Raises BadInput when it is missing, outside, or reached by a symbolic link."""
    return local(files, path, key).read_bytes()


def read_yaml(files: Checkout, path: str, key: str) -> dict[str, Any]:
    """The mapping in a YAML file of the checkout. Raises BadInput."""
    return strict_yaml.load(read(files, path, key), path)


def local(files: Checkout, path: str, key: str) -> Path:
    """The local path of a file of the checkout. Raises BadInput as `read` does."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or ".git" in parts or "\\" in path:
        raise BadInput(f"{key} is {path!r}; it must be a path inside the config repository, without '..'")
    place = files.root
    for part in parts:
        place = place / part
        if place.is_symlink() and not place.resolve().is_relative_to(files.root):
            raise BadInput(f"{key}: {path} leaves the config repository by a symbolic link; put the file itself there")
    try:
        kind = place.stat().st_mode
    except OSError:
        raise BadInput(f"{key}: there is no file {path} in the config repository {files.repo}") from None
    if not stat.S_ISREG(kind):
        raise BadInput(f"{key}: {path} is no file; name the file itself")
    return place


def _as_it_is(folder: Path) -> Checkout:
    commit = _git(["rev-parse", "--verify", "--quiet", "HEAD"], folder)
    if commit.returncode:
        return Checkout(folder, str(folder), "none", True)
    changes = _git(["status", "--porcelain", "--", "."], folder)
    return Checkout(folder, str(folder), commit.stdout.strip(), bool(changes.stdout.strip()) or bool(changes.returncode))


def _clone(repo: str, ref: str, target: Path) -> Checkout:
    cloned = _git(["clone", "--quiet", "--no-checkout", "--", repo, str(target)])
    if cloned.returncode:
        raise Unavailable(f"{repo} cannot be cloned: {_last_line(cloned.stderr)}. Check the URL and this account's access to it")
    for candidate in (f"refs/remotes/origin/{ref}", f"refs/tags/{ref}", ref) if ref else ("HEAD",):
        found = _git(["rev-parse", "--verify", "--quiet", "--end-of-options", candidate + "^{commit}"], target)
        if found.returncode == 0:
            commit = found.stdout.strip()
            break
    else:
        raise BadInput(f"{repo} has no branch, tag or commit {ref or 'HEAD'!r}; set config-ref to one it has")
    taken = _git(["checkout", "--quiet", "--detach", commit], target)
    if taken.returncode:
        raise Unavailable(f"{repo} at {commit} cannot be checked out: {_last_line(taken.stderr)}")
    return Checkout(target.resolve(), repo, commit, False)


def _git(arguments: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """git without a terminal, hooks or this user's aliases; never through a shell."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", *(["-C", str(folder)] if folder else []), "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        raise Unavailable("there is no git program on this machine; install git") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"git {arguments[0]} took more than {_SECONDS} s; try again") from None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].rstrip(".") if lines else "git said nothing"
