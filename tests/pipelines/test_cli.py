"""The commands of `fleece`: found without loading what they do."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from pipelines.cli import ROOMS, main

HEAVY = {
    "yaml",
    "rich",
    "hera",
    "mlflow",
    "torch",
    "kubernetes",
    "pipelines.cluster.api",
    "pipelines.local.run",
    "pipelines.compile",
    "pipelines.lint.linter",
}


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_the_commands_that_are_looked_for_in_it(room: str) -> None:
    assert tuple(command.name for command in import_module(room).COMMANDS) == ROOMS[room]


def test_every_command_says_what_it_does() -> None:
    context = click.Context(main)
    assert all((command := main.get_command(context, name)) and command.help for name in main.list_commands(context))


@pytest.mark.parametrize("words", ["--help", "run --help", "get --help", "submit --help", "approve --help"])
def test_help_loads_nothing_but_click(words: str) -> None:
    call = f"from pipelines.cli import main\ntry:\n    main({words.split()!r})\nexcept SystemExit:\n    pass"
    look = f"import sys\nprint(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    here = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", f"{call}\n{look}"], capture_output=True, text=True, cwd=here, check=True)
    assert done.stderr.strip() == "[]"
    assert "Usage:" in done.stdout
