"""`fleece stop | terminate | suspend | resume | retry | resubmit | node`: control of runs, in the verbs, flags and words of `argo`."""

import json
import sys
from typing import Any

import click

from pipelines.local.faults import Refused

_SELECTOR = "Only suspend nodes with these fields: displayName=approve, inputs.parameters.stage.value=prod, phase!=…"
_PARAMETER = click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
_LABELS = click.option("-l", "--selector", "labels", default="", help="Runs with these labels: a=b,c!=d.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
_ISOLATION = click.option(
    "--isolation", type=click.Choice(["auto", "none"]), default="auto", show_default=True, help="As of `fleece run`; best as it was there."
)
_OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["json"]), help="Print the Workflow object with status.nodes, as Argo writes it."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead of text.")
_APPROVE = click.option("--approve", metavar="REASON", help="Approve the release request, if policy asks for a person, with this reason.")


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1)
@click.option("--message", default="", help="With --node-field-selector: the message of the nodes.")
@click.option("--node-field-selector", "selector", default="", help=f"Fail suspend nodes and let the run go on. {_SELECTOR}")
@_LABELS
@_DRY_RUN
def stop(names: tuple[str, ...], message: str, selector: str, labels: str, dry_run: bool) -> None:
    """End runs; their exit handlers still run."""
    for name in _chosen(names, labels):
        if not dry_run:
            _give(name, "stop", selector=selector, message=message)
        click.echo(f"workflow {name} stopped{' (dry-run)' if dry_run else ''}")


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1)
@_LABELS
@_DRY_RUN
def terminate(names: tuple[str, ...], labels: str, dry_run: bool) -> None:
    """End runs at once; no exit handler runs."""
    for name in _chosen(names, labels):
        if not dry_run:
            _give(name, "terminate")
        click.echo(f"workflow {name} terminated{' (dry-run)' if dry_run else ''}")


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
def suspend(names: tuple[str, ...]) -> None:
    """Let what runs come to its end and start nothing new, until `resume`."""
    for name in _chosen(names):
        try:
            _give(name, "suspend")
        except Refused as error:
            raise Refused(f"failed to suspend {name}: {error}") from None
        click.echo(f"workflow {name} suspended")


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("--node-field-selector", "selector", default="", help=_SELECTOR)
@_ISOLATION
@_APPROVE
@_JSON
@_OUTPUT
def resume(names: tuple[str, ...], selector: str, isolation: str, approve: str | None, as_json: bool, output: str | None) -> None:
    """Let a suspended RUN go on, past its suspend nodes; or continue one whose runner died or that failed, from where it was."""
    left = [name for name in _chosen(names) if not _resumed(name, selector)]
    if len(left) > 1:
        raise click.UsageError(f"nobody drives {', '.join(left)}; continue them one at a time")
    for name in left:
        from pipelines.local import run as runner

        home, how = _how(name, as_json or output, isolation)
        _finish(home, runner.resume(name, selector=selector, **how), approve, as_json, output)


def _resumed(name: str, selector: str) -> bool:
    """Did the process that drives the run take it up? False when nobody drives it."""
    from pipelines import machine
    from pipelines.local import inbox

    try:
        if inbox.give(machine.home(), name, _command("resume", selector=selector)):
            click.echo(f"workflow {name} resumed")
            return True
    except Refused as error:
        raise Refused(f"failed to resume {name}: {error}") from None
    except inbox.Unanswered as error:
        _unanswered(error)
    return False


@click.command()
@click.argument("name", metavar="RUN")
@_PARAMETER
@click.option("--restart-successful", is_flag=True, help="Run the nodes of --node-field-selector again although they succeeded.")
@click.option("--node-field-selector", "selector", default="", help="Which nodes: displayName=train, templateName=…, phase!=…")
@_ISOLATION
@_APPROVE
@_JSON
@_OUTPUT
def retry(name: str, parameters: tuple[str, ...], restart_successful: bool, selector: str, isolation: str,
          approve: str | None, as_json: bool, output: str | None) -> None:  # fmt: skip
    """Run again what failed in a RUN that is over, and what comes after it."""
    from pipelines.cli import pairs
    from pipelines.local import run as runner

    (name,) = _chosen((name,))
    home, how = _how(name, as_json or output, isolation)
    ended = runner.retry(name, pairs(parameters), restart_successful=restart_successful, selector=selector, **how)
    _finish(home, ended, approve, as_json, output)


