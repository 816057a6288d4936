"""`make bench-cluster`: what a cluster adds to the work itself, read from the Workflow and the pods of one `finetune` of the demo.

- the gap between two sequential steps: from the end of one main container to the start of the next one's;
- from the start of a step's container to its first line;
- what `train` costs around its gang: all its steps before the first rank runs and after the last rank has ended.

Kubernetes gives whole seconds (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ContainerState), so a start
is on average half a second later than it says; a line of a log has its time to the nanosecond. The main container starts with Argo's
executor, which says a line at once and starts the step: from that line on the time is exact, up to it a mean less that half second.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.cluster import tenant
from tests.cluster.world import Object, World, belongs, nodes, outputs, pod_name

GAP_SECONDS, FIRST_LINE_SECONDS, TRAIN_SECONDS = 4.0, 0.5, 45.0
_HALF = 0.5  # mean of what a time in whole seconds leaves out
_SUM = ("render", "preflight", "create", "wait", "verdict", "collect")


@dataclass(frozen=True)
class Ran:
    """A main container: seconds since the epoch. `executor` and `first`: the first line of Argo's executor and of the step, if any."""

    start: float
    end: float
    executor: float | None
    first: float | None


def main() -> None:
    try:
        api = tenant.connect()
    except tenant.NoCluster as error:
        sys.exit(str(error))
    kept = os.environ.get("FLEECE_TEST_TENANT", "")
    name = kept or f"fleece-bench-{os.getpid()}"
    with ExitStack() as stack:
        if not kept:
            stack.callback(tenant.remove, api, name)
        found = measure(stack.enter_context(tenant.opened(api, name)))
    print(json.dumps(found, indent=1))
    limits = {"gap": GAP_SECONDS, "first_line": FIRST_LINE_SECONDS, "train_overhead": TRAIN_SECONDS}
    missed = [f"{what} {found[what]} s, wanted <= {limit} s" for what, limit in limits.items() if found[what] > limit]
    sys.exit("; ".join(missed) or None)


def measure(world: World) -> dict[str, Any]:
    """One run of the demo that trains, and its figures in seconds."""
    commit = tenant.configure(world, tenant.reseeded(int(time.time()) % 100_000), "bench")
    ended = world.succeeded(world.submit("finetune", {"promote": "never", "config-ref": commit}))
    ran = containers(world, ended)
    gaps = list(sequential(ended, ran))
    spoke = [(one.start, one.executor, one.first) for one in ran.values() if one.executor and one.first]
    executor = max(0.0, statistics.mean(executor - start for start, executor, _ in spoke) - _HALF)
    step = statistics.median(first - executor for _, executor, first in spoke)
    parts = train(world, ended, ran)
    return {
        "gap": round(statistics.median(gaps), 2),
        "gaps": sorted(gaps),
        "first_line": round(executor + step, 2),
        "first_line_parts": {"executor": round(executor, 2), "step": round(step, 2), "steps": len(spoke)},
        "train_overhead": round(parts["train"] - parts["gang"], 1),
        "train": parts,
        "run": seconds(ended["status"]["startedAt"], ended["status"]["finishedAt"]),
    }


def containers(world: World, ended: Object) -> dict[str, Ran]:
    """The main container of every pod node, by node id."""
    listed = {pod.metadata.name: pod for pod in world.pods(f"workflows.argoproj.io/workflow={ended['metadata']['name']}")}
    found = {}
    for node in ended["status"]["nodes"].values():
        pod = listed.get(pod_name(ended["metadata"]["name"], node)) if node["type"] == "Pod" else None
        if pod is not None:
            state = next(one for one in pod.status.container_statuses if one.name == "main").state.terminated
            found[node["id"]] = Ran(state.started_at.timestamp(), state.finished_at.timestamp(), *first_lines(world, pod))
    return found


def first_lines(world: World, pod: Any) -> tuple[float | None, float | None]:
    """Times of the first line of Argo's executor, which writes `time=… level=…`, and of the first line of the step itself."""
    said: dict[bool, float] = {}
    for line in (
        world.pod_log(pod.metadata.name, pod.metadata.namespace, timestamps=True).strip().split("\n")
    ):  # not at the CR of progress bars
        time_of, _, words = line.partition(" ")
        said.setdefault(words.startswith("time="), at(time_of))
    return said.get(True), said.get(False)


def sequential(ended: Object, ran: dict[str, Ran]) -> Iterator[float]:
    """The gap before each step that waited for others: from the end of the last of them. A follower is a child of the last attempt."""
    every: dict[str, Object] = ended["status"]["nodes"]
    before: dict[str, list[float]] = {}
    for node in every.values():
        for follower in node.get("children", []) if node["id"] in ran else []:
            before.setdefault(follower, []).append(ran[node["id"]].end)
    for follower, ends in before.items():
        own = [ran[one].start for one in every[follower].get("children", []) if one in ran]
        if every[follower]["type"] == "Retry" and own:
            yield round(min(own) - max(ends), 1)


def train(world: World, ended: Object, ran: dict[str, Ran]) -> dict[str, float]:
    """Seconds of the node `train` and of its parts; `gang`: from the first rank's start to the last rank's end."""
    node = nodes(ended)["train"]
    name = f"ft-{ended['metadata']['uid']}"
    ranks = [pod.status.container_statuses[0].state.terminated for pod in world.pods(f"jobset.sigs.k8s.io/jobset-name={name}")]
    jobset = world.custom.get_namespaced_custom_object("jobset.x-k8s.io", "v1alpha2", world.tenant, "jobsets", name)
    made = at(jobset["metadata"]["creationTimestamp"])
    first, last = min(one.started_at for one in ranks).timestamp(), max(one.finished_at for one in ranks).timestamp()
    own = {
        part: sum(ran[one["id"]].end - ran[one["id"]].start for one in nodes(ended).values() if one["id"] in ran and belongs(one, part))
        for part in _SUM
        if part != "wait"
    }
    return own | {
        "train": seconds(node["startedAt"], node["finishedAt"]),
        "until_the_jobset": made - at(node["startedAt"]),
        "until_its_pods_run": first - made,
        "gang": last - first,
        "after_the_gang": at(node["finishedAt"]) - last,
        "steps": float(outputs(nodes(ended)["collect"])["steps"]),
    }


def seconds(began: str, ended: str) -> float:
    return at(ended) - at(began)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
