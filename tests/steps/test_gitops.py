"""Write-back to a real bare repository with the real git program."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steps import gitops
from steps.faults import BadInput, NotAllowed, Unavailable
from steps.gitops import Change

pytestmark = pytest.mark.slow

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
FOLDER = "releases/local/team-x/team-x.triage.v1"


WRITER = [
    sys.executable,
    "-c",
    """
import sys
from datetime import UTC, datetime
from pathlib import Path
from steps import gitops

url, scratch, text, path = sys.argv[1:]
copy = gitops.clone(url, "main", Path(scratch))

def write():
    (copy.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (copy.folder / path).write_text(text)
    return gitops.Change(f"Write {text}\\n")

gitops.publish(copy, write, datetime(2026, 11, 21, 9, tzinfo=UTC))
""",
]


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"file://{tmp_path}/git/releases.git"
    gitops.make_bare(url, "main")
    return url


def git(url: str, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=url.removeprefix("file://"), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def put(url: str, scratch: Path, text: str, path: str = f"{FOLDER}/release.json", branch: str = "main") -> str:
    copy = gitops.clone(url, branch, scratch)
    return gitops.publish(copy, lambda: write(copy, path, text), AT)


def write(copy: gitops.Clone, path: str, text: str) -> Change:
    target = copy.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return Change(f"Write {text}\n")


def test_a_commit_lands_on_the_branch_under_our_own_name_and_date(url: str, tmp_path: Path) -> None:
    commit = put(url, tmp_path, "one")
    assert git(url, "log", "-1", "--format=%H %an %cn %cI %s", "main") == f"{commit} Fleece Fleece 2026-11-21T09:00:00+00:00 Write one"


def test_the_same_write_gives_the_same_commit_whatever_the_persons_git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    commits = set()
    for number, config in enumerate(["", "[commit]\n gpgSign = true\n[user]\n name = Eve\n[core]\n autocrlf = true\n"]):
        (home / ".gitconfig").write_text(config)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("GIT_AUTHOR_NAME", f"Eve {number}")
        monkeypatch.setenv("GIT_DIR", "/nowhere")
        url = f"file://{tmp_path}/{number}.git"
        gitops.make_bare(url, "main")
        commits.add(put(url, tmp_path, "one\n"))
    assert len(commits) == 1


@pytest.mark.slow
def test_four_processes_that_push_at_once_all_land_exactly_once(url: str, tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([*WRITER, url, str(tmp_path), f"writer {number}", f"releases/local/t/m{number}/release.json"])
        for number in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    assert sorted(git(url, "log", "--format=%s", "main").splitlines()) == [f"Write writer {number}" for number in range(4)]
    assert git(url, "rev-list", "--merges", "--count", "main") == "0"
    assert len(git(url, "ls-tree", "-r", "--name-only", "main").splitlines()) == 4


def test_a_write_is_done_again_on_top_of_a_head_that_came_in_between(url: str, tmp_path: Path) -> None:
    put(url, tmp_path, "one")
    copy = gitops.clone(url, "main", tmp_path)
    seen = []

    def slow() -> Change:
        seen.append((copy.folder / FOLDER / "release.json").read_text())
        if len(seen) == 1:
            put(url, tmp_path, "two")
        return write(copy, "other", "three")

    gitops.publish(copy, slow, AT)
    assert seen == ["one", "two"]
    assert git(url, "log", "--format=%s", "main").splitlines() == ["Write three", "Write two", "Write one"]


def test_nothing_to_change_makes_no_commit(url: str, tmp_path: Path) -> None:
    commit = put(url, tmp_path, "one")
    copy = gitops.clone(url, "main", tmp_path)
    assert gitops.publish(copy, lambda: Change(None, gitops.last_change(copy, FOLDER)), AT) == commit
    assert git(url, "rev-list", "--count", "main") == "1"


@pytest.mark.slow
def test_a_write_killed_between_commit_and_push_lands_once_when_it_is_run_again(url: str, tmp_path: Path) -> None:
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nfor word in "$@"; do [ "$word" = push ] && kill -9 $PPID && exit 1; done\nexec {real} "$@"\n')
    shim.chmod(0o755)
    argv = [*WRITER, url, str(tmp_path), "one", f"{FOLDER}/release.json"]
    killed = subprocess.run(argv, env={**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"}, check=False)
    assert killed.returncode == -9
    assert git(url, "for-each-ref") == ""
    assert subprocess.run(argv, check=False).returncode == 0
    assert git(url, "rev-list", "--count", "main") == "1"


@pytest.mark.parametrize("broken", ["file:///nowhere/at/all.git", "file://{tmp}/plain", "https://person:secret@127.0.0.1:1/x.git"])
def test_a_repository_that_cannot_be_read_is_a_service_that_is_down_in_one_line(broken: str, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(Unavailable) as seen:
        gitops.clone(broken.format(tmp=tmp_path), "main", tmp_path)
    line = str(seen.value)
    assert seen.value.code == 69
    assert "\n" not in line
    assert "cannot be read" in line
    assert "secret" not in line


def test_a_remote_that_refuses_the_commit_is_not_asked_again(url: str, tmp_path: Path) -> None:
    hook = Path(url.removeprefix("file://")) / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'only by pull request'\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(NotAllowed, match="only by pull request"):
        put(url, tmp_path, "one")


def test_a_branch_that_a_used_repository_does_not_have_is_not_made_up(url: str, tmp_path: Path) -> None:
    put(url, tmp_path, "one")
    with pytest.raises(BadInput, match="has no branch 'prod', only main"):
        put(url, tmp_path, "two", branch="prod")


def test_a_revert_puts_the_folder_back_as_a_new_commit_and_leaves_others_alone(url: str, tmp_path: Path) -> None:
    put(url, tmp_path, "one")
    put(url, tmp_path, "extra", f"{FOLDER}/manifests/old.yaml")
    bad = put(url, tmp_path, "two")
    put(url, tmp_path, "neighbour", "releases/local/team-x/team-x.other.v1/release.json")
    copy = gitops.clone(url, "main", tmp_path)
    reverted = gitops.revert(copy, FOLDER, bad, "It did not serve.", AT)
    assert reverted.commit == git(url, "rev-parse", "main")
    assert git(url, "show", f"main:{FOLDER}/release.json") == "one"
    assert git(url, "show", f"main:{FOLDER}/manifests/old.yaml") == "extra"
    assert git(url, "show", "main:releases/local/team-x/team-x.other.v1/release.json") == "neighbour"
    assert f"Reverts: {bad}" in git(url, "log", "-1", "--format=%B", "main")


def test_a_revert_removes_files_that_the_release_brought(url: str, tmp_path: Path) -> None:
    put(url, tmp_path, "one")
    bad = put(url, tmp_path, "new", f"{FOLDER}/manifests/new.yaml")
    gitops.revert(gitops.clone(url, "main", tmp_path), FOLDER, bad, "It did not serve.", AT)
    assert git(url, "ls-tree", "-r", "--name-only", "main") == f"{FOLDER}/release.json"


def test_a_superseded_release_is_not_reverted(url: str, tmp_path: Path) -> None:
    put(url, tmp_path, "one")
    bad = put(url, tmp_path, "two")
    newer = put(url, tmp_path, "three")
    reverted = gitops.revert(gitops.clone(url, "main", tmp_path), FOLDER, bad, "It did not serve.", AT)
    assert reverted.commit is None
    assert newer[:12] in reverted.reason
    assert git(url, "rev-parse", "main") == newer


@pytest.mark.parametrize("before", [[], ["releases/local/team-x/team-x.other.v1/release.json"]])
def test_the_first_release_of_a_model_is_not_reverted(before: list[str], url: str, tmp_path: Path) -> None:
    for path in before:
        put(url, tmp_path, "neighbour", path)
    first = put(url, tmp_path, "one")
    reverted = gitops.revert(gitops.clone(url, "main", tmp_path), FOLDER, first, "It did not serve.", AT)
    assert reverted.commit is None
    assert "first release" in reverted.reason
    assert git(url, "rev-parse", "main") == first


@pytest.mark.parametrize("commit", ["HEAD", "--help", "0" * 40, "main:x"])
def test_only_a_commit_of_the_branch_can_be_read(commit: str, url: str, tmp_path: Path) -> None:
    put(url, tmp_path, "one")
    with pytest.raises(BadInput, match="is no commit of main"):
        gitops.read(gitops.clone(url, "main", tmp_path), commit, f"{FOLDER}/release.json")
