"""What the README says is true: its tree, its commands, its tables."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from pipelines.cli import main
from pipelines.compile import TEMPLATES
from pipelines.local import documents
from steps.faults import BY_CODE

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text()


def test_the_tree_names_every_folder_and_no_other() -> None:
    tree = README[README.index("## Where things live") :]
    shown = set(re.findall(r"^([\w-]+)/ ", tree, re.MULTILINE))
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()
    folders = {name.split("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    assert shown == folders


@pytest.mark.parametrize("command", sorted(set(re.findall(r"(?:\.venv/bin/|`)fleece ([a-z]+)(?: ([a-z]+))?", README))))
def test_every_command_of_fleece_exists(command: tuple[str, str]) -> None:
    found = main.get_command(click.Context(main), command[0])
    assert found is not None
    if isinstance(found, click.Group):
        assert command[1] in found.commands


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z-]+)", README))))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_every_template_is_in_the_table_with_its_parameters() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", README, re.MULTILINE))
    assert set(rows) == set(TEMPLATES)
    for name, parameters in rows.items():
        spec = documents.read(PROJECT / "workflow-templates" / f"{name}.yaml")[0]["spec"]
        declared = [one["name"] for one in spec.get("arguments", {}).get("parameters", [])]
        assert parameters.strip() == (", ".join(declared) or "none")


def test_every_exit_code_is_in_the_table() -> None:
    table = README[README.index("## Exit codes") : README.index("## Where things live")]
    assert {int(code) for code in re.findall(r"\b(\d\d)\b", table)} == set(BY_CODE)
