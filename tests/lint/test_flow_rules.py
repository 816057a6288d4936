"""Waiting, durations, programs, and fields that do something else than they say."""

from types import ModuleType

import pytest

from pipelines.lint import durations, flow, injection, programs, waits
from tests.lint.snippets import pod, rules, step, workflow

SHELL = "container: {image: a, command: [sh, -c], args: ["


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        ("a && (b || !c.Failed)", set()),
        ("a.Succeeded || a.Failed", set()),
        ("a &&", {"depends-syntax"}),
        ("(a || b", {"depends-syntax"}),
        ("a b", {"depends-syntax"}),
        ("a.Succeeded && a.Failed", {"depends-never"}),
        ("never.Succeeded", {"depends-never"}),
        ("never", set()),
    ],
)
def test_depends(depends: str, expected: set[str]) -> None:
    tasks = "".join(f"{{name: {name}, template: pause}}, " for name in "abc") + "{name: never, template: pause, when: 1 == 2}"
    text = workflow(f'dag: {{tasks: [{tasks}, {{name: d, template: pause, depends: "{depends}"}}]}}')
    assert rules(waits, text) == expected


MEMO = "memoize: {{key: '{0}', maxAge: {1}, cache: {{configMap: {{name: c}}}}}}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("timeout: 1h30m", set()),
        ("timeout: 30x", {"duration"}),
        ("timeout: 1d", {"duration"}),
        ("timeout: '{{inputs.parameters.t}}'", {"duration"}),
        ("timeout: '{{inputs.parameters.unknown}}'", set()),
        ("pendingTimeout: soon", {"duration"}),
        ("retryStrategy: {limit: 1, backoff: {duration: '5', factor: 2, cap: 1m, maxDuration: 10m}}", set()),
        ("retryStrategy: {limit: 1, backoff: {duration: five}}", {"duration"}),
        ("retryStrategy: {limit: 1, backoff: {duration: 5s, maxDuration: 1w}}", {"duration"}),
        ("retryStrategy: {limit: 1, backoff: {factor: 2}}", {"backoff-without-duration"}),
        ("retryStrategy: {limit: 1, backoff: {duration: 5s, factor: many}}", {"backoff-factor"}),
        ("retryStrategy: {}", {"retry-without-limit"}),
        ("retryStrategy: {expression: 'true'}", set()),
        (MEMO.format("a-{{inputs.parameters.t}}", "1h"), {"memoize-key"}),
        (MEMO.format("a-{{workflow.uid}}", "1h"), set()),
        (MEMO.format("a b", "1h"), {"memoize-key"}),
        (MEMO.format("a", "1d"), {"duration"}),
        (MEMO.format("a", "'60'"), {"duration"}),
    ],
)
def test_durations_retries_and_cache_keys(body: str, expected: set[str]) -> None:
    text = workflow(f"inputs: {{parameters: [{{name: t, value: a day}}]}}\ncontainer: {{image: a, command: [x]}}\n{body}")
    assert rules(durations, text) == expected


@pytest.mark.parametrize(
    ("duration", "expected"), [("'5'", set()), ("1m", set()), ("a while", {"duration"}), ("'{{inputs.parameters.t}}'", {"duration"})]
)
def test_the_duration_of_a_suspend(duration: str, expected: set[str]) -> None:
    text = workflow(f"inputs: {{parameters: [{{name: t, default: soon}}]}}\nsuspend: {{duration: {duration}}}")
    assert rules(durations, text) == expected


RESOURCE = "resource: {{action: create, manifest: {0}}}\ninputs: {{parameters: [{{name: x}}]}}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SHELL + "'echo {{workflow.parameters.p}}']}", {"tag-in-script"}),
        (SHELL + "'echo {{=workflow.parameters.p}}']}", {"tag-in-script"}),
        (SHELL + "'echo {{workflow.name}} {{pod.name}}']}", set()),
        (SHELL + "'echo {{=asInt(workflow.parameters.p)}}']}", set()),
        (SHELL + "'echo \"$1\"', x, '{{workflow.parameters.p}}']}", set()),
        ("container: {image: a, command: [python, run.py], args: ['{{workflow.parameters.p}}']}", set()),
        ("script: {image: a, command: [python], source: 'print({{workflow.parameters.p}})'}", {"tag-in-script"}),
        ("script: {image: a, command: [cat], source: '{{workflow.parameters.p}}'}", set()),
        (RESOURCE.format("'{kind: A, name: {{inputs.parameters.x}}}'"), {"tag-in-manifest"}),
        (RESOURCE.format("'{kind: A, name: \"{{inputs.parameters.x}}\"}'"), set()),
        (RESOURCE.format("'{kind: A, name: {{=toJson(inputs.parameters.x)}}}'"), set()),
        (RESOURCE.format("'{kind: A, name: a-{{workflow.uid}}}'"), set()),
        (RESOURCE.format("'{{inputs.parameters.x}}'"), set()),
    ],
)
def test_a_parameter_in_a_program_or_manifest(body: str, expected: set[str]) -> None:
    assert rules(injection, workflow(body, "arguments: {parameters: [{name: p, value: '1'}]}")) == expected


def test_an_input_that_every_caller_writes_out_is_harmless() -> None:
    shell = "  - {name: run, inputs: {parameters: [{name: x}]}, script: {image: a, command: [sh], source: 'echo {{inputs.parameters.x}}'}}"
    call = "template: run, arguments: {{parameters: [{{name: x, value: '{0}'}}]}}"
    assert rules(injection, step(call.format("plain")) + shell) == set()
    assert rules(injection, step(call.format("{{item}}") + ", withItems: [1]") + shell) == set()
    assert rules(injection, step(call.format("{{workflow.parameters.p}}")) + shell) == {"tag-in-script"}


