"""A machine of its own for a test: `fleece` as a person types it, in a home folder that is thrown away."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
FLEECE = [sys.executable, "-m", "pipelines.cli"]


class Machine:
    """`FLEECE_HOME` and what may be done with it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = os.environ | {"FLEECE_HOME": str(home), "PYTHONPATH": str(PROJECT), "HF_HUB_OFFLINE": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*FLEECE, *arguments], cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def fleece(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run to the end and give the summary. Fails the test with what was printed when the run fails."""
        ended = self.fleece(*arguments, "--json")
        assert ended.returncode == 0, ended.stderr + ended.stdout
        summary: dict[str, Any] = json.loads(ended.stdout)
        return summary

    def workflow(self, name: str) -> dict[str, Any]:
        path = self.home / "runs" / name / "workflow.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def phase(self, name: str, task: str) -> str:
        nodes = self.workflow(name).get("status", {}).get("nodes", {}).values()
        return next((node["phase"] for node in nodes if node["displayName"] == task), "")

    def wait_for(self, what: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 240) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert process.poll() is None, f"the run ended first: {process.communicate()}"
            assert time.monotonic() < until, "it never came to that point"
            time.sleep(0.05)

    def processes(self, words: str) -> list[int]:
        """Processes of this machine alone whose command line has these words."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if words in command and (str(self.home).encode() in environment or str(self.home) in command):
                    found.append(int(entry.name))
        return found

    def stages(self, model: str = "default.support-triage.v1") -> dict[int, str]:
        """Version to stage, as MLflow's own database has it."""
        query = "select version, value from model_version_tags where name = ? and key = 'stage' order by version"
        with closing(sqlite3.connect(self.home / "mlflow.db")) as database:
            return dict(database.execute(query, (model,)).fetchall())

    def commits(self) -> int:
        counted = subprocess.run(
            ["git", "-C", str(self.home / "releases.git"), "rev-list", "--count", "--all"], capture_output=True, text=True, check=True
        )
        return int(counted.stdout)

    def stop(self) -> None:
        self.fleece("serve", "stop")
        for pid in self.processes(""):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the demo's data and base model: made once, copied for each test."""
    home = tmp_path_factory.mktemp("stock") / "home"
    made = Machine(home).fleece("demo")
    assert made.returncode == 0, made.stderr
    return home


@pytest.fixture
def machine(stocked: Path, tmp_path: Path) -> Iterator[Machine]:
    import shutil

    shutil.copytree(stocked / "store", tmp_path / "home" / "store")
    one = Machine(tmp_path / "home")
    yield one
    one.stop()


@pytest.fixture(scope="session")
def finished(stocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, dict[str, Any]]]:
    """One whole run of the demo, for every test that looks at what it left."""
    import shutil

    home = tmp_path_factory.mktemp("finished") / "home"
    shutil.copytree(stocked / "store", home / "store")
    one = Machine(home)
    yield one, one.run("run", "finetune", "--name", "first")
    one.stop()
