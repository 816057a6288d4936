"""The compiled files are what the modules say, self-contained, wired, and free of what Argo trips over."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.compile import FOLDER, TEMPLATES, Dumper, compile_all, render, stale
from pipelines.local import documents

COMPILED = {name: documents.read(FOLDER / f"{name}.yaml")[0] for name in TEMPLATES}
WORKFLOW_TEMPLATES = [name for name, document in COMPILED.items() if document["kind"] == "WorkflowTemplate"]
PARAMETER = re.compile(r"\{\{(inputs|workflow|tasks\.[\w-]+\.outputs|steps\.[\w-]+\.outputs)\.parameters\.([\w-]+)(?:\.path)?\}\}")


def templates(name: str) -> dict[str, Any]:
    return {one["name"]: one for one in COMPILED[name]["spec"].get("templates", [])}


def walk(value: Any) -> list[str]:
    """Every text in a document."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in walk(part)]
    if isinstance(value, list):
        return [text for part in value for text in walk(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.slow
def test_no_compiled_file_is_stale_and_none_is_an_orphan() -> None:
    assert stale() == [], "run `make compile` and commit workflow-templates/"


@pytest.mark.slow
def test_compiling_twice_gives_the_same_bytes() -> None:
    assert [render(name) for name in TEMPLATES] == [render(name) for name in TEMPLATES]


@pytest.mark.slow
def test_an_orphan_and_a_hand_edit_are_found_and_mended(tmp_path: Path) -> None:
    compile_all(tmp_path)
    (tmp_path / "old.yaml").write_text("kind: WorkflowTemplate")
    (tmp_path / "release.yaml").write_text("edited")
    assert sorted(path.name for path in stale(tmp_path)) == ["old.yaml", "release.yaml"]
    assert sorted(path.name for path in compile_all(tmp_path)) == ["old.yaml", "release.yaml"]
    assert stale(tmp_path) == []


@pytest.mark.parametrize("name", WORKFLOW_TEMPLATES)
def test_a_template_is_self_contained(name: str) -> None:
    document = COMPILED[name]
    assert "templateRef" not in yaml.dump(document)
    called = {task["template"] for one in templates(name).values() for task in one.get("dag", {}).get("tasks", [])}
    called |= {one["template"] for each in templates(name).values() for group in each.get("steps", []) for one in group}
    assert called | {document["spec"]["entrypoint"], *filter(None, [document["spec"].get("onExit")])} == set(templates(name))
    assert len(templates(name)) == len(document["spec"]["templates"]), "two templates of one name"
    assert not any("suspend" in one or "script" in one for one in templates(name).values())


@pytest.mark.parametrize("name", WORKFLOW_TEMPLATES)
def test_arguments_are_inputs_required_inputs_are_given_and_every_tag_has_a_source(name: str) -> None:
    declared = {one["name"] for one in COMPILED[name]["spec"].get("arguments", {}).get("parameters", [])}
    for one in templates(name).values():
        inputs = {given["name"] for given in one.get("inputs", {}).get("parameters", [])}
        outputs = {given["name"] for given in one.get("outputs", {}).get("parameters", [])}
        siblings = {task["name"]: templates(name)[task["template"]] for task in one.get("dag", {}).get("tasks", [])}
        siblings |= {task["name"]: templates(name)[task["template"]] for group in one.get("steps", []) for task in group}
        for task in one.get("dag", {}).get("tasks", []):
            takes = templates(name)[task["template"]].get("inputs", {}).get("parameters", [])
            passed = {argument["name"] for argument in task.get("arguments", {}).get("parameters", [])}
            assert passed <= {given["name"] for given in takes}, (one["name"], task["name"])
            assert {given["name"] for given in takes if "default" not in given} <= passed, (one["name"], task["name"])
        for text in walk(one):
            for source, parameter in PARAMETER.findall(text):
                if source == "inputs":
                    assert parameter in inputs, (one["name"], text)
                elif source == "workflow":
                    assert parameter in declared, (one["name"], text)
                else:
                    gives = siblings[source.split(".")[1]]["outputs"]["parameters"]
                    assert parameter in {given["name"] for given in gives}, (one["name"], text)
        assert all(given in outputs for text in walk(one) for given in re.findall(r"\{\{outputs\.parameters\.([\w-]+)\.path", text))


@pytest.mark.parametrize("name", WORKFLOW_TEMPLATES)
def test_containers_are_plain_programs_with_limits_and_the_restricted_context(name: str) -> None:
    for one in templates(name).values():
        if container := one.get("container"):
            assert container["command"] == ["python", "-m", f"steps.{one['name']}"]
            assert all(argument.startswith("--") and argument.count("{{") == 1 for argument in container["args"])
            assert container["resources"]["limits"]["memory"]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["image"].rpartition(":")[2] not in ("", "latest")
            assert one["retryStrategy"]["expression"] == "asInt(lastRetry.exitCode) in [-1, 69, 75, 143]"


def test_retrain_is_finetune_by_schedule_and_never_lets_out_by_itself() -> None:
    spec = COMPILED["retrain"]["spec"]
    assert spec["workflowSpec"]["workflowTemplateRef"] == {"name": "finetune"}
    given = {one["name"]: one["value"] for one in spec["workflowSpec"]["arguments"]["parameters"]}
    assert given == {"promote": "ask", "unchanged": "stop"}
    assert set(given) <= {one["name"] for one in COMPILED["finetune"]["spec"]["arguments"]["parameters"]}


def test_the_reaper_starts_what_it_is_named_after_and_never_two_at_a_time() -> None:
    spec = COMPILED["reaper"]["spec"]
    assert spec["workflowSpec"] == {"workflowTemplateRef": {"name": "reap"}}
    assert (spec["schedules"], spec["concurrencyPolicy"]) == (["*/2 * * * *"], "Forbid")


# Renaming one of these breaks the schedules, scripts and habits of every team that submits runs.
SURFACE = {
    "finetune": ["config", "config-repo", "config-ref", "preset", "promote", "unchanged"],
    "release": ["request"],
    "approve": ["request", "digest", "decision", "reason"],
    "evaluate": ["config", "config-repo", "config-ref", "model"],
    "deploy": ["model-id", "version", "environment"],
    "rollback": ["model-id", "environment", "reason"],
}


@pytest.mark.parametrize(("name", "parameters"), SURFACE.items())
def test_the_parameters_people_type_stay_as_they_are(name: str, parameters: list[str]) -> None:
    assert [one["name"] for one in COMPILED[name]["spec"]["arguments"]["parameters"]] == parameters


@pytest.mark.parametrize("text", ["2e-5", "1e3", "0o17", "1_000", "n", "Y", "on", "null", "~", "", ".5", "0x1f", "12", "nan"])
def test_text_that_a_yaml_reader_takes_for_something_else_is_quoted(text: str) -> None:
    assert yaml.dump([text], Dumper=Dumper).startswith(f'- "{text}"')


def test_a_control_character_never_reaches_a_compiled_file() -> None:
    with pytest.raises(ValueError, match="control character"):
        yaml.dump(["a\x07b"], Dumper=Dumper)
