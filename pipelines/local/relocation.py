"""Which absolute paths of a workflow cannot be moved, where steps have no namespace of their own: a refusal names them.

Placeholders and declared paths are moved below the node's folder. What else a template writes to /tmp would be shared by all steps of this
machine, and a working directory that is not here cannot be made.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.local.faults import Refused
from pipelines.local.isolation import PATH, SCRATCH
from pipelines.local.nodes import Template
from pipelines.local.paths import declared


def check(templates: list[Template], why: str) -> None:
    """Refused when a template needs its own root; `why` says why it cannot have one."""
    for template in templates:
        body = template.get("container") or template.get("script") or {}
        known = [*declared(template), *(str(mount.get("mountPath")) for mount in body.get("volumeMounts") or [])]
        for path in _named(body):
            if not any(path == one.rstrip("/") or path.startswith(f"{one.rstrip('/')}/") for one in known if one != SCRATCH):
                name = template.get("name", "inline")
                raise Refused(
                    f"template {name!r}: {path} is a step's own only in a mount namespace ({why}); "
                    "declare it as a path of an input or output, or use a path below $TMPDIR"
                )


def _named(body: dict[str, Any]) -> Iterator[str]:
    folder = str(body.get("workingDir") or "")
    if folder.startswith("/") and "{{" not in folder and not Path(folder).is_dir():
        yield os.path.normpath(folder)
    literal = [variable.get("value") for variable in body.get("env") or []]
    for text in [*(body.get("command") or []), *(body.get("args") or []), body.get("source"), *literal]:
        for found in PATH.finditer(str(text)):
            path = Path(os.path.normpath(f"/{found[1]}"))
            if str(path).startswith(f"{SCRATCH}/") and not _of_machine(path):
                yield str(path)


def _of_machine(path: Path) -> bool:
    """A file of this machine, or a new one beside its files, that somebody named."""
    return path.exists() or (str(path.parent) != SCRATCH and path.parent.is_dir())
