"""A mistake in wiring is found when the template is compiled, with the block and the field named."""

import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # Hera takes two seconds to load

DIGEST = "sha256:" + "a" * 64


@pytest.fixture(scope="module")
def blocks() -> Any:
    from pipelines import blocks

    return blocks


def gate_call(**changed: str) -> dict[str, str]:
    given = {"run": "{{x}}", "model": "{{x}}", "digest": "{{x}}", "candidate": "{{x}}", "baseline": "{{x}}"} | changed
    return {name: value for name, value in given.items() if value}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (gate_call(typo="1"), "gate takes no typo; it takes run, model, digest, candidate, baseline, champion"),
        (gate_call(baseline=""), "gate misses baseline"),
        (gate_call(digest="abc"), "gate: digest='abc': String should match pattern"),
        (gate_call(run="http://x"), "gate: run='http://x'"),
    ],
)
def test_a_block_refuses_what_its_contract_does_not_take(blocks: Any, fields: dict[str, str], complaint: str) -> None:
    with pytest.raises(blocks.WiringError, match=complaint.replace("(", r"\(")), blocks.pipeline("x", parameters=[], about="x"):
        blocks.step("gate")(**fields)


def test_a_literal_outside_an_enum_is_refused(blocks: Any) -> None:
    with pytest.raises(blocks.WiringError, match="role='judge'"), blocks.pipeline("x", parameters=[], about="x"):
        blocks.step("evaluate")(run="{{x}}", prepared="{{x}}", model="{{x}}", role="judge")


def test_an_output_that_no_step_gives_is_refused(blocks: Any) -> None:
    with (
        pytest.raises(blocks.WiringError, match="gate gives no score; it gives reused, result, verdict, reason, decision"),
        blocks.pipeline("x", parameters=[], about="x"),
    ):
        _ = blocks.step("gate")(**gate_call()).score


def test_two_templates_of_one_name_are_refused(blocks: Any) -> None:
    first, second = blocks.resource("same", action="get"), blocks.resource("same", action="delete")
    with blocks.pipeline("x", parameters=[], about="x"):
        first("one")
        with pytest.raises(blocks.WiringError, match="two blocks are called same"):
            second("two")


def compiled(blocks: Any, block: Any) -> dict[str, Any]:
    with blocks.pipeline("x", parameters=[], about="x") as template:
        block("task", **{name: "{{x}}" for name, field in block.takes.items() if field is None or field.is_required()})
    found: dict[str, Any] = next(one for one in template.to_dict()["spec"]["templates"] if one["name"] == block.name)
    return found


def test_flags_inputs_enums_defaults_and_outputs_come_from_the_contract(blocks: Any) -> None:
    template = compiled(blocks, blocks.step("approve"))
    inputs = {one["name"]: one for one in template["inputs"]["parameters"]}
    assert inputs["decision"]["enum"] == ["reject", "approve"]
    assert inputs["decision"]["default"] == "reject"
    assert "default" not in inputs["reason"]
    container = template["container"]
    assert container["command"] == ["python", "-m", "steps.approve"]
    assert "--decision={{inputs.parameters.decision}}" in container["args"]
    assert "--out-approval={{outputs.parameters.approval.path}}" in container["args"]


def test_an_output_of_a_step_that_may_be_skipped_has_a_default(blocks: Any) -> None:
    outputs = {one["name"]: one for one in compiled(blocks, blocks.step("evaluate"))["outputs"]["parameters"]}
    assert outputs["evaluation"]["valueFrom"]["default"] == "none"


def test_a_block_that_is_not_called_is_not_compiled(blocks: Any) -> None:
    with blocks.pipeline("x", parameters=[], about="x") as template:
        blocks.step("validate")(run="{{x}}")
    assert [one["name"] for one in template.to_dict()["spec"]["templates"]] == ["main", "validate"]


def test_a_field_that_hera_does_not_know_is_refused_whichever_module_is_imported_first() -> None:
    """A misspelt lock would be no lock. In a process of its own: what counts is who imports Hera first."""
    program = "import pipelines.finetune; from hera.workflows import models; models.Mutex(name='x', nmespace='y')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "nmespace\n  Extra inputs are not permitted" in ended.stderr
