"""The API server of one machine."""

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import patches
from pipelines.local.objects import ObjectError, Objects
from tests.local.gangs import job_of, jobset, pod_of

Manifest = dict[str, Any]


def config(name: str = "settings", **data: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def workflow(name: str = "release-1", **metadata: Any) -> Manifest:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name, **metadata}, "spec": {"entrypoint": "m"}}


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path, "team")


def test_an_object_is_created_once(objects: Objects) -> None:
    made = objects.create(config(a="1"))
    assert made["metadata"]["namespace"] == "team"
    assert {"uid", "creationTimestamp", "resourceVersion"} <= set(made["metadata"])
    with pytest.raises(ObjectError, match=r'^Error from server \(AlreadyExists\): .*configmaps "settings" already exists$'):
        objects.create(config(a="2"))
    assert objects.get("ConfigMap", "settings") == made


def test_other_processes_can_read_an_object_as_json(objects: Objects, tmp_path: Path) -> None:
    objects.create(config(a="1"))
    assert json.loads((tmp_path / "objects/team/ConfigMap/settings.json").read_text())["data"] == {"a": "1"}


def test_the_same_manifest_applied_again_changes_nothing(objects: Objects) -> None:
    first = objects.apply(config(a="1"))
    objects.patch({**config(), "status": {"seen": True}})
    again = objects.apply(config(a="1"))
    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    assert again["metadata"]["resourceVersion"] == "2"
    assert again["status"] == {"seen": True}


def test_a_changed_manifest_is_merged_into_the_object(objects: Objects) -> None:
    first = objects.apply(config(a="1", b="2"))
    second = objects.apply(config(b="3"))
    assert second["data"] == {"a": "1", "b": "3"}
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["metadata"]["resourceVersion"] == "2"


def test_null_in_a_patch_removes_a_field(objects: Objects) -> None:
    objects.create(config(a="1", b="2"))
    assert objects.patch({**config(), "data": {"a": None}})["data"] == {"b": "2"}


def test_a_patch_names_its_object_by_kind_and_name(objects: Objects) -> None:
    objects.create(workflow())
    patched = objects.patch({"apiVersion": "v1", "kind": "Workflow", "metadata": {"name": "release-1"}, "status": {"phase": "Running"}})
    assert patched["apiVersion"] == "argoproj.io/v1alpha1"
    assert patched["status"] == {"phase": "Running"}


def test_a_dry_run_writes_nothing(objects: Objects, tmp_path: Path) -> None:
    objects.create(config(a="1"), dry_run=True)
    objects.apply(jobset("ft-a"), dry_run=True)
    assert not list(tmp_path.glob("objects/*/*"))


def test_what_is_missing_is_said_in_kubectls_words(objects: Objects) -> None:
    assert objects.get("ConfigMap", "none") is None
    assert objects.delete("ConfigMap", "none") is None
    with pytest.raises(ObjectError, match=r'^Error from server \(NotFound\): configmaps "none" not found$'):
        objects.patch(config("none"))


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ({"metadata": {"name": "x"}}, "error validating data: [apiVersion not set, kind not set]"),
        (
            {"apiVersion": "none.example/v1", "kind": "Thing", "metadata": {"name": "x"}},
            'no matches for kind "Thing" in version "none.example/v1"',
        ),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, "error: resource name may not be empty"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "../x"}}, 'metadata.name: Invalid value: "../x"'),
        (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "../y"}},
            'metadata.namespace: Invalid value: "../y"',
        ),
    ],
)
def test_a_manifest_that_names_no_object_is_refused(objects: Objects, manifest: Manifest, text: str) -> None:
    with pytest.raises(ObjectError, match=re.escape(text)):
        objects.apply(manifest)


def test_namespaces_are_apart(objects: Objects) -> None:
    objects.create(workflow(namespace="team-release"))
    assert objects.get("Workflow", "release-1") is None
    assert [each["metadata"]["name"] for each in objects.list("Workflow", "team-release")] == ["release-1"]


def test_an_applied_workflow_is_handed_over_until_it_has_ended(tmp_path: Path) -> None:
    started: list[Manifest] = []
    objects = Objects(tmp_path, "team", started.append)
    objects.apply(workflow())
    objects.apply(workflow())
    objects.patch({**workflow(), "status": {"phase": "Succeeded"}})
    objects.apply(workflow())
    assert len(started) == 2
    assert len({each["metadata"]["uid"] for each in started}) == 1


