"""One MLflow run for one run id, fed from the workers' events. A dead tracking server delays points; it never stops a training.

Hugging Face's own callback renames and ends the pipeline's run and starts a stray one at each retry, hence `report_to: none` and this.
https://github.com/huggingface/transformers/issues/35074
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from steps import mlflow_client
from steps.runtime import say
from steps.train.arguments import Arguments
from steps.train.events import Event

_RETRY_SECONDS = 5.0
_LAST_CALL_SECONDS = 20.0
_PARTING_SECONDS = 2.0  # of an attempt that ends early: the gang's restart waits for it
_MOST_EVENTS = 50
_MOST_PARAMETERS = 100  # of one log_batch


@dataclass(frozen=True)
class Subject:
    """What is tracked: the run's folder and id, the registered model, and the training configuration as the user wrote it."""

    run: str
    run_id: str
    model_id: str
    parameters: Arguments


class Tracker:
    """Points are queued and sent by a thread; `close` waits for it, but not for ever."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._points: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._status = "RUNNING"
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def add(self, event: Event) -> None:
        self._points.put(event)

    def close(self, status: str) -> None:
        """`status` as MLflow names it: FINISHED, FAILED, or KILLED for an attempt that is gone on with."""
        self._status = status
        self._points.put(None)
        self._thread.join(_LAST_CALL_SECONDS if status == "FINISHED" else _PARTING_SECONDS)
        if self._thread.is_alive():
            say("train", "MLflow does not answer: the last points are missing there; the loss curve in the store is whole")

    def _send_all(self) -> None:
        client, run, last = _until_it_works(lambda: connect(self._subject))
        batch: list[Event | None] = []
        while None not in batch:
            batch = self._next()
            metrics = [metric for event in batch if event for metric in _metrics(event, last)]
            if metrics:
                _until_it_works(partial(client.log_batch, run, metrics=metrics))
        _until_it_works(lambda: client.update_run(run, status=self._status))

    def _next(self) -> list[Event | None]:
        """All that is there, at least one. MLflow takes 1,000 metrics at once, and an event has fewer than 20."""
        batch = [self._points.get()]
        while len(batch) < _MOST_EVENTS and not self._points.empty():
            batch.append(self._points.get())
        return batch


def _until_it_works(call: Callable[[], Any]) -> Any:
    while True:
        try:
            return call()
        except Exception as error:  # whatever it is, the training goes on
            say("train", f"MLflow: {type(error).__name__}; tried again in {_RETRY_SECONDS:.0f} s")
            time.sleep(_RETRY_SECONDS)


def connect(subject: Subject) -> tuple[Any, str, int]:
    """Client, run and the last step that the run has. The run is made once per run id, whoever comes first."""
    client = mlflow_client.client()
    run = mlflow_client.open_run(subject.run, subject.run_id, subject.model_id)
    client.log_batch(run, params=_parameters(subject.parameters))
    history = client.get_metric_history(run, "train/loss")
    client.update_run(run, status="RUNNING")
    return client, run, max((point.step for point in history), default=-1)


def _parameters(arguments: Arguments) -> list[Any]:
    from mlflow.entities import Param

    shown = {f"lf.{key}": str(value)[:500] for key, value in sorted(arguments.items())}
    return [Param(key, value) for key, value in list(shown.items())[:_MOST_PARAMETERS]]


def _metrics(event: Event, last: int) -> Iterator[Any]:
    """A log event's numbers as `train/loss`, `eval/loss`, …; none for a step that the run has already (replayed after a restart)."""
    from mlflow.entities import Metric

    if event["step"] <= last:
        return
    for name, value in event["values"].items():
        key = f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"
        yield Metric(key, float(value), int(event["at"] * 1000), int(event["step"]))
