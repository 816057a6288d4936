"""Runs and resumes workflows on this machine: the runner's public face."""

import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, Required, TypedDict, Unpack

from pipelines.local import control, inbox, library, load, reopen, state, workflow
from pipelines.local import images as image_table
from pipelines.local import resubmit as resubmission
from pipelines.local import retry as retrying
from pipelines.local.clock import Clock
from pipelines.local.control import Command
from pipelines.local.driver import Driver
from pipelines.local.faults import Refused
from pipelines.local.inbox import Inbox, Unanswered
from pipelines.local.nodes import Node, Nodes

Workflow = dict[str, Any]

_SYSEXITS = range(64, 79)

__all__ = ["Command", "Display", "How", "Refused", "Unanswered", "exit_code", "order", "resubmit", "resume", "retry", "run"]


class Display(Protocol):
    """Who shows a run while it goes on."""

    def begin(self, workflow: Workflow, folder: Path) -> None: ...
    def update(self, workflow: Workflow, changed: list[Node]) -> None: ...
    def end(self, workflow: Workflow) -> None: ...


class How(TypedDict, total=False):
    """Where and how a run is driven. `parallelism`: most processes at once; `isolated`: see `Driver`."""

    home: Required[Path]
    templates: Required[Path]
    images: Path | None
    parallelism: int | None
    display: Display | None
    clock: Clock
    isolated: bool
    inbox: Callable[[Path], Inbox]


def run(
    source: str,
    parameters: dict[str, str],
    *,
    namespace: str = "default",
    labels: dict[str, str] | None = None,
    name: str | None = None,
    **how: Unpack[How],
) -> Workflow:
    """Run a file or a template by name to its end; the final Workflow object. Refused before anything is written."""
    clock = how.setdefault("clock", Clock())
    found = load.source(source, how["templates"], clock.now(), image_table.read(how.get("images")))
    load.given(found, parameters)
    load.name(name)
    made = workflow.make(found, parameters, namespace, labels or {}, name, clock.now())
    if (how["home"] / "runs" / made["metadata"]["name"] / "workflow.json").exists():
        raise Refused(f"there is a run {made['metadata']['name']!r} already; resume it, delete it, or give another --name")
    return _drive(made, how, resumed=False)


def resume(name: str, *, selector: str = "", by: str = "", **how: Unpack[How]) -> Workflow:
    """Go on with a run whose runner is gone: what ended stays, what was running is run again in the same attempt.

    A suspended run, and its suspend nodes, those that the selector chooses, go on too. A run that failed, or was stopped by a signal, is
    opened again: what failed runs once more.
    """
    found = state.read(how["home"], name)
    if control.ended(found) or reopen.STOPPED_BY in (found["metadata"].get("annotations") or {}):
        _reopen(how["home"], found)
    else:
        _resume_nodes(found, Command("resume", selector, by=by or workflow.creator()), how.get("clock") or Clock())
    return _drive(found, how, resumed=True)


def _resume_nodes(found: Workflow, command: Command, clock: Clock) -> None:
    try:
        control.apply(found, Nodes(found["metadata"]["name"], found["status"]["nodes"], clock), command)
    except Refused:
        if command.selector:
            raise
        found["spec"].pop("suspend", None)  # a node that still lacks a value goes on waiting for it


def retry(name: str, parameters: dict[str, str], *, restart_successful: bool = False, selector: str = "", **how: Unpack[How]) -> Workflow:
    """Run again what failed in a run that is over, as `argo retry` does. Refused when it is not over, or for an unknown parameter."""
    found = state.read(how["home"], name)
    load.given({"spec": workflow.effective(found)}, parameters)
    retrying.reopen(found, restart_successful, selector, parameters, how.setdefault("clock", Clock()).now())
    return _drive(found, how, resumed=True)


def resubmit(name: str, parameters: dict[str, str], *, memoized: bool = False, **how: Unpack[How]) -> Workflow:
    """Run an earlier run's workflow once more, under a new name, as `argo resubmit` does. memoized: without what had succeeded."""
    old = state.read(how["home"], name)
    table = image_table.read(how.get("images"))
    made = resubmission.make(old, parameters, memoized, how["templates"], how.setdefault("clock", Clock()), table)
    return _drive(made, how, resumed=False)


