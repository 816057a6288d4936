"""From an accepted data set to what training and evaluation read: splits, dataset_info.json, train.yaml, task.json and test items.

Files are named by their content: `datasets` caches by path and time, and would train on old rows under an old name.
"""

import hashlib
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
import yaml

from steps import rows, splits, store, training_config
from steps.contracts import PrepareIn, PrepareOut
from steps.faults import BadData
from steps.runfile import Plan, RunFile, read_plan
from steps.runtime import main, say, scratch

_SHORT: dict[splits.Name, str] = {"train": "train", "validation": "val", "test": "test"}
_TAGS = {
    "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "observation_tag": "tool",
    "function_tag": "function_call", "system_tag": "system",
}  # fmt: skip


@dataclass
class Drawn:
    """Rows of each split, the file of each, and what is found in two of them."""

    rows: Counter[splits.Name] = field(default_factory=Counter)
    files: dict[splits.Name, Path] = field(default_factory=dict)
    no_item: int = 0
    shared: int = 0


def prepare(given: PrepareIn) -> PrepareOut:
    """Raises BadData when a split is empty, or a prompt is in two of them."""
    plan = read_plan(given.run)
    folder = Path(tempfile.mkdtemp(prefix="prepared-", dir=scratch()))
    drawn = draw(store.fetch(given.dataset, scratch()) / "rows.jsonl", plan.runfile, folder)
    check(drawn, plan.runfile)
    for name, content in describe(drawn, plan).items():
        (folder / name).write_bytes(content)
    prepared = store.join(given.run, "prepared")
    counts = {f"{_SHORT[name]}_rows": drawn.rows[name] for name in _SHORT}
    store.commit(folder, prepared, {"dataset": given.dataset, **counts})
    if drawn.no_item:
        say("prepare", f"{drawn.no_item} held-out rows make no test item (a tool call, or no wanted answer) and are not trained on")
    return PrepareOut(prepared=prepared, **counts)


def draw(source: Path, runfile: RunFile, folder: Path) -> Drawn:
    """Write every row into its split's file, named by the file's content; a held-out row as the test item it makes."""
    drawn, overlap = Drawn(), _Overlap()
    names: list[splits.Name] = ["train", "test", *splits.watched(runfile.dataset.split)]
    handles = {name: (folder / f"{name}.part").open("wb") for name in names}
    for row in _read(source):
        name = splits.place(splits.group(row), runfile.dataset.split)
        overlap.add(name, row)
        _write(name, row, handles[name], drawn)
    drawn.shared = overlap.count()
    for name, handle in handles.items():
        handle.close()
        drawn.files[name] = _named_by_content(folder / f"{name}.part", _SHORT[name])
    return drawn


def check(drawn: Drawn, runfile: RunFile) -> None:
    """Raises BadData naming counts and the fractions to change."""
    split = runfile.dataset.split
    counts = ", ".join(f"{name} {drawn.rows[name]}" for name in drawn.files)
    empty = [name for name in drawn.files if not drawn.rows[name]]
    if empty:
        why = f" ({drawn.no_item} held-out rows begin with a tool call or hold no wanted answer)" if drawn.no_item else ""
        raise BadData(
            f"split {empty[0]} is empty{why}: {counts}. Add rows, or change dataset.split.test (now {split.test}) and "
            f"dataset.split.validation (now {split.validation})"
        )
    if drawn.shared:
        raise BadData(
            f"{drawn.shared} prompts are in more than one split, so the score would be partly of training rows. "
            f"Rows with the same prompt need the same {split.group!r}; correct the column, or leave dataset.split.group out"
        )


def describe(drawn: Drawn, plan: Plan) -> dict[str, bytes]:
    """The files beside the splits."""
    train = training_config.complete(plan.training, plan.runfile, validation="validation" in drawn.files)
    return {
        "dataset_info.json": store.to_json(dataset_info(drawn, plan.runfile.dataset.format)),
        "train.yaml": yaml.safe_dump(train, sort_keys=True, allow_unicode=True).encode(),
        "task.json": store.to_json(task(drawn, plan.runfile)),
    }


def dataset_info(drawn: Drawn, format: str) -> dict[str, Any]:
    """LLaMA-Factory's index of data sets. Never `formatting: openai`: it adds the system prompt "detailed thinking off"."""
    if format == "pretraining":
        kind: dict[str, Any] = {"columns": {"prompt": "text"}}
    else:
        columns = {"messages": "messages", "tools": "tools"}
        kind = {"formatting": "sharegpt", "columns": columns, "tags": _TAGS}
        if format == "preference":
            kind |= {"ranking": True, "columns": {**columns, "chosen": "chosen", "rejected": "rejected"}}
        if format == "kto":
            kind |= {"columns": {**columns, "kto_tag": "label"}}
    return {name: {"file_name": path.name, **kind} for name, path in drawn.files.items() if name != "test"}


def task(drawn: Drawn, runfile: RunFile) -> dict[str, Any]:
    """The held-out rows as an lm-eval task: the right answer word for word, or for pretraining text its bits per byte."""
    if runfile.dataset.format == "pretraining":
        kind: dict[str, Any] = {"output_type": "loglikelihood_rolling", "metric": "bits_per_byte"}
    else:
        kind = {"output_type": "generate_until", "metric": "exact_match", "max_new_tokens": runfile.evaluation.max_new_tokens}
    return {"task": "team_test", "prompt": "prompt", "target": "target", "items": drawn.files["test"].name, **kind}


def _read(source: Path) -> Iterator[rows.Row]:
    with source.open("rb") as handle:
        for line in handle:
            yield orjson.loads(line)


def _write(name: splits.Name, row: rows.Row, handle: IO[bytes], drawn: Drawn) -> None:
    if name == "test":
        item = splits.item(row)
        if item is None:
            drawn.no_item += 1
            return
        row = item
    drawn.rows[name] += 1
    handle.write(rows.encode(row))


def _named_by_content(part: Path, name: str) -> Path:
    with part.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return part.rename(part.with_name(f"{name}-{digest[:12]}.jsonl"))


class _Overlap:
    """Prompts that stand in two splits. A copy of a row has the row's prompt, so this finds copies as well."""

    def __init__(self) -> None:
        self.train = array("Q")
        self.held_out: dict[int, splits.Name] = {}
        self.crossing: set[int] = set()

    def add(self, name: splits.Name, row: rows.Row) -> None:
        prompt = _hash64(rows.normal(rows.prompt(row)))
        if name == "train":
            self.train.append(prompt)
        elif self.held_out.setdefault(prompt, name) != name:
            self.crossing.add(prompt)

    def count(self) -> int:
        return len(self.crossing.union(prompt for prompt in self.train if prompt in self.held_out))


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


if __name__ == "__main__":
    main("prepare", prepare)
