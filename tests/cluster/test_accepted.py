"""Every compiled object is accepted by the API server in a dry run, and Argo's own linter finds nothing."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from kubernetes import client

from pipelines.cluster.platform import ROOMS
from tests.cluster.world import ARGO, World

TEMPLATES = Path(__file__).parents[2] / "workflow-templates"
FILES = sorted(TEMPLATES.glob("*.yaml"))
PLURAL = {"WorkflowTemplate": "workflowtemplates", "CronWorkflow": "cronworkflows"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_server_takes_it_in_a_dry_run(world: World, path: Path) -> None:
    manifest = yaml.safe_load(path.read_text())
    manifest["metadata"]["name"] += "-dry"
    namespace = world.release if path.stem in ROOMS["release"] else world.tenant
    made = world.custom.create_namespaced_custom_object(
        *ARGO, namespace, PLURAL[manifest["kind"]], manifest, dry_run="All", field_validation="Strict"
    )
    assert made["metadata"]["name"] == manifest["metadata"]["name"]
    with pytest.raises(client.ApiException, match="404"):
        world.custom.get_namespaced_custom_object(*ARGO, namespace, PLURAL[manifest["kind"]], manifest["metadata"]["name"])


@pytest.mark.skipif(not shutil.which("argo"), reason="the argo program is not on PATH")
def test_argos_linter_finds_nothing(world: World) -> None:
    done = subprocess.run(["argo", "lint", "--offline", *map(str, FILES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no linting errors found" in done.stdout
