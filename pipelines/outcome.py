"""How a command ends that drove a run: the approval that it waits for, what became of it, and the exit code."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from pipelines import approval

Workflow = dict[str, Any]


def progress(machine_readable: object) -> TextIO:
    """Progress goes to stderr when stdout is for a program."""
    return sys.stderr if machine_readable else sys.stdout


def finish(home: Path, ended: Workflow, approve: str | None = None, as_json: bool = False, output: str | None = None) -> None:
    """Ask for the approval that a request waits for, print what became of the run, and exit as it ended."""
    from pipelines import approval
    from pipelines.local.run import exit_code

    decided = None
    if (request := approval.waiting(ended)) and (decision := approval.ask(request, approve)):
        decided = approval.decide(home, request, decision, progress(as_json or output))
    if output:
        click.echo(json.dumps(ended, indent=2))
    else:
        summarise(home, ended, as_json, decided, seen=ended["metadata"]["name"])
        if not as_json:
            click.echo(_next_move(decided or ended), nl=False)
    sys.exit(exit_code(decided or ended))


def decided(home: Path, run: Workflow, request: "approval.Request", decision: "approval.Decision", output: str | None) -> None:
    """Carry a person's decision about a run out, print what became of it, and exit as it ended."""
    from pipelines import approval, machine
    from pipelines.local.run import exit_code

    machine.install(home)
    ended = approval.decide(home, request, decision, progress(output))
    if output:
        click.echo(json.dumps(ended, indent=2))
    else:
        summarise(home, run, as_json=False, decided=ended, seen=ended["metadata"]["name"])
        click.echo(_next_move(ended), nl=False)
    sys.exit(exit_code(ended))


def _next_move(ended: Workflow) -> str:
    """What a person may do about a run that waits for one, or did not succeed."""
    from pipelines import approval

    name = ended["metadata"]["name"]
    if approval.waiting(ended):
        return f"\n`fleece approve {name}` decides\n"
    if ended["status"]["phase"] == "Succeeded":
        return ""
    return f"\n`fleece logs {name}` shows what its steps wrote; `fleece resume {name}` runs again what failed\n"


def summarise(home: Path, ended: Workflow, as_json: bool, decided: Workflow | None = None, seen: str = "") -> None:
    """The pipeline's own view of a run: data, training, gate, model, release; `seen`: the run whose failures were shown already."""
    from pipelines import summary

    facts = summary.of(home, ended, decided)
    click.echo(json.dumps(facts, indent=2, sort_keys=True) if as_json else summary.text(facts, seen))
