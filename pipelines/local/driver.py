"""Drives a run and the runs it starts: one process, one loop, one keeper of children."""

import json
import os
import select
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.local import load, locks, objectfile, state, tags, volumes, workflow
from pipelines.local.clock import Clock, seconds
from pipelines.local.containers import Machine
from pipelines.local.engine import Engine
from pipelines.local.environment import base as base_environment
from pipelines.local.faults import Refused
from pipelines.local.images import Environment, Images
from pipelines.local.inbox import Inbox
from pipelines.local.keeper import Keeper
from pipelines.local.leaves import LeafNodes
from pipelines.local.memoize import Caches
from pipelines.local.nodes import Nodes
from pipelines.local.objects import ObjectError, Objects
from pipelines.local.reopen import STARTED_BY
from pipelines.local.session import Session
from pipelines.local.state import Run
from pipelines.local.surroundings import Surroundings

Workflow = dict[str, Any]

_FEWEST = 4  # processes at once, however few cores: a step may wait for another one


def owner(found: Workflow) -> dict[str, Any]:
    """The owner reference of what a run makes."""
    meta = found["metadata"]
    named = {"apiVersion": found["apiVersion"], "kind": "Workflow", "name": meta["name"], "uid": meta["uid"]}
    return named | {"blockOwnerDeletion": True, "controller": True}


