"""A person's decision: asked on the terminal, or given with a reason; the `approve` template then records it, here or on a cluster."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click

from pipelines import machine
from pipelines.local.faults import Refused

Workflow = dict[str, Any]

SHORTEST_REASON = 10


@dataclass(frozen=True)
class Request:
    """A release request that waits for a person. `model`: its name and version in the registry."""

    uri: str
    model: str
    digest: str
    why: str

    def __str__(self) -> str:
        return f"This release waits for a person: {self.why}\n  model   {self.model}\n  digest  {self.digest}\n  request {self.uri}"


@dataclass(frozen=True)
class Decision:
    decision: str
    reason: str


def waiting(run: Workflow) -> Request | None:
    """The release request of a finetune run, if it waits for an approval."""
    asked, gives = _step(run, "request"), _gives(run, "request")
    if asked is None or gives.get("route") != "ask":
        return None
    takes = _values(asked.get("inputs"))
    model = f"{_gives(run, 'plan').get('model-id', '')}:{takes.get('version', '')}"
    return Request(gives["request"], model, takes["digest"], gives.get("reason", ""))


def request(run: Workflow) -> Request:
    """The same. Refused, with the reason, when the run waits for nobody."""
    found = waiting(run)
    if found is None:
        raise Refused(f"run {run['metadata']['name']!r} waits for nobody: {_instead(run)}")
    return found


def _instead(run: Workflow) -> str:
    """What became of a run that waits for no person."""
    gives = _gives(run, "request")
    if gives.get("route") == "auto":
        return f"it goes out by itself, since {gives.get('reason')}"
    if gives:
        return f"it does not go out, since {gives.get('reason')}"
    template = (run["spec"].get("workflowTemplateRef") or {}).get("name", "")
    if template not in ("", "finetune"):
        return f"it is a run of {template}, and only finetune asks for a release"
    return f"it has made no release request and is {run['status']['phase']}"


def ask(found: Request, reason: str | None, decision: str = "") -> Decision | None:
    """What the caller said with a reason, or the answer on the terminal; None without either: the request goes on waiting."""
    if reason is not None:
        return Decision(decision or "approve", _long_enough(reason))
    if not on_terminal():
        return None
    click.echo(f"\n{found}")
    answer = decision or click.prompt("Decide", type=click.Choice(["approve", "reject", "later"]), default="later")
    return None if answer == "later" else Decision(answer, _long_enough(click.prompt("Reason")))


def on_terminal() -> bool:
    """Is somebody there to be asked?"""
    return sys.stdin.isatty() and sys.stdout.isatty()


def parameters(found: Request, decision: Decision) -> dict[str, str]:
    """What the `approve` template is given."""
    return {"request": found.uri, "digest": found.digest, "decision": decision.decision, "reason": decision.reason}


def decide(home: Path, found: Request, decision: Decision, progress: TextIO) -> Workflow:
    """Run the `approve` template on this machine, under the local user's name; returns its Workflow object."""
    from pipelines.local import run as runner
    from pipelines.local import show

    return runner.run(
        "approve",
        parameters(found, decision),
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


def _step(run: Workflow, template: str) -> dict[str, Any] | None:
    nodes = run.get("status", {}).get("nodes", {}).values()
    return next((n for n in nodes if n.get("templateName") == template and n.get("phase") == "Succeeded"), None)


def _gives(run: Workflow, template: str) -> dict[str, str]:
    return _values((_step(run, template) or {}).get("outputs"))


def _values(side: dict[str, Any] | None) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in (side or {}).get("parameters", [])}
