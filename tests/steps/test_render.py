"""The rendered JobSet: valid for the API, obedient to what was tried on a cluster, and inert for Argo."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from steps import store
from steps.contracts import Preset, RenderIn, TrainIn, inert
from steps.faults import BadInput
from steps.jobset_manifest import one_line
from steps.presets import MACHINES
from steps.render import command, render
from tests.steps.trainings import plan_of

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas" / "jobset.x-k8s.io_v1alpha2_jobset.json").read_text())


@pytest.fixture
def run(tmp_path: Path) -> str:
    uri = f"file://{tmp_path}/runs/0123456789abcdef"
    store.create_json(store.join(uri, "plan.json"), plan_of(uri, {}))
    return uri


def rendered(run: str, **changes: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    given = {
        "run": run,
        "prepared": f"{run}/prepared",
        "base": f"{run}/base",
        "preset": "2x1-cpu",
        "jobset": "ft-1a2b",
        "workflow": "finetune-x",
    }
    out = render(RenderIn(**given | changes))
    return out, json.loads(out.manifest), json.loads(out.job)


@pytest.mark.parametrize("preset", get_args(Preset))
def test_every_preset_is_valid_for_the_strict_schema(run: str, preset: str) -> None:
    out, jobset, _ = rendered(run, preset=preset)
    jsonschema.Draft202012Validator(SCHEMA).validate(jobset)
    assert inert(out.manifest) == out.manifest
    assert inert(out.job) == out.job
    assert len(out.manifest) < 8192


@pytest.mark.parametrize("preset", get_args(Preset))
def test_a_gang_is_as_large_as_its_preset_says(run: str, preset: Preset) -> None:
    job = rendered(run, preset=preset)[2]["spec"]
    main = job["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry.get("value") for entry in main["env"]}
    machines = MACHINES[preset]
    assert job["parallelism"] == job["completions"] == machines.nodes == int(environment["NNODES"])
    assert machines.processes == int(environment["NPROC_PER_NODE"])
    assert main["resources"]["requests"] == main["resources"]["limits"] | {"cpu": machines.cpu_asked or machines.cpu}
    if machines.accelerator:
        assert main["resources"]["limits"]["nvidia.com/gpu"] == str(machines.processes)


def test_the_rules_are_those_that_were_tried(run: str) -> None:
    _, jobset, job = rendered(run)
    policy, pods = jobset["spec"]["failurePolicy"], job["spec"]["podFailurePolicy"]["rules"]
    assert [(rule["name"], rule["action"]) for rule in policy["rules"]] == [
        ("nonRetriable", "FailJobSet"),
        ("disruption", "RestartJobSetAndIgnoreMaxRestarts"),
        ("other", "RestartJobSet"),
    ]
    assert policy["restartStrategy"] == "BlockingRecreate"
    assert pods[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert [rule["onExitCodes"]["values"] for rule in pods[1:]] == [[75, 76], [64, 65, 71, 78]]
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert jobset["spec"]["ttlSecondsAfterFinished"] >= 3600


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ("Container main for pod t/x-node-0-0-abcde failed with exit code 65 matching FailJob rule at index 2", "nonRetriable"),
        ("Container main for pod t/x-node-0-0-abcde failed with exit code 75 matching FailJob rule at index 1", "disruption"),
        ("Pod t/x-node-0-1-abcde has condition DisruptionTarget matching FailJob rule at index 0", "disruption"),
    ],
)
def test_a_job_message_of_the_cluster_meets_its_rule(run: str, message: str, rule: str) -> None:
    rules = rendered(run)[1]["spec"]["failurePolicy"]["rules"]
    met = [one["name"] for one in rules if any(re.search(pattern, message) for pattern in one.get("onJobFailureMessagePatterns", []))]
    assert met == [rule]


def test_the_child_job_is_the_one_in_the_jobset(run: str) -> None:
    _, jobset, job = rendered(run)
    assert job["kind"] == "Job"
    assert job["metadata"]["name"] == "ft-1a2b-node-0"
    assert job["spec"] == jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert not {"suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished"} & set(job["spec"])


def test_pods_meet_the_restricted_pod_security_standard(run: str) -> None:
    pod = rendered(run)[2]["spec"]["template"]["spec"]
    main = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert main["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert main["securityContext"]["allowPrivilegeEscalation"] is False
    assert {mount["mountPath"] for mount in main["volumeMounts"]} == {"/scratch", "/tmp", "/dev/shm"}
    assert not pod["automountServiceAccountToken"]


def test_rank_zero_is_found_by_the_name_of_its_pod(run: str) -> None:
    main = rendered(run)[2]["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry.get("value") or entry["valueFrom"]["fieldRef"]["fieldPath"] for entry in main["env"]}
    assert environment["MASTER_ADDR"] == "ft-1a2b-node-0-0.ft-1a2b"
    assert int(environment["MASTER_PORT"]) == main["ports"][0]["containerPort"]
    assert environment["NODE_RANK"] == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert environment["POD_UID"] == "metadata.uid"
    assert main["envFrom"] == [{"configMapRef": {"name": "fleece"}}]


def test_the_command_is_one_token_a_value() -> None:
    entry = TrainIn(run="file:///s/runs/a b", prepared="file:///s/p", base="file:///s/b", scratch="/scratch")
    assert command(entry)[3:] == ["--run=file:///s/runs/a b", "--prepared=file:///s/p", "--base=file:///s/b", "--scratch=/scratch"]


def test_logs_of_the_pods_are_found_by_the_name_of_the_workflow(run: str) -> None:
    labels = rendered(run)[2]["spec"]["template"]["metadata"]["labels"]
    assert labels["workflows.argoproj.io/workflow"] == "finetune-x"


@pytest.mark.parametrize(
    "changes",
    [{"jobset": "x" * 49}, {"jobset": "1starts-with-a-digit"}, {"jobset": "has.a.dot"}, {"workflow": "no label!"}, {"workflow": "x" * 64}],
)
def test_a_name_that_would_hang_the_jobset_is_refused(run: str, changes: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        rendered(run, **changes)


def test_a_trained_run_needs_no_training(run: str, tmp_path: Path) -> None:
    assert rendered(run)[0].needed == "yes"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"w")
    store.commit(tmp_path / "weights", store.join(run, "trained"))
    assert rendered(run)[0].needed == "no"


def test_nested_braces_never_touch() -> None:
    assert one_line({"a": {"b": {"c": {}}}}) == '{"a": {"b": {"c": {} } } }'
