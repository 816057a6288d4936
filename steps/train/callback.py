"""What LLaMA-Factory's trainer calls while it trains: events for the supervisor, one stop for all ranks, whole checkpoints.

Imported by the worker only, once torch and transformers are loaded.
"""

import math
import resource
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback

from steps.train.events import Writer

_STEP_EVENT_SECONDS = 0.5


class Stopped(Exception):
    """All ranks have saved and leave: somebody asked one of them to stop."""


class Diverged(Exception):
    """The loss is no number any more."""


class RowsLost(Exception):
    """LLaMA-Factory kept another number of rows than the data gate predicted."""


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """One per worker. `train_rows`: rows that must be kept; None where rows are packed or streamed."""

    def __init__(self, events: Writer, train_rows: int | None) -> None:
        self.training = False
        self._events, self._train_rows = events, train_rows
        self._asked = self._leaving = False
        self._group: Any = None
        self._shown = 0.0
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def on_train_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        """The side group is gloo, also on GPUs: a flag must not enter the stream of the computation."""
        kept = len(train_dataloader.dataset) if self._train_rows is not None else None
        if kept != self._train_rows:
            raise RowsLost(f"LLaMA-Factory kept {kept} rows of {self._train_rows}; the data gate should have refused the others")
        if args.world_size > 1:
            self._group = distributed.new_group(backend="gloo", timeout=timedelta(seconds=args.ddp_timeout))
        self.training = True
        self._events.write("begin", step=state.global_step, steps=state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """SIGTERM reaches one rank; saving needs all of them, at the same step. The last step is let through: it ends by itself."""
        if time.monotonic() - self._shown > _STEP_EVENT_SECONDS:
            self._shown = time.monotonic()
            self._events.write("step", step=state.global_step, steps=state.max_steps)
        if self._anyone_asked() and state.global_step < state.max_steps:
            self._leaving = control.should_save = control.should_training_stop = True
            self._events.write("stopping", step=state.global_step)

    def _anyone_asked(self) -> bool:
        if self._group is None:
            return self._asked
        flag = torch.tensor([int(self._asked)])
        distributed.all_reduce(flag, op=distributed.ReduceOp.MAX, group=self._group)
        return bool(flag.item())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Every rank gets the same mean loss, so all of them leave together."""
        values = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        loss = values.get("loss", 0.0)
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} at step {state.global_step}; lower learning_rate, or look for broken rows")
        self._events.write("log", step=state.global_step, steps=state.max_steps, values=values)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After this every file of the checkpoint lies on rank 0's node, those of the other nodes' ranks too."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self._collect_rng(args, folder)
        if args.process_index == 0:
            self._events.write("saved", step=state.global_step, folder=str(folder))
        if self._leaving:
            raise Stopped

    def _collect_rng(self, args: Any, folder: Path) -> None:
        """Each rank saves the state of its random numbers beside itself, some kilobytes; rank 0 gets those of all. Also a barrier."""
        if self._group is None:
            return
        states: list[bytes] = [b""] * args.world_size
        own = (folder / f"rng_state_{args.process_index}.pth").read_bytes()
        distributed.all_gather_object(states, own, group=self._group)
        if args.process_index == 0:
            for rank, state in enumerate(states):
                (folder / f"rng_state_{rank}.pth").write_bytes(state)

    def finished(self, state_of_trainer: dict[str, Any]) -> None:
        """The last event: the trainer's own account, and the most memory this rank held at a time, in bytes."""
        self._events.write(
            "end",
            step=state_of_trainer["global_step"],
            steps=state_of_trainer["max_steps"],
            history=state_of_trainer["log_history"],
            peak_memory=peak_memory(),
            peak_gpu_memory=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
        )


def peak_memory() -> int:
    """Largest resident set of this process in bytes; Linux counts in KiB, macOS in bytes (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
