"""What tests of the training need: a plan, a tiny prepared run on the demo's base and tickets, and a gang of real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from demo import tickets
from steps import store

PROJECT = Path(__file__).parents[2]
_NONE = "sha256:" + "0" * 64
CONFIG: dict[str, Any] = {
    "stage": "sft",
    "finetuning_type": "lora",
    "lora_rank": 8,
    "lora_dropout": 0.1,  # random numbers at every step, so a resume that loses their state shows
    "lora_target": "all",
    "dataset": "train",
    "template": "default",
    "cutoff_len": 128,
    "per_device_train_batch_size": 4,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "cosine",
    "max_steps": 24,
    "logging_steps": 1,
    "save_steps": 5,
    "seed": 42,
    "ddp_timeout": 600,
}


def plan_of(run: str, training: dict[str, Any]) -> dict[str, Any]:
    """A plan.json as `plan` writes it."""
    runfile = {
        "apiVersion": "fleece/v1",
        "tenant": "default",
        "model": "default.triage.v1",
        "owner": "ops@example.org",
        "base": {"source": "store://bases/demo", "name": "fleece-demo-base", "revision": "1", "license": "Apache-2.0"},
        "dataset": {"name": "tickets", "source": "store://uploads/t.jsonl", "license": "CC0-1.0", "card": "data.yaml"},
        "training": {"config": "train.yaml"},
        "gate": "gate.yaml",
        "risk": {"class": "MINIMAL", "rationale": "sorts made-up tickets into made-up queues"},
        "card": "card.yaml",
    }
    return {
        "run_id": run.rpartition("/")[2],
        "runfile": runfile,
        "commit": {"repo": "none", "commit": "none", "dirty": False, "path": "run.yaml", "sha256": _NONE},
        "training": training,
        "gate": {},
        "data_card": {},
        "model_card": {},
        "data": f"{run}/data",
        "data_digest": _NONE,
        "base": f"{run}/base",
        "base_digest": _NONE,
        "code": _NONE,
        "preset": "2x1-cpu",
    }


def prepared_run(folder: Path, base: Path, rows: int = 96, **changes: Any) -> str:
    """A run folder up to `prepared`, with the base model in its store. Its URI."""
    run = f"file://{folder}/runs/0123456789abcdef"
    training = CONFIG | changes
    store.create_json(store.join(run, "plan.json"), plan_of(run, training))
    store.commit(base, f"file://{folder}/bases/demo")
    made = folder / "prepared"
    made.mkdir(parents=True)
    lines = [json.dumps({key: row[key] for key in ("instruction", "input", "output")}) for row in tickets.rows()[:rows]]
    (made / "train-1.jsonl").write_text("\n".join(lines) + "\n")
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    (made / "dataset_info.json").write_text(json.dumps({"train": {"file_name": "train-1.jsonl", "columns": columns}}))
    (made / "train.yaml").write_text(yaml.safe_dump(training))
    store.commit(made, store.join(run, "prepared"))
    return run


class Gang:
    """Supervisors with one worker each, as the JobSet `2x1-cpu` starts them; one that fails ends the others, as the Job controller does."""

    def __init__(self, run: str, scratch: Path, nodes: int = 2, **environment: str) -> None:
        self.scratch = scratch
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        root = run.rpartition("/runs/")[0]
        self.supervisors = []
        for rank in range(nodes):
            flags = {"run": run, "prepared": f"{run}/prepared", "base": f"{root}/bases/demo", "scratch": str(scratch / str(rank))}
            self.supervisors.append(
                subprocess.Popen(
                    [sys.executable, "-m", "steps.train", *(f"--{name}={value}" for name, value in flags.items())],
                    cwd=PROJECT,
                    env=_environment() | {"MASTER_PORT": str(port), "NODE_RANK": str(rank), "NNODES": str(nodes)} | environment,
                    stderr=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )

    def codes(self) -> list[int]:
        """Exit codes of all; minus the signal's number for a killed one. Nobody may outlive them."""
        while None in (statuses := [one.poll() for one in self.supervisors]):
            if any(statuses):
                for one in self.supervisors:
                    if one.poll() is None:
                        one.send_signal(signal.SIGTERM)
                break
            time.sleep(0.05)
        self.output = [one.communicate(timeout=120) for one in self.supervisors]
        return [one.returncode for one in self.supervisors]

    def at_step(self, step: int, act: Callable[["Gang"], None]) -> None:
        """Do something to the gang once it has done this step."""
        while self.step() < step:
            if any(one.poll() is not None for one in self.supervisors):
                raise AssertionError(f"the gang ended before step {step}: {self.codes()} {self.output}")
            time.sleep(0.005)
        act(self)

    def step(self) -> int:
        """The last step that rank 0's worker has told of; a killed attempt leaves its scratch folder beside the next one's."""
        told = [line for path in self.scratch.glob("0/train-*/events-0.jsonl") for line in path.read_text().splitlines(keepends=True)]
        events = [json.loads(line) for line in told if line.endswith("\n")]
        return max((event["step"] for event in events if event["kind"] == "log"), default=0)

    def worker(self, rank: int) -> int:
        """Process id of the worker that a supervisor has started."""
        children = Path(f"/proc/{self.supervisors[rank].pid}/task/{self.supervisors[rank].pid}/children").read_text()
        return int(children.split()[0])


def _environment() -> dict[str, str]:
    binaries = Path(sys.executable).parent
    ours = {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "NPROC_PER_NODE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "JOBSET": "ft-test",
    }
    return {name: value for name, value in os.environ.items() if name not in ("POD_UID", "MLFLOW_TRACKING_URI")} | ours
