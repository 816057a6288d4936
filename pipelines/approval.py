"""A person's decision on this machine: asked on the terminal, or given with --approve, then the same `approve` template as on a cluster."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click

from pipelines import machine

SHORTEST_REASON = 10


@dataclass(frozen=True)
class Request:
    """A release request that waits for a person."""

    uri: str
    digest: str
    why: str


@dataclass(frozen=True)
class Decision:
    decision: str
    reason: str


def waiting(workflow: dict[str, Any]) -> Request | None:
    """The release request of a finished finetune run, if it waits for an approval."""
    for node in workflow.get("status", {}).get("nodes", {}).values():
        gives = _values(node.get("outputs"))
        if node.get("templateName") == "request" and node.get("phase") == "Succeeded" and gives.get("route") == "ask":
            return Request(gives["request"], _values(node["inputs"])["digest"], gives.get("reason", ""))
    return None


def ask(request: Request, reason: str | None) -> Decision | None:
    """The reason given with --approve, or the answer on the terminal; None without either: the request goes on waiting."""
    if reason is not None:
        return Decision("approve", _long_enough(reason))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    click.echo(f"\nThis release waits for a person: {request.why}\n  request {request.uri}\n  model   {request.digest}")
    answer = click.prompt("Decide", type=click.Choice(["approve", "reject", "later"]), default="later")
    return None if answer == "later" else Decision(answer, _long_enough(click.prompt("Reason")))


def decide(home: Path, request: Request, decision: Decision, progress: TextIO) -> dict[str, Any]:
    """Run the `approve` template under the local user's name; returns its Workflow object."""
    from pipelines.local import run as runner
    from pipelines.local import show

    parameters = {"request": request.uri, "digest": request.digest, "decision": decision.decision, "reason": decision.reason}
    return runner.run(
        "approve",
        parameters,
        home=home,
        templates=machine.TEMPLATES,
        namespace=machine.NAMESPACES[1],
        images=machine.images(home),
        labels=machine.labels(),
        display=show.make(progress),
    )


def _long_enough(reason: str) -> str:
    if len(reason.strip()) < SHORTEST_REASON:
        raise click.ClickException(f"a reason has at least {SHORTEST_REASON} characters; this one has {len(reason.strip())}")
    return reason.strip()


def _values(side: dict[str, Any] | None) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in (side or {}).get("parameters", [])}
