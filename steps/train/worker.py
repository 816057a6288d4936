"""One trainer process: LLaMA-Factory in this process, watched by our callback. `python -m steps.train.worker <job.json>`

It may be started afresh or forked from a process that has llamafactory loaded, so nothing depends on when a library was imported.
It writes how it ended into a file (`endings`), because a signal or a crash of C++ code leaves no better trace.
"""

import contextlib
import fcntl
import importlib.machinery
import json
import logging
import os
import sys
import threading
import traceback
import types
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from steps.train import endings
from steps.train.endings import Ending, Reason
from steps.train.events import Writer

# What a broken connection to another rank is called: gloo, NCCL, and torch's own store.
_LOST = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "broken pipe", "socket timeout", "c10d")
_STARVED = ("out of memory", "can't allocate memory", "not enough memory")


class Job(BaseModel):
    """What one worker is to do. Paths are local."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    arguments: dict[str, Any]
    train_rows: int | None
    events: Path
    ending: Path
    alive: Path


def work(job: Job, rank: int) -> Ending:
    """Train to the end, to a stop or to an error, and say which."""
    from steps.train.callback import Watch

    watch = Watch(Writer(job.events), job.train_rows)
    try:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):  # it prints the first training example
            from llamafactory.train.tuner import run_exp

            run_exp(job.arguments | at_hand(), callbacks=[watch])
        if rank == 0:
            watch.finished(json.loads((Path(job.arguments["output_dir"]) / "trainer_state.json").read_text()))
        return Ending(rank, "done")
    except (Exception, SystemExit) as error:
        reason, words = classify(error, training=watch.training)
        if reason == "crash":
            sys.stderr.write("".join(traceback.format_list(traceback.extract_tb(error.__traceback__))))
        return Ending(rank, reason, words)


def at_hand() -> dict[str, Any]:
    """What depends on the machine: pinned memory serves an accelerator, and is warned about where there is none."""
    import torch

    return {} if torch.cuda.is_available() else {"dataloader_pin_memory": False}


def classify(error: BaseException, *, training: bool) -> tuple[Reason, str]:
    """Reason and words for an exception. Only messages that cannot hold training text are passed on.

    `training`: the first step was reached; before it a ValueError is LLaMA-Factory's way to refuse a configuration.
    """
    name, text = type(error).__name__, " ".join(str(error).split())
    if name == "Stopped":
        return "stopped", ""
    if name in ("Diverged", "RowsLost"):
        return "data", text
    if isinstance(error, MemoryError) or name == "OutOfMemoryError" or _has(text, _STARVED):
        return "memory", "training ran out of memory"
    if name.startswith("Dist") or (isinstance(error, RuntimeError | OSError) and _has(text, _LOST)):
        return "peer", "the connection to another rank broke"
    if not training and isinstance(error, ValueError | AssertionError | ImportError | SystemExit):
        return "config", f"LLaMA-Factory refuses the configuration ({name}): {text[:300]}"
    return "crash", f"{name} in the trainer; the lines above say where. Its text is left out, since it may hold training data"


def _has(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text.lower() for part in parts)


def die_with(alive: Path) -> None:
    """End this process when its supervisor is gone: the kernel then frees the lock that the supervisor holds on this file."""

    def wait() -> None:
        with alive.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def quiet() -> None:
    """Warnings only; environment for what is read late, calls for what a preloaded process has read already."""
    os.environ["LLAMAFACTORY_VERBOSITY"] = "WARNING"
    logging.getLogger("llamafactory").setLevel(logging.WARNING)
    import datasets
    import torch
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if not torch.cuda.is_available():
        os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")  # else a resume of two processes cannot place `cpu:0`


def without_torchaudio() -> None:
    """llamafactory imports torchaudio, whose wheel does not load beside a CPU build of torch; only audio data would use it."""
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):
        empty = types.ModuleType("torchaudio")
        empty.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
        sys.modules["torchaudio"] = empty


def main() -> None:
    job = Job.model_validate_json(Path(sys.argv[1]).read_text())
    die_with(job.alive)
    without_torchaudio()
    quiet()
    ending = work(job, int(os.environ["RANK"]))
    endings.write(job.ending, ending)
    sys.stderr.flush()
    os._exit(0 if ending.reason == "done" else 1)  # threads of a broken process group would hold a plain exit


if __name__ == "__main__":
    main()
