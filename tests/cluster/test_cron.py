"""`retrain` fires by its schedule, and a run that finds nothing changed ends at once and says so."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.cluster.world import ARGO, Object, World, nodes, outputs

MOST_SECONDS = 60


@pytest.fixture
def every_minute(world: World, finished: Object) -> Iterator[str]:
    """The installed CronWorkflow again, with a schedule that a test can wait for."""
    installed = world.custom.get_namespaced_custom_object(*ARGO, world.tenant, "cronworkflows", "retrain")
    spec = installed["spec"] | {"schedules": ["* * * * *"]}
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "metadata": {"name": "retrain-now"}, "spec": spec}
    world.custom.create_namespaced_custom_object(*ARGO, world.tenant, "cronworkflows", manifest)
    yield "retrain-now"
    world.custom.delete_namespaced_custom_object(*ARGO, world.tenant, "cronworkflows", "retrain-now")


def test_it_fires_and_ends_in_seconds_when_nothing_changed(world: World, every_minute: str) -> None:
    name = fired(world, every_minute)
    ended = world.succeeded(name, 120)
    assert "workflows.argoproj.io/creator" not in ended["metadata"]["labels"]
    planned = outputs(nodes(ended)["plan"])
    assert planned["go"] == "no"
    assert planned["reason"].startswith("nothing changed")
    assert nodes(ended)["validate"]["phase"] == "Skipped"
    assert seconds(ended["status"]) < MOST_SECONDS


def fired(world: World, cron: str) -> str:
    """The first Workflow that the schedule makes, within two minutes."""
    until = time.monotonic() + 130
    while time.monotonic() < until:
        for name, workflow in world.workflows().items():
            if workflow["metadata"]["labels"].get("workflows.argoproj.io/cron-workflow") == cron:
                return name
        time.sleep(1)
    raise AssertionError(f"{cron} did not fire in two minutes")


def seconds(status: Object) -> float:
    began, ended = (datetime.fromisoformat(status[key]) for key in ("startedAt", "finishedAt"))
    return (ended - began).total_seconds()
