"""One run that is being driven: what holds it together between two looks of its engine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import control, ending, volumes, workflow
from pipelines.local.engine import Engine
from pipelines.local.faults import Refused
from pipelines.local.inbox import Inbox
from pipelines.local.leaves import LeafNodes
from pipelines.local.nodes import Node
from pipelines.local.objects import Objects
from pipelines.local.reopen import STARTED_BY, STOPPED_BY
from pipelines.local.state import Run

_SHOWN = ("phase", "message", "startedAt", "finishedAt", "progress", "outputs")


@dataclass
class Session:
    """A run with its engine, its record and its processes. `changed` is told of the nodes after every look."""

    home: Path
    engine: Engine
    run: Run
    leaves: LeafNodes
    objects: Objects
    inbox: Inbox
    changed: Callable[[dict[str, Any], list[Node]], None] = lambda found, nodes: None

    @property
    def over(self) -> bool:
        return self.engine.over

    def begin(self) -> None:
        self.engine.begin_run()
        self.run.save(self.engine.object, (), final=True)
        self.report()

    def close(self) -> None:
        self.engine.locks.release_all()
        self.inbox.close()
        self.run.close()

    def times(self) -> list[float]:
        """When to look again though nothing has happened."""
        return [t for t in (self.engine.wake, self.leaves.next_time(), self.inbox.next_time()) if t is not None]

    def advance(self, stopped_by: int) -> None:
        """Look at the run until nothing more can be done at once. What is to start is on disk before.

        stopped_by: the signal that ends it, or 0.
        """
        engine = self.engine
        if stopped_by:
            self.interrupted(stopped_by)
        self.obey()
        self.leaves.poll()
        while True:
            engine.operate()
            if not (engine.over or len(self.leaves) or engine.waits or self.inbox.next_time() is not None):
                ending.give_up(engine)
            if engine.over:
                volumes.collect(self.home, engine.object, engine.spec)
            self.save()
            if engine.over or not self.leaves.launch():
                break
        if not engine.over:
            self.save()

    def interrupted(self, number: int) -> None:
        """Remember the signal: what it ended is run again by a resume, unlike what a command ended."""
        annotations = self.engine.object["metadata"].setdefault("annotations", {})
        if STOPPED_BY not in annotations:
            annotations[STOPPED_BY] = str(number)
            self.run.save(self.engine.object, (), final=True)

    def obey(self) -> None:
        """Carry out what came from other processes. It is on disk before it has an effect, and before whoever asked hears of it."""
        engine = self.engine
        for order in self.inbox.take(engine.object):
            refusal = ""
            try:
                control.apply(engine.object, engine.nodes, order.command)
                self.run.save(engine.object, (), final=True)
            except Refused as error:
                refusal = str(error)
            engine.add_global(engine.status.get("outputs") or {}, saved=True)
            self.inbox.answer(order, refusal)

    def save(self) -> None:
        engine = self.engine
        changed = [engine.nodes.all[i] for i in engine.nodes.changed if i in engine.nodes.all]
        if not changed and not engine.over and not engine.dirty:
            return
        engine.status["progress"] = workflow.progress(engine.object)
        self.run.save(engine.object, changed, final=engine.over)
        engine.nodes.changed.clear()
        engine.dirty = False
        self.report()
        self.changed(engine.object, changed)

    def report(self) -> None:
        """A child's status, for the step that waits for it."""
        meta, status = self.engine.object["metadata"], self.engine.status
        if STARTED_BY in (meta.get("annotations") or {}) and self.objects.get("Workflow", meta["name"]) is not None:
            shown = {k: status[k] for k in _SHOWN if status.get(k)}
            head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": meta["name"]}}
            self.objects.patch(head | {"status": shown})
