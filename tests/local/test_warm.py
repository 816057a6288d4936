"""A forked job behaves as a started one, dies with its client, and is never the reason for a failure."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import warm

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[2]
PRELOADED = ("json", "decimal", "random", "logging")

# Printed by every job: what a program can see of where it is.
REPORT = """
import decimal, json, os, random, sys, tempfile, threading
print(json.dumps({
    "argv": sys.argv, "orig": sys.orig_argv[1:], "cwd": os.getcwd(), "path": sys.path, "name": __name__, "file": __file__,
    "main": sys.modules["__main__"].__spec__.name, "threads": threading.active_count(), "tmp": tempfile.gettempdir(),
    "env": dict(os.environ),
    "executable": sys.executable, "umask": os.umask(0), "in": sys.stdin.read(), "sigterm": str(__import__("signal").getsignal(15)),
}))
"""


def soon(look: Callable[[], object], seconds: float = 20) -> object:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Warm:
    """A warm environment that serves the module `job`, and the cold one beside it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cwd = home / "work"
        self.cwd.mkdir(parents=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.bin = self.prepare()

    def prepare(self) -> Path:
        return warm.prepare(self.home, sys.executable, PRELOADED, ["job"], self.env)

    def write(self, program: str) -> None:
        (self.cwd / "job.py").write_text(program)

    def environment(self, changes: dict[str, str]) -> dict[str, str]:
        return {**self.env, "PATH": f"{self.bin}:{self.env['PATH']}", **changes}

    def start(self, *arguments: str, python: str = "python", **changes: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(self.bin / python), "-m", "job", *arguments], cwd=self.cwd, env=self.environment(changes), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, given: str = "", **changes: str) -> "subprocess.CompletedProcess[str]":
        with self.start(*arguments, **changes) as process:
            out, err = process.communicate(given)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def cold(self, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "job", *arguments]
        return subprocess.run(command, cwd=self.cwd, env=self.environment({}), text=True, input=given, capture_output=True, check=False)

    def servers(self) -> list[int]:
        """Processes that run the fork server of this environment, jobs and guards included."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(self.bin.parent) in entry.read_bytes().decode().split("\0") and alive(int(entry.parent.name)):
                    found.append(int(entry.parent.name))
            except OSError:
                continue
        return found

    def why_cold(self) -> str:
        log = self.bin.parent / "cold.log"
        return log.read_text() if log.exists() else ""


def started(home: Path) -> Iterator[Warm]:
    found = Warm(home)
    yield found
    warm.stop(home)
    soon(lambda: not found.servers())
    soon(lambda: all(server.poll() is not None for server in warm._SERVERS if str(home) in str(server.args)))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """One server for all jobs, as in a run."""
    yield from started(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Warm]:
    """A server that a test may end."""
    yield from started(tmp_path)


def test_a_forked_job_sees_what_a_started_one_sees(environment: Warm) -> None:
    environment.write(REPORT)
    forked = json.loads(environment.run("--a", "b c", given="hello").stdout)
    started = json.loads(environment.cold("--a", "b c", given="hello").stdout)
    assert environment.why_cold() == ""
    assert forked.pop("executable") == started.pop("executable") == sys.executable
    assert forked == started
    assert forked["in"] == "hello"


def test_it_was_forked_from_a_process_that_had_imported(environment: Warm) -> None:
    environment.write("import sys; print('decimal' in sys.modules)")
    assert (environment.run().stdout, environment.cold().stdout) == ("True\n", "False\n")


@pytest.mark.parametrize(
    ("program", "code", "out", "err"),
    [
        ("", 0, "", ""),
        ("import sys; sys.exit(65)", 65, "", ""),
        ("import sys; sys.exit('one line')", 1, "", "one line\n"),
        ("import sys; sys.exit(256 + 3)", 3, "", ""),
        ("raise SystemExit", 0, "", ""),
        ("import os; print('lost'); os._exit(9)", 9, "", ""),
        ("import os; os.kill(os.getpid(), 9)", -9, "", ""),
        ("import os; os.kill(os.getpid(), 15)", -15, "", ""),
        ("import atexit; atexit.register(print, 'last'); print('first')", 0, "first\nlast\n", ""),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(.1), print('thread'))).start()", 0, "thread\n", ""),
        ("from concurrent.futures import ThreadPoolExecutor as P; P(2).submit(print, 'pool')", 0, "pool\n", ""),
        ("import argparse; argparse.ArgumentParser().parse_args(['--no'])", 2, "", None),
        ("import logging; logging.warning('words')", 0, "", "WARNING:root:words\n"),
        (
            "import multiprocessing as m\nif __name__ == '__main__': m.get_context('spawn').Process(target=print, args=('p',)).start()",
            0,
            "p\n",
            "",
        ),
    ],
)
def test_a_forked_job_ends_as_a_started_one(environment: Warm, program: str, code: int, out: str, err: str | None) -> None:
    environment.write(program)
    forked, started = environment.run(), environment.cold()
    assert (forked.returncode, forked.stdout) == (started.returncode, started.stdout) == (code, out), forked.stderr
    assert forked.stderr == started.stderr
    assert err is None or forked.stderr == err
    assert environment.why_cold() == ""


@pytest.mark.parametrize(("program", "code"), [("1/0", 1), ("raise KeyboardInterrupt", -signal.SIGINT), ("import none_such", 1)])
def test_an_error_shows_the_jobs_own_traceback(environment: Warm, program: str, code: int) -> None:
    environment.write(f"def f():\n    {program}\nf()\n")
    forked, started = environment.run(), environment.cold()
    assert forked.returncode == started.returncode == code
    assert forked.stderr.splitlines()[-1] == started.stderr.splitlines()[-1]
    assert "forkserver" not in forked.stderr


def test_two_jobs_do_not_draw_the_same_random_numbers(environment: Warm) -> None:
    environment.write("import random; print(random.random())")
    assert environment.run().stdout != environment.run().stdout


def test_many_jobs_run_at_once_and_keep_their_output_apart(environment: Warm) -> None:
    environment.write("import sys, time; time.sleep(.2); print(sys.argv[1]); sys.exit(int(sys.argv[1]))")
    processes = [environment.start(str(number)) for number in range(8)]
    for number, process in enumerate(processes):
        with process:
            assert process.communicate() == (f"{number}\n", "")
            assert process.returncode == number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_the_client_reaches_the_job(environment: Warm, number: int) -> None:
    environment.write(
        "import os, signal, sys, time\n"
        "for n in (10, 15, 2): signal.signal(n, lambda n, f: (os.write(1, b'got %d\\n' % n), sys.exit(75)))\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    with environment.start() as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        client.send_signal(number)
        assert client.communicate()[0] == f"got {int(number)}\n"
    assert client.returncode == 75


def test_a_client_that_dies_of_a_signal_like_its_job_shows_the_same_status(environment: Warm) -> None:
    environment.write("import time; print('ready', flush=True); time.sleep(60)")
    with environment.start() as client:
        assert client.stdout is not None
        client.stdout.readline()
        client.terminate()
    assert client.returncode == -signal.SIGTERM


FAMILY = """
import os, subprocess, sys, time
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
print(os.getpid(), os.getppid(), subprocess.Popen(sleep).pid, subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize("victim", ["client", "job", "guard"])
def test_whoever_is_killed_nothing_is_left(environment: Warm, victim: str) -> None:
    environment.write(FAMILY)
    with environment.start("60") as client:
        assert client.stdout is not None
        job, guard, child, stranger = (int(word) for word in client.stdout.readline().split())
        os.kill({"client": client.pid, "job": job, "guard": guard}[victim], signal.SIGKILL)
        client.wait(10)
    assert client.returncode == -signal.SIGKILL
    expected = [job] if victim == "guard" else [job, child, stranger]  # a killed guard can only take the job itself with it
    soon(lambda: not any(alive(pid) for pid in expected))
    for pid in (child, stranger):
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_job_owns_what_it_leaves_running(environment: Warm) -> None:
    environment.write(FAMILY)
    _, _, child, stranger = (int(word) for word in environment.run("0").stdout.split())
    assert not alive(child)
    assert not alive(stranger)


def test_other_modules_scripts_and_options_get_the_real_python(environment: Warm) -> None:
    program = "import sys; print('decimal' in sys.modules, sys.executable, sys.argv[1:])"
    environment.write(program)
    (environment.cwd / "other.py").write_text(program)
    for arguments in (["-m", "other", "x"], ["other.py", "x"], ["-c", program, "x"], ["-u", "-m", "job", "x"]):
        for name in ("python", "python3"):
            command = [str(environment.bin / name), *arguments]
            found = subprocess.run(command, cwd=environment.cwd, env=environment.env, text=True, capture_output=True, check=True)
            assert found.stdout == f"False {sys.executable} ['x']\n"
    assert environment.why_cold() == ""


@pytest.mark.parametrize("changed", [{"OMP_NUM_THREADS": "2"}, {"HF_HUB_OFFLINE": "1"}, {"PYTHONPATH": "/x"}])
def test_a_job_with_other_settings_than_were_imported_with_starts_cold(environment: Warm, changed: dict[str, str]) -> None:
    environment.write("import sys; print('decimal' in sys.modules)")
    assert environment.run(**changed).stdout == "False\n"
    assert environment.why_cold().splitlines()[-1] == f"job: read at import and different here: {next(iter(changed))}"
    (environment.bin.parent / "cold.log").unlink()


def test_a_setting_that_is_read_later_may_differ(environment: Warm) -> None:
    environment.write("import os, sys; print('decimal' in sys.modules, os.environ['FLEECE_STORE'])")
    assert environment.run(FLEECE_STORE="file:///x").stdout == "True file:///x\n"


def test_without_a_server_a_job_starts_cold(own: Warm) -> None:
    own.write("import sys; print('decimal' in sys.modules, sys.argv[1:])")
    own.run()
    for pid in own.servers():
        os.kill(pid, signal.SIGKILL)
    found = own.run("x")
    assert (found.returncode, found.stdout) == (0, "False ['x']\n")
    assert own.prepare() == own.bin
    assert own.run("x").stdout == "True ['x']\n"


def test_a_server_that_dies_while_loading_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "slow_death.py").write_text("import os, time; time.sleep(.5); os._exit(1)")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    bin_folder = warm.prepare(tmp_path, sys.executable, ["slow_death"], ["platform"], env)
    found = subprocess.run([str(bin_folder / "python"), "-m", "platform"], env=env, capture_output=True, text=True, check=False)
    assert (found.returncode, bool(found.stdout)) == (0, True)
    warm.stop(tmp_path)


