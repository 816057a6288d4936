"""`fleece cron next`: when a CronWorkflow comes."""

import time
from itertools import islice
from typing import Any

import click


@click.group()
def cron() -> None:
    """CronWorkflows: `fleece run NAME` runs one now."""


@cron.command("next")
@click.argument("workflow", metavar="NAME|FILE")
@click.option("--count", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many starts to show.")
@click.option(
    "--from", "after", metavar="TIME", help="After this time: 2026-03-29, 2026-03-29T02:30, 2026-03-29T02:30:00Z; by default now."
)
def coming(workflow: str, count: int, after: str | None) -> None:
    """The next starts of a CronWorkflow, and whether its conditions let it start as things are."""
    from pipelines import machine
    from pipelines.local import cron as schedules
    from pipelines.local import cronworkflow, durations, load

    document = load.cron(load.find(workflow, machine.TEMPLATES, ("CronWorkflow",)))
    spec, now = document["spec"], time.time()
    try:
        start = cronworkflow.at(after, schedules.zone(spec.get("timezone") or "")) if after else now
    except ValueError:
        raise click.UsageError(f"--from {after!r} is no time; write 2026-03-29 or 2026-03-29T02:30") from None
    found = list(islice(cronworkflow.coming(spec, start), count))
    for one in found:
        wait = f"in {durations.human(one.at - now)}" if one.at > now else ""
        click.echo(f"{one.shown():<31} {wait:<10} {one.schedule}")
    if not found:
        click.echo("no start in the next five years")
    for line in _conditions(document, machine.home()):
        click.echo(line)


def _conditions(document: dict[str, Any], home: Any) -> list[str]:
    """What else decides about a start."""
    from pipelines.local import cronworkflow, state

    spec = document["spec"]
    known = cronworkflow.facts(document, (state.read(home, name) for name in state.names(home)))
    history = f"{known['cronworkflow.succeeded']} succeeded and {known['cronworkflow.failed']} failed here"
    lines = ["suspended: nothing starts"] if spec.get("suspend") else []
    stop = (spec.get("stopStrategy") or {}).get("expression")
    if stop:
        stopped = _judged(lambda: cronworkflow.has_stopped(stop, known), "has stopped: nothing starts", "goes on")
        lines.append(f"stops when {stop}: {stopped} ({history})")
    if spec.get("when"):
        held = _judged(lambda: cronworkflow.may_start(spec["when"], known), "would start now", "would not start now")
        lines.append(f"when {spec['when']}: {held} ({history})")
    if spec.get("concurrencyPolicy") in ("Forbid", "Replace"):
        does = {"Forbid": "nothing starts", "Replace": "it is terminated first"}[spec["concurrencyPolicy"]]
        lines.append(f"while a run of it goes on, {does} (concurrencyPolicy {spec['concurrencyPolicy']})")
    if spec.get("startingDeadlineSeconds"):
        lines.append(f"a start that the controller missed is made up for within {spec['startingDeadlineSeconds']} s")
    return lines


def _judged(condition: Any, yes: str, no: str) -> str:
    from pipelines.local.cronworkflow import ConditionError

    try:
        return yes if condition() else no
    except ConditionError as error:
        return f"nothing starts: {error}"


COMMANDS = [cron]
