"""`fleece submit | approve`: start a run on a cluster; decide about the release that a run asks for."""

from typing import TYPE_CHECKING

import click

from pipelines.cli_again import PARAMETER
from pipelines.cli_place import on_cluster, place

if TYPE_CHECKING:
    from pipelines.cluster.runs import Cluster
    from pipelines.runs import Runs

_WATCH = click.option("--watch", is_flag=True, help="Show the run until it ends, and exit as it did.")


@click.command()
@click.argument("what", metavar="NAME")
@PARAMETER
@click.option("--name", help="Name of the run; by default NAME and five characters.")
@_WATCH
@click.option("-o", "--output", type=click.Choice(["name", "json"]), help="Print the name of the run, or its Workflow object.")
@on_cluster
def submit(runs: "Cluster", what: str, parameters: tuple[str, ...], name: str | None, watch: bool, output: str | None) -> None:
    """Start the WorkflowTemplate NAME on a cluster, or now what the CronWorkflow NAME starts by schedule."""
    from pipelines.cli import pairs
    from pipelines.cluster import outcome

    outcome.finish(runs, runs.submit(what, pairs(parameters), name), watch, output)


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--reason", help="Why, in at least 10 characters; on a terminal it is asked for.")
@click.option("--reject", is_flag=True, help="Decide against the release.")
@click.option("--watch", is_flag=True, help="On a cluster: show what follows until it ends, and exit as it did.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Print the Workflow object of the decision.")
@place
def approve(runs: "Runs", name: str, reason: str | None, reject: bool, watch: bool, output: str | None) -> None:
    """Decide about the release that a RUN asks for. The signed record carries your identity and the digest you saw."""
    from pipelines import approval, outcome
    from pipelines.runs import Here

    run = runs.find(name)
    asked = approval.request(run)
    if reason is not None:
        click.echo(f"{asked}\n", err=bool(output))
    decision = approval.ask(asked, reason, "reject" if reject else "")
    if decision is None and not approval.on_terminal():
        raise click.UsageError("nothing was decided; say --reason, and --reject to decide against it")
    if decision is None:
        return
    if isinstance(runs, Here):
        outcome.decided(runs.home, run, asked, decision, output)
        return
    from pipelines.cluster import outcome as remote

    room = runs.within(f"{run['metadata']['namespace']}-release")
    remote.finish(room, room.submit("approve", approval.parameters(asked, decision)), watch, output)


COMMANDS = [submit, approve]
