"""The live step tree on a terminal: what runs, how long, what went wrong; folded so that it fits."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pipelines.local import durations, outline, show, spec_warnings
from pipelines.local.control import is_waiting
from pipelines.local.nodes import BAD, DONE, Node
from pipelines.local.outline import Entry

Workflow = dict[str, Any]

BAR = 20  # characters
LAST_WORDS = 3  # log lines shown below a step that failed while others go on


class Tree(show.Plain):
    """Redrawn four times a second from the nodes as they are."""

    def __init__(self, stream: TextIO, here: bool = True) -> None:
        super().__init__(stream, here)
        self.console = Console(file=stream, highlight=False)
        self.workflow: Workflow = {}
        self.live: Live | None = None
        self.last_words: dict[str, list[str]] = {}

    def begin(self, workflow: Workflow, folder: Path) -> None:
        self.workflow, self.folder = workflow, folder
        self.live = Live(console=self.console, get_renderable=self.render, refresh_per_second=4)
        self.live.start()

    def update(self, workflow: Workflow, changed: list[Node]) -> None:
        self.workflow = workflow
        self.note(changed)

    def end(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.close()
        for warning in spec_warnings.of(workflow["status"]):
            self.console.print(Text(f"⚠ {warning}", "yellow"))
        for node in show.failed(workflow)[:1] if workflow["status"]["phase"] in BAD else ():
            path = show.path(workflow["status"]["nodes"], node)
            self.console.print(Text(f"✖ {path}: {node.get('message', '')}", "red"))
            for line in show.tail(self.folder, node):
                self.console.print(Text(f"  {line}"))

    def close(self) -> None:
        if self.live is not None:
            self.live.refresh()
            self.live.stop()
            self.live = None

    def render(self) -> Group:
        """The tree now; nodes may be added while it is drawn, so it is drawn from a copy. When the run is over it need not fit."""
        nodes: dict[str, Node] = dict(self.workflow["status"]["nodes"])
        over = self.workflow["status"]["phase"] in DONE
        found, room = outline.entries(nodes, self.workflow["metadata"]["name"]), self.console.height - 2
        shown = list(outline.lines(outline.folded(found, 0) if over else outline.fitting(found, room)))
        lines = [line for guide, below, entry in shown for line in self.entry(guide, below, entry, said=not over)]
        if not over and len(lines) > room:
            lines = [line for guide, below, entry in shown for line in self.entry(guide, below, entry, said=False)]
        if not over and len(lines) > room:
            lines = [*lines[: room - 1], Text(f"… {len(lines) - room + 1} more lines", "dim")]
        return Group(self.head(), *lines)

    def head(self) -> Text:
        meta, status = self.workflow["metadata"], self.workflow["status"]
        took = show.seconds(status, time.time()) if status.get("startedAt") else 0.0
        head = _line(_mark(status["phase"]), (meta["name"], "bold"), f"  {status['phase']}", (f"  {durations.human(took)}", "dim"))
        if (number := len(spec_warnings.of(status))) and status["phase"] not in DONE:
            head.append(f"  {number} warning{'s' * (number > 1)}", "yellow")
        if status.get("message"):
            head.append(f"  {status['message']}", "dim")
        return head

    def entry(self, guide: str, below: str, entry: Entry, said: bool) -> Iterator[Text]:
        """The line of an entry; `said`: and the last words of a step that failed."""
        if entry.count:
            yield _line((guide, "dim"), _mark(entry.phase), (f"{entry.count} {entry.phase.lower()}", "dim"))
            return
        waits = entry.node is not None and is_waiting(entry.node)
        text = _line((guide, "dim"), ("ǁ ", "cyan") if waits else _mark(entry.phase), entry.name)
        if entry.members is not None:
            text.append(f"  {entry.members[0]} of {entry.members[1]}", "dim")
        elif entry.node is not None:
            self.describe(text, entry, entry.node)
        yield text
        if said and outline.bad(entry) and entry.node is not None:
            yield from (_line((f"{below}{line}", "dim")) for line in self.words(entry.node))

    def describe(self, text: Text, entry: Entry, node: Node) -> None:
        if node["type"] != "Skipped" and entry.phase != "Pending":
            text.append(f"  {durations.human(self.seconds(node))}", "dim")
        if entry.attempts > 1:
            text.append(f"  attempt {entry.attempts}", "yellow")
        if show.reused(node):
            text.append("  reused", "dim")
        if is_waiting(node) and not node.get("message"):
            text.append(f"  waits; `fleece resume {self.workflow['metadata']['name']}` goes on", "cyan")
        if entry.phase == "Running" and node["type"] == "Pod":
            text.append(self.progress(node), "cyan")
        if node.get("message") and not entry.inside:  # of what lies around a failure Argo only says that a child failed
            text.append(f"  {' '.join(node['message'].split())}", "red" if entry.phase in BAD else "dim")

    def words(self, node: Node) -> list[str]:
        """The last lines of a log that grows no more."""
        if node["id"] not in self.last_words:
            self.last_words[node["id"]] = show.tail(self.folder, node)[-LAST_WORDS:]
        return self.last_words[node["id"]]

    def progress(self, node: Node) -> str:
        """`12/90`, as a bar, and the last line of the node's log where it is at hand: the loss, where it is a training."""
        bar = _bar(_text(self.folder / "nodes" / node["id"] / "progress") if self.here else _counted(node))
        return f"{bar}  {''.join(show.tail(self.folder, node)[-1:])[:100]}".rstrip() if bar else ""


def _line(*parts: str | tuple[str, str]) -> Text:
    """One line, however narrow the terminal."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _mark(phase: str) -> tuple[str, str]:
    return f"{show.MARKS.get(phase, '?')} ", show.COLOURS.get(phase, "dim")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _counted(node: Node) -> str:
    """What a step said of its progress; one that says nothing is one thing to do."""
    said = str(node.get("progress") or "")
    return "" if said.endswith("/1") else said


def _bar(progress: str) -> str:
    try:
        done, total = (int(n) for n in progress.split("/"))
    except ValueError:
        return ""
    full = max(0, min(BAR, BAR * done // total)) if total else 0
    return f"  {'█' * full}{'░' * (BAR - full)} {done}/{total}"
