"""`fleece stop | terminate | suspend | node`: control of runs that go on, in the verbs, flags and words of `argo`."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cli_place import local, place

if TYPE_CHECKING:
    from pipelines.runs import Here, Runs

Given = TypeVar("Given")
SELECTOR = "Only suspend nodes with these fields: displayName=approve, inputs.parameters.stage.value=prod, phase!=…"
_LABELS = click.option("-l", "--selector", "labels", default="", help="Runs with these labels: a=b,c!=d.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1)
@click.option("--message", default="", help="With --node-field-selector: the message of the nodes.")
@click.option("--node-field-selector", "selector", default="", help=f"Fail suspend nodes and let the run go on. {SELECTOR}")
@_LABELS
@_DRY_RUN
@place
def stop(runs: "Runs", names: tuple[str, ...], message: str, selector: str, labels: str, dry_run: bool) -> None:
    """End runs; their exit handlers still run."""
    for name in chosen(runs, names, labels):
        if not dry_run:
            runs.order(name, command("stop", selector=selector, message=message))
        click.echo(f"workflow {name} stopped{' (dry-run)' if dry_run else ''}")


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1)
@_LABELS
@_DRY_RUN
@place
def terminate(runs: "Runs", names: tuple[str, ...], labels: str, dry_run: bool) -> None:
    """End runs at once; no exit handler runs."""
    for name in chosen(runs, names, labels):
        if not dry_run:
            runs.order(name, command("terminate"))
        click.echo(f"workflow {name} terminated{' (dry-run)' if dry_run else ''}")


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@place
def suspend(runs: "Runs", names: tuple[str, ...]) -> None:
    """Let what runs come to its end and start nothing new, until `resume`."""
    for name in chosen(runs, names):
        give(runs.order, name, command("suspend"))
        click.echo(f"workflow {name} suspended")


@click.group()
def node() -> None:
    """What waits inside a run."""


@node.command("set")
@click.argument("name", metavar="RUN")
@click.option("--node-field-selector", "selector", default="", help=SELECTOR)
@click.option("-p", "--output-parameter", "outputs", multiple=True, metavar="NAME=VALUE", help="A `supplied` output; may be repeated.")
@click.option("--phase", default="", help="End the node: Succeeded, Failed or Error.")
@click.option("-m", "--message", default="", help="The node's message.")
@local
def node_set(runs: "Here", name: str, selector: str, outputs: tuple[str, ...], phase: str, message: str) -> None:
    """Give suspend nodes of a RUN their outputs, a message or an end."""
    from pipelines.cli import pairs

    values = {key: _unquoted(value) for key, value in pairs(outputs).items()}
    (name,) = chosen(runs, (name,))
    runs.order(name, command("set", selector=selector, message=message, phase=phase, outputs=values))
    click.echo("workflow values set")


def _unquoted(text: str) -> str:
    """A value in quotes is taken as Go reads it."""
    if len(text) > 1 and text[0] == text[-1] == "`":
        return text[1:-1]
    try:
        found = json.loads(text) if text.startswith('"') else text
    except ValueError:
        return text
    return str(found)


def chosen(runs: "Runs", names: tuple[str, ...], labels: str = "") -> list[str]:
    """The runs of these names and labels, each once. UsageError when nothing was said."""
    from pipelines.local.history import Filter

    if not names and not labels:
        raise click.UsageError("requires either selector or workflow")
    found = runs.chosen(Filter(labels=labels)) if labels else []
    return list(dict.fromkeys(run["metadata"]["name"] for run in [*found, *map(runs.find, names)]))


def command(verb: str, **options: Any) -> Any:
    from pipelines.local import control, workflow

    return control.Command(verb, **options, by=workflow.creator())


def give(order: Callable[[str, Any], Given], name: str, what: Any) -> Given:
    """Carry a command out; a refusal begins with argo's words."""
    from pipelines.local.faults import Refused

    try:
        return order(name, what)
    except Refused as error:
        raise type(error)(f"failed to {what.verb} {name}: {error}") from None


COMMANDS = [stop, terminate, suspend, node]
