"""The runner's own refusals, and what is wrong with a workflow."""

from dataclasses import dataclass, replace

Path = tuple[str | int, ...]
"""Where something stands in a document."""


class Refused(Exception):
    """What was asked cannot be run as it is: one line, exit code 64, and nothing has been written."""

    code = 64


@dataclass(frozen=True)
class Fault:
    """What Argo would refuse, in its words. `rule`: the linter's name for this kind of fault; `via`: the calls by which Argo came there."""

    rule: str
    path: Path
    message: str
    via: str = ""
    elsewhere: bool = False
    """It stands in a template of another document; `path` is that of the call."""

    def __str__(self) -> str:
        return f"{self.via} {self.message}" if self.via else self.message

    def through(self, call: str) -> "Fault":
        """The same, seen from the template that makes the call."""
        return replace(self, via=f"{call} {self.via}".strip())
