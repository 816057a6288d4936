"""A release request names its evidence by digest, and policy chooses its route."""

from pathlib import Path

import pytest

from steps import store
from steps.faults import BadData, NotAllowed
from steps.release_request import read, sha256
from tests.steps.governed import ALICE, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_request_holds_the_digests_of_all_that_it_rests_on(world: World) -> None:
    made = world.gated()
    asked = world.read(world.requested(made, ALICE).request)
    assert all(sha256(store.read(uri)) == digest for uri, digest in asked.evidence.items())
    kinds = sorted(uri.rpartition("/")[2] for uri in asked.evidence)
    assert kinds == ["gate.json", *["manifest.json"] * 4, "plan.json"]
    assert asked.submitter is not None
    assert (asked.submitter.sub, asked.scheduled, asked.environment) == ("alice", False, "local")


@pytest.mark.parametrize(
    ("labels", "promote", "right", "route", "why"),
    [
        (ALICE, "auto", 38, "auto", "passed its gate"),
        (ALICE, "ask", 38, "ask", "promote=ask"),
        (ALICE, "never", 38, "none", "promote=never"),
        ({}, "auto", 38, "ask", "a schedule started the run"),
        (ALICE, "auto", 3, "none", "verdict is hold"),
    ],
)
def test_the_route(world: World, labels: dict[str, str], promote: str, right: int, route: str, why: str) -> None:
    out = world.requested(world.gated(right=right), labels, promote=promote)
    assert out.route == route
    assert why in out.reason


def test_a_repeated_step_finds_the_first_request(world: World) -> None:
    made = world.gated()
    first, second = (world.requested(made, ALICE) for _ in range(2))
    assert first == second
    assert len(world.events("release.requested")) == 1


def test_another_submission_has_its_own_request(world: World) -> None:
    made = world.gated()
    assert world.requested(made, ALICE).request != world.requested(made, ALICE, uid="uid-2").request


def test_a_request_of_another_store_is_not_read(world: World) -> None:
    uri = world.requested(world.gated(), ALICE).request
    elsewhere = store.join(world.root, "runs", "other", "request", "0", "request.json")
    store.create_json(elsewhere, store.read_json(uri))
    with pytest.raises(NotAllowed, match="whose requests lie elsewhere"):
        read(elsewhere)
    world.settings.setenv("FLEECE_STORE", f"file://{world.home}/another")
    with pytest.raises(NotAllowed, match="whose requests lie elsewhere"):
        read(uri)


def test_what_is_no_request_names_the_wrong_keys(world: World) -> None:
    uri = world.requested(world.gated(), ALICE).request
    world.rewrite(uri, version="one", extra=1)
    with pytest.raises(BadData, match=r"version.*extra"):
        read(uri)
