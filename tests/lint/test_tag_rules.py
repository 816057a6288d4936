"""Simple tags: what they may name, and where."""

import pytest

from pipelines.lint import foreign, tags
from tests.lint.snippets import pod, rules, step, workflow

ARGUMENT = 'template: say, arguments: {{parameters: [{{name: x, value: "{0}"}}]}}'
DAG = """dag:
  tasks:
  - {{name: a, template: file}}
  - {{name: b, template: roll, depends: a}}
  - {{name: far, template: roll}}
  - {{name: c, template: say, depends: b, arguments: {{parameters: [{{name: x, value: "{0}"}}]}}}}"""
STEPS = """steps:
- [{{name: a, template: file}}, {{name: pause, template: pause}}, {{name: l, template: roll, withItems: [1]}}]
- [{{name: b, template: roll}}, {{name: c, template: say, arguments: {{parameters: [{{name: x, value: "{0}"}}]}}}}]
- [{{name: z, template: roll}}]"""


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("{{inputs.parameters.num}} {{ inputs.parameters.num }} {{inputs.parameters}}", set()),
        ("{{workflow.name}} {{workflow.uid}} {{workflow.labels.json}} {{workflow.creationTimestamp.s}} {{pod.name}} {{node.name}}", set()),
        ("{{steps.name}} {{tasks.name}}", set()),
        ("{{inputs.parameters.{{inputs.parameters.num}}}}", set()),
        ("{{ site.title }} {{colour}} {{ .Values.x }} { {a} }", set()),
        ("{{inputs.parameters.nope}}", {"unresolved-tag"}),
        ("{{inputs.parameter.num}}", {"unresolved-tag"}),
        ("{{workflow.parameters.none}}", {"unresolved-tag"}),
        ("{{workflow.priority}}", {"unresolved-tag"}),
        ("{{workflow.creationTimestamp.Q}}", {"unresolved-tag"}),
        ("{{workflow.failures}}", {"unresolved-tag"}),
        ("{{steps.a.outputs.result}}", {"unresolved-tag"}),
        ("{{input.parameters.num}}", {"misspelt-tag"}),
        ("{{parameters.num}}", {"misspelt-tag"}),
        ("{{Inputs.parameters.num}}", {"misspelt-tag"}),
        ("{{tasl.a.outputs.result}}", {"misspelt-tag"}),
        ("{{item}}", {"item-outside-loop"}),
        ("{{item.size}}", {"unresolved-tag"}),
        ("{{retries}}", {"retries-without-retry"}),
        ("{{lastRetry.exitCode}}", {"retries-without-retry"}),
        ("{{workflow.status}}", {"status-outside-exit"}),
        ("{{workflow.scheduledTime}}", {"scheduled-time-outside-cron"}),
        ("{{inputs.parameters.num}", {"unclosed-tag"}),
        ("awk '{{print $1}'", {"open-braces"}),
        ("{{{inputs.parameters.num}}}", {"tag-braces"}),
        ("{{ =inputs.parameters.num }}", {"tag-braces"}),
    ],
)
def test_a_tag_in_a_pod(tag: str, expected: set[str]) -> None:
    assert rules(tags, pod(tag)) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("{{tasks.a.outputs.parameters.o}} {{tasks.b.outputs.result}} {{tasks.b.exitCode}} {{tasks.a.status}} {{workflow.name}}", set()),
        ("{{tasks.far.outputs.result}}", {"tag-not-yet"}),
        ("and {{tasks.far.status}}", {"tag-not-yet"}),
        ("{{tasks.c.status}}", {"tag-not-yet"}),
        ("{{tasks.b.outputs.exitCode}}", {"unresolved-tag"}),
        ("{{tasks.a.outputs.parameters.q}}", {"unresolved-tag"}),
        ("{{tasks.nope.outputs.result}}", {"unresolved-tag"}),
        ("{{steps.a.outputs.result}}", {"unresolved-tag"}),
        ("{{tasks.a.outputs.artifacts.a}}", {"artifact-as-text"}),
        ("{{tasks.name}}", {"own-name-tag"}),
        ("{{item}}", {"item-outside-loop"}),
        ("{{pod.name}}", {"unresolved-tag"}),
    ],
)
def test_a_tag_in_a_dag(tag: str, expected: set[str]) -> None:
    assert rules(tags, workflow(DAG.format(tag))) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("{{steps.a.outputs.parameters.o}} {{steps.a.status}} {{steps.l.outputs.result}} {{steps.pause.finishedAt}}", set()),
        ("{{steps.b.outputs.result}}", {"tag-not-yet"}),
        ("{{steps.z.outputs.result}}", {"tag-not-yet"}),
        ("{{steps.c.status}}", {"tag-not-yet"}),
        ("{{steps.pause.outputs.result}}", {"unresolved-tag"}),
        ("{{steps.pause.hostNodeName}}", {"unresolved-tag"}),
        ("{{steps.l.exitCode}}", {"unresolved-tag"}),
        ("{{steps.l.status}}", {"loop-status"}),
        ("{{steps.name}}", {"own-step-name"}),
    ],
)
def test_a_tag_in_steps(tag: str, expected: set[str]) -> None:
    assert rules(tags, workflow(STEPS.format(tag))) == expected


