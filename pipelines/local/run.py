"""Runs and resumes workflows on this machine: the runner's public face."""

import json
import re
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from pipelines.local import images as image_table
from pipelines.local import load, reopen, state, workflow
from pipelines.local.clock import Clock
from pipelines.local.driver import Driver
from pipelines.local.faults import Refused
from pipelines.local.nodes import Node

Workflow = dict[str, Any]

_SYSEXITS = range(64, 79)

__all__ = ["Display", "Refused", "exit_code", "resume", "run"]


class Display(Protocol):
    """Who shows a run while it goes on."""

    def begin(self, workflow: Workflow, folder: Path) -> None: ...
    def update(self, workflow: Workflow, changed: list[Node]) -> None: ...
    def end(self, workflow: Workflow) -> None: ...


def run(
    source: str,
    parameters: dict[str, str],
    *,
    home: Path,
    templates: Path,
    namespace: str = "default",
    images: Path | None = None,
    labels: dict[str, str] | None = None,
    parallelism: int | None = None,
    name: str | None = None,
    display: Display | None = None,
    clock: Clock | None = None,
) -> Workflow:
    """Run a file or a template by name to its end; the final Workflow object. Refused before anything is written."""
    clock = clock or Clock()
    found = load.source(source, templates)
    load.given(found, parameters)
    load.name(name)
    table = image_table.read(images)
    made = workflow.make(found, parameters, namespace, labels or {}, name, clock.now())
    if (home / "runs" / made["metadata"]["name"] / "workflow.json").exists():
        raise Refused(f"there is a run {made['metadata']['name']!r} already; resume it, delete it, or give another --name")
    driver = Driver(home.absolute(), templates, table, clock, parallelism, display)
    return _drive(driver, made, resumed=False)


def resume(
    name: str,
    *,
    home: Path,
    templates: Path,
    images: Path | None = None,
    parallelism: int | None = None,
    display: Display | None = None,
    clock: Clock | None = None,
) -> Workflow:
    """Go on with a run whose runner is gone: what ended stays, what was running is run again in the same attempt.

    A run that was stopped, or failed, is opened again: what failed runs once more.
    """
    found = state.read(home, name)
    if found["status"]["phase"] in ("Succeeded", "Failed", "Error"):
        _reopen(home, found)
    driver = Driver(home.absolute(), templates, image_table.read(images), clock or Clock(), parallelism, display)
    return _drive(driver, found, resumed=True)


def exit_code(found: Workflow) -> int:
    """0; 128 + signal for a run that was stopped; the step's own code when it says whose fault it was (64 to 78); otherwise 1."""
    stopped = (found["metadata"].get("annotations") or {}).get(reopen.STOPPED_BY)
    if stopped:
        return 128 + int(stopped)
    if found["status"]["phase"] == "Succeeded":
        return 0
    resources = {t["name"] for t in workflow.effective(found)["templates"] if "resource" in t}
    failed = [n for n in found["status"]["nodes"].values() if n["type"] == "Pod" and n["phase"] == "Failed"]
    codes = [
        int(n["outputs"]["exitCode"])
        for n in sorted(failed, key=lambda n: str(n.get("finishedAt")))
        if n.get("templateName") not in resources and "exitCode" in (n.get("outputs") or {})
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
    starters = [t["name"] for t in workflow.effective(found)["templates"] if _starts_workflows(t)]
    reopen.workflow(found, frozenset(starters if children else ()))


def _starts_workflows(template: dict[str, Any]) -> bool:
    manifest = str((template.get("resource") or {}).get("manifest"))
    return re.search(r"""["']?kind["']?\s*:\s*["']?Workflow\b""", manifest) is not None


def _children(home: Path, name: str) -> list[Workflow]:
    found = [state.read(home, other) for other in state.names(home)]
    return [w for w in found if (w["metadata"].get("annotations") or {}).get(reopen.STARTED_BY) == name]


def _drive(driver: Driver, found: Workflow, resumed: bool) -> Workflow:
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
    """`python -m pipelines.local FILE [-p name=value …]`: the least there is, for benchmarks and tests."""
    from pipelines.local.show import Plain

    source, *rest = arguments
    parameters = dict(pair.split("=", 1) for pair in rest if "=" in pair)
    try:
        found = run(source, parameters, home=Path(".fleece"), templates=Path("workflow-templates"), display=Plain(sys.stdout))
    except Refused as error:
        print(f"Error: {error}", file=sys.stderr)
        return Refused.code
    return exit_code(found)
