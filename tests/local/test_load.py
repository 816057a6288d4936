"""What is refused before anything runs, and how it is said."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.local import run
from pipelines.local.faults import Refused
from tests.local.play import SH, given, manifest, play, sh, write

STEP = sh("main", "true")


def dag(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "main", "dag": {"tasks": list(tasks), **more}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (manifest(STEP | {"daemon": True}), "daemon containers are not supported locally: template `main`"),
        (manifest(STEP | {"sidecars": [{"name": "s"}]}), "sidecars are not supported locally: template `main`"),
        (manifest(STEP | {"memoize": {"key": "k"}}), "templates.main.memoize.cache.configMap.name is required"),
        (manifest(STEP, volumeClaimTemplates=[{}]), "spec.volumeClaimTemplates[0].metadata.name is required"),
        (manifest(dag({"name": "a", "templateRef": {"name": "t", "template": "x"}})), "template reference t.x not found"),
        (manifest(STEP | {"retryStrateggy": {}}), "unknown field spec.templates.0.retryStrateggy: template `main`"),
        (manifest({"name": "main", "container": SH | {"resources": {"limits": {"cpu": "two"}}}}), "'two' is no quantity of cpu"),
        (manifest({"name": "main"}), "template 'main' type is unknown"),
        (manifest(STEP, entrypoint="mian"), "template name 'mian' undefined; did you mean 'main'?"),
        (manifest(STEP, onExit="bye"), "template name 'bye' undefined"),
        (manifest(dag({"name": "a", "template": "shw"}), sh("show", "true")), "template name 'shw' undefined; did you mean 'show'?"),
        (manifest(dag({"name": "a", "template": "s"}), sh("s", "true", "v")), "inputs.parameters.v was not supplied"),
        (manifest(dag({"name": "a", "template": "s", "depends": "b"}), sh("s", "true")), "sorting failed: invalid dependency b"),
        (manifest(dag({"name": "a", "template": "s", "depends": "a"}), sh("s", "true")), "graph with cycle: a -> a"),
        (
            manifest(dag({"name": "a", "template": "s"}, {"name": "a", "template": "s"}), sh("s", "true")),
            "sorting failed: duplicated nodeName a",
        ),
        (manifest(dag({"name": "a", "template": "s"}, target="z"), sh("s", "true")), "target 'z' is not defined"),
        (manifest({"name": "main", "container": SH | {"args": [1]}}), "argument 2 (1) is no text; quote it"),
        (manifest({"name": "main", "container": SH | {"args": "words"}}), "the args is no list: template `main`"),
        (manifest({"name": "main", "container": "words"}), "the container is no map: template `main`"),
        (manifest({"name": "main", "steps": [{"name": "a", "template": "b"}]}), "the steps is no list: template `main`"),
        (manifest(sh("main", "echo {{workflow.parameters.a}}")), "templates.main: failed to resolve {{workflow.parameters.a}}"),
        (
            manifest(dag({"name": "a", "template": "s", "when": "{{tasks.b.status}}"}), sh("s", "true")),
            "failed to resolve {{tasks.b.status}}",
        ),
        (manifest({"name": "main", "resource": {"action": "grab"}}), "resource.action must be one of: get, create"),
        (manifest({"name": "main", "resource": {"action": "get", "flags": ["--raw"]}}), "kubectl's flag --raw is not supported locally"),
        (manifest(STEP, arguments=given(a="1") | {"artifacts": [{"name": "x", "http": {}}]}), "HTTP is not supported locally"),
    ],
)
def test_what_cannot_run_is_refused_by_name_and_line(document: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        play(tmp_path, document)
    assert message in str(refusal.value)
    assert ", line " in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "home").exists()


def test_the_line_is_that_of_the_field(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "kind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: m\n  templates:\n  - name: m\n    daemon: true\n    container: {}\n"
    )
    with pytest.raises(Refused, match=r"template `m`, line 7 of"):
        run.run(str(file), {}, home=tmp_path / "home", templates=tmp_path)


def test_a_name_that_yaml_reads_as_a_boolean_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "kind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: m\n  templates:\n  - name: n\n    container: {command: [ls]}\n"
    )
    with pytest.raises(Refused, match="the name is no text"):
        run.run(str(file), {}, home=tmp_path / "home", templates=tmp_path)


DECLARED = manifest(
    STEP, arguments={"parameters": [{"name": "colour", "value": "red", "enum": ["red", "green"]}, {"name": "size", "value": "1"}]}
)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"color": "red"}, "parameter 'color' is unknown; did you mean 'colour'?"),
        ({"colour": "blue"}, "should be present in spec.arguments.colour.enum list: 'blue' is none of red, green"),
        ({"size": "{{workflow.name}}"}, "parameter 'size' contains '{{', which Argo or Kubernetes would act upon"),
        ({"size": "a}}"}, "contains '}}'"),
        ({"size": "$(HOME)"}, "contains '$('"),
        ({"size": "a\nb"}, r"contains '\n'"),
        ({"size": "a\x1bb"}, r"contains '\x1b'"),
        ({"size": "é" * 40000}, "is 80000 bytes long; a value has at most 65536"),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_is_written(parameters: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        play(tmp_path, DECLARED, parameters=parameters)
    assert message in str(refusal.value)
    assert not (tmp_path / "home").exists()


def test_a_parameter_without_a_value_must_be_given(tmp_path: Path) -> None:
    document = manifest(STEP, arguments={"parameters": [{"name": "who"}]})
    with pytest.raises(Refused, match=r"spec.arguments.who.value .* is required; give it with -p who="):
        play(tmp_path, document)
    assert play(tmp_path, document, parameters={"who": "me"})["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: [", "not YAML"),
        ("- a\n- b\n", "holds a list where a Kubernetes object"),
        ("kind: ConfigMap\n", "holds no Workflow, WorkflowTemplate, CronWorkflow"),
        ("kind: Workflow\nmetadata: {name: w}\n", "Workflow has no spec"),
        ("\x00", "not YAML"),
    ],
)
def test_a_file_that_is_no_workflow_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(text)
    with pytest.raises(Refused) as refusal:
        run.run(str(tmp_path / "w.yaml"), {}, home=tmp_path / "home", templates=tmp_path / "none")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_template_is_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    write(tmp_path / "templates", manifest(STEP, kind="WorkflowTemplate", name="train"), name="any.yaml")
    options: dict[str, Any] = {"home": tmp_path / "home", "templates": tmp_path / "templates"}
    workflow = run.run("train", {}, **options)
    assert workflow["metadata"]["name"].startswith("train-")
    assert len(workflow["metadata"]["name"]) == len("train-") + 5
    assert workflow["metadata"]["labels"]["workflows.argoproj.io/workflow-template"] == "train"
    assert workflow["spec"] == {"workflowTemplateRef": {"name": "train"}, "arguments": {}}
    with pytest.raises(Refused, match="did you mean 'train'"):
        run.run("trian", {}, **options)
    with pytest.raises(Refused, match="no such file"):
        run.run("./train.yaml", {}, **options)


def test_a_cron_workflow_runs_now(tmp_path: Path) -> None:
    template = manifest(STEP, kind="WorkflowTemplate", name="train")
    cron = {"kind": "CronWorkflow", "metadata": {"name": "weekly"}}
    cron["spec"] = {"schedules": ["0 0 * * 1"], "workflowSpec": {"workflowTemplateRef": {"name": "train"}}}  # type: ignore[assignment]
    (tmp_path / "templates").mkdir()
    write(tmp_path / "templates", template, name="train.yaml")
    write(tmp_path / "templates", cron, name="weekly.yaml")
    workflow = run.run("weekly", {}, home=tmp_path / "home", templates=tmp_path / "templates")
    assert workflow["status"]["phase"] == "Succeeded"
    assert workflow["metadata"]["name"].startswith("weekly-")


def test_two_runs_cannot_have_one_name(tmp_path: Path) -> None:
    play(tmp_path, manifest(STEP))
    with pytest.raises(Refused, match="there is a run 'w' already"):
        play(tmp_path, manifest(STEP))


def test_values_are_texts_as_argo_makes_them(tmp_path: Path) -> None:
    text = yaml.safe_dump(manifest(sh("main", "echo {{workflow.parameters.v}}"), arguments={"parameters": [{"name": "v", "value": 1.50}]}))
    (tmp_path / "w.yaml").write_text(text)
    workflow = run.run(str(tmp_path / "w.yaml"), {}, home=tmp_path / "home", templates=tmp_path)
    assert workflow["spec"]["arguments"]["parameters"] == [{"name": "v", "value": "1.5"}]
