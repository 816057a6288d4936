"""What the steps of a run see of this machine: whether they get a root folder of their own, and what stays visible in it."""

import json
import sys
from pathlib import Path
from typing import Any

from pipelines.local import isolation, objectfile, relocation, state, workflow
from pipelines.local.gang import FOR_GANGS
from pipelines.local.images import Images
from pipelines.local.keeper import Keeper

Workflow = dict[str, Any]

ISOLATION = "fleece.dev/isolation"
"""The annotation of a run that was started with `--isolation none`, so that it goes on like that."""


class Surroundings:
    """`why_not`: why the steps have no root of their own; empty when they have."""

    def __init__(self, home: Path, images: Images, isolated: bool) -> None:
        self.home, self.bins = home, [environment.bin for environment in images.table.values()]
        self.why_not = "" if isolated else "--isolation none"

    def choose(self, keeper: Keeper, first: Workflow, tell: bool) -> None:
        """Find out by trying, once a run, and `tell` when it is forbidden. Refused when a template of the run needs it then."""
        annotations = first["metadata"].setdefault("annotations", {})
        if self.why_not:
            annotations[ISOLATION] = "none"
        elif annotations.get(ISOLATION) == "none":
            self.why_not = "--isolation none when it was started"
        elif reason := keeper.why_not():
            self.why_not = reason
            if tell:
                print(f"steps share the paths of this machine, as with --isolation none: {reason}", file=sys.stderr)
        if self.why_not:
            relocation.check(list(workflow.templates(first, workflow.effective(first)).values()), self.why_not)
        with objectfile.locked(self.home):  # other runners of this home write it too
            state.write(self.home / FOR_GANGS, json.dumps(self.visible(first)))

    def visible(self, found: Workflow) -> list[str] | None:
        """What isolated steps see also below their own paths: what they run with, and what the run's arguments name. None: no isolation."""
        if self.why_not:
            return None
        given = (workflow.effective(found).get("arguments") or {}).get("parameters") or []
        return [*isolation.of_machine(self.home, str(Path.cwd()), self.bins), *isolation.named(str(p.get("value")) for p in given)]
