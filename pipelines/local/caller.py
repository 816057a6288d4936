"""Where a template is called from, and what goes wrong in the calling."""

from dataclasses import dataclass
from typing import Any

from pipelines.local import expressions, tags

Call = dict[str, Any]

EVALUATION = (tags.TagError, expressions.ExpressionError)


class NodeError(Exception):
    """A node could not be made or went wrong in the controller; its node says so already."""


@dataclass
class Around:
    """Where a template is called from: in which dag or steps, for an exit handler or not, how deep."""

    boundary: str = ""
    flag: dict[str, bool] | None = None
    exit: bool = False
    depth: int = 1
