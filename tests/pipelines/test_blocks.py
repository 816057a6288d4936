"""A mistake in wiring is found when the template is compiled, with the block and the field named."""

import pytest

from pipelines.blocks import Block, WiringError, arguments, pipeline, resource, step

DIGEST = "sha256:" + "a" * 64


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
def test_a_block_refuses_what_its_contract_does_not_take(fields: dict[str, str], complaint: str) -> None:
    with pytest.raises(WiringError, match=complaint.replace("(", r"\(")), pipeline("x", parameters=[], about="x"):
        step("gate")(**fields)


def test_a_literal_outside_an_enum_is_refused() -> None:
    with pytest.raises(WiringError, match="role='judge'"), pipeline("x", parameters=[], about="x"):
        step("evaluate")(run="{{x}}", prepared="{{x}}", model="{{x}}", role="judge")


def test_an_output_that_no_step_gives_is_refused() -> None:
    with (
        pytest.raises(WiringError, match="gate gives no score; it gives reused, result, verdict, reason, decision"),
        pipeline("x", parameters=[], about="x"),
    ):
        _ = step("gate")(**gate_call()).score


def test_two_templates_of_one_name_are_refused() -> None:
    first, second = resource("same", action="get"), resource("same", action="delete")
    with pipeline("x", parameters=[], about="x"):
        first("one")
        with pytest.raises(WiringError, match="two blocks are called same"):
            second("two")


def compiled(block: Block) -> dict[str, object]:
    with pipeline("x", parameters=arguments("plan", "config"), about="x") as template:
        block("task", **{name: "{{x}}" for name, field in block.takes.items() if field is None or field.is_required()})
    found: dict[str, object] = next(one for one in template.to_dict()["spec"]["templates"] if one["name"] == block.name)
    return found


def test_flags_inputs_enums_defaults_and_outputs_come_from_the_contract() -> None:
    template = compiled(step("approve"))
    inputs = {one["name"]: one for one in template["inputs"]["parameters"]}  # type: ignore[index]
    assert inputs["decision"]["enum"] == ["reject", "approve"]
    assert inputs["decision"]["default"] == "reject"
    assert "default" not in inputs["reason"]
    container = template["container"]
    assert container["command"] == ["python", "-m", "steps.approve"]  # type: ignore[index]
    assert "--decision={{inputs.parameters.decision}}" in container["args"]  # type: ignore[index]
    assert "--out-approval={{outputs.parameters.approval.path}}" in container["args"]  # type: ignore[index]


def test_an_output_of_a_step_that_may_be_skipped_has_a_default() -> None:
    outputs = {one["name"]: one for one in compiled(step("evaluate"))["outputs"]["parameters"]}  # type: ignore[index]
    assert outputs["evaluation"]["valueFrom"]["default"] == "none"


def test_a_block_that_is_not_called_is_not_compiled() -> None:
    with pipeline("x", parameters=[], about="x") as template:
        step("validate")(run="{{x}}")
    assert [one["name"] for one in template.to_dict()["spec"]["templates"]] == ["main", "validate"]
