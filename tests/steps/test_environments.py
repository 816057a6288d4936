"""Environment files: strict, and each wrong one is one clear line."""

from pathlib import Path

import pytest

from steps import environments
from steps.faults import BadInput

LOCAL = "apiVersion: fleece/v1\nname: here\nreconciler: local\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEECE_ENVIRONMENTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("path", sorted(environments.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_environments_that_come_with_fleece_are_right(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEECE_ENVIRONMENTS", raising=False)
    assert environments.read(path.stem).name == path.stem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LOCAL.replace("local", "argocd"), "this version does not wait for Argo CD; write `none`"),
        (LOCAL + "replicas: 3\n", "replicas: Extra inputs are not permitted"),
        (LOCAL.replace("here", "there"), "names the environment 'there'"),
        (LOCAL + "branch: --force\n", "branch: String should match"),
        (LOCAL + "serving: {replicas: 2}\n", "this machine starts one server"),
        (LOCAL.replace("local", "none"), "serving.image is needed"),
        (LOCAL + "server: [run, '$(id)']\n", "server.1: contains '$('"),
        ("- a list\n", "holds a list"),
        (LOCAL + "name: here\n", "the key 'name' twice"),
        ("name: [\n", "correct the YAML"),
    ],
)
def test_a_wrong_environment_file_is_refused_in_one_line(content: str, said: str, home: Path) -> None:
    (home / "here.yaml").write_text(content)
    with pytest.raises(BadInput) as seen:
        environments.read("here")
    assert said in str(seen.value)
    assert "\n" not in str(seen.value)


def test_an_unknown_environment_is_told_with_the_known_ones(home: Path) -> None:
    (home / "here.yaml").write_text(LOCAL)
    with pytest.raises(BadInput, match="there is no environment 'staging'; known: here"):
        environments.read("staging")
