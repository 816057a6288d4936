"""What rank 0's supervisor does with its worker's events: progress for people, points for MLflow, checkpoints for the store."""

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from steps import store
from steps.faults import Fault
from steps.runtime import say
from steps.train import checkpoints
from steps.train.events import Event
from steps.train.tracking import Subject, Tracker

_PROGRESS_SECONDS = 1.0
_UPLOAD_SECONDS = 60.0  # the most that an ending waits for the last checkpoint


class Report:
    """Fed with events in their order. `end` is the worker's last event, once it came."""

    def __init__(self, subject: Subject, world_size: int) -> None:
        self.end: Event | None = None
        self._progress = store.join(subject.run, "train", "progress.json")
        self._before = _seconds_before(self._progress)
        self._began = time.time()
        self._state: dict[str, Any] = {"step": 0, "steps": 0, "loss": None, "epoch": 0.0}
        self._written = 0.0
        self._uploads = Uploads(subject.run, world_size)
        self._tracker = Tracker(subject) if os.environ.get("MLFLOW_TRACKING_URI") else None
        self.show("starting")

    def take(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "saved":
            self._uploads.add(int(event["step"]), Path(event["folder"]))
        elif kind == "end":
            self.end = event
        elif kind == "log" and self._tracker:
            self._tracker.add(event)
        self._note(event)
        self.show("training", at_most=_PROGRESS_SECONDS)

    def seconds(self) -> float:
        """Wall time of the training so far, that of earlier attempts included."""
        return round(self._before + time.time() - self._began, 3)

    def show(self, state: str, *, at_most: float = 0.0) -> None:
        """Replace progress.json, unless it was replaced less than `at_most` seconds ago."""
        if time.time() - self._written < at_most:
            return
        self._written = time.time()
        facts = self._state | {"state": state, "at": round(time.time(), 3), "seconds": self.seconds()}
        store.replace_json(self._progress, facts)

    def close(self, state: str, status: str) -> None:
        """The last checkpoint first: it is what the next attempt needs."""
        self._uploads.close()
        self.show(state)
        if self._tracker:
            self._tracker.close(status)

    def _note(self, event: Event) -> None:
        if "step" in event:
            self._state["step"] = event["step"]
            self._state["steps"] = event.get("steps", self._state["steps"])
        for name in ("loss", "epoch"):
            if name in event.get("values", {}):
                self._state[name] = event["values"][name]


class Uploads:
    """Checkpoints go to the store one after the other, beside the training; one that is overtaken while it waits is left out."""

    def __init__(self, run: str, world_size: int) -> None:
        self._run, self._world_size = run, world_size
        self._waiting: tuple[int, Path] | None = None
        self._closing = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, step: int, folder: Path) -> None:
        with self._change:
            overtaken, self._waiting = self._waiting, (step, folder)
            self._change.notify()
        if overtaken:
            shutil.rmtree(overtaken[1], ignore_errors=True)

    def close(self) -> None:
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(_UPLOAD_SECONDS)

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing)
                if self._waiting is None:
                    return
                (step, folder), self._waiting = self._waiting, None
            try:
                checkpoints.commit(self._run, step, folder, self._world_size)
            except (Fault, OSError) as error:  # the training goes on; the next checkpoint may get there
                say("train", f"checkpoint {step} did not reach the store: {error}")
            shutil.rmtree(folder, ignore_errors=True)


def _seconds_before(progress: str) -> float:
    return float(store.read_json(progress).get("seconds", 0.0)) if store.exists(progress) else 0.0
