"""Memoized templates and their cache. The nodes of hits and misses: tests/argo/control 196 to 200, 234."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.local.clock import Clock
from pipelines.local.memoize import CacheError, Caches
from pipelines.local.objects import Objects
from tests.local.play import manifest, nodes, phases, play, sh

LABEL = "workflows.argoproj.io/configmap-type"
NOTHING = {"name": "nothing", "suspend": {"duration": "0"}}


class Hand(Clock):
    """A clock that is set by hand."""

    time = 1_000_000.0

    def now(self) -> float:
        return self.time


def memoize(key: str = "k", age: str = "1h") -> dict[str, Any]:
    return {"key": key, "maxAge": age, "cache": {"configMap": {"name": "cache"}}}


def caches(home: Path, clock: Clock | None = None, kind: str = "") -> Caches:
    objects = Objects(home, "default")
    if kind:
        metadata = {"name": "cache", "labels": {LABEL: kind} if kind != "none" else {}}
        objects.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    return Caches(objects, clock or Hand())


def node(key: str = "k") -> dict[str, Any]:
    return {"id": "w-1", "outputs": {"exitCode": "0"}, "memoizationStatus": {"hit": False, "key": key, "cacheName": "cache"}}


def test_what_was_saved_is_found_until_it_is_too_old(tmp_path: Path) -> None:
    clock = Hand()
    cache = caches(tmp_path, clock)
    missed = ({"hit": False, "key": "k", "cacheName": "cache"}, None)
    assert cache.look_up(memoize()) == missed
    cache.save(node())
    clock.time += 60
    assert cache.look_up(memoize(age="1m")) == ({"hit": True, "key": "k", "cacheName": "cache"}, {"exitCode": "0"})
    clock.time += 1
    assert cache.look_up(memoize(age="1m")) == missed
    assert cache.look_up(memoize(key="other"))[1] is None


def test_the_cache_is_a_config_map_that_says_when_it_was_hit(tmp_path: Path) -> None:
    clock = Hand()
    cache = caches(tmp_path, clock)
    cache.save(node())
    clock.time += 5
    cache.look_up(memoize())
    found = Objects(tmp_path, "default").get("ConfigMap", "cache")
    assert found is not None
    assert found["metadata"]["labels"] == {LABEL: "Cache"}
    entry = json.loads(found["data"]["k"])
    assert (entry["nodeID"], entry["creationTimestamp"], entry["lastHitTimestamp"]) == (
        "w-1",
        "1970-01-12T13:46:40Z",
        "1970-01-12T13:46:45Z",
    )


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        (memoize(key="a b/c"), "", "invalid cache key: a b/c"),
        (memoize(key="k\n"), "", "invalid cache key: k\n"),
        (memoize(age="1 day"), "", 'invalid maxAge: time: invalid duration "1 day"'),
        (memoize(age="60"), "", 'invalid maxAge: time: missing unit in duration "60"'),
        (memoize(), "none", f"memoization configmap doesn't have {LABEL} label, refusing to use it"),
        (memoize(), "Parameter", f"memoization configmap doesn't have label {LABEL} = Cache, refusing to use it"),
    ],
)
def test_a_cache_that_cannot_be_used_says_why(asked: dict[str, Any], kind: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CacheError) as raised:
        caches(tmp_path, kind=kind).look_up(asked)
    assert str(raised.value) == message


def test_a_dag_that_is_remembered_has_nothing_inside(tmp_path: Path) -> None:
    inner = {"name": "inner", "memoize": memoize(), "dag": {"tasks": [{"name": "x", "template": "nothing"}]}}
    tasks = [{"name": "a", "template": "inner"}, {"name": "b", "template": "inner", "depends": "a"}]
    after = {"name": "c", "template": "nothing", "depends": "b"}
    workflow = play(tmp_path, manifest({"name": "main", "dag": {"tasks": [*tasks, after]}}, inner, NOTHING))
    assert list(phases(workflow)) == ["w", "a", "x", "b", "c"]
    assert [nodes(workflow)[n]["memoizationStatus"]["hit"] for n in ("a", "b")] == [False, True]
    assert nodes(workflow)["b"]["children"] == [nodes(workflow)["c"]["id"]]


@pytest.mark.slow
def test_another_run_finds_what_one_has_made(tmp_path: Path) -> None:
    template = sh("main", f"echo ran >> {tmp_path}/log", memoize=memoize())
    for name in ("one", "two"):
        workflow = play(tmp_path, manifest(template, name=name))
        assert workflow["status"]["phase"] == "Succeeded"
    assert (tmp_path / "log").read_text() == "ran\n"


@pytest.mark.slow
def test_two_that_want_the_same_under_a_lock_make_it_once(tmp_path: Path) -> None:
    template = sh("make", f"echo ran >> {tmp_path}/log", memoize=memoize(), synchronization={"mutexes": [{"name": "m"}]})
    loop = {"name": "main", "steps": [[{"name": "l", "template": "make", "withItems": ["p", "q"]}]]}
    assert play(tmp_path, manifest(loop, template))["status"]["phase"] == "Succeeded"
    assert (tmp_path / "log").read_text() == "ran\n"
