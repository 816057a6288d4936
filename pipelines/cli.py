"""`fleece`: run the compiled templates on this machine, look after the runs, compile, and look after the local endpoint."""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

import click

from pipelines.local.faults import Refused

EXIT_INPUT = 64
ROOMS = {  # which module has which commands; none is imported before its commands are asked for
    "pipelines.cli_runs": ("get", "list", "logs", "delete"),
    "pipelines.cli_control": ("stop", "terminate", "suspend", "node"),
    "pipelines.cli_again": ("resume", "retry", "resubmit"),
    "pipelines.cli_submit": ("submit", "approve"),
    "pipelines.cli_cron": ("cron",),
    "pipelines.cli_lint": ("lint",),
    "pipelines.cluster.install": ("install",),
}


class _Fleece(click.Group):
    """A wrong command, option or value, and whatever the runner refuses, is the user's input: exit 64, one line."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*super().list_commands(context), *(name for names in ROOMS.values() for name in names)})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        for room, names in ROOMS.items():
            if name in names:
                commands: list[click.Command] = import_module(room).COMMANDS
                return next(command for command in commands if command.name == name)
        return super().get_command(context, name)

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **{**options, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(EXIT_INPUT)
        except (click.ClickException, Refused) as error:
            words = error.format_message() if isinstance(error, click.ClickException) else str(error)
            click.echo(f"fleece: {words}", err=True)
            sys.exit(error.code if isinstance(error, Refused) else EXIT_INPUT)
        except click.exceptions.Abort:
            sys.exit(130)


@click.group(cls=_Fleece, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 140})
@click.version_option(package_name="fleece")
def main() -> None:
    """Fine-tunes an LLM end to end on Argo Workflows, and promotes it only if it beats what is served."""


@main.command()
@click.argument("workflow")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the workflow; may be repeated.")
@click.option("--name", help="Name of the run; by default the template's name and five characters.")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace.")
@click.option("--parallelism", type=click.IntRange(1), help="Most processes at the same time; by default the cores, and at least 4.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "none"]),
    default="auto",
    show_default=True,
    help="auto: steps see their own /tmp and the paths that their template names as their own, where this machine allows it.",
)
@click.option("--approve", metavar="REASON", help="Approve the release request, if policy asks for a person, with this reason.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead of text.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Print the Workflow object with status.nodes, as Argo writes it.")
def run(workflow: str, parameters: tuple[str, ...], name: str | None, namespace: str, parallelism: int | None,
        isolation: str, approve: str | None, as_json: bool, output: str | None) -> None:  # fmt: skip
    """Run a WORKFLOW on this machine: a file, or a name in workflow-templates/."""
    from pipelines import machine, outcome
    from pipelines.local import load, show
    from pipelines.local import run as runner

    home = machine.home()
    given = pairs(parameters)
    found = load.source(workflow, machine.TEMPLATES, time.time())
    load.given(found, given)  # before anything is written
    machine.install(home, machine.ours(found))
    ended = runner.run(
        workflow,
        given,
        home=home,
        templates=machine.TEMPLATES,
        namespace=namespace,
        images=machine.images(home),
        labels=machine.labels(),
        parallelism=parallelism,
        isolated=isolation == "auto",
        name=name,
        display=show.make(outcome.progress(as_json or output)),
    )
    outcome.finish(home, ended, approve, as_json, output)


@main.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of text.")
def show(name: str | None, as_json: bool) -> None:
    """The pipeline's own summary of a run: data, training, gate, model, release; by default of the last one."""
    from pipelines import machine, outcome
    from pipelines.local import history

    home = machine.home()
    outcome.summarise(home, history.find(home, name or history.LATEST), as_json)


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a file is stale, missing or an orphan.")
def compile(check: bool) -> None:
    """Write workflow-templates/ from the modules in pipelines/."""
    from pipelines.compile import compile_all, stale

    if not check:
        changed = compile_all()
        click.echo("\n".join(f"wrote {path.name}" for path in changed) or "nothing changed")
    elif found := stale():
        click.echo(f"stale: {', '.join(path.name for path in found)}. Run `make compile` and commit workflow-templates/", err=True)
        sys.exit(1)


@main.command()
def demo() -> None:
    """Put the demo's data and base model into the store; both are made from code."""
    from pipelines import machine

    home = machine.home()
    machine.install(home)
    os.environ.update(machine.settings(home))
    from demo.__main__ import main as make

    make()


@main.group()
def serve() -> None:
    """The endpoints of this machine."""


@serve.command("list")
def serve_list() -> None:
    """The models that are served, with their URLs."""
    from pipelines import machine

    for path in sorted((machine.home() / "serving").glob("*/*/route.json")):
        route = json.loads(path.read_text())
        click.echo(f"{path.parts[-3]:<12} {path.parts[-2]:<32} {route['endpoint']}")


@serve.command("stop")
def serve_stop() -> None:
    """Stop every model server of this machine."""
    from pipelines import machine
    from steps.local_reconciler import stop_all

    for name in stop_all(machine.home() / "serving"):
        click.echo(f"stopped {name}")


def pairs(parameters: tuple[str, ...]) -> dict[str, str]:
    """`-p NAME=VALUE …`; ClickException for what is none."""
    pairs = {}
    for pair in parameters:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.ClickException(f"-p {pair[:80]!r} is no NAME=VALUE")
        pairs[name] = value
    return pairs


if __name__ == "__main__":
    main()
