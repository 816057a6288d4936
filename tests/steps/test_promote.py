"""Only what `verify` signed is promoted, and only the very model it names."""

from pathlib import Path
from typing import Any

import pytest

from steps import attestations, registry, store
from steps.contracts import PromoteIn, VerifyIn
from steps.faults import Fault, NotAllowed
from steps.promote import promote
from steps.verify import verify
from tests.steps.governed import ALICE, MODEL_ID, Gated, World

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def registered(made: Gated, **changed: Any) -> int:
    known: dict[str, Any] = {"model": made.model, "digest": made.digest, "run": made.run, "status": "VALIDATED"} | changed
    return registry.register(MODEL_ID, **known, tags={}, mlflow_run=None)


def attested(world: World, made: Gated, version: int) -> PromoteIn:
    request = world.requested(made, ALICE, version=version).request
    return PromoteIn(run=made.run, attestation=verify(VerifyIn(request=request)).attestation)


def test_the_attested_version_goes_to_production_and_archives_the_one_before(world: World) -> None:
    first = world.gated("r1")
    second = world.gated("r2", right=39, champion=first.evaluation)
    one, two = (attested(world, made, registered(made)) for made in (first, second))
    assert promote(one).model_dump(include={"version", "previous"}) == {"version": 1, "previous": 0}
    assert promote(two).model_dump(include={"version", "previous"}) == {"version": 2, "previous": 1}
    assert registry.champion(MODEL_ID) == second.model
    assert [event["data"]["before"] for event in world.events("promotion.completed")] == [0, 1]


def test_a_version_that_was_never_compared_with_the_one_in_production_is_refused(world: World) -> None:
    first, second = world.gated("r1"), world.gated("r2", right=39)
    one, two = (attested(world, made, registered(made)) for made in (first, second))
    promote(one)
    with pytest.raises(NotAllowed, match=r"went to production since .* was gated"):
        promote(two)
    assert registry.champion(MODEL_ID) == first.model


def test_promoting_again_changes_nothing_and_asks_no_mlflow(world: World) -> None:
    made = world.gated()
    given = attested(world, made, registered(made))
    first = promote(given)
    world.settings.delenv("MLFLOW_TRACKING_URI")
    assert promote(given) == first
    assert len(world.events("promotion.completed")) == 1


def test_an_attestation_of_another_run_is_refused(world: World) -> None:
    made = world.gated()
    given = attested(world, made, registered(made))
    with pytest.raises(NotAllowed, match="give the run's own attestation"):
        promote(PromoteIn(run=store.join(world.root, "runs", "r2"), attestation=given.attestation))


def test_a_version_that_is_another_model_in_the_registry_is_refused(world: World) -> None:
    made = world.gated()
    registered(made, digest=f"sha256:{'0' * 64}")
    with pytest.raises(NotAllowed, match=r"was verified"):
        promote(attested(world, made, 1))
    assert registry.champion(MODEL_ID) == "none"


def test_what_nobody_signed_is_refused(world: World) -> None:
    made = world.gated()
    given = attested(world, made, registered(made))
    word = attestations.verified(given.attestation)
    store.replace_json(given.attestation, word.model_dump(mode="json"))
    with pytest.raises(Fault, match="no DSSE envelope"):
        promote(given)
    assert registry.champion(MODEL_ID) == "none"
