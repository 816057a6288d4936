"""What a rule is and what it found."""

from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """One kind of fault. `why`: what happens on a cluster; `fix`: the next move."""

    id: str
    severity: Severity
    why: str
    fix: str


@dataclass(frozen=True)
class Finding:
    """A rule broken in one place: the field's path in its document, and what was seen there."""

    rule: Rule
    path: Path
    what: str
