"""A run as people think of it, and folded so that it fits."""

from typing import Any

import pytest

from pipelines.local import outline
from pipelines.local.outline import Entry


def node(name: str, kind: str = "Pod", phase: str = "Succeeded", around: str = "w", children: tuple[str, ...] = ()) -> dict[str, Any]:
    made = {"id": name, "name": name, "displayName": name, "type": kind, "phase": phase, "startedAt": "2026-01-01T00:00:00Z"}
    return made | ({"boundaryID": around} if around else {}) | ({"children": list(children)} if children else {})


def drawn(found: list[Entry]) -> list[str]:
    """Every line: guides, name or number, phase, members, attempts."""
    return [
        f"{guide}{entry.name or entry.count} {entry.phase}"
        + (f" {entry.members[0]} of {entry.members[1]}" if entry.members else "")
        + (f" x{entry.attempts}" if entry.attempts else "")
        for guide, _, entry in outline.lines(found)
    ]


def entries(*nodes: dict[str, Any]) -> list[Entry]:
    return outline.entries({one["id"]: one for one in (node("w", "DAG", "Running", ""), *nodes)}, "w")


def test_attempts_are_part_of_their_step_and_groups_are_not_shown() -> None:
    found = entries(
        node("[0]", "StepGroup", children=("a", "b")),
        node("a", "Retry", "Running", children=("a(0)", "a(1)")),
        node("a(0)", phase="Failed"),
        node("a(1)", phase="Running"),
        node("b"),
        node("w.onExit", phase="Pending", around=""),
    )
    assert drawn(found) == ["├─ a Running x2", "├─ b Succeeded", "└─ w.onExit Pending"]


def test_members_of_a_loop_stand_together_and_a_long_one_shows_what_is_at_work() -> None:
    phases = ["Succeeded"] * 20 + ["Running", "Failed"] + ["Pending"] * 10
    found = entries(*(node(f"each({i}:x)", phase=phase) for i, phase in enumerate(phases)))
    assert len(drawn(found)) == 33
    assert drawn(outline.folded(found, 0)) == ["└─ each Failed 21 of 32", "   ├─ each(20:x) Running", "   └─ each(21:x) Failed"]


SOME = entries(
    node("a", "DAG"), node("a1", around="a"), node("a2", around="a"), node("b"), node("c"),
    node("d", "DAG", "Running"), node("d1", phase="Running", around="d"), node("e", phase="Pending"), node("f", phase="Pending"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (9, ["├─ a Succeeded", "│  ├─ a1 Succeeded", "│  └─ a2 Succeeded", "├─ b Succeeded", "├─ c Succeeded", "├─ d Running",
             "│  └─ d1 Running", "├─ e Pending", "└─ f Pending"]),
        (7, ["├─ a Succeeded", "├─ b Succeeded", "├─ c Succeeded", "├─ d Running", "│  └─ d1 Running", "├─ e Pending", "└─ f Pending"]),
        (5, ["├─ 3 Succeeded", "├─ d Running", "│  └─ d1 Running", "├─ e Pending", "└─ f Pending"]),
        (4, ["├─ 3 Succeeded", "├─ d Running", "│  └─ d1 Running", "└─ 2 Pending"]),
        (1, ["├─ 3 Succeeded", "├─ d Running", "│  └─ d1 Running", "└─ 2 Pending"]),
    ],
)  # fmt: skip
def test_what_is_done_is_folded_first_then_what_has_not_begun(room: int, shown: list[str]) -> None:
    assert drawn(outline.fitting(SOME, room)) == shown


def test_a_run_of_one_step_is_that_step() -> None:
    assert drawn(outline.entries({"w": node("w", around="")}, "w")) == ["└─ w Succeeded"]
    assert outline.entries({}, "w") == []
