"""`deploy` against a real repository: what is committed, and when nothing is."""

import json
from pathlib import Path

import pytest
import yaml

from steps import gitops, release, store
from steps.contracts import DeployIn
from steps.faults import BadInput, NotAllowed, Unavailable
from tests.steps.releasing import MODEL_ID, World

pytestmark = pytest.mark.slow

NONE = ["apiVersion: fleece/v1", "name: cluster", "reconciler: none", "serving: {image: vllm/vllm-openai, gpus: 1, dtype: bfloat16}"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_release_is_pinned_in_git_and_in_the_store_with_the_same_bytes(world: World) -> None:
    made = world.model(3)
    deployed = world.deploy(made)
    folder = f"releases/local/team-x/{MODEL_ID}"
    committed = world.log("show", f"{deployed.commit}:{folder}/release.json") + "\n"
    assert store.read(deployed.release).decode() == committed
    assert deployed.release == f"{made.run}/releases/{deployed.release_id}/release.json"
    found = release.parse(committed.encode(), "release.json")
    assert (found.model_id, found.version, found.digest, found.attestation) == (MODEL_ID, 3, made.digest, made.attestation)
    assert found.release_id.startswith(made.digest.removeprefix("sha256:")[:12] + "-")
    assert found.serving.template == "default"
    assert world.log("ls-tree", "-r", "--name-only", "main") == f"{folder}/release.json"


def test_the_commit_says_what_was_let_out_and_why(world: World) -> None:
    made = world.model(3)
    deployed = world.deploy(made)
    message = world.log("log", "-1", "--format=%B", "main")
    for part in (f"{MODEL_ID}:3", deployed.release_id, made.digest, f"{made.run}/gate/{'0' * 16}"):
        assert part in message


def test_the_same_model_again_commits_nothing_whoever_asks(world: World) -> None:
    made = world.model()
    first = world.deploy(made, uid="workflow-1")
    assert world.deploy(made, uid="workflow-2") == first
    assert world.commits() == 1


def test_a_killed_step_that_runs_again_gives_the_release_its_copy_in_the_store(world: World) -> None:
    made = world.model()
    first = world.deploy(made)
    store.local_path(first.release).unlink()
    assert world.deploy(made) == first
    assert store.exists(first.release)


def test_a_new_version_replaces_the_old_one_under_another_id(world: World) -> None:
    first = world.deploy(world.model(1))
    second = world.deploy(world.model(2))
    assert first.release_id != second.release_id
    assert world.in_git().version == 2
    assert world.commits() == 2


def test_a_second_attempt_after_a_revert_has_an_id_of_its_own(world: World) -> None:
    world.deploy(world.model(1))
    made = world.model(2)
    first = world.deploy(made)
    gitops.revert(world.clone(), f"releases/local/team-x/{MODEL_ID}", first.commit, "It did not serve.", world.in_git().created)
    second = world.deploy(made)
    assert second.release_id != first.release_id
    assert world.in_git().release_id == second.release_id


def test_other_serving_settings_are_another_release(world: World) -> None:
    made = world.model()
    world.deploy(made)
    world.environment("local", "apiVersion: fleece/v1", "name: local", "reconciler: local", "serving: {max_model_len: 128}")
    world.deploy(made)
    assert world.commits() == 2
    assert world.in_git().serving.max_model_len == 128


def test_an_environment_that_others_reconcile_gets_manifests_that_name_the_release(world: World) -> None:
    world.environment("cluster", *NONE)
    gitops.make_bare(world.git, "main")
    deployed = world.deploy(world.model(), "cluster")
    folder = f"releases/cluster/team-x/{MODEL_ID}"
    names = world.log("ls-tree", "-r", "--name-only", "main").splitlines()
    assert names == [f"{folder}/manifests/{kind}.yaml" for kind in ("configmap", "rollout", "service")] + [f"{folder}/release.json"]
    rollout = yaml.safe_load(world.log("show", f"main:{folder}/manifests/rollout.yaml"))
    assert rollout["spec"]["template"]["metadata"]["annotations"] == {"fleece.dev/release-id": deployed.release_id}


def test_manifests_that_were_changed_by_hand_are_written_again(world: World) -> None:
    world.environment("cluster", *NONE)
    gitops.make_bare(world.git, "main")
    made = world.model()
    world.deploy(made, "cluster")
    copy = world.clone()
    path = copy.folder / "releases" / "cluster" / "team-x" / MODEL_ID / "manifests" / "service.yaml"

    def write() -> gitops.Change:
        path.write_text("kind: Service\n")
        return gitops.Change("by hand\n")

    gitops.publish(copy, write, world.in_git("cluster").created)
    world.deploy(made, "cluster")
    assert world.commits() == 3
    assert "selector" in world.log("show", f"main:{path.relative_to(copy.folder)}")


def test_only_a_local_environment_makes_the_repository(world: World) -> None:
    world.environment("cluster", *NONE)
    with pytest.raises(Unavailable, match="cannot be read"):
        world.deploy(world.model(), "cluster")
    assert not Path(world.git.removeprefix("file://")).exists()


def test_what_was_not_signed_here_is_not_deployed(world: World) -> None:
    made = world.model()
    envelope = store.read_json(made.attestation)
    envelope["signatures"][0]["sig"] = json.dumps("forged")
    store.replace_json(made.attestation, envelope)
    with pytest.raises(NotAllowed):
        world.deploy(made)
    assert not Path(world.git.removeprefix("file://")).exists()


def test_the_statement_of_another_run_is_refused(world: World) -> None:
    one, other = world.model(1), world.model(2)
    with pytest.raises(BadInput, match="give the run's own attestation"):
        world.deploy(type(one)(run=one.run, attestation=other.attestation, digest=one.digest))


def test_an_unknown_environment_is_told_with_the_known_ones(world: World) -> None:
    from steps import deploy

    made = world.model()
    with pytest.raises(BadInput, match="no environment 'moon'; known: local"):
        deploy.deploy(DeployIn(run=made.run, attestation=made.attestation, environment="moon"))
