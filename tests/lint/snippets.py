"""Small workflows for the tests of single rules."""

from types import ModuleType
from typing import Any

from pipelines.lint.subject import Key, Subject
from pipelines.local import documents

TEMPLATES = """
  - {name: pause, suspend: {duration: "1"}}
  - {name: roll, script: {image: a, command: [sh], source: echo 4}}
  - {name: say, inputs: {parameters: [{name: x}]}, container: {image: a, command: [echo], args: ["{{inputs.parameters.x}}"]}}
  - {name: tell, inputs: {parameters: [{name: x, default: d}]}, suspend: {}}
  - name: file
    container: {image: a, command: [sh, -c], args: ["echo > /tmp/o"]}
    outputs:
      parameters: [{name: o, valueFrom: {path: /tmp/o}}, {name: d, valueFrom: {path: /tmp/o, default: z}}]
      artifacts: [{name: a, path: /tmp/o}]
"""
"""Templates that the snippets may call."""


def workflow(body: str, spec: str = "", kind: str = "Workflow") -> str:
    """A document of the template `main` with this body, and TEMPLATES. body, spec: YAML in flow style or lines."""
    head = f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: w}}\nspec:\n  entrypoint: main\n"
    lines = "".join(f"  {line}\n" for line in spec.splitlines() if line.strip())
    return f"{head}{lines}  templates:\n  - name: main\n" + "".join(f"    {line}\n" for line in body.splitlines()) + TEMPLATES


def step(fields: str) -> str:
    """A workflow of one step."""
    return workflow(f"steps: [[{{name: s, {fields}}}]]")


def pod(text: str, more: str = "") -> str:
    """A workflow of one container with this argument."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    inputs = 'inputs: {parameters: [{name: num, value: "7"}, {name: a-b, value: "7"}]}'
    return workflow(f'{inputs}\ncontainer: {{image: a, command: [echo], args: ["{quoted}"]}}\n{more}')


def subjects(text: str) -> list[Subject]:
    library: dict[Key, Subject] = {}
    found = []
    for document in documents.parse(text, "snippet"):
        at = ("spec", "workflowSpec") if document["kind"] == "CronWorkflow" else ("spec",)
        subject = Subject(document, at, library)
        if document["kind"].endswith("Template"):
            library[document["kind"], "", document["metadata"]["name"]] = subject
        found.append(subject)
    return found


def rules(module: ModuleType, text: str) -> set[str]:
    """The ids of the rules of one module that a text breaks."""
    checks: Any = module.CHECKS
    return {finding.rule.id for subject in subjects(text) for check in checks for finding in check(subject)}
