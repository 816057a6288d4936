"""The end of a training: the trained weights in the store, and what is to be known about them."""

import json
import math
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from steps import modeldir, store
from steps.curves import curve, last_tenth
from steps.faults import Bug
from steps.runfile import Plan
from steps.train.events import Event

_KINDS = (".safetensors", ".json", ".jinja", ".txt", ".model")
_PACKAGES = ("llamafactory", "torch", "transformers", "peft", "accelerate", "trl", "datasets")


def trained(run: str) -> str:
    return store.join(run, "trained")


def commit(plan: Plan, run: str, output: Path, end: Event | None, about: dict[str, Any]) -> None:
    """Commit adapter or weights, tokenizer and chat template to `<run>/trained`. Raises Bug when steps or the account are missing."""
    if end is None:
        raise Bug("the worker is done and gave no account of it")
    if end["step"] != end["steps"]:
        raise Bug(f"the trainer ended by itself after {end['step']} of {end['steps']} steps")
    points = curve(end["history"])
    loss = last_tenth(points)
    facts = {
        "steps": end["step"],
        "planned_steps": end["steps"],
        "losses": points,
        "loss": loss if math.isfinite(loss) else None,
        "versions": versions(),
        "peak_memory_bytes": end["peak_memory"],
        "peak_gpu_memory_bytes": end["peak_gpu_memory"],
    }
    store.commit(select(output, plan.runfile.base.name), trained(run), facts | about)


def select(output: Path, base: str) -> Path:
    """The model's own files, readable for all, in a folder beside `output`. Nothing in them names this machine."""
    folder = output.with_name("trained")
    folder.mkdir()
    for path in output.iterdir():
        if path.is_file() and path.suffix in _KINDS:
            shutil.move(path, folder / path.name)
    kept = {file.path for file in modeldir.parts(folder)}
    for path in folder.iterdir():
        if path.name in kept:
            path.chmod(0o644)  # safetensors writes 0600 whatever the umask, and the server is another user
        else:
            path.unlink()
    _settle(folder / "adapter_config.json", base)
    return folder


def versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _settle(adapter: Path, base: str) -> None:
    """peft writes the local path of the base, and its sets in an order that changes from process to process."""
    if not adapter.exists():
        return
    config = json.loads(adapter.read_text())
    config["base_model_name_or_path"] = base
    for key in ("target_modules", "modules_to_save"):
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    adapter.write_bytes(store.to_json(config))
