"""lm-eval 0.4.13 through its Python API: a model and its tasks in, scores by item out. No text leaves this module.

Its caches are never used: `use_cache` forgets the model and `cache_requests` the data in their keys. `evaluate` is called rather than
`simple_evaluate`, which lists every installed package on each call. Heavy imports lie in functions; a process forked from one that
imported PRELOAD finds them done.
"""

import hashlib
import logging
import math
import os
import re
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from steps.evaluation import Item
from steps.faults import BadData, BadInput, OutOfMemory, Unfit
from steps.team_test import Task, lm_eval_task

PRELOAD = ("datasets", "lm_eval.evaluator", "lm_eval.tasks", "lm_eval.models.huggingface", "transformers.models.llama.modeling_llama",
           "transformers.tokenization_utils_tokenizers")  # fmt: skip
METHOD = 1  # raise it when this module or `team_test` sends other prompts or scores answers otherwise: old evaluations then do not count
PROBES = 8  # items of the fingerprint
_TOKENS_A_BATCH = 16_384  # a batch's logits over 128 k words stay below 9 GB
_LARGEST_BATCH = 32
_SMALL = 50_000_000  # parameters; below, threads only wait for each other (0.4 million on two busy cores: 8.5 CPU s with two, 1.7 with one)


@dataclass(frozen=True)
class Device:
    """Where and in which precision the model runs: part of the evaluation's key, known without importing torch."""

    kind: Literal["cpu", "cuda"]

    @property
    def dtype(self) -> str:
        return "float32" if self.kind == "cpu" else "auto"

    @property
    def backend(self) -> str:
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("transformers", "torch"))
        return f"hf on {self.kind}, {self.dtype}, {versions}"


@dataclass(frozen=True)
class Measurement:
    items: list[Item]
    probe: list[float]
    batch_size: int


def version() -> str:
    return f"lm-eval {metadata.version('lm_eval')}, Fleece's method {METHOD}"


def device() -> Device:
    """CUDA where the driver's device file is and CUDA_VISIBLE_DEVICES does not hide it."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    return Device("cuda" if Path("/dev/nvidiactl").exists() and not hidden else "cpu")


def measure(
    model: Path, on: Device, task: Task, rows: list[dict[str, str]], public: list[str], clusters: dict[str, str], limit: int | None
) -> Measurement:
    """Greedy answers of the model to the team's rows and the public tasks, scored.

    `clusters`: the column of a task whose equal values belong together. `limit`: most items a task. Raises BadInput for a public task that
    cannot be loaded, BadData for a folder that is no causal language model, Unfit without the device.
    """
    _quiet()
    publics, owners = _publics(public)
    batch = _batch_size(task, rows, bool(public))
    lm = _language_model(model, on, batch)
    try:
        samples = _samples(lm, lm_eval_task(task, rows[:limit], lm.tokenizer), None, chat=False)
        samples |= _samples(lm, publics, limit, chat=task.asks) if publics else {}
        probe = _probe(lm, [sample["arguments"][0][0] for sample in samples[task.task][:PROBES]])
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        raise OutOfMemory(f"{batch} prompts at once do not fit the {on.kind}'s memory; use a larger machine") from None
    items = [
        item
        for leaf, of_leaf in samples.items()
        for owner in owners.get(leaf, [leaf])
        for item in _items(lm, owner, leaf, of_leaf, clusters.get(owner), own_ids=leaf == task.task)
    ]
    return Measurement(items, probe, batch)


def _quiet() -> None:
    """No network, no progress bars, no prompts in logs (lm-eval warns with whole documents)."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import datasets
    import huggingface_hub.constants
    import lm_eval.api.task
    import transformers

    if os.environ["HF_HUB_OFFLINE"] == "1":  # both read it when they are imported, which a preloading parent may have done before
        huggingface_hub.constants.HF_HUB_OFFLINE = True
        datasets.config.HF_HUB_OFFLINE = True
    lm_eval.api.task.tqdm = partial(lm_eval.api.task.tqdm, disable=True)
    for name in ("lm_eval", "lm-eval", "datasets", "accelerate"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def _samples(lm: Any, tasks: dict[str, Any], limit: int | None, *, chat: bool) -> dict[str, list[dict[str, Any]]]:
    from lm_eval.evaluator import evaluate

    for task in tasks.values():  # what simple_evaluate does with its default arguments
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=1234)
    results = evaluate(lm, {"tasks": tasks}, limit=limit, bootstrap_iters=0, apply_chat_template=chat)
    found: dict[str, list[dict[str, Any]]] = results["samples"]
    return found