def order(name: str, command: Command, **how: Unpack[How]) -> bool:
    """Give a run a command; True when a runner has taken it. Refused as Argo refuses it, Unanswered when the runner is stuck.

    Of a run that nobody drives the record is changed; when that ends it, it is driven to its end here.
    """
    if inbox.give(how["home"], name, command):
        return True
    clock = how.get("clock") or Clock()
    state.read(how["home"], name)  # there is such a run
    held = state.Run(how["home"], name, keeper=0)
    try:
        found = state.read(how["home"], name)
        control.apply(found, Nodes(name, found["status"]["nodes"], clock), command)
        held.save(found, (), final=True)
    finally:
        held.close()
    if found["spec"].get("shutdown"):
        _drive(found, how, resumed=True)
    return False


def exit_code(found: Workflow) -> int:
    """0; 128 + signal for a run that was stopped; the step's own code when it says whose fault it was (64 to 78); otherwise 1."""
    stopped = (found["metadata"].get("annotations") or {}).get(reopen.STOPPED_BY)
    if stopped:
        return 128 + int(stopped)
    if found["status"]["phase"] == "Succeeded":
        return 0
    known = workflow.templates(found, workflow.effective(found))
    failed = [n for n in found["status"]["nodes"].values() if n["type"] == "Pod" and n["phase"] == "Failed"]
    codes = [
        int(n["outputs"]["exitCode"])
        for n in sorted(failed, key=lambda n: str(n.get("finishedAt")))
        if "resource" not in known.get(library.key(n, n["templateScope"]), {}) and "exitCode" in (n.get("outputs") or {})
    ]
    return next((c for c in codes if c in _SYSEXITS), 1)


def _reopen(home: Path, found: Workflow) -> None:
    """Open a run again that ended badly, and the runs that it had started and that did."""
    if found["status"]["phase"] == "Succeeded":
        raise Refused(f"run {found['metadata']['name']!r} has succeeded; there is nothing to resume")
    children = [c for c in _children(home, found["metadata"]["name"]) if c["status"]["phase"] in ("Failed", "Error")]
    for child in children:
        _reopen(home, child)
        state.write(home / "runs" / child["metadata"]["name"] / "workflow.json", json.dumps(child))
    starters = [key for key, t in workflow.templates(found, workflow.effective(found)).items() if _starts_workflows(t)]
    reopen.workflow(found, frozenset(starters if children else ()))


def _starts_workflows(template: dict[str, Any]) -> bool:
    manifest = str((template.get("resource") or {}).get("manifest"))
    return re.search(r"""["']?kind["']?\s*:\s*["']?Workflow\b""", manifest) is not None


def _children(home: Path, name: str) -> list[Workflow]:
    found = [state.read(home, other) for other in state.names(home)]
    return [w for w in found if (w["metadata"].get("annotations") or {}).get(reopen.STARTED_BY) == name]


def _drive(found: Workflow, how: How, resumed: bool) -> Workflow:
    driver = Driver(
        how["home"].absolute(),
        how["templates"],
        image_table.read(how.get("images")),
        how.get("clock") or Clock(),
        how.get("parallelism"),
        how.get("display"),
        how.get("isolated", True),
        how.get("inbox", Inbox),
    )
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        driver.terminate() if len(heard) == 1 else driver.kill()

    try:
        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: whoever started us decides about signals
        before = {}
    try:
        return driver.drive(found, resumed, lambda: heard[0] if heard else 0)
    finally:
        driver.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: list[str]) -> int:
    """`python -m pipelines.local FILE [--parallelism=N] [-p name=value …]`: the least there is, for benchmarks and tests."""
    from pipelines.local.show import Plain

    source, *rest = arguments
    parameters = dict(pair.split("=", 1) for pair in rest if "=" in pair)
    how: How = {"home": Path(".fleece"), "templates": Path("workflow-templates"), "display": Plain(sys.stdout)}
    how["parallelism"] = int(parameters.pop("--parallelism", 0)) or None
    try:
        found = run(source, parameters, **how)
    except Refused as error:
        print(f"Error: {error}", file=sys.stderr)
        return Refused.code
    return exit_code(found)
