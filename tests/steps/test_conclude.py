"""The run's last word: released, waiting, or not released, and where to look."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.conclude import conclude
from steps.contracts import ConcludeIn
from steps.faults import Bug
from tests.steps.governed import ALICE, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch)
    yield world
    world.close()


def test_a_release_that_succeeded_is_said(world: World) -> None:
    made = world.gated()
    world.requested(made, ALICE)
    assert conclude(ConcludeIn(run=made.run, route="auto", phase="Succeeded")).outcome == "released"


@pytest.mark.parametrize("phase", ["Failed", "Error", "none"])
def test_a_release_that_failed_fails_the_run_and_points_to_it(world: World, phase: str) -> None:
    made = world.gated()
    world.requested(made, ALICE)
    with pytest.raises(Bug, match=f"ended as {phase}.*release-uid-1") as fault:
        conclude(ConcludeIn(run=made.run, route="auto", phase=phase))
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(("cluster", "command"), [(False, "fleece run approve"), (True, "argo submit -n default-release")])
def test_a_waiting_release_says_how_to_approve_it(
    world: World, capsys: pytest.CaptureFixture[str], cluster: bool, command: str
) -> None:  # fmt: skip
    if cluster:
        world.on_cluster("bob")
    made = world.gated()
    request = world.requested(made, ALICE, promote="ask").request
    assert conclude(ConcludeIn(run=made.run, route="ask")).outcome == "waiting for approval"
    said = capsys.readouterr().err
    assert command in said
    assert f"request={request}" in said
    assert f"digest={made.digest}" in said


def test_what_is_not_released_says_why(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    made = world.gated(right=3)
    world.requested(made, ALICE)
    assert conclude(ConcludeIn(run=made.run, route="none")).outcome == "not released"
    assert "verdict is hold" in capsys.readouterr().err


def test_without_a_request_there_is_nothing_to_conclude(world: World) -> None:
    made = world.gated()
    with pytest.raises(Bug, match="holds no release request"):
        conclude(ConcludeIn(run=made.run, route="none"))
