"""What was done to a workflow while it was recorded: the lines that begin with `#! `.

`{"parameters": {…}}` are the `-p`; `{"when": {"displayName", "phase"}, "argo": […]}` is a command given once there was such a node;
`{"after": seconds, "argo": […]}` one given so long after the one before.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.local.clock import Clock
from pipelines.local.control import Command
from pipelines.local.inbox import Inbox, Order

Directive = dict[str, Any]

REACTION = 1.0  # seconds until somebody who waits for a node has seen it


def directives(text: str) -> list[Directive]:
    return [json.loads(line[3:]) for line in text.splitlines() if line.startswith("#! ")]


def parameters(found: list[Directive]) -> dict[str, str]:
    return {name: value for one in found for name, value in one.get("parameters", {}).items()}


@dataclass
class Arguments:
    """A command line of argo, taken apart."""

    verb: str
    flags: dict[str, list[str]] = field(default_factory=dict)

    def one(self, flag: str) -> str:
        return self.flags.get(flag, [""])[0]

    def pairs(self, flag: str) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in self.flags.get(flag, []))


def arguments(argv: list[str]) -> Arguments:
    verb, *rest = argv[1:] if argv[0] == "node" else argv
    found = Arguments(verb)
    words = iter(rest)
    for word in words:
        if word == "--restart-successful":
            found.flags[word] = [""]
        elif word.startswith("-"):
            found.flags.setdefault(word, []).append(next(words))
    return found


class Script(Inbox):
    """Gives a run the commands of its recording, each in its time; what the run refuses is kept."""

    def __init__(self, found: list[Directive], clock: Clock) -> None:
        self.left, self.clock = [d for d in found if "argo" in d], clock
        # The moment from which the time of the first command counts.
        self.since: float | None = None if self.left and "when" in self.left[0] else clock.now()
        self.workflow: dict[str, Any] = {"status": {"nodes": {}}}
        self.refusals: list[str] = []

    def __call__(self, run: Path) -> "Script":
        """Stands for the class: the driver makes one inbox a run."""
        super().__init__(run)
        return self

    @property
    def verb(self) -> str:
        """That of the next command; empty when none is left."""
        return arguments(self.left[0]["argo"]).verb if self.left else ""

    def next_time(self) -> float | None:
        if self.verb in ("", "retry", "get"):
            return None
        if self.since is None and self.is_met(self.left[0]["when"]):
            self.since = self.clock.now()
        return None if self.since is None else self.since + self.left[0].get("after", REACTION)

    def is_met(self, wanted: dict[str, str]) -> bool:
        nodes = self.workflow["status"]["nodes"].values()
        return any(all(node.get(key) == value for key, value in wanted.items()) for node in nodes)

    def take(self, found: dict[str, Any]) -> Iterator[Order]:
        self.workflow = found
        while (due := self.next_time()) is not None and due <= self.clock.now():
            yield Order("", self.command())

    def command(self) -> Command:
        given = arguments(self.left[0]["argo"])
        options = (given.one("--node-field-selector"), given.one("--message"), given.one("--phase"), given.pairs("--output-parameter"))
        return Command(given.verb, *options, by="admin")

    def answer(self, order: Order, refusal: str) -> None:
        self.refusals.append(refusal)
        self.step()

    def step(self) -> None:
        """The first command has been given."""
        del self.left[0]
        self.since = None if self.left and "when" in self.left[0] else self.clock.now()
