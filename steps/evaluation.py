"""What one evaluation found: the record `evaluate` commits and `gate` and `verify` read. Scores, hashes and counts, no text."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from steps import store
from steps.contracts import Digest
from steps.faults import BadData

RECORD, ITEMS = "evaluation.json", "items.jsonl"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Score(_Strict):
    """Mean over the items, and its standard error (None for one item)."""

    value: float
    stderr: float | None


class Item(_Strict):
    """One test item. `metrics` are keyed as lm-eval does it: `exact_match`, or `exact_match,strict-match` behind a filter."""

    id: str
    task: str
    metrics: dict[str, float]
    prompt_hash: str
    target_hash: str
    output_chars: int | None = None
    truncated: bool = False
    cluster: str | None = None


class Evaluation(_Strict):
    """`evaluation.json`. `probe`: log-probabilities of the likeliest first token on the first items, the model's fingerprint."""

    model: str
    digest: Digest
    task: str
    task_hash: str
    harness: str
    backend: str
    template_sha: str
    limit: int | None
    batch_size: int
    n: int
    metrics: dict[str, dict[str, Score]]
    probe: list[float]


@dataclass(frozen=True)
class Measured:
    """A committed evaluation, read and checked against its manifest; `sha256` is the digest of that manifest's file list."""

    uri: str
    sha256: str
    record: Evaluation
    items: tuple[Item, ...]


def key(digest: str, task_hash: str, harness: str, backend: str, template_sha: str, limit: int | None) -> str:
    """Name of an evaluation's folder: everything that can change its numbers."""
    parts = [digest, task_hash, harness, backend, template_sha, limit]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read(uri: str, scratch: Path) -> Measured:
    """Raises Missing when nothing is committed there, BadData when a file is not what the manifest says or is no evaluation."""
    folder = store.fetch(uri, scratch)
    try:
        record = Evaluation.model_validate_json((folder / RECORD).read_bytes())
        items = tuple(Item.model_validate_json(line) for line in (folder / ITEMS).read_bytes().splitlines())
    except (ValidationError, FileNotFoundError) as error:
        seen = f"{error.error_count()} wrong fields" if isinstance(error, ValidationError) else f"no {Path(error.filename).name}"
        raise BadData(f"{uri} is no evaluation ({seen}); run `evaluate` again") from None
    return Measured(uri, store.read_manifest(uri).digest, record, items)


def write(folder: Path, record: Evaluation, items: list[Item]) -> None:
    """Both files, the same bytes for the same findings, so that two processes may commit the same evaluation."""
    (folder / RECORD).write_bytes(store.to_json(record.model_dump()))
    ordered = sorted(items, key=lambda item: (item.task, item.id))
    lines = [json.dumps(item.model_dump(exclude_none=True), sort_keys=True, ensure_ascii=False) for item in ordered]
    (folder / ITEMS).write_text("\n".join(lines) + "\n")


def means(items: list[Item] | tuple[Item, ...]) -> dict[str, dict[str, Score]]:
    """Mean and standard error of every metric of every task, over the items that have it."""
    values: dict[str, dict[str, list[float]]] = {}
    for item in items:
        for metric, value in item.metrics.items():
            values.setdefault(item.task, {}).setdefault(metric, []).append(value)
    return {task: {metric: _score(found) for metric, found in sorted(of.items())} for task, of in sorted(values.items())}


def _score(values: list[float]) -> Score:
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Score(value=mean, stderr=None)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Score(value=mean, stderr=(variance / n) ** 0.5)
