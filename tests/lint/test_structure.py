"""Rules on names, types, calls, pods and cron that no recorded case stands for."""

from pathlib import Path

import pytest
import yaml

from pipelines.lint import linter

LEAF = "{name: t, suspend: {duration: '1'}}"
POD = "image: i, command: [a]"


def rules(tmp_path: Path, spec: str, kind: str = "Workflow", name: str = "w") -> set[str]:
    file = tmp_path / "w.yaml"
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}}
    file.write_text(yaml.safe_dump(head) + f"spec: {spec}\n")
    return {placed.rule for placed in linter.lint([file]).findings}


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("steps: [[{name: a, template: main}]]", "endless-recursion"),
        ("steps: [[{name: a, template: t, withSequence: {count: 2, format: box%s}}]]", "sequence-format"),
        ("steps: [[{name: a, template: t, withItems: []}]]", "empty-items"),
        ("steps: [[{name: a, template: t, hooks: {exit: {template: gone}}}]]", "undefined-template"),
        ("steps: [[{name: a, template: t, arguments: {artifacts: [{name: f, s3: {key: k}, raw: {data: d}}]}}]]", "several-locations"),
        ("dag: {tasks: [{name: a, template: t, depends: b.AnySucceeded}, {name: b, template: t}]}", "depends-result"),
        (
            "dag: {tasks: [{name: a, template: t, dependencies: [b]}, {name: b, template: t, depends: c}, {name: c, template: t}]}",
            "depends-style",
        ),
        ("suspend: {}, outputs: {parameters: [{name: o, valueFrom: {path: /o}}]}", "suspend-output"),
        ("suspend: {}, activeDeadlineSeconds: -1", "deadline"),
        ("suspend: {}, podResources: {limits: {gpu: 1}}", "pod-resources"),
        ("suspend: {}, resourceClaims: [{name: c}]", "pod-resources"),
        ("http: {}", "missing-field"),
        ("plugin: {a: {}, b: {}}", "wrong-type"),
        (f"container: {{{POD}}}, script: {{{POD}, source: s}}", "template-type"),
        (f"container: {{{POD}, volumeMounts: [{{name: v, mountPath: /a}}, {{name: w, mountPath: /a}}]}}", "mounted-twice"),
        (f"script: {{{POD}, source: s, volumeMounts: [{{name: v, mountPath: /a}}, {{name: v, mountPath: /a}}]}}", "mounted-twice"),
        (f"container: {{{POD}, resources: {{requests: {{cpu: 1500m}}, limits: {{cpu: 1}}}}}}", "request-above-limit"),
        (f"container: {{{POD}, imagePullPolicy: always}}", "unknown-word"),
        (f"container: {{{POD}}}, metadata: {{labels: {{'a b': c}}}}", "label"),
        (f"container: {{{POD}}}, podSpecPatch: '{{containers: [{{name: main, imag: x}}]}}'", "pod-spec-patch"),
        (f"container: {{{POD}}}, inputs: {{artifacts: [{{name: f, path: /f, git: {{}}, optional: true}}]}}", "artifact-location"),
        (
            "containerSet: {containers: [{name: a, image: i}]}, inputs: {artifacts: [{name: f, path: /f, raw: {data: d}}]}",
            "container-set",
        ),
        ("containerSet: {containers: [{name: a, image: i, dependencies: [b]}, {name: b, image: i, dependencies: [a]}]}", "cycle"),
        ("resource: {action: create, manifestFrom: {artifact: {name: f}}}", "resource-manifest"),
        ("resource: {action: create, manifest: 'kind: [Job'}", "resource-manifest"),
        ("resource: {action: create, manifest: 'kind: Job'}", "manifest-object"),
        ("resource: {action: apply, manifest: 'x', failureCondition: 'a >= 1'}", "resource-condition"),
        (f"container: {{{POD}}}, metrics: {{prometheus: [{{name: m, help: h, counter: {{value: ''}}}}]}}", "metric"),
        (f"container: {{{POD}}}, retryStrategy: {{limit: '-1'}}", "negative-limit"),
        (f"container: {{{POD}}}, timeout: '60'", "timeout-without-unit"),
        (f"container: {{{POD}}}, outputs: {{artifacts: [{{name: f, path: /f, mode: 512}}]}}", "out-of-range"),
    ],
)
def test_a_template(template: str, rule: str, tmp_path: Path) -> None:
    assert rule in rules(
        tmp_path, f"{{entrypoint: main, templates: [{{name: main, {template}}}, {LEAF}], volumes: [{{name: v}}, {{name: w}}]}}"
    )


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        (f"{{entrypoint: t, templates: [{LEAF}], podGC: {{strategy: Sometimes}}}}", "unknown-word"),
        (f"{{entrypoint: t, templates: [{LEAF}], podGC: {{labelSelector: {{matchExpressions: [{{key: a, operator: Like}}]}}}}}}", "pod-gc"),
        (f"{{entrypoint: t, templates: [{LEAF}], volumes: [{{name: v}}, {{name: v}}]}}", "name-twice"),
        (f"{{entrypoint: t, templates: [{LEAF}], arguments: {{parameters: [{{name: a, value: ~}}]}}}}", "parameter-null"),
        (f"{{entrypoint: t, templates: [{LEAF}], arguments: {{parameters: [{{name: a, value: b, enum: []}}]}}}}", "enum"),
        (f"{{entrypoint: t, templates: [{LEAF}], parallelism: 0}}", "out-of-range"),
        (f"{{entrypoint: t, templates: [{', '.join(LEAF.replace('t,', f't{i},') for i in range(201))}]}}", "out-of-range"),
    ],
)
def test_a_workflow(spec: str, rule: str, tmp_path: Path) -> None:
    assert rule in rules(tmp_path, spec)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("schedules: ['0 5 * * *'], timezone: Europe/Berlin", set()),
        ("schedules: ['@every 90m', '@daily']", set()),
        ("schedules: []", {"cron-schedule"}),
        ("schedules: ['0 25 * * *']", {"cron-schedule"}),
        ("schedules: ['TZ=UTC 0 5 * * *']", {"cron-pattern"}),
        ("schedules: ['@daily'], concurrencyPolicy: Maybe", {"unknown-word"}),
    ],
)
def test_a_cron_workflow(spec: str, found: set[str], tmp_path: Path) -> None:
    workflow = f"{{{spec}, workflowSpec: {{entrypoint: t, templates: [{LEAF}]}}}}"
    assert rules(tmp_path, workflow, "CronWorkflow") == found
    assert rules(tmp_path, workflow, "CronWorkflow", "w" * 53) == found | {"name-too-long"}