def _publics(names: list[str]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Public tasks by lm-eval's name, and the names under which the policy knows each (a group has many)."""
    tasks: dict[str, Any] = {}
    owners: dict[str, list[str]] = {}
    for name in names:
        for leaf, found in _public(name).items():
            tasks.setdefault(leaf, found)
            owners.setdefault(leaf, []).append(name)
    return tasks, owners


def _public(name: str) -> dict[str, Any]:
    """A public task or group by name. Only the folders that define it are indexed: all 14,000 task files take 5 s and more."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False, include_path=[str(folder) for folder in _folders(name)])
    if name not in manager.all_tasks:
        raise BadInput(f"the gate policy names the task {name!r}, which {version()} does not know; see `lm-eval ls tasks`")
    try:
        found: dict[str, Any] = manager.load([name])["tasks"]
    except (OSError, ImportError, KeyError, ValueError) as error:  # offline, a missing extra, a data set that changed its shape
        raise BadInput(f"the gate policy names the task {name!r}, which cannot be loaded here ({type(error).__name__}); "
                       "put its data set into the Hugging Face cache of this machine, or take the rule out") from None  # fmt: skip
    if any(getattr(task, "UNSAFE_CODE", False) for task in found.values()):
        raise BadInput(f"the task {name!r} runs code that the model writes, which this step does not; take the rule out")
    return found


def _folders(name: str) -> list[Path]:
    """Folders of lm-eval with a line that defines the task, group or tag."""
    import lm_eval.tasks

    root = Path(lm_eval.tasks.__file__).parent
    line = re.compile(rb"^\s*(?:-|task:|group:|tag:)\s*[\"']?" + re.escape(name.encode()) + rb"[\"']?\s*$", re.MULTILINE)
    return sorted({root / path.relative_to(root).parts[0] for path in root.glob("*/**/*.y*ml") if line.search(path.read_bytes())})


def _batch_size(task: Task, rows: list[dict[str, str]], public: bool) -> int:
    """As many prompts as fit the token budget, at two characters a token; public tasks may be as long as 4,096."""
    shown = [sum(len(row.get(name, "")) for name in (task.prompt, "system", "tools")) for row in rows]
    read = [0 if task.asks else len(row[task.target]) for row in rows]
    longest = max(4096 if public else 1, max(map(sum, zip(shown, read, strict=True))) // 2) + task.max_new_tokens
    return max(1, min(_LARGEST_BATCH, _TOKENS_A_BATCH // longest))


def _language_model(folder: Path, on: Device, batch: int) -> Any:
    """The model behind lm-eval's interface. transformers fills missing weights with noise and a warning; here they are an error."""
    import torch
    from lm_eval.models.huggingface import HFLM
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if on.kind == "cuda" and not torch.cuda.is_available():
        raise Unfit("this machine has a GPU driver, but torch cannot use the GPU; set CUDA_VISIBLE_DEVICES= to evaluate on the CPU")
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=on.dtype, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BadData(f"{folder.name} cannot be loaded as a causal language model ({type(error).__name__}); merge the run again") from None
    if missing := sorted(loading["missing_keys"]):
        raise BadData(f"{folder.name} lacks {len(missing)} weights, {missing[0]} among them; merge the run again")
    if on.kind == "cpu" and model.num_parameters() < _SMALL:
        torch.set_num_threads(1)
    lm = HFLM(pretrained=model.to(on.kind), tokenizer=tokenizer, batch_size=batch)
    for verb in ("generate_until", "loglikelihood", "loglikelihood_rolling"):
        setattr(lm, verb, partial(getattr(lm, verb), disable_tqdm=True))
    return lm


def _probe(lm: Any, prompts: list[str]) -> list[float]:
    """Log-probability of the likeliest first token of each prompt, alone in its batch: the same weights give the same numbers."""
    import torch

    found = []
    for prompt in prompts:
        tokens, mask = lm.tok_batch_encode([prompt], left_truncate_len=lm.max_length)
        with torch.inference_mode():
            logits = lm.model(tokens.to(lm.device), attention_mask=mask.to(lm.device)).logits[0, -1]
        found.append(round(float(torch.log_softmax(logits.float(), -1).max()), 4))
    return found


def _items(lm: Any, owner: str, leaf: str, samples: list[dict[str, Any]], column: str | None, *, own_ids: bool) -> list[Item]:
    """One item a document: a task with several answer filters has as many samples of it. Only the team's rows have ids to rely on."""
    by_document: dict[int, list[dict[str, Any]]] = {}
    for sample in samples:
        by_document.setdefault(sample["doc_id"], []).append(sample)
    prefix = "" if owner == leaf else f"{leaf}/"
    return [
        Item(
            id=found[0]["doc"]["id"] if own_ids else f"{prefix}{number}",
            task=owner,
            metrics={name: value for sample in found for name, value in _metrics(sample).items()},
            prompt_hash=found[0]["prompt_hash"],
            target_hash=found[0]["target_hash"],
            output_chars=len(answer) if isinstance(answer := found[0]["resps"][0][0], str) else None,
            truncated=any(_cut(lm, request) for request in found[0]["arguments"]),
            cluster=_cluster(found[0]["doc"], leaf, column),
        )
        for number, found in sorted(by_document.items())
    ]


def _metrics(sample: dict[str, Any]) -> dict[str, float]:
    """Finite numbers only: a metric that needs the whole corpus (a tuple here), and one that failed, is missing."""
    suffix = "" if sample["filter"] == "none" else f",{sample['filter']}"
    values = {name: sample[name] for name in sample["metrics"]}
    return {
        f"{name}{suffix}": round(float(value), 6)
        for name, value in values.items()
        if not isinstance(value, tuple | list | str | dict) and value is not None and math.isfinite(value)
    }


def _cut(lm: Any, request: tuple[Any, ...]) -> bool:
    """Whether the model saw only the end of this prompt. A text to be read is read in windows, whole."""
    if len(request) == 1:
        return False
    prompt, other = request[0], request[1]
    if isinstance(other, dict):
        return bool(len(lm.tok_encode(prompt)) + other.get("max_gen_toks", lm.max_gen_toks) > lm.max_length)
    return bool(len(lm.tok_encode(prompt + str(other))) > lm.max_length + 1)


def _cluster(doc: dict[str, Any], leaf: str, column: str | None) -> str | None:
    if column is None or column == "task":
        return leaf if column else None
    return hashlib.sha256(str(doc[column]).encode()).hexdigest()[:16] if column in doc else None
