"""Shows a run of a cluster until it ends, as one of this machine is shown."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.cluster import logs
from pipelines.cluster.api import Api, patiently
from pipelines.local import show
from pipelines.local.faults import Refused
from pipelines.local.nodes import BAD, COMPLETED, Node

Workflow = dict[str, Any]

LOOK_SECONDS = 1.0


def to_end(api: Api, run: Workflow, find: Callable[[], Workflow], display: show.Plain) -> Workflow:
    """The run as it ended. Refused when it is deleted meanwhile, or the API stays away."""
    with TemporaryDirectory() as folder:
        display.begin(run, Path(folder))
        try:
            while run["status"]["phase"] not in COMPLETED:
                time.sleep(LOOK_SECONDS)
                run, before = patiently(find), run
                display.update(run, changed(before, run))
            _last_words(api, run, Path(folder))
            display.end(run)
        finally:
            display.close()
    return run


def changed(before: Workflow, after: Workflow) -> list[Node]:
    """The steps that are new or otherwise than before."""
    known = before["status"]["nodes"]
    return [node for key, node in after["status"]["nodes"].items() if known.get(key) != node]


def _last_words(api: Api, run: Workflow, folder: Path) -> None:
    """The end of the log of the step that failed, where the display looks for it."""
    for node in show.failed(run)[:1] if run["status"]["phase"] in BAD else ():
        place = folder / "nodes" / node["id"]
        place.mkdir(parents=True)
        with contextlib.suppress(Refused):  # a missing right hides the log, not how the run ended
            lines = [line for _, line in logs.recorded(api, run, node["id"], show.TAIL, lambda said: None)]
            (place / "main.log").write_text("\n".join(lines))