@click.command()
@click.argument("name", metavar="RUN")
@_PARAMETER
@click.option("--memoized", is_flag=True, help="Of a run that failed: take over what succeeded, with its outputs.")
@_ISOLATION
@_APPROVE
@_JSON
@_OUTPUT
def resubmit(name: str, parameters: tuple[str, ...], memoized: bool, isolation: str,
             approve: str | None, as_json: bool, output: str | None) -> None:  # fmt: skip
    """Run the workflow of an earlier RUN again, as a new run with the same parameters."""
    from pipelines.cli import pairs
    from pipelines.local import run as runner

    (name,) = _chosen((name,))
    home, how = _how(name, as_json or output, isolation)
    _finish(home, runner.resubmit(name, pairs(parameters), memoized=memoized, **how), approve, as_json, output)


@click.group()
def node() -> None:
    """What waits inside a run."""


@node.command("set")
@click.argument("name", metavar="RUN")
@click.option("--node-field-selector", "selector", default="", help=_SELECTOR)
@click.option("-p", "--output-parameter", "outputs", multiple=True, metavar="NAME=VALUE", help="A `supplied` output; may be repeated.")
@click.option("--phase", default="", help="End the node: Succeeded, Failed or Error.")
@click.option("-m", "--message", default="", help="The node's message.")
def node_set(name: str, selector: str, outputs: tuple[str, ...], phase: str, message: str) -> None:
    """Give suspend nodes of a RUN their outputs, a message or an end."""
    from pipelines.cli import pairs

    values = {key: _unquoted(value) for key, value in pairs(outputs).items()}
    (name,) = _chosen((name,))
    _give(name, "set", selector=selector, message=message, phase=phase, outputs=values)
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


def _chosen(names: tuple[str, ...], labels: str = "") -> list[str]:
    """The runs of these names and labels, each once. UsageError when nothing was said."""
    from pipelines import machine
    from pipelines.local import history

    if not names and not labels:
        raise click.UsageError("requires either selector or workflow")
    found = history.runs(machine.home(), history.Filter(labels=labels)) if labels else []
    return list(dict.fromkeys(run["metadata"]["name"] for run in [*found, *(history.find(machine.home(), name) for name in names)]))


def _command(verb: str, **options: Any) -> Any:
    from pipelines.local import control, workflow

    return control.Command(verb, **options, by=workflow.creator())


def _give(name: str, verb: str, **options: Any) -> None:
    """Hand a command to a run, whoever drives it. Exit 75 when that process does not answer."""
    from pipelines.local import run as runner

    try:
        runner.order(name, _command(verb, **options), **_how(name)[1])
    except runner.Unanswered as error:
        _unanswered(error)


def _unanswered(error: Exception) -> None:
    click.echo(f"fleece: {error}", err=True)
    sys.exit(75)


def _how(name: str, machine_readable: object = None, isolation: str = "auto") -> Any:
    """The home folder, and how a run is driven there."""
    from pipelines import machine, outcome
    from pipelines.local import run as runner
    from pipelines.local import show, state

    home = machine.home()
    machine.install(home, machine.ours(state.read(home, name)))
    display, isolated = show.make(outcome.progress(machine_readable)), isolation == "auto"
    return home, runner.How(home=home, templates=machine.TEMPLATES, images=machine.images(home), display=display, isolated=isolated)


def _finish(*ended: Any) -> None:
    from pipelines import outcome

    outcome.finish(*ended)


COMMANDS = [stop, terminate, suspend, resume, retry, resubmit, node]
