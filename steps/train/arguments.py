"""The user's LLaMA-Factory configuration, with what the pipeline owns put over it (DESIGN §7)."""

import json
from pathlib import Path
from typing import Any

import yaml

from steps.faults import BadData, BadInput

Arguments = dict[str, Any]

# Each would make a resumed run differ from an uninterrupted one.
_REFUSED = {
    "load_best_model_at_end": "the best checkpoint may lie on a machine that is gone",
    "save_only_model": "the optimizer would start anew after each interruption",
    "enable_jit_checkpoint": "it ends half-trained models as if they were done",
}


def read(prepared: Path) -> Arguments:
    """`train.yaml` of a prepared folder. Raises BadData when it is none."""
    try:
        content = yaml.safe_load((prepared / "train.yaml").read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadData(f"the prepared folder has no readable train.yaml ({type(error).__name__}); run `prepare` again") from None
    if not isinstance(content, dict):
        raise BadData(f"train.yaml holds a {type(content).__name__}, not the configuration's keys; run `prepare` again")
    return content


def complete(given: Arguments, *, base: Path, prepared: Path, work: Path, checkpoint: Path | None, halved: bool) -> Arguments:
    """The arguments of `run_exp`. Raises BadInput for a setting under which an interrupted run cannot be gone on with."""
    for key, reason in _REFUSED.items():
        if given.get(key):
            raise BadInput(f"{key} is not possible here: {reason}. Take it out of the training configuration")
    owned: Arguments = {
        "do_train": True,
        "model_name_or_path": str(base),
        "dataset_dir": str(prepared),
        "output_dir": str(work / "output"),
        "cache_dir": str(work / "cache"),  # a run's own; the environment is read too early for that
        "overwrite_output_dir": False,
        "resume_from_checkpoint": str(checkpoint) if checkpoint else None,
        "save_only_model": False,
        "save_total_limit": None,  # the supervisor drops a checkpoint once the store has a newer one
        "report_to": "none",
        "push_to_hub": False,
        "plot_loss": False,
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,  # it would hide a loss that is no number
    }
    return given | owned | (_halved(given) if halved else {})


def train_rows(given: Arguments, prepared: Path) -> int | None:
    """Rows that LLaMA-Factory must keep; None where it packs, streams or splits them itself and the count says nothing."""
    if given.get("packing") or given.get("neat_packing") or given.get("streaming") or given.get("val_size"):
        return None
    if given.get("stage") == "pt" and given.get("packing") is not False:
        return None
    try:
        name = json.loads((prepared / "dataset_info.json").read_text())["train"]["file_name"]
        with (prepared / name).open("rb") as file:
            rows = sum(1 for line in file if line.strip())
    except (OSError, KeyError, ValueError) as error:
        raise BadData(f"the prepared folder names no training file ({type(error).__name__}); run `prepare` again") from None
    return min(rows, int(given.get("max_samples") or rows))


def can_be_halved(given: Arguments) -> bool:
    return int(given.get("per_device_train_batch_size", 8)) > 1


def _halved(given: Arguments) -> Arguments:
    """Half the micro-batch, twice the accumulation: the optimizer sees the same batches. 8 is the trainer's default."""
    if not can_be_halved(given):
        return {}
    return {
        "per_device_train_batch_size": int(given.get("per_device_train_batch_size", 8)) // 2,
        "gradient_accumulation_steps": int(given.get("gradient_accumulation_steps", 1)) * 2,
        "per_device_eval_batch_size": max(1, int(given.get("per_device_eval_batch_size", 8)) // 2),
    }
