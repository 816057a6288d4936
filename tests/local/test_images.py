"""The table of images: what stands for one, and what it brings to a template that does not say."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.local import images
from pipelines.local.faults import Refused
from tests.local.play import log, manifest, play

TABLE = """
docker.io/acme/tool: {bin: tools, entrypoint: [tool, -v], cmd: [help], workdir: /data}
docker.io/acme/job: {cmd: [python, job.py]}
docker.io/acme/*: {env: {A: "1"}}
"""


@pytest.fixture
def table(tmp_path: Path) -> images.Images:
    path = tmp_path / "images.yaml"
    path.write_text(TABLE)
    return images.read(path)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"image": "docker.io/acme/tool:1"}, {"command": ["tool"], "args": ["-v", "help"], "workingDir": "/data"}),
        ({"image": "docker.io/acme/tool", "args": ["go"]}, {"command": ["tool"], "args": ["-v", "go"], "workingDir": "/data"}),
        ({"image": "docker.io/acme/tool", "command": ["x"], "workingDir": "/y"}, {"command": ["x"], "workingDir": "/y"}),
        ({"image": "docker.io/acme/job"}, {"command": ["python"], "args": ["job.py"]}),
        ({"image": "docker.io/acme/other"}, {}),
        ({"image": "{{inputs.parameters.image}}"}, {}),
    ],
)
def test_a_template_without_a_command_runs_what_its_image_runs(
    body: dict[str, Any], expected: dict[str, Any], table: images.Images
) -> None:
    assert images.completed({"name": "t", "container": body}, table) == {"name": "t", "container": body | expected}


def test_inline_templates_are_completed_too(table: images.Images) -> None:
    inner = {"container": {"image": "docker.io/acme/job"}}
    template = {"name": "t", "dag": {"tasks": [{"name": "a", "inline": {"steps": [[{"name": "b", "inline": inner}]]}}]}}
    found = images.completed(template, table)["dag"]["tasks"][0]["inline"]["steps"][0][0]["inline"]
    assert found["container"]["command"] == ["python"]
    assert "command" not in inner["container"]


def test_a_step_without_a_command_runs_by_the_table(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text("busybox: {entrypoint: [echo, hello]}\n")
    ended = play(tmp_path, manifest({"name": "m", "container": {"image": "busybox", "args": ["you"]}}), images=tmp_path / "images.yaml")
    assert log(tmp_path, ended, "w") == "hello you\n"


@pytest.mark.parametrize("text", ["[a]", "a: b", "a: {bim: x}", "a: ["])
def test_a_table_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    path.write_text(text)
    with pytest.raises(Refused):
        images.read(path)
