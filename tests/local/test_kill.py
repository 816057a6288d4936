"""Runners that are killed at 200 moments, and what is left of them: nothing lost, nothing done twice, no process."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import keeper, run, state
from pipelines.local.clock import Clock
from tests.local.play import given, manifest, phases, play, sh, write

pytestmark = pytest.mark.slow

KILLS = 20  # in each of ten campaigns
LONGEST = 0.2  # seconds from a start to the next kill; an undisturbed run takes about 0.5


def twelve(folder: Path) -> dict[str, Any]:
    """Twelve pods in a DAG, a loop, step groups and retries; each that succeeds says so in a file, as its last act."""
    said = folder / "said"
    one = sh("one", f"sleep 0.03; echo {{{{inputs.parameters.name}}}} >> {said}", "name")
    flaky = sh("flaky", f"sleep 0.02; [ {{{{retries}}}} = 1 ] || exit 3; echo flaky >> {said}", retryStrategy={"limit": 3})
    pair = [[{"name": "left", "template": "one", "arguments": given(name="left")}, {"name": "retried", "template": "flaky"}]]
    pair += [[{"name": "two", "template": "one", "withSequence": {"count": "2"}, "arguments": given(name="two-{{item}}")}]]
    tasks = [
        {"name": "first", "template": "one", "arguments": given(name="first")},
        {"name": "each", "template": "one", "depends": "first", "withItems": [1, 2, 3, 4], "arguments": given(name="each-{{item}}")},
        {"name": "group", "template": "group", "depends": "first"},
        {"name": "last", "template": "one", "depends": "each && group", "arguments": given(name="last")},
    ]
    return manifest({"name": "main", "dag": {"tasks": tasks}}, one, flaky, {"name": "group", "steps": pair})


SAID = ["each-1", "each-2", "each-3", "each-4", "first", "flaky", "last", "left", "two-0", "two-1"]


class Victim:
    """A run whose runner, a fork of this process, is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        folder.mkdir()
        self.file, self.record = write(folder, twelve(folder)), self.home / "runs/w/workflow.json"
        self.recorded: dict[str, str] = {}

    def start(self) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                os.chdir(self.folder)
                how: Any = {"home": self.home, "templates": self.folder}
                run.resume("w", **how) if self.record.exists() else run.run(self.file, {}, **how)
            finally:
                os._exit(0)
        return pid

    def kill_after(self, seconds: float) -> bool:
        """Was it still alive, and now is not?"""
        pid = self.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return False
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return True

    def nodes(self) -> list[Path]:
        return list((self.home / "runs/w/nodes").glob("*"))

    def look(self) -> None:
        """Once the keeper is gone: no step is left, and a success on record is not followed by another one."""
        lock = self.home / "runs/w/lock"
        _, pid, when = (lock.read_text().split() if lock.exists() else []) or ("", "0", "-")
        end = time.monotonic() + 20
        while keeper.born(int(pid)) == when:
            assert time.monotonic() < end
            time.sleep(0.002)
        for node in self.nodes():
            number, born = (node / "pid").read_text().split() if (node / "pid").exists() else ("0", "-")
            assert keeper.born(int(number)) != born, f"{node.name} outlives the runner"
            if (found := keeper.how_it_ended(node)) and not found["code"]:
                marked = (node / "exit").stat()
                mark = f"{marked.st_ino} {marked.st_mtime_ns}"
                assert self.recorded.setdefault(node.name, mark) == mark, f"{node.name} succeeded twice"
        assert self.recorded.keys() <= {node.name for node in self.nodes()}


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_run_ends_right_and_does_nothing_twice(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    shape = phases(play(tmp_path, twelve(tmp_path)))
    assert sorted((tmp_path / "said").read_text().split()) == SAID
    kills, runs, repeated = 0, 0, 0
    while kills < KILLS:
        victim = Victim(tmp_path / f"{runs}")
        while victim.kill_after(chance.uniform(0, LONGEST) if kills < KILLS else 60):
            kills += 1
            victim.look()
        victim.look()
        ended = state.read(victim.home, "w")
        assert (ended["status"]["phase"], phases(ended)) == ("Succeeded", shape)
        said = Counter((victim.folder / "said").read_text().split())
        assert sorted(said) == SAID
        repeated += said.total() - len(SAID)
        runs += 1
    # A step that was killed between its last act and its exit did not succeed. That is some microseconds, so it is rare.
    assert repeated <= 1


def test_a_loop_of_a_thousand_items_ends(tmp_path: Path) -> None:
    loop = {"name": "each", "template": "one", "withSequence": {"count": "1000"}, "arguments": given(i="{{item}}")}
    one = sh("one", "exit 0", "i")
    one["container"] = {"image": "x", "command": ["/bin/true"]}
    workflow = play(tmp_path, manifest({"name": "main", "steps": [[loop]]}, one), parallelism=2)
    assert workflow["status"]["phase"] == "Succeeded"
    assert workflow["status"]["progress"] == "1000/1000"


def test_a_dag_of_two_hundred_tasks_runs_in_order(tmp_path: Path) -> None:
    """A ladder: every task waits for the two before it."""
    before = {i: [f"t{j}" for j in (i - 1, i - 2) if j >= 0] for i in range(200)}
    tasks = [
        {"name": f"t{i}", "template": "one", "arguments": given(i=str(i))} | ({"depends": " && ".join(d)} if (d := before[i]) else {})
        for i in range(200)
    ]
    workflow = play(tmp_path, manifest({"name": "main", "dag": {"tasks": tasks}}, sh("one", "echo {{inputs.parameters.i}} >> said", "i")))
    assert workflow["status"]["phase"] == "Succeeded"
    assert (tmp_path / "said").read_text().split() == [str(i) for i in range(200)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", ["its time limit", "its runner's death", "the interrupt of its runner"])
def test_what_is_cancelled_leaves_no_process(how: str, tmp_path: Path) -> None:
    """A step with a child and a grandchild, of which the child ignores SIGTERM."""
    (tmp_path / "deep.sh").write_text("trap '' TERM; echo $$ >> pids; sleep 50 & echo $! >> pids; wait; sleep 50\n")
    limit = {"activeDeadlineSeconds": 1} if how == "its time limit" else {}
    pid = os.fork()
    if pid == 0:
        try:
            play(tmp_path, manifest(sh("main", "sh deep.sh & echo $$$$ >> pids; wait", **limit)), clock=Clock())
        finally:
            os._exit(0)
    end, pids = time.monotonic() + 20, tmp_path / "pids"
    while not pids.exists() or len(pids.read_text().splitlines()) < 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    if not limit:
        os.kill(pid, signal.SIGKILL if "death" in how else signal.SIGINT)
    os.waitpid(pid, 0)
    while any(alive(int(number)) for number in pids.read_text().split()):
        assert time.monotonic() < end
        time.sleep(0.01)
