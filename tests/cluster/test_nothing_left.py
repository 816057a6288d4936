"""However a run is ended, and wherever it is then: a minute later none of its pods runs. After terminate the reaper ends the gang."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial

import pytest
from kubernetes import client

from tests.cluster import tenant, under_way
from tests.cluster.world import ARGO, ENDED, Object, World, nodes, outputs, phase

LIMIT = 60
TERMINATED_LIMIT = 300
MAY_START = "fleece.dev/templates"  # annotation of a tenant's namespace
TABLE: list[tuple[str, str, float, str]] = []  # how, moment, seconds, what ran then
STARTED: list[str] = []
REACHED: dict[str, float] = {}  # seconds from the start of a run to a moment, for the deadlines

# A training that is always stopped before its end, and one whose candidate is never measured to its end: what they finished is reused.
LONG = under_way.trains(seed=7, num_train_epochs=400, save_steps=20)
SHORT = under_way.trains(seed=int(time.time()) % 100_000)


def at_plan(world: World, now: Object) -> bool:
    return under_way.is_running(world, now, "plan")


def at_data(world: World, now: Object) -> bool:
    return any(under_way.is_running(world, now, task) for task in ("validate", "prepare"))


def at_jobset(world: World, now: Object) -> bool:
    return under_way.jobset_of(world, now) is not None


def at_training(world: World, now: Object) -> bool:
    jobset = under_way.jobset_of(world, now)
    return jobset is not None and under_way.trained_on(world, now)


def at_evaluate(world: World, now: Object) -> bool:
    return under_way.is_running(world, now, "evaluate-candidate")


MOMENTS = {"plan": at_plan, "data steps": at_data, "JobSet created": at_jobset, "training": at_training, "evaluate": at_evaluate}


@pytest.fixture(scope="module")
def commits(world: World) -> dict[str, str]:
    return {"long": tenant.configure(world, LONG, "left-long"), "short": tenant.configure(world, SHORT, "left-short")}


@pytest.fixture(autouse=True)
def no_run_outlives_its_test(world: World) -> Iterator[None]:
    """A run of a failed test would hold the machine and the lock of the next one's training."""
    yield
    while STARTED:
        with suppress(client.ApiException):
            world.custom.delete_namespaced_custom_object(*ARGO, world.tenant, "workflows", STARTED.pop())


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    print("\n| ended by | at | seconds to no pod | running then |\n|---|---|---|---|")
    for row in TABLE:
        print("| {} | {} | {} | {} |".format(*row))


def started(world: World, commits: dict[str, str], moment: str, template: str = "finetune") -> str:
    commit = commits["short" if moment == "evaluate" else "long"]
    STARTED.append(world.submit(template, {"promote": "never", "config-ref": commit}))
    return STARTED[-1]


def ended_at(world: World, commits: dict[str, str], moment: str, how: str, end: Callable[[str], None]) -> Object:
    """Bring a run to the moment, end it, and write down how long its pods took. Gives the Workflow as it was at that moment."""
    name = started(world, commits, moment)
    now = under_way.until(world, name, lambda now: MOMENTS[moment](world, now), 900)
    assert phase(now) == "Running", f"{name} was {phase(now)} before {moment}"
    REACHED[moment] = time.time() - began(now)  # the last one: the first run to a moment has work to do that later ones reuse
    running = what_runs(now)
    end(name)
    TABLE.append((how, moment, under_way.seconds_to_nothing(world, name, LIMIT), running))
    assert not under_way.trains_still(world, now)
    return now


@pytest.mark.parametrize("moment", MOMENTS)
def test_stop(world: World, commits: dict[str, str], moment: str) -> None:
    now = ended_at(world, commits, moment, "stop", lambda name: shut_down(world, name, "Stop"))
    assert phase(world.wait(now["metadata"]["name"], seconds=60)) == "Failed"


@pytest.mark.parametrize("moment", MOMENTS)
def test_deletion(world: World, commits: dict[str, str], moment: str) -> None:
    ended_at(world, commits, moment, "deletion", partial(world.custom.delete_namespaced_custom_object, *ARGO, world.tenant, "workflows"))


@pytest.mark.parametrize("moment", MOMENTS)
def test_deadline(world: World, commits: dict[str, str], moment: str) -> None:
    """A run cannot be submitted with a deadline: a platform engineer installs a template that has one, as here."""
    if moment not in REACHED:
        pytest.skip("run test_stop with it: it says when a run comes to this moment")
    seconds = int(REACHED[moment]) + 3
    with template_with_deadline(world, seconds) as template:
        name = started(world, commits, moment, template)
        now = under_way.until(world, name, lambda now: time.time() > began(now) + seconds, seconds + 60)
        TABLE.append(("deadline", f"{moment} ({seconds} s)", under_way.seconds_to_nothing(world, name, LIMIT), what_runs(now)))
        assert phase(world.wait(name, seconds=60)) == "Failed"
        assert not under_way.trains_still(world, now)


def test_terminate_is_for_the_reaper(world: World, commits: dict[str, str]) -> None:
    name = started(world, commits, "training")
    now = under_way.until(world, name, lambda now: at_training(world, now), 900)
    shut_down(world, name, "Terminate")
    ended = world.wait(name, seconds=60)
    assert under_way.trains_still(world, ended), "nothing was left for the reaper"
    TABLE.append(("terminate", "training", under_way.seconds_to_nothing(world, name, TERMINATED_LIMIT), what_runs(now)))
    assert not under_way.trains_still(world, ended)
    reaps = [one["metadata"]["name"] for one in world.workflows().values() if is_reap(one)]
    assert "1" in [outputs(nodes(world.wait(one, seconds=60))["reap"])["deleted"] for one in reaps]


def alice(world: World) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(world.person("alice"))


def shut_down(world: World, name: str, how: str) -> None:
    """What `argo stop` and `argo terminate` send."""
    alice(world).patch_namespaced_custom_object(*ARGO, world.tenant, "workflows", name, {"spec": {"shutdown": how}})


def is_reap(workflow: Object) -> bool:
    return bool(workflow["metadata"]["labels"].get("workflows.argoproj.io/cron-workflow") == "reaper")


@contextmanager
def template_with_deadline(world: World, seconds: int) -> Iterator[str]:
    """The installed template under another name, with a deadline; people may start it."""
    name = f"finetune-in-{seconds}s"
    found = world.custom.get_namespaced_custom_object(*ARGO, world.tenant, "workflowtemplates", "finetune")
    spec = found["spec"] | {"activeDeadlineSeconds": seconds}
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": name}, "spec": spec}
    before = world.core.read_namespace(world.tenant).metadata.annotations[MAY_START]
    world.custom.create_namespaced_custom_object(*ARGO, world.tenant, "workflowtemplates", manifest)
    world.core.patch_namespace(world.tenant, {"metadata": {"annotations": {MAY_START: f"{before},{name}"}}})
    yield name
    world.core.patch_namespace(world.tenant, {"metadata": {"annotations": {MAY_START: before}}})
    world.custom.delete_namespaced_custom_object(*ARGO, world.tenant, "workflowtemplates", name)


def began(workflow: Object) -> float:
    at = workflow.get("status", {}).get("startedAt")
    return datetime.fromisoformat(at).timestamp() if at else time.time()


def what_runs(workflow: Object) -> str:
    pods = (node for node in nodes(workflow).values() if node["type"] == "Pod" and node["phase"] not in ENDED)
    return ", ".join(sorted(node["displayName"].partition("(")[0] for node in pods)) or "between two steps"
