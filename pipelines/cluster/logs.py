"""The logs of a run's pods, line by line with the step's name before it: those of its steps, and of the ranks of its JobSet.

Read from the API again and again rather than held open: then a load balancer that cuts a stream, or a pod made anew, is nothing special.
"""

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.cluster import faults
from pipelines.cluster.api import Api, path, patiently
from pipelines.local import show
from pipelines.local.logs import Line, chosen, pods, unknown, within
from pipelines.local.nodes import COMPLETED, pod_name

Workflow = dict[str, Any]
Pod = dict[str, Any]
Say = Callable[[str], None]

LOOK_SECONDS = 2.0
_OVERLAP_SECONDS = 5  # what is asked for once more, lest a line falls between two looks
_EXECUTORS = 50  # lines at the end of a log that may be the executor's own: one an output, and a few more
_RANK, _ATTEMPT = "batch.kubernetes.io/job-completion-index", "jobset.sigs.k8s.io/restart-attempt"
_EXECUTOR = re.compile(r"time=\S+ level=\w+ msg=.* argo=true( |$)")  # Argo's own process around the step's writes to the same log
WORKFLOW = "workflows.argoproj.io/workflow"


@dataclass
class _Reader:
    """The log of one pod, read as far as it went. Lines are known by the time that the kubelet gave them."""

    title: str
    pod: Pod
    asked: float = 0.0
    stamp: str = ""
    seen: int = 0  # lines of that very stamp

    def read(self, api: Api, tail: int | None) -> Iterator[Line]:
        """The lines that were added. Nothing of a container that has not started, or of a pod that is gone."""
        meta, now = self.pod["metadata"], time.monotonic()
        query = {"container": "main", "timestamps": "true"} | ({"tailLines": str(tail + _EXECUTORS)} if tail is not None else {})
        query |= {"sinceSeconds": str(int(now - self.asked) + _OVERLAP_SECONDS)} if self.asked else {}
        fresh = self.fresh(api.lines(f"{path('v1', 'pods', meta['namespace'], meta['name'])}/log", query))
        with contextlib.suppress(faults.NotFound, faults.Waiting):
            yield from ((self.title, line) for line in (fresh if tail is None else deque(fresh, tail)))
            self.asked = now

    def fresh(self, lines: Iterator[str]) -> Iterator[str]:
        """Of lines with their times before them, those that were not there the last time. Times order as texts: nine digits."""
        known, last, nth = (self.stamp, self.seen), "", 0
        for one in lines:
            stamp, _, line = one.rstrip("\r\n").partition(" ")
            last, nth = stamp, nth + 1 if stamp == last else 1
            if (stamp, nth) <= known:
                continue
            self.stamp, self.seen = stamp, nth
            if not _EXECUTOR.match(line):
                yield line


def recorded(api: Api, run: Workflow, step: str, tail: int | None, say: Say) -> Iterator[Line]:
    """What the pods that are there have written, earliest step first; `say` gets a line about those that are gone."""
    found = _readers(api, run, step)
    if step and not found and not chosen(run, step):
        raise unknown(run, step, (title for title, _ in _titled(run, _pods(api, run))))
    for reader in found.values():
        yield from reader.read(api, tail)
    if gone := missing(run, step, {reader.pod["metadata"]["name"] for reader in found.values()}):
        say(gone)


def followed(api: Api, find: Callable[[], Workflow], step: str, tail: int | None, say: Say) -> Iterator[Line]:
    """The same, and then what is written until the run, or the step named, ends. A service that does not answer is asked again."""
    readers: dict[str, _Reader] = {}
    first = True
    while True:
        run = patiently(find)
        steps = chosen(run, step)
        over = run["status"]["phase"] in COMPLETED or bool(step and steps and all(n.get("finishedAt") for n in steps))
        if over and first:
            yield from recorded(api, run, step, tail, say)
            return
        for uid, found in patiently(partial(_readers, api, run, step)).items():
            reader = readers.setdefault(uid, found)
            reader.title = found.title  # the pod may be there before its step is in the Workflow
            with contextlib.suppress(faults.Unreachable):  # what is missing comes at the next look
                yield from reader.read(api, tail)
        if over:
            return
        tail, first = None, False
        time.sleep(LOOK_SECONDS)


def missing(run: Workflow, step: str, there: set[str]) -> str:
    """What to say about the steps whose pods are gone; nothing of those that had none."""
    name, nodes = run["metadata"]["name"], run["status"]["nodes"]
    gone = [show.path(nodes, n) for n in chosen(run, step) if pod_name(name, n) not in there and n["phase"] not in ("Pending", "Running")]
    if not gone:
        return ""
    more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
    return f"gone with their pods: the logs of {', '.join(gone[:5])}{more}"


def _readers(api: Api, run: Workflow, step: str) -> dict[str, _Reader]:
    """By uid: a pod that is made anew under its old name is another one."""
    wanted = {pod_name(run["metadata"]["name"], node) for node in chosen(run, step)}
    found = _titled(run, _pods(api, run))
    picked = [(title, pod) for title, pod in found if pod["metadata"]["name"] in wanted or not step or within(title, step)]
    return {pod["metadata"]["uid"]: _Reader(title, pod) for title, pod in picked}


def _pods(api: Api, run: Workflow) -> list[Pod]:
    meta = run["metadata"]
    query = {"labelSelector": f"{WORKFLOW}={meta['name']}"}
    found: list[Pod] = api.call("GET", path("v1", "pods", meta["namespace"]), query=query)["items"]
    return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def _titled(run: Workflow, found: list[Pod]) -> list[tuple[str, Pod]]:
    """Step pods by the step's place, ranks as `train.rank-0`, after a restart `train.rank-0(1)`; other pods by their own names."""
    name, nodes = run["metadata"]["name"], run["status"]["nodes"]
    steps = {pod_name(name, node): show.path(nodes, node) for node in pods(run)}
    return [(steps.get(pod["metadata"]["name"]) or _rank(pod), pod) for pod in found]


def _rank(pod: Pod) -> str:
    labels = pod["metadata"].get("labels") or {}
    if _RANK not in labels:
        return str(pod["metadata"]["name"])
    attempt = labels.get(_ATTEMPT, "0")
    return f"train.rank-{labels[_RANK]}" + (f"({attempt})" if attempt != "0" else "")