class Driver:
    """The loop. `display` sees the first run only; `parallelism`: most processes at once, by default one a core, but four at least.

    `isolated`: steps get a root folder of their own where this machine allows it. `inbox`: where the commands for a run come from, by its
    folder.
    """

    def __init__(
        self, home: Path, templates: Path, images: Images, clock: Clock, parallelism: int | None, display: Any, isolated: bool = True,
        inbox: Callable[[Path], Inbox] = Inbox,
    ) -> None:  # fmt: skip
        self.home, self.templates, self.images, self.clock = home, templates, images, clock
        self.capacity, self.display = parallelism or max(_FEWEST, os.cpu_count() or 1), display
        self.sessions: dict[str, Session] = {}
        self.keeper: Keeper | None = None
        self.woken, self.wake = os.pipe()
        self.warmed: dict[tuple[str, ...], str] = {}
        self.inbox = inbox
        self.surroundings = Surroundings(home, images, isolated)

    # --- from outside ----------------------------------------------------------------------------------------------------

    def drive(self, first: Workflow, resumed: bool, stopped_by: Callable[[], int]) -> Workflow:
        """Run to the end; the Workflow object."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.keeper = Keeper()
        self.surroundings.choose(self.keeper, first, tell=self.display is not None)
        self.announce(json.dumps(first))
        self.add(first, resumed)
        if self.display is not None:
            self.display.begin(first, self.sessions[first["metadata"]["name"]].run.folder)
        if resumed:
            self.adopt(first["metadata"]["name"])
        while any(not s.over for s in self.sessions.values()):
            turn = 0
            while turn < len(self.sessions):  # a run that another one starts has its turn too
                session = list(self.sessions.values())[turn]
                if not session.over:
                    session.advance(stopped_by())
                turn += 1
            self.wait()
        for session in self.sessions.values():
            session.obey()  # what came too late is told so
        if self.display is not None:
            self.display.end(first)
        return first

    def terminate(self) -> None:
        """End everything that runs, in order; the state stays good for a resume."""
        for session in self.sessions.values():
            if not session.over:
                session.engine.object["spec"]["shutdown"] = "Terminate"
        os.write(self.wake, b".")

    def kill(self) -> None:
        for session in self.sessions.values():
            session.leaves.kill()

    def close(self) -> None:
        if self.keeper is not None:
            self.keeper.close()
        for session in self.sessions.values():
            session.close()
        os.close(self.woken)
        os.close(self.wake)
        if self.warmed:
            from pipelines.local import warm

            warm.stop(self.home)

    # --- runs ------------------------------------------------------------------------------------------------------------

    def add(self, found: Workflow, resumed: bool) -> None:
        """Take up a run."""
        assert self.keeper is not None  # noqa: S101 - drive comes first
        meta = found["metadata"]
        name: str = meta["name"]
        objects = Objects(self.home, meta["namespace"], start_workflow=lambda child: self.start_child(child, name))
        run = Run(self.home, name, self.keeper.pid)
        nodes = Nodes(name, found["status"]["nodes"], self.clock)
        leaves = LeafNodes(self.machine(found, objects), nodes, self.clock, run.node, owner(found), resumed)
        order = locks.order(int(found["spec"].get("priority") or 0), seconds(meta["creationTimestamp"]))
        held = locks.Locks(self.home, f"{meta['namespace']}/{name}", order)
        engine = Engine(found, nodes, leaves, held, lambda n: objects.get("ConfigMap", n), Caches(objects, self.clock), self.clock)
        leaves.publish, leaves.room, leaves.warn = engine.add_global, self.room, engine.warn
        leaves.machine.volumes = tags.substitute_json(leaves.machine.volumes, engine.globals, tolerant=True)
        session = Session(self.home, engine, run, leaves, objects, self.inbox(run.folder))
        if self.display is not None and not self.sessions:
            session.changed = self.display.update
        self.sessions[name] = session
        session.begin()
        if resumed:
            self.resume_gangs(objects, meta["uid"])

    def room(self) -> bool:
        """May one more process run? Like the room of a cluster's nodes: what finds none stays Pending."""
        return sum(len(s.leaves.pods) for s in self.sessions.values()) < self.capacity

    def machine(self, found: Workflow, objects: Objects) -> Machine:
        assert self.keeper is not None  # noqa: S101 - drive comes first
        meta, spec = found["metadata"], workflow.effective(found)
        declared = [*(spec.get("volumes") or []), *volumes.of_templates(spec, meta["name"])]
        return Machine(
            self.keeper, self.home, meta["name"], meta["namespace"], declared, self.images, objects, str(Path.cwd()), self.warm,
            self.surroundings.visible(found),
        )  # fmt: skip

    def resume_gangs(self, objects: Objects, uid: str) -> None:
        """The JobSets and Jobs of a run whose runner died go on with it."""
        for gang in [*objects.list("JobSet"), *objects.list("Job")]:
            if uid in [o.get("uid") for o in gang["metadata"].get("ownerReferences", [])]:
                objects.apply(gang)

    def start_child(self, child: dict[str, Any], parent: str) -> None:
        """An applied Workflow object: start its run, or take it up again after a crash."""
        name = child["metadata"]["name"]
        if name in self.sessions:
            return
        path = self.home / "runs" / name / "workflow.json"
        if path.exists():
            self.add(state.read(self.home, name), resumed=True)
            return
        try:
            found = load.document(child, [self.templates], self.images)
        except Refused as error:
            raise ObjectError(f"Error from server (BadRequest): {error}") from None
        made = workflow.make(found, {}, child["metadata"]["namespace"], {}, name, self.clock.now())
        made["metadata"] |= {"uid": child["metadata"]["uid"]}
        made["metadata"]["annotations"] = (made["metadata"].get("annotations") or {}) | {STARTED_BY: parent}
        self.add(made, resumed=False)

    def adopt(self, parent: str) -> None:
        """Take up the unfinished runs that a resumed one had started."""
        for name in state.names(self.home):
            child = state.read(self.home, name)
            started_by = (child["metadata"].get("annotations") or {}).get(STARTED_BY)
            if started_by == parent and name not in self.sessions and child["status"]["phase"] in ("Pending", "Running"):
                self.add(child, resumed=True)

    # --- the loop --------------------------------------------------------------------------------------------------------

    def wait(self) -> None:
        """Until a process ends, a timer is due, a command or a signal comes."""
        going = [s for s in self.sessions.values() if not s.over]
        if not going:
            return
        times = [t for s in going for t in s.times()]
        busy = any(len(s.leaves) for s in going)
        now = self.clock.now()
        pause = None if not times else self.clock.wait(max(min(times) - now, 0.0), busy)
        assert self.keeper is not None  # noqa: S101 - drive comes first
        ready, _, _ = select.select([self.keeper.fileno(), self.woken, *(s.inbox.fileno() for s in going)], [], [], pause)
        if self.woken in ready:
            os.read(self.woken, 64)
        if self.keeper.fileno() in ready:
            self.hear(going)

    def hear(self, going: list[Session]) -> None:
        """Processes that ended. A keeper that was killed took its children with it: they run again, as vanished pods do."""
        assert self.keeper is not None  # noqa: S101 - drive comes first
        try:
            for end in self.keeper.receive():
                for session in going:
                    if end["job"] in session.leaves.pods:
                        session.leaves.end(end)
        except ConnectionError:
            self.keeper.close()
            self.keeper = Keeper()
            for session in going:
                session.leaves.vanished(self.keeper)

    def announce(self, text: str) -> None:
        """Begin to load what the run's images want loaded, and write the table for the gangs, which are other processes."""
        table = {}
        for name, environment in self.images.table.items():
            folder = self.warm(environment) if name.removesuffix("*") in text else ""
            table[name] = {"bin": environment.bin, "env": environment.env} | ({"warm": folder} if folder else {})
        if table:
            with objectfile.locked(self.home):
                state.write(self.home / "images.json", json.dumps(table))

    def warm(self, environment: Environment) -> str:
        """The folder with a `python` that starts ahead of time with modules loaded; empty when the environment wants none."""
        if not environment.warm:
            return ""
        key = (environment.bin, *environment.warm, *environment.serve)
        if key not in self.warmed:
            from pipelines.local import warm

            python = str(Path(environment.bin) / "python") if environment.bin else sys.executable
            env = base_environment(tempfile.gettempdir()) | environment.env
            self.warmed[key] = str(warm.prepare(self.home, python, environment.warm, environment.serve, env))
        return self.warmed[key]
