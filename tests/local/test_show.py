"""What people see of a run."""

import io
import re
from pathlib import Path
from typing import Any

from pipelines.local import show
from pipelines.local.show import Plain
from pipelines.local.tree import Tree
from tests.local.play import manifest, play, sh


class Screen(io.StringIO):
    """A terminal, to rich."""

    def isatty(self) -> bool:
        return True


def steps(*names: str) -> dict[str, Any]:
    return {"name": "main", "steps": [[{"name": n, "template": n}] for n in names]}


def test_without_a_terminal_every_event_is_a_line(tmp_path: Path) -> None:
    out = io.StringIO()
    inner = {"name": "train", "dag": {"tasks": [{"name": "create", "template": "ok"}]}}
    skipped = {"name": "main", "steps": [[{"name": "train", "template": "train"}], [{"name": "no", "template": "ok", "when": "false"}]]}
    play(tmp_path, manifest(skipped, inner, sh("ok", "true")), display=Plain(out))
    lines = [re.sub(r"^\d\d:\d\d:\d\d |[\d.]+s$", "", line) for line in out.getvalue().splitlines()]
    assert lines == [
        "w  Pending",
        "train.create  Running",
        "train.create  Succeeded  ",
        "no  Skipped  when 'false' evaluated false",
        "w  Succeeded  ",
    ]


def test_a_failure_shows_the_last_lines_of_its_log(tmp_path: Path) -> None:
    out = io.StringIO()
    script = "for i in $(seq 40); do echo line $i; done; exit 7"
    play(tmp_path, manifest(steps("bad"), sh("bad", script)), display=Plain(out))
    text = out.getvalue()
    assert "--- log of bad\n" in text
    assert "line 40\nError: exit status 7\n" in text
    assert "line 20\n" not in text
    assert re.search(r"bad  Failed  [\d.]+s  main: Error \(exit code 7\)", text)


def test_on_a_terminal_there_is_a_tree(tmp_path: Path) -> None:
    screen = Screen()
    display = show.make(screen)
    assert isinstance(display, Tree)
    play(tmp_path, manifest(steps("good", "bad"), sh("good", "true"), sh("bad", "echo so it was; exit 7")), display=display)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"✔ good  [\d.]+s", text)
    assert re.search(r"✖ bad  [\d.]+s  main: Error \(exit code 7\)", text)
    assert "so it was" in text


def test_a_running_step_shows_its_progress_as_a_bar_and_the_last_line_of_its_log(tmp_path: Path) -> None:
    tree = Tree(Screen())
    begun = {"phase": "Running", "startedAt": "2026-01-01T00:00:00Z"}
    node = {"id": "w-1", "displayName": "train", "type": "Pod", "boundaryID": "w", **begun}
    entry = {"id": "w", "displayName": "w", "type": "DAG", "children": ["w-1"], **begun}
    tree.folder, tree.workflow = tmp_path, {"metadata": {"name": "w"}, "status": {"nodes": {"w": entry, "w-1": node}, **begun}}
    (tmp_path / "nodes/w-1").mkdir(parents=True)
    (tmp_path / "nodes/w-1/progress").write_text("45/90\n")
    (tmp_path / "nodes/w-1/main.log").write_text("step 40/90\nstep 45/90, loss 1.2\n")
    with tree.console.capture() as shown:
        tree.console.print(tree.render())
    assert "██████████░░░░░░░░░░ 45/90  step 45/90, loss 1.2" in shown.get()
