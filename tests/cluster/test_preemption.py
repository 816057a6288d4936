"""A training is evicted, then a rank is killed, then a worker: the gang restarts by the rules and ends with the same model.

A SIGKILL comes from the node's process namespace: PID 1 of a container ignores signals from inside, so `exec kill -9 1` would do nothing.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cluster import tenant, under_way
from tests.cluster.world import Object, World, nodes, outputs, phase

# Saving more often is another run, each time, and the same training: the weights of an undisturbed run with the default must come out.
EVERY = 15 + int(time.time()) % 10
BLOWS = ("eviction of rank 1", "SIGKILL of PID 1 of rank 0", "SIGKILL of the worker of rank 1")


@dataclass
class Blow:
    """What the JobSet said after a blow: all restarts, those that count, the rule, the exit codes seen, seconds until ranks ran again."""

    restarts: int = 0
    counted: int = 0
    rule: str = ""
    codes: set[int] = field(default_factory=set)
    seconds: float = 0.0


@dataclass
class Beaten:
    workflow: Object
    blows: dict[str, Blow]


@pytest.fixture(scope="module")
def beaten(world: World) -> Beaten:
    commit = tenant.configure(world, under_way.trains(save_steps=EVERY), "preempted")
    with under_way.hands(world):
        name = world.submit("finetune", {"promote": "never", "config-ref": commit})
        blows = {what: strike(world, name, what) for what in BLOWS}
    return Beaten(world.succeeded(name, 1200), blows)


def strike(world: World, name: str, what: str) -> Blow:
    """One blow once the gang has committed a checkpoint that no blow before had seen; then wait for the next attempt."""
    last = under_way.committed_step(world, world.workflow(name))
    now = under_way.until(world, name, lambda now: under_way.committed_step(world, now) > last)
    assert phase(now) == "Running", f"{name} ended before {what}"
    jobset = under_way.jobset_of(world, now)
    assert jobset is not None
    pod = under_way.rank(world, jobset, 0 if "rank 0" in what else 1)
    if "eviction" in what:
        under_way.evict(world, pod)
    else:
        under_way.kill(world, pod, worker="worker" in what)
    return _watch(world, now, jobset.get("status", {}).get("restarts", 0))


def _watch(world: World, workflow: Object, before: int) -> Blow:
    began, seen = time.monotonic(), Blow()
    while time.monotonic() - began < 120:
        jobset = under_way.jobset_of(world, workflow) or {}
        status = jobset.get("status", {})
        seen.codes |= _codes(world, jobset)
        seen.rule = next((one["reason"] for one in status.get("conditions", []) if one["type"] == "RestartingJobSet"), seen.rule)
        seen.restarts, seen.counted = status.get("restarts", 0), status.get("restartsCountTowardsMax", 0)
        if seen.restarts > before and all(under_way.rank(world, jobset, number) for number in (0, 1)):
            seen.seconds = round(time.monotonic() - began, 1)
            return seen
        time.sleep(0.3)
    raise AssertionError(f"no restart in 120 s: {seen}")


def _codes(world: World, jobset: Object) -> set[int]:
    pods: list[Any] = world.pods(f"jobset.sigs.k8s.io/jobset-name={jobset['metadata']['name']}")
    ended = [status.state.terminated for pod in pods for status in pod.status.container_statuses or [] if status.state.terminated]
    return {state.exit_code for state in ended}


@pytest.mark.parametrize(
    ("what", "restarts", "counted", "rule", "code"),
    [
        (BLOWS[0], 1, 0, "FailurePolicy_disruption", 75),
        (BLOWS[1], 2, 1, "FailurePolicy_other", 137),
        (BLOWS[2], 3, 2, "FailurePolicy_other", 70),
    ],
    ids=BLOWS,
)
def test_a_restart_is_counted_as_the_rules_say(beaten: Beaten, what: str, restarts: int, counted: int, rule: str, code: int) -> None:
    seen = beaten.blows[what]
    print(f"{what}: exit codes {sorted(seen.codes)}, {seen.rule}, {seen.restarts} restarts, {seen.counted} counted; after {seen.seconds} s")
    assert (seen.restarts, seen.counted, seen.rule) == (restarts, counted, rule)
    assert code in seen.codes


def test_the_run_succeeds_with_all_its_steps_trained(world: World, beaten: Beaten, finished: Object) -> None:
    ours, undisturbed = (outputs(nodes(one)["collect"]) for one in (beaten.workflow, finished))
    assert int(ours["steps"]) == int(undisturbed["steps"])
    assert outputs(nodes(beaten.workflow)["wait"])["state"] == "Completed"
    assert outputs(nodes(beaten.workflow)["wait"])["restarts"] == "3"


def test_the_model_is_the_one_of_an_undisturbed_run(beaten: Beaten, finished: Object) -> None:
    assert outputs(nodes(beaten.workflow)["plan"])["run-id"] != outputs(nodes(finished)["plan"])["run-id"]
    assert outputs(nodes(beaten.workflow)["merge"])["digest"] == outputs(nodes(finished)["merge"])["digest"]
