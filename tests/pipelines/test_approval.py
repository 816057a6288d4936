"""What a run asks a person for, and what is said when it asks for nothing."""

from typing import Any

import pytest

from pipelines import approval
from pipelines.local.faults import Refused


def values(given: dict[str, str]) -> dict[str, Any]:
    return {"parameters": [{"name": name, "value": value} for name, value in given.items()]}


def run(template: str = "finetune", phase: str = "Succeeded", **request: str) -> dict[str, Any]:
    """A finetune run, with these outputs of its step `request`."""
    nodes = {"plan": {"templateName": "plan", "phase": "Succeeded", "outputs": values({"model-id": "acme.support.v1"})}}
    if request:
        takes = values({"digest": "sha256:0", "version": "3"})
        nodes["request"] = {"templateName": "request", "phase": "Succeeded", "inputs": takes, "outputs": values(request)}
    spec = {"workflowTemplateRef": {"name": template}}
    return {"metadata": {"name": "w"}, "spec": spec, "status": {"phase": phase, "nodes": nodes}}


def test_a_request_is_shown_as_what_is_decided_on() -> None:
    asked = approval.request(run(route="ask", request="gs://b/request.json", reason="two people must agree"))
    assert str(asked).splitlines() == [
        "This release waits for a person: two people must agree",
        "  model   acme.support.v1:3",
        "  digest  sha256:0",
        "  request gs://b/request.json",
    ]
    assert approval.parameters(asked, approval.Decision("reject", "not yet good enough")) == {
        "request": "gs://b/request.json",
        "digest": "sha256:0",
        "decision": "reject",
        "reason": "not yet good enough",
    }


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (run(route="auto", request="r", reason="policy lets it"), "it goes out by itself, since policy lets it"),
        (run(route="none", request="r", reason="its gate says hold"), "it does not go out, since its gate says hold"),
        (run(phase="Running"), "it has made no release request and is Running"),
        (run(template="evaluate"), "it is a run of evaluate, and only finetune asks for a release"),
    ],
)
def test_a_run_that_waits_for_nobody_says_what_it_does_instead(found: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=f"run 'w' waits for nobody: {said}$"):
        approval.request(found)


@pytest.mark.parametrize(("reason", "decision", "made"), [("it looks right", "", "approve"), (" it looks wrong ", "reject", "reject")])
def test_a_reason_given_decides_at_once(reason: str, decision: str, made: str) -> None:
    asked = approval.request(run(route="ask", request="r"))
    assert approval.ask(asked, reason, decision) == approval.Decision(made, reason.strip())


def test_without_a_reason_and_without_a_terminal_the_request_goes_on_waiting() -> None:
    assert approval.ask(approval.request(run(route="ask", request="r")), None) is None
