"""A tenant's store, a config repository and a planned run, small and real, for the tests of plan, validate and prepare."""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from steps import store, strict_yaml
from steps.runfile import Commit, Plan, RunFile

PROJECT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0" * 64


def a_base(root: str, folder: Path, *, tokenizer: bool = False) -> str:
    """A committed folder that has the files of a model."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    if tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers

        words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        (folder / "tokenizer.json").write_text(words.to_str())
    store.commit(folder, store.join(root, "bases", "demo-llama"))
    return store.join(root, "bases", "demo-llama")


def a_config_repo(folder: Path, **edits: Any) -> Path:
    """configs/demo as a repository of its own; `edits` are laid over run.yaml (None takes a key out)."""
    shutil.copytree(PROJECT / "configs/demo", folder / "configs/demo")
    edit(folder / "configs/demo/run.yaml", **edits)
    return folder


def edit(path: Path, **edits: Any) -> None:
    content = merged(strict_yaml.load(path.read_bytes(), path.name), edits)
    path.write_text(yaml.safe_dump(content))


def merged(content: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    out = dict(content)
    for key, value in edits.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
        if value is None:
            del out[key]
    return out


def a_run(tmp_path: Path, data: bytes | list[dict[str, Any]], *, name: str = "data.jsonl", tokenizer: bool = False, **edits: Any) -> str:
    """A planned run over these rows. `edits` are laid over {"runfile": …, "training": …, "data_card": …}."""
    root = f"file://{tmp_path}/store"
    base = a_base(root, tmp_path / "base", tokenizer=tokenizer)
    raw = data if isinstance(data, bytes) else b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in data)
    source = store.join(root, "sources", "0123456789abcdef", name)
    store.backend(source).create(source, raw)
    read = {path.stem: strict_yaml.load(path.read_bytes(), path.name) for path in (PROJECT / "configs/demo").glob("*.yaml")}
    parts = merged({"runfile": read["run"], "training": read["train"], "data_card": read["data-card"]}, edits)
    run = store.join(root, "runs", "ab12")
    plan = Plan(
        run_id="ab12",
        runfile=RunFile.model_validate(parts["runfile"]),
        training=parts["training"],
        gate={},
        data_card=parts["data_card"],
        commit=Commit(repo="here", commit="none", dirty=True, path="run.yaml", sha256=DIGEST),
        model_card={},
        data=source,
        data_digest=DIGEST,
        base=base,
        base_digest=DIGEST,
        code=DIGEST,
        preset="2x1-cpu",
    )
    store.create_json(store.join(run, "plan.json"), plan.model_dump(mode="json", by_alias=True))
    return run
