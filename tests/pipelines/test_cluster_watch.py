"""A run of a cluster while it is watched: looked at now and then, by an API that may be away for a while."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.cluster import api, faults, watch
from pipelines.local import show
from pipelines.local.faults import Refused
from pipelines.local.tree import Tree


def run(phase: str, **nodes: tuple[str, str]) -> dict[str, Any]:
    """A run whose steps are in these phases, since these seconds of the same minute."""
    times = {"startedAt": "2026-11-21T17:00:00Z", "finishedAt": "2026-11-21T17:00:30Z" if phase != "Running" else None}
    made = {
        name: {"id": name, "name": name, "displayName": name, "type": "Pod", "phase": now, "startedAt": f"2026-11-21T17:00:{at}Z"}
        | ({"finishedAt": "2026-11-21T17:00:20Z"} if now != "Running" else {})
        for name, (now, at) in nodes.items()
    }
    return {"metadata": {"name": "w"}, "spec": {}, "status": {"phase": phase, "nodes": made, **times}}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0)
    monkeypatch.setattr(api, "_PAUSE_SECONDS", 0)


def test_every_change_is_shown_with_the_times_that_the_controller_wrote() -> None:
    seen = iter([run("Running", a=("Running", "05")), run("Succeeded", a=("Succeeded", "05"), b=("Succeeded", "08"))])
    shown = io.StringIO()
    ended = watch.to_end(None, run("Pending"), lambda: next(seen), show.Plain(shown, here=False))  # type: ignore[arg-type]  # no log is read
    assert ended["status"]["phase"] == "Succeeded"
    assert [line.partition(" ")[2] for line in shown.getvalue().splitlines()] == [
        "w  Pending",
        "a  Running",
        "a  Succeeded  15s",
        "b  Succeeded  12s",
        "w  Succeeded  30s",
    ]


@pytest.mark.parametrize(("progress", "shown"), [("12/90", " 12/90"), ("0/1", ""), (None, ""), ("1/x", "")])
def test_a_step_that_counts_what_it_does_has_a_bar(progress: str | None, shown: str) -> None:
    found = run("Running", a=("Running", "05"))
    found["status"]["nodes"]["a"] |= {"progress": progress, "boundaryID": "w"}
    found["status"]["nodes"]["w"] = {"id": "w", "name": "w", "displayName": "w", "type": "DAG", "phase": "Running"}
    tree = Tree(io.StringIO(), here=False)
    tree.update(found, [])
    assert tree.progress(found["status"]["nodes"]["a"]).endswith(shown)
    assert bool(tree.progress(found["status"]["nodes"]["a"])) is bool(shown)


def answers(*what: Any) -> Iterator[Any]:
    yield from what


def test_an_api_that_is_away_for_a_while_is_asked_again() -> None:
    left = answers(faults.Unreachable("away"), faults.TryAgain("busy"), "here")

    def ask() -> str:
        if isinstance(found := next(left), Exception):
            raise found
        return str(found)

    assert api.patiently(ask) == "here"


def test_what_will_not_get_better_is_not_asked_again() -> None:
    def gone() -> str:
        raise faults.NotFound("gone")

    with pytest.raises(Refused, match="gone"):
        api.patiently(gone)