def test_a_name_can_be_generated_on_create_only(objects: Objects) -> None:
    manifest = {**workflow(), "metadata": {"generateName": "run-"}}
    assert re.fullmatch(r"run-[a-z0-9]{5}", objects.create(manifest)["metadata"]["name"])
    with pytest.raises(ObjectError, match=r"^error: from run-: cannot use generate name with apply$"):
        objects.apply(manifest)


def test_deleting_an_owner_deletes_what_it_owns(objects: Objects) -> None:
    owner = objects.create(workflow())
    owned = config()
    owned["metadata"]["ownerReferences"] = [{"kind": "Workflow", "name": "release-1", "uid": owner["metadata"]["uid"]}]
    objects.create(owned)
    objects.create(config("other"))
    objects.delete("Workflow", "release-1")
    assert [each["metadata"]["name"] for each in objects.list("ConfigMap")] == ["other"]


def test_of_many_creators_one_wins(objects: Objects) -> None:
    def create(number: int) -> bool:
        try:
            objects.create(config(n=str(number)))
        except ObjectError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(24))) == 1


def _refuse(change: Callable[[Manifest], object]) -> Manifest:
    manifest = jobset("ft-a")
    change(manifest)
    return manifest


def _rule(index: int, **fields: Any) -> Callable[[Manifest], None]:
    return lambda m: m["spec"]["failurePolicy"]["rules"][index].update(fields)


