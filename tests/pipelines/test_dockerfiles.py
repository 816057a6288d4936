"""The images are locked, run as nobody in particular, and are built from a small context."""

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pipelines.settings import IMAGES

ROOT = Path(__file__).parents[2]
KINDS = [*IMAGES, "services"]
LOCKS = sorted(ROOT.glob("images/*/requirements.lock"))


def instructions(kind: str) -> list[list[str]]:
    text = (ROOT / "images" / kind / "Dockerfile").read_text()
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text))
    return [line.split() for line in joined.splitlines() if line]


def copied(kind: str) -> list[str]:
    return [words[1] for words in instructions(kind) if words[0] == "COPY"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_installs_what_its_lock_names_and_nothing_else(kind: str) -> None:
    installs = [words for words in instructions(kind) if words[0] == "RUN" and re.search(r"(?<!-)\b(pip|install-lock)\b", " ".join(words))]
    assert f"images/{kind}/requirements.lock" in copied(kind)
    assert installs[-1][-2:] == ["install-lock", f"/opt/locks/{kind}.lock"]
    assert all(words[-2] == "install-lock" for words in installs)
    assert "--require-hashes" in (ROOT / "images" / "install").read_text()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_every_line_of_a_lock_is_one_version_with_hashes(lock: Path) -> None:
    pins = re.findall(
        r"(?m)^(\S.*?)(?: \\)?\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)*)", re.sub(r"(?m)^\s*#.*\n", "", lock.read_text())
    )
    assert pins
    assert [pin for pin, hashes in pins if not re.fullmatch(r"[a-z0-9.-]+(\[\S+\])?==\S+( ; .+)?", pin) or not hashes] == []


def test_a_package_has_the_same_version_in_every_image() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(r"(?m)^([a-z0-9.-]+)==(\S+)", lock.read_text()):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_ends_as_a_numeric_user_who_is_not_root(kind: str) -> None:
    users = [words[1] for words in instructions(kind) if words[0] == "USER"]
    assert users == ["8737:8737"]  # kubelet can check runAsNonRoot of a number only


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_the_layers_of_core_come_first(kind: str) -> None:
    core, other = instructions("core"), instructions(kind)
    shared = core.index(["RUN", "install-lock", "/opt/locks/core.lock"]) + 1
    assert other[:shared] == core[:shared]


def test_train_and_evaluate_share_the_layer_with_torch() -> None:
    train, evaluate = instructions("train"), instructions("evaluate")
    shared = train.index(["RUN", "install-lock", "/opt/locks/torch.lock"]) + 1
    assert train[:shared] == evaluate[:shared]


def sent(path: str) -> bool:
    """Whether a path of the repository is in the build context (rules of .dockerignore: the last line that matches decides)."""
    parts, included = path.split("/"), True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)] + (parts if "**/" in line else [])
        if not line.startswith("#") and any(fnmatch(prefix, pattern) and prefix.count("/") == pattern.count("/") for prefix in prefixes):
            included = line.startswith("!")
    return included


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", ".fleece/x", "tests/conftest.py", "steps/__pycache__/gate.pyc", "README.md"]
)
def test_the_build_context_leaves_out(path: str) -> None:
    assert not sent(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_build_context_holds_what_is_copied(kind: str) -> None:
    assert [path for path in copied(kind) if not (ROOT / path).exists() or not sent(path)] == []


CONFIG, RELEASES = "https://reader@git.example.org/team/config.git", "http://git.acme.svc:8080/releases.git"


@pytest.mark.parametrize(
    ("prompt", "reads"),
    [
        ("Username for 'https://git.example.org': ", "username"),
        ("Password for 'https://fleece@git.example.org': ", "password"),
        ("Password for 'http://fleece@git.acme.svc:8080': ", "password"),
        ("Password for 'http://git.example.org': ", ""),
        ("Password for 'http://git.acme.svc': ", ""),
        ("Username for 'https://elsewhere.example.net': ", ""),
        ("Password for 'https://git.example.org@elsewhere.example.net': ", ""),
        ("Password for 'https://git.example.org': x@elsewhere.example.net': ", ""),
        ("Username for '': ", ""),
        ("Are you sure you want to continue connecting (yes/no)? ", ""),
    ],
)
def test_git_gets_the_secret_for_the_hosts_of_this_installation_only(prompt: str, reads: str) -> None:
    environment = {"FLEECE_CONFIG_REPO": CONFIG, "FLEECE_GITOPS": RELEASES, "PATH": "/usr/bin:/bin"}
    said = subprocess.run(["sh", ROOT / "images/core/git-askpass", prompt], env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert said.stdout == ""
    assert (f"/etc/fleece/git/{reads}: No such file" in said.stderr) if reads else said.stderr.startswith("git-askpass: ")
