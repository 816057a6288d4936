"""`fleece`: run the compiled templates on this machine, continue what was cut off, compile, and look after the local endpoint."""

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import click

EXIT_INPUT = 64


class _Fleece(click.Group):
    """A wrong command, option or value is the user's input: exit 64, one line."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **{**options, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(EXIT_INPUT)
        except click.ClickException as error:
            click.echo(f"fleece: {error.format_message()}", err=True)
            sys.exit(EXIT_INPUT)
        except click.exceptions.Abort:
            sys.exit(130)


@click.group(cls=_Fleece, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fleece")
def main() -> None:
    """Fine-tunes an LLM end to end on Argo Workflows, and promotes it only if it beats what is served."""


@main.command()
@click.argument("workflow")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the workflow; may be repeated.")
@click.option("--name", help="Name of the run; by default the template's name and five characters.")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace.")
@click.option("--parallelism", type=click.IntRange(1), help="Most processes at the same time; by default the cores, and at least 4.")
@click.option("--approve", metavar="REASON", help="Approve the release request, if policy asks for a person, with this reason.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead of text.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Print the Workflow object with status.nodes, as Argo writes it.")
def run(workflow: str, parameters: tuple[str, ...], name: str | None, namespace: str, parallelism: int | None,
        approve: str | None, as_json: bool, output: str | None) -> None:  # fmt: skip
    """Run a compiled WORKFLOW on this machine: a name in workflow-templates/, or a file."""
    from pipelines import machine
    from pipelines.local import load, show
    from pipelines.local import run as runner

    home = machine.home()
    given = _pairs(parameters)
    with _refusing():
        load.given(load.source(workflow, machine.TEMPLATES), given)  # before anything is written
        machine.install(home)
        ended = runner.run(
            workflow,
            given,
            home=home,
            templates=machine.TEMPLATES,
            namespace=namespace,
            images=machine.images(home),
            labels=machine.labels(),
            parallelism=parallelism,
            name=name,
            display=show.make(_progress(as_json or output)),
        )
    _finish(home, ended, approve, as_json, output)


@main.command()
@click.argument("name")
@click.option("--approve", metavar="REASON", help="Approve the release request, if policy asks for a person, with this reason.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead of text.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Print the Workflow object with status.nodes, as Argo writes it.")
def resume(name: str, approve: str | None, as_json: bool, output: str | None) -> None:
    """Continue the run NAME, whose runner died or was interrupted. What is finished is not done again."""
    from pipelines import machine
    from pipelines.local import run as runner
    from pipelines.local import show

    home = machine.home()
    with _refusing():
        machine.install(home)
        display = show.make(_progress(as_json or output))
        ended = runner.resume(name, home=home, templates=machine.TEMPLATES, images=machine.images(home), display=display)
    _finish(home, ended, approve, as_json, output)


@main.command("list")
def list_runs() -> None:
    """The runs of this machine, newest first."""
    from pipelines import machine

    for workflow in _workflows(machine.home()):
        status = workflow.get("status", {})
        click.echo(f"{workflow['metadata']['name']:<32} {status.get('phase', 'Pending'):<10} {status.get('startedAt', '')}")


@main.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of text.")
def show(name: str | None, as_json: bool) -> None:
    """What became of the run NAME, by default the last one."""
    from pipelines import machine

    home = machine.home()
    found = [one for one in _workflows(home) if name in (None, one["metadata"]["name"])]
    if not found:
        raise click.ClickException(f"there is no run {name or ''} in {home}; `fleece list` shows them")
    _print_summary(home, found[0], as_json)


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
    """Put the demo's data and base model, both made from code, into the store."""
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


class _refusing:
    """A refusal of the runner is one line and exit 64."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from pipelines.local.faults import Refused

        if isinstance(error, Refused):
            raise click.ClickException(str(error)) from None


def _progress(machine_readable: object) -> TextIO:
    """Progress goes to stderr when stdout is for a program."""
    return sys.stderr if machine_readable else sys.stdout


def _pairs(parameters: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for pair in parameters:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.ClickException(f"-p {pair[:80]!r} is no NAME=VALUE")
        pairs[name] = value
    return pairs


def _workflows(home: Path) -> list[dict[str, Any]]:
    files = sorted(home.glob("runs/*/workflow.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [json.loads(path.read_text()) for path in files]


def _finish(home: Path, ended: dict[str, Any], approve: str | None, as_json: bool, output: str | None) -> None:
    """Ask for the approval that a request waits for, print what became of the run, and exit as it ended."""
    from pipelines import approval
    from pipelines.local.run import exit_code

    decided = None
    if (request := approval.waiting(ended)) and (decision := approval.ask(request, approve)):
        decided = approval.decide(home, request, decision, _progress(as_json or output))
    if output:
        click.echo(json.dumps(ended, indent=2))
    else:
        _print_summary(home, ended, as_json, decided)
    sys.exit(exit_code(decided or ended))


def _print_summary(home: Path, ended: dict[str, Any], as_json: bool, decided: dict[str, Any] | None = None) -> None:
    from pipelines import summary

    facts = summary.of(home, ended, decided)
    click.echo(json.dumps(facts, indent=2, sort_keys=True) if as_json else summary.text(facts))


if __name__ == "__main__":
    main()
