"""The whole pipeline on a real cluster: the compiled `finetune`, real controllers, from data to a pushed release."""

from tests.cluster.world import Object, World, nodes, outputs
from tests.e2e.conftest import Machine


def test_the_run_and_its_release_end_succeeded(world: World, finished: Object) -> None:
    assert finished["status"]["phase"] == "Succeeded"
    release = world.workflow(f"release-{finished['metadata']['uid']}", world.release)
    assert release["status"]["phase"] == "Succeeded"
    assert outputs(nodes(finished)["conclude"])["outcome"] == "released"


def test_training_was_one_jobset_of_two_pods(world: World, finished: Object) -> None:
    name = f"ft-{finished['metadata']['uid']}"
    jobset = world.custom.get_namespaced_custom_object("jobset.x-k8s.io", "v1alpha2", world.tenant, "jobsets", name)
    assert jobset["status"]["terminalState"] == "Completed"
    assert jobset["status"].get("restarts", 0) == 0
    pods = world.pods(f"jobset.sigs.k8s.io/jobset-name={name}")
    assert sorted(pod.metadata.annotations["batch.kubernetes.io/job-completion-index"] for pod in pods) == ["0", "1"]
    assert {pod.spec.service_account_name for pod in pods} == {"trainer"}
    manifest = world.read_json(f"{run_of(finished)}/trained/manifest.json")
    assert manifest["about"]["world_size"] == 2


def test_the_tuned_model_has_learnt_the_task_and_the_base_has_not(world: World, finished: Object) -> None:
    decision = world.read_json(f"{outputs(nodes(finished)['gate'])['decision']}/gate.json")
    learnt = next(finding for finding in decision["findings"] if finding["rule"] == "learnt")
    assert (learnt["reference"] <= 0.05, learnt["candidate"] >= 0.95) == (True, True)
    assert outputs(nodes(finished)["gate"])["verdict"] == "promote"


def test_the_model_digest_is_that_of_the_local_run(finished: Object, local: tuple[Machine, Object]) -> None:
    assert outputs(nodes(finished)["merge"])["digest"] == outputs(nodes(local[1])["merge"])["digest"]


def test_the_mlflow_server_has_the_version_in_production(world: World, finished: Object) -> None:
    name = f"{world.tenant}.support-triage.v1"
    version = world.mlflow("registered-models/alias", name=name, alias="production")["model_version"]
    assert version["version"] == outputs(nodes(finished)["register"])["version"]
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    assert (tags["stage"], tags["status"]) == ("Production", "DEPLOYED")


def test_the_release_was_pushed_to_the_git_server(world: World, finished: Object) -> None:
    release = world.workflow(f"release-{finished['metadata']['uid']}", world.release)
    deployed = outputs(nodes(release)["deploy"])
    assert deployed["commit"] in {line.split()[0] for line in world.commits()}
    assert outputs(nodes(release)["rollout"])["state"] == "committed"
    assert outputs(nodes(release)["probe"])["state"] == "not probed"


def test_every_step_left_its_record_in_the_store(world: World, finished: Object) -> None:
    records = [outputs(node)["result"] for node in nodes(finished).values() if node["type"] == "Pod" and "result" in outputs(node)]
    assert len(records) > 10
    for record in records:
        assert world.read_json(record)["outputs"], record


def test_no_prompt_is_in_any_log(world: World, finished: Object) -> None:
    row = world.read("uploads/tickets.jsonl").splitlines()[0].decode()
    sentence = max(row.replace('"', ".").split("."), key=len).strip()
    for name in ("validate", "prepare", "collect", "evaluate-candidate", "gate"):
        assert sentence not in world.logs(finished["metadata"]["name"], name)


def run_of(workflow: Object) -> str:
    return outputs(nodes(workflow)["plan"])["run"]
