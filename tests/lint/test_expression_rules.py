"""Expressions: they parse, name what is there, and compute with the types that values have."""

import pytest

from pipelines.lint import expressions
from tests.lint.snippets import pod, rules, step, workflow


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("asInt(inputs.parameters['a-b']) + 1", set()),
        ("inputs.parameters.num + '1'", set()),
        ("sprig.trim(inputs.parameters.num)", set()),
        ("inputs.parameters.nope ?? 'x'", set()),
        ("toJson(map([1, 2], {# + 1}))", set()),
        ("let n = asInt(inputs.parameters.num); n + 1", set()),
        ("inputs.parameters[inputs.parameters.num]", set()),
        ("workflow.parameters", {"expression-name"}),
        ("1 +", {"expression-syntax"}),
        ("toJson({'a': {'b': 1", {"expression-syntax"}),
        ("inputs.parameters.nope", {"expression-name"}),
        ("nothing.at.all", {"expression-name"}),
        ("workflow.labels['a.b/c']", {"expression-name"}),
        ("sprig.env('HOME')", {"expression-name"}),
        ("steps.a.outputs.result", {"expression-name"}),
        ("inputs.parameters.a-b", {"expression-dash"}),
        ("upcase('x')", {"expression-function"}),
        ("inputs.parameters.num + 1", {"expression-type"}),
        ("inputs.parameters.num > 3", {"expression-type"}),
        ("inputs.parameters.num == 7", {"expression-type"}),
        ("asInt('seven')", {"expression-value"}),
        ("nil", {"expression-value"}),
    ],
)
def test_an_expression_in_a_pod(source: str, expected: set[str]) -> None:
    assert rules(expressions, pod(f"{{{{={source}}}}}")) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("tasks['a-b'].outputs.result", set()),
        ("tasks['a-b'].outputs?.result ?? 'none'", set()),
        ("tasks.a-b.outputs.result", {"expression-dash"}),
        ("tasks.far.outputs.result", {"expression-name"}),
        ("tasks.far.outputs?.result ?? 'none'", {"expression-name"}),
        ("tasks.nope?.outputs", {"expression-name"}),
        ("asInt(tasks['a-b'].outputs.result) + item", {"expression-name"}),
    ],
)
def test_an_expression_in_an_argument_of_a_task(source: str, expected: set[str]) -> None:
    task = f'{{name: c, template: say, depends: a-b, arguments: {{parameters: [{{name: x, value: "{{{{={source}}}}}"}}]}}}}'
    assert (
        rules(expressions, workflow(f"dag: {{tasks: [{{name: a-b, template: roll}}, {{name: far, template: roll}}, {task}]}}")) == expected
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("retryStrategy: {limit: 1, expression: 'asInt(lastRetry.exitCode) > 1'}", set()),
        ('retryStrategy: {limit: 1, expression: \'lastRetry.status == "Error" && retries != "3"\'}', set()),
        ("retryStrategy: {limit: 1, expression: 'lastRetry.exitCode > 1'}", {"expression-type"}),
        ("retryStrategy: {limit: 1, expression: 'lastRetry.exitCode =='}", {"expression-syntax"}),
        ("retryStrategy: {limit: 1, expression: 'lastRetry.code == \"1\"'}", {"expression-name"}),
        ("retryStrategy: {limit: 1, expression: 'lastRetry.exitCode'}", {"expression-boolean"}),
        ("retryStrategy: {limit: 1, expression: 'asInt(lastRetry.exitCode) > {{inputs.parameters.num}}'}", set()),
        ("retryStrategy: {limit: 1, expression: 'lastRetry.exitCode == ({{inputs.parameters.num}}'}", {"expression-syntax"}),
    ],
)
def test_the_condition_of_a_retry(body: str, expected: set[str]) -> None:
    assert rules(expressions, pod("x", body)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (workflow("suspend: {}", "hooks: {run: {template: pause, expression: 'workflow.status == \"Running\"'}}"), set()),
        (workflow("suspend: {}", "hooks: {run: {template: pause, expression: 'workflow.status =='}}"), {"expression-syntax"}),
        (workflow("suspend: {}", "hooks: {run: {template: pause, expression: 'workflow.phase == \"x\"'}}"), {"expression-name"}),
        (step("template: roll, hooks: {ran: {template: pause, expression: 'steps.s.status == \"Succeeded\"'}}"), set()),
        (step("template: roll, hooks: {ran: {template: pause, expression: 'steps.other.status == \"Succeeded\"'}}"), {"expression-name"}),
        (workflow("suspend: {}", "workflowMetadata: {labelsFrom: {a: {expression: workflow.name}}}"), set()),
        (workflow("suspend: {}", "workflowMetadata: {labelsFrom: {a: {expression: workflow.parameters.nope}}}"), {"expression-name"}),
        (
            workflow(
                "steps: [[{name: a, template: roll}]]\noutputs: {parameters: [{name: o, valueFrom: {expression: steps.a.outputs.result}}]}"
            ),
            set(),
        ),
        (
            workflow(
                "steps: [[{name: a, template: roll}]]\noutputs: {parameters: [{name: o, valueFrom: {expression: steps.b.outputs.result}}]}"
            ),
            {"expression-name"},
        ),
        (
            workflow(
                "steps: [[{name: a, template: file}]]\noutputs: {artifacts: [{name: o, fromExpression: steps.a.outputs.artifacts.a}]}"
            ),
            set(),
        ),
        (
            "kind: CronWorkflow\nmetadata: {name: c}\nspec: {stopStrategy: {expression: 'cronworkflow.failed >= 3'}, workflowSpec: {}}",
            set(),
        ),
        (
            "kind: CronWorkflow\nmetadata: {name: c}\nspec: {stopStrategy: {expression: 'cronworkflow.failed >='}, workflowSpec: {}}",
            {"expression-syntax"},
        ),
    ],
)
def test_other_places_of_expressions(text: str, expected: set[str]) -> None:
    assert rules(expressions, text) == expected
