"""The local reconciler with real git, real processes and a model server without a model."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from steps import environments, gitops, local_reconciler, release, serving, store
from steps.faults import BadData, BadInput, Fault, NotAllowed
from steps.local_reconciler import Route
from steps.serving import NotServing, Prompt
from tests.steps.releasing import MODEL_ID, World

pytestmark = pytest.mark.slow  # some seconds in all: every test starts and stops processes
ASKED = Prompt("Where is my parcel?", "", 8)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch)
    yield world
    local_reconciler.stop_all(world.serving, 0)


def reconcile(world: World) -> Route:
    environment = environments.read("local")
    return local_reconciler.reconcile(world.serving, world.clone(), environment, "team-x", MODEL_ID, datetime.now(UTC))


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_what_git_says_is_served_under_a_name_that_tells_the_bytes(world: World) -> None:
    made = world.model()
    deployed = world.deploy(made)
    route = reconcile(world)
    assert route.release_id == deployed.release_id
    assert route.commit == deployed.commit
    assert serving.names(route.endpoint) == [f"{MODEL_ID}@{made.digest.removeprefix('sha256:')[:12]}"]
    assert serving.ask(route.endpoint, route.name, ASKED) == "queue billing"
    assert world.route() == route


def test_a_release_that_is_live_and_healthy_is_left_alone(world: World) -> None:
    world.deploy(world.model())
    first = reconcile(world)
    [server] = world.servers()
    assert reconcile(world) == first
    assert world.servers() == [server]


def test_the_server_outlives_its_starter_in_a_session_of_its_own(world: World) -> None:
    world.deploy(world.model())
    reconcile(world)
    [server] = world.servers()
    assert os.getsid(server.pid) == server.pid


def test_a_server_that_died_is_started_again(world: World) -> None:
    world.deploy(world.model())
    before = reconcile(world)
    [server] = world.servers()
    os.kill(server.pid, signal.SIGKILL)
    after = reconcile(world)
    assert after.release_id == before.release_id
    assert serving.ask(after.endpoint, after.name, ASKED)


def test_a_server_that_hangs_is_replaced(world: World) -> None:
    world.environment("local", *_lines(world, drain_seconds=0))
    world.deploy(world.model())
    reconcile(world)
    [hung] = world.servers()
    os.kill(hung.pid, signal.SIGSTOP)
    route = reconcile(world)
    assert not running(hung.pid)
    assert serving.ask(route.endpoint, route.name, ASKED)


def test_the_old_server_finishes_its_answers_after_the_route_moved(world: World) -> None:
    world.deploy(world.model(1, seconds=1.5, answer="slow"))
    old = reconcile(world)
    [server] = world.servers()
    answers: list[str] = []
    client = threading.Thread(target=lambda: answers.append(serving.ask(old.endpoint, old.name, ASKED)))
    world.deploy(world.model(2, answer="fast"))
    client.start()
    new = reconcile(world)
    client.join()
    assert answers == ["slow"]
    assert not running(server.pid)
    assert serving.ask(new.endpoint, new.name, ASKED) == "fast"
    assert [one.release_id for one in world.servers()] == [new.release_id]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"ends": "70B"}, "it ended before it answered; its server's last lines: no room for 70B weights"),
        ({"mute": True}, "answered with nothing"),
        ({"name": "somebody else"}, "it gave no answer within 1 s"),
    ],
)
def test_a_release_that_does_not_serve_leaves_the_old_one_alone(behaviour: dict[str, str], said: str, world: World) -> None:
    world.environment("local", *_lines(world, start_seconds=1 if "name" in behaviour else 20))
    world.deploy(world.model(1))
    before = reconcile(world)
    world.deploy(world.model(2, **behaviour))
    with pytest.raises(NotServing) as seen:
        reconcile(world)
    assert said in str(seen.value)
    assert "\n" not in str(seen.value)
    assert world.route() == before
    assert [one.release_id for one in world.servers()] == [before.release_id]
    assert serving.ask(before.endpoint, before.name, ASKED)


def test_changed_weights_are_not_loaded(world: World) -> None:
    made = world.model()
    world.deploy(made)
    model = store.local_path(world.in_git().model)
    (model / "model.safetensors").write_bytes(bytes(9))
    with pytest.raises(NotAllowed, match="not loaded"):
        reconcile(world)
    assert world.servers() == []


def test_a_statement_that_somebody_else_signed_lets_nothing_be_loaded(world: World) -> None:
    made = world.model()
    world.deploy(made)
    envelope = store.read_json(made.attestation)
    envelope["payload"] = envelope["payload"][::-1]
    store.replace_json(made.attestation, envelope)
    with pytest.raises(NotAllowed):
        reconcile(world)
    assert world.servers() == []


@pytest.mark.parametrize(
    ("edit", "fault", "said"),
    [
        ({"version": 7}, NotAllowed, r"lets out team-x\.triage\.v1:1 "),
        ({"model": "file:///elsewhere"}, NotAllowed, "not what release"),
        ({"environment": "production"}, BadData, "wrong folder"),
    ],
)
def test_a_release_edited_by_hand_is_not_loaded(edit: dict[str, Any], fault: type[Fault], said: str, world: World) -> None:
    world.deploy(world.model())
    forged = world.in_git().model_copy(update=edit)
    copy = world.clone()
    path = copy.folder / release.folder("local", "team-x", MODEL_ID) / "release.json"

    def write() -> gitops.Change:
        path.write_bytes(release.to_bytes(forged))
        return gitops.Change("forged\n")

    gitops.publish(copy, write, datetime.now(UTC))
    with pytest.raises(fault, match=said):
        reconcile(world)
    assert world.servers() == []


def test_the_server_sees_only_files_the_digest_covers(world: World) -> None:
    world.deploy(world.model())
    reconcile(world)
    folders = list(world.serving.glob(f"local/{MODEL_ID}/servers/*/model"))
    assert sorted(path.name for path in folders[0].iterdir()) == ["config.json", "model.safetensors"]


def test_the_server_is_not_given_our_settings(world: World) -> None:
    world.deploy(world.model())
    reconcile(world)
    [server] = world.servers()
    assert not [name for name in psutil.Process(server.pid).environ() if name.startswith("FLEECE_")]


def test_a_server_left_behind_by_a_killed_step_is_stopped_by_the_next(world: World) -> None:
    made = world.model(1, seconds=60)
    step = world.program("rollout", made, world.deploy(made))
    while not world.servers():
        assert step.poll() is None
        time.sleep(0.02)
    step.kill()
    step.wait()
    [orphan] = world.servers()
    assert running(orphan.pid)
    world.deploy(world.model(2), uid="workflow-2")
    world.environment("local", *_lines(world, drain_seconds=0))
    route = reconcile(world)
    assert not running(orphan.pid)
    assert [one.release_id for one in world.servers()] == [route.release_id]


def test_two_steps_that_roll_out_one_release_start_one_server(world: World) -> None:
    made = world.model(seconds=1)
    deployed = world.deploy(made)
    pair = [world.program("rollout", made, deployed) for _ in range(2)]
    assert [step.wait() for step in pair] == [0, 0]
    arguments = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert len([one for one in arguments if f"{world.serving}/" in one]) == 1


def test_stop_all_leaves_no_server_and_no_route(world: World) -> None:
    world.deploy(world.model())
    route = reconcile(world)
    [server] = world.servers()
    assert local_reconciler.stop_all(world.serving) == [route.name]
    assert not running(server.pid)
    assert local_reconciler.route(world.serving, "local", MODEL_ID) is None
    assert local_reconciler.stop_all(world.serving) == []


def test_nothing_in_git_is_nothing_to_serve(world: World) -> None:
    other = world.model()
    world.deploy(other)
    environment = environments.read("local")
    with pytest.raises(BadInput, match=r"git holds no release of team-x\.other\.v1"):
        local_reconciler.reconcile(world.serving, world.clone(), environment, "team-x", "team-x.other.v1", datetime.now(UTC))


def test_a_server_that_cannot_be_started_is_told_by_name(world: World) -> None:
    world.environment("local", "apiVersion: fleece/v1", "name: local", "reconciler: local", "server: [no-such-server]")
    world.deploy(world.model())
    with pytest.raises(NotServing, match="no-such-server cannot be started"):
        reconcile(world)


def _lines(world: World, **changes: int) -> list[str]:
    """The environment file with other numbers."""
    lines = (world.home / "environments" / "local.yaml").read_text().splitlines()
    kept = [line for line in lines if line.partition(":")[0] not in changes]
    return [*kept, *(f"{name}: {value}" for name, value in changes.items())]
