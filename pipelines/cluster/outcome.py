"""How a command ends that started a run on a cluster: what it says, and the exit code when it waited."""

import json
import sys
import time
from typing import Any

import click

from pipelines import approval
from pipelines.cluster import watch
from pipelines.cluster.runs import Cluster
from pipelines.local import printer, show
from pipelines.local.run import exit_code

Workflow = dict[str, Any]


def finish(runs: Cluster, run: Workflow, wait: bool, output: str | None) -> None:
    """Print the run, as it was made or, after a `wait` in which it is shown, as it ended; then exit as it ended."""
    name = run["metadata"]["name"]
    if wait:
        display = show.make(sys.stderr if output else sys.stdout, here=False)
        try:
            run = watch.to_end(runs.api, run, lambda: runs.find(name), display)
        except KeyboardInterrupt:
            click.echo(f"\nthe run goes on; `fleece stop {name}{runs.said}` ends it", err=True)
            raise
    click.echo(_text(runs, run, wait, output), nl=False)
    if wait:
        sys.exit(exit_code(run))


def _text(runs: Cluster, run: Workflow, waited: bool, output: str | None) -> str:
    name = run["metadata"]["name"]
    if output == "name":
        return f"{name}\n"
    if output == "json":
        return json.dumps(run, indent=4) + "\n"
    if waited:
        return _next_move(runs, run)
    shown = printer.details(run, runs.words(run), "", lambda node: True, time.time(), colour=False)
    return f"{shown}\n`fleece logs {name} -f{runs.said}` shows what its steps write\n"


def _next_move(runs: Cluster, run: Workflow) -> str:
    """What a person may do about a run that is over."""
    name = run["metadata"]["name"]
    if request := approval.waiting(run):
        return f"\nit waits for a person: {request.why}\n`fleece approve {name}{runs.said}` decides\n"
    if run["status"]["phase"] == "Succeeded":
        return ""
    return f"\n`fleece logs {name}{runs.said}` shows what its steps wrote; `fleece resubmit {name}{runs.said}` goes on where it ended\n"
