"""The runs of a home folder: found by name, filtered and ordered as `argo list` does, deleted."""

import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import clock, selectors, state
from pipelines.local.faults import Refused
from pipelines.local.nodes import COMPLETED
from pipelines.local.objects import Objects
from pipelines.local.printer import status

Workflow = dict[str, Any]

LATEST = "@latest"
RESUBMITTED = "workflows.argoproj.io/resubmitted-from-workflow"
_AGE = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def find(home: Path, name: str) -> Workflow:
    """The run of this name, or the one made last for `@latest`. Refused when there is none."""
    if name != LATEST:
        return state.read(home, name)
    runs = [state.read(home, one) for one in state.names(home)]
    if not runs:
        raise Refused(f"no runs in {home}; `fleece run` makes one")
    return max(reversed(runs), key=lambda run: str(run["metadata"]["creationTimestamp"]))


def words(home: Path, run: Workflow) -> str:
    """The status of a run as people read it; one that has not ended and that nobody drives was interrupted."""
    if run["status"]["phase"] in COMPLETED or state.driver(home, run["metadata"]["name"]):
        return status(run)
    return f"{run['status']['phase']} (Interrupted)"


@dataclass(frozen=True)
class Filter:
    """Which runs `list` and `delete` take: all that meet every condition given. Ages are texts such as `10m` or `7d`."""

    phases: tuple[str, ...] = ()
    running: bool = False
    completed: bool = False
    resubmitted: bool = False
    prefix: str = ""
    labels: str = ""
    since: str = ""
    older: str = ""

    def __bool__(self) -> bool:
        return self != Filter()


def runs(home: Path, chosen: Filter, now: float | None = None) -> list[Workflow]:
    """The chosen runs: what goes on first, then what ended last. Refused for a filter that cannot be read."""
    return select((state.read(home, name) for name in reversed(state.names(home))), chosen, now)


def select(known: Iterable[Workflow], chosen: Filter, now: float | None = None) -> list[Workflow]:
    """The same of any runs."""
    takes = _condition(chosen, time.time() if now is None else now)
    found = [run for run in known if takes(run)]
    by_start = sorted(found, key=lambda run: str(run["metadata"]["creationTimestamp"]), reverse=True)
    return sorted(by_start, key=lambda run: str(run["status"].get("finishedAt") or "~"), reverse=True)


def _condition(chosen: Filter, now: float) -> Callable[[Workflow], bool]:
    if chosen.running and chosen.completed:
        raise Refused("--completed and --running cannot be used together")
    since = _moment("--since", chosen.since, now) if chosen.since else None
    older = _moment("--older", chosen.older, now) if chosen.older else None
    try:
        labels = selectors.parse(chosen.labels)
    except selectors.SelectorError as error:
        raise Refused(f"--selector {chosen.labels!r}: {error}") from None

    def takes(run: Workflow) -> bool:
        meta, phase = run["metadata"], run["status"]["phase"]
        ended = run["status"].get("finishedAt")
        return (
            (not chosen.phases or phase in chosen.phases)
            and not (chosen.running and phase in COMPLETED)
            and not (chosen.completed and phase not in COMPLETED)
            and not (chosen.resubmitted and RESUBMITTED not in meta["labels"])
            and meta["name"].startswith(chosen.prefix)
            and all(one.suits(one.key in meta["labels"], str(meta["labels"].get(one.key, ""))) for one in labels)
            and (since is None or clock.seconds(meta["creationTimestamp"]) > since)
            and (older is None or bool(ended and clock.seconds(ended) < older))
        )

    return takes


def _moment(option: str, age: str, now: float) -> float:
    found = _AGE.fullmatch(age)
    if found is None:
        raise Refused(f"{option} {age!r} is no age; write a number and s, m, h or d, such as 7d")
    return now - int(found[1]) * _SECONDS[found[2]]


def delete(home: Path, run: Workflow) -> None:
    """Remove a run with its logs and what it owns: objects, and runs that it started. Artifacts stay. Refused while it is driven."""
    meta = run["metadata"]
    if process := state.driver(home, meta["name"]):
        raise Refused(f"run {meta['name']!r} is being driven by process {process}; `fleece stop {meta['name']}` first")
    objects = Objects(home, meta["namespace"])
    for owned in objects.owned_by(meta["uid"]):
        if owned["kind"] == "Workflow" and owned["metadata"]["name"] in state.names(home):
            delete(home, state.read(home, owned["metadata"]["name"]))
        objects.delete(owned["kind"], owned["metadata"]["name"], owned["metadata"]["namespace"])
    folder = home / "runs" / meta["name"]
    for file in ("journal.jsonl", "workflow.json"):  # without them it is no run any more, whatever happens to the rest
        (folder / file).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
