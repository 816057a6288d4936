"""What this machine installs for itself before a run."""

from pathlib import Path

import pytest

from pipelines import machine

pytestmark = pytest.mark.slow  # makes MLflow's database


def test_releases_have_a_repository_whoever_reconciles_them(tmp_path: Path) -> None:
    machine.install(tmp_path)
    assert (tmp_path / "releases.git" / "HEAD").read_text() == "ref: refs/heads/main\n"


def test_a_repository_of_the_users_own_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEECE_GITOPS", f"file://{tmp_path}/elsewhere.git")
    machine.install(tmp_path)
    assert not list(tmp_path.glob("*.git"))
