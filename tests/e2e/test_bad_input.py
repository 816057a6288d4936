"""Bad input is refused with exit 64 or 65 and one clear line; nothing is trained, registered or left half-written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import PROJECT, Machine


def edit(old: str, new: str, file: str = "run.yaml") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text, f"{file} has no {old!r}"
        (folder / file).write_text(text.replace(old, new, 1))

    return change


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


@pytest.mark.parametrize(
    ("change", "parameters", "complaint"),
    [
        (None, ["-p", "config=configs/none.yaml"], "configs/none.yaml"),
        (None, ["-p", "preset=9x9-tpu"], "preset"),
        (None, ["-p", "typo=1"], "typo"),
        (None, ["-p", "config=../run.yaml"], ".."),
        (None, ["-p", "config=a{{workflow.name}}"], "{{"),
        (None, ["-p", "config=$(HOME)"], "$("),
        (None, ["-p", "config=a\x07b"], r"contains '\x07'"),
        (None, ["-p", "config=a\nb"], r"contains '\n'"),
        (None, ["-p", f"config={'a' * 70_000}"], "65536"),
        (remove("train.yaml"), [], "train.yaml"),
        (edit("apiVersion", "apiVersion: [", "run.yaml"), [], "line"),
        (edit("tenant:", "tennant:"), [], "tennant"),
        (edit("tenant: default", "tenant: [1]"), [], "tenant"),
        (edit("tenant: default", "tenant: other"), [], "other"),
        (edit("store://uploads/tickets.jsonl", "store://uploads/none.jsonl"), [], "none.jsonl"),
        (edit("store://uploads/tickets.jsonl", "store://uploads/../tickets.jsonl"), [], ".."),
        (edit("finetuning_type: lora", "finetuning_typ: lora", "train.yaml"), [], "finetuning_typ"),
        (edit("learning_rate: 2.0e-3", "learning_rate: fast", "train.yaml"), [], "learning_rate"),
        (edit("stage: sft", "stage: ppo", "train.yaml"), [], "ppo"),
    ],
)
@pytest.mark.slow
def test_it_is_one_line_and_nothing_is_done(
    machine: Machine, tmp_path: Path, change: Callable[[Path], None] | None, parameters: list[str], complaint: str
) -> None:
    repository = tmp_path / "repo"
    shutil.copytree(PROJECT / "configs" / "demo", repository / "configs" / "demo")
    if change:
        change(repository / "configs" / "demo")
    ended = machine.fleece("run", "finetune", "-p", f"config-repo={repository}", *parameters, "--name", "bad")
    shown = ended.stdout + ended.stderr
    assert ended.returncode == (77 if complaint == "other" else 64), shown  # another tenant's run file is not allowed
    assert complaint in shown
    assert "Traceback" not in shown
    if ended.stderr.startswith("fleece: "):  # refused at submission, before anything is written
        assert [path.name for path in machine.home.iterdir()] == ["store"]
    assert not list((machine.home / "store").glob("runs/*/plan.json"))
    assert not (machine.home / "releases.git").exists()


@pytest.mark.slow
def test_empty_data_ends_in_validate_with_65(machine: Machine) -> None:
    (machine.home / "store" / "uploads" / "tickets.jsonl").write_text("")
    ended = machine.fleece("run", "finetune", "--name", "bad")
    assert ended.returncode == 65, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    node = next(node for node in machine.workflow("bad")["status"]["nodes"].values() if node["phase"] == "Failed" and node["type"] == "Pod")
    assert node["outputs"]["exitCode"] == "65"
