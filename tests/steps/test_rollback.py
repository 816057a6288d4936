"""`rollback` on a real registry (MLflow on SQLite) and a real repository."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from steps import attestations, registry, store
from steps.contracts import RollbackIn
from steps.faults import BadInput, NotAllowed
from steps.rollback import rollback
from tests.steps.releasing import MODEL_ID, PROJECT, World

pytestmark = pytest.mark.slow
WHY = "answers got worse since yesterday"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def given(**flags: Any) -> RollbackIn:
    return RollbackIn(**{"model_id": MODEL_ID, "environment": "local", "reason": WHY, "uid": "workflow-9"} | flags)


def production() -> int:
    pointer = registry.production(MODEL_ID)
    assert pointer is not None
    return pointer.version


def test_the_version_before_is_production_again_and_its_release_is_in_git_again(world: World) -> None:
    first = world.promoted(1)
    released = world.in_git()
    world.promoted(2)
    back = rollback(given())
    assert (back.run, back.version, back.commit) == (first.run, 1, world.log("rev-parse", "main"))
    assert store.exists(back.release)
    assert world.in_git() == released
    assert production() == 1
    assert WHY in world.log("log", "-1", "--format=%B", "main")


def test_a_step_that_runs_again_does_not_roll_forward(world: World) -> None:
    world.promoted(1)
    world.promoted(2)
    first = rollback(given())
    assert rollback(given()) == first
    assert production() == 1
    assert world.commits() == 3


def test_a_step_killed_before_the_alias_moved_ends_what_it_began(world: World) -> None:
    world.promoted(1)
    world.promoted(2)
    program = (
        "import os, signal\nfrom steps import registry, rollback\nfrom steps.contracts import RollbackIn\n"
        "registry.promote = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"rollback.rollback(RollbackIn.model_validate_json({given().model_dump_json()!r}))"
    )
    killed = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (world.in_git().version, production()) == (1, 2)
    rollback(given())
    assert (world.in_git().version, production()) == (1, 1)
    assert world.commits() == 3


def test_a_release_that_was_taken_back_already_needs_no_commit(world: World) -> None:
    from steps import gitops

    world.promoted(1)
    world.promoted(2)
    folder = f"releases/local/team-x/{MODEL_ID}"
    copy = world.clone()
    gitops.revert(copy, folder, gitops.last_change(copy, folder), "It did not serve.", world.in_git().created)
    back = rollback(given())
    assert (world.commits(), back.version, production()) == (3, 1, 1)


@pytest.mark.parametrize(
    ("flags", "fault", "said"),
    [
        ({}, BadInput, "nothing to go back to"),
        ({"model_id": "team-y.triage.v1"}, NotAllowed, "belongs to tenant team-y"),
        ({"model_id": "../../etc"}, BadInput, "is no model id"),
        ({"environment": "moon"}, BadInput, "no environment 'moon'"),
    ],
)
def test_what_cannot_be_rolled_back_changes_nothing(flags: dict[str, Any], fault: type[Exception], said: str, world: World) -> None:
    world.promoted(1)
    with pytest.raises(fault, match=said):
        rollback(given(**flags))
    assert (world.commits(), production()) == (1, 1)


def test_a_version_that_this_environment_never_had_is_told(world: World) -> None:
    made = world.model(1)
    word = attestations.verified(made.attestation)
    registry.register(MODEL_ID, word.model, made.digest, made.run, "VALIDATED", {}, None)
    registry.promote(MODEL_ID, 1)
    world.promoted(2)
    with pytest.raises(BadInput, match=r"git has no release of team-x\.triage\.v1:1"):
        rollback(given())
    assert production() == 2


def test_a_reason_is_asked_for() -> None:
    with pytest.raises(ValidationError, match="at least 10 characters"):
        given(reason="bad")
