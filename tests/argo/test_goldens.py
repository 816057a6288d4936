"""What the runner makes of small workflows, against what Argo 4.1.2 made of them on a real cluster."""

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import control, documents, run
from pipelines.local.clock import SkippingClock
from pipelines.local.faults import Refused
from pipelines.local.inbox import Order
from pipelines.local.objects import Objects
from tests.argo import compare, recording
from tests.argo.differences import DIFFERENT, REFUSED

pytestmark = pytest.mark.slow

Workflow = dict[str, Any]

HERE = Path(__file__).parent
GOLDENS = sorted(path.relative_to(HERE).with_suffix("").as_posix() for area in ("control", "data") for path in (HERE / area).glob("*.yaml"))
NAMESPACES = {"control": "ga", "data": "gd"}
SLEEPING = [  # their containers sleep for seconds
    *("control/009-dag-failfast-true", "control/010-dag-failfast-false", "control/053-dag-failfast-nested"),
    *("control/056-failfast-template-steps", "control/082-loop-fail-no-continueon", "control/124-timeout-workflow"),
    *("control/125-timeout-field", "control/126-timeout-retry", "control/129-timeout-from-param", "control/144-hook-running-task"),
    *("control/145-hook-workflow-level", "control/146-hook-workflow-fails", "control/148-hook-task-fails-running"),
    *("control/169-workflow-suspend-resume", "control/190-mutex-template", "data/100-int-or-string", "data/264-expr-no-dep"),
]


class Recorded:
    """A recorded workflow and how to have it run here."""

    def __init__(self, name: str, home: Path) -> None:
        self.file, self.home = HERE / f"{name}.yaml", home
        self.golden: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
        self.namespace, self.clock = NAMESPACES[name.split("/")[0]], SkippingClock()
        self.directives = recording.directives(self.file.read_text())
        self.script = recording.Script(self.directives, self.clock)
        self.how = run.How(home=home, templates=home / "none", clock=self.clock, inbox=self.script)

    def play(self) -> Workflow:
        """Run it, and do to it what was done on the cluster."""
        for document in documents.read(self.file):
            if document["kind"] in ("ConfigMap", "Secret"):
                Objects(self.home, self.namespace).apply(document)
        given = recording.parameters(self.directives)
        ended = run.run(str(self.file), given, namespace=self.namespace, name=self.file.stem, **self.how)
        while verb := self.script.verb:
            if verb == "retry":
                ended = self.retry(ended["metadata"]["name"])
            else:
                self.too_late(verb, ended["metadata"]["name"])
        return ended

    def retry(self, name: str) -> Workflow:
        given = recording.arguments(self.script.left[0]["argo"])
        self.script.answer(Order("", control.Command("retry")), "")
        restart, selector = "--restart-successful" in given.flags, given.one("--node-field-selector")
        return run.retry(name, given.pairs("-p"), restart_successful=restart, selector=selector, **self.how)

    def too_late(self, verb: str, name: str) -> None:
        """A command that came when all was over."""
        refusal = ""
        try:
            if verb != "get":
                run.order(name, self.script.command(), **self.how)
        except Refused as error:
            refusal = str(error)
        self.script.answer(Order("", control.Command(verb)), refusal)

    def said(self) -> list[str]:
        """Where argo refused a command and we did not, or in other words."""
        expected = [action["err"] if action["rc"] else "" for action in self.golden.get("actions", [])]
        pairs = zip(expected, self.script.refusals, strict=True)
        return [f"argo said {theirs!r}, here {ours!r}" for theirs, ours in pairs if not _agree(theirs, ours)]

    def differences(self, ended: Workflow) -> list[str]:
        if self.golden.get("never_ends"):
            status = ended["status"]
            given_up = status["phase"] == "Error" and "this never ends on a cluster" in status["message"]
            return [] if given_up else [f"never ends on a cluster; here {status['phase']} {status.get('message')}"]
        return [*compare.differences(self.golden, self.with_logs(ended)), *self.said()]

    def with_logs(self, ended: Workflow) -> dict[str, Any]:
        shaped: dict[str, Any] = compare.simplify(ended)
        for node in shaped["nodes"].values():
            log = self.home / "runs" / ended["metadata"]["name"] / "nodes" / node["id"] / "main.log"
            if node["type"] == "Pod" and log.exists():
                node["log"] = log.read_text(errors="replace")
        return shaped


def _agree(theirs: str, ours: str) -> bool:
    """Argo's client and server put words before the reason; ours may say what to do next."""
    return bool(theirs) == bool(ours) and ours.split(";")[0] in theirs


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """A run that waits for a person for ever fails its test."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("still running"))
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def surprises(name: str, home: Path) -> list[str]:
    """What is neither as recorded nor as stated."""
    home.mkdir(exist_ok=True)
    recorded = Recorded(name, home)
    refused = "refused" in recorded.golden or name in REFUSED
    try:
        ended = recorded.play()
    except Refused as error:
        return [] if refused else [f"refused: {error}"]
    found = recorded.differences(ended)
    if refused:
        return ["it ran, and should have been refused"]
    return ["it is equal now"] if name in DIFFERENT and not found else [] if name in DIFFERENT else found


@pytest.mark.parametrize("name", [name for name in GOLDENS if name not in SLEEPING])
def test_a_workflow_ends_as_on_the_real_controller(name: str, tmp_path: Path) -> None:
    assert surprises(name, tmp_path) == []


def test_workflows_that_sleep_end_as_on_the_real_controller(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(SLEEPING)) as pool:
        found = list(pool.map(lambda name: surprises(name, tmp_path / Path(name).name), SLEEPING))
    assert dict(zip(SLEEPING, found, strict=True)) == {name: [] for name in SLEEPING}


def test_every_stated_difference_is_of_a_recorded_workflow() -> None:
    assert {*REFUSED, *DIFFERENT, *SLEEPING} <= set(GOLDENS)
    assert len(REFUSED) <= 30
    assert len(DIFFERENT) <= 12
    assert all(re.search(r"\w{3}", reason) for reason in [*REFUSED.values(), *DIFFERENT.values()])