def _codes(**fields: Any) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        job_of(manifest)["podFailurePolicy"] = {
            "rules": [{"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [1], **fields}}]
        }

    return change


def _container(**fields: Any) -> Callable[[Manifest], None]:
    return lambda m: pod_of(m)["containers"][0].update(fields)


INVALID: list[tuple[Callable[[Manifest], object], str]] = [
    (
        lambda m: m["metadata"].update(name="x" * 49),
        "JobSet name is too long, pod names generated for this JobSet will exceed 63 characters",
    ),
    (lambda m: m["metadata"].update(name="1x"), "a DNS-1035 label must consist of lower case alphanumeric characters"),
    (lambda m: m["metadata"].update(name="Ft"), "a DNS-1035 label must consist of lower case alphanumeric characters"),
    (_rule(0, name="non-retriable"), "invalid failure policy rule name 'non-retriable', a failure policy rule name must start with"),
    (_rule(1, name="nonRetriable"), "rule names are not unique, rules with indices [0 1] all have the same name 'nonRetriable'"),
    (
        _rule(0, onJobFailureReasons=["Evicted"]),
        "invalid job failure reason 'Evicted' in failure policy is not a recognized job failure reason",
    ),
    (
        _rule(0, targetReplicatedJobs=["workers"]),
        "invalid replicatedJob name 'workers' in failure policy does not appear in .spec.ReplicatedJobs",
    ),
    (
        _rule(0, action="Restart"),
        'spec.failurePolicy.rules[0].action: Unsupported value: "Restart": supported values: "FailJobSet", "RestartJobSet", ',
    ),
    (_rule(0, action="RestartJob"), "are not allowed when RestartJob feature gate is disabled"),
    (_rule(0, onJobFailureMessagePatterns=["exit (?=6)"]), "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
    (
        lambda m: job_of(m).update(parallelisms=2),
        'strict decoding error: unknown field "spec.replicatedJobs[0].template.spec.parallelisms"',
    ),
    (
        lambda m: pod_of(m).update(restartPolicy="Always"),
        'restartPolicy: Unsupported value: "Always": supported values: "OnFailure", "Never"',
    ),
    (
        lambda m: pod_of(m).update(restartPolicy="OnFailure"),
        'Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
    ),
    (lambda m: pod_of(m).pop("restartPolicy"), 'Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified'),
    (lambda m: pod_of(m).update(containers=[]), "spec.template.spec.containers: Required value"),
    (_container(image=""), 'job "ft-a-node-0" creation failed with error: Job.batch "ft-a-node-0" is invalid: '),
    (_container(image=""), "spec.template.spec.containers[0].image: Required value"),
    (_container(name="Main"), "spec.template.spec.containers[0].name: Invalid value"),
    (_container(env=[{"name": "N", "value": 1}]), "must be of type string"),
    (_container(volumeMounts=[{"name": "none", "mountPath": "/x"}]), 'volumeMounts[0].name: Not found: "none"'),
    (
        _container(resources={"requests": {"nvidia.com/gpu": 1}}),
        "limits: Required value: Limit must be set for non overcommitable resources",
    ),
    (_container(resources={"limits": {"nvidia.com/gpu": "500m"}}), 'limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer'),
    (
        _codes(containerName="side"),
        'containerName: Invalid value: "side": must be one of the container or initContainer names in the pod template',
    ),
    (_codes(values=[76, 75]), "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [76,75]: must be ordered"),
    (_codes(values=[0, 1]), "must not be 0 for the In operator"),
    (_codes(values=[1, 1]), "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Duplicate value: 1"),
    (_codes(operator="Is"), 'operator: Unsupported value: "Is": supported values: "In", "NotIn"'),
]


@pytest.mark.parametrize(("change", "text"), INVALID)
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_invalid_jobset_is_refused_in_the_clusters_words(
    objects: Objects, change: Callable[[Manifest], object], text: str, dry_run: bool
) -> None:
    with pytest.raises(ObjectError, match=re.escape(text)):
        objects.apply(_refuse(change), dry_run=dry_run)
    assert not objects.list("JobSet")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: m["spec"].update(suspend=True), "spec.suspend is not supported"),
        (lambda m: job_of(m).update(backoffLimit=3), "a rank of a gang cannot be replaced alone"),
        (lambda m: job_of(m).update(parallelism=1), "completions must equal parallelism"),
        (lambda m: job_of(m)["podFailurePolicy"]["rules"][0].update(action="Ignore"), "podFailurePolicy action Ignore is not supported"),
        (lambda m: pod_of(m).update(initContainers=[{}]), "only one container is supported"),
        (lambda m: pod_of(m).update(volumes=[{"name": "v", "csi": {}}]), "volume v: csi is not supported"),
        (
            _container(env=[{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostname"}}}]),
            "env N: fieldPath spec.hostname is not supported",
        ),
    ],
)
def test_what_this_machine_cannot_run_is_refused_by_name(objects: Objects, change: Callable[[Manifest], object], text: str) -> None:
    with pytest.raises(ObjectError, match=f"cannot run on this machine: .*{re.escape(text)}"):
        objects.create(_refuse(change))


def test_the_longest_jobset_name_is_48_characters(objects: Objects) -> None:
    objects.create(jobset("x" * 48), dry_run=True)


def test_an_invalid_job_is_refused_by_the_server(objects: Objects) -> None:
    job = plain_job("pre", "true")
    assert objects.create(job, dry_run=True)["kind"] == "Job"
    job["spec"]["template"]["spec"]["containers"][0]["image"] = ""
    with pytest.raises(ObjectError, match=r'^The Job "pre" is invalid: spec.template.spec.containers\[0\].image: Required value\n$'):
        objects.create(job)


def plain_job(name: str, program: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "x", "command": ["sh", "-c", program]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {**spec, "template": {"spec": pod}}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "spec", "status"),
    [
        ("true", {}, {"succeeded": 1}),
        ("exit 3", {"backoffLimit": 1}, {"failed": 2}),
        ("exec sleep 60", {"activeDeadlineSeconds": 0.1}, {"failed": 1}),
        ("true", {"completions": 3, "parallelism": 2, "completionMode": "Indexed"}, {"succeeded": 3, "completedIndexes": "0-2"}),
        (
            "exit $JOB_COMPLETION_INDEX",
            {"completions": 2, "completionMode": "Indexed", "backoffLimit": 0},
            {"succeeded": 1, "failed": 1, "completedIndexes": "0"},
        ),
    ],
)
def test_a_job_runs_as_processes_of_this_machine(objects: Objects, program: str, spec: Manifest, status: Manifest) -> None:
    objects.create(plain_job("j", program, **spec))
    while not (found := objects.get("Job", "j") or {}).get("status", {}).get("conditions"):
        time.sleep(0.02)
    counts = ("succeeded", "failed", "completedIndexes")
    assert {key: found["status"][key] for key in counts if key in found["status"]} == status
    assert found["status"]["conditions"][-1]["type"] == ("Failed" if "failed" in status else "Complete")


@pytest.mark.slow
def test_a_deleted_job_leaves_no_process(objects: Objects, tmp_path: Path) -> None:
    objects.create(plain_job("j", f"echo $$ > {tmp_path}/pid; exec sleep 60"))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.02)
    objects.delete("Job", "j")
    assert objects.get("Job", "j") is None
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (config() | {"dat": {}}, 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dat"'),
        (config(a=1), "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),  # type: ignore[arg-type]
        (config() | {"data": ["a"]}, "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"),
        (
            config("Bad_Name"),
            'The ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain',
        ),
        (config(**{"a b": "1"}), 'data[a b]: Invalid value: "a b": a valid config key must consist of'),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}, 'the Pod "p" cannot run on this machine'),
        (
            {"apiVersion": "v1", "metadata": {"name": "p"}},
            "error validating data: kind not set; if you choose to ignore these errors, turn",
        ),
        (
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": 3}},
            "a field has a type that Job does not",
        ),
    ],
)
def test_a_manifest_is_decoded_strictly(objects: Objects, manifest: Manifest, text: str) -> None:
    with pytest.raises(ObjectError, match=re.escape(text)):
        objects.create(manifest)


