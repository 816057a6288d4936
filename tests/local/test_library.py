"""Documents that refer to one another: templateRef, workflowTemplateRef, what a run keeps of them, what it sets on itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import library, load, merge, metadata, run, state, workflow
from pipelines.local.clock import SkippingClock
from pipelines.local.faults import Refused
from tests.local.play import Workflow, given, manifest, nodes, play, write

QUIET: dict[str, Any] = {"suspend": {"duration": "0"}}


def pause(name: str) -> dict[str, Any]:
    return {"name": name, **QUIET}


def calling(*calls: dict[str, Any], name: str = "main") -> dict[str, Any]:
    return {"name": name, "steps": [[{"name": f"s{i}"} | call] for i, call in enumerate(calls)]}


def shelf(name: str, *templates: dict[str, Any], cluster: bool = False, **spec: Any) -> Workflow:
    return manifest(*templates, name=name, kind="ClusterWorkflowTemplate" if cluster else "WorkflowTemplate", **spec)


def ref(name: str, template: str, cluster: bool = False) -> dict[str, Any]:
    return {"templateRef": {"name": name, "template": template} | ({"clusterScope": True} if cluster else {})}


def found(folder: Path, *documents: Workflow) -> dict[str, Any]:
    return load.source(write(folder, *documents), folder / "templates", 0.0)


# --- where names are looked up -------------------------------------------------------------------------------------------------


def test_a_bare_name_in_a_referenced_template_means_one_beside_it(tmp_path: Path) -> None:
    lib = shelf("lib", calling({"template": "inner"}, name="outer"), pause("inner"))
    other = {"name": "inner", "suspend": {"duration": "a while"}}  # would go wrong
    ended = play(tmp_path, lib, manifest(calling(ref("lib", "outer")), other, name="caller"))
    assert ended["status"]["phase"] == "Succeeded"
    assert sorted(ended["status"]["storedTemplates"]) == ["namespaced/lib/inner", "namespaced/lib/outer"]


def test_nodes_say_what_they_run_and_where_it_was_looked_up(tmp_path: Path) -> None:
    cluster = shelf("base", calling({"template": "deep"}, ref("lib", "leaf"), name="mid"), pause("deep"), cluster=True)
    ended = play(tmp_path, cluster, shelf("lib", pause("leaf")), manifest(calling(ref("base", "mid", cluster=True)), name="caller"))
    said = {n["name"]: (n.get("templateName"), n.get("templateRef"), n["templateScope"]) for n in ended["status"]["nodes"].values()}
    assert said["caller[0].s0"] == (None, {"name": "base", "template": "mid", "clusterScope": True}, "local/caller")
    assert said["caller[0].s0[0].s0"] == ("deep", None, "cluster/base")
    assert said["caller[0].s0[1].s1"] == (None, {"name": "lib", "template": "leaf"}, "cluster/base")


def test_templates_of_both_kinds_may_have_one_name(tmp_path: Path) -> None:
    both = (shelf("x", pause("a")), shelf("x", pause("b"), cluster=True))
    source = found(tmp_path, *both, manifest(calling(ref("x", "a"), ref("x", "b", cluster=True))))
    assert sorted(source["stored"]) == ["cluster/x/b", "namespaced/x/a"]


def test_the_run_s_file_comes_before_the_folder_of_templates_and_that_before_what_lies_beside(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    for folder, templates in ((tmp_path / "templates", ("a", "b")), (tmp_path, ("b", "c"))):
        for name in templates:
            write(
                folder,
                shelf(name, {"name": "t", "suspend": {"duration": f"{len(folder.parts) - len(tmp_path.parts)}"}}),
                name=f"{name}.yaml",
            )
    own = shelf("a", {"name": "t", "suspend": {"duration": "7"}})
    stored = found(tmp_path, own, manifest(calling(ref("a", "t"), ref("b", "t"), ref("c", "t"))))["stored"]
    assert {key: t["suspend"]["duration"] for key, t in stored.items()} == {
        "namespaced/a/t": "7",
        "namespaced/b/t": "1",
        "namespaced/c/t": "0",
    }


def test_a_tag_in_a_reference_is_filled_in_when_the_step_is_reached(tmp_path: Path) -> None:
    lib = shelf("lib", pause("slow"), pause("fast"))
    main = calling(ref("lib", "{{workflow.parameters.which}}")) | {}
    ended = play(tmp_path, lib, manifest(main, arguments=given(which="fast")))
    assert nodes(ended)["s0"]["templateRef"] == {"name": "lib", "template": "fast"}
    gone = play(tmp_path / "home", lib, manifest(main, name="w2", arguments=given(which="none")))
    assert gone["status"]["message"].endswith("template none not found in workflow template lib")


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ((manifest(calling(ref("lib", "t"))),), "template reference lib.t not found"),
        ((shelf("lib", pause("tea")), manifest(calling(ref("lib", "te")))), "template reference lib.te not found; did you mean 'tea'?"),
        (
            (shelf("lib", pause("a")), shelf("lib", pause("b")), manifest(calling(ref("lib", "a")))),
            'duplicate WorkflowTemplate found: "lib"',
        ),
        ((manifest(pause("m")) | {"spec": {"workflowTemplateRef": {"name": "lob"}}},), "workflowtemplates.argoproj.io 'lob' not found"),
        ((shelf("lib", {"name": "h", "http": {}}), manifest(calling(ref("lib", "h")))), "HTTP is not supported locally: template `h`"),
    ],
)
def test_a_reference_that_leads_nowhere_or_to_what_cannot_run_is_refused(documents: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        found(tmp_path, *documents)
    assert message in str(refused.value)


def test_what_a_library_holds_beside_what_is_called_need_not_run_here(tmp_path: Path) -> None:
    lib = shelf("lib", pause("good"), {"name": "bad", "http": {"url": "http://x"}})
    assert list(found(tmp_path, lib, manifest(calling(ref("lib", "good"))))["stored"]) == ["namespaced/lib/good"]


# --- what a run keeps ----------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_as_it_began_when_its_files_are_gone(tmp_path: Path) -> None:
    documents = (shelf("lib", calling({"template": "t"}, name="o"), pause("t")), manifest(calling(ref("lib", "o")), name="kept"))
    clock, home = SkippingClock(), tmp_path / "home"
    made = workflow.make(found(tmp_path, *documents), {}, "default", {}, None, clock.now())
    (tmp_path / "w.yaml").unlink()
    (home / "runs" / "kept").mkdir(parents=True)
    state.write(home / "runs" / "kept" / "workflow.json", json.dumps(made))
    assert run.resume("kept", home=home, templates=tmp_path, clock=clock)["status"]["phase"] == "Succeeded"


def test_the_defaults_of_the_run_reach_a_referenced_template_those_beside_it_do_not(tmp_path: Path) -> None:
    lib = shelf("lib", pause("t"), templateDefaults={"parallelism": 7, "timeout": "9s"})
    source = found(tmp_path, lib, manifest(calling(ref("lib", "t")), templateDefaults={"timeout": "5s"}))
    made = workflow.make(source, {}, "default", {}, None, 0.0)
    template = workflow.templates(made, workflow.effective(made))["namespaced/lib/t"]
    assert (template["timeout"], template.get("parallelism")) == ("5s", None)


# --- workflowTemplateRef -------------------------------------------------------------------------------------------------------

BASE: dict[str, Any] = {
    "entrypoint": "m",
    "onExit": "bye",
    "arguments": {"parameters": [{"name": "a", "value": "t-a"}, {"name": "b", "value": "t-b"}, {"name": "c", "default": "t-c"}]},
    "hooks": {"one": {"template": "m", "expression": "a"}, "two": {"template": "m", "expression": "b"}},
    "workflowMetadata": {"labels": {"x": "t", "y": "t"}},
    "volumes": [{"name": "v", "emptyDir": {}}],
}


@pytest.mark.parametrize(
    ("own", "field", "expected"),
    [
        ({}, "entrypoint", "m"),
        ({"entrypoint": "k"}, "entrypoint", "k"),
        ({"onExit": "k"}, "onExit", "k"),
        ({"hooks": {"one": {"template": "k"}}}, "hooks", {"one": {"template": "k"}, "two": BASE["hooks"]["two"]}),
        ({"workflowMetadata": {"labels": {"x": "w"}}}, "workflowMetadata", {"labels": {"x": "w", "y": "t"}}),
        ({"volumes": [{"name": "u", "emptyDir": {}}]}, "volumes", [{"name": "u", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]),
        (
            {"arguments": {"parameters": [{"name": "c", "value": "w"}, {"name": "d", "value": "w"}]}},
            "arguments",
            {"parameters": [*BASE["arguments"]["parameters"][:2], {"name": "c", "value": "w"}, {"name": "d", "value": "w"}]},
        ),
        ({"arguments": {"parameters": [{"name": "a", "enum": ["t-a"]}]}}, "arguments", BASE["arguments"]),
    ],
)
def test_a_workflow_s_own_spec_lies_over_that_of_its_template(own: dict[str, Any], field: str, expected: Any) -> None:
    assert workflow.refer(own | {"workflowTemplateRef": {"name": "x"}}, BASE)[field] == expected


@pytest.mark.parametrize(
    ("base", "patch", "expected"),  # as k8s.io/apimachinery v0.35.4 answers
    [
        ("abc", "a", "abc"),
        ("abc", "cad", "bcad"),
        ("abc", "d", "dabc"),
        ("abc", "dbe", "dabec"),
        ("acf", "bf", "bacf"),
    ],
)
def test_lists_are_merged_in_the_order_of_kubernetes(base: str, patch: str, expected: str) -> None:
    merged = merge.strategic({"env": [{"name": n} for n in base]}, {"env": [{"name": n} for n in patch]})
    assert "".join(item["name"] for item in merged["env"]) == expected


@pytest.mark.parametrize(("cluster", "label"), [(False, "workflow-template"), (True, "cluster-workflow-template")])
def test_a_template_is_run_as_argo_submit_from_does(cluster: bool, label: str, tmp_path: Path) -> None:
    source = found(tmp_path, shelf("base", pause("m"), cluster=cluster, arguments=given(a="1", b="2")))
    made = workflow.make(source, {"b": "3"}, "default", {}, None, 0.0)
    assert made["metadata"]["name"].startswith("base-")
    assert made["metadata"]["labels"][f"workflows.argoproj.io/{label}"] == "base"
    assert made["spec"]["workflowTemplateRef"] == {"name": "base"} | ({"clusterScope": True} if cluster else {})
    assert made["status"]["storedWorkflowTemplateSpec"]["arguments"] == given(a="1", b="3")


def test_a_plain_workflow_keeps_no_second_copy_of_its_spec(tmp_path: Path) -> None:
    made = workflow.make(found(tmp_path, manifest(pause("m"))), {}, "default", {}, None, 0.0)
    assert "storedWorkflowTemplateSpec" not in made["status"]


# --- workflowMetadata ----------------------------------------------------------------------------------------------------------


KNOWN: dict[str, object] = {"workflow.name": "w", "workflow.parameters.p": "given"}


def test_labels_and_annotations_are_filled_in_and_computed() -> None:
    asked = {
        "labels": {"a": "{{workflow.parameters.p}}"},
        "annotations": {"n": "x {{workflow.name}}"},
        "labelsFrom": {"b": {"expression": "workflow.parameters.p + '1'"}},
    }
    found = metadata.asked_for({"workflowMetadata": asked}, KNOWN)
    assert found == {"labels": {"a": "given", "b": "given1"}, "annotations": {"n": "x w"}}


def test_a_workflow_labels_itself_over_what_it_has_and_tags_see_it(tmp_path: Path) -> None:
    template = {"name": "m", "inputs": {"parameters": [{"name": "v", "value": "{{workflow.labels.a}}"}]}, **QUIET}
    document = manifest(template, workflowMetadata={"labels": {"a": "new"}})
    document["metadata"]["labels"] = {"a": "old", "own": "o"}
    ended = play(tmp_path, document)
    assert {k: v for k, v in ended["metadata"]["labels"].items() if "/" not in k} == {"a": "new", "own": "o"}
    assert nodes(ended)["w"]["inputs"]["parameters"][0]["value"] == "new"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"labels": {"a": "no blanks"}},
            'invalid label value "no blanks" for label "a": a valid label must be an empty string or consist of',
        ),
        ({"labels": {"a": "x" * 64}}, "must be no more than 63 bytes"),
        (
            {"labelsFrom": {"a": {"expression": "1 + 1"}}},
            'failed to evaluate label "a" expression "1 + 1" evaluted to int but must be a string',
        ),
        ({"labelsFrom": {"a": {"expression": "'a b'"}}}, 'invalid label value "a b" for label "a" and expression "\'a b\'": a valid label'),
    ],
)
def test_a_label_that_cannot_be_is_argo_s_error(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(metadata.MetadataError) as wrong:
        metadata.asked_for({"workflowMetadata": asked}, KNOWN)
    assert message in str(wrong.value)


def test_every_call_of_a_template_is_found_hooks_and_inline_ones_too() -> None:
    inner = calling({"template": "e", "hooks": {"exit": {"template": "f"}}})
    template = {
        "dag": {"tasks": [{"template": "a", "onExit": "b"}, {"inline": inner}, {"hooks": {"h": {"template": "c"}}, "template": "d"}]}
    }
    assert [c["template"] for c in library.calls(template) if "template" in c] == ["a", "b", "e", "f", "d", "c"]


def test_files_of_other_kinds_beside_a_workflow_do_not_hinder(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("a: 1\n")
    (tmp_path / "chart.yaml").write_text("{{ if }}: [\n")
    write(tmp_path, shelf("lib", pause("t")), name="lib.yaml")
    assert list(found(tmp_path, manifest(calling(ref("lib", "t"))))["stored"]) == ["namespaced/lib/t"]
