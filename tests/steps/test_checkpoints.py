"""A checkpoint counts when it is committed, whole, and made by a gang of the same size; otherwise the one before it does."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from steps import store
from steps.train import checkpoints

Spoil = Callable[[Path], object]


def whole(folder: Path, world_size: int = 2) -> Path:
    """A checkpoint's files, as torch and safetensors lay them out, without either."""
    folder.mkdir(parents=True)
    for name in ["optimizer.pt", "scheduler.pt", *(f"rng_state_{rank}.pth" for rank in range(world_size))]:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("data.pkl", b"x" * 100)
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    (folder / "trainer_state.json").write_text('{"global_step": 5}')
    return folder


def cut(name: str) -> Spoil:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-4])


def without(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


SPOILED: dict[str, Spoil] = {
    "no trainer_state.json": without("trainer_state.json"),
    "a cut trainer_state.json": cut("trainer_state.json"),
    "a cut optimizer": cut("optimizer.pt"),
    "no optimizer (save_only_model)": without("optimizer.pt"),
    "no scheduler": without("scheduler.pt"),
    "a cut adapter": cut("adapter_model.safetensors"),
    "no adapter": without("adapter_model.safetensors"),
    "an empty adapter": lambda folder: (folder / "adapter_model.safetensors").write_bytes(b""),
    "random numbers of one rank missing": without("rng_state_1.pth"),
}


def test_a_whole_checkpoint_has_no_flaw(tmp_path: Path) -> None:
    assert checkpoints.flaw(whole(tmp_path / "c"), world_size=2) == ""


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_torn_checkpoint_is_never_committed(tmp_path: Path, spoil: Spoil) -> None:
    run = f"file://{tmp_path}/run"
    spoil(whole(tmp_path / "c"))
    checkpoints.commit(run, 5, tmp_path / "c", world_size=2)
    assert checkpoints.committed_steps(run) == []


def test_an_empty_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoints.flaw(tmp_path, world_size=2)


def test_the_newest_one_counts_by_number_not_by_name(tmp_path: Path) -> None:
    run = f"file://{tmp_path}/run"
    for step in (5, 90, 100):
        checkpoints.commit(run, step, whole(tmp_path / str(step)), world_size=2)
    assert checkpoints.newest(run, 2, tmp_path) == 100


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_one_that_was_spoiled_in_the_store_is_left_out(tmp_path: Path, spoil: Spoil) -> None:
    run = f"file://{tmp_path}/run"
    for step in (5, 10):
        checkpoints.commit(run, step, whole(tmp_path / str(step)), world_size=2)
    spoil(tmp_path / "run/train/checkpoints/10")
    assert checkpoints.newest(run, 2, tmp_path) == 5


def test_an_upload_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    run = f"file://{tmp_path}/run"
    checkpoints.commit(run, 5, whole(tmp_path / "5"), world_size=2)
    whole(tmp_path / "run/train/checkpoints/10")  # every file, and no manifest
    assert checkpoints.newest(run, 2, tmp_path) == 5


def test_a_gang_of_another_size_does_not_go_on_from_it(tmp_path: Path) -> None:
    run = f"file://{tmp_path}/run"
    checkpoints.commit(run, 5, whole(tmp_path / "5", world_size=2), world_size=2)
    assert checkpoints.newest(run, 3, tmp_path) == 0


def test_a_run_without_checkpoints_begins_at_the_beginning(tmp_path: Path) -> None:
    assert checkpoints.newest(f"file://{tmp_path}/run", 2, tmp_path) == 0


def test_no_pickle_and_no_path_of_the_pod_is_kept(tmp_path: Path) -> None:
    run = f"file://{tmp_path}/run"
    (whole(tmp_path / "c") / "training_args.bin").write_bytes(b"pickle")
    checkpoints.commit(run, 5, tmp_path / "c", world_size=2)
    assert "training_args.bin" not in {file.path for file in store.read_manifest(f"{checkpoints.folder(run)}/5").files}