def test_a_replaced_object_keeps_its_identity_and_nothing_else(objects: Objects) -> None:
    made = objects.create(config(a="1"))
    replaced = objects.replace(config(b="2"))
    assert replaced["data"] == {"b": "2"}
    assert replaced["metadata"]["uid"] == made["metadata"]["uid"]
    with pytest.raises(ObjectError, match=r'^Error from server \(NotFound\): error when replacing .*: configmaps "none" not found$'):
        objects.replace(config("none"))


PATCHES = [
    ("merge", {"data": {"a": None, "c": "3"}}, {"b": "2", "c": "3"}),
    ("strategic", {"data": {"a": None}}, {"b": "2"}),
    ("strategic", {"data": {"$patch": "replace", "z": "1"}}, {"z": "1"}),
    ("json", [{"op": "add", "path": "/data/c~1d", "value": "3"}, {"op": "remove", "path": "/data/a"}], {"b": "2", "c/d": "3"}),
    ("json", [{"op": "move", "from": "/data/a", "path": "/data/n"}], {"b": "2", "n": "1"}),
    ("json", [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "replace", "path": "/data/a", "value": "9"}], {"a": "9", "b": "2"}),
]


@pytest.mark.parametrize(("strategy", "change", "data"), PATCHES)
def test_the_three_patches_of_the_api(objects: Objects, strategy: str, change: Any, data: dict[str, str]) -> None:
    objects.create(config(a="1", b="2"))
    assert objects.patch(config(), strategy, change)["data"] == data


@pytest.mark.parametrize(
    ("strategy", "change", "text"),
    [
        ("json", [{"op": "remove", "path": "/data/none"}], "The request is invalid: the server rejected our request"),
        ("json", [{"op": "test", "path": "/data/a", "value": "2"}], "The request is invalid: the server rejected our request"),
        ("json", {"data": {}}, "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
    ],
)
def test_a_patch_that_does_not_fit_changes_nothing(objects: Objects, strategy: str, change: Any, text: str) -> None:
    before = objects.create(config(a="1"))
    with pytest.raises(ObjectError, match=re.escape(text)):
        objects.patch(config(), strategy, change)
    assert objects.get("ConfigMap", "settings") == before


def test_a_strategic_patch_knows_which_lists_have_keys(objects: Objects) -> None:
    before = {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}], "args": ["1"]}
    change = {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}, {"name": "b", "$patch": "delete"}], "args": ["2"]}
    assert patches.strategic(before, change) == {
        "containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}],
        "args": ["2"],
    }


def test_kinds_that_a_cluster_learned_know_no_strategic_patch(objects: Objects) -> None:
    objects.create(workflow())
    with pytest.raises(ObjectError, match="UnsupportedMediaType"):
        objects.patch(workflow(), "strategic", {"metadata": {"labels": {"a": "b"}}})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: job_of(m).update(activeDeadlineSeconds=5), "spec.replicatedJobs: Invalid value: [{"),
        (lambda m: m["spec"]["failurePolicy"].update(maxRestarts=9), 'spec.failurePolicy: Invalid value: "object": Value is immutable'),
        (lambda m: m["spec"].update(managedBy="x.y/z"), "field is immutable"),
    ],
)
def test_a_running_jobset_cannot_be_changed(objects: Objects, change: Callable[[Manifest], object], text: str) -> None:
    manifest = jobset("ft-a", "time.sleep(60)", ranks=1)
    objects.apply(manifest)
    change(manifest)
    with pytest.raises(ObjectError, match=re.escape(text)) as refused:
        objects.apply(manifest)
    assert len(str(refused.value)) < 400
    objects.delete("JobSet", "ft-a")
