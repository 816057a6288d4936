"""The supervisor with real processes: what its exit code says, and that no interruption changes a bit of the result."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steps import store
from tests.steps.trainings import CONFIG, Gang, prepared_run

pytestmark = pytest.mark.slow

# --- a supervisor whose workers play a part -------------------------------------------------------------------------------------

PART = """#!{python}
import json, os, sys, time
job = json.load(open(sys.argv[3]))
part = os.environ["PART"]
if part == "sleep":
    time.sleep(60)
if part in ("memory", "peer"):
    json.dump({{"rank": 0, "reason": part, "words": "as told"}}, open(job["ending"], "w"))
if part == "orphan":
    import fcntl
    open(os.environ["PART_FILE"], "w").write(str(job["arguments"]["per_device_train_batch_size"]))
    fcntl.flock(open(job["alive"]), fcntl.LOCK_SH)
    open(os.environ["PART_FILE"], "w").write("the supervisor is gone")
sys.exit(1)
"""


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Gang]:
    """A supervisor that finds another `python` on PATH, as it does with the local runner, and a run of it."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "python").write_text(PART.format(python=sys.executable))
    (binaries / "python").chmod(0o755)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    run = prepared_run(tmp_path, tmp_path / "model")

    def play(part: str, **environment: str) -> Gang:
        path = f"{binaries}:{os.environ['PATH']}"
        return Gang(run, tmp_path / "scratch", nodes=1, PATH=path, PART=part, **environment)

    return play


def test_out_of_memory_is_tried_once_more_with_half_the_micro_batch(stage: Callable[..., Gang]) -> None:
    first, second = stage("memory"), None
    assert first.codes() == [75], first.output
    second = stage("memory")
    assert second.codes() == [71], second.output
    assert "halved already" in second.output[0][1]


def test_a_worker_that_dies_without_a_word_is_a_crash(stage: Callable[..., Gang]) -> None:
    assert stage("crash").codes() == [70]


def test_attempt_after_attempt_without_progress_is_final(stage: Callable[..., Gang], tmp_path: Path) -> None:
    attempts = f"file://{tmp_path}/runs/0123456789abcdef/train/attempts"
    for number in range(8):
        store.create_json(f"{attempts}/pod-{number}/begin-0.json", {"jobset": "ft-test", "step": 0, "rank": 0, "at": number})
    vain = stage("crash")
    assert vain.codes() == [64]
    assert "no progress" in vain.output[0][1]
    other = stage("crash", JOBSET="ft-resubmitted")  # a new JobSet may try again
    assert other.codes() == [70]


def test_a_survivor_leaves_with_its_code_once_it_is_told_to(stage: Callable[..., Gang], tmp_path: Path) -> None:
    """Until then it waits, so that the rank that failed first is seen first."""
    survivor = stage("peer")
    await_(lambda: any((tmp_path / "scratch/0").glob("train-*/ending-0.json")))
    with pytest.raises(subprocess.TimeoutExpired):
        survivor.supervisors[0].wait(1)
    survivor.supervisors[0].terminate()
    assert survivor.codes() == [76]


def test_no_worker_outlives_its_supervisor(stage: Callable[..., Gang], tmp_path: Path) -> None:
    told = tmp_path / "told"
    one = stage("orphan", PART_FILE=str(told))
    await_(lambda: told.exists() and told.read_text() == "4")
    one.supervisors[0].kill()
    await_(lambda: told.read_text() == "the supervisor is gone")
    assert one.codes() == [-signal.SIGKILL]


