"""Members of a loop that are still open, so that a look at a loop of a thousand costs what is left of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Task = dict[str, Any]


@dataclass
class Expanded:
    """A task or step with its references filled in and its loop unrolled."""

    members: list[Task]
    loop: bool
    open: list[Task] = field(default_factory=list)

    def advance(self, step: Callable[[Task], str]) -> None:
        """Bring every open member one step further. `step` says "ended", "open", or "full": then those behind it cannot begin either."""
        left = []
        for index, member in enumerate(self.open):
            state = step(member)
            if state != "ended":
                left.append(member)
            if state == "full":
                left += self.open[index + 1 :]
                break
        self.open = left

    def __post_init__(self) -> None:
        self.open = list(self.members)
