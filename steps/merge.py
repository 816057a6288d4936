"""Merge adapter and base into one whole model, content-addressed; a fully fine-tuned model passes through."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from steps import modeldir, store
from steps.contracts import MergeIn, MergeOut
from steps.faults import BadData
from steps.runfile import read_plan
from steps.runtime import main, scratch

_FROM_TRAINING = ("tokenizer", "special_tokens_map", "added_tokens", "vocab", "merges", "chat_template")
_SHARD = "5GB"


def merge(given: MergeIn) -> MergeOut:
    """Commit the whole model under its digest. Raises BadData when training changed nothing."""
    plan = read_plan(given.run)
    work = scratch()
    base, trained = store.fetch(given.base, work), store.fetch(given.trained, work)
    folder = work / "model"
    shutil.rmtree(folder, ignore_errors=True)
    if (trained / "adapter_config.json").exists():
        _merge_adapter(base, trained, folder)
    else:
        _copy(trained, folder)
    digest = modeldir.digest(folder)
    if digest == modeldir.digest(base):
        raise BadData("the trained model is the base model, byte for byte; raise learning_rate or num_train_epochs")
    model = store.join(_root(given.run), "models", plan.runfile.model, digest.removeprefix("sha256:")[:12])
    store.commit(folder, model, {"digest": digest, "run": given.run, "base_digest": plan.base_digest})
    shutil.rmtree(folder)
    return MergeOut(model=model, digest=digest)


def _root(run: str) -> str:
    """The tenant's root: a run lies at `<root>/runs/<run id>`."""
    return run.rsplit("/runs/", 1)[0]


def _merge_adapter(base: Path, adapter: Path, folder: Path) -> None:
    """In the base's own number format, whatever accelerator is there, so that the same run gives the same bytes."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(base, dtype="auto", device_map="cpu")
    before = _fingerprint(whole)
    try:
        merged = PeftModel.from_pretrained(whole, adapter).merge_and_unload(safe_merge=True)
    except ValueError as error:  # its way to refuse weights that are no numbers
        raise BadData(f"the adapter cannot be merged into the base ({str(error)[:200]}); train again with a lower learning_rate") from None
    if _fingerprint(merged) == before:
        raise BadData("merging the adapter changes no weight; raise learning_rate or num_train_epochs")
    merged.save_pretrained(folder, max_shard_size=_SHARD)
    for path in sorted(adapter.iterdir()):
        if path.name.startswith(_FROM_TRAINING) and path.suffix in (".json", ".jinja", ".txt", ".model"):
            shutil.copyfile(path, folder / path.name)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes 0600, and the server is another user


def _copy(trained: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in modeldir.parts(trained):
        shutil.copyfile(trained / file.path, folder / file.path)


def _fingerprint(model: Any) -> str:
    import torch

    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


if __name__ == "__main__":
    main("merge", merge)
