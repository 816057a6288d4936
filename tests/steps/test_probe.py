"""`probe`: the live endpoint answers, with the release that was rolled out."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps import local_reconciler, runtime, store
from steps.contracts import DeployOut, ProbeIn, RolloutOut
from steps.faults import BadInput, Unavailable
from steps.probe import probe
from steps.serving import NotServing
from tests.steps.releasing import Attested, World

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch)
    yield world
    local_reconciler.stop_all(world.serving, 0)


def question(made: Attested, deployed: DeployOut, live: RolloutOut) -> ProbeIn:
    return ProbeIn(run=made.run, release=deployed.release, endpoint=live.endpoint)


@pytest.mark.parametrize(("prompt", "asked"), [("", "Where is my parcel?"), ("Is anybody there?", "Is anybody there?")])
def test_the_run_files_prompt_or_the_first_test_item_is_asked_and_answered(
    prompt: str, asked: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    made = world.model(answer="queue shipping", prompt=prompt)
    given = question(made, *world.live(made))
    done = probe(given)
    assert done.state == "answers"
    place = runtime.place("probe", given)
    assert place is not None
    record = store.read_json(store.join(place, "probe.json"))
    assert (record["prompt"], record["answer"], record["milliseconds"]) == (asked, "queue shipping", done.milliseconds)
    assert record["name"] == world.route().name
    logged = "".join(capfd.readouterr())
    assert asked not in logged
    assert "queue shipping" not in logged


def test_nothing_is_asked_where_only_a_commit_was_made(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    made = world.model()
    deployed = world.deploy(made)
    done = probe(ProbeIn(run=made.run, release=deployed.release, endpoint="none"))
    assert (done.state, done.milliseconds) == ("not probed", 0)
    assert "skipped" in capsys.readouterr().err


def test_a_route_that_leads_to_another_release_is_no_success(world: World) -> None:
    made = world.model(1)
    given = question(made, *world.live(made))
    world.live(world.model(2))
    with pytest.raises(BadInput, match="leads to"):
        probe(given)


def test_an_endpoint_that_is_not_the_routes_is_not_asked(world: World) -> None:
    made = world.model(1)
    deployed, live = world.live(made)
    with pytest.raises(BadInput, match=f"leads to {live.endpoint}, not to http://elsewhere/v1"):
        probe(ProbeIn(run=made.run, release=deployed.release, endpoint="http://elsewhere/v1"))


def test_a_server_that_answers_as_another_model_is_no_success(world: World) -> None:
    made, other = world.model(1), world.model(2)
    given = question(made, *world.live(made))
    released, forged = store.read_json(given.release), store.read_json(given.release)
    forged["digest"] = other.digest
    store.replace_json(given.release, forged)
    assert released != forged
    with pytest.raises(NotServing, match="serves team-x"):
        probe(given)


def test_a_server_that_is_gone_is_a_service_that_is_down(world: World) -> None:
    made = world.model()
    given = question(made, *world.live(made))
    [server] = world.servers()
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="does not answer"):
        probe(given)
