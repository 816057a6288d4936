"""`when`: what fails when the step is reached, and what compares otherwise than it looks."""

import pytest

from pipelines.lint import when
from tests.lint.snippets import rules, workflow


def with_when(condition: str, more: str = "") -> str:
    quoted = condition.replace("\\", "\\\\").replace('"', '\\"')
    one = f'{{name: two, template: pause, when: "{quoted}"{more}}}'
    arguments = 'arguments: {parameters: [{name: p, value: deep-blue}, {name: none, value: ""}, {name: n, value: "7"}]}'
    return workflow(f"inputs: {{parameters: [{{name: x, value: '1'}}]}}\nsteps: [[{{name: one, template: roll}}], [{one}]]", arguments)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("true", set()),
        ("'deep blue' == 'deep blue' && 10 > 9", set()),
        ("!(blue == red) || blue in (red, blue)", set()),
        ("'{{inputs.parameters.x}}' == 'a b'", set()),
        ("'{{workflow.parameters.p}}' == 'deep-blue'", set()),
        ("{{workflow.parameters.n}} > 3", set()),
        ("{{inputs.parameters.x}} > 3", set()),
        ("{{inputs.parameters.x}} == true", set()),
        ("{{steps.one.status}} == Succeeded", set()),
        ("{{= asInt(inputs.parameters.x) > 3 }}", set()),
        ("blue in ({{steps.one.outputs.result}})", set()),
        ("deep blue == x", {"when-syntax"}),
        ("a = b", {"when-syntax"}),
        ("(1 == 1", {"when-syntax"}),
        ("1 == 1 and 2 == 2", {"when-syntax"}),
        ("/srv/a == /srv/a", {"when-syntax"}),
        ("us-east == us-east", {"when-syntax"}),
        ("{{inputs.parameters.x}} == us-east", {"when-syntax"}),
        ("{{workflow.parameters.p}} == x", {"when-syntax"}),
        ("{{workflow.parameters.none}} == x", {"when-syntax"}),
        ("v1.2.3 == v1.2.3", {"when-syntax"}),
        ("1 + 1", {"when-boolean"}),
        ("yes", {"when-boolean"}),
        ("{{= 'perhaps' }}", {"when-boolean"}),
        ("1 == 1 & 2 == 2", {"when-bitwise"}),
        ("'10' > '9'", {"when-text-order"}),
        ("'{{inputs.parameters.x}}' > '9'", {"when-text-order"}),
        ("'1' == 1", {"when-never-equal"}),
        ("'{{inputs.parameters.x}}' == 1", {"when-never-equal"}),
        ("{{inputs.parameters.x}} == '1'", {"when-never-equal"}),
        ("'{{inputs.parameters.x}}' == true", {"when-never-equal"}),
        ("{{steps.one.outputs.result}} == heads", {"when-unquoted"}),
        ("{{inputs.parameters.x}} != 'a b'", {"when-unquoted"}),
    ],
)
def test_a_condition(condition: str, expected: set[str]) -> None:
    assert rules(when, with_when(condition)) == expected


@pytest.mark.parametrize(
    ("items", "expected"),
    [("[ok, good]", set()), ("[ok, a b]", {"when-syntax"}), ("[ok, '']", {"when-syntax"}), ("['{{workflow.name}}']", {"when-unquoted"})],
)
def test_a_condition_on_the_items_of_a_loop(items: str, expected: set[str]) -> None:
    assert rules(when, with_when("{{item}} == ok", f", withItems: {items}")) == expected
