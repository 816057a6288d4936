"""A registered version carries every field that says what it is; the registry is MLflow on SQLite."""

from pathlib import Path
from typing import Any

import pytest

from steps import mlflow_client, registry, store
from steps.contracts import RegisterIn
from steps.faults import BadData, NotAllowed
from steps.register import register
from tests.steps.governed import MODEL_ID, Gated, World

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def given(made: Gated, **flags: Any) -> RegisterIn:
    known = {"run": made.run, "model": made.model, "digest": made.digest, "verdict": made.verdict, "decision": made.decision}
    return RegisterIn(**{**known, "card": made.document(), **flags})


def test_a_version_has_every_field(world: World) -> None:
    made = world.gated()
    out = register(given(made))
    assert (out.version, out.status) == (1, "VALIDATED")
    found = registry.version(MODEL_ID, 1)
    assert (found.model, found.digest, found.run, found.status, found.stage) == (made.model, made.digest, made.run, "VALIDATED", "None")
    fields = {
        "tenant", "owner", "base_model", "base_model_revision", "base_digest", "risk_class", "ai_act_notes", "config_path", "config_sha256",
        "data_id", "verdict", "decision", "card", "metric.team_test.exact_match", "baseline.team_test.exact_match",
    }  # fmt: skip
    assert fields <= found.tags.keys()
    assert found.tags["metric.team_test.exact_match"] == "0.95"


def test_a_model_that_failed_its_gate_is_registered_as_rejected(world: World) -> None:
    assert register(given(world.gated(right=3))).status == "REJECTED"
    assert registry.version(MODEL_ID, 1).status == "REJECTED"


def test_registering_twice_is_one_version_and_one_run(world: World) -> None:
    made = world.gated()
    assert register(given(made)) == register(given(made))
    client = mlflow_client.client()
    assert len(client.search_model_versions(f"name = '{MODEL_ID}'")) == 1
    runs = client.search_runs([client.get_experiment_by_name(MODEL_ID).experiment_id])
    assert len(runs) == 1
    assert runs[0].data.metrics["metric.team_test.exact_match"] == 0.95
    assert len(client.get_metric_history(runs[0].info.run_id, "metric.team_test.exact_match")) == 1
    assert runs[0].data.tags["fleece.version"] == f"{MODEL_ID}:1"
    assert registry.version(MODEL_ID, 1).tags["card"] == runs[0].data.tags["fleece.card"]


def test_other_bytes_are_not_registered(world: World) -> None:
    made = world.gated()
    wanted = given(made)
    with pytest.raises(NotAllowed, match="nothing was registered"):
        register(wanted.model_copy(update={"digest": f"sha256:{'0' * 64}"}))
    store.local_path(f"{made.model}/model.safetensors").write_bytes(b"x" * 400)
    with pytest.raises(BadData, match="not what its manifest says"):
        register(wanted)
    assert not (world.home / "mlflow.db").exists()
