"""The loss curve of a training, from the trainer's log history."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict


class Point(TypedDict, total=False):
    """One logged step. `loss` is the mean since the point before it; an evaluation carries `eval_loss` alone."""

    step: int
    epoch: float
    loss: float
    lr: float
    eval_loss: float


def curve(history: Iterable[Mapping[str, Any]]) -> list[Point]:
    """The points of Hugging Face's `log_history`, one a step, in order; steps replayed after a restart count once, the last time."""
    points: dict[int, Point] = {}
    for entry in history:
        values: Point = {}
        for name, ours in (("epoch", "epoch"), ("loss", "loss"), ("learning_rate", "lr"), ("eval_loss", "eval_loss")):
            if name in entry:
                values[ours] = float(entry[name])  # type: ignore[literal-required]  # the four names are Point's
        if "loss" in values or "eval_loss" in values:
            step = int(entry["step"])
            points[step] = points.get(step, Point(step=step)) | values
    return [points[step] for step in sorted(points)]


def last_tenth(points: Sequence[Point]) -> float:
    """Mean training loss over the last tenth of the logged points, at least one; nan when none was logged."""
    losses = [point["loss"] for point in points if "loss" in point]
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail) if tail else math.nan
