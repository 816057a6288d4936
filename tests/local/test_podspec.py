"""What a step gets of the pod that it would be on a cluster: volumes, fields, patches, arguments that are too long."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.local.faults import Refused
from pipelines.local.objects import Objects
from tests.local.play import given, log, manifest, nodes, play, sh

pytestmark = pytest.mark.slow


def mounted(name: str, script: str, volume: str, **more: Any) -> dict[str, Any]:
    template = sh(name, script, **more)
    template["container"] = template["container"] | {"volumeMounts": [{"name": volume, "mountPath": "/v"}]}
    return template


def sequence(*names: str) -> dict[str, Any]:
    return {"name": "main", "steps": [[{"name": name, "template": name}] for name in names]}


CLAIM = {"metadata": {"name": "work"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}


@pytest.mark.parametrize(
    ("last", "strategy", "kept"), [("true", {}, False), ("false", {}, True), ("false", {"strategy": "OnWorkflowCompletion"}, False)]
)
def test_a_claim_is_shared_by_the_steps_of_its_run_and_deleted_as_told(
    tmp_path: Path, last: str, strategy: dict[str, str], kept: bool
) -> None:
    write, read = mounted("write", "echo hi > /v/f", "work"), mounted("read", f"cat /v/f; {last}", "work")
    workflow = play(tmp_path, manifest(sequence("write", "read"), write, read, volumeClaimTemplates=[CLAIM], volumeClaimGC=strategy))
    assert log(tmp_path, workflow, "read").startswith("hi\n")
    assert (tmp_path / "home/volumes/default/w-work/f").exists() == kept
    assert ("persistentVolumeClaims" in workflow["status"]) == kept


def test_a_volume_may_hold_a_folder_of_this_machine_objects_and_fields_of_the_pod(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").write_text("here\n")
    objects = Objects(tmp_path / "home", "default")
    objects.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "vee\n"}})
    label = {"path": "l", "fieldRef": {"fieldPath": "metadata.labels['team']"}}
    sources = [{"configMap": {"name": "c"}}, {"downwardAPI": {"items": [label]}}]
    host, both = {"name": "h", "hostPath": {"path": str(tmp_path / "data")}}, {"name": "p", "projected": {"sources": sources}}
    a = mounted("a", "cat /v/f", "h", volumes=[host])
    b = mounted("b", "cat /v/k /v/l", "p", volumes=[both], metadata={"labels": {"team": "ml"}})
    workflow = play(tmp_path, manifest(sequence("a", "b"), a, b))
    assert (log(tmp_path, workflow, "a"), log(tmp_path, workflow, "b")) == ("here\n", "vee\nml\n")


def test_a_patch_of_the_pod_reaches_the_environment(tmp_path: Path) -> None:
    patch = "containers: [{name: main, env: [{name: A, value: '{{workflow.parameters.a}}'}]}]"
    workflow = play(tmp_path, manifest(sh("main", "echo $A"), podSpecPatch=patch, arguments=given(a="patched")))
    assert log(tmp_path, workflow, "w") == "patched\n"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (mounted("main", "true", "none"), "volume 'none' not found in workflow spec"),
        (sh("main", "true", podSpecPatch="{"), "Error applying PodSpecPatch"),
        (sh("main", "true", podSpecPatch="containers: [{name: side}]"), "podSpecPatch adds container side, which is not supported locally"),
        (sh("main", "true", metadata={"labels": {"l": "a b"}}), 'Pod "w" is invalid: metadata.labels: Invalid value: "a b": a valid label'),
    ],
)
def test_a_pod_that_cannot_be_made_is_an_error_of_its_node(tmp_path: Path, template: dict[str, Any], message: str) -> None:
    node = nodes(play(tmp_path, manifest(template)))["w"]
    assert (node["type"], node["phase"]) == ("Pod", "Error")
    assert node["message"].startswith(message)


SECRET = {"name": "S", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}


@pytest.mark.parametrize(
    ("more", "phase", "message"),
    [
        ({}, "Error", "this never ends on a cluster: w waits for Secret 'none', which does not exist"),
        ({"activeDeadlineSeconds": 60}, "Failed", "Pod was active on the node longer than the specified deadline"),
    ],
)
def test_a_secret_that_is_missing_is_named(tmp_path: Path, more: dict[str, Any], phase: str, message: str) -> None:
    template = sh("main", "true", **more)
    template["container"] = template["container"] | {"env": [SECRET]}
    status = play(tmp_path, manifest(template))["status"]
    assert (status["phase"], status["message"]) == (phase, message)
    assert "Secret 'none'" in str(status)


def test_an_argument_that_is_too_long_comes_in_a_file(tmp_path: Path) -> None:
    template = {"name": "main", "container": {"image": "x", "command": ["sh", "-c", 'wc -c < "${1#@}"; echo $2', "sh"]}}
    template["container"]["args"] = ["x" * 140_000, "$(ARGO_NODE_ID)"]  # type: ignore[index]
    workflow = play(tmp_path, manifest(template))
    assert log(tmp_path, workflow, "w").split() == ["140000", "$(ARGO_NODE_ID)"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"name": "main", "container": {"image": "x", "args": ["a"]}}, "templates.main.container: the command is missing"),
        (sh("main", "true", volumes=[{"name": "v", "nfs": {}}]), "nfs volumes are not supported locally: template `main`"),
    ],
)
def test_what_only_a_cluster_knows_is_refused_by_name(tmp_path: Path, template: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        play(tmp_path, manifest(template))
