"""`select` on a real registry: MLflow on SQLite."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from steps import attestations, registry, store
from steps.contracts import SelectIn
from steps.faults import BadInput, NotAllowed
from steps.release_request import ReleaseRequest
from steps.select import select
from tests.steps.releasing import MODEL_ID, World

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def given(**flags: Any) -> SelectIn:
    return SelectIn(**{"model_id": MODEL_ID} | flags)


def test_a_version_or_the_one_in_production_comes_with_its_run_and_statement(world: World) -> None:
    first, second = world.promoted(1), world.promoted(2)
    for flags, made in (({"version": 1}, first), ({"version": 2}, second), ({}, second)):
        found = select(given(**flags))
        assert (found.run, found.attestation) == (made.run, made.attestation)
        assert found.request == attestations.verified(made.attestation).request


def test_a_version_that_was_not_let_out_yet_comes_with_its_newest_request(world: World) -> None:
    made = world.model()
    word = attestations.verified(made.attestation)
    store.local_path(made.attestation).unlink()
    registry.register(MODEL_ID, word.model, made.digest, made.run, "VALIDATED", {}, None)
    for hour in (9, 11, 10):
        shared = {name: getattr(word, name) for name in ("run", "tenant", "model_id", "version", "model", "digest", "decision", "card")}
        request = ReleaseRequest(
            **shared,
            verdict="promote",
            evidence={},
            risk_class="MINIMAL",
            environment="local",
            promote="ask",
            submitter=None,
            scheduled=True,
            dirty=False,
            workflow="w",
            uid="u",
            created=datetime(2026, 11, 21, hour, tzinfo=UTC),
        )
        store.create_json(f"{made.run}/request/{hour:016}/request.json", request.model_dump(mode="json"))
    found = select(given(version=1))
    assert (found.attestation, found.request) == ("none", f"{made.run}/request/{11:016}/request.json")


@pytest.mark.parametrize(
    ("flags", "fault", "said"),
    [
        ({"version": 9}, BadInput, "has no version 9"),
        ({}, BadInput, "is in production; name one"),
        ({"version": 1}, BadInput, "nobody asked to let out"),
        ({"model_id": "../../etc"}, BadInput, "is no model id"),
        ({"model_id": "team-y.triage.v1"}, NotAllowed, "belongs to tenant team-y"),
    ],
)
def test_what_cannot_be_selected_is_told(flags: dict[str, Any], fault: type[Exception], said: str, world: World) -> None:
    made = world.model()
    registry.register(MODEL_ID, f"{world.store}/models/x", made.digest, made.run, "VALIDATED", {}, None)
    store.local_path(made.attestation).unlink()
    with pytest.raises(fault, match=said):
        select(given(**flags))