READ = '[{name: r, template: say, arguments: {parameters: [{name: x, value: "{{steps.one.outputs.result}}"}]}}]'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            workflow('steps: [[{name: one, template: words}], [{name: r, template: pause, withParam: "{{steps.one.outputs.result}}"}]]'),
            {"with-param-output"},
        ),
        (
            workflow('steps: [[{name: one, template: roll}], [{name: r, template: pause, withParam: "{{steps.one.outputs.result}}"}]]'),
            {"with-param-output"},
        ),
        (
            workflow('steps: [[{name: one, template: list}], [{name: r, template: pause, withParam: "{{steps.one.outputs.result}}"}]]'),
            set(),
        ),
        (
            workflow('steps: [[{name: one, template: free}], [{name: r, template: pause, withParam: "{{steps.one.outputs.result}}"}]]'),
            set(),
        ),
        (workflow(f"steps: [[{{name: one, template: words, withItems: [1]}}], {READ}]"), {"loop-result"}),
        (workflow(f"steps: [[{{name: one, template: roll, withItems: [1]}}], {READ}]"), set()),
        (workflow(f"steps: [[{{name: one, template: words}}], {READ}]"), set()),
        (
            workflow("container: {image: a, command: ['true']}\noutputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}"),
            {"output-not-written"},
        ),
        (
            workflow("container: {image: a, command: ['true']}\noutputs: {parameters: [{name: o, valueFrom: {path: /tmp/o, default: x}}]}"),
            set(),
        ),
        (workflow("container: {image: a, command: [train]}\noutputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}"), set()),
        (workflow(SHELL + "'cd /tmp/out && run']}\noutputs: {artifacts: [{name: o, path: /tmp/out/model}]}"), set()),
        (workflow(SHELL + "'run']}\noutputs: {artifacts: [{name: o, path: /tmp/model}]}"), {"output-not-written"}),
        (workflow("script: {image: a, command: [sh], args: [one], source: echo}"), {"script-args"}),
        (workflow("script: {image: a, command: [sh], args: [-e], source: echo}"), set()),
        (workflow(SHELL + "'kill -9 $$']}"), {"double-dollar"}),
        (workflow(SHELL + "'echo $$(A) $HOME']}"), set()),
    ],
)
def test_plain_programs(text: str, expected: set[str]) -> None:
    more = """  - {name: words, container: {image: a, command: [echo, one, two]}}
  - {name: list, script: {image: a, command: [sh], source: "echo '[1, 2]'"}}
  - {name: free, script: {image: a, command: [sh], source: "echo $X"}}
"""
    assert rules(programs, text + more) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (workflow("failFast: true\nsteps: [[{name: a, template: pause}]]"), set()),
        (workflow("failFast: true\nsteps: [[{name: a, inline: {steps: [[{name: b, template: pause}]]}}]]"), {"template-fail-fast"}),
        (workflow("dag: {failFast: true, tasks: [{name: a, template: pause}]}"), {"dag-fail-fast"}),
        (workflow("dag: {failFast: false, tasks: [{name: a, template: pause}]}"), set()),
        (workflow("suspend: {}", "onExit: pause\nhooks: {exit: {template: roll}}"), {"exit-twice"}),
        (step("template: roll, onExit: pause, hooks: {exit: {template: say}}"), {"exit-twice"}),
        (workflow("suspend: {}\nsynchronization: {mutexes: [{name: m}]}", "synchronization: {mutexes: [{name: m}]}"), {"lock-held"}),
        (workflow("suspend: {}\nsynchronization: {mutexes: [{name: n}]}", "synchronization: {mutexes: [{name: m}]}"), set()),
        (workflow("suspend: {duration: '5'}\noutputs: {parameters: [{name: o, valueFrom: {supplied: {}}}]}"), {"suspend-without-default"}),
        (workflow("suspend: {duration: '5'}\noutputs: {parameters: [{name: o, valueFrom: {supplied: {}, default: x}}]}"), set()),
        (workflow("suspend: {}\noutputs: {parameters: [{name: o, valueFrom: {supplied: {}}}]}"), set()),
        (workflow("resource: {action: delete, manifest: x, successCondition: a}"), {"delete-with-outputs"}),
        (workflow("resource: {action: patch, manifest: '{data: {a: b}}'}"), {"patch-flow-style"}),
        (workflow('resource: {action: patch, manifest: \'{"data": {"a": "b"}}\'}'), set()),
        (workflow("resource: {action: create, manifest: x, failureCondition: a}"), {"failure-condition-only"}),
        (workflow("http: {method: GET}"), {"http-without-url"}),
        (workflow("suspend: {}", 'arguments: {parameters: [{name: p, value: "a\\x1b[31m"}]}'), {"control-character"}),
        (workflow("suspend: {}", 'arguments: {parameters: [{name: p, value: "a\\n\\tb"}]}'), set()),
    ],
)
def test_fields_that_do_something_else_than_they_say(text: str, expected: set[str]) -> None:
    assert rules(flow, text) == expected


@pytest.mark.parametrize("module", [durations, flow, injection, programs, waits])
def test_a_plain_workflow_has_no_finding(module: ModuleType) -> None:
    assert rules(module, pod("{{inputs.parameters.num}}")) == set()
