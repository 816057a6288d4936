"""Rendered manifests against the strict schema of the Rollout and what was learnt on real controllers."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from steps import rendering
from steps.faults import BadInput
from steps.release import Release, Serving

SCHEMA = Path(__file__).parents[1] / "schemas" / "argoproj.io_v1alpha1_rollout.json"


def a_release(**changes: Any) -> Release:
    content: dict[str, Any] = {
        "release_id": "0123456789ab-89abcdef",
        "environment": "commit-only",
        "reconciler": "none",
        "tenant": "team-x",
        "model_id": "team-x.triage.v1",
        "version": 3,
        "model": "gs://bucket/team-x/models/team-x.triage.v1/0123456789ab",
        "digest": f"sha256:{'0123456789ab':0<64}",
        "attestation": "gs://bucket/team-x/runs/r1/attestations/0123456789ab.json",
        "run": "gs://bucket/team-x/runs/r1",
        "serving": Serving(image="vllm/vllm-openai@sha256:00", dtype="bfloat16", max_model_len=4096, gpus=2, replicas=2),
        "created": datetime(2026, 11, 21, tzinfo=UTC),
    }
    return Release(**content | changes)


def rendered(release: Release) -> dict[str, Any]:
    return {name: yaml.safe_load(content) for name, content in rendering.manifests(release).items()}


def test_the_rollout_passes_the_strict_schema() -> None:
    strict = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for gpus in (0, 1, 2):
        rollout = rendered(a_release(serving=Serving(image="vllm/vllm-openai@sha256:00", gpus=gpus)))["rollout.yaml"]
        assert not list(strict.iter_errors(rollout))
    rollout["spec"]["replicass"] = 2
    assert [error.validator for error in strict.iter_errors(rollout)] == ["additionalProperties"]


def test_the_same_release_gives_the_same_bytes() -> None:
    assert rendering.manifests(a_release()) == rendering.manifests(a_release())


def test_the_release_id_is_on_the_pod_template_and_nowhere_else_in_the_rollout() -> None:
    rollout = rendered(a_release())["rollout.yaml"]
    assert rollout["spec"]["template"]["metadata"]["annotations"] == {"fleece.dev/release-id": "0123456789ab-89abcdef"}
    assert "annotations" not in rollout["metadata"]


def test_every_object_is_named_after_its_model_in_the_tenants_namespace() -> None:
    for content in rendered(a_release()).values():
        assert content["metadata"]["name"].startswith("team-x-triage-v1")
        assert content["metadata"]["namespace"] == "team-x"


def test_the_servers_configuration_says_which_bytes_it_serves_and_how() -> None:
    config = yaml.safe_load(rendered(a_release())["configmap.yaml"]["data"]["config.yaml"])
    assert config["model"].startswith("gs://")
    assert config["load-format"] == "runai_streamer"
    assert config["served-model-name"] == ["team-x.triage.v1", "team-x.triage.v1@0123456789ab"]
    assert (config["dtype"], config["max-model-len"], config["tensor-parallel-size"]) == ("bfloat16", 4096, 2)


def test_a_pod_may_finish_its_longest_answer_before_it_is_killed() -> None:
    objects = rendered(a_release())
    pod = objects["rollout.yaml"]["spec"]["template"]["spec"]
    drain = yaml.safe_load(objects["configmap.yaml"]["data"]["config.yaml"])["shutdown-timeout"]
    before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before >= 5
    assert pod["terminationGracePeriodSeconds"] > before + drain


@pytest.mark.parametrize("model_id", [f"team-x.{'long' * 12}.v1", "7up.triage.v1"])
def test_a_model_whose_name_cannot_be_a_service_is_refused(model_id: str) -> None:
    with pytest.raises(BadInput, match="cannot name a Service"):
        rendering.manifests(a_release(model_id=model_id))
