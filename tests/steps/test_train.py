"""The training's parts: why it ended, what the pipeline owns, one answer for all ranks."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from steps.faults import BadData, BadInput, Bug, Fault, OutOfMemory, PeerLost, TryAgain
from steps.train import arguments, endings, events, gang, result
from steps.train.endings import Ending, Reason
from steps.train.worker import classify

# --- why it ended --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reasons", "stopping", "halved", "expected"),
    [
        (["done", "done"], False, False, None),
        (["config"], False, False, BadInput),
        (["data", "data"], False, False, BadData),
        (["memory", "peer"], False, False, TryAgain),
        (["peer", "memory"], False, True, OutOfMemory),
        (["crash"], False, False, Bug),
        (["crash"], True, False, Bug),
        (["stopped", "stopped"], True, False, TryAgain),
        (["stopped"], False, False, TryAgain),  # another node was asked
        (["killed"], True, False, TryAgain),  # it did not leave in time
        (["killed"], False, False, Bug),
        (["killed", "peer"], False, False, Bug),
        (["peer"], False, False, PeerLost),
        (["peer"], True, False, PeerLost),
        (["done", "peer"], False, False, PeerLost),
        (["crash", "config"], False, False, BadInput),
    ],
)
def test_the_cause_decides_and_not_its_consequences(
    reasons: list[Reason], stopping: bool, halved: bool, expected: type[Fault] | None
) -> None:
    ended = [Ending(rank, reason, "words") for rank, reason in enumerate(reasons)]
    fault = endings.fault(ended, stopping=stopping, halved=halved)
    assert (type(fault) if fault else None) is expected


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class DistBackendError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    ("error", "training", "reason"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True, "memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"), True, "memory"),
        (MemoryError(), True, "memory"),
        (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.7]:4242"), True, "peer"),
        (ConnectionResetError("Connection reset by peer"), False, "peer"),
        (DistBackendError("NCCL error"), True, "peer"),
        (ValueError("Unknown task: sftt."), False, "config"),
        (AssertionError("Invalid fine-tuning method."), False, "config"),
        (SystemExit(2), False, "config"),
        (ValueError("a value while training"), True, "crash"),
        (RuntimeError("don't know how to restore data location"), False, "crash"),
        (KeyError("instruction"), False, "crash"),
    ],
)
def test_an_exception_has_a_reason(error: BaseException, training: bool, reason: str) -> None:
    assert classify(error, training=training)[0] == reason


def test_the_text_of_a_crash_is_not_passed_on() -> None:
    assert "customer" not in classify(RuntimeError("row: the customer said"), training=True)[1]


@pytest.mark.parametrize(
    ("written", "status", "starved", "reason"),
    [
        ('{"rank": 0, "reason": "done", "words": ""}', 0, False, "done"),
        ('{"rank": 0, "reason": "stopped", "words": ""}', 1, False, "stopped"),
        ('{"rank": 0, "reason": "done", "words": ""}', -9, False, "killed"),
        ("", -9, False, "killed"),
        ("", -9, True, "memory"),
        ("", 0, False, "killed"),
        ('{"rank": 0, "rea', 1, False, "killed"),
    ],
)
def test_a_worker_that_wrote_no_reason_was_killed(tmp_path: Path, written: str, status: int, starved: bool, reason: str) -> None:
    (tmp_path / "ending").write_text(written)
    assert endings.read(tmp_path / "ending", 0, status, starved=starved).reason == reason


# --- what the pipeline owns ----------------------------------------------------------------------------------------------------


def completed(given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    folders: dict[str, Any] = {"base": Path("/b"), "prepared": Path("/p"), "work": Path("/w"), "checkpoint": None, "halved": False}
    return arguments.complete(given, **folders | changes)


def test_the_users_settings_stay_and_the_pipelines_win() -> None:
    whole = completed({"learning_rate": 1e-4, "output_dir": "saves/x", "overwrite_output_dir": True, "report_to": "wandb"})
    assert whole["learning_rate"] == 1e-4
    assert (whole["output_dir"], whole["overwrite_output_dir"], whole["report_to"]) == ("/w/output", False, "none")
    assert whole["logging_nan_inf_filter"] is False


def test_the_checkpoint_is_named_and_never_guessed() -> None:
    assert completed({})["resume_from_checkpoint"] is None
    assert completed({}, checkpoint=Path("/c/5"))["resume_from_checkpoint"] == "/c/5"


def test_a_halved_micro_batch_leaves_the_optimizers_batch_as_it_is() -> None:
    whole = completed({"per_device_train_batch_size": 4, "gradient_accumulation_steps": 3}, halved=True)
    assert (whole["per_device_train_batch_size"], whole["gradient_accumulation_steps"]) == (2, 6)
    assert "gradient_accumulation_steps" not in completed({"per_device_train_batch_size": 1}, halved=True)


@pytest.mark.parametrize("key", ["load_best_model_at_end", "save_only_model", "enable_jit_checkpoint"])
def test_a_setting_that_spoils_a_resume_is_refused(key: str) -> None:
    with pytest.raises(BadInput, match=key):
        completed({key: True})


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({}, 3),
        ({"max_samples": 2}, 2),
        ({"max_samples": 9}, 3),
        ({"packing": True}, None),
        ({"streaming": True}, None),
        ({"val_size": 0.1}, None),
        ({"stage": "pt"}, None),
        ({"stage": "pt", "packing": False}, 3),
    ],
)
def test_rows_are_counted_where_every_row_is_an_example(tmp_path: Path, given: dict[str, Any], rows: int | None) -> None:
    (tmp_path / "dataset_info.json").write_text('{"train": {"file_name": "t.jsonl"}}')
    (tmp_path / "t.jsonl").write_text("{}\n{}\n{}\n\n")
    assert arguments.train_rows(given, tmp_path) == rows


def test_a_prepared_folder_without_its_configuration_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData):
        arguments.read(tmp_path)


# --- the gang ------------------------------------------------------------------------------------------------------------------

PLACE = {"NNODES": "2", "NODE_RANK": "1", "NPROC_PER_NODE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("change", [{"NODE_RANK": "2"}, {"NNODES": "two"}, {"NPROC_PER_NODE": "0"}, {"NODE_RANK": "-1"}])
def test_a_place_outside_the_gang_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        gang.of_environment(PLACE | change)


def test_without_the_jobsets_environment_it_says_so() -> None:
    with pytest.raises(BadInput, match="NNODES"):
        gang.of_environment({})


def test_every_rank_gets_rank_zeros_answer() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    answers: dict[int, Any] = {}

    def join(rank: int) -> None:
        own = gang.of_environment(PLACE | {"NNODES": "3", "NODE_RANK": str(rank), "MASTER_PORT": port})
        answers[rank] = gang.agree(own, lambda: {"step": 10, "decided": rank}, lambda: False)

    threads = [threading.Thread(target=join, args=(rank,)) for rank in (2, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {rank: {"step": 10, "decided": 0} for rank in (0, 1, 2)}


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_rank_that_waits_for_the_others_leaves_when_asked(rank: str) -> None:
    own = gang.of_environment(PLACE | {"NODE_RANK": rank, "MASTER_PORT": "29499"})
    with pytest.raises(TryAgain):
        gang.agree(own, dict, lambda: True)


def test_a_half_written_event_waits_for_its_end(tmp_path: Path) -> None:
    reader = events.Reader(tmp_path / "e.jsonl")
    assert reader.new() == []
    (tmp_path / "e.jsonl").write_text('{"step": 1}\n{"st')
    assert reader.new() == [{"step": 1}]
    with (tmp_path / "e.jsonl").open("a") as file:
        file.write('ep": 2}\n')
    assert reader.new() == [{"step": 2}]


def test_a_committed_model_names_no_machine_and_is_readable(tmp_path: Path) -> None:
    output = tmp_path / "output"
    (output / "checkpoint-5").mkdir(parents=True)
    (output / "adapter_model.safetensors").write_bytes(b"weights")
    (output / "adapter_model.safetensors").chmod(0o600)
    (output / "adapter_config.json").write_text('{"base_model_name_or_path": "/scratch/x", "target_modules": ["q", "a"]}')
    for name in ("training_args.bin", "trainer_state.json", "README.md", "tokenizer.json"):
        (output / name).write_text("{}")
    folder = result.select(output, "acme/base")
    assert {path.name for path in folder.iterdir()} == {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"}
    assert (folder / "adapter_model.safetensors").stat().st_mode & 0o777 == 0o644
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["target_modules"]) == ("acme/base", ["a", "q"])