def test_a_module_that_cannot_be_imported_ahead_is_left_to_the_job(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"]}
    bin_folder = warm.prepare(tmp_path, sys.executable, ["none_such", "decimal"], ["platform"], env)
    found = subprocess.run([str(bin_folder / "python"), "-m", "platform"], env=env, capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert not (bin_folder.parent / "cold.log").exists()
    warm.stop(tmp_path)


def test_an_interpreter_that_is_not_there_is_no_failure_of_prepare(tmp_path: Path) -> None:
    assert warm.prepare(tmp_path, "/nowhere/bin/python", [], ["job"], {}) == Path("/nowhere/bin")


def test_runners_share_a_server_which_leaves_with_the_last_of_them(own: Warm) -> None:
    program = (
        "import json, sys, time\nfrom pathlib import Path\nfrom pipelines.local import warm\n"
        f"print(warm.prepare(Path(sys.argv[1]), sys.executable, {PRELOADED!r}, ['job'], json.loads(sys.argv[2])), flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(own.home), json.dumps(own.env)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == f"{own.bin}\n"
        own.write("print('warm')")
        own.run()
        leader = min(own.servers())
        warm.stop(own.home)
        time.sleep(0.8)
        assert alive(leader)
        other.kill()
    soon(lambda: not own.servers())


@pytest.mark.slow
def test_torch_is_forked_with_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "job.py").write_text(
        "import sys\nwas = 'torch' in sys.modules\nimport torch\ntorch.manual_seed(0)\n"
        "layer = torch.nn.Linear(256, 256)\nloss = layer(torch.randn(64, 256)).square().sum()\nloss.backward()\n"
        "print(was, loss.item(), layer.weight.grad.sum().item())"
    )
    env: dict[str, Any] = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
    bin_folder = warm.prepare(tmp_path, sys.executable, ["torch"], ["job"], env)
    results = [
        subprocess.run([python, "-m", "job"], env=env, capture_output=True, text=True, check=True).stdout.split()
        for python in (str(bin_folder / "python"), sys.executable)
    ]
    assert results[0][1:] == results[1][1:]
    assert [result[0] for result in results] == ["True", "False"]
    warm.stop(tmp_path)
