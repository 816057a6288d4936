"""The cluster that KUBECONFIG names, and a fresh tenant on it: made once a session, removed at its end.

FLEECE_TEST_TENANT=name takes this tenant, which is made when it is not there and stays: for working on a test again and again.
"""

import os
import secrets
import string
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from kubernetes import client

from tests.cluster import services, tenant
from tests.cluster.world import Object, World
from tests.e2e.conftest import Machine

FIRST = "first"
_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs minutes and a cluster."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.cluster)


@cache
def cluster() -> client.ApiClient | str:
    """The cluster, or why there is none."""
    try:
        return tenant.connect()
    except tenant.NoCluster as error:
        return str(error)


def pytest_runtest_setup() -> None:
    """Skip from one place, so that pytest says it in one line."""
    if isinstance(why := cluster(), str):
        pytest.skip(why)


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """An installed tenant `fleece-test-xxxxx` with its services, the demo's data and base model, and people who may submit."""
    api = cluster()
    assert not isinstance(api, str)
    kept = os.environ.get("FLEECE_TEST_TENANT", "")
    name = kept or "fleece-test-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(5))
    with ExitStack() as stack:
        if not kept:
            stack.callback(tenant.remove, api, name)
        try:
            world = stack.enter_context(tenant.opened(api, name))
        except tenant.Unusable as error:
            pytest.fail(str(error), pytrace=False)
        yield world


@pytest.fixture(scope="session")
def finished(world: World) -> Object:
    """One whole `finetune` with promote=auto, for every test that looks at what it left. A kept tenant's is taken as it is."""
    if FIRST not in world.workflows():
        world.submit("finetune", {"promote": "auto"}, as_="alice", name=FIRST)
    return world.succeeded(FIRST)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Object]]:
    """The same run on this machine, under the same name: the runner, and the Workflow object it left."""
    folder = tmp_path_factory.mktemp("local")
    services.configuration(folder / "repository", "default")
    machine = Machine(folder / "home")
    made = machine.fleece("demo")
    assert made.returncode == 0, made.stderr
    services.git(folder, "init", "--quiet", "--bare", "--initial-branch", "main", str(machine.home / "releases.git"))
    machine.run("run", "finetune", "--name", FIRST, "-p", f"config-repo={folder / 'repository'}", "-p", "promote=auto")
    yield machine, machine.workflow(FIRST)
    machine.stop()
