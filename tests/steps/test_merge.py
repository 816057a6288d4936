"""Merging: a whole model that differs from its base, the same digest each time, with tokenizer and chat template."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from steps import modeldir, store
from steps.contracts import MergeIn
from steps.faults import BadData
from steps.merge import merge
from tests.steps.trainings import plan_of

FULL = {"model.safetensors": b"weights", "config.json": b"{}", "tokenizer.json": b"{}", "chat_template.jinja": b"{{ x }}"}

MAKE = """
import sys, torch
from pathlib import Path
from demo import base
from peft import LoraConfig, get_peft_model
folder, adapter = Path(sys.argv[1]), Path(sys.argv[2])
torch.manual_seed(int(sys.argv[3]))
model = base._llama()
base._save(folder, base._tokenizer(0), model)
tuned = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=sys.argv[4] == "untrained"))
tuned.save_pretrained(adapter)
for name in ("tokenizer.json", "tokenizer_config.json"):
    (adapter / name).write_bytes((folder / name).read_bytes())
(adapter / "chat_template.jinja").write_text("the template that was trained with")
"""


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def run_with(folder: Path, base: Path, trained: Path) -> MergeIn:
    run = f"file://{folder}/runs/0123456789abcdef"
    store.create_json(store.join(run, "plan.json"), plan_of(run, {}))
    store.commit(base, f"file://{folder}/bases/b")
    store.commit(trained, store.join(run, "trained"), {"steps": 1})
    return MergeIn(run=run, base=f"file://{folder}/bases/b", trained=store.join(run, "trained"))


def test_a_fully_tuned_model_passes_through(tmp_path: Path) -> None:
    base = folder_of(tmp_path / "base", FULL)
    tuned = folder_of(tmp_path / "tuned", FULL | {"model.safetensors": b"other", "trainer_state.json": b"{}"})
    out = merge(run_with(tmp_path, base, tuned))
    assert out.model == f"file://{tmp_path}/models/default.triage.v1/{out.digest[7:19]}"
    assert {file.path for file in store.read_manifest(out.model).files} == set(FULL)
    assert store.read_manifest(out.model).about["digest"] == out.digest


def test_a_model_that_training_left_as_it_was_is_refused(tmp_path: Path) -> None:
    base, tuned = folder_of(tmp_path / "base", FULL), folder_of(tmp_path / "tuned", FULL)
    with pytest.raises(BadData, match="byte for byte"):
        merge(run_with(tmp_path, base, tuned))


def adapter_run(tmp_path: Path, kind: str) -> MergeIn:
    made = [sys.executable, "-c", MAKE, str(tmp_path / "base"), str(tmp_path / "adapter"), "1", kind]
    subprocess.run(made, check=True, capture_output=True, cwd=Path(__file__).parents[2])
    return run_with(tmp_path, tmp_path / "base", tmp_path / "adapter")


def by_hand(given: MergeIn, out: Path) -> subprocess.CompletedProcess[str]:
    """The step as a container runs it: torch and peft are not imported into the tests."""
    flags = [f"--{name}={value}" for name, value in given.model_dump().items()]
    program = [sys.executable, "-m", "steps.merge", *flags, f"--out-model={out}"]
    return subprocess.run(program, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=dict(os.environ))


@pytest.mark.slow
def test_an_adapter_becomes_a_whole_model_with_the_same_digest_each_time(tmp_path: Path) -> None:
    given = adapter_run(tmp_path, "trained")
    first = by_hand(given, tmp_path / "model")
    assert first.returncode == 0, first.stderr
    folder = Path((tmp_path / "model").read_text().removeprefix("file://"))
    assert (folder / "chat_template.jinja").read_text() == "the template that was trained with"
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {file.path for file in modeldir.parts(folder)}
    assert not (folder / "adapter_config.json").exists()
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644
    for result in (tmp_path / "runs").glob("*/merge/*/result.json"):
        result.unlink()  # forget, and do it once more
    again = by_hand(given, tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again").read_text() == (tmp_path / "model").read_text()
    assert len(list((tmp_path / "models/default.triage.v1").iterdir())) == 1


@pytest.mark.slow
def test_an_adapter_that_learned_nothing_is_refused(tmp_path: Path) -> None:
    done = by_hand(adapter_run(tmp_path, "untrained"), tmp_path / "model")
    assert done.returncode == BadData.code, done.stderr
    assert "changes no weight" in done.stderr
