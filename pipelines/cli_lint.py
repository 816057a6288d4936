"""`fleece lint`: what is wrong with workflows before anything runs."""

import sys
from pathlib import Path

import click

EXIT_FOUND = 65
"""sysexits.h: EX_DATAERR."""


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="As JSON instead of text.")
@click.option("--rules", "show_rules", is_flag=True, help="Print all rules as a page, and check nothing.")
def lint(paths: tuple[Path, ...], strict: bool, output: str | None, show_rules: bool) -> None:
    """Check workflows, templates and cron workflows: files, or folders with all YAML in them; by default workflow-templates/.

    References to WorkflowTemplates are looked up among the files of the call. Exit code 65 when there is an error.
    """
    from rich.console import Console

    from pipelines import machine
    from pipelines.lint import linter, report
    from pipelines.lint.findings import Severity

    if show_rules:
        click.echo(report.page(), nl=False)
        return
    given = paths or (machine.TEMPLATES,)
    found = linter.lint(given)
    if not found.checked and not found.findings:
        raise click.ClickException(
            f"nothing to lint in {', '.join(map(str, given))}: no Workflow, CronWorkflow or (Cluster)WorkflowTemplate"
        )
    if output:
        click.echo(report.as_json(found))
    else:
        report.text(found, Console(highlight=False, markup=False))
    if found.count(Severity.ERROR) or (strict and found.findings):
        sys.exit(EXIT_FOUND)


COMMANDS = [lint]
