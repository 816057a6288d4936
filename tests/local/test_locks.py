"""Mutexes and semaphores across the runs of one home folder."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import locks, synchronization
from pipelines.local.locks import Lock, Locks, Wait
from pipelines.local.objects import Objects
from tests.local.play import manifest, nodes, phases, play, sh

MUTEX, TWO = Lock("ns/Mutex/m", 1), Lock("ns/ConfigMap/limits/gpus", 2)
LIMITS = {"slots": "2", "none": "0", "word": "many"}
NOTHING = {"name": "nothing", "suspend": {"duration": "0"}}


@pytest.fixture
def of(tmp_path: Path) -> Iterator[Callable[..., Locks]]:
    """The locks of a run, by its name."""
    made: list[Locks] = []

    def locks_of(name: str, order: str = "0") -> Locks:
        made.append(Locks(tmp_path, f"ns/{name}", order))
        return made[-1]

    yield locks_of
    for one in made:
        one.release_all()


def test_a_mutex_has_one_holder_and_a_semaphore_as_many_as_its_limit(of: Callable[..., Locks]) -> None:
    one, two = of("one"), of("two")
    assert one.acquire("a", [MUTEX]) is None
    assert two.acquire("", [MUTEX]) == Wait("ns/Mutex/m", "Waiting for ns/Mutex/m lock. Lock status: 0/1")
    assert [locks_.acquire(node, [TWO]) for locks_, node in ((one, "b"), (two, "b"))] == [None, None]
    assert one.acquire("c", [TWO]) == Wait(TWO.name, f"Waiting for {TWO.name} lock. Lock status: 0/2")
    assert two.holders(TWO) == ["ns/one/b", "ns/two/b"]
    assert one.release("a") == ["ns/Mutex/m"]
    assert two.acquire("", [MUTEX]) is None
    assert one.holders(MUTEX) == ["ns/two"]


def test_a_lock_that_an_older_version_left_as_a_file_is_in_nobodys_way(of: Callable[..., Locks], tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "ns%2FMutex%2Fm").write_text("")
    assert of("one").acquire("a", [MUTEX]) is None


def test_all_locks_are_taken_or_none(of: Callable[..., Locks]) -> None:
    one, two = of("one"), of("two")
    one.acquire("a", [MUTEX])
    assert two.acquire("b", [TWO, MUTEX]) == Wait("ns/Mutex/m", "Waiting for ns/Mutex/m lock. Lock status: 0/1")
    assert one.holders(TWO) == []


def test_who_waits_first_comes_first(of: Callable[..., Locks]) -> None:
    holder, low, high = of("holder"), of("low", locks.order(0, 5.0)), of("high", locks.order(3, 9.0))
    holder.acquire("a", [MUTEX])
    assert low.acquire("a", [MUTEX])
    assert high.acquire("a", [MUTEX])
    holder.release("a")
    assert low.acquire("a", [MUTEX]) == Wait("ns/Mutex/m", "Waiting for ns/Mutex/m lock. Lock status: 1/1")
    assert high.acquire("a", [MUTEX]) is None
    high.release_all()
    assert low.acquire("a", [MUTEX]) is None


def test_the_older_of_two_workflows_comes_first() -> None:
    orders = [locks.order(0, 20.0), locks.order(-1, 5.0), locks.order(7, 30.0), locks.order(0, 10.0)]
    assert sorted(orders) == [orders[2], orders[3], orders[0], orders[1]]


@pytest.mark.slow
def test_a_runner_that_is_killed_lets_go(of: Callable[..., Locks], tmp_path: Path) -> None:
    code = "import sys, pathlib; from pipelines.local.locks import Lock, Locks\nl = Locks(pathlib.Path(sys.argv[1]), 'ns/dead', '0')\n"
    code += "print(l.acquire('a', [Lock('ns/Mutex/m', 1)]), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "None\n"
        alive = of("alive")
        assert alive.acquire("a", [MUTEX])
        other.kill()
        other.wait()
        assert alive.acquire("a", [MUTEX]) is None


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        ({}, []),
        ({"mutexes": [{"name": "b"}, {"name": "a", "namespace": "x"}]}, [Lock("ns/Mutex/b", 1), Lock("x/Mutex/a", 1)]),
        ({"semaphores": [{"configMapKeyRef": {"name": "c", "key": "slots"}}]}, [Lock("ns/ConfigMap/c/slots", 2)]),
        (
            {"semaphores": [{"configMapKeyRef": {"name": "c", "key": "nope"}}]},
            "failed to initialize semaphore ns/ConfigMap/c/nope with limit",
        ),
        (
            {"semaphores": [{"configMapKeyRef": {"name": "c", "key": "none"}}]},
            "failed to initialize semaphore ns/ConfigMap/c/none with limit",
        ),
        (
            {"semaphores": [{"configMapKeyRef": {"name": "c", "key": "word"}}]},
            "failed to initialize semaphore ns/ConfigMap/c/word with limit",
        ),
        ({"mutexes": [{"name": "a"}, {"name": "a"}]}, "requested configuration is invalid: duplicate synchronization item found"),
    ],
)
def test_what_a_template_asks_for(asked: dict[str, Any], outcome: Any) -> None:
    def wanted() -> list[Lock]:
        return locks.wanted({"synchronization": asked}, "ns", {}, lambda namespace, name, key: LIMITS.get(key))

    if isinstance(outcome, list):
        assert wanted() == outcome
    else:
        with pytest.raises(locks.LockError) as raised:
            wanted()
        assert str(raised.value) == outcome


def test_the_status_says_what_is_held_and_waited_for() -> None:
    status: dict[str, Any] = {}
    synchronization.waits(status, TWO, ["ns/other"])
    synchronization.waits(status, MUTEX, ["ns/other/n"])
    synchronization.acquired(status, MUTEX, "ns/w/n")
    synchronization.acquired(status, TWO, "ns/w")
    held = {
        "mutex": {"waiting": [{"mutex": "ns/Mutex/m", "holder": "ns/other/n"}], "holding": [{"mutex": "ns/Mutex/m", "holder": "ns/w/n"}]}
    }
    gpus = {"semaphore": TWO.name, "holders": ["ns/w"]}
    waiting = {"semaphore": TWO.name, "holders": ["ns/other"]}
    assert status["synchronization"] == held | {"semaphore": {"waiting": [waiting], "holding": [gpus]}}
    synchronization.released(status, "ns/Mutex/m", "ns/w/n")
    synchronization.released(status, TWO.name, "ns/w")
    assert (status["synchronization"]["mutex"]["holding"], gpus["semaphore"], status["synchronization"]["semaphore"]["holding"]) == (
        [], TWO.name, [{"semaphore": TWO.name, "holders": []}],
    )  # fmt: skip


def test_one_after_the_other_takes_the_lock_that_a_sibling_gives_back(tmp_path: Path) -> None:
    template = {**NOTHING, "synchronization": {"mutexes": [{"name": "m"}]}}
    workflow = play(
        tmp_path, manifest({"name": "main", "steps": [[{"name": "l", "template": "nothing", "withSequence": {"count": 3}}]]}, template)
    )
    assert set(phases(workflow).values()) == {"Succeeded"}
    assert "synchronization" not in workflow["status"]


def test_a_semaphore_without_its_config_map_is_an_error(tmp_path: Path) -> None:
    template = {**NOTHING, "synchronization": {"semaphores": [{"configMapKeyRef": {"name": "c", "key": "k"}}]}}
    workflow = play(tmp_path, manifest({"name": "main", "steps": [[{"name": "a", "template": "nothing"}]]}, template))
    message = "failed to initialize semaphore default/ConfigMap/c/k with limit"
    assert (nodes(workflow)["a"]["type"], nodes(workflow)["a"]["message"]) == ("Skipped", message)


@pytest.mark.slow
def test_a_semaphore_lets_so_many_run_at_once(tmp_path: Path) -> None:
    limits = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "2"}}
    Objects(tmp_path / "home", "default").apply(limits)
    count = f"cd {tmp_path}; ls | grep -c on-; touch on-{{{{item}}}}; sleep 0.2; rm on-{{{{item}}}}"
    one = sh("one", count.replace("{{item}}", "{{inputs.parameters.i}}"), "i")
    one["synchronization"] = {"semaphores": [{"configMapKeyRef": {"name": "c", "key": "k"}}]}
    loop = {"name": "l", "template": "one", "withSequence": {"count": 5}, "arguments": {"parameters": [{"name": "i", "value": "{{item}}"}]}}
    workflow = play(tmp_path, manifest({"name": "main", "steps": [[loop]]}, one))
    logs = [(tmp_path / f"home/runs/w/nodes/{n['id']}/main.log").read_text() for n in nodes(workflow).values() if n["type"] == "Pod"]
    assert len(logs) == 5
    assert all(int(text.split()[0]) < 2 for text in logs)
