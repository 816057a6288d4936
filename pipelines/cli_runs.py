"""`fleece get | list | logs | delete`: the runs of this machine or of a cluster, in the verbs, flags and shapes of `argo`."""

import json
import os
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli_place import place

if TYPE_CHECKING:
    from pipelines.runs import Runs

_COLOURS = ("green", "yellow", "blue", "magenta", "cyan", "white")
_FILTERS = (
    click.option("--status", "phases", metavar="PHASE[,…]", help="Only runs in these phases."),
    click.option("--completed", is_flag=True, help="Only runs that have ended."),
    click.option("--resubmitted", is_flag=True, help="Only runs that were resubmitted."),
    click.option("--prefix", default="", help="Only runs whose name begins so."),
    click.option("--older", default="", metavar="AGE", help="Only runs that ended longer ago: 10m, 3h, 7d."),
    click.option("-l", "--selector", "labels", default="", help="Only runs with these labels: a=b,c!=d."),
)


def _filters(command: Any) -> Any:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Choice(["name", "json", "yaml", "short", "wide"]), help="Output format.")
@click.option("--status", "phase", metavar="PHASE", help="Only nodes in this phase.")
@click.option("--node-field-selector", "selector", help="Only nodes with these fields: phase=Failed, templateName!=a, displayName=…")
@place
def get(runs: "Runs", names: tuple[str, ...], output: str | None, phase: str | None, selector: str | None) -> None:
    """Show a RUN step by step; @latest is the last one."""
    from pipelines.local import fieldselectors, printer

    if phase and selector:
        raise click.UsageError("cannot use both --status and --node-field-selector")
    wanted = fieldselectors.parse(f"phase={phase}" if phase else selector or "")
    for name in names:
        run = runs.find(name)
        if output == "name":
            click.echo(run["metadata"]["name"])
        elif output == "json":
            click.echo(json.dumps(run, indent=4))
        elif output == "yaml":
            click.echo(_yaml(run), nl=False)
        else:
            words, shape = runs.words(run), output or ""
            click.echo(printer.details(run, words, shape, lambda n: fieldselectors.matches(wanted, n), time.time(), _coloured()), nl=False)


@click.command("list")
@_filters
@click.option("--running", is_flag=True, help="Only runs that have not ended.")
@click.option("--since", default="", metavar="AGE", help="Only runs that were made since: 10m, 3h, 7d.")
@click.option("-o", "--output", type=click.Choice(["name", "json", "yaml", "wide"]), help="Output format.")
@click.option("--no-headers", is_flag=True, help="Without the first line.")
@place
def list_runs(runs: "Runs", output: str | None, no_headers: bool, phases: str | None, **chosen: Any) -> None:
    """List the runs, what goes on first."""
    from pipelines.local import history, printer

    found = runs.chosen(history.Filter(phases=_phases(phases), **chosen))
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif output == "yaml":
        click.echo(_yaml(found), nl=False)
    elif not found:
        click.echo("No workflows found")
    elif output == "name":
        click.echo("\n".join(run["metadata"]["name"] for run in found))
    else:
        rows = [(run, runs.words(run)) for run in found]
        click.echo(printer.table(rows, output == "wide", not no_headers, time.time()), nl=False)


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("step", required=False, default="")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Of each step, only the last lines.")
@click.option("--grep", "pattern", default="", help="Only lines in which this regular expression is found.")
@place
def logs(runs: "Runs", name: str, step: str, follow: bool, tail: int | None, pattern: str) -> None:
    """Print what the steps of a RUN have written.

    Or only one STEP: its name, its path as in `train.create`, its id or its pod name.
    """
    wanted, colour = _pattern(pattern), _coloured()
    for title, line in runs.logs(name, step, tail, follow, lambda said: click.echo(said, err=True)):
        if wanted.search(line):
            shown = f"{title}: {line}"
            click.echo(click.style(shown, fg=_COLOURS[zlib.crc32(title.encode()) % len(_COLOURS)]) if colour else shown)


@click.command()
@click.argument("names", metavar="[RUN...]", nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="Every run.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@place
def delete(runs: "Runs", names: tuple[str, ...], everything: bool, dry_run: bool, phases: str | None, **chosen: Any) -> None:
    """Delete runs and what they own; artifacts stay."""
    from pipelines.local import history

    wanted = history.Filter(phases=_phases(phases), **chosen)
    if not (names or everything or wanted):
        raise click.UsageError("say which: a RUN, or --all, --completed, --older, --status, --prefix, --selector")
    found = [runs.find(name) for name in names]
    if everything or wanted:
        found += [run for run in runs.chosen(wanted) if run["metadata"]["name"] not in names]
    for run in found:
        if not dry_run:
            runs.delete(run)
        click.echo(f"Workflow '{run['metadata']['name']}' deleted{' (dry-run)' if dry_run else ''}")
    if not found:
        click.echo("No resources found")


def _phases(phases: str | None) -> tuple[str, ...]:
    return tuple(phases.split(",")) if phases else ()


def _pattern(pattern: str) -> Any:
    import re

    try:
        return re.compile(pattern)
    except re.error as error:
        raise click.UsageError(f"--grep {pattern!r}: {error}") from None


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _yaml(what: object) -> str:
    import yaml

    return str(yaml.safe_dump(what, sort_keys=True, allow_unicode=True))


COMMANDS = [get, list_runs, logs, delete]
