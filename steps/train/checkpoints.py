"""Checkpoints in the store: which one to go on from, and how a finished one gets there.

Only rank 0's node writes them, each under `<run>/train/checkpoints/<step>/`, committed by its manifest. Every way of tearing one (an empty
folder, a cut file, no trainer_state.json) makes Hugging Face's own resume fail at each retry, so none is believed without a look.
"""

import json
import re
import struct
import zipfile
from pathlib import Path

from steps import store
from steps.faults import Fault
from steps.runtime import say


def folder(run: str) -> str:
    return store.join(run, "train", "checkpoints")


def committed_steps(run: str) -> list[int]:
    """Steps with a committed checkpoint, newest first."""
    root = folder(run)
    found = (re.fullmatch(rf"(\d+)/{re.escape(store.MANIFEST)}", name) for name in store.backend(root).names(root))
    return sorted((int(match.group(1)) for match in found if match), reverse=True)


def newest(run: str, world_size: int, scratch: Path) -> int:
    """Step of the newest committed checkpoint that is whole and was made by a gang of this size; 0 when there is none."""
    for step in committed_steps(run):
        try:
            wrong = flaw(fetch(run, step, scratch), world_size)
        except Fault as fault:
            wrong = str(fault)
        if not wrong:
            return step
        say("train", f"checkpoint {step} is left out: {wrong}")
    return 0


def fetch(run: str, step: int, scratch: Path) -> Path:
    """Its files, each checked against the manifest. Raises BadData when one was changed."""
    return store.fetch(store.join(folder(run), str(step)), scratch)


def commit(run: str, step: int, local: Path, world_size: int) -> None:
    """Upload and commit a finished checkpoint. Raises BadData when it is torn: then it never counts."""
    wrong = flaw(local, world_size)
    if wrong:
        say("train", f"checkpoint {step} is not kept: {wrong}")
        return
    for name in ("training_args.bin", "README.md"):  # they hold paths of this pod, and a resume reads neither
        (local / name).unlink(missing_ok=True)
    store.commit(local, store.join(folder(run), str(step)), {"step": step, "world_size": world_size})


def flaw(checkpoint: Path, world_size: int) -> str:
    """What keeps a folder from being a whole checkpoint of `world_size` ranks, or nothing."""
    ranks = [f"rng_state_{rank}.pth" for rank in range(world_size)] if world_size > 1 else ["rng_state.pth"]
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
        for name in ["optimizer.pt", "scheduler.pt", *ranks]:
            _whole_archive(checkpoint / name)
        weights = sorted(checkpoint.glob("*.safetensors"))
        for path in weights:
            _whole_tensors(path)
    except (OSError, ValueError, zipfile.BadZipFile, struct.error) as error:
        return f"{type(error).__name__}: {error}"
    return "" if weights else "no *.safetensors"


def _whole_archive(path: Path) -> None:
    """torch.save writes a zip file; its directory is at the end, so a cut file has none."""
    with zipfile.ZipFile(path) as archive:
        archive.namelist()


def _whole_tensors(path: Path) -> None:
    """Header length, header, data: the header names the last byte. https://github.com/huggingface/safetensors#format"""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    if path.stat().st_size != 8 + length + end:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, its header says {8 + length + end}")
