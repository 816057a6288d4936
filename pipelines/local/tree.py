"""The live step tree on a terminal."""

from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from rich.tree import Tree as Branch

from pipelines.local import durations, show
from pipelines.local.nodes import BAD, DONE, Node

Workflow = dict[str, Any]

BAR = 20  # characters
MANY = 12  # members of a loop shown one by one


class Tree(show.Plain):
    """Redrawn four times a second from the nodes as they are."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.console = Console(file=stream)
        self.workflow: Workflow = {}
        self.live: Live | None = None

    def begin(self, workflow: Workflow, folder: Path) -> None:
        self.workflow, self.folder = workflow, folder
        self.live = Live(console=self.console, get_renderable=self.render, refresh_per_second=4)
        self.live.start()

    def update(self, workflow: Workflow, changed: list[Node]) -> None:
        super().note(changed)

    def end(self, workflow: Workflow) -> None:
        if self.live is not None:
            self.live.refresh()
            self.live.stop()
        for node in show.failed(workflow)[:1] if workflow["status"]["phase"] in BAD else ():
            self.console.rule(f"log of {show.path(workflow['status']['nodes'], node)}", align="left")
            for line in show.tail(self.folder, node):
                self.console.print(line, markup=False, highlight=False)

    def render(self) -> Group:
        """The tree now; nodes may be added while it is drawn, so it is drawn from a copy."""
        nodes: dict[str, Node] = dict(self.workflow["status"]["nodes"])
        meta, status = self.workflow["metadata"], self.workflow["status"]
        head = Text.assemble(_mark(status["phase"]), (f"{meta['name']}  ", "bold"), status["phase"])
        if status.get("message"):
            head.append(f"  {status['message']}", "dim")
        root = Branch(head)
        inside: dict[str, list[Node]] = {}
        for node in nodes.values():
            inside.setdefault(node.get("boundaryID", ""), []).append(node)
        self.grow(root, inside, meta["name"])
        for node in inside.get("", []):
            if node["id"] != meta["name"]:
                self.grow(self.entry(root, node), inside, node["id"])
        return Group(root)

    def grow(self, branch: Branch, inside: dict[str, list[Node]], boundary: str) -> None:
        members = [n for n in inside.get(boundary, []) if n["type"] not in ("StepGroup", "TaskGroup", "Retry")]
        quiet = ("Succeeded", "Skipped", "Omitted")
        shown = members if len(members) <= 2 * MANY else [n for n in members if n["phase"] not in quiet][:MANY]
        for node in shown:
            self.grow(self.entry(branch, node), inside, node["id"])
        if len(shown) < len(members):
            ended = sum(n["phase"] in DONE for n in members)
            branch.add(Text(f"… {ended} of {len(members)} ended", "dim"))

    def entry(self, branch: Branch, node: Node) -> Branch:
        phase = node["phase"]
        text = Text.assemble(_mark(phase), node["displayName"])
        if node["type"] != "Skipped" and phase != "Pending":
            text.append(f"  {durations.human(self.seconds(node))}", "dim")
        if phase == "Running" and node["type"] == "Pod":
            text.append(self.progress(node), "cyan")
        if node.get("message"):
            text.append(f"  {node['message'][:160]}", "red" if phase in BAD else "dim")
        return branch.add(text)

    def progress(self, node: Node) -> str:
        """`12/90` in the node's progress file, as a bar, and the last line of its log: the loss, where it is a training."""
        bar = _bar(self.folder / "nodes" / node["id"] / "progress")
        return f"{bar}  {''.join(show.tail(self.folder, node)[-1:])[:100]}" if bar else ""


def _mark(phase: str) -> tuple[str, str]:
    return f"{show.MARKS.get(phase, '?')} ", show.COLOURS.get(phase, "dim")


def _bar(path: Path) -> str:
    try:
        done, total = (int(n) for n in path.read_text().split("/"))
    except (OSError, ValueError):
        return ""
    full = BAR * done // total if total else 0
    return f"  {'█' * full}{'░' * (BAR - full)} {done}/{total}"
