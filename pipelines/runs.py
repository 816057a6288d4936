"""Where runs are: this machine, or a namespace of a cluster. One face for both, so that every command has the same words."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pipelines import machine
from pipelines.local import history
from pipelines.local import logs as local
from pipelines.local.control import Command
from pipelines.local.history import Filter
from pipelines.local.logs import Line

if TYPE_CHECKING:
    from pipelines.cluster.runs import Cluster

Workflow = dict[str, Any]
Runs: TypeAlias = "Here | Cluster"


class Here:
    """The runs of this machine. `said`: the options that name the place, for the commands that are advised."""

    said = ""

    def __init__(self, home: Path) -> None:
        self.home = home

    def find(self, name: str) -> Workflow:
        return history.find(self.home, name)

    def chosen(self, wanted: Filter) -> list[Workflow]:
        return history.runs(self.home, wanted)

    def words(self, run: Workflow) -> str:
        return history.words(self.home, run)

    def logs(self, name: str, step: str, tail: int | None, follow: bool, say: Callable[[str], None]) -> Iterator[Line]:
        run = self.find(name)
        if follow:
            return local.followed(self.home, run["metadata"]["name"], step, tail)
        return local.recorded(self.home, run, step, tail)

    def order(self, name: str, what: Command) -> None:
        """Hand a command to a run, whoever drives it. Exit 75 when that process does not answer."""
        from pipelines.local import run as runner

        runner.order(name, what, **self.how(name))

    def go_on(self, name: str, what: Command) -> bool:
        """Hand a `resume` to whoever drives the run; False when nobody does."""
        from pipelines.local import inbox

        return inbox.give(self.home, name, what)

    def delete(self, run: Workflow) -> None:
        history.delete(self.home, run)

    def how(self, name: str, machine_readable: object = None, isolation: str = "auto") -> Any:
        """How a run is driven here."""
        from pipelines import outcome
        from pipelines.local import run as runner
        from pipelines.local import show

        machine.install(self.home, machine.ours(self.find(name)))
        display, isolated = show.make(outcome.progress(machine_readable)), isolation == "auto"
        return runner.How(home=self.home, templates=machine.TEMPLATES, images=machine.images(self.home), display=display, isolated=isolated)


def here() -> Here:
    return Here(machine.home())