@pytest.mark.parametrize(
    ("loop", "tag", "expected"),
    [
        ("withItems: [1, 2]", "{{item}}", set()),
        ("withItems: [{k: 1}, {k: 2}]", "{{item.k}}", set()),
        ("withItems: [{k: 1}, {j: 2}]", "{{item.k}}", {"item-key"}),
        ("withItems: [{k: 1}, 2]", "{{item.k}}", {"item-key"}),
        ("withItems: [{k: 1}]", "{{item.q}}", {"unresolved-tag"}),
        ("withParam: '[]'", "{{item.any}} {{item}}", set()),
        ("withSequence: {count: 2}", "{{item}}", set()),
        ("withSequence: {count: 2}", "{{item.k}}", {"unresolved-tag"}),
    ],
)
def test_the_item_of_a_loop(loop: str, tag: str, expected: set[str]) -> None:
    assert rules(tags, step(f"{loop}, {ARGUMENT.format(tag)}")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pod("{{retries}} {{lastRetry.status}}", "retryStrategy: {limit: 2}"), set()),
        (workflow("container: {image: a, args: ['{{retries}}']}", "templateDefaults: {retryStrategy: {limit: 2}}"), set()),
        (
            workflow("suspend: {}", "onExit: bye")
            + "  - {name: bye, container: {image: a, args: ['{{workflow.status}} {{workflow.failures}}']}}",
            set(),
        ),
        (
            workflow("suspend: {}", "hooks: {exit: {template: say, arguments: {parameters: [{name: x, value: '{{workflow.status}}'}]}}}"),
            set(),
        ),
        (step("template: roll, hooks: {exit: {template: say, arguments: {parameters: [{name: x, value: '{{steps.s.status}}'}]}}}"), set()),
        (
            step(
                "template: roll, hooks: {exit: {template: say, arguments: {parameters: [{name: x, value: '{{steps.s.outputs.result}}'}]}}}"
            ),
            {"unresolved-tag"},
        ),
        (workflow("inputs: {artifacts: [{name: f, path: /f}]}\ncontainer: {image: a, args: ['{{inputs.artifacts.f.path}}']}"), set()),
        (
            workflow("inputs: {artifacts: [{name: f, path: /f}]}\ncontainer: {image: a, args: ['{{inputs.artifacts.f}}']}"),
            {"artifact-as-text"},
        ),
        (
            workflow(
                "container: {image: a, args: ['{{outputs.parameters.o.path}}']}\noutputs: {parameters: [{name: o, valueFrom: {path: /o}}]}"
            ),
            set(),
        ),
        (workflow("container: {image: a, args: ['{{workflow.parameters.p}}']}", kind="WorkflowTemplate"), {"undeclared-parameter"}),
        (step("inline: {suspend: {duration: '{{inputs.parameters.z}}'}, inputs: {parameters: [{name: z, value: '1'}]}}"), set()),
        (step("inline: {container: {image: a, args: ['{{pod.name}}']}}"), {"unresolved-tag"}),
    ],
)
def test_what_else_stands_in_scope(text: str, expected: set[str]) -> None:
    assert rules(tags, text) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{steps.one.outputs.artifacts.a}}", set()),
        ("{{steps.one.outputs.parameters.o}}", {"from-without-artifact"}),
        ("{{steps.one.outputs.artifacts.b}}", {"unresolved-tag"}),
        ("{{steps.many.outputs.artifacts.a}}", {"from-without-artifact"}),
    ],
)
def test_the_source_of_an_artifact(source: str, expected: set[str]) -> None:
    body = f"""steps:
- [{{name: one, template: file}}, {{name: many, template: file, withItems: [1]}}]
- [{{name: use, template: pause, arguments: {{artifacts: [{{name: f, from: "{source}"}}]}}}}]"""
    assert rules(tags, workflow(body)) == expected


LIBRARY = """apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: lib}
spec:
  arguments: {parameters: [{name: own, value: "1"}]}
  templates:
  - {name: t, container: {image: a, args: ["{{workflow.parameters.own}}"]}}
---
"""


def test_a_template_of_another_document_sees_the_parameters_of_the_caller() -> None:
    call = "templateRef: {name: lib, template: t}"
    assert rules(foreign, LIBRARY + step(call)) == {"foreign-template-tag"}
    declared = workflow(f"steps: [[{{name: s, {call}}}]]", "arguments: {parameters: [{name: own, value: '2'}]}")
    assert rules(foreign, LIBRARY + declared) == set()


def test_a_global_output_is_read_after_it_was_made() -> None:
    output = "{parameters: [{name: o, globalName: g, valueFrom: {path: /o}}]}"
    producer = f"  - {{name: make, script: {{image: a, command: [sh], source: x}}, outputs: {output}}}"
    read = "{name: r, template: say, arguments: {parameters: [{name: x, value: '{{workflow.outputs.parameters.g}}'}]}}"
    after, beside = f"steps: [[{{name: m, template: make}}], [{read}]]", f"steps: [[{{name: m, template: make}}, {read}]]"
    assert rules(tags, workflow(after) + producer) == set()
    assert rules(tags, workflow(beside) + producer) == {"global-output-not-yet"}
    assert rules(tags, workflow(f"steps: [[{read}]]")) == {"unresolved-tag"}
