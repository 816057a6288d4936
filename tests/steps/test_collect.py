"""Collecting a training: the committed result counts, and a failure keeps its code, its cause and a next move."""

from pathlib import Path
from typing import Any

import pytest

from steps import store
from steps.collect import collect, failure
from steps.contracts import CollectIn
from steps.curves import curve, last_tenth
from steps.faults import BadData, BadInput, Bug, Fault, OutOfMemory, PeerLost, TryAgain, Unfit


def given(run: str, **state: str) -> CollectIn:
    return CollectIn(run=run, prepared=f"{run}/prepared", **state)  # type: ignore[arg-type]


def trained(folder: Path, **changes: Any) -> str:
    run = f"file://{folder}/runs/r1"
    (folder / "weights").mkdir()
    (folder / "weights" / "adapter_model.safetensors").write_bytes(b"w")
    about = {"steps": 20, "planned_steps": 20, "loss": 0.1, "losses": [{"step": 20, "loss": 0.1}], "seconds": 12.5}
    store.commit(folder / "weights", store.join(run, "trained"), about | changes)
    return run


@pytest.mark.parametrize("state", [{"state": "Completed", "reason": "AllJobsCompleted"}, {}])
def test_a_trained_run_gives_its_weights_and_curve(tmp_path: Path, state: dict[str, str]) -> None:
    run = trained(tmp_path)
    out = collect(given(run, **state))
    assert (out.trained, out.steps, out.loss, out.seconds) == (f"{run}/trained", 20, 0.1, 12.5)
    assert store.read_json(f"{run}/train/curve.json") == [{"step": 20, "loss": 0.1}]


@pytest.mark.parametrize("changes", [{"steps": 19}, {"loss": None}, {"loss": float("nan")}])
def test_a_half_trained_model_does_not_pass(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Bug):
        collect(given(trained(tmp_path, **changes)))


def test_a_completed_jobset_without_weights_does_not_pass(tmp_path: Path) -> None:
    with pytest.raises(Bug, match="no trained weights"):
        collect(given(f"file://{tmp_path}/runs/r1", state="Completed"))


@pytest.mark.parametrize(("code", "kind"), [("64", BadInput), ("65", BadData), ("71", OutOfMemory), ("78", Unfit)])
def test_a_fatal_code_keeps_its_meaning_and_its_words(code: str, kind: type[Fault]) -> None:
    attempts = [
        {"code": 75, "reason": "stopped as asked", "at": 1},
        {"code": int(code), "reason": "the loss is nan at step 7", "at": 2},
        {"code": 76, "reason": "another rank is gone", "at": 3},
    ]
    fault = failure(given("file:///s/runs/r1", state="Failed", reason="FailJobSetFailurePolicyAction", code=code), attempts)
    assert type(fault) is kind
    assert "the loss is nan at step 7" in str(fault)
    assert "submit again" in str(fault)


@pytest.mark.parametrize(
    ("attempts", "kind"),
    [
        ([{"code": 70, "reason": "worker 1 was ended by signal -11", "at": 1}, {"code": 76, "reason": "peer", "at": 2}], Bug),
        ([{"code": 69, "reason": "the store does not answer", "at": 1}], Fault),
        ([{"code": 76, "reason": "peer", "at": 1}], Bug),
        ([], Bug),
    ],
)
def test_too_many_restarts_tell_the_last_cause(attempts: list[dict[str, Any]], kind: type[Fault]) -> None:
    given_up = given("file:///s/runs/r1", state="Failed", reason="ReachedMaxRestarts", restarts="7", counted="6", code="absent")
    fault = failure(given_up, attempts)
    assert isinstance(fault, kind)
    assert not isinstance(fault, PeerLost)
    assert "7 restarts (6 counted)" in str(fault)


def test_without_a_jobset_and_without_a_result_it_is_tried_again() -> None:
    assert isinstance(failure(given("file:///s/runs/r1"), []), TryAgain)


def test_the_curve_takes_each_step_once_and_evaluations_too() -> None:
    history = [
        {"step": 1, "loss": 2.0, "learning_rate": 0.1, "epoch": 0.5, "grad_norm": 3.0},
        {"step": 2, "loss": 1.9},
        {"step": 2, "loss": 1.0, "epoch": 1.0},
        {"step": 2, "eval_loss": 1.5, "epoch": 1.0, "eval_runtime": 3.0},
        {"step": 2, "train_runtime": 9.0},
    ]
    assert curve(history) == [
        {"step": 1, "epoch": 0.5, "loss": 2.0, "lr": 0.1},
        {"step": 2, "epoch": 1.0, "loss": 1.0, "eval_loss": 1.5},
    ]


def test_the_final_loss_is_the_mean_of_the_last_tenth() -> None:
    points = curve([{"step": step, "loss": float(step)} for step in range(1, 21)])
    assert last_tenth(points) == 19.5
    assert last_tenth(points[:3]) == 3.0
