"""Show a training while it runs: step, loss and learning, restarts and their reasons. It decides nothing and ends by itself."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from steps import store
from steps.contracts import FollowIn, FollowOut
from steps.runfile import read_plan
from steps.runtime import main, say

_LOOK_SECONDS = 1.0  # at files of this machine
_API_SECONDS = 5.0
_PATIENCE = 60  # looks at a service that does not answer; then the watching ends, and the training goes on


@dataclass(frozen=True)
class Look:
    """The JobSet as it is now (None: there is none, or none any more), and what Kubernetes warns about it."""

    jobset: dict[str, Any] | None
    warnings: list[str]


def follow(given: FollowIn) -> FollowOut:
    """Print progress until the JobSet has ended or is gone."""
    namespace = read_plan(given.run).runfile.tenant
    objects = os.environ.get("FLEECE_OBJECTS")  # a folder of the local runner; a cluster has none
    look = partial(on_this_machine, Path(objects), namespace, given.jobset) if objects else in_cluster(namespace, given.jobset)
    lines = 0
    for line in watch(look, lambda: _progress(given.run), lambda: time.sleep(_LOOK_SECONDS if objects else _API_SECONDS)):
        print(line, flush=True)
        lines += 1
    return FollowOut(lines=lines)


def watch(look: Callable[[], Look], progress: Callable[[], dict[str, Any]], pause: Callable[[], None]) -> Iterator[str]:
    """Lines, each when there is something new; ends with the JobSet. A service that does not answer is asked again."""
    told: set[str] = set()
    silent = 0
    while silent < _PATIENCE:
        try:
            seen, now = look(), progress()
        except Exception as error:  # nothing depends on these lines
            silent += 1
            say("follow", f"cannot look at the training: {type(error).__name__}")
            pause()
            continue
        silent = 0
        _publish(now)
        for line in [*_conditions(seen.jobset), *seen.warnings, *([describe(now)] if now else [])]:
            if line not in told:
                told.add(line)
                yield line
        if seen.jobset is None or terminal(seen.jobset):
            return
        pause()


def on_this_machine(objects: Path, namespace: str, name: str) -> Look:
    """The object file that the local runner keeps for a JobSet."""
    try:
        return Look(json.loads((objects / namespace / "JobSet" / f"{name}.json").read_text()), [])
    except FileNotFoundError:
        return Look(None, [])


def in_cluster(namespace: str, name: str, client: Any = None) -> Callable[[], Look]:
    """The JobSet by the Kubernetes API, as the pod's own account; and the warnings about it and its Job, where that account may see them.

    A bad pod template shows nowhere else: the JobSet then has no status at all.
    """
    from kubernetes import client as api
    from kubernetes import config

    if client is None:
        config.load_incluster_config()
    jobsets, core = api.CustomObjectsApi(client), api.CoreV1Api(client)

    def look() -> Look:
        try:
            found = jobsets.get_namespaced_custom_object("jobset.x-k8s.io", "v1alpha2", namespace, "jobsets", name)
        except api.ApiException as error:
            if error.status == 404:
                return Look(None, [])
            raise
        return Look(found, [*warnings(name), *warnings(f"{name}-node-0")])

    def warnings(about: str) -> list[str]:
        try:
            events = core.list_namespaced_event(namespace, field_selector=f"involvedObject.name={about},type=Warning").items
        except api.ApiException:  # a right that the account may lack
            return []
        return [f"{event.reason}: {' '.join((event.message or '').split())[:200]}" for event in events]

    return look


def terminal(jobset: dict[str, Any]) -> str:
    """`Completed`, `Failed`, or nothing while it runs."""
    return str(jobset.get("status", {}).get("terminalState") or "")


def describe(progress: dict[str, Any]) -> str:
    """One line of progress: `step 120/282 · loss 0.5312 · epoch 1.28 · training`."""
    parts = [f"step {progress.get('step', 0)}/{progress.get('steps') or '?'}"]
    if progress.get("loss") is not None:
        parts.append(f"loss {progress['loss']:.4f}")
    if progress.get("epoch"):
        parts.append(f"epoch {progress['epoch']:.2f}")
    return " · ".join([*parts, str(progress.get("state", ""))])


def _conditions(jobset: dict[str, Any] | None) -> list[str]:
    """What the JobSet says itself: restarts and why, waiting in a queue, its end."""
    status = (jobset or {}).get("status", {})
    restarts = f", restart {status['restarts']}" if status.get("restarts") else ""
    return [
        f"{one['type']}: {one.get('reason', '')}{restarts} {' '.join(one.get('message', '').split())[:200]}".strip()
        for one in status.get("conditions", [])
        if one.get("status") == "True"
    ]


def _progress(run: str) -> dict[str, Any]:
    where = store.join(run, "train", "progress.json")
    return dict(store.read_json(where)) if store.exists(where) else {}


def _publish(progress: dict[str, Any]) -> None:
    """Argo shows `N/M` of this file as the node's progress."""
    path = os.environ.get("ARGO_PROGRESS_FILE")
    if path and progress.get("steps"):
        Path(path).write_text(f"{progress['step']}/{progress['steps']}\n")


if __name__ == "__main__":
    main("follow", follow)
