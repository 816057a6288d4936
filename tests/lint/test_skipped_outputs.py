"""Outputs of what may never have run, and who reads them without a way out."""

import pytest

from pipelines.lint import skipped
from tests.lint.snippets import rules, workflow


def steps(read: str, when: str = "1 == 2", template: str = "file", called: str = "say", more: str = "") -> str:
    reader = f'{{name: two, template: {called}, arguments: {{parameters: [{{name: x, value: "{read}"}}]}}{more}}}'
    return workflow(f'inputs: {{parameters: [{{name: p}}]}}\nsteps: [[{{name: one, template: {template}, when: "{when}"}}], [{reader}]]')


def dag(depends: str, read: str = "{{tasks.one.outputs.parameters.o}}", one: str = "", reader: str = "") -> str:
    last = f'{{name: two, template: say, depends: "{depends}", arguments: {{parameters: [{{name: x, value: "{read}"}}]}}{reader}}}'
    return workflow(f"dag: {{tasks: [{{name: one, template: file{one}}}, {{name: mid, template: roll, depends: one.Succeeded}}, {last}]}}")


@pytest.mark.parametrize(
    ("read", "called", "expected"),
    [
        ("{{steps.one.outputs.result}}", "say", {"skipped-output"}),
        ("{{steps.one.exitCode}}", "say", {"skipped-output"}),
        ("{{steps.one.outputs.result}}", "tell", {"skipped-output"}),
        ("{{steps.one.outputs.parameters.o}}", "say", {"skipped-output"}),
        ("{{steps.one.outputs.parameters.o}}", "tell", set()),
        ("got {{steps.one.outputs.parameters.o}}", "tell", {"skipped-output"}),
        ("got {{steps.one.outputs.parameters.d}}", "say", set()),
        ("{{steps.one.status}} {{steps.one.id}}", "say", set()),
        ("{{=steps.one.outputs.result}}", "say", {"skipped-output"}),
        ("{{=steps.one.outputs?.result ?? 'none'}}", "say", set()),
        ("{{=steps.one.outputs.parameters.o}}", "say", {"skipped-output"}),
        ("{{=steps.one.outputs.parameters.o ?? 'none'}}", "say", set()),
        ("{{=steps.one.outputs.parameters.d}}", "say", set()),
        ("{{=steps.one.status == 'Succeeded' ? steps.one.outputs.result : 'none'}}", "say", {"skipped-output"}),
    ],
)
def test_a_step_that_is_always_skipped(read: str, called: str, expected: set[str]) -> None:
    assert rules(skipped, steps(read, called=called)) == expected


def test_a_result_is_missing_not_null() -> None:
    """`??` finds null, not what has no name: the output parameters of a skipped step are null, its result is not there at all."""
    assert rules(skipped, steps("{{=steps.one.outputs.result ?? 'none'}}", template="roll")) == {"skipped-output"}
    assert rules(skipped, steps("{{=steps.one.outputs?.result ?? 'none'}}", template="roll")) == set()


@pytest.mark.parametrize(
    ("when", "more", "expected"),
    [
        ("1 == 1", "", set()),
        ("'{{inputs.parameters.p}}' == 'a'", "", {"maybe-skipped-output"}),
        ("'{{inputs.parameters.p}}' == 'a'", ", when: \"'{{inputs.parameters.p}}' == 'a'\"", set()),
        ("'{{inputs.parameters.p}}' == 'a'", ', when: "{{steps.one.status}} == Succeeded"', set()),
        ("'{{inputs.parameters.p}}' == 'a'", ", when: \"'{{steps.one.outputs.result}}' == 'a'\"", {"maybe-skipped-output"}),
    ],
)
def test_a_step_that_may_be_skipped(when: str, more: str, expected: set[str]) -> None:
    assert rules(skipped, steps("{{steps.one.outputs.result}}", when=when, template="roll", more=more)) == expected


@pytest.mark.parametrize(
    ("depends", "one", "expected"),
    [
        ("one", "", set()),
        ("mid", ', when: "{{workflow.name}} == a"', set()),
        ("one", ', when: "{{workflow.name}} == a"', {"maybe-skipped-output"}),
        ("one", ', when: "1 == 2"', {"skipped-output"}),
        ("one.Succeeded", ', when: "1 == 2"', set()),
        ("one || mid.Omitted", ', when: "{{workflow.name}} == a"', {"maybe-skipped-output"}),
        ("one.Failed || one.Succeeded", "", {"failed-output"}),
        ("one || one.Failed", "", {"failed-output"}),
    ],
)
def test_a_task_that_runs_although_another_did_not(depends: str, one: str, expected: set[str]) -> None:
    assert rules(skipped, dag(depends, one=one)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", {"skipped-output"}), (", optional: true", set())],
)
def test_an_artifact_of_a_skipped_step_is_optional_on_the_argument(given: str, expected: set[str]) -> None:
    read = f'arguments: {{artifacts: [{{name: f, from: "{{{{steps.one.outputs.artifacts.a}}}}"{given}}}]}}'
    text = workflow(f"steps: [[{{name: one, template: file, when: 1 == 2}}], [{{name: two, template: pause, {read}}}]]")
    assert rules(skipped, text) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('{parameter: "{{steps.one.outputs.parameters.o}}"}', {"skipped-output"}),
        ('{parameter: "{{steps.one.outputs.parameters.o}}", default: x}', set()),
        ("{expression: steps.one.outputs.parameters.o}", {"skipped-output"}),
        ("{expression: \"steps.one.status == 'Skipped' ? 'x' : steps.one.outputs.parameters.o\"}", set()),
    ],
)
def test_an_output_of_the_template_around(source: str, expected: set[str]) -> None:
    outputs = f"outputs: {{parameters: [{{name: r, valueFrom: {source}}}]}}"
    assert rules(skipped, workflow(f"steps: [[{{name: one, template: file, when: 1 == 2}}]]\n{outputs}")) == expected


def test_an_empty_loop_has_no_outputs() -> None:
    read = '[{name: two, template: say, arguments: {parameters: [{name: x, value: "{{steps.one.outputs.result}}"}]}}]'
    assert rules(skipped, workflow(f"steps: [[{{name: one, template: roll, withParam: '[]'}}], {read}]")) == {"skipped-output"}
    assert rules(skipped, workflow(f"steps: [[{{name: one, template: roll, withItems: [1], when: '{{{{item}}}} == 2'}}], {read}]")) == set()


def test_a_step_that_went_on_after_a_failure_and_one_that_is_memoized() -> None:
    read = '[{{name: two, template: say, arguments: {{parameters: [{{name: x, value: "{{{{steps.one.outputs.{0}}}}}"}}]}}}}]'
    failing = f"steps: [[{{name: one, template: file, continueOn: {{failed: true}}}}], {read.format('parameters.o')}]"
    assert rules(skipped, workflow(failing)) == {"failed-output"}
    assert rules(skipped, workflow(failing.replace("parameters.o", "parameters.d"))) == set()
    script = "script: {image: a, command: [sh], source: echo 4}"
    memoized = f"  - {{name: memo, memoize: {{key: k, maxAge: 1h, cache: {{configMap: {{name: c}}}}}}, {script}}}\n"
    text = workflow(f"steps: [[{{name: one, template: memo}}], {read.format('result')}]") + memoized
    assert rules(skipped, text) == {"memoized-result"}
