"""The training YAML of a run: checked against LLaMA-Factory 0.9.5's settable fields, then completed with what the pipeline owns.

LLaMA-Factory checks neither types nor choices of a YAML and finds most mistakes only after the model is loaded, so `plan` checks
them first. Keys that the pipeline owns may stand in the file, as they do in every LlamaBoard export; their values are replaced.
"""

import difflib
import functools
import json
from pathlib import Path
from typing import Any

from steps.faults import BadInput
from steps.runfile import RunFile

STAGES = {
    "alpaca": ("sft",),
    "sharegpt": ("sft",),
    "openai": ("sft",),
    "preference": ("dpo", "rm"),
    "kto": ("kto",),
    "pretraining": ("pt",),
}

# Set by `prepare`, or by the training supervisor, or not at all; a value in the user's file has no effect.
SET_LATER = ("model_name_or_path", "dataset_dir", "output_dir", "resume_from_checkpoint")
TAKEN_OUT = (
    "dataset", "eval_dataset", "val_size", "tokenized_path", "run_name", "logging_dir", "do_eval", "do_predict", "predict_with_generate",
    "max_samples", "cache_dir", "overwrite_cache", "media_dir", "export_dir", "data_seed",
)  # fmt: skip
OWNED = {
    "do_train": True,
    "report_to": "none",  # HF's own MLflow callback renames, finishes and duplicates runs
    "overwrite_output_dir": False,  # true switches the resumption of a checkpoint off
    "save_only_model": False,  # true resumes with a fresh optimizer: other weights
    "plot_loss": False,
    "ddp_timeout": 1800,
    "push_to_hub": False,
    "enable_jit_checkpoint": False,  # deadlocks, and ends half-trained with exit code 0
}
_REFUSED = {
    "formatting": "is no training key, and `openai` formatting adds a system prompt; set dataset.format in the run file",
    "hf_hub_token": "is a secret; it has no place in git",
    "ms_hub_token": "is a secret; it has no place in git",
    "om_hub_token": "is a secret; it has no place in git",
    "hub_token": "is a secret; it has no place in git",
    "swanlab_api_key": "is a secret; it has no place in git",
    "adapter_name_or_path": "names a local adapter, which no node has; merge it into the base model first",
    "streaming": "reads no local file in 0.9.5 (StopIteration); take it out",
    "use_ray": "starts its own processes; the preset does that here",
}
_AT_LEAST = {
    "cutoff_len": 1, "per_device_train_batch_size": 1, "per_device_eval_batch_size": 1, "gradient_accumulation_steps": 1, "lora_rank": 1,
    "logging_steps": 0, "save_steps": 0, "eval_steps": 0, "warmup_steps": 0, "warmup_ratio": 0, "weight_decay": 0, "lora_dropout": 0,
}  # fmt: skip
_ABOVE_ZERO = ("learning_rate", "num_train_epochs", "max_grad_norm", "lora_alpha")
# Fields that LLaMA-Factory splits at commas, or takes as a list (hparams/data_args.py, finetuning_args.py: split_arg).
_SPLIT = ("lora_target", "oft_target", "additional_target", "freeze_trainable_modules", "freeze_extra_modules", "galore_target",
          "apollo_target", "interleave_probs", "report_to", *TAKEN_OUT)  # fmt: skip
_KINDS: dict[str, Any] = {"bool": bool, "int": int, "float": (int, float), "str": str, "list": list, "dict": dict, "null": type(None)}


@functools.cache
def known() -> dict[str, Any]:
    """LLaMA-Factory's settable fields and templates (`llamafactory_fields.json`)."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("llamafactory_fields.json").read_text())
    return content


def check(config: dict[str, Any], where: str, runfile: RunFile) -> None:
    """Raises BadInput with everything that is wrong with a training YAML, in one line."""
    problems = [problem for key, value in config.items() if (problem := _problem(key, value))]
    problems += _together(config, runfile)
    if problems:
        raise BadInput(f"{where}: {'; '.join(problems)}")


def complete(config: dict[str, Any], runfile: RunFile, *, validation: bool) -> dict[str, Any]:
    """The configuration as it is trained: the user's, with what the pipeline owns. `prepare` writes it as train.yaml."""
    kept = {key: value for key, value in config.items() if key not in (*SET_LATER, *TAKEN_OUT, *_REFUSED)}
    watched = {"eval_dataset": "validation", "eval_strategy": kept.get("eval_strategy", "epoch")} if validation else {"eval_strategy": "no"}
    return {**kept, **OWNED, **watched, "dataset": "train", "seed": runfile.training.seed}


def replaced(config: dict[str, Any]) -> list[str]:
    """Keys of the user's file whose values have no effect, sorted."""
    return sorted(key for key in config if key in SET_LATER or key in TAKEN_OUT or (key in OWNED and config[key] != OWNED[key]))


def _problem(key: str, value: Any) -> str | None:
    fields = known()["fields"]
    if key in _REFUSED and (key not in fields or value not in (None, False, "")):
        return f"{key} {_REFUSED[key]}"
    if key not in fields:
        near = difflib.get_close_matches(key, fields, 1)
        return f"{key} is no key of LLaMA-Factory {known()['version']}" + (f"; did you mean {near[0]}?" if near else "; take it out")
    return _type_problem(key, value, fields[key]) or _range_problem(key, value)


def _type_problem(key: str, value: Any, field: dict[str, Any]) -> str | None:
    if value is None or (isinstance(value, list) and key in _SPLIT):
        return None
    kinds = [kind for kind in field["types"] if kind != "null"]
    fits = any(isinstance(value, _KINDS[kind]) and (kind == "bool") >= isinstance(value, bool) for kind in kinds)
    if not fits:
        return f"{key} is {_show(value)}; it must be {' or '.join(kinds)}"
    choices = field.get("choices", known()["templates"] if key == "template" else [])
    if choices and isinstance(value, str) and value not in choices:
        near = difflib.get_close_matches(value, choices, 1)
        options = ", ".join(choices) if len(choices) <= 8 else f"{len(choices)} names"
        return f"{key} is {_show(value)}; it must be one of {options}" + (f" (did you mean {near[0]}?)" if near else "")
    return None


def _range_problem(key: str, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if key in _AT_LEAST and value < _AT_LEAST[key]:
        return f"{key} is {value}; it must be at least {_AT_LEAST[key]}"
    if key in _ABOVE_ZERO and value <= 0:
        return f"{key} is {value}; it must be above 0"
    return None


def _together(config: dict[str, Any], runfile: RunFile) -> list[str]:
    """What is wrong with the file as a whole, or with the file beside the run file."""
    problems = []
    stage = config.get("stage", "sft")
    allowed = STAGES[runfile.dataset.format]
    if stage == "ppo":
        problems.append("stage ppo does not run in LLaMA-Factory 0.9.5 (it asks for two versions of trl); use dpo or kto")
    elif stage not in allowed and stage in known()["fields"]["stage"]["choices"]:
        problems.append(f"stage is {stage}, but dataset.format {runfile.dataset.format} is for {' or '.join(allowed)}")
    if config.get("eval_strategy", "no") not in ("no", False) and not runfile.dataset.split.validation:
        problems.append("eval_strategy asks for evaluation, but dataset.split.validation in the run file is 0")
    if config.get("quantization_bit") and config.get("finetuning_type", "lora") not in ("lora", "oft"):
        problems.append("quantization_bit goes with finetuning_type lora or oft only")
    return problems


def _show(value: Any) -> str:
    return repr(value)[:60]