def await_(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


# --- real processes ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    program = f"from pathlib import Path; from demo.base import make; make(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=Path(__file__).parents[2])
    return folder


@pytest.fixture(scope="module")
def uninterrupted(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    run = prepared_run(folder, base)
    one = Gang(run, folder / "scratch", MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db")
    assert one.codes() == [0, 0], one.output
    return {"run": run, "folder": folder, "output": one.output}


def adapter(run: str) -> dict[str, str]:
    """Path and digest of everything that was trained."""
    return {file.path: file.sha256 for file in store.read_manifest(store.join(run, "trained")).files}


@pytest.mark.slow
def test_an_uninterrupted_run_commits_what_it_planned(uninterrupted: dict[str, Any]) -> None:
    about = store.read_manifest(store.join(uninterrupted["run"], "trained")).about
    assert about["steps"] == about["planned_steps"] == CONFIG["max_steps"]
    assert about["train_rows"] == 96
    assert about["world_size"] == 2
    assert [point["step"] for point in about["losses"]] == list(range(1, 25))
    assert about["losses"][-1]["loss"] < about["losses"][0]["loss"] / 2
    progress = store.read_json(store.join(uninterrupted["run"], "train", "progress.json"))
    assert (progress["step"], progress["steps"], progress["state"]) == (24, 24, "done")


@pytest.mark.slow
def test_no_training_text_is_in_the_logs(uninterrupted: dict[str, Any]) -> None:
    text = "".join(stream for output in uninterrupted["output"] for stream in output)
    assert "Triage this ticket" not in text
    assert "input_ids" not in text


@pytest.mark.slow
def test_mlflow_has_one_run_with_every_step_once(uninterrupted: dict[str, Any]) -> None:
    program = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
[run] = client.search_runs([e.experiment_id for e in client.search_experiments()])
losses = client.get_metric_history(run.info.run_id, "train/loss")
print(run.info.status, run.data.tags["fleece.run_id"], [p.step for p in losses] == list(range(1, 25)), run.data.params["lf.lora_rank"])
"""
    uri = f"sqlite:///{uninterrupted['folder']}/mlflow.db"
    done = subprocess.run([sys.executable, "-c", program, uri], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["FINISHED", "0123456789abcdef", "True", "8"]


@pytest.mark.slow
def test_a_trained_run_is_not_trained_again(uninterrupted: dict[str, Any], tmp_path: Path) -> None:
    again = Gang(uninterrupted["run"], tmp_path, MASTER_PORT="1")
    assert again.codes() == [0, 0]
    assert not list(tmp_path.glob("*/train-*"))


def kill_worker(rank: int) -> Callable[[Gang], None]:
    return lambda one: os.kill(one.worker(rank), signal.SIGKILL)


def kill_supervisor(rank: int) -> Callable[[Gang], None]:
    return lambda one: one.supervisors[rank].kill()


def ask(rank: int) -> Callable[[Gang], None]:
    return lambda one: one.supervisors[rank].terminate()


@pytest.mark.slow
def test_no_interruption_changes_a_bit(uninterrupted: dict[str, Any], base: Path, tmp_path: Path) -> None:
    """A worker killed, a supervisor killed, one rank asked to stop: each attempt goes on where a checkpoint is, to the same bytes."""
    run = prepared_run(tmp_path, base)
    interruptions: list[tuple[int, Callable[[Gang], None], list[set[int]]]] = [
        (7, kill_worker(1), [{76, 75}, {70}]),
        (11, kill_supervisor(0), [{-signal.SIGKILL}, {75, 76}]),
        (17, ask(1), [{75}, {75}]),
    ]
    for step, interrupt, expected in interruptions:
        one = Gang(run, tmp_path / "scratch")
        workers: list[int] = []
        one.at_step(step, lambda gang, workers=workers, interrupt=interrupt: (workers.extend(map(gang.worker, (0, 1))), interrupt(gang)))
        codes = one.codes()
        await_(lambda workers=workers: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        assert all(code in allowed for code, allowed in zip(codes, expected, strict=True)), (codes, one.output)
        assert not store.committed(store.join(run, "trained"))
    last = Gang(run, tmp_path / "scratch")
    assert last.codes() == [0, 0], last.output
    about = store.read_manifest(store.join(run, "trained")).about
    assert about["resumed_from"] >= 17  # the step at which all ranks stopped together
    assert adapter(run) == adapter(uninterrupted["run"])
    shutil.rmtree(tmp_path / "scratch")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [({"stage": "sftt"}, 64, "sftt"), ({"learning_rate": 1e30, "max_grad_norm": 0.0}, 65, "loss")],
    ids=["a stage that does not exist", "a loss that is no number"],
)
def test_a_fatal_end_says_why(base: Path, tmp_path: Path, changes: dict[str, Any], code: int, words: str) -> None:
    one = Gang(prepared_run(tmp_path, base, **changes), tmp_path / "scratch", nodes=1)
    assert one.codes() == [code], one.output
    assert words in one.output[0][1]
    assert "Traceback" not in one.output[0][1]
