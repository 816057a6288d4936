"""The lines of a pod's log, told apart by the times that the kubelet gave them."""

from typing import Any

import pytest

from pipelines.cluster import logs


def reader() -> logs._Reader:
    return logs._Reader("train", {"metadata": {"name": "p", "uid": "u"}})


def test_a_second_look_gives_only_what_was_added() -> None:
    found = reader()
    assert list(found.fresh(iter(["2026-11-21T17:00:00.1Z a\n", "2026-11-21T17:00:00.2Z b\n"]))) == ["a", "b"]
    assert list(found.fresh(iter(["2026-11-21T17:00:00.1Z a\n", "2026-11-21T17:00:00.2Z b\n", "2026-11-21T17:00:00.3Z  c\n"]))) == [" c"]
    assert list(found.fresh(iter([]))) == []


def test_lines_of_the_same_moment_are_all_given_and_each_once() -> None:
    found = reader()
    assert list(found.fresh(iter(["1Z a", "1Z b"]))) == ["a", "b"]
    assert list(found.fresh(iter(["1Z a", "1Z b", "1Z c", "2Z d"]))) == ["c", "d"]
    assert list(found.fresh(iter(["1Z c", "2Z d", "2Z e"]))) == ["e"]


@pytest.mark.parametrize(
    "line",
    [
        'time=2026-11-21T16:52:36.997Z level=INFO msg="waiting for signals" signalPath=/var/run/argo/ctr/main/signal argo=true',
        'time=2026-11-21T16:52:37.998Z level=INFO msg="sub-process exited" argo=true error=<nil>',
    ],
)
def test_what_argos_executor_says_of_itself_is_left_out(line: str) -> None:
    assert list(reader().fresh(iter([f"1Z {line}\n", "2Z argo=true is ours\n", "3Z \n"]))) == ["argo=true is ours", ""]


def node(key: str, **more: Any) -> dict[str, Any]:
    full = {"id": f"w-{key}", "name": f"w.{key}"} if key != "w" else {"id": "w", "name": "w"}
    made = full | {"displayName": key}
    return made | {"type": "Pod", "phase": "Succeeded", "templateName": "t", "startedAt": "2026-11-21T17:00:00Z"} | more


def run(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "w", "namespace": "n"}, "status": {"phase": "Succeeded", "nodes": {one["id"]: one for one in nodes}}}


def test_ranks_stand_beside_the_steps_of_the_training_and_attempts_are_told_apart() -> None:
    inside = node("train", type="DAG", boundaryID="w")
    found = run(node("w", type="DAG"), inside, node("1", name="w.train.create", displayName="create", boundaryID=inside["id"]))
    rank = {"batch.kubernetes.io/job-completion-index": "1", "jobset.sigs.k8s.io/restart-attempt": "0"}
    pods = [
        {"metadata": {"name": "w-t-1"}},
        {"metadata": {"name": "ft-u-node-0-1-abcde", "labels": rank}},
        {"metadata": {"name": "ft-u-node-0-1-fghij", "labels": rank | {"jobset.sigs.k8s.io/restart-attempt": "2"}}},
        {"metadata": {"name": "other"}},
    ]
    assert [title for title, _ in logs._titled(found, pods)] == ["train.create", "train.rank-1", "train.rank-1(2)", "other"]


def test_pods_that_are_gone_are_told_in_one_line_and_those_that_never_were_are_not() -> None:
    steps = [node(name, boundaryID="w") for name in "abcdefg"]
    waits = node("z", boundaryID="w", phase="Pending")
    found = run(node("w", type="DAG"), *steps, waits)
    assert logs.missing(found, "", {"w-t-a"}) == "gone with their pods: the logs of b, c, d, e, f and 1 more"
    assert logs.missing(found, "a", {"w-t-a"}) == ""
