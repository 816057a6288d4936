"""`fleece resume | retry | resubmit`: go on with a run, or run it again."""

from typing import TYPE_CHECKING

import click

from pipelines.cli_control import SELECTOR, chosen, command, give
from pipelines.cli_place import local, place

if TYPE_CHECKING:
    from pipelines.runs import Here, Runs

PARAMETER = click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
_ISOLATION = click.option(
    "--isolation", type=click.Choice(["auto", "none"]), default="auto", show_default=True, help="As of `fleece run`; best as it was there."
)
_NAME_TOO = click.option("-o", "--output", type=click.Choice(["name", "json"]), help="Print the name of the run, or its Workflow object.")
_OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["json"]), help="Print the Workflow object with status.nodes, as Argo writes it."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead of text; of a run of this machine.")
_APPROVE = click.option("--approve", metavar="REASON", help="Approve the release request, if policy asks for a person; on this machine.")


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("--node-field-selector", "selector", default="", help=SELECTOR)
@_ISOLATION
@_APPROVE
@_JSON
@_OUTPUT
@place
def resume(runs: "Runs", names: tuple[str, ...], selector: str, isolation: str,
           approve: str | None, as_json: bool, output: str | None) -> None:  # fmt: skip
    """Let a suspended RUN go on, past its suspend nodes; or continue one whose runner died or that failed, from where it was."""
    from pipelines import outcome
    from pipelines.local import run as runner
    from pipelines.runs import Here

    left: list[str] = []
    for name in chosen(runs, names):
        if give(runs.go_on, name, command("resume", selector=selector)):
            click.echo(f"workflow {name} resumed")
        else:
            left.append(name)
    if len(left) > 1:
        raise click.UsageError(f"nobody drives {', '.join(left)}; continue them one at a time")
    if left and isinstance(runs, Here):
        how = runs.how(left[0], as_json or output, isolation)
        outcome.finish(runs.home, runner.resume(left[0], selector=selector, **how), approve, as_json, output)


@click.command()
@click.argument("name", metavar="RUN")
@PARAMETER
@click.option("--restart-successful", is_flag=True, help="Run the nodes of --node-field-selector again although they succeeded.")
@click.option("--node-field-selector", "selector", default="", help="Which nodes: displayName=train, templateName=…, phase!=…")
@_ISOLATION
@_APPROVE
@_JSON
@_OUTPUT
@local
def retry(runs: "Here", name: str, parameters: tuple[str, ...], restart_successful: bool, selector: str, isolation: str,
          approve: str | None, as_json: bool, output: str | None) -> None:  # fmt: skip
    """Run again what failed in a RUN that is over, and what comes after it."""
    from pipelines import outcome
    from pipelines.cli import pairs
    from pipelines.local import run as runner

    (name,) = chosen(runs, (name,))
    how = runs.how(name, as_json or output, isolation)
    ended = runner.retry(name, pairs(parameters), restart_successful=restart_successful, selector=selector, **how)
    outcome.finish(runs.home, ended, approve, as_json, output)


@click.command()
@click.argument("name", metavar="RUN")
@PARAMETER
@click.option("--memoized", is_flag=True, help="Of a run that failed: take over what succeeded, with its outputs; on this machine.")
@click.option("--watch", is_flag=True, help="On a cluster: show the new run until it ends, and exit as it did.")
@_ISOLATION
@_APPROVE
@_JSON
@_NAME_TOO
@place
def resubmit(runs: "Runs", name: str, parameters: tuple[str, ...], memoized: bool, watch: bool, isolation: str,
             approve: str | None, as_json: bool, output: str | None) -> None:  # fmt: skip
    """Run the workflow of an earlier RUN again, as a new run with the same parameters."""
    from pipelines import outcome
    from pipelines.cli import pairs
    from pipelines.local import run as runner
    from pipelines.runs import Here

    (name,) = chosen(runs, (name,))
    if isinstance(runs, Here):
        if output == "name":
            raise click.UsageError("-o name is of a cluster: here the command waits for the end, and says more than a name")
        how = runs.how(name, as_json or output, isolation)
        outcome.finish(runs.home, runner.resubmit(name, pairs(parameters), memoized=memoized, **how), approve, as_json, output)
        return
    if memoized or approve is not None or as_json:
        raise click.UsageError(
            "--memoized, --approve and --json are of this machine; on a cluster the steps themselves repeat nothing that is finished"
        )
    from pipelines.cluster import outcome as remote

    remote.finish(runs, runs.resubmit(name, pairs(parameters)), watch, output)


COMMANDS = [resume, retry, resubmit]
