"""Collect a training: believe nothing but the committed result, and turn a failed JobSet into the right exit code with its cause."""

import math
from typing import Any

from steps import store
from steps.contracts import CollectIn, CollectOut
from steps.faults import BY_CODE, Bug, Fault, TryAgain
from steps.runtime import main

_NEXT = {
    64: "Change the training configuration or the preset and submit again",
    65: "Look into the data and the learning rate, then submit again",
    71: "Take a larger preset or a shorter cutoff_len and submit again",
    78: "Ask who runs the cluster about the machine, then submit again",
}
_RESUBMIT = "Submit again: the run goes on from its last checkpoint"


def collect(given: CollectIn) -> CollectOut:
    """Check that every planned step was done, and write the loss curve. Raises the fault that ended the training."""
    trained = store.join(given.run, "trained")
    if not store.committed(trained):
        raise failure(given, _attempts(given.run))
    about = store.read_manifest(trained).about
    if about["steps"] != about["planned_steps"]:
        raise Bug(f"{about['steps']} of {about['planned_steps']} steps were trained, and the result is committed all the same")
    loss = about["loss"]
    if loss is None or not math.isfinite(loss):
        raise Bug("the trained weights are committed without a loss; logging_steps must be at most the number of steps")
    store.create_json(store.join(given.run, "train", "curve.json"), about["losses"])
    return CollectOut(trained=trained, steps=about["steps"], loss=loss, seconds=about["seconds"])


def failure(given: CollectIn, attempts: list[dict[str, Any]]) -> Fault:
    """The fault of a training without a result: by the exit code that decided, in the words of the pod that left with it."""
    code = int(given.code) if given.code.isdigit() else None
    told = [attempt for attempt in attempts if attempt["code"] == code or (code is None and attempt["code"] not in (0, 75, 76))]
    words = told[-1]["reason"] if told else f"the JobSet ended as {given.state} ({given.reason})"
    if code in _NEXT:
        return BY_CODE[code](f"training failed: {words}. {_NEXT[code]}")
    if given.state == "Completed":
        return Bug("the JobSet is Completed and no trained weights are committed; the pods' logs say why")
    if given.state == "absent":
        return TryAgain(f"there is neither a JobSet nor a result of this run. {_RESUBMIT}")
    kind = BY_CODE[told[-1]["code"]] if told else Bug
    return kind(f"training gave up after {given.restarts} restarts ({given.counted} counted): {words}. {_RESUBMIT}")


def _attempts(run: str) -> list[dict[str, Any]]:
    """The exit records of all pods, oldest first."""
    root = store.join(run, "train", "attempts")
    names = [name for name in store.backend(root).names(root) if name.rpartition("/")[2].startswith("exit-")]
    return sorted((store.read_json(store.join(root, name)) for name in names), key=lambda record: float(record["at"]))


if __name__ == "__main__":
    main("collect", collect)