def test_a_workflow_of_a_cron_workflow_needs_values(tmp_path: Path) -> None:
    inner = f"{{entrypoint: t, templates: [{LEAF}], arguments: {{parameters: [{{name: a}}]}}}}"
    assert rules(tmp_path, inner) == set()
    assert rules(tmp_path, f"{{schedules: ['@daily'], workflowSpec: {inner}}}", "CronWorkflow") == {"argument-source"}


SAY = "{name: say, inputs: {parameters: [{name: v, default: d}]}, suspend: {}}"
MAKE = "{name: make, container: {image: i, command: [a]}, outputs: {parameters: [{name: o, globalName: %s, valueFrom: {path: /o}}]}}"
ARGUED = {"undefined-template", "missing-argument", "unresolved-tag"}


def calls(fields: str, arguments: str = "", inputs: str = "") -> str:
    main = f"{{name: main, inputs: {{parameters: [{inputs}]}}, steps: [[{{name: s, {fields}}}]]}}"
    return f"{{entrypoint: main, arguments: {{parameters: [{arguments}]}}, templates: [{main}, {LEAF}, {SAY}]}}"


def reads(first: str, second: str, name: str = "g") -> str:
    """Two groups of steps, one of which may read the global output that another makes."""
    steps = {"make": "{name: m, template: make}", "read": "{name: r, template: say, arguments: {parameters: [{name: v, value: '%s'}]}}"}
    groups = f"[{steps[first]}], [{steps[second]}]".replace("%s", "{{workflow.outputs.parameters.g}}")
    return f"{{entrypoint: main, templates: [{{name: main, steps: [{groups}]}}, {SAY}, {MAKE % name}]}}"


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (calls("template: '{{workflow.parameters.w}}'", "{name: w, value: t}"), set()),
        (calls("template: '{{inputs.parameters.w}}'", "{name: w, value: t}", "{name: w}"), set()),
        (calls("template: '{{inputs.parameters.w}}'", "", "{name: w, default: t}"), set()),
        (calls("template: '{{workflow.parameters.w}}'", "{name: w, value: gone}"), {"undefined-template"}),
        (calls("template: '{{workflow.parameters.w}}'", "{name: w}"), {"undefined-template"}),
        (calls("template: '{{item}}', withItems: [t]"), {"undefined-template"}),
        (calls("template: say, arguments: {parameters: [{name: v, valueFrom: {supplied: {}}}]}"), {"missing-argument"}),
        (calls("template: t", "{name: w}", "{name: w, default: d}"), {"missing-argument"}),
        (reads("make", "read"), set()),
        (reads("read", "make"), {"unresolved-tag"}),
        (reads("make", "read", "'{{workflow.name}}'"), set()),
        (reads("read", "make", "'{{workflow.name}}'"), {"unresolved-tag"}),
    ],
)
def test_what_argo_looks_up_before_it_runs(spec: str, found: set[str], tmp_path: Path) -> None:
    """Each was asked of `argo lint --offline` 4.1.2."""
    assert rules(tmp_path, spec) & ARGUED == found
