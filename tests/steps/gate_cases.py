"""Evaluations made from right and wrong answers, for the tests of the gate."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steps import evaluation, store
from steps.evaluation import Evaluation, Item, Measured

POLICY: dict[str, Any] = {
    "apiVersion": "gate/v1",
    "validity": {"min_n": 20},
    "rules": [
        {"id": "learnt", "task": "team_test", "metric": "exact_match", "test": "superiority", "vs": "anchor", "min_gain": 0.3},
        {"id": "good-enough", "task": "team_test", "metric": "exact_match", "test": "absolute", "bound": {"min": 0.6}},
        {"id": "kept", "task": "team_test", "metric": "exact_match", "test": "non_inferiority", "vs": "champion", "margin": 0.1},
    ],
}


def digest(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def answers(right: int, n: int = 40) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


def item(number: int, value: float, **fields: Any) -> Item:
    known = {"id": f"{number:04}", "task": "team_test", "metrics": {"exact_match": value}}
    return Item(**{**known, "prompt_hash": f"p{number}", "target_hash": f"t{number}", "output_chars": 20 + number % 7, **fields})


def measured(name: str, items: Sequence[float] | Sequence[Item], **fields: Any) -> Measured:
    """An evaluation of the model `name`, as `evaluate` would record it; `fields` replace what they name."""
    whole = tuple(one if isinstance(one, Item) else item(number, one) for number, one in enumerate(items))
    probe = [int(digest(name)[7 + 2 * place : 9 + 2 * place], 16) / -64 for place in range(8)]
    known: dict[str, Any] = {
        "model": f"file:///models/{name}", "digest": digest(name), "task": "team_test", "task_hash": "t", "harness": "lm-eval 0.4.13",
        "backend": "hf on cpu", "template_sha": "c", "limit": None, "batch_size": 32, "n": len(whole),
        "metrics": evaluation.means(whole), "probe": probe,
    }  # fmt: skip
    return Measured(f"file:///evaluations/{name}", digest(f"files of {name}"), Evaluation(**{**known, **fields}), whole)


def committed(folder: Path, root: str, found: Measured) -> str:
    """The evaluation in the store, and its URI."""
    place = folder / hashlib.sha256(found.uri.encode()).hexdigest()[:12]
    place.mkdir()
    evaluation.write(place, found.record, list(found.items))
    uri = store.join(root, "evaluations", place.name)
    store.commit(place, uri)
    return uri


def plan(gate: dict[str, Any], **evaluation_settings: Any) -> dict[str, Any]:
    """A plan that is whole, with nothing in it that the gate and `evaluate` do not read."""
    nothing = "sha256:" + "0" * 64
    return {
        "run_id": "r1",
        "runfile": {
            "apiVersion": "fleece/v1", "tenant": "default", "model": "default.triage.v1", "owner": "me@example.org",
            "base": {"source": "store://bases/tiny", "name": "tiny", "revision": "0", "license": "Apache-2.0"},
            "dataset": {"name": "tickets", "source": "store://uploads/x.jsonl", "license": "proprietary", "card": "data.yaml"},
            "training": {"config": "train.yaml"}, "evaluation": evaluation_settings, "gate": "gate.yaml",
            "risk": {"class": "MINIMAL", "rationale": "a test of the gate, which no person ever depends on"}, "card": "card.yaml",
        },
        "commit": {"repo": "here", "commit": "none", "dirty": False, "path": "run.yaml", "sha256": nothing},
        "training": {}, "gate": gate, "data_card": {}, "model_card": {}, "data": "file:///none", "data_digest": nothing,
        "base": "file:///none", "base_digest": nothing, "code": nothing, "preset": "2x1-cpu",
    }  # fmt: skip
